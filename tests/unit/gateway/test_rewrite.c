/* test_rewrite.c: paths to the backend and templates, from the route that a real router found. */
#include "tests/unit/gateway/router_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fixture fixture;

/* A router with one route; M is what it finds for PATH. */
static struct router *route_to(const char *pattern, const char *path, struct router_match *m)
{
    char line[256];
    fixture = (struct fixture){0};
    snprintf(line, sizeof(line), "- - %s", pattern);
    fixture_add(&fixture, line);
    struct router *r = router_new(&fixture.conf);
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(
        router_match(r, &(struct router_request){.path = slice_of(path), .method = SLICE("GET")}, m), "%s",
        path);
    return r;
}

static const struct {
    const char *pattern, *path, *query; /* query NULL: none */
    const char *strip, *add, *rewrite;
    const char *target; /* NULL: refused */
} rewrites[] = {
    {"/", "/a/b", NULL, NULL, NULL, NULL, "/a/b"},
    {"/", "/a", "x=1?&y", NULL, NULL, NULL, "/a?x=1?&y"},
    {"/", "/a", "", NULL, NULL, NULL, "/a?"},
    {"/", "/a%2Fb%20", NULL, NULL, NULL, NULL, "/a%2Fb%20"},
    /* strip_prefix: whole segments */
    {"/", "/api/x", NULL, "/api", NULL, NULL, "/x"},
    {"/", "/api/", NULL, "/api", NULL, NULL, "/"},
    {"/", "/api", NULL, "/api", NULL, NULL, "/"},
    {"/", "/api", "q", "/api", NULL, NULL, "/?q"},
    {"/", "/api/x/", NULL, "/api/", NULL, NULL, "/x/"},
    {"/", "/api", NULL, "/api/", NULL, NULL, "/"},
    {"/", "/apix", NULL, "/api", NULL, NULL, "/apix"},
    {"/", "/apix/y", NULL, "/api", NULL, NULL, "/apix/y"},
    {"/", "/ap", NULL, "/api", NULL, NULL, "/ap"},
    {"/", "/x/api/y", NULL, "/api", NULL, NULL, "/x/api/y"},
    {"/", "/API/x", NULL, "/api", NULL, NULL, "/API/x"},
    {"/", "/api/v1/x", NULL, "/api/v1", NULL, NULL, "/x"},
    {"/", "/api%2Fx", NULL, "/api", NULL, NULL, "/api%2Fx"},
    {"/", "/api/api/x", NULL, "/api", NULL, NULL, "/api/x"},
    {"/", "/x", NULL, "/", NULL, NULL, "/x"},
    /* add_prefix, alone and after strip_prefix */
    {"/", "/x", NULL, NULL, "/base", NULL, "/base/x"},
    {"/", "/x", NULL, NULL, "/base/", NULL, "/base/x"},
    {"/", "/", NULL, NULL, "/base", NULL, "/base/"},
    {"/", "/x", NULL, NULL, "/", NULL, "/x"},
    {"/", "/api/x", "q=1", "/api", "/v2", NULL, "/v2/x?q=1"},
    {"/", "/api", NULL, "/api", "/v2", NULL, "/v2/"},
    {"/", "/other", NULL, "/api", "/v2", NULL, "/v2/other"},
    /* rewrite */
    {"/u/{id}", "/u/7", NULL, NULL, NULL, "/users/{id}", "/users/7"},
    {"/u/{id}", "/u/7", "a=b", NULL, NULL, "/users/{id}", "/users/7?a=b"},
    {"/u/{id}", "/u/7", "", NULL, NULL, "/users/{id}", "/users/7?"},
    {"/u/{id}", "/u/7", "a=b", NULL, NULL, "/users?id={id}", "/users?id=7"},
    {"/u/{id}", "/u/7", "a=b", NULL, NULL, "/users?id={id}&{query}", "/users?id=7&a=b"},
    {"/u/{id}", "/u/7", NULL, NULL, NULL, "/users?{query}", "/users?"},
    {"/u/{id}", "/u/7", "a=b", NULL, NULL, "/users?", "/users?"},
    {"/u/{id}", "/u/7", NULL, NULL, NULL, "/x{path}", "/x/u/7"},
    {"/u/{id}", "/u/7", NULL, "/u", "/y", "/z/{id}", "/z/7"},
    {"/u/{id}", "/u/7", NULL, NULL, NULL, "/{none}/{id}{{", "//7{"},
    {"/u/{id}", "/u/%2F", NULL, NULL, NULL, "/x/{id}", "/x/%2F"},
    {"/u/{id}", "/u/7", NULL, NULL, NULL, "/x%2f/{id}", "/x%2F/7"},
    {"~^/v(\\d+)/(?<rest>.*)", "/v3/a/b", "q", NULL, NULL, "/{rest}/{1}", "/a/b/3?q"},
    {"~^/v(\\d+)/(?<rest>.*)", "/v3/", NULL, NULL, NULL, "/{2}/{1}/{3}/{0}", "//3//"},
    /* what is not in normal form does not leave */
    {"~^/x(.*)y", "/x..y", NULL, NULL, NULL, "/files/{1}/secret", NULL},
    {"~^/x(.*)y", "/x..y", NULL, NULL, NULL, "/files/{1}", NULL},
    {"~^/x(.*)y", "/x.y", NULL, NULL, NULL, "/files/{1}/", NULL},
    {"~^/x(.*)y", "/x.y", NULL, NULL, NULL, "/files/.{1}/", NULL},
    {"~^/x(.*)y", "/x...y", NULL, NULL, NULL, "/files/{1}", "/files/..."},
    {"~^/x(.*)y", "/x%2y0y", NULL, NULL, NULL, "/f/{1}", NULL},
    {"~^/(..)(.*)", "/%2541", NULL, NULL, NULL, "/f/{1}/{2}", NULL},
    {"/{id}", "/7", "/../x", NULL, NULL, "/s{query}", NULL},
    {"/{id}", "/7", "a?b", NULL, NULL, "/s{query}", NULL},
    {"/{id}", "/7", "a=b", NULL, NULL, "/s/{query}", "/s/a=b?a=b"},
    {"/{id}", "/7", NULL, NULL, NULL, "{id}", NULL},
    {"/{id}", "/7", NULL, NULL, NULL, "", NULL},
};

