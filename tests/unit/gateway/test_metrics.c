/* What is counted where, how the page reads, and counting by several threads while others read. */
#include "gateway/version.h"
#include "gateway/metrics.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "gateway/record.h"
#include "tests/unit/unit.h"

#define MS      UINT64_C(1000000)
#define THREADS 3
#define RECORDS 20000

static const struct metrics_gauges no_gauges;

static char *page_of(struct metrics *m)
{
    size_t len;
    char *text = metrics_text(m, &no_gauges, METRICS_TEXT, &len);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), len);
    return text;
}

/* The value of SAMPLE (name and labels) on the page, or "absent". */
static const char *value_on(const char *page, const char *sample)
{
    static char value[64];
    size_t len = strlen(sample);
    for (const char *p = page; *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, sample, len) == 0 && p[len] == ' ') {
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + len + 1, "\n"), p + len + 1);
            return value;
        }
    return "absent";
}

static void expect(struct metrics *m, const char *sample, const char *value)
{
    char *page = page_of(m);
    const char *found = value_on(page, sample);
    ck_assert_msg(strcmp(found, value) == 0, "%s is %s instead of %s", sample, found, value);
    free(page);
}

/* A request to ROUTE through BACKEND: 12 ms in all, 10 ms of them at the backend. */
static struct record usual(struct metrics_route *route, struct metrics_backend *backend)
{
    return (struct record){
        .begin_ns = 1000 * MS,
        .end_ns = 1012 * MS,
        .method_kind = HTTP_GET,
        .status = 200,
        .bytes_in = 10,
        .bytes_out = 2000,
        .upstream_begin_ns = 1001 * MS,
        .upstream_end_ns = 1011 * MS,
        .metrics_route = route,
        .metrics_backend = backend,
    };
}

/* ---- what is counted ---- */

START_TEST(a_request_is_counted)
{
    struct metrics *m = metrics_new(2);
    struct record r = usual(metrics_route(m, "/a"), metrics_backend(m, "users"));
    metrics_record(m, 0, &r);
    metrics_record(m, 1, &r);
    r.method_kind = HTTP_POST;
    r.status = 503;
    metrics_record(m, 1, &r);
    expect(m, "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"200\"}", "2");
    expect(m, "tollgate_http_requests_total{route=\"/a\",method=\"POST\",code=\"503\"}", "1");
    expect(m, "tollgate_http_request_duration_seconds_count{route=\"/a\"}", "3");
    expect(m, "tollgate_http_request_duration_seconds_sum{route=\"/a\"}", "0.036000000");
    expect(m, "tollgate_http_request_duration_seconds_bucket{route=\"/a\",le=\"0.01\"}", "0");
    expect(m, "tollgate_http_request_duration_seconds_bucket{route=\"/a\",le=\"0.025\"}", "3");
    expect(m, "tollgate_http_request_duration_seconds_bucket{route=\"/a\",le=\"+Inf\"}", "3");
    expect(m, "tollgate_http_request_body_bytes_total{route=\"/a\"}", "30");
    expect(m, "tollgate_http_response_body_bytes_total{route=\"/a\"}", "6000");
    expect(m, "tollgate_upstream_request_duration_seconds_sum{backend=\"users\"}", "0.030000000");
    expect(m, "tollgate_upstream_request_duration_seconds_count{backend=\"users\"}", "3");
    expect(m, "tollgate_overhead_seconds_sum", "0.006000000");
    expect(m, "tollgate_overhead_seconds_count", "3");
    expect(m, "tollgate_overhead_seconds_bucket{le=\"0.001\"}", "0");
    expect(m, "tollgate_overhead_seconds_bucket{le=\"0.0025\"}", "3");
    expect(m, "tollgate_http_requests_total{route=\"none\",method=\"GET\",code=\"200\"}", "absent");
    expect(m, "tollgate_http_request_duration_seconds_count{route=\"none\"}", "0");
    metrics_free(m);
}
END_TEST

