/*
 * forward_send.c: the part of forward.h that sends the request.
 *
 * Bytes of the body go from the client through a hold, a bounded buffer: several small reads make one large
 * send, the first of them together with the head. A hold is sent when it is full, when the body is over, and
 * at the end of the worker's turn, when all that the clients had sent by then is in. As long as all of the
 * body fits, the hold keeps it, so that the request can be sent again.
 *
 * A chunked body is framed anew: a chunk is what was in the hold when it was announced.
 */
#include "gateway/forward_internal.h"

#include "gateway/headers.h"
#include "gateway/worker.h"
#include "lib/clock.h"

/* ---- those that are to be sent at the end of the turn ---- */

static void mark(struct exchange *x)
{
    struct forward *f = &x->forward, **list = &x->worker->marked;
    if (f->is_marked)
        return;
    f->is_marked = true;
    f->marked_prev = NULL;
    f->marked_next = *list;
    if (*list)
        (*list)->marked_prev = f;
    *list = f;
}

static void unmark(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!f->is_marked)
        return;
    f->is_marked = false;
    if (f->marked_prev)
        f->marked_prev->marked_next = f->marked_next;
    else
        x->worker->marked = f->marked_next;
    if (f->marked_next)
        f->marked_next->marked_prev = f->marked_prev;
}

/* ---- the hold ---- */

static struct forward_hold *get_hold(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!f->hold && (f->hold = pool_get(&x->worker->holds)))
        f->hold->len = f->hold->sent = 0;
    return f->hold;
}

void forward_give_back_hold(struct exchange *x)
{
    unmark(x);
    if (x->forward.hold)
        pool_put(&x->worker->holds, x->forward.hold);
    x->forward.hold = NULL;
}

static size_t held(const struct forward *f)
{
    return f->hold ? f->hold->len - f->hold->sent : 0;
}

/* Make room for more, once all that was in the hold is sent and the rest would not fit. */
static void recycle_hold(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!f->hold || held(f) > 0 || (f->hold->len < FORWARD_HOLD && !f->body_gone))
        return;
    f->body_gone = true;
    forward_give_back_hold(x);
}

/* ---- send ---- */

/* What is to go out next, in order; at most SEND_PIECES pieces. */
#define SEND_PIECES 5

struct pieces {
    struct iovec iov[SEND_PIECES];
    int n;
    size_t total;
};

static void add_piece(struct pieces *p, const char *at, size_t len)
{
    if (len == 0)
        return;
    p->iov[p->n++] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = len};
    p->total += len;
}

/* Take from *N the part that belongs to a piece of LEN bytes. */
static size_t settle(size_t *n, size_t len)
{
    size_t part = *n < len ? *n : len;
    *n -= part;
    return part;
}

/* Announce a chunk of LEN bytes, behind framing that is still to be sent. */
static void begin_chunk(struct forward *f, size_t len)
{
    struct buf b;
    if (f->frame_sent == f->frame_len)
        f->frame_len = f->frame_sent = 0;
    buf_init(&b, f->frame + f->frame_len, sizeof(f->frame) - f->frame_len);
    chunked_add_header(&b, len);
    f->frame_len += b.len;
    f->chunk_left = len;
}

static void end_chunk(struct forward *f, size_t crlf_sent)
{
    memcpy(f->frame, "\r\n", 2);
    f->frame_len = 2;
    f->frame_sent = crlf_sent;
}

static bool has_pending(const struct forward *f)
{
    return f->head_sent < f->head.len || f->frame_sent < f->frame_len || held(f) > 0 ||
           f->last_sent < f->last.len;
}

bool forward_all_sent(const struct forward *f)
{
    return f->body_over && !has_pending(f);
}

enum pushed { PUSHED_ALL, PUSHED_SOME, PUSH_BROKE };

/* Send what is pending, up to the end of the chunk. When the connection broke, that was dealt with. */
static enum pushed push(struct exchange *x)
{
    struct forward *f = &x->forward;
    bool chunked = x->head.framing == HTTP1_CHUNKED;
    struct pieces p = {.n = 0};
    size_t ready = held(f), head_left = f->head.len - f->head_sent;
    if (chunked && f->chunk_left == 0 && ready > 0)
        begin_chunk(f, ready);
    size_t frame_left = f->frame_len - f->frame_sent;
    size_t now = chunked && ready > f->chunk_left ? (size_t)f->chunk_left : ready;
    bool ends_chunk = chunked && now > 0 && now == f->chunk_left;
    add_piece(&p, f->head.p + f->head_sent, head_left);
    add_piece(&p, f->frame + f->frame_sent, frame_left);
    add_piece(&p, now > 0 ? f->hold->bytes + f->hold->sent : "", now);
    add_piece(&p, "\r\n", ends_chunk ? 2 : 0);
    if (now == ready)
        add_piece(&p, f->last.p + f->last_sent, f->last.len - f->last_sent);
    ssize_t sent = upstream_send(f->conn, p.iov, p.n, &x->err);
    if (sent < 0) {
        /* The answer may lie there already (413 and goodbye): look before giving up. */
        f->send_broke = true;
        forward_read_head(x);
        return PUSH_BROKE;
    }
    size_t n = (size_t)sent;
    f->head_sent += settle(&n, head_left);
    f->frame_sent += settle(&n, frame_left);
    size_t taken = settle(&n, now);
    if (f->hold)
        f->hold->sent += taken;
    if (chunked)
        f->chunk_left -= taken;
    if (ends_chunk && taken == now)
        end_chunk(f, settle(&n, 2));
    f->last_sent += n;
    return (size_t)sent == p.total ? PUSHED_ALL : PUSHED_SOME;
}