START_TEST(rewrites_targets)
{
    char text[128];
    struct buf b;
    struct slice target;
    struct router_match m;
    struct router *r = route_to(rewrites[_i].pattern, rewrites[_i].path, &m);
    fixture.routes[0].strip_prefix = rewrites[_i].strip;
    fixture.routes[0].add_prefix = rewrites[_i].add;
    fixture.routes[0].rewrite = rewrites[_i].rewrite;
    buf_init(&b, text, sizeof(text));
    buf_add(&b, SLICE("GET "));
    bool ok = router_rewrite(&m, slice_of(rewrites[_i].path), slice_of(rewrites[_i].query),
                             rewrites[_i].query != NULL, &b, &target);
    ck_assert_msg(ok == (rewrites[_i].target != NULL), "%s by %s: %.*s", rewrites[_i].path,
                  rewrites[_i].rewrite, SLICE_ARG(target));
    ck_assert_int_eq(b.failed, !ok);
    if (ok) {
        ck_assert_msg(slice_eq(target, slice_of(rewrites[_i].target)), "%s, not %.*s", rewrites[_i].target,
                      SLICE_ARG(target));
        ck_assert(slice_starts(buf_slice(&b), SLICE("GET /")));
        ck_assert_uint_eq(b.len, 4 + target.len);
    }
    router_free(r);
}
END_TEST

/* Whatever room there is, the whole target or a failure. */
START_TEST(never_writes_beyond_its_room)
{
    static const char *const templates[] = {NULL, "/users/{id}", "/users?id={id}&{query}", "/{path}{{"};
    struct router_match m;
    struct router *r = route_to("/u/{id}", "/u/7", &m);
    for (size_t i = 0; i < N(templates); i++) {
        size_t whole = 0;
        fixture.routes[0].rewrite = templates[i];
        for (size_t room = 0; room < 40; room++) {
            struct buf b;
            struct slice target;
            char *exact = malloc(room + 1); /* so that a checker of memory sees one byte too many */
            buf_init(&b, exact, room);
            if (router_rewrite(&m, SLICE("/u/7"), SLICE("a=b"), true, &b, &target)) {
                ck_assert_uint_le(target.len, room);
                ck_assert(whole == 0 || whole == target.len);
                whole = target.len;
            } else {
                ck_assert_uint_eq(whole, 0);
                ck_assert_uint_eq(target.len, 0);
            }
            free(exact);
        }
        ck_assert_uint_gt(whole, 0);
    }
    router_free(r);
}
END_TEST

static const struct {
    const char *pattern, *path, *template, *text;
} expansions[] = {
    {"/", "/a", "plain", "plain"},
    {"/", "/a", "", ""},
    {"/", "/a", "https://{host}{path}?{query}", "https://h.example/a?q=1"},
    {"/u/{id}/{name}", "/u/7/bob", "{id}:{name}", "7:bob"},
    {"/u/{id}/{name}", "/u/7/bob", "{1}:{2}:{3}:{0}", "7:bob::"},
    {"/u/{id}/{name}", "/u/7/bob", "{ID}{nam}{names}{}", ""},
    {"/u/{id}/{name}", "/u/7/bob", "{{id}", "{id}"},
    {"/u/{id}/{name}", "/u/7/bob", "{{{id}}", "{7}"},
    {"/u/{id}/{name}", "/u/7/bob", "}{id}}", "}7}"},
    {"/u/{id}/{name}", "/u/7/bob", "x{id", "x{id"},
    {"/u/{id}/{name}", "/u/7/bob", "x{", "x{"},
    {"/u/{id}/{name}", "/u/7/bob", "{{", "{"},
    {"/u/{id}/{name}", "/u/7/bob", "{99999999999999999999}{-1}", ""},
    {"~^/v(\\d+)(/x)?(?<tail>.*)", "/v1y", "{1}|{2}|{3}|{tail}", "1||y|y"},
};

START_TEST(expands_templates)
{
    char text[128];
    struct buf b;
    struct router_match m;
    struct router *r = route_to(expansions[_i].pattern, expansions[_i].path, &m);
    buf_init(&b, text, sizeof(text));
    ck_assert(router_expand(&m, expansions[_i].template, SLICE("h.example"), slice_of(expansions[_i].path),
                            SLICE("q=1"), &b));
    ck_assert_msg(slice_eq(buf_slice(&b), slice_of(expansions[_i].text)), "%s: %.*s", expansions[_i].template,
                  SLICE_ARG(buf_slice(&b)));
    buf_init(&b, text, strlen(expansions[_i].text) > 0 ? strlen(expansions[_i].text) - 1 : 0);
    ck_assert_int_eq(router_expand(&m, expansions[_i].template, SLICE("h.example"),
                                   slice_of(expansions[_i].path), SLICE("q=1"), &b),
                     expansions[_i].text[0] == '\0');
    router_free(r);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rewrite");
    TCase *t = tcase_create("rewrite");
    tcase_add_loop_test(t, rewrites_targets, 0, N(rewrites));
    tcase_add_test(t, never_writes_beyond_its_room);
    tcase_add_loop_test(t, expands_templates, 0, N(expansions));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
