/*
 * worker.c: see worker.h.
 *
 * A turn of the loop: events mark what there is to do (libmicrohttpd is poked, libcurl has messages,
 * exchanges are woken), and turn() does it, before the loop waits again. Nothing is called back from inside a
 * call.
 */
#include "gateway/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/cache_share.h"
#include "gateway/fleet.h"
#include "gateway/limit_shared.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/redis.h"
#include "lib/clock.h"

#define TICK_NS        (UINT64_C(1000000) * WORKER_TICK_MS)
#define MS             UINT64_C(1000000)
#define SOON_NS        UINT64_C(1000000)
#define SOON_IDLE      64 /* ticks between looks whether the short wheel is empty */
#define TURN_ROUNDS    8
#define MAILBOX_MAX    65536
#define EXCHANGES_KEPT 1024
#define BUFFERS_KEPT   256
#define HOLDS_KEPT     64
#define EXCHANGES_MAX  65536 /* requests at once */

struct worker_message {
    struct message base; /* first */
    struct snapshot *snapshot;
    size_t backend; /* WORKER_ADDRESSES: of this one */
    struct endpoint_list *list;
    struct endpoint_list **lists; /* WORKER_SNAPSHOT: of all; owned */
};

/* ---- messages ---- */

static void message_free(struct message *m)
{
    struct worker_message *wm = (struct worker_message *)m;
    if (wm->list)
        endpoint_list_put(wm->list);
    for (size_t i = 0; wm->lists && i < wm->snapshot->conf->nbackends; i++)
        if (wm->lists[i])
            endpoint_list_put(wm->lists[i]);
    free(wm->lists);
    if (wm->snapshot)
        snapshot_put(wm->snapshot);
    free(wm);
}

static bool post(struct worker *w, const struct worker_message *what)
{
    struct worker_message *m = malloc(sizeof(*m));
    if (m) {
        *m = *what;
        m->base.free = message_free;
        if (m->snapshot)
            snapshot_get(m->snapshot);
        if (m->list)
            endpoint_list_get(m->list);
        if (mailbox_send(w->mailbox, &m->base))
            return true;
        message_free(&m->base);
    }
    return false;
}

bool worker_post_snapshot(struct worker *w, struct snapshot *s, struct endpoint_list *const *lists)
{
    size_t n = s->conf->nbackends;
    struct endpoint_list **copy = calloc(n + 1, sizeof(*copy));
    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++)
        copy[i] = lists[i] ? endpoint_list_get(lists[i]) : NULL;
    return post(w, &(struct worker_message){.base.type = WORKER_SNAPSHOT, .snapshot = s, .lists = copy});
}

bool worker_post_addresses(struct worker *w, struct snapshot *s, size_t backend, struct endpoint_list *list)
{
    return post(w, &(struct worker_message){
                       .base.type = WORKER_ADDRESSES, .snapshot = s, .backend = backend, .list = list});
}

bool worker_post_drain(struct worker *w)
{
    return post(w, &(struct worker_message){.base.type = WORKER_DRAIN});
}

bool worker_post_call(struct worker *w, struct worker_call *call)
{
    call->base.type = WORKER_CALL;
    return mailbox_send(w->mailbox, &call->base);
}

struct address_call {
    struct worker_call call; /* first */
    size_t node;
    char text[64];
};

static void run_address(struct worker *w, struct worker_call *call)
{
    const struct address_call *a = (const struct address_call *)(void *)call;
    if (w->redis)
        redis_set_address(w->redis, a->node, a->text);
    free(call);
}

static void free_address(struct message *m)
{
    free(m);
}

bool worker_post_redis_address(struct worker *w, size_t node, const char *address)
{
    struct address_call *a = calloc(1, sizeof(*a));
    if (!a)
        return false;
    a->call = (struct worker_call){.base.free = free_address, .run = run_address};
    a->node = node;
    snprintf(a->text, sizeof(a->text), "%s", address);
    if (worker_post_call(w, &a->call))
        return true;
    free(a);
    return false;
}

struct filters_call {
    struct worker_call call; /* first */
    struct tail_filters *filters;
};

static void run_filters(struct worker *w, struct worker_call *call)
{
    tail_stream_take(w->tail, ((const struct filters_call *)(void *)call)->filters);
    free(call);
}

static void free_filters(struct message *m)
{
    tail_filters_put(((const struct filters_call *)(void *)m)->filters);
    free(m);
}

