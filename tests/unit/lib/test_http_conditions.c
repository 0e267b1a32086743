/* test_http_conditions.c: whether the client has it already, and whether a range is of this representation.
 */
#include "lib/http_conditions.h"

#include "tests/unit/unit.h"

#define DATE     "Tue, 14 Nov 2023 22:13:20 GMT"
#define MODIFIED "Tue, 14 Nov 2023 22:00:00 GMT"
#define NOW_S    INT64_C(1700000000)

static struct http_validators validators(const char *etag, const char *modified)
{
    struct http_field at[3] = {{SLICE("Date"), SLICE(DATE)}};
    size_t n = 1;
    if (etag)
        at[n++] = (struct http_field){SLICE("etag"), slice_of(etag)};
    if (modified)
        at[n++] = (struct http_field){SLICE("last-modified"), slice_of(modified)};
    return http_validators_of((struct http_fields){at, n}, 5);
}

static bool not_modified(const struct http_validators *v, const char *name, const char *value)
{
    struct http_field at[] = {{slice_of(name), slice_of(value)}};
    return http_not_modified((struct http_fields){at, 1}, v, NOW_S);
}

START_TEST(tags)
{
    static const struct {
        const char *etag, *list;
        bool is_same;
    } cases[] = {
        {"\"a\"", "\"a\"", true},
        {"\"a\"", "W/\"a\"", true},
        {"W/\"a\"", "\"a\"", true},
        {"\"a\"", "\"b\", \"a\"", true},
        {"\"a\"", ",,\"a\",", true},
        {"\"a\"", "*", true},
        {"\"a,b\"", "\"a,b\"", true},
        {"\"a\"", "\"b\"", false},
        {"\"a\"", "\"A\"", false},
        {"\"a\"", "\"x,\"a\"", false},
        {"\"a\"", "", false},
        {"\"a\"", "a", false},
        {"a", "a", true},
        {"\"\"", "\"\"", true},
        {"\"a", "\"a", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_validators v = validators(cases[i].etag, NULL);
        ck_assert_msg(not_modified(&v, "If-None-Match", cases[i].list) == cases[i].is_same, "%s in %s",
                      cases[i].etag, cases[i].list);
    }
    struct http_validators none = validators(NULL, NULL);
    ck_assert(!not_modified(&none, "If-None-Match", "\"a\"") && not_modified(&none, "If-None-Match", "*"));
}
END_TEST

START_TEST(dates)
{
    struct http_validators v = validators(NULL, MODIFIED), bare = validators(NULL, NULL),
                           broken = validators(NULL, "long ago");
    ck_assert(not_modified(&v, "If-Modified-Since", MODIFIED));
    ck_assert(not_modified(&v, "If-Modified-Since", DATE));
    ck_assert(!not_modified(&v, "If-Modified-Since", "Tue, 14 Nov 2023 21:59:59 GMT"));
    ck_assert(!not_modified(&v, "If-Modified-Since", "x"));
    ck_assert(not_modified(&bare, "If-Modified-Since", DATE));
    ck_assert(!not_modified(&bare, "If-Modified-Since", MODIFIED));
    ck_assert(!not_modified(&broken, "If-Modified-Since", DATE));
}
END_TEST

START_TEST(tags_go_before_dates)
{
    struct http_validators v = validators("\"a\"", MODIFIED);
    struct http_field at[] = {{SLICE("If-Modified-Since"), SLICE(DATE)},
                              {SLICE("If-None-Match"), SLICE("\"b\"")}};
    ck_assert(!http_not_modified((struct http_fields){at, 2}, &v, NOW_S));
    ck_assert(http_not_modified((struct http_fields){at, 1}, &v, NOW_S));
    ck_assert(!http_not_modified((struct http_fields){at, 0}, &v, NOW_S));
}
END_TEST

static bool holds(const struct http_validators *v, const char *value)
{
    struct http_field at[] = {{SLICE("If-Range"), slice_of(value)}};
    return http_range_holds((struct http_fields){at, 1}, v, NOW_S);
}

START_TEST(ranges_of_this_representation)
{
    struct http_validators v = validators("\"a\"", MODIFIED), weak = validators("W/\"a\"", DATE);
    ck_assert(http_range_holds((struct http_fields){NULL, 0}, &v, NOW_S));
    ck_assert(holds(&v, "\"a\"") && !holds(&v, "\"b\"") && !holds(&v, "W/\"a\""));
    ck_assert(!holds(&weak, "W/\"a\"") && !holds(&weak, "\"a\""));
    ck_assert(holds(&v, MODIFIED) && !holds(&v, DATE) && !holds(&v, "x"));
    ck_assert(!holds(&weak, DATE)); /* changed in the second that it was made in */
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http_conditions");
    TCase *t = tcase_create("http_conditions");
    tcase_add_test(t, tags);
    tcase_add_test(t, dates);
    tcase_add_test(t, tags_go_before_dates);
    tcase_add_test(t, ranges_of_this_representation);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
