/* The page in OpenMetrics, its exemplars, and what readers of it ask for. */
#include "gateway/metrics.h"

#include "gateway/metrics_table.h"
#include "gateway/record.h"
#include "gateway/scrape.h"
#include "tests/unit/gateway/openmetrics_grammar.h"
#include "tests/unit/unit.h"

#define MS    UINT64_C(1000000)
#define US    UINT64_C(1000)
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct metrics_gauges no_gauges;

/* The page, judged. */
static char *page_of(struct metrics *m, const struct metrics_gauges *g)
{
    char fault[OPENMETRICS_FAULT];
    size_t len;
    char *page = metrics_text(m, g, METRICS_OPEN, &len);
    ck_assert_ptr_nonnull(page);
    ck_assert_uint_eq(strlen(page), len);
    ck_assert_msg(openmetrics_is_good(page, fault), "%s", fault);
    return page;
}

/* What stands behind SAMPLE (name and labels) on the page; "absent". */
static const char *behind(const char *page, const char *sample)
{
    static char text[256];
    size_t len = strlen(sample);
    for (const char *p = page; *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, sample, len) == 0 && p[len] == ' ') {
            snprintf(text, sizeof(text), "%.*s", (int)strcspn(p + len + 1, "\n"), p + len + 1);
            return text;
        }
    return "absent";
}

static void expect(struct metrics *m, const char *sample, const char *wanted)
{
    char *page = page_of(m, &no_gauges);
    ck_assert_str_eq(behind(page, sample), wanted);
    free(page);
}

/* Begun at 1700000000.25 s. */
static struct record traced(struct metrics *m, uint64_t took_ns)
{
    return (struct record){.wall_us = INT64_C(1700000000250000),
                           .begin_ns = 1000 * MS,
                           .end_ns = 1000 * MS + took_ns,
                           .trace_id = SLICE(TRACE),
                           .is_sampled = true,
                           .method_kind = HTTP_GET,
                           .status = 200,
                           .metrics_route = metrics_route(m, "/a")};
}

#define BUCKET "tollgate_http_request_duration_seconds_bucket{route=\"/a\",le=\""

START_TEST(a_sampled_request_is_the_exemplar_of_its_bucket)
{
    struct metrics *m = metrics_new(2);
    struct record r = traced(m, 12 * MS);
    metrics_record(m, 1, &r);
    expect(m, BUCKET "0.025\"}", "1 # {trace_id=\"" TRACE "\"} 0.012000000 1700000000.262000");
    expect(m, BUCKET "0.01\"}", "0");
    expect(m, BUCKET "0.05\"}", "1");
    expect(m, BUCKET "+Inf\"}", "1");
    expect(m, "tollgate_http_request_duration_seconds_bucket{route=\"none\",le=\"0.025\"}", "0");
    metrics_free(m);
}
END_TEST

START_TEST(the_upstream_has_its_own)
{
    struct metrics *m = metrics_new(1);
    struct record r = traced(m, 12 * MS);
    r.metrics_backend = metrics_backend(m, "b");
    r.upstream_begin_ns = r.begin_ns + MS;
    r.upstream_end_ns = r.upstream_begin_ns + 300 * US;
    metrics_record(m, 0, &r);
    expect(m, "tollgate_upstream_request_duration_seconds_bucket{backend=\"b\",le=\"0.0005\"}",
           "1 # {trace_id=\"" TRACE "\"} 0.000300000 1700000000.262000");
    metrics_free(m);
}
END_TEST

START_TEST(others_are_none)
{
    static const char *const ids[] = {"",
                                      "00000000000000000000000000000000",
                                      "4bf92f3577b34da6",
                                      "4BF92F3577B34DA6A3CE929D0E0E4736",
                                      "4bf92f3577b34da6a3ce929d0e0e473\"",
                                      TRACE "0"};
    struct metrics *m = metrics_new(1);
    struct record r = traced(m, 12 * MS);
    r.is_sampled = false;
    metrics_record(m, 0, &r);
    r.is_sampled = true;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        r.trace_id = slice_of(ids[i]);
        metrics_record(m, 0, &r);
    }
    expect(m, BUCKET "0.025\"}", "7");
    metrics_free(m);
}
END_TEST

