/* test_admin_query.c: paths and queries of the admin port, good and hostile. */
#include "gateway/admin_query.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct admin_query query;
static char text[8192], sentence[ADMIN_WHY_MAX];
static struct buf why;

static bool parse(const char *raw)
{
    ck_assert_uint_lt(strlen(raw), sizeof(text));
    strcpy(text, raw);
    buf_init(&why, sentence, sizeof(sentence));
    return admin_query_parse(&query, text, &why);
}

static const char *told(void)
{
    const char *p = buf_cstr(&why);
    ck_assert_ptr_nonnull(p);
    return p;
}

START_TEST(parameters_lose_their_escapes)
{
    ck_assert(parse("backend=a+b%20c&&url=http%3A%2F%2Fx%2f%3Fa%3D1%26b&flag&=v&empty="));
    ck_assert_uint_eq(query.n, 5);
    ck_assert_str_eq(admin_query_get(&query, "backend"), "a b c");
    ck_assert_str_eq(admin_query_get(&query, "url"), "http://x/?a=1&b");
    ck_assert_str_eq(admin_query_get(&query, "flag"), "");
    ck_assert_str_eq(admin_query_get(&query, "empty"), "");
    ck_assert_str_eq(admin_query_get(&query, ""), "v");
    ck_assert_ptr_null(admin_query_get(&query, "back"));
    ck_assert(parse("") && query.n == 0);
    ck_assert(admin_query_parse(&query, NULL, &why) && query.n == 0);
}
END_TEST

START_TEST(a_name_may_be_escaped_and_is_then_the_same)
{
    ck_assert(parse("st%61te=open"));
    ck_assert_str_eq(admin_query_get(&query, "state"), "open");
    ck_assert(!parse("state=open&st%61te=auto"));
    ck_assert_str_eq(told(), "the parameter 'state' is there twice");
}
END_TEST

static const char *const bad_escapes[] = {"a=%", "a=%1", "a=%g1", "a=%1g", "a=%00", "%00=a", "%=a", "a=b%"};

START_TEST(a_bad_escape_is_refused)
{
    ck_assert(!parse(bad_escapes[_i]));
    ck_assert_ptr_nonnull(strstr(told(), "escape"));
}
END_TEST

START_TEST(too_many_are_refused)
{
    char raw[64 * 8] = "";
    for (int i = 0; i < ADMIN_QUERY_MAX; i++)
        sprintf(raw + strlen(raw), "p%d=1&", i);
    ck_assert(parse(raw));
    strcat(raw, "more=1");
    ck_assert(!parse(raw));
    ck_assert_str_eq(told(), "there are more than 16 parameters");
}
END_TEST

START_TEST(what_is_not_known_is_named)
{
    ck_assert(parse("state=open&backend=b"));
    ck_assert(admin_query_check(&query, "backend state", &why));
    ck_assert(parse(""));
    ck_assert(admin_query_check(&query, "", &why));
    ck_assert(parse("weigth=5"));
    ck_assert(!admin_query_check(&query, "backend server drain weight", &why));
    ck_assert_str_eq(told(),
                     "there is no parameter 'weigth'; there are: backend server drain weight; did you "
                     "mean 'weight'?");
    ck_assert(parse("x=1"));
    ck_assert(!admin_query_check(&query, "", &why));
    ck_assert_str_eq(told(), "there is no parameter 'x'; there are: none");
    ck_assert(parse("sta=1"));
    ck_assert(!admin_query_check(&query, "backend state", &why));
    ck_assert(parse("=1"));
    ck_assert(!admin_query_check(&query, "backend state", &why));
}
END_TEST

/* The sentence has room for any name and all that a page may know. */
START_TEST(a_long_name_is_cut)
{
    char raw[4096];
    memset(raw, 'n', sizeof(raw) - 1);
    raw[sizeof(raw) - 1] = '\0';
    ck_assert(parse(raw));
    ck_assert(!admin_query_check(&query, "backend state", &why));
    ck_assert_uint_lt(strlen(told()), 128);
}
END_TEST

START_TEST(a_pattern_stands_for_one_segment)
{
    ck_assert(admin_path_matches("/traces", "/traces"));
    ck_assert(!admin_path_matches("/traces", "/traces/"));
    ck_assert(!admin_path_matches("/traces", "/trace"));
    ck_assert(admin_path_matches("/traces/{id}", "/traces/4bf9"));
    ck_assert(!admin_path_matches("/traces/{id}", "/traces/"));
    ck_assert(!admin_path_matches("/traces/{id}", "/traces"));
    ck_assert(!admin_path_matches("/traces/{id}", "/traces/a/b"));
    ck_assert(!admin_path_matches("/traces/{id}", "/tracks/4bf9"));
}
END_TEST

static Suite *admin_query_suite(void)
{
    Suite *s = suite_create("admin_query");
    TCase *t = tcase_create("admin_query");
    tcase_add_test(t, parameters_lose_their_escapes);
    tcase_add_test(t, a_name_may_be_escaped_and_is_then_the_same);
    tcase_add_loop_test(t, a_bad_escape_is_refused, 0, sizeof(bad_escapes) / sizeof(bad_escapes[0]));
    tcase_add_test(t, too_many_are_refused);
    tcase_add_test(t, what_is_not_known_is_named);
    tcase_add_test(t, a_long_name_is_cut);
    tcase_add_test(t, a_pattern_stands_for_one_segment);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(admin_query_suite)
