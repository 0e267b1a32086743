/*
 * test_router_random.c: random configurations and requests, and a second router that knows no tables.
 *
 * The reference looks at every route under every one of its hosts, keeps those that match, sorts them by the
 * rule of router.h as it is written there, and tries one after the other. Its regular expressions are a few
 * that are also written in C, so that it needs no PCRE2.
 */
#include "tests/unit/gateway/router_fixture.h"

#include <time.h>

#define N(a)     (sizeof(a) / sizeof((a)[0]))
#define CONFIGS  2500
#define REQUESTS 40
#define SEGMENTS 12

static uint64_t state;

static uint64_t pick(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

/* ---- the reference: regular expressions ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool word_after_a(const char *path, struct slice *groups)
{
    if (strncmp(path, "/a/", 3) != 0 || !is_word(path[3]))
        return false;
    size_t n = 3;
    while (is_word(path[n]))
        n++;
    groups[0] = (struct slice){path + 3, n - 3};
    return true;
}

static bool a_or_b(const char *path, struct slice *groups)
{
    groups[0] = (struct slice){path + 1, 1};
    return strncmp(path, "/a/", 3) == 0 || strncmp(path, "/b/", 3) == 0;
}

static bool ends_in_c(const char *path, struct slice *groups)
{
    (void)groups;
    return path[strlen(path) - 1] == 'c';
}

static bool begins_with_b(const char *path, struct slice *groups)
{
    (void)groups;
    return path[1] == 'b';
}

static bool two_segments(const char *path, struct slice *groups)
{
    const char *second = strchr(path + 1, '/');
    if (!second || second == path + 1 || strchr(second + 1, '/'))
        return false;
    groups[0] = slice_between(path + 1, second);
    groups[1] = slice_of(second + 1);
    return true;
}

static const struct {
    const char *path;
    bool (*matches)(const char *path, struct slice *groups);
    size_t ngroups;
    const char *names[2];
} regexes[] = {
    {"~^/a/([a-z0-9]+)", word_after_a, 1, {"1"}},
    {"~/(a|b)/", a_or_b, 1, {"1"}},
    {"~.*c$", ends_in_c, 0, {NULL}},
    {"~/b", begins_with_b, 0, {NULL}},
    {"~^/(?<x>[^/]+)/([^/]*)$", two_segments, 2, {"x", "2"}},
};

/* ---- the reference: paths ---- */

struct candidate {
    const struct conf_route *route;
    size_t index;
    size_t host_rank; /* larger is more specific */
    char key[SEGMENTS +
             8]; /* a letter for each segment: 'a' literal, 'b' {name}, 'c' end of a prefix; "z": regex */
    struct router_param params[4];
    size_t nparams;
};

static size_t split(const char *path, struct slice *segments)
{
    size_t n = 0;
    for (const char *p = path; *p; n++) {
        size_t len = strcspn(p + 1, "/");
        segments[n] = (struct slice){p + 1, len};
        p += 1 + len;
    }
    return n;
}

static bool path_matches(const char *pattern, const char *path, struct candidate *c)
{
    struct slice want[SEGMENTS * 2], have[SEGMENTS * 2];
    size_t nwant = split(pattern, want), nhave = split(path, have);
    bool is_prefix = pattern[strlen(pattern) - 1] == '/';
    size_t fixed = is_prefix ? nwant - 1 : nwant, k;
    c->nparams = 0;
    if (is_prefix ? nhave <= fixed : nhave != fixed)
        return false;
    for (k = 0; k < fixed; k++) {
        bool is_param = want[k].len > 0 && want[k].p[0] == '{';
        if (is_param ? have[k].len == 0 : !slice_eq(want[k], have[k]))
            return false;
        if (is_param)
            c->params[c->nparams++] = (struct router_param){{want[k].p + 1, want[k].len - 2}, have[k]};
        c->key[k] = is_param ? 'b' : 'a';
    }
    c->key[k] = is_prefix ? 'c' : '\0';
    c->key[k + 1] = '\0';
    return true;
}

static bool regex_matches(const char *pattern, const char *path, struct candidate *c)
{
    strcpy(c->key, "z");
    for (size_t i = 0; i < N(regexes); i++) {
        struct slice groups[2];
        if (strcmp(pattern, regexes[i].path) != 0)
            continue;
        c->nparams = regexes[i].ngroups;
        if (!regexes[i].matches(path, groups))
            return false;
        for (size_t g = 0; g < c->nparams; g++)
            c->params[g] = (struct router_param){slice_of(regexes[i].names[g]), groups[g]};
        return true;
    }
    ck_abort_msg("unknown regular expression %s", pattern);
    return false;
}

/* ---- the reference: hosts, conditions, order ---- */

/* 0: does not fit; 1: any; more: the longer the suffix; most: exact. HOST is in lower case, without a last
 * dot. */
static size_t host_rank(const char *pattern, const char *host)
{
    size_t n = strlen(pattern), h = strlen(host);
    if (strcmp(pattern, host) == 0)
        return 1000;
    if (pattern[0] == '*' && h > n - 1 && strcmp(host + h - (n - 1), pattern + 1) == 0)
        return n;
    return 0;
}

static bool fields_hold(const struct conf_route *r, struct http_fields fields)
{
    for (size_t i = 0; i < r->nheaders; i++) {
        bool holds = false;
        for (size_t k = 0; k < fields.n; k++)
            holds |= slice_eq_nocase(fields.at[k].name, slice_of(r->headers[i].name)) &&
                     (!r->headers[i].value || slice_eq(fields.at[k].value, slice_of(r->headers[i].value)));
        if (!holds)
            return false;
    }
    return true;
}

static bool method_fits(const struct conf_route *r, const char *method)
{
    for (size_t i = 0; i < r->nmethods; i++)
        if (strcmp(r->methods[i], method) == 0 ||
            (strcmp(method, "HEAD") == 0 && strcmp(r->methods[i], "GET") == 0))
            return true;
    return r->nmethods == 0;
}

static int by_rule(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->host_rank != b->host_rank)
        return a->host_rank > b->host_rank ? -1 : 1;
    int order = strcmp(a->key, b->key);
    if (order != 0)
        return order;
    if (a->key[0] != 'z') {
        if ((a->route->nmethods > 0) != (b->route->nmethods > 0))
            return a->route->nmethods > 0 ? -1 : 1;
        if (a->route->nheaders != b->route->nheaders)
            return a->route->nheaders > b->route->nheaders ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static size_t find_candidates(const struct conf *conf, const char *host, const char *path,
                              struct http_fields fields, struct candidate *found)
{
    size_t n = 0;
    for (size_t i = 0; i < conf->nroutes; i++) {
        const struct conf_route *r = &conf->routes[i];
        struct candidate c = {.route = r, .index = i};
        if (!(r->path[0] == '~' ? regex_matches(r->path, path, &c) : path_matches(r->path, path, &c)))
            continue;
        if (!fields_hold(r, fields))
            continue;
        for (size_t h = 0; h < (r->nhosts > 0 ? r->nhosts : 1); h++) {
            c.host_rank = r->nhosts > 0 ? host_rank(r->hosts[h], host) : 1;
            if (c.host_rank > 0)
                found[n++] = c;
        }
    }
    qsort(found, n, sizeof(found[0]), by_rule);
    return n;
}

/* ---- random configurations and requests ---- */

static const char *const names[] = {"h.com", "a.h.com", "b.h.com",    "x.a.h.com",
                                    "x.org", "com",     "y.x.a.h.com"};
static const char *const host_patterns[] = {"h.com",     "a.h.com", "*.h.com",    "*.com",
                                            "*.a.h.com", "x.org",   "*.x.a.h.com"};
static const char *const methods[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "BREW", "PURGE"};
static const char *const headers[] = {"X-A", "X-A=1", "X-B=2", "X-C"};

/* Comma-separated, "-" when empty. */
static void add_list(char *line, const char *const *words, size_t nwords, size_t max)
{
    size_t n = pick(3) == 0 ? 1 + pick(max) : 0;
    if (n == 0)
        strcat(line, "-");
    for (size_t i = 0; i < n; i++) {
        strcat(line, i > 0 ? "," : "");
        strcat(line, words[pick(nwords)]);
    }
    strcat(line, " ");
}

static void add_path(char *line, bool with_params)
{
    static const char *const literals[] = {"a", "b", "c", "a", "b", "ab", ""};
    static const char *const params[] = {"{x}", "{y}", "{z}", "{w}"};
    size_t n = pick(5), nparams = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_param = with_params && pick(3) == 0 && nparams < N(params);
        strcat(line, "/");
        strcat(line, is_param ? params[nparams++] : literals[pick(N(literals))]);
    }
    if (n == 0 || pick(3) == 0)
        strcat(line, "/");
}

static void random_route(char *line)
{
    line[0] = '\0';
    add_list(line, host_patterns, N(host_patterns), 3);
    add_list(line, methods, N(methods), 3);
    if (pick(8) == 0)
        strcat(line, regexes[pick(N(regexes))].path);
    else
        add_path(line, true);
    for (size_t i = pick(4) == 0 ? 1 + pick(2) : 0; i > 0; i--) {
        strcat(line, " ");
        strcat(line, headers[pick(N(headers))]);
    }
}

struct random_request {
    char host[32], as_written[32], path[64];
    const char *method;
    struct http_field fields[3];
    size_t nfields;
};

static void random_request(struct random_request *q)
{
    static const char *const values[] = {"1", "2", ""};
    static const struct slice field_names[] = {{"x-a", 3}, {"X-B", 3}, {"x-C", 3}};
    strcpy(q->host, names[pick(N(names))]);
    strcpy(q->as_written, q->host);
    for (char *p = q->as_written; *p; p++)
        if (*p >= 'a' && *p <= 'z' && pick(4) == 0)
            *p = (char)(*p - 32);
    if (pick(4) == 0)
        strcat(q->as_written, ".");
    q->path[0] = '\0';
    add_path(q->path, false);
    q->method = methods[pick(N(methods))];
    q->nfields = pick(4);
    for (size_t i = 0; i < q->nfields; i++)
        q->fields[i] = (struct http_field){field_names[pick(3)], slice_of(values[pick(3)])};
}

/* ---- the comparison ---- */

static void check_params(const struct router_match *m, const struct candidate *c, const char *path)
{
    ck_assert_uint_eq(m->nparams, c->nparams);
    for (size_t i = 0; i < m->nparams; i++) {
        ck_assert(slice_eq(m->params[i].name, c->params[i].name));
        ck_assert_msg(slice_eq(m->params[i].value, c->params[i].value), "%s: {%.*s} is %.*s", path,
                      SLICE_ARG(m->params[i].name), SLICE_ARG(m->params[i].value));
    }
}

/* Every method of every candidate, each once. */
static void check_allow(const struct router_match *m, const struct candidate *found, size_t n)
{
    size_t nlisted = 0, nwanted = 0;
    struct slice rest = slice_of(m->allow), token;
    while (slice_next_token(&rest, &token))
        nlisted++;
    for (size_t k = 0; k < N(methods); k++) {
        bool is_wanted = false;
        for (size_t i = 0; i < n; i++)
            is_wanted |= method_fits(found[i].route, methods[k]);
        nwanted += is_wanted;
        ck_assert_int_eq(is_wanted, strstr(m->allow, methods[k]) != NULL);
    }
    ck_assert_uint_eq(nlisted, nwanted);
}

/* What was found: 0 nothing, 1 a route, 2 a route but for its method. */
static int compare(const struct fixture *f, const struct router *router, const struct random_request *q,
                   uint64_t seed)
{
    static struct candidate found[FIXTURE_ROUTES * 4];
    struct router_match m;
    struct http_field fields[3];
    memcpy(fields, q->fields, sizeof(fields));
    const struct router_request req = {.host = slice_of(q->as_written),
                                       .path = slice_of(q->path),
                                       .method = slice_of(q->method),
                                       .fields = {fields, q->nfields}};
    bool ok = router_match(router, &req, &m);
    size_t n = find_candidates(&f->conf, q->host, q->path, req.fields, found), best = 0;
    while (best < n && !method_fits(found[best].route, q->method))
        best++;
    long expected = best < n ? (long)found[best].index : -1, got = ok ? (long)m.index : -1;
    ck_assert_msg(got == expected, "seed %#lx: %s %s%s: \"%s\", not \"%s\"", (unsigned long)seed, q->method,
                  q->as_written, q->path, ok ? m.route->name : "", best < n ? found[best].route->name : "");
    ck_assert_int_eq(m.method_refused, best == n && n > 0);
    if (ok)
        check_params(&m, &found[best], q->path);
    else
        check_allow(&m, found, n);
    return ok ? 1 : m.method_refused ? 2 : 0;
}

START_TEST(agrees_with_the_reference)
{
    static char lines[40][200];
    size_t seen[3] = {0};
    struct fixture *f = malloc(sizeof(*f));
    ck_assert_ptr_nonnull(f);
    uint64_t seed =
        getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : (uint64_t)time(NULL) * 2654435761u | 1;
    printf("seed %#lx\n", (unsigned long)seed);
    state = seed;
    for (int i = 0; i < CONFIGS; i++) {
        size_t nroutes = 1 + pick(i % 2 ? 8 : N(lines));
        f->conf = (struct conf){0};
        for (size_t k = 0; k < nroutes; k++) {
            random_route(lines[k]);
            fixture_add(f, lines[k]);
        }
        struct router *router = router_new(&f->conf);
        ck_assert_ptr_nonnull(router);
        for (int k = 0; k < REQUESTS; k++) {
            struct random_request q;
            random_request(&q);
            seen[compare(f, router, &q, seed)]++;
        }
        router_free(router);
    }
    free(f);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(seen[i], CONFIGS * REQUESTS / 100);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("router at random");
    TCase *t = tcase_create("reference");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, agrees_with_the_reference);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
