/* test_http_date.c: the three forms, what is none of them, and there and back. */
#include "lib/http_date.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#include <time.h>

#define NOW INT64_C(1795000000) /* November 2026 */

static const struct good {
    const char *text;
    int64_t seconds;
} goods[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},     /* it was a Sunday */
    {"Saturday, 01-Jan-76 00:00:00 GMT", 3345062400}, /* 50 years ahead is still ahead */
    {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},  /* 51 are not: 1977 */
    {"Saturday, 01-Jan-00 00:00:00 GMT", 946684800},
};

START_TEST(three_forms_are_read)
{
    int64_t t = -7;
    ck_assert_msg(http_date_parse(slice_of(goods[_i].text), NOW, &t), "%s", goods[_i].text);
    ck_assert_msg(t == goods[_i].seconds, "%s is %lld", goods[_i].text, (long long)t);
}
END_TEST

static const char *const bads[] = {
    "",
    "0",
    "-1",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 06 Nov 0000 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun, 06 Nov 1994 08:49:3x GMT",
    "Thu, 18 Aug 2050 02:01:18 EDT",
};

START_TEST(other_forms_are_not)
{
    int64_t t;
    ck_assert_msg(!http_date_parse(slice_of(bads[_i]), NOW, &t), "%s", bads[_i]);
}
END_TEST

START_TEST(there_and_back)
{
    struct random r;
    random_seed_with(&r, 11);
    for (int i = 0; i < 100000; i++) {
        char text[HTTP_DATE_LEN + 1], reference[64];
        int64_t back,
            t = (int64_t)random_below(random_next(&r), INT64_C(253402300799) + 62135596800) - 62135596800;
        struct tm tm;
        time_t system = (time_t)t;
        http_date_format(t, text);
        ck_assert_ptr_nonnull(gmtime_r(&system, &tm));
        strftime(reference, sizeof(reference), "%a, %d %b ", &tm);
        ck_assert_msg(strncmp(text, reference, 12) == 0, "%s and %s", text, reference);
        ck_assert_int_eq(atoi(text + 12), tm.tm_year + 1900);
        ck_assert_msg(http_date_parse(slice_of(text), NOW, &back) && back == t, "%s: %lld is not %lld", text,
                      (long long)back, (long long)t);
    }
}
END_TEST

START_TEST(what_is_out_of_range_is_the_nearest)
{
    char text[HTTP_DATE_LEN + 1];
    http_date_format(INT64_MAX, text);
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_format(INT64_MIN, text);
    ck_assert_str_eq(text, "Mon, 01 Jan 0001 00:00:00 GMT");
}
END_TEST

static Suite *http_date_suite(void)
{
    Suite *s = suite_create("http_date");
    TCase *t = tcase_create("http_date");
    tcase_add_loop_test(t, three_forms_are_read, 0, (int)(sizeof(goods) / sizeof(goods[0])));
    tcase_add_loop_test(t, other_forms_are_not, 0, (int)(sizeof(bads) / sizeof(bads[0])));
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, what_is_out_of_range_is_the_nearest);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(http_date_suite)