START_TEST(without_a_route)
{
    struct metrics *m = metrics_new(1);
    struct record r = {.status = 404, .method_kind = HTTP_OTHER, .reason = REASON_NO_ROUTE};
    metrics_record(m, 0, &r);
    expect(m, "tollgate_http_requests_total{route=\"none\",method=\"OTHER\",code=\"404\"}", "1");
    expect(m, "tollgate_http_request_failures_total{reason=\"no_route\"}", "1");
    expect(m, "tollgate_http_request_failures_total{reason=\"internal\"}", "0");
    expect(m, "tollgate_overhead_seconds_count", "0");
    metrics_free(m);
}
END_TEST

START_TEST(errors_of_backends)
{
    struct metrics *m = metrics_new(1);
    struct record r = usual(metrics_route(m, "/a"), metrics_backend(m, "users"));
    r.reason = REASON_UPSTREAM_TIMEOUT;
    r.retries = 2;
    metrics_record(m, 0, &r);
    r.reason = REASON_CLIENT_GONE; /* not the backend's fault */
    metrics_record(m, 0, &r);
    r.reason = REASON_NO_SERVER; /* none was tried: there is no duration */
    r.upstream_begin_ns = r.upstream_end_ns = r.retries = 0;
    metrics_record(m, 0, &r);
    expect(m, "tollgate_upstream_errors_total{backend=\"users\",reason=\"upstream_timeout\"}", "1");
    expect(m, "tollgate_upstream_errors_total{backend=\"users\",reason=\"no_server\"}", "1");
    expect(m, "tollgate_upstream_errors_total{backend=\"users\",reason=\"client_gone\"}", "absent");
    expect(m, "tollgate_upstream_errors_total{backend=\"users\",reason=\"connect_failed\"}", "absent");
    expect(m, "tollgate_http_request_failures_total{reason=\"client_gone\"}", "1");
    expect(m, "tollgate_upstream_retries_total{backend=\"users\"}", "4");
    expect(m, "tollgate_upstream_request_duration_seconds_count{backend=\"users\"}", "2");
    metrics_free(m);
}
END_TEST

/* A backend may answer with any status: the labels stay bounded, and nothing is lost. */
START_TEST(statuses_are_bounded)
{
    struct metrics *m = metrics_new(1);
    struct record r = usual(metrics_route(m, "/a"), NULL);
    unsigned codes = 0;
    unsigned long sum = 0;
    for (r.status = 100; r.status < 1000; r.status++)
        metrics_record(m, 0, &r);
    r.status = 70000;
    metrics_record(m, 0, &r);
    char *page = page_of(m);
    const char *key = "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"";
    for (const char *p = page; *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, key, strlen(key)) == 0) {
            codes += isdigit((unsigned char)p[strlen(key)]) != 0;
            sum += strtoul(strchr(p, ' '), NULL, 10);
        }
    free(page);
    ck_assert_uint_eq(codes, METRICS_CODES);
    ck_assert_uint_eq(sum, 901);
    expect(m, "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"other\"}", "837");
    r.status = 100; /* those that have a place keep it */
    metrics_record(m, 0, &r);
    expect(m, "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"100\"}", "2");
    metrics_free(m);
}
END_TEST

START_TEST(every_method_has_its_own)
{
    struct metrics *m = metrics_new(1);
    struct record r = usual(metrics_route(m, "/a"), NULL);
    for (unsigned method = 0; method < HTTP_METHODS; method++)
        for (unsigned i = 0; i <= method; i++) {
            r.method_kind = (enum http_method)method;
            metrics_record(m, 0, &r);
        }
    for (unsigned method = 0; method < HTTP_METHODS; method++) {
        char sample[128], value[16];
        snprintf(sample, sizeof(sample),
                 "tollgate_http_requests_total{route=\"/a\",method=\"%s\",code=\"200\"}",
                 http_method_name((enum http_method)method));
        snprintf(value, sizeof(value), "%u", method + 1);
        expect(m, sample, value);
    }
    metrics_free(m);
}
END_TEST

/* ---- names ---- */

START_TEST(names_last)
{
    struct metrics *m = metrics_new(1);
    struct metrics_route *a = metrics_route(m, "/a");
    struct metrics_backend *b = metrics_backend(m, "/a");
    struct record r = usual(a, b);
    metrics_record(m, 0, &r);
    ck_assert_ptr_eq(metrics_route(m, "/a"), a);
    ck_assert_ptr_ne(metrics_route(m, "/b"), a);
    ck_assert_ptr_eq(metrics_backend(m, "/a"), b);
    r.metrics_route = metrics_route(m, "/a");
    metrics_record(m, 0, &r);
    expect(m, "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"200\"}", "2");
    metrics_free(m);
}
END_TEST

