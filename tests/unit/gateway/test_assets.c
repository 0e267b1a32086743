/* test_assets.c: the files that the binary carries. */
#include "gateway/assets.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

START_TEST(a_file_is_there_as_it_is)
{
    char etag[ASSET_ETAG_MAX], again[ASSET_ETAG_MAX];
    const struct asset *a = asset_find("/openapi.json");
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(a->type, "application/json");
    ck_assert_uint_gt(asset_len(a), 1000);
    ck_assert_int_eq(a->bytes[0], '{');
    ck_assert_int_eq(a->end[-1], '\n');
    ck_assert_int_eq(a->end[0], '\0');
    ck_assert_uint_eq(strlen(a->bytes), asset_len(a));
    asset_etag(a, etag);
    asset_etag(a, again);
    ck_assert_str_eq(etag, again);
    ck_assert_uint_eq(strlen(etag), 18);
    ck_assert(etag[0] == '"' && etag[17] == '"');
}
END_TEST

START_TEST(other_bytes_have_another_tag)
{
    char one[ASSET_ETAG_MAX], two[ASSET_ETAG_MAX];
    static const char text[] = "ab";
    const struct asset a = {"/a", "text/plain", text, text + 1}, b = {"/b", "text/plain", text, text + 2};
    asset_etag(&a, one);
    asset_etag(&b, two);
    ck_assert_str_ne(one, two);
}
END_TEST

/* Whatever the page and its modules name is there, with a type that a browser takes. */
START_TEST(the_dashboard_is_whole)
{
    static const char *const scripts[] = {"/dashboard/app.js", "/dashboard/overview.js"};
    const struct asset *page = asset_find("/"), *style = asset_find("/dashboard/style.css");
    ck_assert_ptr_nonnull(page);
    ck_assert_str_eq(page->type, "text/html; charset=utf-8");
    ck_assert_ptr_nonnull(style);
    ck_assert_str_eq(style->type, "text/css; charset=utf-8");
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        const struct asset *a = asset_find(scripts[i]);
        ck_assert_ptr_nonnull(a);
        for (const char *p = a->bytes; (p = strstr(p, "from \"/")); p++) {
            const char *begin = p + sizeof("from \"") - 1, *end = strchr(begin, '"');
            char name[64];
            ck_assert_uint_lt((size_t)(end - begin), sizeof(name));
            snprintf(name, sizeof(name), "%.*s", (int)(end - begin), begin);
            const struct asset *module = asset_find(name);
            ck_assert_msg(module != NULL, "%s is missing", name);
            ck_assert_str_eq(module->type, "text/javascript; charset=utf-8");
        }
    }
}
END_TEST

START_TEST(there_is_nothing_else)
{
    ck_assert_ptr_null(asset_find(""));
    ck_assert_ptr_null(asset_find("/openapi.jso"));
    ck_assert_ptr_null(asset_find("/../conf/openapi.json"));
}
END_TEST

static Suite *assets_suite(void)
{
    Suite *s = suite_create("assets");
    TCase *t = tcase_create("assets");
    tcase_add_test(t, a_file_is_there_as_it_is);
    tcase_add_test(t, other_bytes_have_another_tag);
    tcase_add_test(t, the_dashboard_is_whole);
    tcase_add_test(t, there_is_nothing_else);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(assets_suite)
