/* test_http_range.c: ranges that are asked for, and those that an answer has. */
#include "lib/http_range.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* As text: "0-9,95-99", "whole" or "none". */
static const char *read_as_text(const char *value, uint64_t length)
{
    static char text[512];
    struct http_range r[HTTP_RANGES_MAX];
    size_t n, at = 0;
    switch (http_range_read(slice_of(value), length, r, &n)) {
    case HTTP_RANGE_WHOLE:
        return "whole";
    case HTTP_RANGE_UNSATISFIABLE:
        return "none";
    case HTTP_RANGE_PARTS:
        break;
    }
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu-%llu", i ? "," : "",
                               (unsigned long long)r[i].first, (unsigned long long)r[i].last);
    return text;
}

static const struct {
    const char *value;
    uint64_t length;
    const char *want;
} cases[] = {
    {"bytes=0-9", 100, "0-9"},
    {"Bytes=0-9", 100, "0-9"},
    {"bytes=90-", 100, "90-99"},
    {"bytes=-5", 100, "95-99"},
    {"bytes=-500", 100, "0-99"},
    {"bytes=0-999", 100, "0-99"},
    {"bytes=0-9, -5", 100, "0-9,95-99"},
    {"bytes= 0-9 ,, 20-29 ", 100, "0-9,20-29"},
    {"bytes=50-59,0-9", 100, "50-59,0-9"},
    {"bytes=0-9,200-300", 100, "0-9"},
    {"bytes=0-49,50-99", 100, "0-49,50-99"},
    {"bytes=0-99,0-0", 100, "whole"},
    {"bytes=9-0", 100, "whole"},
    {"bytes=", 100, "whole"},
    {"bytes=,", 100, "whole"},
    {"bytes=-", 100, "whole"},
    {"bytes=a-9", 100, "whole"},
    {"bytes=0-9x", 100, "whole"},
    {"bytes=0-9;20-29", 100, "whole"},
    {"bytes 0-9", 100, "whole"},
    {"bits=0-9", 100, "whole"},
    {"", 100, "whole"},
    {"bytes=99999999999999999999-", 100, "whole"},
    {"bytes=100-", 100, "none"},
    {"bytes=-0", 100, "none"},
    {"bytes=0-0", 0, "none"},
    {"bytes=-1", 0, "none"},
    {"bytes=9223372036854775807-9223372036854775807", 100, "none"},
    {"bytes=0-9223372036854775807", INT64_MAX, "0-9223372036854775806"},
    {"bytes=0-,0-,0-,0-", INT64_MAX, "whole"},
};

START_TEST(ranges_are_read)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got = read_as_text(cases[i].value, cases[i].length);
        ck_assert_msg(strcmp(got, cases[i].want) == 0, "%s of %llu: %s", cases[i].value,
                      (unsigned long long)cases[i].length, got);
    }
}
END_TEST

START_TEST(too_many_are_none)
{
    char text[256] = "bytes=";
    for (int i = 0; i < HTTP_RANGES_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%d-%d", i ? "," : "", i, i);
    ck_assert_str_ne(read_as_text(text, 100), "whole");
    strcat(text, ",50-50");
    ck_assert_str_eq(read_as_text(text, 100), "whole");
}
END_TEST

START_TEST(content_ranges_are_read)
{
    static const char *const bad[] = {"bytes 4-9/*",  "bytes */10", "bytes 9-4/10", "bytes 4-10/10", "4-9/10",
                                      "bytes=4-9/10", "bytes 4-9",  "bytes x-9/10", "bytes 4/9-10",  ""};
    struct http_range r;
    uint64_t length;
    ck_assert(http_range_read_content(SLICE("bytes 4-9/10"), &r, &length));
    ck_assert(r.first == 4 && r.last == 9 && length == 10);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!http_range_read_content(slice_of(bad[i]), &r, &length), "%s", bad[i]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http_range");
    TCase *t = tcase_create("http_range");
    tcase_add_test(t, ranges_are_read);
    tcase_add_test(t, too_many_are_none);
    tcase_add_test(t, content_ranges_are_read);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