START_TEST(names_are_bounded)
{
    struct metrics *m = metrics_new(1);
    char name[32];
    struct metrics_route *first = metrics_route(m, "first"), *last = NULL;
    for (unsigned i = 0; i < METRICS_NAMES + 10; i++) {
        snprintf(name, sizeof(name), "r%u", i);
        last = metrics_route(m, name);
        ck_assert_ptr_nonnull(last);
    }
    ck_assert_ptr_eq(metrics_route(m, "one more"), last);
    ck_assert_ptr_eq(metrics_route(m, "first"), first);
    struct record r = usual(last, NULL);
    metrics_record(m, 0, &r);
    expect(m, "tollgate_http_requests_total{route=\"other\",method=\"GET\",code=\"200\"}", "1");
    metrics_free(m);
}
END_TEST

START_TEST(labels_are_escaped)
{
    struct metrics *m = metrics_new(1);
    struct record r = usual(metrics_route(m, "a\"} 1\nb\\c\xff\xC3\xBC\t"), metrics_backend(m, "\"\n"));
    metrics_record(m, 0, &r);
    expect(m, "tollgate_http_request_body_bytes_total{route=\"a\\\"} 1\\nb\\\\c\xEF\xBF\xBD\xC3\xBC\t\"}",
           "10");
    expect(m, "tollgate_upstream_request_duration_seconds_count{backend=\"\\\"\\n\"}", "1");
    metrics_free(m);
}
END_TEST

/* ---- the page ---- */

START_TEST(gauges)
{
    struct metrics *m = metrics_new(1);
    size_t len;
    const struct metrics_gauges g = {.connections = 1,
                                     .connections_total = 2,
                                     .requests_in_flight = 3,
                                     .upstream_open = 9,
                                     .upstream_idle = 5,
                                     .upstream_opened_total = 6,
                                     .upstream_reused_total = 7,
                                     .log_dropped_total = 8};
    char *page = metrics_text(m, &g, METRICS_TEXT, &len);
    ck_assert_str_eq(value_on(page, "tollgate_connections"), "1");
    ck_assert_str_eq(value_on(page, "tollgate_connections_accepted_total"), "2");
    ck_assert_str_eq(value_on(page, "tollgate_requests_in_flight"), "3");
    ck_assert_str_eq(value_on(page, "tollgate_upstream_connections{state=\"busy\"}"), "4");
    ck_assert_str_eq(value_on(page, "tollgate_upstream_connections{state=\"idle\"}"), "5");
    ck_assert_str_eq(value_on(page, "tollgate_upstream_connections_opened_total"), "6");
    ck_assert_str_eq(value_on(page, "tollgate_upstream_connections_reused_total"), "7");
    ck_assert_str_eq(value_on(page, "tollgate_log_lines_dropped_total"), "8");
    char build_info[200];
    snprintf(build_info, sizeof(build_info), "tollgate_build_info{version=\"%s\",revision=\"%s\"}",
             version_number, version_revision);
    ck_assert_str_eq(value_on(page, build_info), "1");
    free(page);
    metrics_free(m);
}
END_TEST

START_TEST(reloads)
{
    struct metrics *m = metrics_new(1);
    expect(m, "tollgate_config_last_reload_success", "1"); /* the start counts as one that succeeded */
    expect(m, "tollgate_config_reloads_total{result=\"success\"}", "0");
    char *page = page_of(m);
    double started = strtod(value_on(page, "process_start_time_seconds"), NULL);
    ck_assert_double_gt(started, 1.7e9);
    ck_assert_double_eq(strtod(value_on(page, "tollgate_config_last_reload_timestamp_seconds"), NULL),
                        started);
    free(page);
    metrics_reloaded(m, false);
    expect(m, "tollgate_config_last_reload_success", "0");
    expect(m, "tollgate_config_reloads_total{result=\"failure\"}", "1");
    metrics_reloaded(m, true);
    metrics_reloaded(m, true);
    expect(m, "tollgate_config_last_reload_success", "1");
    expect(m, "tollgate_config_reloads_total{result=\"success\"}", "2");
    page = page_of(m);
    ck_assert_double_ge(strtod(value_on(page, "tollgate_config_last_reload_timestamp_seconds"), NULL),
                        started);
    free(page);
    metrics_free(m);
}
END_TEST

