/* test_router.c: patterns that are taken and refused, and every rule of router.h on small configurations. */
#include "tests/unit/gateway/router_fixture.h"

#include <pthread.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fixture *fixture;
static struct router *router;

static void set_up(const char *const *lines)
{
    fixture = calloc(1, sizeof(*fixture));
    ck_assert_ptr_nonnull(fixture);
    for (; *lines; lines++)
        fixture_add(fixture, *lines);
    router = router_new(&fixture->conf);
    ck_assert_ptr_nonnull(router);
}

static void tear_down(void)
{
    router_free(router);
    free(fixture);
    router = NULL;
    fixture = NULL;
}

static bool match(const char *method, const char *host, const char *path, struct router_match *m)
{
    const struct router_request req = {
        .host = slice_of(host), .path = slice_of(path), .method = slice_of(method)};
    return router_match(router, &req, m);
}

/* ---- patterns ---- */

static const struct {
    const char *path;
    enum conf_path_kind kind;
} good_patterns[] = {
    {"/", PATH_PREFIX},           {"/a", PATH_EXACT},         {"/a/b.c", PATH_EXACT},
    {"/a/", PATH_PREFIX},         {"/a//b", PATH_EXACT},      {"/%20a%2F", PATH_EXACT},
    {"/{id}", PATH_PARAM},        {"/a/{_x9}/b", PATH_PARAM}, {"/{a}/{b}/", PATH_PARAM_PREFIX},
    {"~ ^/v(\\d+)/", PATH_REGEX}, {"~/x", PATH_REGEX},        {"~ (?<year>\\d+)-(?<month>\\d+)", PATH_REGEX},
};

static const struct {
    const char *path;
    const char *reason; /* a part of it */
} bad_patterns[] = {
    {"", "begins with"},
    {"a", "begins with"},
    {"*", "begins with"},
    {"{id}", "begins with"},
    {"/a b", "byte"},
    {"/a?b", "byte"},
    {"/a\\b", "byte"},
    {"/%zz", "escape"},
    {"/%67", "normal form is \"/g\""},
    {"/%2f", "normal form is \"/%2F\""},
    {"/a/../b", "normal form is \"/b\""},
    {"/..", "root"},
    {"/x{id}", "whole segment"},
    {"/{id}x", "whole segment"},
    {"/{id", "whole segment"},
    {"/id}", "whole segment"},
    {"/{", "whole segment"},
    {"/{}", "name"},
    {"/{1}", "name"},
    {"/{a-b}", "name"},
    {"/{a}{b}", "name"},
    {"/{a}/{a}", "twice"},
    {"/{path}", "meaning"},
    {"/{query}/", "meaning"},
    {"/{host}", "meaning"},
    {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "parameters"},
    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/"
     "2/3/4/5/6/7"
     "/8/9/0/1/2/3/4/5",
     "segments"},
    {"~", "empty"},
    {"~  ", "empty"},
    {"~ (", "regular expression"},
    {"~ (?<path>a)", "meaning"},
    {"~ (?J)(?<a>a)(?<a>b)", "twice"},
    {"~ ()()()()()()()()()()()()()()()()()", "groups"},
    {"~ (*UTF)a", "regular expression"},
};

START_TEST(accepts_patterns)
{
    char text[128] = "";
    enum conf_path_kind kind;
    ck_assert_msg(router_check_path(good_patterns[_i].path, &kind, text, sizeof(text)), "%s: %s",
                  good_patterns[_i].path, text);
    ck_assert_int_eq(kind, good_patterns[_i].kind);
}
END_TEST

START_TEST(refuses_patterns)
{
    char text[128] = "";
    enum conf_path_kind kind;
    ck_assert_msg(!router_check_path(bad_patterns[_i].path, &kind, text, sizeof(text)), "%s",
                  bad_patterns[_i].path);
    ck_assert_msg(strstr(text, bad_patterns[_i].reason) != NULL, "%s: %s", bad_patterns[_i].path, text);
}
END_TEST

START_TEST(refuses_a_long_pattern)
{
    char path[3000], text[128];
    enum conf_path_kind kind;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    ck_assert(!router_check_path(path, &kind, text, sizeof(text)));
    ck_assert_str_eq(text, "longer than 2048 bytes");
}
END_TEST

START_TEST(does_not_build_what_was_not_checked)
{
    struct conf_route route = {.path = "~ (", .name = "bad"};
    const struct conf conf = {.routes = &route, .nroutes = 1};
    ck_assert_ptr_null(router_new(&conf));
    route.path = "/{a}/{a}";
    ck_assert_ptr_null(router_new(&conf));
    route.path = "a";
    ck_assert_ptr_null(router_new(&conf));
}
END_TEST

