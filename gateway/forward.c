/*
 * forward.c: see forward.h.
 *
 * The life of the state: IDLE -> CONNECTING -> SENDING -> WAITING -> BODY -> IDLE. A backend may answer while
 * the request is still on its way: then what is left of the request is read from the client and dropped, and
 * the connection is not kept.
 *
 * The functions come in the order of an exchange: choose and connect here, send in forward_send.c, read the
 * answer in forward_answer.c.
 */
#include "gateway/forward_internal.h"

#include "gateway/exchange.h"
#include "gateway/front.h"
#include "gateway/headers.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "lib/hash.h"

#define MS UINT64_C(1000000)

static const struct upstream_user forward_user;

void forward_fail(struct exchange *x, enum reason reason)
{
    exchange_fail(x, reason);
    exchange_wake(x);
}

/* ---- deadlines ---- */

static uint64_t next_due(const struct forward *f)
{
    if (f->phase_due_ns && (!f->total_due_ns || f->phase_due_ns < f->total_due_ns))
        return f->phase_due_ns;
    return f->total_due_ns;
}

static struct exchange *exchange_of(struct forward *f)
{
    return (struct exchange *)((char *)f - offsetof(struct exchange, forward));
}

/* Moving a deadline later costs nothing: the entry fires at the old time and is set again. */
static void arm(struct forward *f)
{
    uint64_t due = next_due(f);
    if (due == 0 || (wheel_is_set(&f->deadline) && f->deadline.due_ns <= due))
        return;
    wheel_set(&exchange_of(f)->worker->wheel, &f->deadline, due);
}

void forward_set_phase(struct forward *f, uint32_t ms, enum reason reason)
{
    f->phase_reason = reason;
    f->phase_due_ns = ms ? exchange_of(f)->worker->wheel.now_ns + ms * MS : 0;
    arm(f);
}

static void on_deadline(struct wheel_entry *e)
{
    struct forward *f = (struct forward *)((char *)e - offsetof(struct forward, deadline));
    struct exchange *x = exchange_of(f);
    uint64_t now = clock_now_ns();
    uint64_t due = next_due(f);
    if (due == 0 || f->state == FORWARD_IDLE)
        return;
    if (now < due) {
        arm(f);
        return;
    }
    bool total = f->total_due_ns && now >= f->total_due_ns;
    err_set(&x->err, ERR_UPSTREAM, "%s", total ? "the exchange took too long" : "no progress in time");
    err_add(&x->err, "%s", f->addr);
    forward_undo(x);
    forward_fail(x, total ? REASON_TOTAL_TIMEOUT : f->phase_reason);
}

/* ---- choose and connect ---- */

/* Of the value of the cookie NAME in a Cookie field; 0 when it is not there. */
static uint64_t cookie_hash(struct slice cookies, struct slice name)
{
    while (cookies.len > 0) {
        ptrdiff_t end = slice_find(cookies, ';');
        struct slice pair = slice_trim((struct slice){cookies.p, end < 0 ? cookies.len : (size_t)end});
        if (pair.len > name.len && slice_starts(pair, name) && pair.p[name.len] == '=')
            return hash_bytes(pair.p + name.len + 1, pair.len - name.len - 1, 0);
        cookies = end < 0 ? (struct slice){"", 0} : slice_skip(cookies, (size_t)end + 1);
    }
    return 0;
}

/* The key that BALANCE_HASH goes by. */
static uint64_t key_hash(const struct exchange *x)
{
    const struct conf_backend *b = x->forward.conf;
    const struct http_field *field;
    switch (b->hash_key) {
    case HASH_KEY_HEADER:
        field = http_find(x->fields, slice_of(b->hash_name));
        return field ? hash_bytes(field->value.p, field->value.len, 0) : 0;
    case HASH_KEY_COOKIE:
        field = http_find(x->fields, SLICE("Cookie"));
        return field ? cookie_hash(field->value, slice_of(b->hash_name)) : 0;
    default:
        return hash_bytes(x->record.client_ip.b, sizeof(x->record.client_ip.b), 0);
    }
}

static bool counts_in_flight(const struct conf_backend *b)
{
    return b->balance == BALANCE_LEAST_CONN || b->balance == BALANCE_P2C;
}

static struct endpoint *choose(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct balancer *b = x->use->balancers[exchange_route(x)->backend];
    if (!b || f->ntried == FORWARD_TRIED_MAX)
        return NULL;
    const struct balance_request r = {
        .now_ns = x->worker->wheel.now_ns,
        .random = random_next(&x->worker->random),
        .hash = f->hash,
        .tried = f->tried,
        .ntried = f->ntried,
    };
    return balancer_choose(b, &r);
}

static void uncount(struct forward *f)
{
    if (f->counted)
        atomic_fetch_sub_explicit(&f->endpoint->in_flight, 1, memory_order_relaxed);
    f->counted = false;
}