START_TEST(the_process)
{
    struct metrics *m = metrics_new(1);
    char *page = page_of(m);
    unsigned long fds = strtoul(value_on(page, "process_open_fds"), NULL, 10);
    ck_assert_uint_gt(strtoul(value_on(page, "process_resident_memory_bytes"), NULL, 10), 100000);
    ck_assert_uint_gt(strtoul(value_on(page, "process_max_fds"), NULL, 10), fds);
    free(page);
    FILE *f = fopen("/dev/null", "r");
    page = page_of(m);
    ck_assert_uint_eq(strtoul(value_on(page, "process_open_fds"), NULL, 10), fds + 1);
    free(page);
    fclose(f);
    metrics_free(m);
}
END_TEST

/* Whether LINE is a sample of FAMILY: its name, perhaps a histogram's ending, then labels or a blank. */
static bool is_sample_of(const char *line, const char *family)
{
    static const char *const endings[] = {"", "_bucket", "_sum", "_count"};
    size_t len = strlen(family);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        const char *rest = line + len + strlen(endings[i]);
        if (strncmp(line, family, len) == 0 && strncmp(line + len, endings[i], strlen(endings[i])) == 0 &&
            (*rest == '{' || *rest == ' '))
            return true;
    }
    return false;
}

/* Each family: HELP, TYPE, its samples, and never again. */
START_TEST(the_page_is_in_order)
{
    struct metrics *m = metrics_new(2);
    struct record r = usual(metrics_route(m, "/a"), metrics_backend(m, "users"));
    r.reason = REASON_TLS_FAILED;
    metrics_record(m, 0, &r);
    char *page = page_of(m), *rest = page, *line, family[128] = "", seen[8192] = "";
    unsigned families = 0;
    while ((line = strsep(&rest, "\n")) != NULL && rest) {
        char name[128], type[32];
        if (sscanf(line, "# HELP %127s %31s", name, type) == 2) {
            ck_assert_msg(!strstr(seen, name) || strchr(" _", strstr(seen, name)[strlen(name)]), "%s again",
                          name);
            snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s ", name);
            snprintf(family, sizeof(family), "%s", name);
            families++;
        } else if (sscanf(line, "# TYPE %127s %31s", name, type) == 2) {
            ck_assert_str_eq(name, family);
            ck_assert_msg(strcmp(type, "counter") != 0 || strstr(name, "_total"), "%s", name);
        } else {
            ck_assert_msg(is_sample_of(line, family), "%s among those of %s", line, family);
            ck_assert_msg(isdigit((unsigned char)strrchr(line, ' ')[1]), "%s", line);
        }
    }
    ck_assert_uint_ge(families, 20);
    free(page);
    metrics_free(m);
}
END_TEST

START_TEST(buckets_never_fall)
{
    struct metrics *m = metrics_new(1);
    struct record r = usual(metrics_route(m, "/a"), NULL);
    for (uint64_t ns = 1; ns < UINT64_C(1) << 42; ns = ns * 5 / 4 + 1) {
        r.end_ns = r.begin_ns + ns;
        metrics_record(m, 0, &r);
    }
    char *page = page_of(m);
    const char *key = "tollgate_http_request_duration_seconds_bucket{route=\"/a\",le=\"";
    unsigned long before = 0, n = 0;
    double bound = 0;
    for (const char *p = page; *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, key, strlen(key)) == 0) {
            unsigned long count = strtoul(strchr(p, ' '), NULL, 10);
            double le = strtod(p + strlen(key), NULL); /* +Inf too */
            ck_assert_uint_ge(count, before);
            ck_assert(le > bound);
            before = count;
            bound = le;
            n++;
        }
    ck_assert_uint_eq(n, 19);
    ck_assert_uint_eq(
        before,
        strtoul(value_on(page, "tollgate_http_request_duration_seconds_count{route=\"/a\"}"), NULL, 10));
    free(page);
    metrics_free(m);
}
END_TEST

