/* test_cache_control.c: what each form of Cache-Control says, and that the odd ones err to the safe side. */
#include "lib/cache_control.h"
#include "tests/unit/unit.h"

static struct cache_control read_fields(const char *const *values, size_t n)
{
    struct http_field at[8];
    struct cache_control cc;
    for (size_t i = 0; i < n; i++)
        at[i] = (struct http_field){SLICE("cAcHe-CoNtRoL"), slice_of(values[i])};
    cache_control_read((struct http_fields){at, n}, SLICE("Cache-Control"), &cc);
    return cc;
}

static struct cache_control read_one(const char *value)
{
    return read_fields(&value, 1);
}

static const struct {
    const char *value;
    uint32_t says;
} flags[] = {
    {"", 0},
    {" , ,", 0},
    {"no-store", CC_NO_STORE},
    {"No-StOrE", CC_NO_STORE},
    {"no-store=x y", CC_NO_STORE},
    {"no-storex", 0},
    {"no_store", 0},
    {"foo=\"no-store, private\", public", CC_PUBLIC},
    {"foo=\"a\\\"b, no-store\"", 0},
    {"foo=\"never ends, no-store", CC_NO_STORE},
    {"no-store;x", CC_NO_STORE},
    {"public x", 0},
    {"public, no-store", CC_PUBLIC | CC_NO_STORE},
    {"private", CC_PRIVATE},
    {"private=\"a\"", CC_PRIVATE_FIELDS},
    {"private=\"\"", CC_PRIVATE},
    {"private=\"a b\"", CC_PRIVATE},
    {"private=\"a\", private", CC_PRIVATE},
    {"private=a", CC_PRIVATE_FIELDS},
    {"no-cache", CC_NO_CACHE},
    {"no-cache=\"Set-Cookie, a\"", CC_NO_CACHE_FIELDS},
    {"no-cache=\"a\\b\"", CC_NO_CACHE},
    {"no-cache=\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\"", CC_NO_CACHE},
    {"must-revalidate, proxy-revalidate", CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE},
    {"must-understand, immutable, no-transform", CC_MUST_UNDERSTAND | CC_IMMUTABLE | CC_NO_TRANSFORM},
    {"only-if-cached", CC_ONLY_IF_CACHED},
    {"max-stale", CC_MAX_STALE},
    {"no-store,", CC_NO_STORE},
    {"\tno-store\t,public", CC_NO_STORE | CC_PUBLIC},
};

START_TEST(flags_are_read)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct cache_control cc = read_one(flags[i].value);
        ck_assert_msg(cc.says == flags[i].says, "%s: %x instead of %x", flags[i].value, cc.says,
                      flags[i].says);
        ck_assert(cc.is_there);
    }
}
END_TEST

static const struct {
    const char *value;
    int64_t max_age;
} ages[] = {
    {"max-age=60", 60},
    {"MaX-aGe=60", 60},
    {"max-age=\"60\"", 60},
    {"max-age=0060", 60},
    {"max-age=0", 0},
    {"max-age", 0},
    {"max-age=", 0},
    {"max-age= 60", 0},
    {"max-age =60", 0},
    {"max-age='60'", 0},
    {"max-age=-60", 0},
    {"max-age=60.0", 0},
    {"max-age=60x", 0},
    {"max-age=x60", 0},
    {"max-age=\"60", 0},
    {"max-age=\"6\\0\"", 0},
    {"max-age=60, max-age=1", 1},
    {"max-age=1, max-age=60", 1},
    {"x=\"max-age=1\", max-age=60", 60},
    {"max-age=60, x=\"max-age=1\"", 60},
    {"x-max-age=1, max-age=60", 60},
    {"max-age=2147483648", INT64_C(2147483648)},
    {"max-age=99999999999", INT64_C(99999999999)},
    {"max-age=99999999999999999999999999", CC_FOREVER},
};

START_TEST(times_are_read)
{
    for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
        struct cache_control cc = read_one(ages[i].value);
        ck_assert_msg(cc.says & CC_MAX_AGE, "%s", ages[i].value);
        ck_assert_msg(cc.max_age_s == ages[i].max_age, "%s: %lld", ages[i].value, (long long)cc.max_age_s);
    }
}
END_TEST

START_TEST(each_time_goes_where_it_belongs)
{
    struct cache_control cc = read_one("s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4, "
                                       "max-stale=5, min-fresh=6");
    ck_assert_int_eq(cc.s_maxage_s, 1);
    ck_assert_int_eq(cc.max_age_s, 2);
    ck_assert_int_eq(cc.stale_while_revalidate_s, 3);
    ck_assert_int_eq(cc.stale_if_error_s, 4);
    ck_assert_int_eq(cc.max_stale_s, 5);
    ck_assert_int_eq(cc.min_fresh_s, 6);
    ck_assert_int_eq(read_one("max-stale").max_stale_s, CC_FOREVER);
    ck_assert_int_eq(read_one("max-stale=x").max_stale_s, 0);
    ck_assert_int_eq(read_one("max-stale, max-stale=7").max_stale_s, 7);
    ck_assert_int_eq(read_one("min-fresh=1, min-fresh=9").min_fresh_s, 9);
    ck_assert_int_eq(read_one("min-fresh=x").min_fresh_s, CC_FOREVER);
}
END_TEST

