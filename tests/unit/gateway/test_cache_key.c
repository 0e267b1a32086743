/* test_cache_key.c: which URLs, fields and cookies make one key, and which several. */
#include "gateway/cache_key.h"

#include <stdlib.h>

#include "gateway/worker.h"
#include "tests/unit/unit.h"

static const char *group_of(const struct conf_cache *conf, const char *scheme, const char *authority,
                            const char *query)
{
    static char text[512];
    struct buf b;
    const struct cache_url url = {.scheme = slice_of(scheme),
                                  .authority = slice_of(authority),
                                  .path = SLICE("/p"),
                                  .query = slice_of(query ? query : ""),
                                  .has_query = query != NULL};
    buf_init(&b, text, sizeof(text));
    cache_key_add_group(conf, &url, &b);
    const char *cstr = buf_cstr(&b);
    ck_assert_ptr_nonnull(cstr);
    return cstr;
}

START_TEST(hosts)
{
    const struct conf_cache conf = {0};
    ck_assert_str_eq(group_of(&conf, "http", "H.Example", NULL), "http://h.example/p");
    ck_assert_str_eq(group_of(&conf, "http", "h:80", NULL), "http://h/p");
    ck_assert_str_eq(group_of(&conf, "https", "h:80", NULL), "https://h:80/p");
    ck_assert_str_eq(group_of(&conf, "https", "h:443", NULL), "https://h/p");
    ck_assert_str_eq(group_of(&conf, "http", "[::1]:8080", NULL), "http://[::1]:8080/p");
}
END_TEST

START_TEST(queries)
{
    const char *keep[] = {"b", "c"}, *ignore[] = {"a"};
    const struct conf_cache as_is = {0}, none = {.query = CACHE_QUERY_NONE},
                            sorted = {.query = CACHE_QUERY_SORTED}, kept = {.keep = keep, .nkeep = 2},
                            ignored = {.ignore = ignore, .nignore = 1};
    static const struct {
        const char *query, *as_is, *sorted, *kept, *ignored;
    } cases[] = {
        {"a=1", "?a=1", "?a=1", "", ""},
        {"", "?", "", "", ""},
        {"b=2&a=1", "?b=2&a=1", "?a=1&b=2", "?b=2", "?b=2"},
        {"b=2&a=1&b=1&a", "?b=2&a=1&b=1&a", "?a=1&a&b=2&b=1", "?b=2&b=1", "?b=2&b=1"},
        {"&&c=1&", "?&&c=1&", "?c=1", "?c=1", "?c=1"},
        {"ab=1&a=2", "?ab=1&a=2", "?a=2&ab=1", "", "?ab=1"},
        {"A=1", "?A=1", "?A=1", "", "?A=1"},
        {"=1&b=", "?=1&b=", "?=1&b=", "?b=", "?=1&b="},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *q = cases[i].query;
        ck_assert_str_eq(group_of(&as_is, "http", "h", q) + strlen("http://h/p"), cases[i].as_is);
        ck_assert_str_eq(group_of(&sorted, "http", "h", q) + strlen("http://h/p"), cases[i].sorted);
        ck_assert_str_eq(group_of(&kept, "http", "h", q) + strlen("http://h/p"), cases[i].kept);
        ck_assert_str_eq(group_of(&ignored, "http", "h", q) + strlen("http://h/p"), cases[i].ignored);
        ck_assert_str_eq(group_of(&none, "http", "h", q), "http://h/p");
    }
}
END_TEST

/* ---- requests ---- */

struct request {
    struct worker *worker;
    struct exchange *x;
    struct conf_route route;
    struct http_field fields[8];
};

