/*
 * subrequest.c: see subrequest.h.
 *
 * One buffer takes head and body; a chunked body is decoded where it lies, so that what is at hand is always
 * the head, then the body so far.
 */
#include "gateway/subrequest.h"

#include "gateway/worker.h"
#include "lib/clock.h"

#define MS       UINT64_C(1000000)
#define TRIES    3
#define TRAILERS 1024 /* bytes; they are of no use here */

struct subrequest {
    struct exchange *x;
    struct subrequest_ask ask;
    const struct conf_backend *conf;
    struct guard *guard;
    struct breaker_permit permit;
    struct upstream_conn *conn;
    struct endpoint *endpoint; /* lent by the connection */
    struct endpoint *tried[TRIES];
    size_t ntried, sent;
    struct forward_buffer *buffer;
    struct http1_response answer;
    struct chunked chunked;
    char trailers[TRAILERS];
    unsigned interim;
    bool has_head, is_over, is_good;
    uint64_t begin_ns;
    struct wheel_entry deadline;
};

static const struct upstream_user user;

/* ---- the end ---- */

static void report(struct subrequest *s, bool has_failed)
{
    uint64_t now = clock_now_ns();
    const struct breaker_result result = {
        .outcome = has_failed ? BREAKER_FAILURE : BREAKER_SUCCESS,
        .now_ns = now,
        .duration_ns = now - s->begin_ns,
        .random = random_next(&s->x->worker->random),
    };
    if (s->endpoint)
        ejection_report(&s->endpoint->fitness->pool, &s->endpoint->fit, now, has_failed);
    if (!s->permit.is_held)
        return;
    struct breaker_change change = breaker_report(&s->guard->breaker, &s->permit, &result);
    guard_tell(s->guard, change, s->x->worker->setup.log);
    guard_share(s->guard, change, s->x->worker->wheel.now_ns, s->x->worker->setup.fleet);
}

static void drop_conn(struct subrequest *s, bool reusable)
{
    if (s->conn)
        upstream_release(s->conn, reusable);
    s->conn = NULL;
}

static void finish(struct subrequest *s, bool good)
{
    s->is_over = true;
    s->is_good = good;
    wheel_cancel(&s->deadline);
    exchange_wake(s->x);
}

static void fail(struct subrequest *s, const char *why)
{
    err_set(&s->x->err, ERR_UPSTREAM, "%s", why);
    err_add(&s->x->err, "ask backend %s", s->conf->name);
    drop_conn(s, false);
    report(s, true);
    finish(s, false);
}

static void complete(struct subrequest *s, bool clean)
{
    drop_conn(s, clean && s->answer.keep_alive);
    report(s, conf_faults_have_status(&s->conf->breaker.failure, s->answer.status));
    finish(s, true);
}

static void on_deadline(struct wheel_entry *e)
{
    fail((struct subrequest *)((char *)e - offsetof(struct subrequest, deadline)), "no answer in time");
}

/* ---- the answer ---- */

static void begin_head(struct subrequest *s)
{
    http1_response_init(&s->answer, s->buffer->fields, FORWARD_FIELDS_MAX, false);
}

/* Bytes of the body from AT on have come. */
static void take_body(struct subrequest *s, size_t at)
{
    struct forward_buffer *b = s->buffer;
    size_t used, got = b->have - s->answer.head_len;
    switch (s->answer.framing) {
    case HTTP1_NO_BODY:
        complete(s, got == 0);
        return;
    case HTTP1_LENGTH:
        if (got >= s->answer.length)
            complete(s, got == s->answer.length);
        return;
    case HTTP1_CHUNKED: {
        size_t have = b->have;
        ssize_t n = chunked_decode(&s->chunked, b->bytes + at, have - at, &used);
        if (n < 0) {
            fail(s, chunked_fault_text(s->chunked.fault));
            return;
        }
        b->have = at + (size_t)n;
        if (chunked_is_done(&s->chunked))
            complete(s, at + used == have);
        return;
    }
    case HTTP1_UNTIL_CLOSE:
        return;
    }
}

/* The head, as far as it has come. */
static void take_head(struct subrequest *s)
{
    struct forward_buffer *b = s->buffer;
    while (b->have > 0 && !s->has_head) {
        enum http1_fault fault = http1_response_parse(&s->answer, b->bytes, b->have);
        if (fault == HTTP1_MORE)
            return;
        if (fault != HTTP1_OK || s->answer.status == 101 || s->interim > HTTP1_INTERIM_MAX) {
            fail(s, fault != HTTP1_OK ? http1_fault_text(fault) : "too many interim answers");
            return;
        }
        s->has_head = s->answer.status >= 200;
        if (s->has_head)
            break;
        s->interim++;
        b->have -= s->answer.head_len;
        memmove(b->bytes, b->bytes + s->answer.head_len, b->have);
        begin_head(s);
    }
    if (s->has_head)
        take_body(s, s->answer.head_len);
}

static void on_end(struct subrequest *s)
{
    if (s->has_head && s->answer.framing == HTTP1_UNTIL_CLOSE)
        complete(s, false);
    else
        fail(s, "closed before the answer was complete");
}

static void on_readable(void *ctx)
{
    struct subrequest *s = ctx;
    struct forward_buffer *b = s->buffer;
    while (!s->is_over) {
        if (b->have == FORWARD_BUFFER) {
            fail(s, "the answer is too large");
            return;
        }
        size_t at = b->have;
        ssize_t n = upstream_recv(s->conn, b->bytes + at, FORWARD_BUFFER - at, &s->x->err);
        if (n == UPSTREAM_AGAIN)
            return;
        if (n <= 0) {
            on_end(s);
            return;
        }
        b->have += (size_t)n;
        if (s->has_head)
            take_body(s, at);
        else
            take_head(s);
    }
}