START_TEST(several_fields_are_one)
{
    static const char *const values[] = {"max-age=60", "private", "max-age=9"};
    struct cache_control cc = read_fields(values, 3);
    ck_assert_uint_eq(cc.says, CC_MAX_AGE | CC_PRIVATE);
    ck_assert_int_eq(cc.max_age_s, 9);
    cc = read_fields(values, 0);
    ck_assert(!cc.is_there && cc.says == 0);
}
END_TEST

START_TEST(names_are_found)
{
    struct cache_control cc = read_one("private=\"A , b\", no-cache=\"c\"");
    ck_assert_uint_eq(cc.nnames, 3);
    ck_assert(cache_control_names(&cc, SLICE("a")) && cache_control_names(&cc, SLICE("B")));
    ck_assert(cache_control_names(&cc, SLICE("c")) && !cache_control_names(&cc, SLICE("d")));
}
END_TEST

static bool read_targeted(const char *value, struct cache_control *cc)
{
    struct http_field at[] = {{SLICE("CDN-Cache-Control"), slice_of(value)}};
    return cache_control_read_targeted((struct http_fields){at, 1}, SLICE("cdn-cache-control"), cc);
}

static const struct {
    const char *value;
    bool is_good;
    uint32_t says;
    int64_t max_age;
} targeted[] = {
    {"max-age=60", true, CC_MAX_AGE, 60},
    {"max-age=60,no-store", true, CC_MAX_AGE | CC_NO_STORE, 60},
    {"max-age=60 \t,\t no-store", true, CC_MAX_AGE | CC_NO_STORE, 60},
    {"max-age=60;a;b=1;c=\"x\";d=?0;e=:YQ==:;f=1.5;g=*t/k:", true, CC_MAX_AGE, 60},
    {"a=(1 2 \"x\";y), max-age=60", true, CC_MAX_AGE, 60},
    {"a=(), no-store", true, CC_NO_STORE, 0},
    {"no-store=?0", true, 0, 0},
    {"no-store=?1", true, CC_NO_STORE, 0},
    {"no-store=1", true, 0, 0},
    {"private=\"a\", no-cache", true, CC_PRIVATE_FIELDS | CC_NO_CACHE, 0},
    {"max-age=999999999999999", true, CC_MAX_AGE, INT64_C(999999999999999)},
    {"max-age=\"60\"", true, 0, 0},
    {"max-age=60.0", true, 0, 0},
    {"max-age=-1", true, 0, 0},
    {"max-age=60, max-age=9", true, CC_MAX_AGE, 9},
    {"foo", true, 0, 0},
    {"MaX-aGe=60", false, 0, 0},
    {"max-age =60", false, 0, 0},
    {"max-age= 60", false, 0, 0},
    {"max-age=60, &&&", false, 0, 0},
    {"max-age=60,", false, 0, 0},
    {",max-age=60", false, 0, 0},
    {"max-age=60 no-store", false, 0, 0},
    {"max-age=1234567890123456", false, 0, 0},
    {"max-age=1.2345", false, 0, 0},
    {"max-age=1.", false, 0, 0},
    {"max-age=", false, 0, 0},
    {"a=\"x", false, 0, 0},
    {"a=\"\\x\"", false, 0, 0},
    {"a=\"\x7f\"", false, 0, 0},
    {"a=:x", false, 0, 0},
    {"a=?2", false, 0, 0},
    {"a=(1", false, 0, 0},
    {"a=(1,2)", false, 0, 0},
    {"a;B=1", false, 0, 0},
    {"", false, 0, 0},
};

START_TEST(targeted_fields_are_strict)
{
    for (size_t i = 0; i < sizeof(targeted) / sizeof(targeted[0]); i++) {
        struct cache_control cc;
        bool good = read_targeted(targeted[i].value, &cc);
        ck_assert_msg(good == targeted[i].is_good, "%s", targeted[i].value);
        ck_assert_msg(cc.says == targeted[i].says && cc.max_age_s == targeted[i].max_age, "%s: %x %lld",
                      targeted[i].value, cc.says, (long long)cc.max_age_s);
    }
}
END_TEST

START_TEST(seconds_are_digits)
{
    int64_t n;
    ck_assert(cache_control_seconds(SLICE("12"), &n) && n == 12);
    ck_assert(!cache_control_seconds(SLICE(""), &n) && !cache_control_seconds(SLICE("+1"), &n));
    ck_assert(!cache_control_seconds(SLICE("1 "), &n));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_control");
    TCase *t = tcase_create("cache_control");
    tcase_add_test(t, flags_are_read);
    tcase_add_test(t, times_are_read);
    tcase_add_test(t, each_time_goes_where_it_belongs);
    tcase_add_test(t, several_fields_are_one);
    tcase_add_test(t, names_are_found);
    tcase_add_test(t, targeted_fields_are_strict);
    tcase_add_test(t, seconds_are_digits);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
