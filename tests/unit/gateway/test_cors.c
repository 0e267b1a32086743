/* test_cors.c: which origins a pattern means; what a section cors and lists of networks refuse. */
#include "gateway/cors.h"
#include "tests/unit/gateway/conf_cases.h"
#include "tests/unit/unit.h"

static const struct origin_case {
    const char *pattern, *origin;
    bool is;
} origins[] = {
    {"https://a.example", "https://a.example", true},
    {"https://a.example", "HTTPS://A.example", true},
    {"https://a.example", "http://a.example", false},
    {"https://a.example", "https://a.example:443", false},
    {"https://a.example", "https://a.example.evil", false},
    {"https://a.example", "", false},
    {"https://*.a.example", "https://b.a.example", true},
    {"https://*.a.example", "https://c.b.a.example", true},
    {"https://*.a.example", "https://a.example", false},
    {"https://*.a.example", "https://.a.example", false},
    {"https://*.a.example", "https://evila.example", false},
    {"https://*.a.example", "http://b.a.example", false},
    {"https://*.a.example", "https://b.a.example:8443", false},
    {"https://*.a.example", "https://evil.example/.a.example", false},
    {"https://*.a.example", "https://evil.example:80.a.example", false},
    {"https://*.a.example", "https://user@b.a.example", false},
    {"https://*.a.example:8443", "https://b.a.example:8443", true},
    {"*", "https://any.example", true},
    {"*", "null", true},
    {"null", "null", true},
    {"https://a.example", "null", false},
};

START_TEST(a_pattern_means_its_origins_only)
{
    const struct origin_case *c = &origins[_i];
    ck_assert_msg(cors_origin_is(c->pattern, slice_of(c->origin)) == c->is, "%s and %s", c->pattern,
                  c->origin);
}
END_TEST

static const struct conf_case cases[] = {
    {"route \"/x\" { backend = b cors { } }", "1: cors needs origins\n", true},
    {"route \"/x\" { backend = b cors { origins = {\"*\"} credentials = yes } }",
     "1: credentials do not go with the origin \"*\": any page could act for its visitor\n", true},
    {"route \"/x\" { backend = b cors { origins = {\"a.example\", \"https://a.example/\", \"Https://a\", "
     "\"https://a.*.b\"} } }",
     "1: origins: 'a.example' is no origin, such as https://app.example.com or https://*.example.com\n"
     "1: origins: 'https://a.example/' has a path or a slash at its end: an origin has none\n"
     "1: origins: 'Https://a' does not begin with a scheme in lower case\n"
     "1: origins: '*' cannot stand in the name of a host\n",
     true},
    {"route \"/x\" { backend = b cors { origins = \"null\" methods = \"A B\" headers = {\"X-A\", \"b:\"} } }",
     "1: methods: 'A B' is no name\n1: headers: 'b:' is no name\n", true},
    {"allow = {\"10.0.0.0/8\"}\ndeny = {\"10.0.0.0/8\"}", "2: deny: a network is in both allow and deny\n",
     true},
    {"deny = {\"10.0.0.1/8\"}", "1: deny: 10.0.0.1/8 has bits behind its prefix; the block is 10.0.0.0/8\n",
     true},
};

START_TEST(mistakes_are_told_exactly)
{
    conf_check_case(&cases[_i]);
}
END_TEST

static Suite *cors_suite(void)
{
    Suite *s = suite_create("cors");
    TCase *t = tcase_create("cors");
    tcase_add_unchecked_fixture(t, conf_cases_begin, conf_cases_end);
    tcase_add_loop_test(t, a_pattern_means_its_origins_only, 0, (int)(sizeof(origins) / sizeof(origins[0])));
    tcase_add_loop_test(t, mistakes_are_told_exactly, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(cors_suite)
