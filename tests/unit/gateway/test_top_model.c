/* What has changed between two looks (gateway/top_model): rates, percentiles, restarts, and nonsense. */
#include "gateway/top_model.h"

#include <math.h>
#include <stdio.h>

#include "tests/unit/unit.h"

/* A status of INSTANCE at NOW, whose routes are ROUTES. */
static bool take(struct top_model *m, const char *instance, double now, const char *routes)
{
    char *json;
    ck_assert_int_ge(asprintf(&json,
                              "{\"instance\":\"%s\",\"started\":100,\"now\":%g,\"cpu_seconds\":%g,"
                              "\"ready\":true,\"in_flight\":3,\"latency_bounds\":[0.001,0.01,0.1],"
                              "\"memory\":{\"resident\":1000},\"workers\":[{\"lag_ms\":1},{\"lag_ms\":7,"
                              "\"stalled\":true}],\"routes\":[%s]}",
                              instance, now, now / 10, routes),
                     0);
    bool ok = top_model_take(m, slice_of(json));
    free(json);
    return ok;
}

static void near(double got, double want)
{
    ck_assert_msg(fabs(got - want) < 1e-9, "%g instead of %g", got, want);
}

START_TEST(the_first_look_is_since_the_start)
{
    struct top_model m = {0};
    struct top_summary s;
    ck_assert(take(&m, "a", 110,
                   "{\"name\":\"/\",\"requests\":{\"2xx\":30,\"5xx\":10},"
                   "\"latency\":{\"buckets\":[40,0,0,0]}}"));
    top_model_sum_up(&m, &s);
    near(s.uptime_s, 10);
    near(s.requests, 4);
    near(s.errors, 0.25);
    near(s.p50_s, 0.0005);
    near(s.in_flight, 3);
    near(s.resident, 1000);
    near(s.lag_ms, 7);
    ck_assert_uint_eq(s.workers, 2);
    ck_assert_uint_eq(s.stalled, 1);
    ck_assert(s.is_ready && !s.is_config_good);
    ck_assert(isnan(s.connections));
    top_model_fini(&m);
}
END_TEST

START_TEST(differences)
{
    struct top_model m = {0};
    struct top_summary s;
    ck_assert(take(&m, "a", 200,
                   "{\"name\":\"/\",\"requests\":{\"2xx\":1000},\"latency\":{\"buckets\":[1000,0,0,0]}}"));
    ck_assert(take(&m, "a", 202,
                   "{\"name\":\"/new\",\"requests\":{\"5xx\":20},\"latency\":{\"buckets\":[0,0,20,0]}},"
                   "{\"name\":\"/\",\"requests\":{\"2xx\":1080},\"latency\":{\"buckets\":[1000,80,0,0]}}"));
    ck_assert(!m.has_restarted);
    top_model_sum_up(&m, &s);
    near(top_model_elapsed(&m), 2);
    near(s.requests, 50);
    near(s.errors, 0.2);
    near(s.cpu, 0.1);
    near(s.p50_s, 0.001 + 0.009 * 50 / 80);
    near(s.p95_s, 0.01 + 0.09 * 15 / 20);
    ck_assert(take(&m, "a", 203,
                   "{\"name\":\"/\",\"requests\":{\"2xx\":1080},\"latency\":{\"buckets\":[1000,80,0,0]}}"));
    top_model_sum_up(&m, &s);
    near(s.requests, 0);
    ck_assert(isnan(s.errors) && isnan(s.p50_s) && isnan(s.p99_s));
    ck_assert(take(&m, "a", 204, "{\"name\":\"/\",\"requests\":{\"2xx\":30}}")); /* it fell: it began anew */
    top_model_sum_up(&m, &s);
    near(s.requests, 30);
    top_model_fini(&m);
}
END_TEST

START_TEST(another_process)
{
    struct top_model m = {0};
    struct top_summary s;
    ck_assert(take(&m, "a", 200, "{\"name\":\"/\",\"requests\":{\"2xx\":1000}}"));
    ck_assert(take(&m, "b", 110, "{\"name\":\"/\",\"requests\":{\"2xx\":50}}"));
    ck_assert(m.has_restarted);
    top_model_sum_up(&m, &s);
    near(s.requests, 5);
    ck_assert(take(&m, "b", 111, "{\"name\":\"/\",\"requests\":{\"2xx\":57}}"));
    ck_assert(!m.has_restarted);
    top_model_sum_up(&m, &s);
    near(s.requests, 7);
    top_model_fini(&m);
}
END_TEST

START_TEST(what_is_no_status)
{
    static const char *const texts[] = {
        "",     "{",
        "[]",   "{}",
        "null", "{\"instance\":\"a\"}",
        "1",    "{\"instance\":7,\"now\":1,\"started\":1}",
        "\"x",  "{\"instance\":\"a\",\"now\":\"1\",\"started\":1}",
    };
    struct top_model m = {0};
    ck_assert(take(&m, "a", 200, ""));
    const cJSON *before = m.now;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(!top_model_take(&m, slice_of(texts[i])), "%s", texts[i]);
    ck_assert_ptr_eq(m.now, before);
    top_model_fini(&m);
}
END_TEST

/* Fields of the wrong kind, histograms that do not fit their bounds, a clock that went back. */
START_TEST(nonsense)
{
    static const char *const routes[] = {
        "7",
        "{}",
        "{\"name\":7,\"requests\":7,\"latency\":[]}",
        "{\"name\":\"/\",\"requests\":{\"2xx\":\"x\",\"5xx\":-4},\"latency\":{\"buckets\":{\"a\":1}}}",
        "{\"name\":\"/\",\"latency\":{\"buckets\":[1,2,3,4,5,6,7,8]}}",
        "{\"name\":\"/\",\"latency\":{\"buckets\":[-1,\"x\",null]}}",
    };
    struct top_model m = {0};
    struct top_summary s;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        ck_assert(take(&m, "a", 200 - (double)i, routes[i]));
        top_model_sum_up(&m, &s);
        ck_assert_msg(i == 0 || isnan(top_model_elapsed(&m)), "%zu", i);
        ck_assert(!(s.p99_s > 0.1));
    }
    top_model_fini(&m);
}
END_TEST

START_TEST(quantiles)
{
    struct top_histogram h = {.nbounds = 2, .bounds = {1, 2}, .counts = {0, 10, 10}, .count = 20};
    near(top_quantile(&h, 0.25), 1.5);
    near(top_quantile(&h, 0.5), 2);
    near(top_quantile(&h, 0.99), 2); /* at least */
    h.count = 0;
    ck_assert(isnan(top_quantile(&h, 0.5)));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("top_model");
    TCase *t = tcase_create("top_model");
    tcase_add_test(t, the_first_look_is_since_the_start);
    tcase_add_test(t, differences);
    tcase_add_test(t, another_process);
    tcase_add_test(t, what_is_no_status);
    tcase_add_test(t, nonsense);
    tcase_add_test(t, quantiles);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
