/* What the status tells (gateway/status): its fields, and that its numbers are those that were counted. */
#include "gateway/status.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/endpoint.h"
#include "gateway/record.h"
#include "gateway/state_internal.h"
#include "gateway/tracer.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

static const char conf_text[] = "listen \"127.0.0.1:1\" { }\n"
                                "backend \"users\" { server \"http://10.0.0.1:80\" { } }\n"
                                "backend \"idle\" { server \"http://10.0.0.2:80\" { } }\n"
                                "route \"/api/\" { backend = users }\n"
                                "route \"/\" { backend = idle }\n";

/* A gateway without its threads. */
struct world {
    struct snapshot_shared shared;
    struct snapshot *snapshot;
    struct cache *cache;
    struct endpoint_registry *registry;
    struct endpoint_list *lists[2];
    struct worker *worker;
    struct state_view state;
    struct metrics_gauges gauges;
    struct status_view view;
};

static struct conf *load(void)
{
    struct conf_mistakes m;
    char path[] = "/tmp/tollgate-status-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, conf_text, sizeof(conf_text) - 1), sizeof(conf_text) - 1);
    close(fd);
    struct conf *conf = conf_load(path, &m);
    unlink(path);
    conf_mistakes_free(&m);
    ck_assert_ptr_nonnull(conf);
    return conf;
}

/* The address of a server of users; the other backend has none. */
static void find_servers(struct world *w)
{
    const struct conf_server server = {.host = "users", .port = 80};
    const struct conf_tls tls = {.verify = true};
    struct endpoint_list *l = calloc(1, sizeof(*l) + sizeof(l->at[0]));
    w->registry = endpoint_registry_new(1);
    ck_assert(w->registry && l);
    atomic_init(&l->refs, 1);
    l->n = 1;
    l->at[0].endpoint = endpoint_find(w->registry, &server, &tls, "10.0.0.1");
    l->at[0].weight = 3;
    ck_assert_ptr_nonnull(l->at[0].endpoint);
    w->lists[0] = l;
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->shared = (struct snapshot_shared){.metrics = metrics_new(2),
                                         .limiter = limiter_new(1024, 1),
                                         .guards = guards_new(),
                                         .jwks = jwks_fetcher_new(1, NULL)};
    w->snapshot = snapshot_new(load(), &w->shared);
    w->cache = cache_new(1 << 20, 1, NULL);
    w->worker = calloc(1, sizeof(*w->worker));
    ck_assert(w->snapshot && w->cache && w->worker);
    atomic_store(&w->worker->beat_ns, clock_now_ns());
    find_servers(w);
    w->state = (struct state_view){.conf = w->snapshot->conf,
                                   .guards = w->shared.guards,
                                   .limiter = w->shared.limiter,
                                   .cache = w->cache,
                                   .lists = w->lists};
    w->view = (struct status_view){.state = &w->state,
                                   .metrics = w->shared.metrics,
                                   .gauges = &w->gauges,
                                   .backends = w->snapshot->backends,
                                   .workers = &w->worker,
                                   .nworkers = 1,
                                   .instance = "0123456789abcdef",
                                   .is_ready = true};
}

static void end(struct world *w)
{
    snapshot_put(w->snapshot);
    cache_free(w->cache);
    metrics_free(w->shared.metrics);
    limiter_free(w->shared.limiter);
    guards_free(w->shared.guards);
    jwks_fetcher_free(w->shared.jwks);
    endpoint_list_put(w->lists[0]);
    endpoint_registry_free(w->registry);
    free(w->worker);
}

static cJSON *look(const struct world *w)
{
    char *text = status_json(&w->view);
    ck_assert_ptr_nonnull(text);
    cJSON *j = cJSON_Parse(text);
    ck_assert_ptr_nonnull(j);
    free(text);
    return j;
}

/* The field of J that PATH names: "routes/1/latency/count"; NULL when it is not there. */
static const cJSON *at(const cJSON *j, const char *path)
{
    char name[64];
    while (j && *path) {
        size_t len = strcspn(path, "/");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        j = cJSON_IsArray(j) ? cJSON_GetArrayItem(j, atoi(name)) : cJSON_GetObjectItem(j, name);
        path += len + (path[len] == '/');
    }
    return j;
}

static void is_number(const cJSON *j, const char *path, double want)
{
    const cJSON *found = at(j, path);
    ck_assert_msg(cJSON_IsNumber(found), "%s is no number", path);
    ck_assert_msg(fabs(found->valuedouble - want) < 1e-9, "%s is %g instead of %g", path, found->valuedouble,
                  want);
}