/* ---- paths ---- */

struct expectation {
    const char *path;
    int route; /* -1: none */
};

struct story {
    const char *routes[12];
    struct expectation paths[24];
};

static const struct story path_stories[] = {
    {.routes = {"- - /users/me", "- - /users/", "- - /users"},
     .paths = {{"/users/me", 0},
               {"/users", 2},
               {"/users/", 1},
               {"/users/x", 1},
               {"/users/me/", 1},
               {"/users//", 1},
               {"/user", -1},
               {"/usersx", -1},
               {"/", -1},
               {"/Users/me", -1},
               {"//users", -1}}},
    {.routes = {"- - /{id}", "- - /a/{id}", "- - /a/b", "- - /{x}/b", "- - /a/{id}/"},
     .paths = {{"/z", 0},
               {"/", -1},
               {"/a/z", 1},
               {"/a/b", 2},
               {"/z/b", 3},
               {"/z/z", -1},
               {"/a/", -1},
               {"/a/z/", 4},
               {"/a/z/y/x", 4},
               {"/a//", -1},
               {"/a//b", -1}}},
    /* the leftmost difference decides; the walk comes back when it was wrong */
    {.routes = {"- - /{x}/b/c", "- - /a/{y}/d", "- - /{x}/{y}/", "- - /a/b/", "- - /a/b/c/d/e"},
     .paths = {{"/a/b/c", 3},
               {"/z/b/c", 0},
               {"/a/b/d", 3},
               {"/a/z/d", 1},
               {"/a/z/e", 2},
               {"/a/b/c/d/e", 4},
               {"/a/b/c/d/f", 3},
               {"/a/b", -1},
               {"/q/b/", 2}}},
    /* a longer prefix before a shorter one, whatever the order */
    {.routes = {"- - /", "- - /a/", "- - /a/b/", "- - /a/b/c"},
     .paths = {{"/", 0},
               {"/a", 0},
               {"/a/", 1},
               {"/a/b", 1},
               {"/a/b/", 2},
               {"/a/b/c", 3},
               {"/a/b/cd", 2},
               {"/ab", 0}}},
    /* empty segments are segments */
    {.routes = {"- - /a//b", "- - //", "- - /a//"},
     .paths = {{"/a//b", 0}, {"/a/b", -1}, {"//", 1}, {"//a", 1}, {"/", -1}, {"/a//c", 2}, {"/a/", -1}}},
    /* regular expressions: last, in order, anchored at the start alone */
    {.routes = {"- - ~/v\\d+/", "- - ~^/v1/", "- - /v1/x", "- - ~^/[a-z]+$", "- - ~b"},
     .paths = {{"/v1/x", 2},
               {"/v1/y", 0},
               {"/v22/", 0},
               {"/vx/", -1},
               {"/abc", 3},
               {"/abc/", -1},
               {"/x/v1/", -1}}},
    {.routes = {"- - ~^/v1/", "- - /"}, .paths = {{"/v1/x", 1}}},
    {.routes = {"- - /%2F/{a}"}, .paths = {{"/%2F/%20", 0}, {"///x", -1}}},
    {.routes = {NULL}, .paths = {{"/", -1}, {"/a/b/c", -1}}},
    {.routes = {"- - /"}, .paths = {{"*", -1}, {"", -1}, {"a", -1}}},
};

START_TEST(finds_paths)
{
    const struct story *s = &path_stories[_i];
    set_up(s->routes);
    for (const struct expectation *e = s->paths; e->path; e++) {
        struct router_match m;
        bool found = match("GET", "any.example", e->path, &m);
        ck_assert_int_eq(found, e->route >= 0);
        ck_assert_msg((found ? (int)m.index : -1) == e->route, "%s: %d, not %d", e->path,
                      found ? (int)m.index : -1, e->route);
        ck_assert_ptr_eq(m.route, found ? &fixture->routes[m.index] : NULL);
        ck_assert(!m.method_refused);
    }
    tear_down();
}
END_TEST

/* ---- hosts ---- */

static const char *const host_routes[] = {
    "- - /",                              /* 0 */
    "*.example - /",                      /* 1 */
    "a.example,b.example. - /",           /* 2 */
    "*.a.example - /",                    /* 3 */
    "*.example - /deep/er",               /* 4 */
    "a.example - /only",                  /* 5 */
    "c.example - /only",                  /* 6 */
    "[::1] - /",                          /* 7 */
    "c.example,d.example - ~^/(re|gex)$", /* 8 */
    NULL,
};