void worker_post_filters(struct worker *w, struct tail_filters *filters)
{
    struct filters_call *f = calloc(1, sizeof(*f));
    if (f) {
        f->call = (struct worker_call){.base.free = free_filters, .run = run_filters};
        f->filters = tail_filters_get(filters);
        if (worker_post_call(w, &f->call))
            return;
        free_filters(&f->call.base);
    }
    log_printf(w->setup.log, LOG_ERROR, "worker %u does not take who looks on", w->setup.index);
}

static struct snapshot_use *use_with(struct snapshot *s, struct endpoint_list *const *lists)
{
    struct snapshot_use *use = snapshot_use_new(s);
    for (size_t i = 0; use && i < s->conf->nbackends; i++)
        if (lists[i])
            snapshot_use_set(use, i, lists[i]);
    return use;
}

static void take_snapshot(struct worker *w, const struct worker_message *m)
{
    struct snapshot_use *use = use_with(m->snapshot, m->lists);
    if (!use)
        return;
    snapshot_use_put(w->current);
    w->current = use;
    front_configure(w->front, m->snapshot->conf);
    shedder_init(&w->shedder, m->snapshot->conf->shed_lag_ms * MS);
    upstream_forget_retired(w->upstream);
}

/* Addresses for a snapshot that is no longer the current one come too late to matter. */
static void take_addresses(struct worker *w, const struct worker_message *m)
{
    if (w->current->snapshot == m->snapshot)
        snapshot_use_set(w->current, m->backend, m->list);
    upstream_forget_retired(w->upstream);
}

static void on_message(void *ctx, struct message *m)
{
    struct worker *w = ctx;
    const struct worker_message *wm = (struct worker_message *)m;
    switch ((enum worker_message_type)m->type) {
    case WORKER_SNAPSHOT:
        take_snapshot(w, wm);
        break;
    case WORKER_ADDRESSES:
        take_addresses(w, wm);
        break;
    case WORKER_DRAIN:
        w->draining = true;
        front_drain(w->front);
        break;
    case WORKER_STOP:
        w->stopping = true;
        break;
    case WORKER_CALL: {
        struct worker_call *call = (struct worker_call *)m;
        call->run(w, call);
        return;
    }
    }
    message_free(m);
}

static void on_mail(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct worker *w = p->data;
    mailbox_drain(w->mailbox, on_message, w, 256);
}

/* ---- a turn ---- */

/* The loop may not wait while there is work: an idle handle keeps it turning. */
static void on_busy(uv_idle_t *i)
{
    (void)i;
}

static void set_busy(struct worker *w, bool busy)
{
    bool is_busy = uv_is_active((uv_handle_t *)&w->busy);
    if (busy && !is_busy)
        uv_idle_start(&w->busy, on_busy);
    else if (!busy && is_busy)
        uv_idle_stop(&w->busy);
}

/* Close everything; the loop ends when the last handle is closed. */
static void close_all(struct worker *w)
{
    front_close(w->front);
    exchange_end_orphans(w);
    limit_shared_leave(w);
    upstream_close(w->upstream);
    redis_free(w->redis);
    w->redis = NULL;
    set_busy(w, false);
    uv_close((uv_handle_t *)&w->prepare, NULL);
    uv_close((uv_handle_t *)&w->check, NULL);
    uv_close((uv_handle_t *)&w->busy, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->soon_tick, NULL);
    uv_close((uv_handle_t *)&w->mail, NULL);
}

/* Do what there is to do: report connections, let libmicrohttpd work, and again, for each makes work for the
 * other. */
static void turn(struct worker *w)
{
    bool more = true;
    wheel_tell(&w->wheel, clock_now_ns());
    for (int i = 0; more && i < TURN_ROUNDS; i++) {
        upstream_run_pending(w->upstream);
        forward_wake_queue(w);
        concurrency_wake(w);
        more = front_turn(w->front);
        exchange_turn_orphans(w);
        forward_send_marked(w);
    }
    if (w->draining && front_is_empty(w->front))
        atomic_store_explicit(&w->is_empty, true, memory_order_release);
    if (w->stopping)
        close_all(w);
    else
        set_busy(w, front_is_poked(w->front) || upstream_has_pending(w->upstream));
}

static void on_prepare(uv_prepare_t *p)
{
    turn(p->data);
}

static void on_check(uv_check_t *c)
{
    struct worker *w = c->data;
    atomic_store_explicit(&w->beat_ns, clock_now_ns(), memory_order_relaxed);
    turn(w);
}

/* How late this tick is says how late everything is. */
static void look_at_lag(struct worker *w, uint64_t now)
{
    unsigned before = w->shedder.level;
    uint64_t due = w->ticked_ns + TICK_NS;
    uint64_t lag = now > due ? now - due : 0;
    shedder_observe(&w->shedder, now, lag);
    atomic_store_explicit(&w->lag_ns, lag, memory_order_relaxed);
    w->ticked_ns = now;
    if (w->shedder.level != before)
        log_printf(w->setup.log, w->shedder.level > before ? LOG_WARN : LOG_INFO,
                   "worker %u: its loop is late by %u ms, %u priorities are refused", w->setup.index,
                   (unsigned)(w->shedder.lag_ns / 1000000), w->shedder.level);
}