static void is_text(const cJSON *j, const char *path, const char *want)
{
    const cJSON *found = at(j, path);
    ck_assert_msg(cJSON_IsString(found), "%s is no text", path);
    ck_assert_str_eq(found->valuestring, want);
}

static double sum(const cJSON *list)
{
    double all = 0;
    const cJSON *one;
    cJSON_ArrayForEach(one, list) all += one->valuedouble;
    return all;
}

static void count(struct world *w, size_t stripe, unsigned status, enum reason reason)
{
    struct record r = {.begin_ns = 1000 * MS,
                       .end_ns = 1012 * MS,
                       .method_kind = HTTP_GET,
                       .status = status,
                       .reason = reason,
                       .bytes_in = 10,
                       .bytes_out = 2000,
                       .cache = CACHE_MISS,
                       .limit = status == 429 ? LIMIT_REFUSED : LIMIT_ALLOWED,
                       .limit_store = LIMIT_REDIS,
                       .upstream_begin_ns = 1001 * MS,
                       .upstream_end_ns = 1011 * MS,
                       .metrics_route = w->snapshot->routes[0],
                       .metrics_backend = w->snapshot->backends[0]};
    metrics_record(w->shared.metrics, stripe, &r);
}

/* The routes are "none", then those of the configuration as the workers got them. */
START_TEST(requests_add_up)
{
    struct world w;
    begin(&w);
    for (int i = 0; i < 10; i++)
        count(&w, (size_t)i % 2, 200, REASON_NONE);
    count(&w, 0, 429, REASON_LIMITED);
    count(&w, 1, 504, REASON_UPSTREAM_TIMEOUT);
    count(&w, 1, 707, REASON_NONE);
    cJSON *j = look(&w);
    is_text(j, "routes/0/name", "none");
    is_text(j, "routes/1/name", "/api/");
    is_number(j, "routes/1/requests/2xx", 10);
    is_number(j, "routes/1/requests/4xx", 1);
    is_number(j, "routes/1/requests/5xx", 1);
    is_number(j, "routes/1/requests/other", 1);
    ck_assert_ptr_null(at(j, "routes/1/requests/3xx"));
    ck_assert_double_eq(sum(at(j, "routes/1/requests")), 13);
    is_number(j, "routes/1/latency/count", 13);
    is_number(j, "routes/1/latency/sum", 13 * 0.012);
    ck_assert_double_eq(sum(at(j, "routes/1/latency/buckets")), 13);
    is_number(j, "routes/1/bytes_in", 130);
    is_number(j, "routes/1/bytes_out", 26000);
    is_number(j, "routes/1/limited", 1);
    is_number(j, "routes/1/cache/MISS", 13);
    ck_assert_ptr_null(at(j, "routes/1/cache/HIT"));
    is_number(j, "routes/0/latency/count", 0);
    is_number(j, "errors/limited", 1);
    is_number(j, "errors/upstream_timeout", 1);
    ck_assert_double_eq(sum(at(j, "errors")), 2);
    is_number(j, "overhead/count", 13);
    is_number(j, "overhead/sum", 13 * 0.002);
    cJSON_Delete(j);
    end(&w);
}
END_TEST

START_TEST(a_backend_and_its_guards)
{
    struct world w;
    begin(&w);
    count(&w, 0, 504, REASON_UPSTREAM_TIMEOUT);
    cJSON *j = look(&w);
    is_text(j, "backends/0/name", "users");
    is_number(j, "backends/0/latency/count", 1);
    is_number(j, "backends/0/errors/upstream_timeout", 1);
    is_number(j, "backends/0/retries", 0);
    is_text(j, "backends/0/breaker/backend", "users");
    ck_assert_ptr_nonnull(at(j, "backends/0/breaker/state"));
    is_text(j, "backends/0/servers/0/server", "10.0.0.1:80");
    is_text(j, "backends/0/servers/0/state", "up");
    is_number(j, "backends/0/servers/0/weight", 3);
    is_text(j, "backends/1/name", "idle");
    ck_assert_int_eq(cJSON_GetArraySize(at(j, "backends/1/servers")), 0);
    ck_assert_int_eq(cJSON_GetArraySize(at(j, "backends/1/errors")), 0);
    cJSON_Delete(j);
    end(&w);
}
END_TEST

