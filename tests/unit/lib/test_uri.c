/* test_uri.c: targets, hosts, and the normal form of paths, also against the algorithm of RFC 3986 taken
 * literally. */
#include "lib/uri.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <time.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* ---- normal form ---- */

struct path_case {
    const char *raw;
    const char *normal;
    bool encoded_slash;
};

static const struct path_case good_paths[] = {
    {"/", "/", false},
    {"//", "//", false},
    {"/a/b.c/d..e/f.", "/a/b.c/d..e/f.", false},
    {"/a//b", "/a//b", false},
    {"/.", "/", false},
    {"/./", "/", false},
    {"/./a", "/a", false},
    {"/.a/..a/...", "/.a/..a/...", false},
    {"/a/.", "/a/", false},
    {"/a/..", "/", false},
    {"/a/../", "/", false},
    {"/a/b/..", "/a/", false},
    {"/a/./b/../c", "/a/c", false},
    {"/a/b/../../c", "/c", false},
    {"/a//../b", "/a/b", false},
    {"/a/..//b", "//b", false},
    {"/a/%2e%2e/b", "/b", false},
    {"/a/%2E./b", "/b", false},
    {"/a/.%2e/b", "/b", false},
    {"/a/%2e/b", "/a/b", false},
    {"/a/%2e", "/a/", false},
    {"/%67et", "/get", false},
    {"/%41%5a%61%7a%30%39%2d%2e%5f%7e", "/AZaz09-._~", false},
    {"/a%20b%c3%a9", "/a%20b%C3%A9", false},
    {"/%21%3a%40%3b", "/%21%3A%40%3B", false},
    {"/a!b:c@d;e,f=g&h+i$j'k(l)m*n", "/a!b:c@d;e,f=g&h+i$j'k(l)m*n", false},
    {"/a%3fb%23c", "/a%3Fb%23c", false},
    {"/a%0d%0Ab%7f", "/a%0D%0Ab%7F", false},
    /* decoded once only */
    {"/%252e%252e/a", "/%252e%252e/a", false},
    {"/%2567", "/%2567", false},
    {"/%25%32%65", "/%252e", false},
    {"/%252f", "/%252f", false},
    {"/a%25/%2e", "/a%25/", false},
    /* overlong forms of '.' and '/' are bytes like any */
    {"/%c0%ae%c0%ae/a", "/%C0%AE%C0%AE/a", false},
    {"/%c0%af", "/%C0%AF", false},
    {"/%e0%80%ae", "/%E0%80%AE", false},
    /* encoded slashes are kept and reported */
    {"/a%2fb", "/a%2Fb", true},
    {"/a%5cb", "/a%5Cb", true},
    {"/%2F", "/%2F", true},
    {"/a%2Fb%2e", "/a%2Fb.", true},
    {"/a%2fb/../c", "/c", false},
    {"/a%2F.b%2F..c", "/a%2F.b%2F..c", true},
    {"/.a;b/..a;c/a;..", "/.a;b/..a;c/a;..", false},
    {"/a;x=%2e%2e", "/a;x=..", false},
};

struct fault_case {
    const char *raw;
    size_t len;
    enum uri_fault fault;
};

#define BYTES(s) s, sizeof(s) - 1

