/* Fields of preference: parts, parameters, weights, and what is no field at all. */
#include "lib/accept.h"

#include "tests/unit/unit.h"

START_TEST(parts_come_one_by_one)
{
    struct slice field = SLICE(" text/html;Level=1 ; q=0.5 , text/plain,;q=1, a;x=\"b,c;d\\\"\";q=0.125");
    struct accept_part part;
    ck_assert(accept_next(&field, &part));
    ck_assert(slice_eq(part.name, SLICE("text/html")));
    ck_assert_uint_eq(part.quality, 500);
    ck_assert(slice_eq(accept_parameter(&part, SLICE("level")), SLICE("1")));
    ck_assert_ptr_null(accept_parameter(&part, SLICE("lev")).p);
    ck_assert(accept_next(&field, &part));
    ck_assert(slice_eq(part.name, SLICE("text/plain")));
    ck_assert_uint_eq(part.quality, ACCEPT_FULL);
    ck_assert_ptr_null(accept_parameter(&part, SLICE("level")).p);
    ck_assert(accept_next(&field, &part));
    ck_assert_uint_eq(part.name.len, 0);
    ck_assert(accept_next(&field, &part));
    ck_assert(slice_eq(part.name, SLICE("a")));
    ck_assert_uint_eq(part.quality, 125);
    ck_assert(slice_eq(accept_parameter(&part, SLICE("x")), SLICE("b,c;d\\\"")));
    ck_assert(!accept_next(&field, &part));
}
END_TEST

START_TEST(weights)
{
    static const struct {
        const char *field;
        unsigned quality;
    } cases[] = {{"a", 1000},       {"a;q=1", 1000},  {"a;q=1.000", 1000}, {"a;Q=0.7", 700},
                 {"a;q=0", 0},      {"a;q=0.001", 1}, {"a;q=2", 0},        {"a;q=", 0},
                 {"a;q=0.1234", 0}, {"a;q=.5", 0},    {"a;q=0.x", 0},      {"b, *;q=0.3", 0},
                 {"b", 0},          {"", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(accept_quality(slice_of(cases[i].field), SLICE("a"), SLICE("")) == cases[i].quality,
                      "%s", cases[i].field);
    ck_assert_uint_eq(accept_quality(SLICE("b, *;q=0.3"), SLICE("a"), SLICE("*")), 300);
    ck_assert_uint_eq(accept_quality(SLICE("*;q=0.3, A;q=0.1"), SLICE("a"), SLICE("*")), 100);
}
END_TEST

/* Every cut of a field with everything in it ends, within its bytes. */
START_TEST(any_bytes)
{
    const char whole[] = "a;b=\"\\\"\\;,\",;;q=1;q=\x80,\"\\";
    for (size_t from = 0; from < sizeof(whole); from++)
        for (size_t to = from; to < sizeof(whole); to++) {
            char *copy = malloc(to - from + 1); /* of this size, for the sanitizer */
            memcpy(copy, whole + from, to - from);
            struct slice field = {copy, to - from};
            struct accept_part part;
            unsigned n = 0;
            while (accept_next(&field, &part)) {
                ck_assert_uint_le(part.quality, ACCEPT_FULL);
                struct slice value = accept_parameter(&part, SLICE("b"));
                ck_assert_uint_le(value.len, to - from);
                n++;
            }
            ck_assert_uint_le(n, to - from);
            free(copy);
        }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("accept");
    TCase *c = tcase_create("fields");
    tcase_add_test(c, parts_come_one_by_one);
    tcase_add_test(c, weights);
    tcase_add_test(c, any_bytes);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
