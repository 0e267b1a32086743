/* test_http.c: methods, character classes, phrases, field look-ups. */
#include "lib/http.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

START_TEST(methods_by_name)
{
    static const char *const names[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                        "PATCH", "OPTIONS", "TRACE", "CONNECT"};
    for (unsigned i = 0; i < HTTP_OTHER; i++) {
        ck_assert_int_eq(http_method_of(slice_of(names[i])), i);
        ck_assert_str_eq(http_method_name(i), names[i]);
    }
    ck_assert_str_eq(http_method_name(HTTP_OTHER), "OTHER");
    ck_assert_str_eq(http_method_name((enum http_method)77), "OTHER");
}
END_TEST

START_TEST(methods_that_are_none)
{
    static const char *const names[] = {"",        "get",   "GETS",     "GE",    "XET",    "PUX",
                                        "HEAX",    "POSX",  "PATCX",    "TRACX", "DELETX", "OPTIONX",
                                        "CONNECX", "PURGE", "PROPFIND", "G\0T"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(http_method_of(slice_of(names[i])) == HTTP_OTHER, "%s", names[i]);
    ck_assert_int_eq(http_method_of((struct slice){NULL, 0}), HTTP_OTHER);
}
END_TEST

START_TEST(methods_that_may_be_repeated)
{
    for (enum http_method m = 0; m < HTTP_METHODS; m++) {
        bool wanted = m == HTTP_GET || m == HTTP_HEAD || m == HTTP_PUT || m == HTTP_DELETE ||
                      m == HTTP_OPTIONS || m == HTTP_TRACE;
        ck_assert_msg(http_method_is_idempotent(m) == wanted, "%s", http_method_name(m));
    }
}
END_TEST

static bool wanted_tchar(int c)
{
    return c > 0 && c < 128 &&
           (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'));
}

static bool wanted_value(int c)
{
    return c == '\t' || (c >= ' ' && c != 0x7F);
}

/* Each byte at each place of strings that are shorter and longer than what is looked at in one step. */
START_TEST(every_byte_everywhere)
{
    char *s = malloc(40); /* of its very size, so that a look past it is noticed */
    for (size_t len = 1; len <= 40; len += len < 20 ? 1 : 5) {
        char *p = s + 40 - len;
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(p, at % 2 ? 'z' : 'A', len);
                p[at] = (char)c;
                struct slice t = {p, len};
                ck_assert_msg(http_is_token(t) == wanted_tchar(c), "token, byte %d at %zu of %zu", c, at,
                              len);
                ck_assert_msg(http_is_field_value(t) == wanted_value(c), "value, byte %d at %zu of %zu", c,
                              at, len);
                ck_assert(http_is_tchar((unsigned char)c) == wanted_tchar(c));
            }
        }
    }
    free(s);
    ck_assert(!http_is_token((struct slice){NULL, 0}));
    ck_assert(http_is_field_value((struct slice){NULL, 0}));
}
END_TEST

START_TEST(phrases)
{
    ck_assert_str_eq(http_status_phrase(200), "OK");
    ck_assert_str_eq(http_status_phrase(404), "Not Found");
    ck_assert_str_eq(http_status_phrase(429), "Too Many Requests");
    ck_assert_str_eq(http_status_phrase(511), "Network Authentication Required");
    static const unsigned none[] = {0, 99, 104, 299, 306, 418, 499, 509, 512, 600, 4000000000u};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        ck_assert_str_eq(http_status_phrase(none[i]), "");
    size_t n = 0;
    for (unsigned s = 0; s < 1000; s++)
        n += http_status_phrase(s)[0] != '\0';
    ck_assert_uint_eq(n, 60);
}
END_TEST

START_TEST(looking_up_fields)
{
    struct http_field f[] = {
        {SLICE("Accept"), SLICE("a")}, {SLICE("CONNECTION"), SLICE("close , X-a,,\tUpgrade ")},
        {SLICE("Accept"), SLICE("b")}, {SLICE("connection"), SLICE("keep-alive")},
        {SLICE(""), SLICE("odd")},
    };
    struct http_fields all = {f, 5}, none = {NULL, 0};
    struct slice connection = SLICE("Connection");
    ck_assert_ptr_eq(http_find(all, SLICE("accept")), &f[0]);
    ck_assert_ptr_eq(http_find(all, connection), &f[1]);
    ck_assert_ptr_null(http_find(all, SLICE("accepT-")));
    ck_assert_ptr_null(http_find(all, SLICE("bccept")));
    ck_assert_ptr_null(http_find(none, SLICE("accept")));
    ck_assert_ptr_eq(http_find(all, SLICE("")), &f[4]);
    ck_assert_uint_eq(http_count(all, SLICE("ACCEPT")), 2);
    ck_assert_uint_eq(http_count(all, SLICE("Acc")), 0);
    ck_assert(http_lists_token(all, connection, SLICE("x-A")));
    ck_assert(http_lists_token(all, connection, SLICE("upgrade")));
    ck_assert(http_lists_token(all, connection, SLICE("Keep-Alive")));
    ck_assert(!http_lists_token(all, connection, SLICE("clos")));
    ck_assert(!http_lists_token(all, connection, SLICE("")));
    ck_assert(!http_lists_token(all, SLICE("Via"), SLICE("close")));
}
END_TEST

START_TEST(hop_by_hop)
{
    static const char *const yes[] = {
        "connection",         "KEEP-ALIVE",          "Proxy-Connection", "tE", "Trailer", "upgrade",
        "Proxy-Authenticate", "proxy-authorization", "Transfer-Encoding"};
    static const char *const no[] = {"",
                                     "t",
                                     "TF",
                                     "trailers",
                                     "upgraded",
                                     "connectiom",
                                     "host",
                                     "keep_alive",
                                     "content-length",
                                     "authorization",
                                     "Proxy-Connectiom"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        ck_assert_msg(http_is_hop_by_hop(slice_of(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        ck_assert_msg(!http_is_hop_by_hop(slice_of(no[i])), "%s", no[i]);
}
END_TEST

static Suite *http_suite(void)
{
    Suite *s = suite_create("http");
    TCase *t = tcase_create("http");
    tcase_add_test(t, methods_by_name);
    tcase_add_test(t, methods_that_are_none);
    tcase_add_test(t, methods_that_may_be_repeated);
    tcase_add_test(t, every_byte_everywhere);
    tcase_add_test(t, phrases);
    tcase_add_test(t, looking_up_fields);
    tcase_add_test(t, hop_by_hop);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(http_suite)