/* ---- threads ---- */

struct counter_thread {
    pthread_t thread;
    struct metrics *m;
    struct metrics_route *route;
    struct metrics_backend *backend;
    size_t stripe;
    _Atomic unsigned *running;
};

static void *count_many(void *arg)
{
    struct counter_thread *t = arg;
    struct record r = usual(t->route, t->backend);
    for (unsigned i = 0; i < RECORDS; i++) {
        r.status = 200 + i % 50;
        r.reason = i % 10 == 0 ? REASON_UPSTREAM_RESET : REASON_NONE;
        r.is_sampled = i % 2 == 0; /* of one trace only here: the exemplars' own test tells torn ones */
        r.trace_id = SLICE("4bf92f3577b34da6a3ce929d0e0e4736");
        metrics_record(t->m, t->stripe, &r);
        if (i % 1000 == 0) {
            char name[32];
            snprintf(name, sizeof(name), "thread %zu, %u", t->stripe, i);
            (void)metrics_backend(t->m, name);
        }
    }
    atomic_fetch_sub(t->running, 1);
    return NULL;
}

START_TEST(many_write_while_others_read)
{
    const char *sample = "tollgate_http_requests_total{route=\"/a\",method=\"GET\",code=\"200\"}";
    struct counter_thread threads[THREADS];
    _Atomic unsigned running = THREADS;
    struct metrics *m = metrics_new(THREADS);
    struct metrics_route *route = metrics_route(m, "/a");
    struct metrics_backend *backend = metrics_backend(m, "users");
    unsigned long before = 0, pages = 0;
    for (size_t i = 0; i < THREADS; i++) {
        threads[i] = (struct counter_thread){
            .m = m, .route = route, .backend = backend, .stripe = i, .running = &running};
        ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, count_many, &threads[i]), 0);
    }
    for (; atomic_load(&running) > 0 || pages == 0; pages++) {
        size_t len;
        char name[32], *page = metrics_text(m, &no_gauges, pages % 2 ? METRICS_OPEN : METRICS_TEXT, &len);
        ck_assert_ptr_nonnull(page);
        const char *value = value_on(page, sample);
        unsigned long n = strcmp(value, "absent") == 0 ? 0 : strtoul(value, NULL, 10);
        ck_assert_uint_ge(n, before);
        before = n;
        free(page);
        snprintf(name, sizeof(name), "r%lu", pages); /* a reload in between */
        ck_assert_ptr_nonnull(metrics_route(m, name));
        metrics_reloaded(m, true);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    expect(m, sample, "1200");
    expect(m, "tollgate_http_request_duration_seconds_count{route=\"/a\"}", "60000");
    expect(m, "tollgate_http_response_body_bytes_total{route=\"/a\"}", "120000000");
    expect(m, "tollgate_upstream_errors_total{backend=\"users\",reason=\"upstream_reset\"}", "6000");
    metrics_free(m);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("metrics");
    TCase *counts = tcase_create("counts"), *page = tcase_create("page"), *threads = tcase_create("threads");
    tcase_add_test(counts, a_request_is_counted);
    tcase_add_test(counts, without_a_route);
    tcase_add_test(counts, errors_of_backends);
    tcase_add_test(counts, statuses_are_bounded);
    tcase_add_test(counts, every_method_has_its_own);
    tcase_add_test(counts, names_last);
    tcase_add_test(counts, names_are_bounded);
    tcase_add_test(counts, labels_are_escaped);
    suite_add_tcase(s, counts);
    tcase_add_test(page, gauges);
    tcase_add_test(page, reloads);
    tcase_add_test(page, the_process);
    tcase_add_test(page, the_page_is_in_order);
    tcase_add_test(page, buckets_never_fall);
    suite_add_tcase(s, page);
    tcase_set_timeout(threads, 60);
    tcase_add_test(threads, many_write_while_others_read);
    suite_add_tcase(s, threads);
    return s;
}

UNIT_MAIN(make_suite)
