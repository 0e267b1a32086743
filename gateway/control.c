/*
 * control.c: see control.h.
 *
 * Invariants: `current` is the snapshot that all workers have or are about to get; each of its backends has a
 * watch that follows its addresses. A reload first makes the new snapshot with its watches, so that it goes
 * to the workers with all addresses that are known, and only then drops the old watches.
 */
#include "gateway/control_internal.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/conf_same.h"
#include "gateway/limits.h"
#include "gateway/version.h"
#include "lib/clock.h"
#include "lib/random.h"

#define MS             UINT64_C(1000000)
#define LOOK_MS        20        /* how often a drain looks whether it is done */
#define SWEEP_MS       1000      /* endpoints that nobody uses are freed this often */
#define LOG_FLUSH_MS   2000      /* for the log writer to write what it has, at the end */
#define TRACE_FLUSH_MS 2000      /* for the tracer to export what waits, the same */
#define MALLOC_MMAP    (1 << 20) /* bytes: larger pieces come from the system and go back to it */
#define MALLOC_TRIM    (8 << 20) /* bytes that may lie free at the end of each heap */
#define MAIL_MAX       1024

/* ---- addresses ---- */

static void on_addresses(void *ctx, struct snapshot *snapshot, size_t backend, struct endpoint_list *list)
{
    struct control *c = ctx;
    if (snapshot != c->current.snapshot || !c->is_live)
        return;
    for (unsigned i = 0; i < c->nworkers; i++)
        if (!worker_post_addresses(c->workers[i], snapshot, backend, list))
            log_printf(c->log, LOG_ERROR, "worker %u does not take new addresses", i);
    if (!prober_change(c->prober, snapshot, backend, list))
        log_printf(c->log, LOG_ERROR, "new addresses are not checked: out of memory");
}

static bool open_generation(struct control *c, struct conf *conf, struct generation *g)
{
    struct snapshot *s = snapshot_new(conf, &c->shared);
    const struct generation_setup setup = {
        .snapshot = s, .resolver = c->resolver, .changed = on_addresses, .ctx = c};
    return s && generation_open(g, &setup);
}

/* ---- Redis nodes ---- */

static void on_redis_address(void *ctx, size_t node, const char *address)
{
    struct control *c = ctx;
    fleet_set_address(c->fleet, node, address);
    for (unsigned i = 0; i < c->nworkers; i++)
        if (!worker_post_redis_address(c->workers[i], node, address))
            log_printf(c->log, LOG_ERROR, "worker %u does not take the address of a Redis node", i);
}

/* On the fleet's thread. A flood of it leaves room for what somebody waits for. */
static void on_breaker_opened(void *ctx, struct slice backend, uint64_t open_ms)
{
    struct control *c = ctx;
    bool has_room = mailbox_count(c->mailbox) < MAIL_MAX / 2;
    struct guard_news *news = has_room ? guard_news_new(backend, open_ms) : NULL;
    if (!news)
        return;
    news->base.type = STATE_MAIL_BREAKER;
    if (!mailbox_send(c->mailbox, &news->base))
        message_drop(&news->base);
}

static bool start_fleet(struct control *c, struct err *err)
{
    const struct fleet_setup setup = {.snapshot = c->current.snapshot,
                                      .store = c->cache->store,
                                      .breaker_opened = on_breaker_opened,
                                      .ctx = c,
                                      .log = c->log,
                                      .nworkers = c->current.snapshot->conf->workers};
    if (!c->current.snapshot->conf->redis.enabled)
        return true;
    return (c->fleet = fleet_new(&setup, err)) != NULL;
}

/* ---- reload ---- */

static void report(struct control *c, const struct conf_mistakes *m, enum conf_log_level level)
{
    for (size_t i = 0; i < m->n; i++)
        log_printf(c->log, level, "%s", m->at[i]);
}

/* What cannot change while the process runs. */
static void warn_of_fixed(struct control *c, const struct conf *new)
{
    const char *names[CONF_FIXED_MAX];
    size_t n = conf_fixed_changes(c->current.snapshot->conf, new, names);
    for (size_t i = 0; i < n; i++)
        log_printf(c->log, LOG_WARN, "what has changed of %s takes effect at the next start only", names[i]);
}

