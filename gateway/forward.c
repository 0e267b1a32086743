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

#include "gateway/answer.h"
#include "gateway/deadline.h"
#include "gateway/exchange.h"
#include "gateway/front.h"
#include "gateway/headers.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "lib/hash.h"

#define MS UINT64_C(1000000)

static const struct upstream_user forward_user;
static bool try_next(struct exchange *x);
static void judge(struct exchange *x, unsigned way);

void forward_fail(struct exchange *x, enum reason reason)
{
    if (!cache_rescue(x, reason)) {
        cache_lost(x, reason);
        exchange_fail(x, reason);
    }
    exchange_wake(x);
}

/* No further try: the request fails. */
static void end_with(struct exchange *x, enum reason reason)
{
    judge(x, reason == REASON_TOTAL_TIMEOUT ? FAULT_TIMEOUT : 0);
    forward_undo(x);
    forward_fail(x, reason);
}

/* ---- deadlines ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

static uint64_t next_due(const struct forward *f)
{
    return sooner(f->phase_due_ns, sooner(f->try_due_ns, f->total_due_ns));
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
    if (due == 0 || (f->state == FORWARD_IDLE && !f->is_queued))
        return;
    if (now < due) {
        arm(f);
        return;
    }
    bool total = f->total_due_ns && now >= f->total_due_ns;
    if (f->is_queued) {
        end_with(x, REASON_BULKHEAD_FULL);
        return;
    }
    err_set(&x->err, ERR_UPSTREAM, "%s", total ? "the exchange took too long" : "no progress in time");
    err_add(&x->err, "%s", f->addr);
    if (total)
        end_with(x, REASON_TOTAL_TIMEOUT);
    else if (f->state == FORWARD_BODY)
        end_with(x, f->phase_reason);
    else
        forward_lost(x, FAULT_TIMEOUT,
                     f->try_due_ns && now >= f->try_due_ns ? REASON_UPSTREAM_TIMEOUT : f->phase_reason);
}

/* ---- choose and connect ---- */

/* The key that BALANCE_HASH goes by. */
static uint64_t key_hash(const struct exchange *x)
{
    const struct conf_backend *b = x->forward.conf;
    const struct http_field *field;
    struct slice cookie;
    switch (b->hash_key) {
    case HASH_KEY_HEADER:
        field = http_find(x->fields, slice_of(b->hash_name));
        return field ? hash_bytes(field->value.p, field->value.len, 0) : 0;
    case HASH_KEY_COOKIE:
        return http_cookie(x->fields, slice_of(b->hash_name), &cookie) ? hash_bytes(cookie.p, cookie.len, 0)
                                                                       : 0;
    default:
        return hash_bytes(x->record.client_ip.b, sizeof(x->record.client_ip.b), 0);
    }
}

static bool counts_in_flight(const struct conf_backend *b)
{
    return b->balance == BALANCE_LEAST_CONN || b->balance == BALANCE_P2C || b->bulkhead.per_server > 0;
}

static void tell_fitness(void *ctx, const struct endpoint *e, enum ejection_event event)
{
    const struct exchange *x = ctx;
    log_printf(x->worker->setup.log, event == EJECTION_EJECTED ? LOG_WARN : LOG_INFO,
               "backend %s: server %s %s", x->forward.conf->name, e->text, ejection_event_name(event));
}

struct endpoint *forward_choose(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct balancer *b = x->use->balancers[f->backend];
    if (!b || f->ntried == FORWARD_TRIED_MAX)
        return NULL;
    const struct balance_request r = {
        .now_ns = x->worker->wheel.now_ns,
        .random = random_next(&x->worker->random),
        .hash = f->hash,
        .tried = f->tried,
        .ntried = f->ntried,
        .per_server = f->conf->bulkhead.per_server,
        .changed = tell_fitness,
        .ctx = x,
    };
    return balancer_choose(b, &r);
}

/* ---- the breaker ---- */

/* When what is judged happened: the answer began, or just now. */
static uint64_t now_of(const struct exchange *x)
{
    uint64_t begin = x->record.upstream_begin_ns, answered = x->record.upstream_first_byte_ns;
    return answered > begin ? answered : clock_now_ns();
}

/* A permit for the next try. */
static bool admit(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!f->conf->breaker.enabled || f->permit.is_held)
        return true;
    bool admitted = breaker_admit(&f->guard->breaker, x->worker->wheel.now_ns, &f->permit);
    guard_tell(f->guard, f->permit.change, x->worker->setup.log);
    return admitted;
}