static struct request *new_request(void)
{
    struct request *r = calloc(1, sizeof(*r));
    r->worker = aligned_alloc(CACHE_LINE, (sizeof(*r->worker) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    r->x = calloc(1, sizeof(*r->x));
    memset(r->worker, 0, sizeof(*r->worker));
    arena_init(&r->x->arena, NULL, 0, EXCHANGE_ARENA_MAX);
    r->x->worker = r->worker;
    r->route.name = "r";
    r->x->match.route = &r->route;
    r->x->authority = SLICE("h");
    r->x->path = SLICE("/p");
    r->x->fields.at = r->fields;
    return r;
}

static void add(struct request *r, const char *name, const char *value)
{
    r->fields[r->x->fields.n++] = (struct http_field){slice_of(name), slice_of(value)};
}

static void free_request(struct request *r)
{
    arena_fini(&r->x->arena);
    free(r->x);
    free(r->worker);
    free(r);
}

static void key_is(struct request *r, const char *want, size_t group_len)
{
    struct object_key key = cache_key_of(r->x);
    ck_assert_msg(slice_eq(key.text, slice_of(want)), "%.*s", SLICE_ARG(key.text));
    ck_assert_uint_eq(key.group_len, group_len);
}

START_TEST(keys)
{
    const char *headers[] = {"X-A"}, *cookies[] = {"c"};
    struct request *r = new_request();
    key_is(r, "http://h/p\nr", 10);
    r->x->record.client_tls = true;
    key_is(r, "https://h/p\nr", 11);
    add(r, "X-Forwarded-Proto", "http");
    key_is(r, "https://h/p\nr", 11);
    r->x->peer_is_trusted = true;
    key_is(r, "http://h/p\nr", 10);
    add(r, "X-Forwarded-Host", "g");
    key_is(r, "http://h/p\nr\nx:g", 10);
    r->x->fields.n = 0;
    r->x->peer_is_trusted = r->x->record.client_tls = false;
    r->route.cache.headers = headers;
    r->route.cache.nheaders = 1;
    r->route.cache.cookies = cookies;
    r->route.cache.ncookies = 1;
    add(r, "x-a", "1");
    add(r, "Cookie", "b=1; c=2");
    add(r, "X-A", "3");
    key_is(r, "http://h/p\nr\nh0:1\nh0:3\nc0:2", 10);
    free_request(r);
}
END_TEST

static void variant_is(struct request *r, const char *names, const char *want)
{
    struct slice variant;
    ck_assert(cache_variant(r->x, slice_of(names), &variant));
    ck_assert_msg(slice_eq(variant, slice_of(want)), "%.*s", SLICE_ARG(variant));
}

START_TEST(variants)
{
    struct request *r = new_request();
    add(r, "Foo", " a ,  B, \"c, d\"");
    add(r, "foo", "e");
    add(r, "Accept-Encoding", "GZIP, br;q=0.5");
    add(r, "Empty", "");
    variant_is(r, "foo", "\nfoo:a,B,\"c, d\",e");
    variant_is(r, "accept-encoding", "\naccept-encoding:gzip,br;q=0.5");
    variant_is(r, "empty,none", "\nempty:\nnone");
    variant_is(r, "", "");
    free_request(r);
}
END_TEST

START_TEST(names)
{
    struct request *r = new_request();
    struct http_field at[] = {{SLICE("Vary"), SLICE("Foo, BAR,, foo")}, {SLICE("vary"), SLICE("ab, a")}};
    struct slice list;
    ck_assert(cache_vary_names(r->x, (struct http_fields){at, 2}, SLICE("zz,bar"), &list));
    ck_assert_msg(slice_eq(list, SLICE("a,ab,bar,foo,zz")), "%.*s", SLICE_ARG(list));
    ck_assert(cache_vary_names(r->x, (struct http_fields){at, 0}, SLICE("zz"), &list) && list.len == 0);
    static const char *const bad[] = {"*", "a, *", "a b", "a;b", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        at[0].value = slice_of(bad[i]);
        ck_assert_msg(!cache_vary_names(r->x, (struct http_fields){at, 1}, SLICE(""), &list), "%s", bad[i]);
    }
    free_request(r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cache_key");
    TCase *t = tcase_create("cache_key");
    tcase_add_test(t, hosts);
    tcase_add_test(t, queries);
    tcase_add_test(t, keys);
    tcase_add_test(t, variants);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