static bool switch_to(struct control *c, struct generation *next)
{
    struct endpoint_list **lists;
    if (!(lists = generation_lists(next)))
        return false;
    struct generation old = c->current;
    c->current = *next;
    for (unsigned i = 0; i < c->nworkers; i++)
        if (!worker_post_snapshot(c->workers[i], next->snapshot, lists))
            log_printf(c->log, LOG_ERROR, "worker %u does not take the new configuration", i);
    if (!prober_follow(c->prober, next->snapshot, lists))
        log_printf(c->log, LOG_ERROR, "the new servers are not checked: out of memory");
    c->is_live = true;
    free(lists);
    generation_close(&old);
    return true;
}

static void reload(struct control *c)
{
    struct conf_mistakes mistakes;
    struct generation next;
    struct conf *conf = conf_load(c->conf_path, &mistakes);
    bool ok = conf != NULL;
    report(c, &mistakes, conf ? LOG_WARN : LOG_ERROR);
    conf_mistakes_free(&mistakes);
    if (conf) {
        warn_of_fixed(c, conf);
        resolver_set_interval(c->resolver, conf->resolve_ms);
        log_set_level(c->log, conf->log.level);
        ok = open_generation(c, conf, &next);
        if (ok && !switch_to(c, &next)) {
            generation_close(&next);
            ok = false;
        }
        if (ok && c->admin)
            admin_reload(c->admin, &c->current.snapshot->conf->admin);
    }
    metrics_reloaded(c->shared.metrics, ok);
    log_printf(c->log, ok ? LOG_INFO : LOG_ERROR,
               ok ? "configuration loaded from %s" : "configuration of %s refused; the old one stays",
               c->conf_path);
}

/* ---- drain ---- */

static void close_control(struct control *c);

static bool all_empty(const struct control *c)
{
    for (unsigned i = 0; i < c->nworkers; i++)
        if (!atomic_load_explicit(&c->workers[i]->is_empty, memory_order_acquire))
            return false;
    return true;
}

static void on_look(uv_timer_t *t)
{
    struct control *c = t->data;
    bool late = clock_now_ns() >= c->drain_until_ns;
    if (!late && !all_empty(c))
        return;
    if (late && !all_empty(c))
        log_printf(c->log, LOG_WARN, "drain_timeout is over: what is still under way is cut");
    uv_timer_stop(&c->look);
    close_control(c);
}

static void drain(struct control *c)
{
    if (c->draining) {
        c->drain_until_ns = 0; /* asked twice: at once */
        return;
    }
    c->draining = true;
    c->drain_until_ns = clock_now_ns() + c->current.snapshot->conf->drain_timeout_ms * MS;
    log_printf(c->log, LOG_INFO, "draining");
    for (unsigned i = 0; i < c->nworkers; i++)
        if (!worker_post_drain(c->workers[i]))
            c->drain_until_ns = 0;
    uv_timer_start(&c->look, on_look, 0, LOOK_MS);
}

static void on_signal(uv_signal_t *s, int number)
{
    struct control *c = s->data;
    switch (number) {
    case SIGHUP:
        if (!c->draining)
            reload(c);
        break;
    case SIGUSR1:
        if (c->access_log)
            logwriter_reopen(c->access_log);
        log_reopen(c->log);
        break;
    default:
        drain(c);
    }
}

static void on_sweep(uv_timer_t *t)
{
    struct control *c = t->data;
    endpoint_sweep(c->registry);
    guards_sweep(c->shared.guards);
}

/* ---- start and end ---- */

static void on_resolver_log(void *ctx, const char *text)
{
    struct control *c = ctx;
    log_printf(c->log, LOG_WARN, "%s", text);
}

static bool open_signals(struct control *c)
{
    static const int numbers[SIGNALS] = {SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < SIGNALS; i++) {
        if (uv_signal_init(&c->loop, &c->signals[i]) != 0)
            return false;
        c->signals[i].data = c;
        if (uv_signal_start(&c->signals[i], on_signal, numbers[i]) != 0)
            return false;
    }
    return true;
}

static bool open_logs(struct control *c, const struct conf *conf, struct err *err)
{
    c->log = log_new(&conf->log, err);
    if (!c->log)
        return false;
    if (strcmp(conf->log.access, "off") == 0)
        return true;
    c->access_log = logwriter_new(conf->log.access, conf->log.queue, err);
    return c->access_log != NULL;
}