static void report(struct exchange *x, enum breaker_outcome outcome)
{
    struct forward *f = &x->forward;
    uint64_t now = now_of(x);
    const struct breaker_result result = {
        .outcome = outcome,
        .now_ns = now,
        .duration_ns = record_span_ns(x->record.upstream_begin_ns, now),
        .random = random_next(&x->worker->random),
    };
    if (!f->permit.is_held)
        return;
    struct breaker_change change = breaker_report(&f->guard->breaker, &f->permit, &result);
    guard_tell(f->guard, change, x->worker->setup.log);
    guard_share(f->guard, change, x->worker->wheel.now_ns, x->worker->setup.fleet);
}

/* What the server's fitness learns of a try. */
static void rate_server(struct exchange *x, bool has_failed)
{
    struct endpoint *e = x->forward.endpoint;
    enum ejection_event event = ejection_report(&e->fitness->pool, &e->fit, now_of(x), has_failed);
    if (event != EJECTION_NOTHING)
        tell_fitness(x, e, event);
}

/* What an adaptive bulkhead learns of it: connections that were refused say nothing of load. */
static void learn(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (exchange_route(x)->hedge.enabled)
        quantile_add(&f->guard->latency_us,
                     (uint32_t)(record_span_ns(x->record.upstream_begin_ns, now_of(x)) / 1000));
    if (f->conf->bulkhead.adaptive)
        guard_learn(f->guard, now_of(x), record_span_ns(x->record.upstream_begin_ns, now_of(x)));
}

/* The try has failed in that way; 0: in none that says anything of the backend. */
static void judge(struct exchange *x, unsigned way)
{
    struct forward *f = &x->forward;
    if (way)
        rate_server(x, true);
    if (way == FAULT_TIMEOUT)
        learn(x);
    if (f->conf->breaker.failure.ways & way)
        report(x, BREAKER_FAILURE);
    else if (f->permit.is_held)
        breaker_cancel(&f->guard->breaker, &f->permit);
}

static void uncount(struct forward *f)
{
    if (f->counted)
        atomic_fetch_sub_explicit(&f->endpoint->in_flight, 1, memory_order_relaxed);
    f->counted = false;
}

bool forward_count(const struct forward *f, struct endpoint *e)
{
    if (!counts_in_flight(f->conf))
        return false;
    atomic_fetch_add_explicit(&e->in_flight, 1, memory_order_relaxed);
    return true;
}

static void note_endpoint(struct exchange *x, struct endpoint *e)
{
    struct forward *f = &x->forward;
    f->endpoint = e;
    memcpy(f->addr, e->text, sizeof(f->addr));
    x->record.upstream_addr = slice_of(f->addr);
}

void forward_switch_conn(struct exchange *x, struct upstream_conn *conn, struct endpoint *e, bool counted)
{
    struct forward *f = &x->forward;
    note_endpoint(x, e);
    f->conn = conn;
    f->counted = counted;
    upstream_hand_over(conn, &forward_user, x);
}

static void note_try(struct exchange *x, struct endpoint *e)
{
    struct forward *f = &x->forward;
    note_endpoint(x, e);
    x->record.upstream_begin_ns = clock_now_ns();
    tracing_try(x, e);
    x->record.upstream_connected_ns = x->record.upstream_first_byte_ns = 0;
    x->record.upstream_status = 0;
    if (x->record.upstream_tried_ns == 0)
        x->record.upstream_tried_ns = x->record.upstream_begin_ns;
    f->phase_due_ns = 0;
    f->try_due_ns =
        f->conf->retry.per_try_ms ? x->record.upstream_begin_ns + f->conf->retry.per_try_ms * MS : 0;
    arm(f);
    f->counted = forward_count(f, e);
}