static const struct fault_case bad_paths[] = {
    {BYTES(""), URI_NO_ROOT},
    {BYTES("a"), URI_NO_ROOT},
    {BYTES("*"), URI_NO_ROOT},
    {BYTES("%2Fa"), URI_NO_ROOT},
    {BYTES("\\a"), URI_NO_ROOT},
    {BYTES("/%"), URI_BAD_ESCAPE},
    {BYTES("/%4"), URI_BAD_ESCAPE},
    {BYTES("/%/41"), URI_BAD_ESCAPE},
    {BYTES("/%4g"), URI_BAD_ESCAPE},
    {BYTES("/%g4"), URI_BAD_ESCAPE},
    {BYTES("/%%41"), URI_BAD_ESCAPE},
    {BYTES("/%2%65"), URI_BAD_ESCAPE},
    {BYTES("/%u002e"), URI_BAD_ESCAPE},
    {BYTES("/% 41"), URI_BAD_ESCAPE},
    {BYTES("/%+1"), URI_BAD_ESCAPE},
    {BYTES("/a%00"), URI_NUL},
    {BYTES("/%00/../a"), URI_NUL},
    {BYTES("/a\0b"), URI_BAD_BYTE},
    {BYTES("/a b"), URI_BAD_BYTE},
    {BYTES("/a\tb"), URI_BAD_BYTE},
    {BYTES("/a\r\nb"), URI_BAD_BYTE},
    {BYTES("/a\x7f"), URI_BAD_BYTE},
    {BYTES("/\x80"), URI_BAD_BYTE},
    {BYTES("/caf\xc3\xa9"), URI_BAD_BYTE},
    {BYTES("/\xff"), URI_BAD_BYTE},
    {BYTES("/a\\b"), URI_BAD_BYTE},
    {BYTES("/..\\a"), URI_BAD_BYTE},
    {BYTES("/a#b"), URI_BAD_BYTE},
    {BYTES("/a?b"), URI_BAD_BYTE},
    {BYTES("/.."), URI_ABOVE_ROOT},
    {BYTES("/../"), URI_ABOVE_ROOT},
    {BYTES("/../a"), URI_ABOVE_ROOT},
    {BYTES("/./../a"), URI_ABOVE_ROOT},
    {BYTES("/a/../.."), URI_ABOVE_ROOT},
    {BYTES("/a/../../a/b"), URI_ABOVE_ROOT},
    {BYTES("/%2e%2e"), URI_ABOVE_ROOT},
    {BYTES("/.%2E/a"), URI_ABOVE_ROOT},
    {BYTES("/..%2Fa"), URI_HIDDEN_DOTS},
    {BYTES("/a/..%2f..%2fb"), URI_HIDDEN_DOTS},
    {BYTES("/a%2f.."), URI_HIDDEN_DOTS},
    {BYTES("/a%2f../b"), URI_HIDDEN_DOTS},
    {BYTES("/a%5c%2e%2e%5cb"), URI_HIDDEN_DOTS},
    {BYTES("/a%2F.%2Fb"), URI_HIDDEN_DOTS},
    {BYTES("/a/..;/b"), URI_HIDDEN_DOTS},
    {BYTES("/a/..;x=1/b"), URI_HIDDEN_DOTS},
    {BYTES("/a/%2e%2e;/b"), URI_HIDDEN_DOTS},
    {BYTES("/a/..%3b/b"), URI_HIDDEN_DOTS},
    {BYTES("/a/.;/b"), URI_HIDDEN_DOTS},
    {BYTES("/a%2f..;/b"), URI_HIDDEN_DOTS},
};

START_TEST(normalises)
{
    const struct path_case *c = &good_paths[_i];
    char out[128];
    struct uri_path got;
    ck_assert_int_eq(uri_normalise(slice_of(c->raw), out, &got), URI_OK);
    ck_assert_msg(slice_eq(got.path, slice_of(c->normal)), "%s -> %.*s", c->raw, SLICE_ARG(got.path));
    ck_assert_int_eq(got.encoded_slash, c->encoded_slash);
}
END_TEST

START_TEST(refuses)
{
    const struct fault_case *c = &bad_paths[_i];
    char out[128];
    struct uri_path got;
    enum uri_fault fault = uri_normalise((struct slice){c->raw, c->len}, out, &got);
    ck_assert_msg(fault == c->fault, "%s: %s, not %s", c->raw, uri_fault_text(fault),
                  uri_fault_text(c->fault));
}
END_TEST

START_TEST(returns_a_plain_path_itself)
{
    static const char *const plain[] = {"/", "/a", "/a/b.html", "/a//b/", "/a../b.", "/~u/!$&'()*+,;=:@"};
    for (size_t i = 0; i < N(plain); i++) {
        struct uri_path got;
        ck_assert_int_eq(uri_normalise(slice_of(plain[i]), NULL, &got), URI_OK);
        ck_assert_ptr_eq(got.path.p, plain[i]);
        ck_assert_uint_eq(got.path.len, strlen(plain[i]));
    }
}
END_TEST