static void note_try(struct exchange *x, struct endpoint *e)
{
    struct forward *f = &x->forward;
    f->endpoint = e;
    memcpy(f->addr, e->text, sizeof(f->addr));
    x->record.upstream_addr = slice_of(f->addr);
    x->record.upstream_begin_ns = clock_now_ns();
    if (x->record.upstream_tried_ns == 0)
        x->record.upstream_tried_ns = x->record.upstream_begin_ns;
    if (counts_in_flight(f->conf)) {
        atomic_fetch_add_explicit(&e->in_flight, 1, memory_order_relaxed);
        f->counted = true;
    }
}

/* Get a connection to E. False when that failed at once; the next server may do. */
static bool connect_to(struct exchange *x, struct endpoint *e, bool fresh)
{
    struct forward *f = &x->forward;
    const struct upstream_want want = {
        .endpoint = e, .backend = f->conf, .user = &forward_user, .ctx = x, .fresh = fresh};
    note_try(x, e);
    f->state = FORWARD_CONNECTING;
    switch (upstream_acquire(x->worker->upstream, &want, &f->conn, &x->err)) {
    case UPSTREAM_READY:
        forward_start_sending(x);
        return true;
    case UPSTREAM_PENDING:
        return true;
    case UPSTREAM_FULL:
        err_set(&x->err, ERR_SELF, "max_connections to %s are busy", e->text);
        break;
    case UPSTREAM_ERROR:
        break;
    }
    uncount(f);
    f->conn = NULL;
    f->state = FORWARD_IDLE;
    return false;
}

/* Go on with the next server that was not tried. False when there is none. */
static bool try_next(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct endpoint *e;
    while ((e = choose(x)) != NULL) {
        if (f->ntried > 0)
            x->record.retries++;
        f->tried[f->ntried++] = e;
        err_clear(&x->err);
        if (connect_to(x, e, false))
            return true;
    }
    return false;
}

static void on_connect_failed(void *ctx, enum reason reason, const struct err *err)
{
    struct exchange *x = ctx;
    struct forward *f = &x->forward;
    uint64_t until = clock_now_ns() + f->conf->fail_timeout_ms * MS;
    f->conn = NULL;
    atomic_store_explicit(&f->endpoint->down_until_ns, until, memory_order_relaxed);
    uncount(f);
    f->state = FORWARD_IDLE;
    x->err = *err;
    if (!try_next(x))
        forward_fail(x, reason);
}

enum step_result forward_step(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (f->conf)
        return STEP_PARK; /* woken for something else: still under way */
    f->conf = &exchange_conf(x)->backends[exchange_route(x)->backend];
    f->deadline.expired = on_deadline;
    if (f->conf->timeout.total_ms)
        f->total_due_ns = x->record.begin_ns + f->conf->timeout.total_ms * MS;
    if (f->conf->balance == BALANCE_HASH)
        f->hash = key_hash(x);
    f->body_over = x->head.framing == HTTP1_NO_BODY;
    if (try_next(x))
        return STEP_PARK;
    if (f->ntried == 0)
        err_set(&x->err, ERR_UPSTREAM, "no address of backend %s is known", f->conf->name);
    exchange_fail(x, f->ntried == 0 ? REASON_NO_SERVER : REASON_OVERLOADED);
    return STEP_REPLY;
}

/* ---- a connection that broke ---- */

/* Whether nothing would be lost or done twice if the request were sent again from its beginning. */
static bool can_resend(const struct exchange *x)
{
    const struct forward *f = &x->forward;
    if (f->was_reset || f->body_gone || !upstream_is_reused(f->conn) || (f->buffer && f->buffer->have > 0))
        return false;
    return f->head_sent == 0 || http_method_is_idempotent(x->record.method_kind);
}

void forward_give_back_buffer(struct exchange *x)
{
    if (x->forward.buffer)
        pool_put(&x->worker->buffers, x->forward.buffer);
    x->forward.buffer = NULL;
}

void forward_drop_conn(struct exchange *x, bool reusable)
{
    struct forward *f = &x->forward;
    if (!f->conn)
        return;
    uncount(f);
    upstream_release(f->conn, reusable);
    f->conn = NULL;
}

/* The connection broke before the answer's head was complete. */
void forward_broken(struct exchange *x, enum reason reason)
{
    struct forward *f = &x->forward;
    bool again = can_resend(x);
    struct endpoint *e = f->endpoint;
    err_add(&x->err, "%s", f->addr);
    forward_drop_conn(x, false);
    forward_give_back_buffer(x);
    f->state = FORWARD_IDLE;
    if (again) {
        f->was_reset = true;
        x->record.retries++;
        forward_rewind(f);
        err_clear(&x->err);
        if (connect_to(x, e, true) || try_next(x))
            return;
        reason = REASON_CONNECT_FAILED;
    }
    forward_fail(x, reason);
}

static void on_connected(void *ctx)
{
    forward_start_sending(ctx);
}

/* ---- the end ---- */

void forward_undo(struct exchange *x)
{
    struct forward *f = &x->forward;
    wheel_cancel(&f->deadline);
    forward_drop_conn(x, false);
    forward_give_back_buffer(x);
    forward_give_back_hold(x);
    f->state = FORWARD_IDLE;
}

static const struct upstream_user forward_user = {
    .connected = on_connected,
    .failed = on_connect_failed,
    .readable = forward_on_readable,
    .writable = forward_on_writable,
};
