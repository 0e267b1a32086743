/* A page of the older format becomes one of OpenMetrics; and the reader that judges it judges. */
#include "gateway/openmetrics.h"

#include "tests/unit/gateway/openmetrics_grammar.h"
#include "tests/unit/unit.h"

static void expect(const char *text, const char *wanted)
{
    size_t len;
    char *page = openmetrics_of(text, strlen(text), &len);
    ck_assert_str_eq(page, wanted);
    ck_assert_uint_eq(len, strlen(wanted));
    free(page);
}

START_TEST(counters_lose_their_ending)
{
    expect("# HELP a_total How many.\n# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\n",
           "# TYPE a counter\n# HELP a How many.\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\n# EOF\n");
    expect("# HELP b_total Not a counter.\n# TYPE b_total gauge\nb_total 2\n",
           "# TYPE b_total gauge\n# HELP b_total Not a counter.\nb_total 2\n# EOF\n");
}
END_TEST

START_TEST(units_are_told)
{
    expect("# HELP a_seconds_total X.\n# TYPE a_seconds_total counter\na_seconds_total 2\n",
           "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds X.\na_seconds_total 2\n"
           "# EOF\n");
    expect("# TYPE b_bytes gauge\nb_bytes 2\n",
           "# TYPE b_bytes gauge\n# UNIT b_bytes bytes\nb_bytes 2\n# EOF\n");
    expect("# TYPE kilobytes gauge\n# TYPE bytes gauge\n",
           "# TYPE kilobytes gauge\n# TYPE bytes gauge\n# EOF\n");
}
END_TEST

START_TEST(texts_and_types)
{
    expect("# HELP a Say \"a\\\\b\\nc\".\n# TYPE a untyped\na 1\n",
           "# TYPE a unknown\n# HELP a Say \\\"a\\\\b\\nc\\\".\na 1\n# EOF\n");
    expect("# HELP a Of a.\n# TYPE b gauge\nb 1\n", "# TYPE b gauge\nb 1\n# EOF\n");
}
END_TEST

START_TEST(the_rest_goes)
{
    expect("", "# EOF\n");
    expect("\n# a comment\n#\na 1\n", "a 1\n# EOF\n");
    expect("a_bucket{le=\"1.0\"} 1 # {t=\"x\"} 0.5", "a_bucket{le=\"1.0\"} 1 # {t=\"x\"} 0.5\n# EOF\n");
    expect("# TYPE", "# EOF\n");
    expect("# TYPE \n# HELP \n", "# TYPE  \n# EOF\n");
}
END_TEST

/* ---- the reader ---- */

#define H "# TYPE h histogram\n"

static const struct {
    const char *page;
    bool is_good;
} pages[] = {
    {"# EOF\n", true},
    {"# TYPE a counter\n# HELP a X.\na_total{b=\"c\\n\\\"\\\\\",d=\"\"} 1\n# EOF\n", true},
    {"# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes -1.5e+03\n# EOF\n", true},
    {H "h_bucket{le=\"1.0\"} 1 # {t=\"x\"} 0.5 17.5\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 3.5\n# EOF\n",
     true},
    {"", false},
    {"# EOF", false},
    {"# EOF\n\n", false},
    {"# EOF\na 1\n", false},
    {"\n# EOF\n", false},
    {"# TYPE a gauge\na 1\r\n# EOF\n", false},
    {"# a comment\n# EOF\n", false},
    {"# TYPE a counter\na 1\n# EOF\n", false},
    {"# TYPE a counter\na_total -1\n# EOF\n", false},
    {"# TYPE a gauge\nb 1\n# EOF\n", false},
    {"# TYPE a gauge\na 1\n# TYPE b gauge\n# TYPE a gauge\n# EOF\n", false},
    {"# TYPE a gauge\n# TYPE a gauge\n# EOF\n", false},
    {"# TYPE a gauge\na 1\n# HELP a X.\n# EOF\n", false},
    {"# TYPE a unheard\n# EOF\n", false},
    {"# HELP a Bare \" quote.\n# EOF\n", false},
    {"# TYPE a gauge\n# UNIT a bytes\n# EOF\n", false},
    {"# TYPE a gauge\na 1\na 2\n# EOF\n", false},
    {"# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n", false},
    {"# TYPE a gauge\na{b=\"1\",} 1\n# EOF\n", false},
    {"# TYPE a gauge\na{b=\"\\x\"} 1\n# EOF\n", false},
    {"# TYPE a gauge\na{1=\"x\"} 1\n# EOF\n", false},
    {"# TYPE a gauge\na  1\n# EOF\n", false},
    {"# TYPE a gauge\na one\n# EOF\n", false},
    {"# TYPE a gauge\na 1 # {t=\"x\"} 1\n# EOF\n", false},
    {H "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 1\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 3\nh_bucket{le=\"+Inf\"} 2\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"0.5\"} 2\nh_bucket{le=\"+Inf\"} 2\n# EOF\n", false},
    {H "h_bucket{le=\"+Inf\"} 2\nh_count 3\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 1 # {t=\"x\"} 1.5\nh_bucket{le=\"+Inf\"} 2\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2 # {t=\"x\"} 1.0\n# EOF\n", false},
    {H "h_bucket{le=\"1.0\"} 1 # \nh_bucket{le=\"+Inf\"} 2\n# EOF\n", false},
};

START_TEST(the_reader_judges)
{
    char fault[OPENMETRICS_FAULT];
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        ck_assert_msg(openmetrics_is_good(pages[i].page, fault) == pages[i].is_good, "%s (%s)", pages[i].page,
                      fault);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("openmetrics");
    TCase *c = tcase_create("pages");
    tcase_add_test(c, counters_lose_their_ending);
    tcase_add_test(c, units_are_told);
    tcase_add_test(c, texts_and_types);
    tcase_add_test(c, the_rest_goes);
    tcase_add_test(c, the_reader_judges);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