/* Get a connection to E. False when that failed at once; the next server may do. */
static bool connect_to(struct exchange *x, struct endpoint *e, bool fresh)
{
    struct forward *f = &x->forward;
    const struct upstream_want want = {
        .endpoint = e, .backend = f->conf, .user = &forward_user, .ctx = x, .fresh = fresh};
    note_try(x, e);
    forward_hedge_arm(x);
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

/* Go on with the next server that was not tried. False when there is none, or the breaker is open. */
static bool try_next(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct endpoint *e;
    while ((e = forward_choose(x)) != NULL) {
        if (!admit(x))
            return false;
        if (f->tries > 0)
            x->record.retries++;
        f->tries++;
        f->tried[f->ntried++] = e;
        err_clear(&x->err);
        if (connect_to(x, e, false))
            return true;
    }
    return false;
}

/* ---- another try ---- */

bool forward_may_repeat(const struct exchange *x)
{
    const struct forward *f = &x->forward;
    return !f->body_gone && (f->head_sent == 0 || f->conf->retry.non_idempotent ||
                             http_method_is_idempotent(x->record.method_kind));
}

/* Whether there may be another try, which is then counted. ELSEWHERE: only on a server that was not tried. */
static bool may_try_again(struct exchange *x, bool elsewhere)
{
    struct forward *f = &x->forward;
    if (f->tries >= f->conf->retry.attempts || !forward_may_repeat(x))
        return false;
    const struct balancer *b = x->use->balancers[f->backend];
    if (!b || f->ntried >= balancer_list(b)->n) {
        if (elsewhere)
            return false;
        f->ntried = 0;
    }
    return retry_budget_take(&f->guard->budget, x->worker->wheel.now_ns);
}

/* The request is to be sent anew: forget what came of this try. */
static void reset_try(struct exchange *x)
{
    struct forward *f = &x->forward;
    tracing_try_failed(x);
    forward_hedge_end(x);
    forward_drop_conn(x, false);
    forward_give_back_buffer(x);
    forward_rewind(f);
    f->state = FORWARD_IDLE;
    f->try_due_ns = f->phase_due_ns = 0;
}

void forward_lost(struct exchange *x, enum conf_fault way, enum reason reason)
{
    struct forward *f = &x->forward;
    bool hedged = forward_hedge_is_sent(f);
    bool again = !hedged && (f->conf->retry.on.ways & way) && may_try_again(x, way == FAULT_CONNECT);
    judge(x, way);
    if (hedged && admit(x)) {
        forward_hedge_promote(x);
        return;
    }
    reset_try(x);
    if (!again || !try_next(x))
        end_with(x, reason);
}

bool forward_judge_answer(struct exchange *x, bool sent)
{
    struct forward *f = &x->forward;
    unsigned status = f->answer.status;
    bool failed = conf_faults_have_status(&f->conf->breaker.failure, status);
    f->try_due_ns = 0;
    rate_server(x, failed);
    learn(x);
    report(x, failed ? BREAKER_FAILURE : BREAKER_SUCCESS);
    if (!sent || !conf_faults_have_status(&f->conf->retry.on, status) || !may_try_again(x, false) ||
        !admit(x))
        return false;
    reset_try(x);
    err_set(&x->err, ERR_UPSTREAM, "status %u from %s", status, f->addr);
    if (!try_next(x))
        end_with(x, REASON_CONNECT_FAILED);
    return true;
}

static void on_connect_failed(void *ctx, enum reason reason, const struct err *err)
{
    struct exchange *x = ctx;
    struct forward *f = &x->forward;
    uint64_t until = clock_now_ns() + f->conf->fail_timeout_ms * MS;
    f->conn = NULL;
    atomic_store_explicit(&f->endpoint->down_until_ns, until, memory_order_relaxed);
    uncount(f);
    x->err = *err;
    forward_lost(x, FAULT_CONNECT, reason);
}

/* ---- the bulkhead ---- */

/* True when the request is inside. Otherwise it waits in the queue, or there is no room there either. */
static bool enter(struct exchange *x)
{
    struct forward *f = &x->forward;
    const struct conf_bulkhead *conf = &f->conf->bulkhead;
    if (conf->max == 0 || f->is_inside)
        return true;
    f->is_inside = bulkhead_enter(&f->guard->bulkhead);
    if (f->is_inside) {
        forward_leave_queue(x);
        return true;
    }
    if (x->caching.refreshes) /* it can be left for later */
        return false;
    if (!f->is_queued &&
        atomic_fetch_add_explicit(&f->guard->queued, 1, memory_order_relaxed) < conf->queue) {
        forward_join_queue(x);
        (void)tracing_wait(x, "queue");
        forward_set_phase(f, conf->queue_ms, REASON_BULKHEAD_FULL);
    } else if (!f->is_queued) {
        atomic_fetch_sub_explicit(&f->guard->queued, 1, memory_order_relaxed);
    }
    return false;
}

/* ---- the step ---- */

static void prepare(struct exchange *x, size_t backend)
{
    struct forward *f = &x->forward;
    f->backend = backend;
    f->conf = &exchange_conf(x)->backends[backend];
    f->guard = x->use->snapshot->guards[backend];
    f->deadline.expired = on_deadline;
    f->total_due_ns = deadline_of(x);
    if (f->conf->balance == BALANCE_HASH)
        f->hash = key_hash(x);
    f->body_over = f->body_over || x->head.framing == HTTP1_NO_BODY;
    f->ntried = 0;
    f->tries = 0;
    f->permit = (struct breaker_permit){0};
    retry_budget_request(&f->guard->budget, x->record.begin_ns);
}

/* Why no try could be begun. */
static enum reason no_try_reason(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (f->conf->bulkhead.max > 0 && !f->is_inside)
        return REASON_BULKHEAD_FULL;
    if (f->permit.retry_after_ns > 0) {
        x->retry_after_s = (f->permit.retry_after_ns + 1000 * MS - 1) / (1000 * MS);
        return REASON_BREAKER_OPEN;
    }
    if (f->ntried > 0)
        return REASON_OVERLOADED;
    err_set(&x->err, ERR_UPSTREAM, "no address of backend %s is known", f->conf->name);
    return REASON_NO_SERVER;
}

static enum step_result begin(struct exchange *x);

/* The backend cannot be asked: the route's fallback, or the end. */
static enum step_result refuse(struct exchange *x)
{
    const struct conf_fallback *fallback = &exchange_route(x)->fallback;
    enum reason reason = no_try_reason(x);
    forward_undo(x);
    if (cache_rescue(x, reason))
        return STEP_REPLY;
    if (fallback->enabled && fallback->has_backend && x->forward.backend != fallback->backend) {
        x->retry_after_s = 0;
        prepare(x, fallback->backend);
        return begin(x);
    }
    cache_lost(x, reason);
    if (!fallback->enabled || fallback->has_backend || !answer_fallback(x, fallback, reason))
        exchange_fail(x, reason);
    return STEP_REPLY;
}

static enum step_result begin(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (!enter(x))
        return f->is_queued ? STEP_PARK : refuse(x);
    f->is_begun = true;
    return try_next(x) ? STEP_PARK : refuse(x);
}

enum step_result forward_step(struct exchange *x)
{
    struct forward *f = &x->forward;
    if (f->is_begun)
        return STEP_PARK; /* woken for something else: still under way */
    if (!f->guard)
        prepare(x, exchange_route(x)->backend);
    return begin(x);
}

void forward_anew(struct exchange *x)
{
    forward_undo(x);
    x->forward = (struct forward){.body_over = true};
    if (forward_step(x) == STEP_REPLY)
        exchange_wake(x);
}

/* ---- a connection that broke ---- */

/* Whether the connection was a kept one that the backend closed at the moment it was used again: no failure
 * of the backend's, and the request may go out on a fresh one. */
static bool was_stale(const struct exchange *x)
{
    const struct forward *f = &x->forward;
    return !f->was_reset && upstream_is_reused(f->conn) && !(f->buffer && f->buffer->have > 0) &&
           forward_may_repeat(x);
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

void forward_broken(struct exchange *x, enum reason reason)
{
    struct forward *f = &x->forward;
    err_add(&x->err, "%s", f->addr);
    if (!was_stale(x)) {
        forward_lost(x, FAULT_RESET, reason);
        return;
    }
    struct endpoint *e = endpoint_get(f->endpoint);
    f->was_reset = true;
    x->record.retries++;
    reset_try(x);
    err_clear(&x->err);
    if (!connect_to(x, e, true) && !try_next(x))
        end_with(x, REASON_CONNECT_FAILED);
    endpoint_put(e);
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
    if (f->permit.is_held)
        breaker_cancel(&f->guard->breaker, &f->permit);
    forward_hedge_end(x);
    forward_drop_conn(x, false);
    forward_give_back_buffer(x);
    forward_give_back_hold(x);
    forward_leave_queue(x);
    if (f->is_inside)
        bulkhead_leave(&f->guard->bulkhead);
    f->is_inside = false;
    f->state = FORWARD_IDLE;
}

static const struct upstream_user forward_user = {
    .connected = on_connected,
    .failed = on_connect_failed,
    .readable = forward_on_readable,
    .writable = forward_on_writable,
};
