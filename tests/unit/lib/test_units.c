/* test_units.c: durations, sizes, rates and percentages, both ways. */
#include "lib/units.h"
#include "tests/unit/unit.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

struct number_case {
    const char *text;
    enum units_fault fault;
    uint64_t value;
    const char *canonical; /* NULL: as TEXT */
};

static const struct number_case times[] = {
    {"0", UNITS_OK, 0, NULL},
    {"10ms", UNITS_OK, 10, NULL},
    {"1s", UNITS_OK, 1000, NULL},
    {"5m", UNITS_OK, 300000, NULL},
    {"2h", UNITS_OK, 7200000, NULL},
    {"1d", UNITS_OK, 86400000, NULL},
    {"90s", UNITS_OK, 90000, NULL},
    {"60s", UNITS_OK, 60000, "1m"},
    {"1000ms", UNITS_OK, 1000, "1s"},
    {"0s", UNITS_OK, 0, "0"},
    {"1S", UNITS_OK, 1000, "1s"},
    {"18446744073709551615ms", UNITS_OK, UINT64_MAX, NULL},
    {"18446744073709551616ms", UNITS_TOO_BIG, 0, NULL},
    {"18446744073709551615s", UNITS_TOO_BIG, 0, NULL},
    {"10", UNITS_NO_UNIT, 0, NULL},
    {"10 s", UNITS_BAD_UNIT, 0, NULL},
    {"10sec", UNITS_BAD_UNIT, 0, NULL},
    {"1.5s", UNITS_BAD_UNIT, 0, NULL},
    {"10k", UNITS_BAD_UNIT, 0, NULL},
    {"", UNITS_NO_NUMBER, 0, NULL},
    {"s", UNITS_NO_NUMBER, 0, NULL},
    {"-1s", UNITS_NO_NUMBER, 0, NULL},
    {"+1s", UNITS_NO_NUMBER, 0, NULL},
};

static const struct number_case sizes[] = {
    {"0", UNITS_OK, 0, NULL},
    {"512", UNITS_OK, 512, NULL},
    {"512b", UNITS_OK, 512, "512"},
    {"16k", UNITS_OK, 16384, NULL},
    {"16K", UNITS_OK, 16384, "16k"},
    {"16kb", UNITS_OK, 16384, "16k"},
    {"16KiB", UNITS_OK, 16384, "16k"},
    {"10m", UNITS_OK, 10485760, NULL},
    {"10MB", UNITS_OK, 10485760, "10m"},
    {"1g", UNITS_OK, 1073741824, NULL},
    {"1024", UNITS_OK, 1024, "1k"},
    {"1025", UNITS_OK, 1025, NULL},
    {"17179869183g", UNITS_OK, UINT64_MAX - 1073741823, NULL},
    {"17179869184g", UNITS_TOO_BIG, 0, NULL},
    {"1t", UNITS_BAD_UNIT, 0, NULL},
    {"1ib", UNITS_BAD_UNIT, 0, NULL},
    {"1bb", UNITS_BAD_UNIT, 0, NULL},
    {"1 k", UNITS_BAD_UNIT, 0, NULL},
    {"k", UNITS_NO_NUMBER, 0, NULL},
    {"-1", UNITS_NO_NUMBER, 0, NULL},
    {"", UNITS_NO_NUMBER, 0, NULL},
};

static void check_number(const struct number_case *c, enum units_fault (*parse)(struct slice, uint64_t *),
                         const char *(*print)(uint64_t, char *))
{
    uint64_t value = 4711;
    char out[UNITS_TEXT_MAX];
    ck_assert_msg(parse(slice_of(c->text), &value) == c->fault, "%s", c->text);
    if (c->fault) {
        ck_assert_uint_eq(value, 4711);
        return;
    }
    ck_assert_uint_eq(value, c->value);
    ck_assert_str_eq(print(value, out), c->canonical ? c->canonical : c->text);
}

START_TEST(a_time_goes_both_ways)
{
    check_number(&times[_i], units_parse_time, units_print_time);
}
END_TEST

START_TEST(a_size_goes_both_ways)
{
    check_number(&sizes[_i], units_parse_size, units_print_size);
}
END_TEST

