/*
 * exchange.c: the engine that walks a request along its path, and its one way out.
 *
 * Invariants: `step` only grows; undo is called once for each row that was begun; a reply, once ready, is not
 * replaced.
 */
#include "gateway/exchange.h"

#include "gateway/answer.h"
#include "gateway/front.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define STATUS_CLIENT_GONE 499 /* in the log, when nobody was there to be answered */

struct exchange *exchange_new(struct worker *w, struct client *c, struct slice target)
{
    struct exchange *x = pool_get(&w->exchanges);
    if (!x)
        return NULL;
    memset(x, 0, offsetof(struct exchange, err));
    err_clear(&x->err);
    x->match.route = NULL;
    arena_init(&x->arena, x->arena_space, sizeof(x->arena_space), EXCHANGE_ARENA_MAX);
    x->worker = w;
    x->client = c;
    x->use = w->current;
    x->use->refs++;
    x->record.begin_ns = clock_now_ns();
    x->record.wall_us = clock_wall_us();
    x->fields.at = x->field_space;
    bool ok = true;
    x->target = arena_slice(&x->arena, target, &ok);
    if (!ok) {
        snapshot_use_put(x->use);
        pool_put(&w->exchanges, x);
        return NULL;
    }
    atomic_store_explicit(&w->in_flight, w->in_flight + 1, memory_order_relaxed);
    return x;
}

const struct conf *exchange_conf(const struct exchange *x)
{
    return x->use->snapshot->conf;
}

const struct conf_route *exchange_route(const struct exchange *x)
{
    return x->match.route;
}

void exchange_run(struct exchange *x)
{
    x->parked = false;
    if (x->tracing.wait)
        tracing_resume(x);
    while (!x->reply.ready && !x->aborted) {
        CHECK(x->step < request_path_length);
        const struct step *s = &request_path[x->step];
        if (x->record.is_sampled)
            tracing_enter(x, s->name);
        enum step_result r = s->run(x);
        if (r == STEP_PARK) {
            x->parked = !x->reply.ready && !x->aborted;
            tracing_park(x, s->name);
            return;
        }
        if (x->tracing.step)
            tracing_leave(x);
        if (r == STEP_REPLY)
            x->reply.ready = true;
        else
            x->step++;
    }
}

void exchange_wake(struct exchange *x)
{
    if (x->is_orphan)
        x->is_ripe = x->worker->has_ripe = true;
    else
        front_wake(x);
}

bool reply_add(struct exchange *x, struct slice name, struct slice value)
{
    struct reply *r = &x->reply;
    if (r->nfields == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 24;
        struct http_field *more = arena_alloc(&x->arena, cap * sizeof(*more));
        if (!more)
            return false;
        if (r->nfields > 0)
            memcpy(more, r->fields, r->nfields * sizeof(*more));
        r->fields = more;
        r->cap = cap;
    }
    r->fields[r->nfields++] = (struct http_field){name, value};
    return true;
}

void exchange_decorate(struct exchange *x, struct slice name, struct slice value)
{
    if (x->nextra < EXCHANGE_EXTRA && value.len > 0)
        x->extra[x->nextra++] = (struct http_field){name, value};
}

void exchange_fail(struct exchange *x, enum reason reason)
{
    if (x->record.reason == REASON_NONE)
        x->record.reason = reason;
    if (x->reply.ready || reason == REASON_CLIENT_GONE) {
        x->aborted = true;
        return;
    }
    if (answer_problem(x, reason))
        x->reply.ready = true;
    else
        x->aborted = true;
}

static void forget_upstream(struct record *r)
{
    r->upstream_addr = (struct slice){"", 0};
    r->upstream_status = r->retries = 0;
    r->upstream_tried_ns = r->upstream_begin_ns = r->upstream_connected_ns = 0;
    r->upstream_first_byte_ns = r->upstream_end_ns = 0;
}

/* What the record does not yet know. The order of the fields is that of the log line. */
static void complete_record(struct exchange *x, bool complete)
{
    struct record *r = &x->record;
    r->end_ns = clock_now_ns();
    r->host = x->host;
    r->path = x->path.p ? x->path : x->target;
    r->query = x->uri.query;
    r->bytes_in = x->body_in;
    r->err = err_is_set(&x->err) ? &x->err : NULL;
    if (x->caching.refreshes) /* what the backend is asked in the background is not the client's */
        forget_upstream(r);
    r->cache = x->caching.status;
    if (x->reply.body == REPLY_BYTES && complete)
        r->bytes_out = x->reply.bytes.len;
    if (!complete && r->reason == REASON_NONE)
        r->reason = REASON_CLIENT_GONE;
    if (x->match.route) {
        r->route = slice_of(x->match.route->name);
        r->metrics_route = x->use->snapshot->routes[x->match.index];
    }
    if (x->forward.conf) {
        r->backend = slice_of(x->forward.conf->name);
        r->metrics_backend = x->use->snapshot->backends[x->forward.backend];
    }
    r->status = front_has_replied(x) ? x->reply.status : STATUS_CLIENT_GONE;
}

static bool outlives_client(const struct step *s)
{
    return s->run == cache_step || s->run == forward_step;
}

static void undo_steps(struct exchange *x, bool of_client, bool of_cache)
{
    for (size_t i = x->step + 1; i-- > 0;)
        if (i < request_path_length && request_path[i].undo &&
            (outlives_client(&request_path[i]) ? of_cache : of_client))
            request_path[i].undo(x);
}

static void release(struct exchange *x)
{
    struct worker *w = x->worker;
    snapshot_use_put(x->use);
    arena_fini(&x->arena);
    pool_put(&w->exchanges, x);
    atomic_store_explicit(&w->in_flight, w->in_flight - 1, memory_order_relaxed);
}

/* ---- orphans ---- */

static void adopt(struct exchange *x)
{
    struct worker *w = x->worker;
    x->is_orphan = true;
    x->aborted = false;
    x->client = NULL;
    x->orphan_next = w->orphans;
    if (w->orphans)
        w->orphans->orphan_prev = x;
    w->orphans = x;
    cache_detach(x);
}

static void end_orphan(struct exchange *x)
{
    if (x->orphan_prev)
        x->orphan_prev->orphan_next = x->orphan_next;
    else
        x->worker->orphans = x->orphan_next;
    if (x->orphan_next)
        x->orphan_next->orphan_prev = x->orphan_prev;
    undo_steps(x, false, true);
    tracing_finish_orphan(x);
    release(x);
}

void exchange_turn_orphans(struct worker *w)
{
    if (!w->has_ripe)
        return;
    w->has_ripe = false;
    for (struct exchange *x = w->orphans, *next; x; x = next) {
        next = x->orphan_next;
        if (!x->is_ripe)
            continue;
        x->is_ripe = false;
        if (x->parked && !x->aborted)
            exchange_run(x);
        if (x->aborted || cache_is_over(x))
            end_orphan(x);
    }
}

void exchange_end_orphans(struct worker *w)
{
    while (w->orphans)
        end_orphan(w->orphans);
}

/* ---- the end ---- */

void exchange_end(struct exchange *x, bool complete)
{
    bool goes_on = cache_goes_on(x) && cache_own_request(x);
    undo_steps(x, true, !goes_on);
    complete_record(x, complete);
    tracing_finish(x, goes_on);
    worker_record(x->worker, &x->record, x->use->snapshot->conf);
    if (goes_on)
        adopt(x);
    else
        release(x);
}