static const struct {
    const char *host, *path;
    int route;
} host_cases[] = {
    {"", "/", 0},
    {".", "/", 0},
    {"other", "/", 0},
    {"example", "/", 0},
    {"a.example", "/", 2},
    {"A.EXAMPLE", "/", 2},
    {"a.example.", "/", 2},
    {"b.example", "/", 2},
    {"B.Example.", "/", 2},
    {"z.example", "/", 1},
    {"Z.EXAMPLE.", "/", 1},
    {"y.z.example", "/", 1},
    {"x.a.example", "/", 3},
    {"y.x.A.example", "/", 3},
    {"xa.example", "/", 1},
    {"xexample", "/", 0},
    {".example", "/", 0},
    {"a.example.com", "/", 0},
    {"a.example", "/only", 5},
    {"b.example", "/only", 2},
    {"[::1]", "/", 7},
    {"*.example", "/", 0}, /* no host begins so */
    /* a host whose routes do not fit gives way to a less specific one */
    {"c.example", "/only", 6},
    {"c.example", "/other", 1},
    {"c.example", "/re", 8},
    {"c.example", "/deep/er", 4},
    {"a.example", "/deep/er", 2}, /* but a prefix of an exact host comes first */
    {"x.a.example", "/deep/er", 3},
};

START_TEST(finds_hosts)
{
    struct router_match m;
    set_up(host_routes);
    for (size_t i = 0; i < N(host_cases); i++) {
        ck_assert(match("GET", host_cases[i].host, host_cases[i].path, &m));
        ck_assert_msg((int)m.index == host_cases[i].route, "%s%s: %zu, not %d", host_cases[i].host,
                      host_cases[i].path, m.index, host_cases[i].route);
    }
    tear_down();
}
END_TEST

START_TEST(long_hosts_are_nobodys)
{
    static const char *const lines[] = {"*.example - /", "- - /", NULL};
    char host[400];
    struct router_match m;
    set_up(lines);
    memset(host, 'a', sizeof(host));
    strcpy(host + 255 - 8, ".example");
    ck_assert(match("GET", host, "/", &m) && m.index == 0);
    memset(host, 'a', sizeof(host));
    strcpy(host + 256 - 8, ".example");
    ck_assert(match("GET", host, "/", &m) && m.index == 1);
    tear_down();
}
END_TEST

/* ---- methods and header fields ---- */

static const char *const condition_routes[] = {
    "- - /a",                    /* 0 */
    "- GET /a",                  /* 1 */
    "- - /a X-One",              /* 2 */
    "- GET,BREW /a X-One X-Two", /* 3 */
    "- GET /a X-One=1",          /* 4 */
    "- POST /b/{x}",             /* 5 */
    "- PUT,GET /b/c",            /* 6 */
    "- DELETE /b/",              /* 7 */
    "- PATCH /b/c X-One",        /* 8 */
    "- HEAD /c",                 /* 9 */
    "- GET /c",                  /* 10 */
    "- PURGE ~^/b/c",            /* 11 */
    NULL,
};

static const struct {
    const char *method, *path, *fields; /* "Name=Value,..." */
    int route;
    const char *allow; /* NULL: the method is not to blame */
} condition_cases[] = {
    {"GET", "/a", "", 1, NULL},
    {"POST", "/a", "", 0, NULL},
    {"HEAD", "/a", "", 1, NULL},
    {"get", "/a", "", 0, NULL},
    {"BREW", "/a", "", 0, NULL},
    {"GET", "/a", "x-one=", 1, NULL},
    {"POST", "/a", "x-one=2", 2, NULL},
    {"GET", "/a", "X-ONE=1", 4, NULL},
    {"GET", "/a", "X-One=0,X-One=1", 4, NULL},
    {"GET", "/a", "X-One=11", 1, NULL},
    {"GET", "/a", "X-One=1,X-Two=", 3, NULL},
    {"BREW", "/a", "X-One=1,X-Two=", 3, NULL},
    {"BREWS", "/a", "X-One=1,X-Two=", 2, NULL},
    {"GET", "/b/c", "", 6, NULL},
    {"HEAD", "/b/c", "", 6, NULL},
    {"POST", "/b/c", "", 5, NULL},
    {"DELETE", "/b/c", "", 7, NULL},
    {"PURGE", "/b/c", "", 11, NULL},
    {"PATCH", "/b/c", "X-One=9", 8, NULL},
    {"PATCH", "/b/c", "", -1, "PUT, GET, HEAD, POST, DELETE, PURGE"},
    {"purge", "/b/c", "X-One=9", -1, "PATCH, PUT, GET, HEAD, POST, DELETE, PURGE"},
    {"GET", "/b/d", "", -1, "POST, DELETE"},
    {"GET", "/b/", "", -1, "DELETE"},
    {"GET", "/none", "", -1, NULL},
    {"HEAD", "/c", "", 9, NULL},
    {"POST", "/c", "", -1, "HEAD, GET"},
};

