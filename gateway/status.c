/*
 * status.c: see status.h.
 *
 * The tree is cJSON's; a node of it that memory was short for is missing, which is why whoever reads it is
 * told of fields that may be. Histograms are most of the numbers: the inside of each is written here as text
 * and put into the tree whole, which takes a tenth of the time that a node for each number would.
 *
 * A histogram is shown by half powers of two from 8 us to 69 s. Each bound is one of lib/histogram.h's, so
 * that counts are taken over as they are and add up.
 */
#include "gateway/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "gateway/metrics.h"
#include "gateway/state_internal.h"
#include "gateway/tracer.h"
#include "gateway/version.h"
#include "gateway/worker.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/random.h"

#define FIRST_BIT  13 /* 2^13 ns: the first bound */
#define LAST_BIT   36 /* 2^36 ns: the last one */
#define STEP       2  /* buckets of lib/histogram.h in one of ours */
#define FIRST      (1 + ((FIRST_BIT - HISTOGRAM_LOW_BIT) << HISTOGRAM_SUB_BITS)) /* its bucket from there on */
#define BOUNDS     ((((LAST_BIT - FIRST_BIT) << HISTOGRAM_SUB_BITS) / STEP) + 1)
#define NUMBER_MAX 21 /* digits of a number, and a comma */
#define SECOND     1e9
#define STALL_NS   CLOCK_SECOND_NS

void status_name_instance(char name[STATUS_INSTANCE])
{
    struct random r;
    random_seed(&r);
    snprintf(name, STATUS_INSTANCE, "%016" PRIx64, random_next(&r));
}

/* ---- histograms ---- */

static void add_bounds(cJSON *to)
{
    cJSON *bounds = cJSON_AddArrayToObject(to, "latency_bounds");
    for (unsigned i = 0; i < BOUNDS; i++) {
        double bound = (double)histogram_bucket_from(FIRST + i * STEP) / SECOND;
        cJSON_AddItemToArray(bounds, cJSON_CreateNumber(bound));
    }
}

static void add_histogram(cJSON *to, const char *name, const struct histogram_snapshot *s)
{
    char space[(BOUNDS + 1) * NUMBER_MAX + 128];
    uint64_t counts[BOUNDS + 1] = {0};
    struct buf b;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        unsigned at = i < FIRST ? 0 : 1 + (i - FIRST) / STEP;
        counts[at < BOUNDS ? at : BOUNDS] += s->buckets[i];
    }
    buf_init(&b, space, sizeof(space));
    buf_printf(&b, "{\"count\":%" PRIu64 ",\"sum\":%" PRIu64 ".%09" PRIu64 ",\"buckets\":[", s->count,
               s->sum_ns / CLOCK_SECOND_NS, s->sum_ns % CLOCK_SECOND_NS);
    for (unsigned i = 0; i <= BOUNDS; i++) {
        buf_add(&b, i > 0 ? SLICE(",") : SLICE(""));
        buf_add_u64(&b, counts[i]);
    }
    buf_add(&b, SLICE("]}"));
    const char *text = buf_cstr(&b);
    CHECK(text);
    cJSON_AddRawToObject(to, name, text);
}

/* ---- routes and backends ---- */

/* Those of N that are not 0, under their NAMES. */
static void add_errors(cJSON *to, const uint64_t errors[REASONS])
{
    cJSON *j = cJSON_AddObjectToObject(to, "errors");
    for (unsigned r = REASON_NONE + 1; r < REASONS; r++)
        if (errors[r] > 0)
            cJSON_AddNumberToObject(j, reason_info((enum reason)r)->name, (double)errors[r]);
}

static void add_route(void *ctx, const struct metrics_route_view *v)
{
    static const char *const classes[METRICS_CLASSES] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "name", v->name);
    cJSON *requests = cJSON_AddObjectToObject(j, "requests");
    for (unsigned i = 0; i < METRICS_CLASSES; i++)
        if (v->requests[i] > 0)
            cJSON_AddNumberToObject(requests, classes[i], (double)v->requests[i]);
    add_histogram(j, "latency", &v->durations);
    cJSON_AddNumberToObject(j, "bytes_in", (double)v->bytes_in);
    cJSON_AddNumberToObject(j, "bytes_out", (double)v->bytes_out);
    cJSON_AddNumberToObject(j, "limited", (double)v->limits[LIMIT_REFUSED]);
    cJSON *cache = cJSON_AddObjectToObject(j, "cache");
    for (unsigned s = CACHE_NONE + 1; s < CACHE_STATUSES; s++)
        if (v->cache[s] > 0)
            cJSON_AddNumberToObject(cache, cache_status_name((enum cache_status)s), (double)v->cache[s]);
    cJSON_AddItemToArray(ctx, j);
}

static cJSON *backend_json(const struct status_view *v, size_t i)
{
    struct metrics_backend_view counted = {0};
    const char *name = v->state->conf->backends[i].name;
    const struct guard *guard = guards_named(v->state->guards, name);
    cJSON *j = cJSON_CreateObject();
    if (v->backends[i])
        metrics_read_backend(v->backends[i], &counted);
    cJSON_AddStringToObject(j, "name", name);
    add_histogram(j, "latency", &counted.durations);
    add_errors(j, counted.errors);
    cJSON_AddNumberToObject(j, "retries", (double)counted.retries);
    cJSON_AddItemToObject(j, "breaker",
                          guard ? state_breaker_json(guard, clock_now_ns()) : cJSON_CreateNull());
    state_add_servers(v->state, i, cJSON_AddArrayToObject(j, "servers"));
    return j;
}