static void on_message(void *ctx, struct message *m)
{
    struct control *c = ctx;
    switch ((enum state_mail)m->type) {
    case STATE_MAIL_PURGED:
    case STATE_MAIL_DEBUG:
        m->type == STATE_MAIL_DEBUG ? debug_finish(c->debug, m)
                                    : state_finish_purge((struct fleet_purge *)(void *)m, c->log);
        if (c->admin)
            admin_poke(c->admin);
        return;
    case STATE_MAIL_BREAKER:
        guards_hear(c->shared.guards, (const struct guard_news *)(const void *)m, clock_now_ns(), c->log);
        break;
    }
    message_drop(m);
}

static void on_mail(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct control *c = p->data;
    mailbox_drain(c->mailbox, on_message, c, MAIL_MAX);
}

static void publish(void *ctx, struct tail_filters *filters)
{
    struct control *c = ctx;
    for (unsigned i = 0; i < c->nworkers; i++)
        worker_post_filters(c->workers[i], filters);
}

static bool open_loop(struct control *c, const struct conf *conf)
{
    if (!(c->mailbox = mailbox_new(MAIL_MAX)) || uv_loop_init(&c->loop) != 0)
        return false;
    if (uv_poll_init(&c->loop, &c->mail, mailbox_fd(c->mailbox)) != 0)
        return false;
    c->mail.data = c;
    uv_poll_start(&c->mail, UV_READABLE, on_mail);
    uv_timer_init(&c->loop, &c->look);
    uv_timer_init(&c->loop, &c->sweep);
    c->look.data = c->sweep.data = c;
    uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    c->registry = endpoint_registry_new(conf->workers);
    c->resolver = c->registry ? resolver_new(&c->loop, c->registry, conf->resolve_ms) : NULL;
    if (c->resolver)
        resolver_set_log(c->resolver, on_resolver_log, c);
    c->tail = tail_new(&(struct tail_setup){&c->loop, c->log, publish, c});
    return c->resolver && c->tail && open_signals(c);
}

/* Also where nothing is exported: for what can be looked at on the admin port. */
static bool start_tracer(struct control *c, struct err *err)
{
    const struct conf_tracing *conf = &c->current.snapshot->conf->tracing;
    char instance[17];
    struct random random;
    random_seed(&random);
    span_id_format(random_next(&random), instance);
    const struct tracer_setup setup = {.endpoint = conf->enabled ? conf->endpoint : NULL,
                                       .headers = conf->headers,
                                       .nheaders = conf->nheaders,
                                       .service = conf->service,
                                       .version = version_number,
                                       .instance = instance,
                                       .timeout_ms = conf->timeout_ms,
                                       .queue = conf->queue,
                                       .ca = conf->ca_file,
                                       .log = c->log};
    return (c->tracer = tracer_new(&setup, err)) != NULL;
}

static bool start_workers(struct control *c, struct err *err)
{
    struct endpoint_list **lists;
    const struct conf *conf = c->current.snapshot->conf;
    c->workers = calloc(conf->workers, sizeof(*c->workers));
    if (!c->workers || !(lists = generation_lists(&c->current)))
        return false;
    bool ok = true;
    for (unsigned i = 0; ok && i < conf->workers; i++) {
        const struct worker_setup setup = {
            .index = i,
            .listeners = &c->listeners.at[i * c->listeners.per_worker],
            .nlisteners = c->listeners.per_worker,
            .snapshot = c->current.snapshot,
            .lists = lists,
            .metrics = c->shared.metrics,
            .passwords = c->logins,
            .concurrency = c->concurrency,
            .cache = c->cache,
            .fleet = c->fleet,
            .access_log = c->access_log,
            .tracer = c->tracer,
            .tail = c->tail,
            .log = c->log,
        };
        c->workers[i] = worker_start(&setup, err);
        ok = c->workers[i] != NULL;
        c->nworkers += ok;
    }
    ok = ok && prober_follow(c->prober, c->current.snapshot, lists);
    free(lists);
    c->is_live = true;
    if (ok && c->fleet)
        fleet_set_workers(c->fleet, c->workers, c->nworkers);
    if (ok && c->fleet)
        c->redis_watch = redis_watch_new(fleet_conf(c->fleet), c->resolver, on_redis_address, c);
    return ok && (!c->fleet || c->redis_watch);
}

/* Who looks after the workers from outside. */
static bool start_watching(struct control *c, struct err *err)
{
    c->debug = debug_new(&(struct debug_setup){c->workers, c->nworkers, c->access_log, c->mailbox});
    c->watchdog = watchdog_of_workers(c->workers, c->nworkers, c->log, err);
    return c->debug && c->watchdog;
}