static const struct {
    const char *text;
    enum units_fault fault;
    uint64_t count, per_ms;
    const char *canonical;
} rates[] = {
    {"100/s", UNITS_OK, 100, 1000, "100/s"},
    {"10/m", UNITS_OK, 10, 60000, "10/m"},
    {"5/h", UNITS_OK, 5, 3600000, "5/h"},
    {"1/d", UNITS_OK, 1, 86400000, "1/d"},
    {"100/10s", UNITS_OK, 100, 10000, "100/10s"},
    {"100/1s", UNITS_OK, 100, 1000, "100/s"},
    {"100/60s", UNITS_OK, 100, 60000, "100/m"},
    {"7/100ms", UNITS_OK, 7, 100, "7/100ms"},
    {"18446744073709551615/18446744073709551615ms", UNITS_OK, UINT64_MAX, UINT64_MAX,
     "18446744073709551615/18446744073709551615ms"},
    {"100", UNITS_NO_UNIT, 0, 0, NULL},
    {"100/", UNITS_BAD_UNIT, 0, 0, NULL},
    {"100/0s", UNITS_BAD_UNIT, 0, 0, NULL},
    {"100/x", UNITS_BAD_UNIT, 0, 0, NULL},
    {"100s", UNITS_BAD_UNIT, 0, 0, NULL},
    {"100/10", UNITS_BAD_UNIT, 0, 0, NULL},
    {"/s", UNITS_NO_NUMBER, 0, 0, NULL},
    {"99999999999999999999/s", UNITS_TOO_BIG, 0, 0, NULL},
    {"1/99999999999999999999s", UNITS_TOO_BIG, 0, 0, NULL},
};

START_TEST(a_rate_goes_both_ways)
{
    struct units_rate rate = {0, 0};
    char out[UNITS_TEXT_MAX];
    ck_assert_msg(units_parse_rate(slice_of(rates[_i].text), &rate) == rates[_i].fault, "%s", rates[_i].text);
    ck_assert_uint_eq(rate.count, rates[_i].count);
    ck_assert_uint_eq(rate.per_ms, rates[_i].per_ms);
    if (!rates[_i].fault)
        ck_assert_str_eq(units_print_rate(rate, out), rates[_i].canonical);
}
END_TEST

static const struct {
    const char *text;
    enum units_fault fault;
    unsigned hundredths;
    const char *canonical;
} percents[] = {
    {"50%", UNITS_OK, 5000, "50%"},
    {"0%", UNITS_OK, 0, "0%"},
    {"100%", UNITS_OK, UNITS_FULL_PERCENT, "100%"},
    {"0.5%", UNITS_OK, 50, "0.5%"},
    {"12.25%", UNITS_OK, 1225, "12.25%"},
    {"12.05%", UNITS_OK, 1205, "12.05%"},
    {"12.50%", UNITS_OK, 1250, "12.5%"},
    {"100.01%", UNITS_TOO_BIG, 0, NULL},
    {"101%", UNITS_TOO_BIG, 0, NULL},
    {"1.234%", UNITS_BAD_UNIT, 0, NULL},
    {"1.%", UNITS_BAD_UNIT, 0, NULL},
    {"50", UNITS_NO_UNIT, 0, NULL},
    {"50%%", UNITS_BAD_UNIT, 0, NULL},
    {"%", UNITS_NO_NUMBER, 0, NULL},
};

START_TEST(a_percentage_goes_both_ways)
{
    unsigned hundredths = 0;
    char out[UNITS_TEXT_MAX];
    ck_assert_msg(units_parse_percent(slice_of(percents[_i].text), &hundredths) == percents[_i].fault, "%s",
                  percents[_i].text);
    ck_assert_uint_eq(hundredths, percents[_i].hundredths);
    if (!percents[_i].fault)
        ck_assert_str_eq(units_print_percent(hundredths, out), percents[_i].canonical);
}
END_TEST

START_TEST(every_fault_has_its_words)
{
    for (int a = UNITS_NO_NUMBER; a <= UNITS_BAD_UNIT; a++)
        for (int b = a + 1; b <= UNITS_BAD_UNIT; b++)
            ck_assert_str_ne(units_fault_text((enum units_fault)a), units_fault_text((enum units_fault)b));
}
END_TEST

static Suite *units_suite(void)
{
    Suite *s = suite_create("units");
    TCase *t = tcase_create("units");
    tcase_add_loop_test(t, a_time_goes_both_ways, 0, COUNT(times));
    tcase_add_loop_test(t, a_size_goes_both_ways, 0, COUNT(sizes));
    tcase_add_loop_test(t, a_rate_goes_both_ways, 0, COUNT(rates));
    tcase_add_loop_test(t, a_percentage_goes_both_ways, 0, COUNT(percents));
    tcase_add_test(t, every_fault_has_its_words);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(units_suite)