static size_t read_fields(const char *text, struct http_field *fields)
{
    size_t n = 0;
    struct slice rest = slice_of(text), item;
    while (slice_next_token(&rest, &item)) {
        size_t name = (size_t)slice_find(item, '=');
        fields[n++] = (struct http_field){{item.p, name}, slice_skip(item, name + 1)};
    }
    return n;
}

START_TEST(weighs_conditions)
{
    set_up(condition_routes);
    for (size_t i = 0; i < N(condition_cases); i++) {
        struct http_field fields[4];
        struct router_match m;
        const struct router_request req = {
            .path = slice_of(condition_cases[i].path),
            .method = slice_of(condition_cases[i].method),
            .fields = {fields, read_fields(condition_cases[i].fields, fields)}};
        bool found = router_match(router, &req, &m);
        ck_assert_msg((found ? (int)m.index : -1) == condition_cases[i].route, "case %zu: %d", i,
                      found ? (int)m.index : -1);
        ck_assert_msg(m.method_refused == (condition_cases[i].allow != NULL), "case %zu", i);
        ck_assert_str_eq(m.allow, condition_cases[i].allow ? condition_cases[i].allow : "");
    }
    tear_down();
}
END_TEST

START_TEST(allow_gathers_hosts_and_stays_whole)
{
    static const char *const lines[] = {"a.example GET /x", "*.example PUT /{y}", "- DELETE /",
                                        "b.example "
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,"
                                        "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB,"
                                        "CCCCCCCCCCCCCCCCCCCCCCCCCCCCC,D /x",
                                        NULL};
    struct router_match m;
    set_up(lines);
    ck_assert(!match("POST", "a.example", "/x", &m) && m.method_refused);
    ck_assert_str_eq(m.allow, "GET, HEAD, PUT, DELETE");
    ck_assert(!match("POST", "b.example", "/x", &m) && m.method_refused);
    ck_assert_uint_le(strlen(m.allow), sizeof(m.allow) - 1);
    ck_assert_ptr_null(strstr(m.allow, "CC"));
    ck_assert_ptr_nonnull(strstr(m.allow, "BB, D, PUT, DELETE"));
    ck_assert(match("DELETE", "b.example", "/x", &m) && !m.method_refused);
    ck_assert_str_eq(m.allow, "");
    tear_down();
}
END_TEST

/* ---- parameters ---- */

static const char *const param_routes[] = {
    "- - /u/{id}",
    "- - /u/{user}/posts/{post}",
    "- - /{a}/x/{b}/",
    "- - ~^/v(\\d+)/(?<what>[a-z]*)(-opt)?(/end)?",
    "- POST /u/{poster}",
    "- - /{a}/{b}/{c}/{d}",
    NULL,
};

static const struct {
    const char *method, *path;
    int route;
    const char *params;
} param_cases[] = {
    {"GET", "/u/7", 0, "id=7;"},
    {"POST", "/u/7", 4, "poster=7;"},
    {"GET", "/u/%2F%20", 0, "id=%2F%20;"},
    {"GET", "/u/7/posts/9", 1, "user=7;post=9;"},
    {"GET", "/u/x/z/9", 2, "a=u;b=z;"}, /* values of the wrong way do not stay */
    {"GET", "/u/7/post/9", 5, "a=u;b=7;c=post;d=9;"},
    {"GET", "/v12/abc", 3, "1=12;what=abc;3=;4=;"},
    {"GET", "/v12/-opt", 3, "1=12;what=;3=-opt;4=;"},
    {"GET", "/v12/a/end", 3, "1=12;what=a;3=;4=/end;"},
};

START_TEST(gives_parameters)
{
    set_up(param_routes);
    for (size_t i = 0; i < N(param_cases); i++) {
        char text[256];
        struct buf b;
        struct router_match m;
        ck_assert(match(param_cases[i].method, "", param_cases[i].path, &m));
        ck_assert_msg((int)m.index == param_cases[i].route, "%s: %zu", param_cases[i].path, m.index);
        buf_init(&b, text, sizeof(text));
        for (size_t k = 0; k < m.nparams; k++) {
            buf_add(&b, m.params[k].name);
            buf_add_char(&b, '=');
            buf_add(&b, m.params[k].value);
            buf_add_char(&b, ';');
        }
        ck_assert_msg(slice_eq(buf_slice(&b), slice_of(param_cases[i].params)), "%s: %.*s",
                      param_cases[i].path, SLICE_ARG(buf_slice(&b)));
    }
    tear_down();
}
END_TEST

