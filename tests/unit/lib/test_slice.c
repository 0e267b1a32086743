/* test_slice.c: pointer and length (lib/slice). */
#include <stdio.h>

#include "lib/slice.h"
#include "tests/unit/unit.h"

static const struct slice nothing = {NULL, 0};

START_TEST(equality)
{
    ck_assert(slice_eq(SLICE("ab"), SLICE("ab")));
    ck_assert(!slice_eq(SLICE("ab"), SLICE("abc")));
    ck_assert(!slice_eq(SLICE("ab"), SLICE("aB")));
    ck_assert(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    ck_assert(!slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    ck_assert(slice_eq(nothing, SLICE("")));
    ck_assert(slice_eq(slice_of(NULL), slice_of("")));
}
END_TEST

START_TEST(equality_without_case_is_ascii_only)
{
    ck_assert(slice_eq_nocase(SLICE("Content-LENGTH"), SLICE("content-length")));
    ck_assert(slice_eq_nocase(SLICE("AZaz09"), SLICE("azAZ09")));
    ck_assert(!slice_eq_nocase(SLICE("@"), SLICE("`")));
    ck_assert(!slice_eq_nocase(SLICE("["), SLICE("{")));
    ck_assert(!slice_eq_nocase(SLICE("\xC4"), SLICE("\xE4")));
    ck_assert(!slice_eq_nocase(SLICE("a"), SLICE("ab")));
    ck_assert(slice_eq_nocase(nothing, SLICE("")));
}
END_TEST

START_TEST(ends)
{
    ck_assert(slice_starts(SLICE("abc"), SLICE("ab")));
    ck_assert(slice_starts(SLICE("abc"), nothing));
    ck_assert(!slice_starts(SLICE("ab"), SLICE("abc")));
    ck_assert(slice_ends(SLICE("abc"), SLICE("bc")));
    ck_assert(slice_ends(nothing, nothing));
    ck_assert(!slice_ends(SLICE("abc"), SLICE("ab")));
    ck_assert(!slice_ends(SLICE("bc"), SLICE("abc")));
    ck_assert(slice_eq(slice_skip(SLICE("abc"), 2), SLICE("c")));
    ck_assert(slice_eq(slice_skip(SLICE("abc"), 3), SLICE("")));
    ck_assert(slice_eq(slice_skip(SLICE("abc"), SIZE_MAX), SLICE("")));
}
END_TEST

START_TEST(trim_takes_spaces_and_tabs)
{
    ck_assert(slice_eq(slice_trim(SLICE(" \ta b\t ")), SLICE("a b")));
    ck_assert(slice_eq(slice_trim(SLICE("\r\n")), SLICE("\r\n")));
    ck_assert_uint_eq(slice_trim(SLICE(" \t ")).len, 0);
    ck_assert_uint_eq(slice_trim(nothing).len, 0);
}
END_TEST

START_TEST(find_the_first)
{
    ck_assert_int_eq(slice_find(SLICE("abcb"), 'b'), 1);
    ck_assert_int_eq(slice_find(SLICE("abc"), 'd'), -1);
    ck_assert_int_eq(slice_find(SLICE("a\0b"), '\0'), 1);
    ck_assert_int_eq(slice_find(nothing, 'a'), -1);
}
END_TEST

START_TEST(tokens_of_a_list)
{
    struct slice rest = SLICE(" ,a, b c ,,\t,d,");
    struct slice token = nothing;
    ck_assert(slice_next_token(&rest, &token) && slice_eq(token, SLICE("a")));
    ck_assert(slice_next_token(&rest, &token) && slice_eq(token, SLICE("b c")));
    ck_assert(slice_next_token(&rest, &token) && slice_eq(token, SLICE("d")));
    ck_assert(!slice_next_token(&rest, &token));
    ck_assert(!slice_next_token(&rest, &token));
    rest = nothing;
    ck_assert(!slice_next_token(&rest, &token));
}
END_TEST

static const struct {
    struct slice text;
    uint64_t max;
    bool ok;
    uint64_t value;
} numbers[] = {
    {SLICE("0"), 0, true, 0},
    {SLICE("000000000000000000000000000007"), 9, true, 7},
    {SLICE("18446744073709551615"), UINT64_MAX, true, UINT64_MAX},
    {SLICE("18446744073709551616"), UINT64_MAX, false, 0},
    {SLICE("18446744073709551617"), 5, false, 0},
    {SLICE("99999999999999999999999"), UINT64_MAX, false, 0},
    {SLICE("99999999999999999999999"), 5, false, 0},
    {SLICE("100"), 100, true, 100},
    {SLICE("101"), 100, false, 0},
    {SLICE("7"), 5, false, 0},
    {SLICE("77"), 5, false, 0},
    {SLICE(""), 9, false, 0},
    {SLICE("+1"), 9, false, 0},
    {SLICE("-1"), 9, false, 0},
    {SLICE(" 1"), 9, false, 0},
    {SLICE("1 "), 9, false, 0},
    {SLICE("0x1"), 9, false, 0},
    {SLICE("1\0"), 99, false, 0},
    {SLICE("\xB1"), 99, false, 0},
    {{NULL, 0}, 9, false, 0},
};

START_TEST(numbers_are_digits_within_a_limit)
{
    uint64_t value = 12345;
    ck_assert_msg(slice_to_u64(numbers[_i].text, numbers[_i].max, &value) == numbers[_i].ok, "case %d", _i);
    ck_assert_uint_eq(value, numbers[_i].ok ? numbers[_i].value : 12345);
}
END_TEST

/* Against a plain sum, for all short texts of digits around a small limit. */
START_TEST(numbers_agree_with_a_sum)
{
    char text[8];
    for (uint64_t max = 0; max < 120; max++)
        for (int n = 0; n < 1300; n++) {
            uint64_t value = 0;
            int len = snprintf(text, sizeof(text), "%d", n);
            bool ok = slice_to_u64((struct slice){text, (size_t)len}, max, &value);
            ck_assert(ok == ((uint64_t)n <= max) && (!ok || value == (uint64_t)n));
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("slice");
    TCase *t = tcase_create("slice");
    tcase_add_test(t, equality);
    tcase_add_test(t, equality_without_case_is_ascii_only);
    tcase_add_test(t, ends);
    tcase_add_test(t, trim_takes_spaces_and_tabs);
    tcase_add_test(t, find_the_first);
    tcase_add_test(t, tokens_of_a_list);
    tcase_add_loop_test(t, numbers_are_digits_within_a_limit, 0, (int)(sizeof(numbers) / sizeof(numbers[0])));
    tcase_add_test(t, numbers_agree_with_a_sum);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
