/*
 * forward_hedge.c: the part of forward.h that sends a request to a second server when the first one is late.
 *
 * For requests without a body that may be sent twice, on routes that ask for it. When no byte of the answer
 * has come after `after` (the 95th percentile of the backend's recent latencies, unless the conf says), and
 * the retry budget has one left, the same request goes to a server that was not tried. Whichever answers
 * first, with at least one byte, is the one that is read; the connection of the other is dropped, and its
 * server is neither praised nor blamed.
 */
#include "gateway/forward_internal.h"

#include "gateway/headers.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

static const struct upstream_user hedge_user;

static struct exchange *exchange_of(struct wheel_entry *timer)
{
    struct forward_hedge *h = (struct forward_hedge *)((char *)timer - offsetof(struct forward_hedge, timer));
    struct forward *f = (struct forward *)((char *)h - offsetof(struct forward, hedge));
    return (struct exchange *)((char *)f - offsetof(struct exchange, forward));
}

void forward_hedge_end(struct exchange *x)
{
    struct forward_hedge *h = &x->forward.hedge;
    wheel_cancel(&h->timer);
    tracing_hedge_lost(x);
    if (h->counted)
        atomic_fetch_sub_explicit(&h->endpoint->in_flight, 1, memory_order_relaxed);
    h->counted = false;
    if (h->conn)
        upstream_release(h->conn, false);
    h->conn = NULL;
}

/* ---- the second request ---- */

static void send_rest(struct exchange *x)
{
    struct err ignored = {0};
    struct forward_hedge *h = &x->forward.hedge;
    const struct slice rest = slice_skip(h->head, h->sent);
    const struct iovec iov = {(void *)(uintptr_t)rest.p, rest.len};
    ssize_t n = upstream_send(h->conn, &iov, 1, &ignored);
    if (n < 0) {
        forward_hedge_end(x);
        return;
    }
    h->sent += (size_t)n;
    upstream_watch(h->conn, true, h->sent < h->head.len);
}

static void on_connected(void *ctx)
{
    struct exchange *x = ctx;
    struct forward_hedge *h = &x->forward.hedge;
    h->head = headers_request(x, h->endpoint->host_field, x->tracing.hedge.span);
    h->sent = 0;
    if (h->head.len > 0)
        send_rest(x);
    else
        forward_hedge_end(x);
}

static void on_failed(void *ctx, enum reason reason, const struct err *err)
{
    struct exchange *x = ctx;
    struct forward_hedge *h = &x->forward.hedge;
    (void)reason, (void)err;
    uint64_t until = clock_now_ns() + x->forward.conf->fail_timeout_ms * MS;
    atomic_store_explicit(&h->endpoint->down_until_ns, until, memory_order_relaxed);
    h->conn = NULL;
    forward_hedge_end(x);
}

static void on_writable(void *ctx)
{
    struct exchange *x = ctx;
    if (x->forward.hedge.sent < x->forward.hedge.head.len)
        send_rest(x);
}

/* ---- who is first ---- */

/* From now on it is the request's only connection. */
static void take_over(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct forward_hedge *h = &f->hedge;
    struct upstream_conn *conn = h->conn;
    h->conn = NULL;
    tracing_hedge_won(x);
    forward_drop_conn(x, false);
    forward_switch_conn(x, conn, h->endpoint, h->counted);
    h->counted = false;
    f->head = h->head;
    f->head_sent = h->head.len;
    f->state = FORWARD_WAITING;
    x->record.upstream_begin_ns = h->begin_ns;
    x->record.upstream_connected_ns = h->begin_ns;
}

bool forward_hedge_is_sent(const struct forward *f)
{
    return f->hedge.conn && f->hedge.head.len > 0 && f->hedge.sent == f->hedge.head.len;
}

void forward_hedge_promote(struct exchange *x)
{
    tracing_try_failed(x);
    forward_give_back_buffer(x);
    take_over(x);
    err_clear(&x->err);
    forward_set_phase(&x->forward, x->forward.conf->timeout.first_byte_ms, REASON_UPSTREAM_TIMEOUT);
}

/* Something came: bytes of an answer, or the end of the connection, which says nothing. */
static void on_readable(void *ctx)
{
    struct err ignored = {0};
    struct exchange *x = ctx;
    struct forward_hedge *h = &x->forward.hedge;
    struct forward_buffer *b = pool_get(&x->worker->buffers);
    ssize_t n = b ? upstream_recv(h->conn, b->bytes, FORWARD_BUFFER, &ignored) : UPSTREAM_BROKEN;
    if (n > 0 && forward_hedge_is_sent(&x->forward)) {
        take_over(x);
        forward_adopt_buffer(x, b, (size_t)n);
        return;
    }
    if (b)
        pool_put(&x->worker->buffers, b);
    if (n != UPSTREAM_AGAIN)
        forward_hedge_end(x);
}

static const struct upstream_user hedge_user = {
    .connected = on_connected,
    .failed = on_failed,
    .readable = on_readable,
    .writable = on_writable,
};

/* ---- when ---- */

static bool is_late(const struct forward *f)
{
    return (f->state == FORWARD_CONNECTING || f->state == FORWARD_SENDING || f->state == FORWARD_WAITING) &&
           !(f->buffer && f->buffer->have > 0) && !f->permit.is_probe;
}

static void on_late(struct wheel_entry *e)
{
    struct err ignored = {0};
    struct exchange *x = exchange_of(e);
    struct forward *f = &x->forward;
    struct forward_hedge *h = &f->hedge;
    h->endpoint = is_late(f) ? forward_choose(x) : NULL;
    if (!h->endpoint || !retry_budget_take(&f->guard->budget, x->worker->wheel.now_ns))
        return;
    const struct upstream_want want = {
        .endpoint = h->endpoint, .backend = f->conf, .user = &hedge_user, .ctx = x};
    f->tried[f->ntried++] = h->endpoint;
    x->record.retries++;
    h->begin_ns = clock_now_ns();
    tracing_hedge(x, h->endpoint);
    h->counted = forward_count(f, h->endpoint);
    switch (upstream_acquire(x->worker->upstream, &want, &h->conn, &ignored)) {
    case UPSTREAM_READY:
        on_connected(x);
        break;
    case UPSTREAM_PENDING:
        break;
    case UPSTREAM_FULL:
    case UPSTREAM_ERROR:
        h->conn = NULL;
        forward_hedge_end(x);
        break;
    }
}

void forward_hedge_arm(struct exchange *x)
{
    struct forward *f = &x->forward;
    const struct conf_hedge *conf = &exchange_route(x)->hedge;
    const struct balancer *b = x->use->balancers[f->backend];
    if (!conf->enabled || f->tries > 1 || x->head.framing != HTTP1_NO_BODY ||
        !http_method_is_idempotent(x->record.method_kind) || !b || balancer_list(b)->n < 2)
        return;
    uint64_t after = conf->after_ms ? conf->after_ms * MS : quantile_get(&f->guard->latency_us) * US;
    if (after == 0)
        return; /* nothing is known yet */
    f->hedge.timer.expired = on_late;
    worker_set_soon(x->worker, &f->hedge.timer, clock_now_ns() + (after > MS ? after : MS));
}