/* ---- the process ---- */

static double cpu_seconds(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / SECOND;
}

static void add_process(cJSON *to, const struct status_view *v, const struct metrics_view *m)
{
    const struct fleet *fleet = v->state->fleet;
    struct object_store_stats store;
    cJSON_AddStringToObject(to, "version", version_number);
    cJSON_AddStringToObject(to, "revision", version_revision);
    cJSON_AddStringToObject(to, "instance", v->instance);
    cJSON_AddItemToObject(to, "gateway", fleet ? cJSON_CreateString(fleet_id(fleet)) : cJSON_CreateNull());
    cJSON_AddNumberToObject(to, "started", (double)m->started_us / 1e6);
    cJSON_AddNumberToObject(to, "now", (double)clock_wall_us() / 1e6);
    cJSON_AddBoolToObject(to, "ready", v->is_ready);
    cJSON_AddNumberToObject(to, "config_loaded", (double)m->loaded_us / 1e6);
    cJSON_AddBoolToObject(to, "config_ok", m->is_config_good);
    cJSON_AddNumberToObject(to, "cpu_seconds", cpu_seconds());
    cJSON *memory = cJSON_AddObjectToObject(to, "memory");
    object_store_stats(v->state->cache->store, &store);
    cJSON_AddNumberToObject(memory, "resident", (double)metrics_resident_bytes());
    cJSON_AddNumberToObject(memory, "cache", (double)store.used);
}

static void add_gauges(cJSON *to, const struct metrics_gauges *g)
{
    cJSON *clients = cJSON_AddObjectToObject(to, "connections");
    cJSON_AddNumberToObject(clients, "open", (double)g->connections);
    cJSON_AddNumberToObject(clients, "resting", (double)g->connections_resting);
    cJSON_AddNumberToObject(clients, "total", (double)g->connections_total);
    cJSON_AddNumberToObject(to, "in_flight", (double)g->requests_in_flight);
    cJSON *upstream = cJSON_AddObjectToObject(to, "upstream");
    cJSON_AddNumberToObject(upstream, "open", (double)g->upstream_open);
    cJSON_AddNumberToObject(upstream, "idle", (double)g->upstream_idle);
    cJSON_AddNumberToObject(upstream, "opened", (double)g->upstream_opened_total);
    cJSON_AddNumberToObject(upstream, "reused", (double)g->upstream_reused_total);
}

static void add_workers(cJSON *to, const struct status_view *v)
{
    cJSON *all = cJSON_AddArrayToObject(to, "workers");
    for (unsigned i = 0; i < v->nworkers; i++) {
        const struct worker *w = v->workers[i];
        uint64_t lag = worker_lag_ns(w, clock_now_ns());
        cJSON *j = cJSON_CreateObject();
        cJSON_AddNumberToObject(j, "index", i);
        cJSON_AddNumberToObject(j, "lag_ms", (double)(lag / 1000) / 1000);
        cJSON_AddNumberToObject(j, "in_flight", atomic_load_explicit(&w->in_flight, memory_order_relaxed));
        cJSON_AddBoolToObject(j, "stalled", lag > STALL_NS);
        cJSON_AddItemToArray(all, j);
    }
}

static cJSON *traces_json(const struct tracer_stats *s)
{
    if (!s)
        return cJSON_CreateNull();
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "kept", (double)s->kept);
    cJSON_AddNumberToObject(j, "exported", (double)s->exported);
    cJSON_AddNumberToObject(j, "dropped", (double)s->dropped);
    cJSON_AddNumberToObject(j, "failed", (double)s->failed);
    cJSON_AddNumberToObject(j, "exports", (double)s->exports);
    cJSON_AddNumberToObject(j, "export_errors", (double)s->export_errors);
    cJSON_AddNumberToObject(j, "waiting", (double)s->waiting);
    return j;
}

static void add_shared(cJSON *to, const struct status_view *v)
{
    cJSON_AddItemToObject(to, "limits", state_limits_json(v->state));
    cJSON_AddItemToObject(to, "cache", state_cache_json(v->state));
    cJSON_AddItemToObject(to, "redis", v->state->fleet ? state_redis_json(v->state) : cJSON_CreateNull());
    cJSON_AddItemToObject(to, "traces", traces_json(v->traces));
    cJSON_AddNumberToObject(to, "log_dropped", (double)v->gauges->log_dropped_total);
}

char *status_json(const struct status_view *v)
{
    struct metrics_view m;
    cJSON *j = cJSON_CreateObject();
    metrics_read(v->metrics, &m);
    add_process(j, v, &m);
    add_gauges(j, v->gauges);
    add_workers(j, v);
    add_bounds(j);
    add_histogram(j, "overhead", &m.overhead);
    add_errors(j, m.errors);
    metrics_read_routes(v->metrics, add_route, cJSON_AddArrayToObject(j, "routes"));
    cJSON *backends = cJSON_AddArrayToObject(j, "backends");
    for (size_t i = 0; i < v->state->conf->nbackends; i++)
        cJSON_AddItemToArray(backends, backend_json(v, i));
    add_shared(j, v);
    char *text = j ? cJSON_PrintUnformatted(j) : NULL;
    cJSON_Delete(j);
    return text;
}