/* ---- the request ---- */

static void send_rest(struct subrequest *s)
{
    const struct slice rest = slice_skip(s->ask.head, s->sent);
    struct iovec iov = {(void *)(uintptr_t)rest.p, rest.len};
    ssize_t n = upstream_send(s->conn, &iov, 1, &s->x->err);
    if (n < 0) {
        fail(s, "the request cannot be sent");
        return;
    }
    s->sent += (size_t)n;
    upstream_watch(s->conn, true, s->sent < s->ask.head.len);
}

static void on_writable(void *ctx)
{
    struct subrequest *s = ctx;
    if (s->sent < s->ask.head.len)
        send_rest(s);
}

static struct endpoint *choose(struct subrequest *s)
{
    struct balancer *b = s->x->use->balancers[s->ask.backend];
    const struct balance_request r = {
        .now_ns = s->x->worker->wheel.now_ns,
        .random = random_next(&s->x->worker->random),
        .hash = random_next(&s->x->worker->random),
        .tried = s->tried,
        .ntried = s->ntried,
    };
    return b && s->ntried < TRIES ? balancer_choose(b, &r) : NULL;
}

/* False when there is no server left. */
static bool try_next(struct subrequest *s)
{
    struct endpoint *e;
    while ((e = choose(s)) != NULL) {
        const struct upstream_want want = {.endpoint = e, .backend = s->conf, .user = &user, .ctx = s};
        s->tried[s->ntried++] = s->endpoint = e;
        err_clear(&s->x->err);
        switch (upstream_acquire(s->x->worker->upstream, &want, &s->conn, &s->x->err)) {
        case UPSTREAM_READY:
            send_rest(s);
            return true;
        case UPSTREAM_PENDING:
            return true;
        case UPSTREAM_FULL:
        case UPSTREAM_ERROR:
            break;
        }
        s->conn = NULL;
    }
    s->endpoint = NULL;
    err_set(&s->x->err, ERR_UPSTREAM, "no server of backend %s can be asked", s->conf->name);
    return false;
}

static void on_connected(void *ctx)
{
    send_rest(ctx);
}

static void on_connect_failed(void *ctx, enum reason reason, const struct err *err)
{
    struct subrequest *s = ctx;
    (void)reason;
    s->conn = NULL;
    s->x->err = *err;
    atomic_store_explicit(&s->endpoint->down_until_ns, clock_now_ns() + s->conf->fail_timeout_ms * MS,
                          memory_order_relaxed);
    if (!try_next(s))
        fail(s, "no server is left");
}

/* ---- life ---- */

static bool begin(struct subrequest *s)
{
    struct worker *w = s->x->worker;
    s->buffer = pool_get(&w->buffers);
    if (!s->buffer) {
        err_set(&s->x->err, ERR_SELF, "out of memory");
        return false;
    }
    s->buffer->have = 0;
    begin_head(s);
    chunked_init(&s->chunked, s->trailers, sizeof(s->trailers));
    if (s->conf->breaker.enabled) {
        bool admitted = breaker_admit(&s->guard->breaker, w->wheel.now_ns, &s->permit);
        guard_tell(s->guard, s->permit.change, w->setup.log);
        if (!admitted) {
            err_set(&s->x->err, ERR_UPSTREAM, "the breaker of backend %s is open", s->conf->name);
            return false;
        }
    }
    s->deadline.expired = on_deadline;
    wheel_set(&w->wheel, &s->deadline, s->begin_ns + s->ask.timeout_ms * MS);
    return try_next(s);
}

struct subrequest *subrequest_start(struct exchange *x, const struct subrequest_ask *ask)
{
    struct subrequest *s = arena_alloc(&x->arena, sizeof(*s));
    if (!s) {
        err_set(&x->err, ERR_SELF, "out of memory");
        return NULL;
    }
    const struct subrequest start = {
        .x = x,
        .ask = *ask,
        .conf = &exchange_conf(x)->backends[ask->backend],
        .guard = x->use->snapshot->guards[ask->backend],
        .begin_ns = clock_now_ns(),
    };
    *s = start;
    if (begin(s))
        return s;
    subrequest_end(s);
    return NULL;
}

bool subrequest_is_over(const struct subrequest *s)
{
    return s->is_over;
}

bool subrequest_result(const struct subrequest *s, struct subrequest_answer *answer)
{
    if (!s->is_good)
        return false;
    const struct forward_buffer *b = s->buffer;
    size_t len = b->have - s->answer.head_len;
    if (s->answer.framing == HTTP1_LENGTH && len > s->answer.length)
        len = s->answer.length;
    if (s->answer.framing == HTTP1_NO_BODY)
        len = 0;
    *answer =
        (struct subrequest_answer){s->answer.status, s->answer.fields, {b->bytes + s->answer.head_len, len}};
    return true;
}

void subrequest_end(struct subrequest *s)
{
    if (!s)
        return;
    wheel_cancel(&s->deadline);
    if (s->permit.is_held)
        breaker_cancel(&s->guard->breaker, &s->permit);
    drop_conn(s, false);
    if (s->buffer)
        pool_put(&s->x->worker->buffers, s->buffer);
    s->buffer = NULL;
}

static const struct upstream_user user = {
    .connected = on_connected,
    .failed = on_connect_failed,
    .readable = on_readable,
    .writable = on_writable,
};