/* Send what can be sent; then either all is, or the connection is watched until it takes more. */
static void flush(struct exchange *x)
{
    struct forward *f = &x->forward;
    enum pushed pushed = PUSHED_ALL;
    unmark(x);
    while (pushed == PUSHED_ALL && has_pending(f))
        pushed = push(x);
    if (pushed == PUSH_BROKE || f->state != FORWARD_SENDING)
        return;
    if (forward_all_sent(f)) {
        if (f->hold && !forward_may_repeat(x)) {
            f->body_gone = true;
            forward_give_back_hold(x);
        }
        f->state = FORWARD_WAITING;
        upstream_watch(f->conn, true, false);
        forward_set_phase(f, f->conf->timeout.first_byte_ms, REASON_UPSTREAM_TIMEOUT);
        return;
    }
    recycle_hold(x);
    upstream_watch(f->conn, true, has_pending(f));
    /* With nothing to send it is the client that is waited for. */
    forward_set_phase(f, has_pending(f) ? f->conf->timeout.between_bytes_ms : 0, REASON_UPSTREAM_TIMEOUT);
}

void forward_send_marked(struct worker *w)
{
    while (w->marked) {
        struct exchange *x = (struct exchange *)((char *)w->marked - offsetof(struct exchange, forward));
        if (x->forward.state == FORWARD_SENDING)
            flush(x);
        else
            unmark(x);
    }
}

void forward_start_sending(struct exchange *x)
{
    struct forward *f = &x->forward;
    f->state = FORWARD_SENDING;
    f->send_broke = false;
    x->record.upstream_connected_ns = clock_now_ns();
    x->record.upstream_reused = upstream_is_reused(f->conn);
    f->head = headers_request(x, f->endpoint->host_field, x->tracing.try.span);
    f->head_sent = 0;
    if (f->head.len == 0) {
        err_set(&x->err, ERR_CLIENT, "request head is too large to forward");
        forward_drop_conn(x, true);
        f->state = FORWARD_IDLE;
        forward_fail(x, REASON_HEAD_TOO_LARGE);
        return;
    }
    if (f->body_over) {
        flush(x);
        return;
    }
    mark(x);
    exchange_wake(x);
}

void forward_rewind(struct forward *f)
{
    f->head_sent = f->frame_len = f->frame_sent = f->last_sent = 0;
    f->chunk_left = 0;
    if (f->hold)
        f->hold->sent = 0;
}

void forward_on_writable(void *ctx)
{
    struct exchange *x = ctx;
    if (x->forward.state != FORWARD_SENDING)
        return;
    flush(x);
    if (x->forward.state == FORWARD_SENDING && !has_pending(&x->forward) && !x->forward.body_over)
        exchange_wake(x);
}

/* ---- take the body ---- */

static size_t fill(struct forward_hold *h, struct slice data)
{
    size_t room = FORWARD_HOLD - h->len, n = data.len < room ? data.len : room;
    memcpy(h->bytes + h->len, data.p, n);
    h->len += n;
    return n;
}

size_t forward_take_body(struct exchange *x, struct slice data)
{
    struct forward *f = &x->forward;
    size_t taken = 0;
    while (taken < data.len && (f->state == FORWARD_CONNECTING || f->state == FORWARD_SENDING)) {
        struct forward_hold *h = get_hold(x);
        if (!h) {
            forward_undo(x);
            forward_fail(x, REASON_OVERLOADED);
            break;
        }
        taken += fill(h, slice_skip(data, taken));
        if (f->state == FORWARD_CONNECTING)
            break;
        if (h->len < FORWARD_HOLD) {
            mark(x);
            continue;
        }
        flush(x);
        if (f->hold && f->hold->len == FORWARD_HOLD)
            break;
    }
    return x->discard || f->state == FORWARD_IDLE ? data.len : taken;
}

/* The last chunk and the trailer fields, written out. */
static struct slice last_chunk(struct exchange *x, struct http_fields trailers)
{
    struct buf b = worker_scratch(x->worker);
    bool ok = true;
    chunked_add_last(&b, trailers);
    struct slice s = arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && !b.failed ? s : SLICE("0\r\n\r\n");
}

void forward_end_body(struct exchange *x, struct http_fields trailers)
{
    struct forward *f = &x->forward;
    if (f->body_over)
        return;
    f->body_over = true;
    if (x->head.framing == HTTP1_CHUNKED)
        f->last = last_chunk(x, trailers);
    if (f->state == FORWARD_SENDING)
        flush(x);
}
