/*
 * forward_answer.c: the second half of forward.h: reading the answer.
 *
 * The head is read into a buffer and parsed there; what came of the body with it is handed on first. From
 * then on the front end reads the body straight into its own memory, and only when the client has room. The
 * connection goes back to its pool in the moment that the last byte was read, whether or not the client has
 * it yet.
 */
#include "gateway/forward_internal.h"

#include "gateway/front.h"
#include "gateway/headers.h"
#include "gateway/worker.h"
#include "lib/clock.h"

/* ---- read the head of the answer ---- */

/* The last byte of the answer was read. */
static void finish_answer(struct exchange *x, bool clean)
{
    struct forward *f = &x->forward;
    f->complete = true;
    x->record.upstream_end_ns = clock_now_ns();
    forward_drop_conn(x, clean && f->answer.keep_alive);
    f->state = FORWARD_IDLE;
    wheel_cancel(&f->deadline);
    if (f->is_inside)
        bulkhead_leave(&f->guard->bulkhead);
    f->is_inside = false;
}

static void malformed(struct exchange *x, const char *why)
{
    err_set(&x->err, ERR_UPSTREAM, "%s", why);
    err_add(&x->err, "answer of %s", x->forward.addr);
    if (x->forward.state != FORWARD_BODY) {
        forward_lost(x, FAULT_MALFORMED, REASON_UPSTREAM_MALFORMED);
        return;
    }
    forward_undo(x);
    forward_fail(x, REASON_UPSTREAM_MALFORMED);
}

/* Bytes behind the head: what of them is body, and is it all? CLEAN: nothing came behind it. */
static bool begin_body(struct exchange *x, bool *all, bool *clean)
{
    struct forward *f = &x->forward;
    struct forward_buffer *b = f->buffer;
    size_t got = b->have - b->at, used = got;
    *all = false;
    switch (f->answer.framing) {
    case HTTP1_NO_BODY:
        *all = true;
        used = 0;
        break;
    case HTTP1_LENGTH:
        used = got > f->answer.length ? (size_t)f->answer.length : got;
        f->left = f->answer.length - used;
        *all = f->left == 0;
        break;
    case HTTP1_CHUNKED: {
        if (!(f->trailer_space = arena_alloc(&x->arena, FORWARD_TRAILERS_MAX)))
            return false;
        chunked_init(&f->chunked, f->trailer_space, FORWARD_TRAILERS_MAX);
        ssize_t n = chunked_decode(&f->chunked, b->bytes + b->at, got, &used);
        if (n < 0)
            return false;
        *all = chunked_is_done(&f->chunked);
        *clean = used == got;
        b->have = b->at + (size_t)n;
        return true;
    }
    case HTTP1_UNTIL_CLOSE:
        break;
    }
    *clean = used == got;
    b->have = b->at + used;
    return true;
}

/* How the front end is to send the body. */
static void shape_reply(struct exchange *x, bool all)
{
    struct forward *f = &x->forward;
    struct reply *r = &x->reply;
    r->status = f->answer.status;
    r->length = f->answer.has_length ? f->answer.length : LENGTH_UNKNOWN;
    if (f->answer.framing == HTTP1_NO_BODY) {
        r->body = f->answer.has_length && r->status != 204 ? REPLY_LENGTH : REPLY_EMPTY;
    } else if (all && f->answer.framing != HTTP1_UNTIL_CLOSE && chunked_trailers(&f->chunked).n == 0) {
        r->body = REPLY_BYTES;
        r->bytes = (struct slice){f->buffer->bytes + f->buffer->at, f->buffer->have - f->buffer->at};
    } else {
        r->body = REPLY_STREAM;
    }
}

/* The answer is no answer for the client: the connection is kept if nothing of it is left on it. */
static void drop_answer(struct exchange *x)
{
    bool all, clean = true;
    if (begin_body(x, &all, &clean) && all)
        finish_answer(x, clean);
    else
        forward_undo(x);
    exchange_wake(x);
}

/* The cache takes the body, and the client, if there is one that wants it, gets it from there. */
static void hand_over(struct exchange *x, bool all)
{
    struct forward_buffer *b = x->forward.buffer;
    bool is_rest = x->caching.prefix; /* the reply is made, and more than the answer */
    if (x->caching.reads && !is_rest)
        shape_reply(x, all);
    x->reply.ready = x->reply.ready || !x->caching.refreshes;
    struct slice body = {b->bytes + b->at, b->have - b->at};
    if (all && !is_rest && cache_has_room(x, body.len))
        cache_take_body(x, body);
    else
        cache_pump(x);
}