void worker_count(const struct worker *w, struct metrics_gauges *g)
{
    const struct client_stats *clients = front_stats(w->front);
    const struct upstream_stats *upstream = upstream_stats(w->upstream);
    g->connections += atomic_load_explicit(&clients->open, memory_order_relaxed);
    g->connections_resting += atomic_load_explicit(&clients->resting, memory_order_relaxed);
    g->connections_total += atomic_load_explicit(&clients->accepted, memory_order_relaxed);
    g->requests_in_flight += atomic_load_explicit(&w->in_flight, memory_order_relaxed);
    g->upstream_open += atomic_load_explicit(&upstream->open, memory_order_relaxed);
    g->upstream_idle += atomic_load_explicit(&upstream->idle, memory_order_relaxed);
    g->upstream_opened_total += atomic_load_explicit(&upstream->opened, memory_order_relaxed);
    g->upstream_reused_total += atomic_load_explicit(&upstream->reused, memory_order_relaxed);
}

uint64_t worker_lag_ns(const struct worker *w, uint64_t now_ns)
{
    uint64_t lag = atomic_load_explicit(&w->lag_ns, memory_order_relaxed);
    uint64_t due = atomic_load_explicit(&w->beat_ns, memory_order_relaxed) + TICK_NS;
    return now_ns > due && now_ns - due > lag ? now_ns - due : lag;
}