START_TEST(the_youngest_of_all_workers_is_shown)
{
    struct metrics *m = metrics_new(3);
    struct record r = traced(m, 12 * MS);
    metrics_record(m, 0, &r);
    r.wall_us += 2000000;
    r.end_ns += MS;
    metrics_record(m, 2, &r);
    r.wall_us -= 1000000;
    metrics_record(m, 1, &r);
    expect(m, BUCKET "0.025\"}", "3 # {trace_id=\"" TRACE "\"} 0.013000000 1700000002.263000");
    metrics_free(m);
}
END_TEST

START_TEST(every_bucket_may_have_one)
{
    struct metrics *m = metrics_new(1);
    struct record r = traced(m, 0);
    for (uint64_t ns = 50 * US; ns < 200000 * MS; ns = ns * 3 / 2) {
        r.end_ns = r.begin_ns + ns;
        metrics_record(m, 0, &r);
    }
    char *page = page_of(m, &no_gauges);
    unsigned n = 0;
    for (const char *p = strstr(page, "trace_id"); p; p = strstr(p + 1, "trace_id"))
        n++;
    ck_assert_uint_eq(n, metrics_scale_requests.n + 1);
    free(page);
    size_t len;
    page = metrics_text(m, &no_gauges, METRICS_TEXT, &len);
    ck_assert_ptr_null(strstr(page, "trace_id"));
    ck_assert_ptr_null(strstr(page, "# EOF"));
    free(page);
    metrics_free(m);
}
END_TEST

static void print_more(void *ctx, FILE *out)
{
    (void)ctx;
    fputs("# HELP more_bytes_total More.\n# TYPE more_bytes_total counter\nmore_bytes_total 7\n", out);
}

START_TEST(families_of_others_are_in_it)
{
    const struct metrics_gauges g = {.more = print_more, .connections = 3};
    struct metrics *m = metrics_new(1);
    struct record r = traced(m, 12 * MS);
    r.metrics_route = metrics_route(m, "a\"} 1\nb\\c\xff");
    r.metrics_backend = metrics_backend(m, "b");
    r.reason = REASON_UPSTREAM_TIMEOUT;
    r.limit = LIMIT_REFUSED;
    r.cache = CACHE_HIT;
    metrics_record(m, 0, &r);
    char *page = page_of(m, &g);
    ck_assert_ptr_nonnull(strstr(page, "\n# TYPE more_bytes counter\n# UNIT more_bytes bytes\n"));
    ck_assert_str_eq(behind(page, "more_bytes_total"), "7");
    ck_assert_str_eq(behind(page, "tollgate_connections"), "3");
    ck_assert_ptr_nonnull(strstr(page, "# TYPE tollgate_http_requests counter\n"));
    ck_assert_ptr_nonnull(strstr(page, "\n# UNIT process_cpu_seconds seconds\n"));
    free(page);
    metrics_free(m);
}
END_TEST

/* ---- the scale ---- */

/* The least that the page must tell apart: a hit of the cache from a fast backend from a slow one. */
START_TEST(a_tenth_of_a_millisecond_is_told_from_one)
{
    const struct metrics_scale *s = &metrics_scale_requests;
    ck_assert_uint_lt(metrics_scale_bucket(s, 100 * US), metrics_scale_bucket(s, 300 * US));
    ck_assert_uint_lt(metrics_scale_bucket(s, 300 * US), metrics_scale_bucket(s, MS));
    ck_assert_uint_lt(metrics_scale_bucket(s, MS), metrics_scale_bucket(s, 10 * MS));
    ck_assert_uint_eq(metrics_scale_bucket(s, 0), 0);
    ck_assert_uint_eq(metrics_scale_bucket(s, 100 * US), 0);
    ck_assert_uint_eq(metrics_scale_bucket(s, 100 * US + 1), 1);
    ck_assert_uint_eq(metrics_scale_bucket(s, UINT64_MAX), s->n);
}
END_TEST

static void check_scale(const struct metrics_scale *s)
{
    for (size_t i = 0; i < s->n; i++) {
        ck_assert(strtod(s->texts[i], NULL) == s->bounds[i]);
        ck_assert(i == 0 || s->bounds[i] > s->bounds[i - 1]);
    }
}