static void take_body(struct exchange *x, bool is_cached)
{
    struct forward *f = &x->forward;
    bool early = !forward_all_sent(f), all, clean = true;
    if (!begin_body(x, &all, &clean)) {
        malformed(x, "bad chunked coding");
        return;
    }
    if (all)
        finish_answer(x, clean && !early);
    else
        upstream_watch(f->conn, false, false);
    f->spoiled = early || !clean;
    x->discard = early;
    if (is_cached) {
        hand_over(x, all);
    } else {
        shape_reply(x, all);
        x->reply.ready = true;
    }
    exchange_wake(x);
}

static void got_head(struct exchange *x, size_t head_len)
{
    struct forward *f = &x->forward;
    x->record.upstream_status = f->answer.status;
    if (forward_judge_answer(x, forward_all_sent(f)))
        return;
    f->buffer->at = head_len;
    f->phase_due_ns = 0;
    f->state = FORWARD_BODY;
    enum cache_head taken = cache_take_head(x, &f->answer);
    if (taken == CACHE_ASKS_ANEW) {
        forward_anew(x);
    } else if (taken == CACHE_DROPS) {
        drop_answer(x);
    } else if (taken == CACHE_PASSES && !headers_answer(x, &f->answer)) {
        forward_undo(x);
        forward_fail(x, REASON_OVERLOADED);
    } else {
        take_body(x, taken == CACHE_TAKES);
    }
}

/* Pass on an interim answer (RFC 9110, 15.2), but for 100, which we asked nobody for. */
static void pass_interim(struct exchange *x)
{
    struct buf b = worker_scratch(x->worker);
    if (x->forward.answer.status == 100 || x->caching.refreshes)
        return;
    headers_interim(x, &x->forward.answer, &b);
    if (!b.failed)
        front_send_interim(x, buf_slice(&b));
}

/* False: enough of them. */
static bool take_interim(struct exchange *x, size_t head_len)
{
    struct forward *f = &x->forward;
    struct forward_buffer *b = f->buffer;
    if (f->answer.status == 101 || ++f->interim > HTTP1_INTERIM_MAX)
        return false;
    pass_interim(x);
    memmove(b->bytes, b->bytes + head_len, b->have - head_len);
    b->have -= head_len;
    return true;
}

/* Parse what is in the buffer. True when there is nothing to do but to read more. */
static bool parse_head(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct forward_buffer *b = f->buffer;
    while (b->have > 0) {
        enum http1_fault fault = http1_response_parse(&f->answer, b->bytes, b->have);
        if (fault == HTTP1_MORE)
            break;
        if (fault != HTTP1_OK) {
            malformed(x, http1_fault_text(fault));
            return false;
        }
        if (f->answer.status >= 200) {
            got_head(x, f->answer.head_len);
            return false;
        }
        if (!take_interim(x, f->answer.head_len)) {
            malformed(x, "too many interim answers, or a switch of protocols that nobody asked for");
            return false;
        }
        http1_response_init(&f->answer, b->fields, FORWARD_FIELDS_MAX, x->record.method_kind == HTTP_HEAD);
    }
    if (b->have < FORWARD_BUFFER)
        return true;
    malformed(x, "head is too large");
    return false;
}

static bool get_buffer(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (f->buffer)
        return true;
    f->buffer = pool_get(&x->worker->buffers);
    if (!f->buffer)
        return false;
    f->buffer->at = f->buffer->have = 0;
    http1_response_init(&f->answer, f->buffer->fields, FORWARD_FIELDS_MAX,
                        x->record.method_kind == HTTP_HEAD);
    return true;
}

void forward_adopt_buffer(struct exchange *x, struct forward_buffer *b, size_t have)
{
    struct forward *f = &x->forward;
    forward_give_back_buffer(x);
    f->buffer = b;
    b->at = 0;
    b->have = have;
    http1_response_init(&f->answer, b->fields, FORWARD_FIELDS_MAX, x->record.method_kind == HTTP_HEAD);
    x->record.upstream_first_byte_ns = clock_now_ns();
    if (parse_head(x))
        forward_read_head(x);
}

void forward_read_head(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!get_buffer(x)) {
        forward_undo(x);
        forward_fail(x, REASON_OVERLOADED);
        return;
    }
    for (;;) {
        struct forward_buffer *b = f->buffer;
        size_t room = FORWARD_BUFFER - b->have;
        ssize_t n = upstream_recv(f->conn, b->bytes + b->have, room, &x->err);
        if (n == UPSTREAM_AGAIN && !f->send_broke)
            return;
        if (n <= 0) {
            if (n == 0)
                err_set(&x->err, ERR_UPSTREAM, "closed before the answer was complete");
            forward_broken(x, REASON_UPSTREAM_RESET);
            return;
        }
        forward_hedge_end(x);
        if (x->record.upstream_first_byte_ns == 0)
            x->record.upstream_first_byte_ns = clock_now_ns();
        b->have += (size_t)n;
        if (!parse_head(x) || ((size_t)n < room && !upstream_endpoint(f->conn)->tls && !f->send_broke))
            return;
    }
}