static void count_links(struct worker *w)
{
    for (size_t i = 0; i < fleet_conf(w->setup.fleet)->nnodes; i++) {
        struct redis_link_stats stats = redis_node_stats(w->redis, i);
        fleet_count_link(w->setup.fleet, i, w->setup.index, &stats);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct worker *w = t->data;
    uint64_t now = clock_now_ns();
    look_at_lag(w, now);
    wheel_run(&w->wheel, now);
    front_tick(w->front, now);
    if (w->redis)
        count_links(w);
    if (w->log_stream)
        logwriter_stream_flush(w->log_stream);
    tail_stream_flush(w->tail);
}

/* ---- short times ---- */

static void on_soon(uv_timer_t *t)
{
    struct worker *w = t->data;
    wheel_run(&w->soon, clock_now_ns());
    if (w->soon.done % SOON_IDLE == 0 && wheel_is_empty(&w->soon))
        uv_timer_stop(t);
}

void worker_set_soon(struct worker *w, struct wheel_entry *e, uint64_t due_ns)
{
    if (!uv_is_active((uv_handle_t *)&w->soon_tick)) {
        wheel_run(&w->soon, clock_now_ns());
        uv_update_time(&w->loop);
        uv_timer_start(&w->soon_tick, on_soon, 1, 1);
    }
    wheel_set(&w->soon, e, due_ns);
}

/* ---- a request is over ---- */

/* As JSON, whatever the log is. */
static void tell_lookers(struct worker *w, uint32_t who, const struct record *r, const struct conf_log *log)
{
    struct conf_log json = *log;
    struct buf b = worker_scratch(w);
    json.format = LOG_JSON;
    accesslog_format(&w->format, r, &json, &b);
    if (!b.failed)
        tail_stream_line(w->tail, who, buf_slice(&b));
}

void worker_record(struct worker *w, const struct record *r, const struct conf *conf)
{
    metrics_record(w->setup.metrics, w->setup.index, r);
    if (w->log_stream) {
        struct buf b = worker_scratch(w);
        accesslog_format(&w->format, r, &conf->log, &b);
        if (!b.failed)
            logwriter_stream_line(w->log_stream, buf_slice(&b));
    }
    uint32_t who = tail_stream_match(w->tail, r);
    if (who)
        tell_lookers(w, who, r, &conf->log);
}

struct buf worker_scratch(struct worker *w)
{
    struct buf b;
    buf_init(&b, w->scratch, sizeof(w->scratch));
    return b;
}

/* ---- life ---- */

static void worker_free(struct worker *w)
{
    if (w->current)
        snapshot_use_put(w->current);
    if (w->mailbox)
        mailbox_free(w->mailbox);
    if (w->log_stream)
        logwriter_stream_free(w->log_stream);
    tail_stream_free(w->tail);
    password_cache_free(w->logins);
    cache_sharing_free(w->sharing);
    pool_fini(&w->exchanges);
    pool_fini(&w->buffers);
    pool_fini(&w->holds);
    free(w);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", w->setup.index);
    pthread_setname_np(pthread_self(), name);
    atomic_store_explicit(&w->tid, gettid(), memory_order_relaxed);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    return NULL;
}

static bool init_loop(struct worker *w)
{
    if (uv_loop_init(&w->loop) != 0)
        return false;
    uv_prepare_init(&w->loop, &w->prepare);
    uv_check_init(&w->loop, &w->check);
    uv_idle_init(&w->loop, &w->busy);
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_init(&w->loop, &w->soon_tick);
    w->prepare.data = w->check.data = w->tick.data = w->soon_tick.data = w->mail.data = w;
    uv_prepare_start(&w->prepare, on_prepare);
    uv_check_start(&w->check, on_check);
    uv_timer_start(&w->tick, on_tick, WORKER_TICK_MS, WORKER_TICK_MS);
    return uv_poll_init(&w->loop, &w->mail, mailbox_fd(w->mailbox)) == 0 &&
           uv_poll_start(&w->mail, UV_READABLE, on_mail) == 0;
}

static void set_redis_timer(void *ctx, struct wheel_entry *e, uint64_t due_ns)
{
    worker_set_soon(ctx, e, due_ns);
}

static void on_redis_answer(void *ctx, size_t i, uint64_t took_ns)
{
    struct worker *w = ctx;
    fleet_count_answer(w->setup.fleet, i, w->setup.index, took_ns);
}

/* Its links to the nodes, and what it shares over them. */
static bool join_fleet(struct worker *w)
{
    if (!w->setup.fleet)
        return true;
    const struct redis_setup setup = {.loop = &w->loop,
                                      .set_timer = set_redis_timer,
                                      .ctx = w,
                                      .conf = fleet_conf(w->setup.fleet),
                                      .is_barred = fleet_bars,
                                      .bar = w->setup.fleet,
                                      .answered = on_redis_answer,
                                      .seed = random_next(&w->random)};
    w->redis = redis_new(&setup);
    w->sharing = w->redis ? cache_sharing_new(w) : NULL;
    return w->sharing != NULL;
}

static bool init(struct worker *w, struct err *err)
{
    const struct worker_setup *s = &w->setup;
    random_seed(&w->random);
    shedder_init(&w->shedder, s->snapshot->conf->shed_lag_ms * MS);
    w->ticked_ns = clock_now_ns();
    wheel_init(&w->wheel, TICK_NS, clock_now_ns());
    wheel_init(&w->soon, SOON_NS, clock_now_ns());
    pool_init(&w->exchanges, sizeof(struct exchange), EXCHANGES_MAX, EXCHANGES_KEPT);
    pool_init(&w->holds, sizeof(struct forward_hold), EXCHANGES_MAX, HOLDS_KEPT);
    pool_init(&w->buffers, sizeof(struct forward_buffer), EXCHANGES_MAX, BUFFERS_KEPT);
    accesslog_configure(&w->format, &s->snapshot->conf->log);
    w->mailbox = mailbox_new(MAILBOX_MAX);
    w->current = use_with(s->snapshot, s->lists);
    w->log_stream = s->access_log ? logwriter_stream_new(s->access_log) : NULL;
    w->tail = tail_stream_new(s->tail);
    if (!w->tail || !w->mailbox || !w->current || (s->access_log && !w->log_stream) || !init_loop(w) ||
        !(w->upstream = upstream_new(&w->loop, &w->wheel, s->index)) || !join_fleet(w)) {
        err_sys(err, ERR_SELF, errno, "worker");
        return false;
    }
    w->front = front_new(w, s->listeners, s->nlisteners, err);
    return w->front != NULL;
}

struct worker *worker_start(const struct worker_setup *setup, struct err *err)
{
    struct worker *w = aligned_alloc(CACHE_LINE, (sizeof(*w) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!w) {
        err_sys(err, ERR_SELF, ENOMEM, "worker");
        return NULL;
    }
    memset(w, 0, sizeof(*w));
    w->setup = *setup;
    if (init(w, err)) {
        int failed = pthread_create(&w->thread, NULL, run, w);
        if (!failed)
            return w;
        err_sys(err, ERR_SELF, failed, "thread");
    }
    return NULL; /* the process ends; what was opened goes with it */
}

void worker_stop(struct worker *w)
{
    while (!post(w, &(struct worker_message){.base.type = WORKER_STOP}))
        sched_yield();
    pthread_join(w->thread, NULL);
    CHECK(uv_loop_close(&w->loop) == 0);
    front_free(w->front);
    upstream_free(w->upstream);
    worker_free(w);
}