/* ---- bounds ---- */

START_TEST(a_path_that_hits_the_limit_has_no_route)
{
    static const char *const lines[] = {"- - ~^/(a+)+$", "- GET ~^/", "h.example POST /", NULL};
    char path[4000];
    struct router_match m;
    set_up(lines);
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[30] = '\0';
    ck_assert(match("GET", "", path, &m) && m.index == 0);
    ck_assert(match("GET", "", "/aab", &m) && m.index == 1);
    path[30] = 'a';
    strcpy(path + sizeof(path) - 2, "!");
    ck_assert(!match("GET", "h.example", path, &m));
    ck_assert_ptr_null(m.route);
    ck_assert(!m.method_refused);
    ck_assert_str_eq(m.allow, "");
    tear_down();
}
END_TEST

/* Each node has a literal and a {name} way on; only the last of all ways fits. */
START_TEST(the_deepest_trie_can_be_walked)
{
    char line[512] = "- - ", path[256] = "";
    const char *lines[] = {"- - /{p}/", "- - /a/{q}/", line, NULL};
    struct router_match m;
    for (int i = 0; i < 63; i++)
        strcat(line, "/a");
    strcat(line, "/");
    set_up(lines);
    for (int i = 0; i < 64; i++)
        strcat(path, "/a");
    ck_assert(match("GET", "", path, &m) && m.index == 2);
    ck_assert(match("GET", "", "/a/a/a", &m) && m.index == 1);
    ck_assert(match("GET", "", "/b/a/a", &m) && m.index == 0);
    tear_down();
}
END_TEST

START_TEST(long_hostile_paths_end)
{
    static const char *const lines[] = {"- - /{a}/{b}/{c}/x", "- - /a/{b}/{c}/x", "- - /a/a/{c}/x",
                                        "- - /a/a/a/x", NULL};
    static char path[60000];
    struct router_match m;
    set_up(lines);
    for (size_t i = 0; i + 1 < sizeof(path); i += 2)
        memcpy(path + i, "/a", 2);
    const struct router_request req = {.path = {path, sizeof(path)}, .method = SLICE("GET")};
    ck_assert(!router_match(router, &req, &m));
    memset(path, '/', sizeof(path));
    ck_assert(!router_match(router, &req, &m));
    memset(path + 1, 'a', sizeof(path) - 1);
    ck_assert(!router_match(router, &req, &m));
    tear_down();
}
END_TEST

/* ---- threads ---- */

static void *match_many(void *arg)
{
    size_t *wrong = arg;
    for (int i = 0; i < 2000; i++) {
        char path[32];
        struct router_match m;
        snprintf(path, sizeof(path), "/v%d/abc", i);
        bool ok = match("GET", "h", path, &m) && m.index == 3 && m.nparams == 4 &&
                  slice_eq(m.params[0].value, (struct slice){path + 2, strlen(path) - 6});
        *wrong += !ok;
    }
    return NULL;
}

START_TEST(threads_share_a_router)
{
    pthread_t threads[4];
    size_t wrong[4] = {0};
    set_up(param_routes);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, match_many, &wrong[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(wrong[i], 0);
    }
    tear_down();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("router");
    TCase *patterns = tcase_create("patterns"), *routes = tcase_create("routes"),
          *bounds = tcase_create("bounds");
    tcase_add_loop_test(patterns, accepts_patterns, 0, N(good_patterns));
    tcase_add_loop_test(patterns, refuses_patterns, 0, N(bad_patterns));
    tcase_add_test(patterns, refuses_a_long_pattern);
    tcase_add_test(patterns, does_not_build_what_was_not_checked);
    tcase_add_loop_test(routes, finds_paths, 0, N(path_stories));
    tcase_add_test(routes, finds_hosts);
    tcase_add_test(routes, long_hosts_are_nobodys);
    tcase_add_test(routes, weighs_conditions);
    tcase_add_test(routes, allow_gathers_hosts_and_stays_whole);
    tcase_add_test(routes, gives_parameters);
    tcase_add_test(bounds, a_path_that_hits_the_limit_has_no_route);
    tcase_add_test(bounds, the_deepest_trie_can_be_walked);
    tcase_add_test(bounds, long_hostile_paths_end);
    tcase_add_test(bounds, threads_share_a_router);
    suite_add_tcase(s, patterns);
    suite_add_tcase(s, routes);
    suite_add_tcase(s, bounds);
    return s;
}

UNIT_MAIN(suite)