void forward_on_readable(void *ctx)
{
    struct exchange *x = ctx;
    struct forward *f = &x->forward;
    if (f->state == FORWARD_SENDING || f->state == FORWARD_WAITING) {
        forward_read_head(x);
    } else if (f->state == FORWARD_BODY) {
        /* The front end reads it itself, in this turn when it waits for it, else when the client has room. */
        bool waits = f->reader_waits;
        f->reader_waits = false;
        if (!waits)
            upstream_watch(f->conn, false, false);
        else if (x->caching.pumps)
            cache_pump(x);
        else
            exchange_wake(x);
    }
}

/* ---- read the body, as the front end asks for it ---- */

static ssize_t give_buffered(struct exchange *x, char *p, size_t max)
{
    struct forward_buffer *b = x->forward.buffer;
    size_t n = b->have - b->at < max ? b->have - b->at : max;
    memcpy(p, b->bytes + b->at, n);
    b->at += n;
    if (b->at == b->have)
        forward_give_back_buffer(x);
    return (ssize_t)n;
}

static ssize_t truncated(struct exchange *x, ssize_t n)
{
    if (n == 0)
        err_set(&x->err, ERR_UPSTREAM, "closed in the middle of the body");
    err_add(&x->err, "answer of %s", x->forward.addr);
    if (x->record.reason == REASON_NONE)
        x->record.reason = REASON_UPSTREAM_TRUNCATED;
    forward_undo(x);
    return FORWARD_FAILED;
}

/* N bytes of the connection lie at P: the bytes of body among them, or FORWARD_FAILED. */
static ssize_t take_read(struct exchange *x, char *p, size_t n)
{
    struct forward *f = &x->forward;
    size_t used = n;
    if (f->answer.framing == HTTP1_LENGTH) {
        f->left -= n;
        if (f->left == 0)
            finish_answer(x, !f->spoiled);
        return (ssize_t)n;
    }
    if (f->answer.framing == HTTP1_UNTIL_CLOSE)
        return (ssize_t)n;
    ssize_t payload = chunked_decode(&f->chunked, p, n, &used);
    if (payload < 0) {
        err_set(&x->err, ERR_UPSTREAM, "bad chunked coding");
        return truncated(x, -1);
    }
    if (chunked_is_done(&f->chunked))
        finish_answer(x, !f->spoiled && used == n);
    return payload;
}

static ssize_t read_body(struct exchange *x, char *p, size_t max)
{
    struct forward *f = &x->forward;
    while (!f->complete) {
        if (f->state != FORWARD_BODY)
            return FORWARD_FAILED;
        size_t want = f->answer.framing == HTTP1_LENGTH && f->left < max ? (size_t)f->left : max;
        ssize_t n = upstream_recv(f->conn, p, want, &x->err);
        if (n == UPSTREAM_AGAIN) {
            f->reader_waits = true;
            upstream_watch(f->conn, true, false);
            forward_set_phase(f, f->conf->timeout.between_bytes_ms, REASON_UPSTREAM_TIMEOUT);
            return 0;
        }
        if (n == 0 && f->answer.framing == HTTP1_UNTIL_CLOSE) {
            finish_answer(x, false);
            break;
        }
        if (n <= 0)
            return truncated(x, n);
        f->phase_due_ns = 0;
        ssize_t payload = take_read(x, p, (size_t)n);
        if (payload != 0)
            return payload;
    }
    return FORWARD_END;
}

ssize_t forward_pull(struct exchange *x, char *p, size_t max)
{
    struct forward_buffer *b = x->forward.buffer;
    return b && b->at < b->have ? give_buffered(x, p, max) : read_body(x, p, max);
}

bool forward_is_complete(const struct exchange *x)
{
    const struct forward_buffer *b = x->forward.buffer;
    return x->forward.complete && !(b && b->at < b->have);
}

ssize_t forward_read(struct exchange *x, char *p, size_t max)
{
    ssize_t n = forward_pull(x, p, max);
    if (n > 0)
        x->record.bytes_out += (uint64_t)n;
    return n;
}

struct http_fields forward_trailers(const struct exchange *x)
{
    return x->forward.answer.framing == HTTP1_CHUNKED ? chunked_trailers(&x->forward.chunked)
                                                      : (struct http_fields){0};
}