/* A duration lies below the bound of its bucket, and not below the one before. */
START_TEST(durations_lie_below_their_bounds)
{
    static const uint64_t times[] = {1, 8191, 8192, 12287, 12288, 3 * MS, 1000 * MS, 50000 * MS, 70000 * MS};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct world w;
        begin(&w);
        struct record r = {.begin_ns = 1, .end_ns = 1 + times[i], .status = 200};
        metrics_record(w.shared.metrics, 0, &r);
        cJSON *j = look(&w);
        const cJSON *buckets = at(j, "routes/0/latency/buckets"), *bounds = at(j, "latency_bounds");
        int n = cJSON_GetArraySize(bounds), found = 0;
        ck_assert_int_eq(cJSON_GetArraySize(buckets), n + 1);
        while (found <= n && cJSON_GetArrayItem(buckets, found)->valuedouble == 0)
            found++;
        double s = (double)times[i] / 1e9;
        ck_assert_int_le(found, n);
        ck_assert(found == n || s < cJSON_GetArrayItem(bounds, found)->valuedouble);
        ck_assert(found == 0 || s >= cJSON_GetArrayItem(bounds, found - 1)->valuedouble);
        cJSON_Delete(j);
        end(&w);
    }
}
END_TEST

START_TEST(the_process)
{
    struct world w;
    begin(&w);
    w.gauges = (struct metrics_gauges){.connections = 5,
                                       .connections_resting = 2,
                                       .connections_total = 9,
                                       .requests_in_flight = 3,
                                       .upstream_open = 4,
                                       .log_dropped_total = 7};
    atomic_store(&w.worker->in_flight, 3);
    cJSON *j = look(&w);
    is_text(j, "instance", "0123456789abcdef");
    ck_assert(cJSON_IsString(at(j, "version")) && cJSON_IsString(at(j, "revision")));
    ck_assert(cJSON_IsNull(at(j, "gateway")) && cJSON_IsNull(at(j, "redis")) &&
              cJSON_IsNull(at(j, "traces")));
    ck_assert(cJSON_IsTrue(at(j, "ready")) && cJSON_IsTrue(at(j, "config_ok")));
    ck_assert_double_le(at(j, "started")->valuedouble, at(j, "now")->valuedouble);
    ck_assert_double_eq(at(j, "started")->valuedouble, at(j, "config_loaded")->valuedouble);
    ck_assert_double_gt(at(j, "cpu_seconds")->valuedouble, 0);
    ck_assert_double_gt(at(j, "memory/resident")->valuedouble, 0);
    ck_assert_ptr_nonnull(at(j, "memory/cache"));
    is_number(j, "connections/open", 5);
    is_number(j, "connections/resting", 2);
    is_number(j, "connections/total", 9);
    is_number(j, "in_flight", 3);
    is_number(j, "upstream/open", 4);
    is_number(j, "workers/0/in_flight", 3);
    ck_assert(cJSON_IsFalse(at(j, "workers/0/stalled")));
    is_number(j, "log_dropped", 7);
    ck_assert_int_eq(cJSON_GetArraySize(at(j, "limits/tables")), LIMIT_TABLES);
    is_number(j, "cache/objects", 0);
    cJSON_Delete(j);
    metrics_reloaded(w.shared.metrics, false);
    w.view.is_ready = false;
    j = look(&w);
    ck_assert(cJSON_IsFalse(at(j, "ready")) && cJSON_IsFalse(at(j, "config_ok")));
    cJSON_Delete(j);
    end(&w);
}
END_TEST

START_TEST(a_loop_that_stands_still)
{
    struct world w;
    begin(&w);
    atomic_store(&w.worker->beat_ns, clock_now_ns() - 5000 * MS);
    cJSON *j = look(&w);
    ck_assert(cJSON_IsTrue(at(j, "workers/0/stalled")));
    ck_assert_double_ge(at(j, "workers/0/lag_ms")->valuedouble, 4900);
    cJSON_Delete(j);
    end(&w);
}
END_TEST

START_TEST(traces_are_told)
{
    struct world w;
    begin(&w);
    const struct tracer_stats stats = {.kept = 5, .exported = 3, .dropped = 2, .waiting = 1};
    w.view.traces = &stats;
    cJSON *j = look(&w);
    is_number(j, "traces/kept", 5);
    is_number(j, "traces/exported", 3);
    is_number(j, "traces/dropped", 2);
    is_number(j, "traces/waiting", 1);
    cJSON_Delete(j);
    end(&w);
}
END_TEST

START_TEST(instances_differ)
{
    char one[STATUS_INSTANCE], two[STATUS_INSTANCE];
    status_name_instance(one);
    status_name_instance(two);
    ck_assert_uint_eq(strlen(one), STATUS_INSTANCE - 1);
    ck_assert_str_ne(one, two);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("status");
    TCase *t = tcase_create("status");
    tcase_add_test(t, requests_add_up);
    tcase_add_test(t, a_backend_and_its_guards);
    tcase_add_test(t, durations_lie_below_their_bounds);
    tcase_add_test(t, the_process);
    tcase_add_test(t, a_loop_that_stands_still);
    tcase_add_test(t, traces_are_told);
    tcase_add_test(t, instances_differ);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