START_TEST(scales_say_what_they_are)
{
    check_scale(&metrics_scale_requests);
    check_scale(&metrics_scale_overhead);
}
END_TEST

/* ---- what is asked for ---- */

#define OM "application/openmetrics-text"

static const struct {
    const char *accept;
    enum metrics_format format;
} accepts[] = {
    {"", METRICS_TEXT},
    {"*/*", METRICS_TEXT},
    {"text/html,application/xhtml+xml,*/*;q=0.8", METRICS_TEXT},
    {OM, METRICS_OPEN},
    {"Application/OpenMetrics-Text; Version=\"1.0.0\"", METRICS_OPEN},
    {OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", METRICS_OPEN},
    {"text/plain;version=0.0.4;q=0.9," OM ";version=1.0.0;q=0.8", METRICS_TEXT},
    {"text/plain;version=0.0.4;q=0.5," OM ";version=1.0.0;q=0.5", METRICS_OPEN},
    {"text/*;q=0.9,text/plain;q=0.1," OM ";q=0.5", METRICS_OPEN},
    {"text/*;q=0.9," OM ";q=0.5", METRICS_TEXT},
    {OM ";version=0.0.1", METRICS_TEXT},
    {OM ";q=0", METRICS_TEXT},
    {OM ";q=x", METRICS_TEXT},
    {"application/openmetrics", METRICS_TEXT},
    {",;,\"" OM, METRICS_TEXT},
};

START_TEST(the_format_is_negotiated)
{
    for (size_t i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++)
        ck_assert_msg(scrape_wanted(slice_of(accepts[i].accept), SLICE("")).format == accepts[i].format, "%s",
                      accepts[i].accept);
    ck_assert_ptr_nonnull(strstr(scrape_type(METRICS_TEXT), "version=0.0.4"));
    ck_assert_ptr_nonnull(strstr(scrape_type(METRICS_OPEN), OM "; version=1.0.0"));
}
END_TEST

START_TEST(so_is_packing)
{
    ck_assert(!scrape_wanted(SLICE(""), SLICE("")).is_packed);
    ck_assert(!scrape_wanted(SLICE("gzip"), SLICE("deflate")).is_packed);
    ck_assert(!scrape_wanted(SLICE(""), SLICE("gzip;q=0, *")).is_packed);
    ck_assert(scrape_wanted(SLICE(""), SLICE("deflate, gzip")).is_packed);
    ck_assert(scrape_wanted(SLICE(""), SLICE("*")).is_packed);
    struct scrape s = {METRICS_TEXT, true};
    size_t len = 3;
    char *packed = scrape_pack(&s, strdup("abc"), &len);
    ck_assert(s.is_packed);
    ck_assert_mem_eq(packed, "\x1f\x8b", 2);
    free(packed);
    ck_assert_ptr_null(scrape_pack(&s, NULL, &len));
    ck_assert(!s.is_packed);
    len = 3;
    char *plain = scrape_pack(&s, strdup("abc"), &len);
    ck_assert_str_eq(plain, "abc");
    ck_assert_uint_eq(len, 3);
    free(plain);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("metrics_open");
    TCase *page = tcase_create("page"), *scale = tcase_create("scale"), *asked = tcase_create("asked");
    tcase_add_test(page, a_sampled_request_is_the_exemplar_of_its_bucket);
    tcase_add_test(page, the_upstream_has_its_own);
    tcase_add_test(page, others_are_none);
    tcase_add_test(page, the_youngest_of_all_workers_is_shown);
    tcase_add_test(page, every_bucket_may_have_one);
    tcase_add_test(page, families_of_others_are_in_it);
    suite_add_tcase(s, page);
    tcase_add_test(scale, a_tenth_of_a_millisecond_is_told_from_one);
    tcase_add_test(scale, scales_say_what_they_are);
    suite_add_tcase(s, scale);
    tcase_add_test(asked, the_format_is_negotiated);
    tcase_add_test(asked, so_is_packing);
    suite_add_tcase(s, asked);
    return s;
}

UNIT_MAIN(make_suite)