/* Takes CONF. */
static bool start(struct control *c, struct conf *conf, struct err *err)
{
    if (!open_logs(c, conf, err) || !listeners_open(&c->listeners, conf, err)) {
        conf_free(conf);
        return false;
    }
    limits_check(conf, c->log);
    c->shared.metrics = metrics_new(conf->workers);
    c->shared.limiter = limiter_new(conf->limit_buckets, conf->workers);
    c->shared.guards = guards_new();
    c->shared.jwks = jwks_fetcher_new(conf->workers, c->log);
    c->logins = logins_new(err);
    c->concurrency = concurrency_new();
    c->cache = cache_new(conf->cache.size, conf->workers, err);
    c->prober = prober_new(c->log, err);
    if (!c->shared.metrics || !c->shared.limiter || !c->shared.guards || !c->shared.jwks || !c->logins ||
        !c->concurrency || !c->cache || !c->prober || !open_loop(c, conf)) {
        err_sys(err, ERR_SELF, errno, "start");
        conf_free(conf);
        return false;
    }
    return open_generation(c, conf, &c->current) && start_fleet(c, err) && start_tracer(c, err) &&
           start_workers(c, err) && start_watching(c, err) && control_start_admin(c, err);
}

static void announce(struct control *c)
{
    const struct conf *conf = c->current.snapshot->conf;
    for (size_t i = 0; i < conf->nlistens; i++)
        log_printf(c->log, LOG_INFO, "listening on %s", conf->listens[i].address);
    log_printf(c->log, LOG_INFO, "tollgate %s ready: %u workers, %zu routes, %zu backends", version_number,
               conf->workers, conf->nroutes, conf->nbackends);
}

/* Everything that holds the loop; it ends when all is closed. */
static void close_control(struct control *c)
{
    watchdog_free(c->watchdog);
    debug_free(c->debug);
    c->watchdog = NULL; /* the admin port still answers what has come */
    c->debug = NULL;
    logins_stop(c->logins);
    prober_free(c->prober);
    c->prober = NULL;
    fleet_stop(c->fleet);
    for (unsigned i = 0; i < c->nworkers; i++)
        worker_stop(c->workers[i]);
    c->nworkers = 0;
    c->is_live = false;
    if (c->admin)
        admin_close(c->admin);
    tail_close(c->tail);
    generation_close(&c->current);
    redis_watch_free(c->redis_watch);
    resolver_free(c->resolver);
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    uv_close((uv_handle_t *)&c->look, NULL);
    uv_close((uv_handle_t *)&c->sweep, NULL);
    uv_close((uv_handle_t *)&c->mail, NULL);
}

static void finish(struct control *c)
{
    CHECK(uv_loop_close(&c->loop) == 0);
    fleet_free(c->fleet);
    mailbox_free(c->mailbox);
    if (c->admin)
        admin_free(c->admin);
    listeners_close(&c->listeners);
    endpoint_registry_free(c->registry);
    metrics_free(c->shared.metrics);
    limiter_free(c->shared.limiter);
    guards_free(c->shared.guards);
    jwks_fetcher_free(c->shared.jwks);
    logins_free(c->logins);
    concurrency_free(c->concurrency);
    cache_free(c->cache);
    free(c->workers);
    if (c->tracer)
        tracer_stop(c->tracer, TRACE_FLUSH_MS);
    if (c->access_log)
        logwriter_stop(c->access_log, LOG_FLUSH_MS);
    log_printf(c->log, LOG_INFO, "stopped");
    log_free(c->log);
    tail_free(c->tail);
}

int control_run(const char *conf_path)
{
    struct control c = {.conf_path = conf_path};
    struct conf_mistakes mistakes;
    struct err err = {0};
    struct conf *conf = conf_load(conf_path, &mistakes);
    for (size_t i = 0; i < mistakes.n; i++)
        fprintf(stderr, "%s\n", mistakes.at[i]);
    conf_mistakes_free(&mistakes);
    if (!conf)
        return EXIT_FAILURE;
    /* Blocks of streams come and go all the time: keep them rather than ask the system anew. */
    status_name_instance(c.instance);
    mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!start(&c, conf, &err)) {
        char text[512];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        err_text(&err, &b);
        fprintf(stderr, "tollgate: cannot start: %.*s\n", SLICE_ARG(buf_slice(&b)));
        return EXIT_FAILURE;
    }
    announce(&c);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    finish(&c);
    curl_global_cleanup();
    return EXIT_SUCCESS;
}