START_TEST(judges_every_byte)
{
    for (int c = 0; c < 256; c++) {
        char raw[] = {'/', 'x', (char)c, 'y'}, out[8];
        struct uri_path got;
        bool good = c > ' ' && c < 127 && c != '#' && c != '?' && c != '\\' && c != '%';
        enum uri_fault fault = uri_normalise((struct slice){raw, 4}, out, &got);
        ck_assert_msg((fault == URI_OK) == good, "byte %d: %s", c, uri_fault_text(fault));
        if (good)
            ck_assert(slice_eq(got.path, (struct slice){raw, 4}));
    }
}
END_TEST

START_TEST(judges_every_escape)
{
    for (int c = 1; c < 256; c++) {
        char raw[8], upper[8], out[8];
        struct uri_path got;
        bool plain =
            c < 128 && (strchr("-._~", c) || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'));
        snprintf(raw, sizeof(raw), "/x%%%02x", (unsigned)c);
        snprintf(upper, sizeof(upper), plain ? "/x%c" : "/x%%%02X", c);
        ck_assert_int_eq(uri_normalise(slice_of(raw), out, &got), URI_OK);
        ck_assert_msg(slice_eq(got.path, slice_of(upper)), "%s -> %.*s", raw, SLICE_ARG(got.path));
        ck_assert_int_eq(got.encoded_slash, c == '/' || c == '\\');
    }
}
END_TEST

/* The same, told another way: decode everything that may be, then RFC 3986, 5.2.4 step by step on strings. */
static void remove_dots(char *in, char *out)
{
    *out = '\0';
    while (*in) {
        if (!strncmp(in, "/./", 3)) {
            in += 2;
        } else if (!strcmp(in, "/.")) {
            in[1] = '\0';
        } else if (!strncmp(in, "/../", 4) || !strcmp(in, "/..")) {
            char *cut = strrchr(out, '/');
            if (cut)
                *cut = '\0';
            in += 3;
            if (!*in)
                *--in = '/';
        } else {
            size_t n = 1 + strcspn(in + 1, "/");
            strncat(out, in, n);
            in += n;
        }
    }
}

static void decode(const char *raw, char *out)
{
    for (; *raw; raw++) {
        unsigned c = 0;
        if (*raw == '%' && sscanf(raw + 1, "%2x", &c) == 1) {
            bool plain = c < 128 && (strchr("-._~", (int)c) || (c >= '0' && c <= '9') ||
                                     ((c | 32) >= 'a' && (c | 32) <= 'z'));
            out += sprintf(out, plain ? "%c" : "%%%02X", c);
            raw += 2;
        } else {
            *out++ = *raw;
        }
    }
    *out = '\0';
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void random_path(uint64_t *state, char *raw)
{
    static const char *const bits[] = {"/",   "/",   "/.",  "/..", ".",   "%2e",   "%2E",
                                       "a",   "bc",  "%61", "%25", "%2f", "%5C",   "%c3",
                                       "%3b", "/..", ";",   "%20", "//",  "%2e%2e"};
    size_t n = next_random(state) % 12;
    strcpy(raw, "/");
    while (n-- > 0)
        strcat(raw, bits[next_random(state) % N(bits)]);
}

START_TEST(agrees_with_the_rfc)
{
    uint64_t seed = (uint64_t)time(NULL) * 2654435761u + 1, state = seed;
    size_t good = 0;
    for (int i = 0; i < 60000; i++) {
        char raw[128], decoded[128], expected[128], out[128], out2[128];
        struct uri_path got, again;
        random_path(&state, raw);
        enum uri_fault fault = uri_normalise(slice_of(raw), out, &got);
        if (fault != URI_OK) {
            ck_assert_msg(fault == URI_ABOVE_ROOT || fault == URI_HIDDEN_DOTS, "seed %#lx: %s", seed, raw);
            continue;
        }
        good++;
        decode(raw, decoded);
        remove_dots(decoded, expected);
        ck_assert_msg(slice_eq(got.path, slice_of(expected)), "seed %#lx: %s -> %.*s, not %s", seed, raw,
                      SLICE_ARG(got.path), expected);
        ck_assert_int_eq(got.encoded_slash, strstr(expected, "%2F") || strstr(expected, "%5C"));
        ck_assert_int_eq(uri_normalise(got.path, out2, &again), URI_OK);
        ck_assert_msg(slice_eq(got.path, again.path), "seed %#lx: %s", seed, raw);
        /* in its own memory */
        struct slice self = slice_of(raw);
        ck_assert_int_eq(uri_normalise(self, raw, &again), URI_OK);
        ck_assert_msg(slice_eq(again.path, slice_of(expected)), "seed %#lx: in place %s", seed, expected);
    }
    ck_assert_uint_gt(good, 6000);
}
END_TEST

START_TEST(faults_have_words)
{
    for (int f = URI_OK; f <= URI_HIDDEN_DOTS; f++)
        for (int g = URI_OK; g < f; g++)
            ck_assert_str_ne(uri_fault_text((enum uri_fault)f), uri_fault_text((enum uri_fault)g));
}
END_TEST

/* ---- targets ---- */

struct target_case {
    const char *target;
    enum uri_form form;
    const char *authority, *path, *query; /* query NULL: none */
};

static const struct target_case targets[] = {
    {"/", URI_ORIGIN, "", "/", NULL},
    {"/a/b?x=1&y=2", URI_ORIGIN, "", "/a/b", "x=1&y=2"},
    {"/a?", URI_ORIGIN, "", "/a", ""},
    {"/a?b?c", URI_ORIGIN, "", "/a", "b?c"},
    {"/?/../", URI_ORIGIN, "", "/", "/../"},
    {"//evil/x", URI_ORIGIN, "", "//evil/x", NULL},
    {"/http://a/", URI_ORIGIN, "", "/http://a/", NULL},
    {"*", URI_ASTERISK, "", "", NULL},
    {"http://h/p?q", URI_ABSOLUTE, "h", "/p", "q"},
    {"HTTPS://h:8443/p", URI_ABSOLUTE, "h:8443", "/p", NULL},
    {"http://h", URI_ABSOLUTE, "h", "/", NULL},
    {"http://h?q", URI_ABSOLUTE, "h", "/", "q"},
    {"http://[::1]:80/", URI_ABSOLUTE, "[::1]:80", "/", NULL},
    {"http://h//x", URI_ABSOLUTE, "h", "//x", NULL},
    {"h:443", URI_AUTHORITY, "h:443", "", NULL},
    {"[::1]:443", URI_AUTHORITY, "[::1]:443", "", NULL},
};

static const char *const bad_targets[] = {
    "",
    "a",
    "?a",
    "/a b",
    "/a\tb",
    "/a\r\nb",
    "/\x80",
    "/a#b",
    "#",
    "/a\x7f",
    "**",
    "*a",
    "ftp://h/",
    "http:/h/",
    "http:///p",
    "http://",
    "http://?q",
    "http://u@h/",
    "http://u:p@h",
    "http://h:x/",
    "http://h:99999/",
    "http://h\\",
    "http://[::1",
    "http://h%41",
    "javascript:1;a",
    "h:",
    "h",
    "u@h:1",
    ":80",
    "h:0",
    "http://:80/",
    "http://a..b/",
    "http://[]/",
    "h:443/x",
    "\\\\h",
};

START_TEST(splits)
{
    const struct target_case *c = &targets[_i];
    struct uri_target t;
    ck_assert_msg(uri_split(slice_of(c->target), &t), "%s", c->target);
    ck_assert_int_eq(t.form, c->form);
    ck_assert_msg(slice_eq(t.authority, slice_of(c->authority)), "%s: %.*s", c->target,
                  SLICE_ARG(t.authority));
    ck_assert_msg(slice_eq(t.path, slice_of(c->path)), "%s: %.*s", c->target, SLICE_ARG(t.path));
    ck_assert_int_eq(t.has_query, c->query != NULL);
    ck_assert(slice_eq(t.query, slice_of(c->query)));
}
END_TEST

START_TEST(refuses_targets)
{
    struct uri_target t;
    ck_assert_msg(!uri_split(slice_of(bad_targets[_i]), &t), "%s", bad_targets[_i]);
}
END_TEST

START_TEST(refuses_nul_in_a_target)
{
    struct uri_target t;
    ck_assert(!uri_split(SLICE("/a\0b"), &t));
    ck_assert(!uri_split(SLICE("http://h\0/"), &t));
}
END_TEST

/* ---- hosts ---- */

static const struct {
    const char *authority, *host; /* NULL: refused */
} hosts[] = {
    {"", ""},
    {"example.com", "example.com"},
    {"Example.COM:8080", "Example.COM"},
    {"example.com.", "example.com."},
    {"example.com:", "example.com"},
    {"a_b-c~d.0", "a_b-c~d.0"},
    {"127.0.0.1:80", "127.0.0.1"},
    {"h:65535", "h"},
    {"h:00080", "h"},
    {"[::1]", "[::1]"},
    {"[::1]:80", "[::1]"},
    {"[2001:db8::ffff:1.2.3.4]", "[2001:db8::ffff:1.2.3.4]"},
    {"h:65536", NULL},
    {"h:0", NULL},
    {"h:000080", NULL},
    {"h:-1", NULL},
    {"h:+1", NULL},
    {"h:8 ", NULL},
    {"h:80:80", NULL},
    {":80", NULL},
    {":", NULL},
    {".", NULL},
    {".a", NULL},
    {"a..b", NULL},
    {"a..", NULL},
    {"u@h", NULL},
    {"u:p@h", NULL},
    {"a b", NULL},
    {"a/b", NULL},
    {"a\\b", NULL},
    {"a,b", NULL},
    {"a%2eb", NULL},
    {"a\x80", NULL},
    {"a\r\nb", NULL},
    {"::1", NULL},
    {"[]", NULL},
    {"[", NULL},
    {"]", NULL},
    {"[::1", NULL},
    {"[::1]x", NULL},
    {"[::1]]", NULL},
    {"[::1%25lo]", NULL},
    {"[1.2.3.4]", NULL},
    {"[:::1]", NULL},
    {"[v1.a]", NULL},
    {"x[::1]", NULL},
};

START_TEST(reads_hosts)
{
    struct slice host;
    bool ok = uri_host(slice_of(hosts[_i].authority), &host);
    ck_assert_msg(ok == (hosts[_i].host != NULL), "%s", hosts[_i].authority);
    if (ok)
        ck_assert_msg(slice_eq(host, slice_of(hosts[_i].host)), "%s: %.*s", hosts[_i].authority,
                      SLICE_ARG(host));
}
END_TEST

START_TEST(bounds_hosts)
{
    char name[300];
    struct slice host;
    memset(name, 'a', sizeof(name));
    ck_assert(uri_host((struct slice){name, 255}, &host));
    ck_assert(!uri_host((struct slice){name, 256}, &host));
    name[0] = '[';
    name[sizeof(name) - 1] = ']';
    ck_assert(!uri_host((struct slice){name, sizeof(name)}, &host));
    ck_assert(!uri_host(SLICE("[::1\0]"), &host));
    ck_assert(!uri_host(SLICE("a\0b"), &host));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("uri");
    TCase *paths = tcase_create("paths"), *others = tcase_create("targets and hosts");
    tcase_add_loop_test(paths, normalises, 0, N(good_paths));
    tcase_add_loop_test(paths, refuses, 0, N(bad_paths));
    tcase_add_test(paths, returns_a_plain_path_itself);
    tcase_add_test(paths, judges_every_byte);
    tcase_add_test(paths, judges_every_escape);
    tcase_add_test(paths, agrees_with_the_rfc);
    tcase_add_test(paths, faults_have_words);
    tcase_add_loop_test(others, splits, 0, N(targets));
    tcase_add_loop_test(others, refuses_targets, 0, N(bad_targets));
    tcase_add_test(others, refuses_nul_in_a_target);
    tcase_add_loop_test(others, reads_hosts, 0, N(hosts));
    tcase_add_test(others, bounds_hosts);
    suite_add_tcase(s, paths);
    suite_add_tcase(s, others);
    return s;
}

UNIT_MAIN(suite)
