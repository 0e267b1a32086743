/* test_http1.c: heads of answers at every split, what is refused, framing; requests written and judged. */
#include "lib/http1.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS   16
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- answers ---- */

static struct http_field fields[FIELDS];

/* Feed TEXT in portions of STEP bytes, the first one of FIRST; nothing behind what has come may be read. */
static enum http1_fault feed(struct slice text, size_t first, size_t step, bool is_head,
                             struct http1_response *r)
{
    static char memory[8192];
    enum http1_fault fault = HTTP1_MORE;
    memset(memory, '\n', sizeof(memory));
    http1_response_init(r, fields, FIELDS, is_head);
    for (size_t have = 0, n = first; have < text.len && fault == HTTP1_MORE; n = step) {
        n = n < text.len - have ? n : text.len - have;
        memcpy(memory + have, text.p + have, n);
        have += n;
        fault = http1_response_parse(r, memory, have);
    }
    return fault;
}

static void assert_same(const char *text, size_t split, const struct http1_response *a,
                        const struct http1_response *b)
{
    ck_assert_msg(a->minor == b->minor && a->status == b->status && a->head_len == b->head_len, "%s at %zu",
                  text, split);
    ck_assert_msg(a->framing == b->framing && a->length == b->length && a->has_length == b->has_length, "%s",
                  text);
    ck_assert_msg(a->keep_alive == b->keep_alive && a->fields.n == b->fields.n, "%s at %zu", text, split);
    ck_assert_msg(a->reason.p == b->reason.p && a->reason.len == b->reason.len, "%s at %zu", text, split);
}

/* Feed it in every way; the results are the same. The last one, of all at once, is left in R. */
static enum http1_fault feed_all_ways(struct slice text, bool is_head, struct http1_response *r)
{
    struct http1_response part;
    struct http_field whole[FIELDS];
    enum http1_fault fault = feed(text, text.len, 1, is_head, r);
    memcpy(whole, fields, sizeof(whole));
    for (size_t split = 0; split <= text.len; split++) {
        size_t step = split == 0 ? 1 : text.len; /* 0: byte by byte */
        enum http1_fault other = feed(text, split ? split : 1, step, is_head, &part);
        ck_assert_msg(other == fault, "%s cut at %zu: %s", text.p, split, http1_fault_text(other));
        if (fault != HTTP1_OK)
            continue;
        assert_same(text.p, split, r, &part);
        ck_assert(memcmp(whole, fields, r->fields.n * sizeof(whole[0])) == 0);
    }
    return fault;
}

static const struct good_case {
    struct slice text;
    bool is_head;
    unsigned status;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive;
    size_t nfields;
} good[] = {
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP1_LENGTH, 5, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\n\r\n"), false, 200, HTTP1_UNTIL_CLOSE, 0, false, 0},
    {SLICE("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n"), false, 200, HTTP1_LENGTH, 0, true, 1},
    {SLICE("HTTP/1.1 200 \r\nCONTENT-LENGTH: \t 0007 \t\r\n\r\n"), false, 200, HTTP1_LENGTH, 7, true, 1},
    {SLICE("HTTP/1.1 200  spaced\tout \xFF\r\nContent-Length: 1\r\n\r\n"), false, 200, HTTP1_LENGTH, 1, true,
     1},
    {SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP1_LENGTH, 5, false, 1},
    {SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"), false, 200,
     HTTP1_LENGTH, 5, true, 2},
    {SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: x, Keep-Alive\r\n\r\n"), false, 200,
     HTTP1_LENGTH, 5, true, 2},
    {SLICE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), false, 200, HTTP1_UNTIL_CLOSE, 0, false, 1},
    {SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"),
     false, 200, HTTP1_LENGTH, 5, false, 3},
    {SLICE("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP1_LENGTH, 5,
     false, 2},
    {SLICE("HTTP/1.1 200 OK\r\nconnection: Upgrade , CLOSE\r\nContent-Length: 5\r\n\r\n"), false, 200,
     HTTP1_LENGTH, 5, false, 2},
    {SLICE("HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP1_LENGTH, 5,
     true, 2},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"), false, 200, HTTP1_CHUNKED, 0, true,
     1},
    {SLICE("HTTP/1.1 200 OK\r\ntransfer-encoding:CHUNKED\t\r\n\r\n"), false, 200, HTTP1_CHUNKED, 0, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), false, 200, HTTP1_LENGTH, 5,
     true, 2},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5 , 5,05\r\n\r\n"), false, 200, HTTP1_LENGTH, 5, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n"), false, 200, HTTP1_LENGTH,
     INT64_MAX, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000000000000000001\r\n\r\n"), false, 200,
     HTTP1_LENGTH, 1, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), true, 200, HTTP1_NO_BODY, 5, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), true, 200, HTTP1_NO_BODY, 0, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\n\r\n"), true, 200, HTTP1_NO_BODY, 0, true, 0},
    {SLICE("HTTP/1.1 204 No Content\r\n\r\n"), false, 204, HTTP1_NO_BODY, 0, true, 0},
    {SLICE("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), false, 204, HTTP1_NO_BODY, 0, true, 1},
    {SLICE("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"), false, 304, HTTP1_NO_BODY, 77, true,
     1},
    {SLICE("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), false, 304, HTTP1_NO_BODY, 0,
     true, 1},
    {SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), false, 100, HTTP1_NO_BODY, 0, true, 0},
    {SLICE("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"), false, 103, HTTP1_NO_BODY, 0, true,
     1},
    {SLICE("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), false, 101, HTTP1_NO_BODY,
     0, true, 2},
    {SLICE("HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\n"), false, 999, HTTP1_LENGTH, 1, true, 1},
    {SLICE("HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: x\r\nEmpty:\r\nBlank: \t \r\n\r\n"), false, 200,
     HTTP1_UNTIL_CLOSE, 0, false, 3},
    {SLICE("HTTP/1.1 200 OK\r\nx: \"\xC3\xA4\ttab : colon\"\r\nConnectiom: close\r\nContent-Lengti: "
           "9\r\nTransfer-Encodinf: y\r\n\r\n"),
     false, 200, HTTP1_UNTIL_CLOSE, 0, false, 4},
};

START_TEST(answers)
{
    const struct good_case *c = &good[_i];
    struct http1_response r;
    enum http1_fault fault = feed_all_ways(c->text, c->is_head, &r);
    ck_assert_msg(fault == HTTP1_OK, "%s: %s", c->text.p, http1_fault_text(fault));
    ck_assert_msg(r.status == c->status, "%s: %u", c->text.p, r.status);
    ck_assert_msg(r.framing == c->framing, "%s: framing %d", c->text.p, (int)r.framing);
    ck_assert_msg(r.length == c->length, "%s: length %llu", c->text.p, (unsigned long long)r.length);
    ck_assert_msg(r.keep_alive == c->keep_alive, "%s: keep alive", c->text.p);
    ck_assert_msg(r.fields.n == c->nfields, "%s: %zu fields", c->text.p, r.fields.n);
    ck_assert_uint_eq(r.minor, (unsigned)(c->text.p[7] - '0'));
    ck_assert_uint_eq(r.head_len, (size_t)(strstr(c->text.p, "\r\n\r\n") + 4 - c->text.p));
    for (size_t n = 0; n < r.head_len; n++) {
        struct http1_response part;
        fault = feed((struct slice){c->text.p, n}, n, 1, c->is_head, &part);
        ck_assert_msg(fault == HTTP1_MORE, "%zu bytes of %s: %s", n, c->text.p, http1_fault_text(fault));
    }
}
END_TEST

static const struct bad_case {
    struct slice text;
    enum http1_fault fault;
} bad[] = {
    {SLICE("HTTP/1.2 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/2.0 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.10 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("http/1.1 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1  200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1\t200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE(" HTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 20 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 2000 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 099 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 2x0 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 -20 OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200OK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200\tOK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200 O\0K\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200 O\x1BK\r\n\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200 OK\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200\rX\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 O\rK\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("SSH-2.0-x\r\n"), HTTP1_BAD_START_LINE},
    {SLICE("HTTP/1.1 200 OK\r\n\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\n\rX"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\na: b\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\na: b\rc: d\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\na: b\r\r\n\r\n"), HTTP1_BAD_LINE_END},
    {SLICE("HTTP/1.1 200 OK\r\n a: b\r\n\r\n"), HTTP1_FOLDED},
    {SLICE("HTTP/1.1 200 OK\r\na: b\r\n\tc\r\n\r\n"), HTTP1_FOLDED},
    {SLICE("HTTP/1.1 200 OK\r\na: b\r\n \r\n\r\n"), HTTP1_FOLDED},
    {SLICE("HTTP/1.1 200 OK\r\na : b\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\na\t: b\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\n: b\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\nab\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\n\0: c\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\na(b): c\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\n\xC3\xA4: c\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\na-long-name-of-letters-[: c\r\n\r\n"), HTTP1_BAD_NAME},
    {SLICE("HTTP/1.1 200 OK\r\na: \0\r\n\r\n"), HTTP1_BAD_VALUE},
    {SLICE("HTTP/1.1 200 OK\r\na: b\x08\r\n\r\n"), HTTP1_BAD_VALUE},
    {SLICE("HTTP/1.1 200 OK\r\na: 0123456789abcdef0123456789abcde\x7F\r\n\r\n"), HTTP1_BAD_VALUE},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5zz\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5.0\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: ,5\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5,,5\r\n\r\n"), HTTP1_BAD_LENGTH},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     HTTP1_BAD_CODING},
    {SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_BAD_CODING},
    {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), HTTP1_TWO_FRAMINGS},
    {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP1_TWO_FRAMINGS},
};

START_TEST(answers_refused)
{
    struct http1_response r;
    for (int is_head = 0; is_head < 2; is_head++) {
        enum http1_fault fault = feed_all_ways(bad[_i].text, is_head, &r);
        ck_assert_msg(fault == bad[_i].fault, "%s: %s", bad[_i].text.p, http1_fault_text(fault));
    }
}
END_TEST

START_TEST(fields_of_answers)
{
    static const char *const wanted[] = {"A",      "b",          "Set-Cookie",
                                         "x=1; y", "set-cookie", "z=2",
                                         "E",      "",           "longer-than-sixteen-bytes_and_1",
                                         "v: w",   "Tab",        "a\tb"};
    struct slice text =
        SLICE("HTTP/1.1 200 All good\r\nA:b\r\nSet-Cookie: x=1; y\r\nset-cookie:z=2\t \r\nE: \r\n"
              "longer-than-sixteen-bytes_and_1:   v: w\r\nTab:\ta\tb\r\n\r\n");
    struct http1_response r;
    ck_assert_int_eq(feed_all_ways(text, false, &r), HTTP1_OK);
    ck_assert(slice_eq(r.reason, SLICE("All good")));
    ck_assert_uint_eq(r.fields.n, 6);
    for (size_t i = 0; i < r.fields.n; i++) {
        ck_assert_msg(slice_eq(r.fields.at[i].name, slice_of(wanted[2 * i])), "%zu", i);
        ck_assert_msg(slice_eq(r.fields.at[i].value, slice_of(wanted[2 * i + 1])), "%zu", i);
    }
    ck_assert_int_eq(feed(SLICE("HTTP/1.1 200\r\n\r\n"), 5, 2, false, &r), HTTP1_OK);
    ck_assert_uint_eq(r.reason.len, 0);
    ck_assert_int_eq(feed(SLICE("HTTP/1.1 200 \r\n\r\n"), 5, 2, false, &r), HTTP1_OK);
    ck_assert_uint_eq(r.reason.len, 0);
}
END_TEST

START_TEST(fields_are_counted)
{
    static char text[1024];
    for (size_t n = FIELDS; n <= FIELDS + 1; n++) {
        struct buf b;
        struct http1_response r;
        buf_init(&b, text, sizeof(text));
        buf_add(&b, SLICE("HTTP/1.1 200 OK\r\n"));
        for (size_t i = 0; i < n; i++)
            buf_add(&b, SLICE("A: b\r\n"));
        buf_add(&b, SLICE("\r\n"));
        enum http1_fault fault = feed_all_ways(buf_slice(&b), false, &r);
        ck_assert_int_eq(fault, n > FIELDS ? HTTP1_TOO_MANY_FIELDS : HTTP1_OK);
    }
}
END_TEST

/* Each byte at each place of a value and of a name, of lengths around what is looked at in one step. */
START_TEST(every_byte_in_fields)
{
    struct http1_response r;
    for (size_t len = 1; len <= 36; len += len < 18 ? 1 : 6) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                char text[128];
                int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%.*s: v\r\nn:%.*s\r\n\r\n", (int)len,
                                 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst", (int)len,
                                 "0123456789012345678901234567890123456789");
                struct slice s = {text, (size_t)n};
                char *name = text + 17 + at, *value = text + n - 4 - len + at;
                char saved = *name;
                *name = (char)c;
                enum http1_fault fault = feed(s, s.len, 1, false, &r);
                /* A colon is good, but for an empty name; CR begins the empty line. */
                bool fine = http_is_tchar((unsigned char)c) || (c == ':' && at > 0);
                ck_assert_msg((fault == HTTP1_OK) == fine, "name, byte %d at %zu of %zu", c, at, len);
                *name = saved;
                *value = (char)c;
                fault = feed(s, s.len, 1, false, &r);
                fine = http_char_class[c] & HTTP_VALUE;
                ck_assert_msg((fault == HTTP1_OK) == fine, "value, byte %d at %zu of %zu", c, at, len);
            }
        }
    }
}
END_TEST

/* Bytes that were looked at are not looked at again: they may be anything then, and nobody notices. */
START_TEST(looks_at_bytes_once)
{
    static const char wanted[] = "HTTP/1.1 200 reason\r\nname: value \xFF\t;\r\na:b\r\n\r\n";
    char text[sizeof(wanted)];
    struct http1_response r;
    memset(text, '\0', sizeof(text));
    http1_response_init(&r, fields, FIELDS, false);
    for (size_t have = 1; have < sizeof(wanted); have++) {
        text[have - 1] = wanted[have - 1];
        enum http1_fault fault = http1_response_parse(&r, text, have);
        ck_assert_msg(fault == (have == sizeof(wanted) - 1 ? HTTP1_OK : HTTP1_MORE), "%zu bytes", have);
        /* The start of the status line is read as one, white space around values when the line is whole. */
        if (have > 13 && strchr("reasonamvlu\xFF;", text[have - 2]))
            text[have - 2] = '\0';
    }
    ck_assert_uint_eq(r.fields.n, 2);
    ck_assert_uint_eq(r.fields.at[0].name.len, 4);
    ck_assert_uint_eq(r.fields.at[0].value.len, 9);
}
END_TEST

/* ---- requests, written ---- */

START_TEST(writes_requests)
{
    char text[128];
    struct buf b;
    struct http_field f[] = {{SLICE("Accept"), SLICE("*/*")}, {SLICE("X-Empty"), SLICE("")}};
    static const char wanted[] = "PURGE /a?b=c HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nX-Empty: \r\n\r\n";
    for (size_t cap = 0; cap < sizeof(text); cap++) {
        buf_init(&b, text, cap);
        http1_request_begin(&b, SLICE("PURGE"), SLICE("/a?b=c"));
        http1_request_field(&b, SLICE("Host"), SLICE("h:1"));
        http1_request_fields(&b, (struct http_fields){f, 2});
        http1_request_end(&b);
        ck_assert(b.failed == (cap < sizeof(wanted) - 1));
        ck_assert(b.failed || slice_eq(buf_slice(&b), slice_of(wanted)));
    }
}
END_TEST

START_TEST(never_writes_line_ends)
{
    static const struct {
        struct slice method, target, name, value;
    } cases[] = {
        {SLICE(""), SLICE("/"), SLICE("a"), SLICE("b")},
        {SLICE("G T"), SLICE("/"), SLICE("a"), SLICE("b")},
        {SLICE("G\r\n"), SLICE("/"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE(""), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/ HTTP/1.1"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/\r"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/\0"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/\x7F"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/\xC3\xA4"), SLICE("a"), SLICE("b")},
        {SLICE("GET"), SLICE("/"), SLICE(""), SLICE("b")},
        {SLICE("GET"), SLICE("/"), SLICE("a:"), SLICE("b")},
        {SLICE("GET"), SLICE("/"), SLICE("a\n"), SLICE("b")},
        {SLICE("GET"), SLICE("/"), SLICE("a"), SLICE("b\r\nc: d")},
        {SLICE("GET"), SLICE("/"), SLICE("a"), SLICE("b\n")},
        {SLICE("GET"), SLICE("/"), SLICE("a"), SLICE("\0")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[128];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        http1_request_begin(&b, cases[i].method, cases[i].target);
        http1_request_field(&b, cases[i].name, cases[i].value);
        http1_request_end(&b);
        ck_assert_msg(b.failed, "case %zu", i);
    }
}
END_TEST

/* ---- requests, judged ---- */

/* "METHOD TARGET VERSION" and fields "name:value", white space kept; each ends with '\n'. */
static enum http1_fault judge(const char *text, struct http1_request *out, struct http_field *f, size_t max)
{
    struct http1_request_check_in in = {.fields = {f, 0}, .max_fields = max};
    const char *line_end = strchr(text, '\n'), *space = strchr(text, ' '),
               *last = memrchr(text, ' ', (size_t)(line_end - text));
    in.method = slice_between(text, space);
    in.target = slice_between(space + 1, last);
    in.version = slice_between(last + 1, line_end);
    for (const char *p = line_end + 1; *p; p = line_end + 1) {
        line_end = strchr(p, '\n');
        const char *colon = memchr(p, '=', (size_t)(line_end - p));
        f[in.fields.n++] = (struct http_field){slice_between(p, colon), slice_between(colon + 1, line_end)};
    }
    return http1_request_check(&in, out);
}

static const struct request_case {
    const char *text;
    enum http1_fault fault;
    enum http1_framing framing;
    uint64_t length;
    bool expects_continue, keep_alive;
} requests[] = {
    {"GET / HTTP/1.1\nHost=a\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {"GET / HTTP/1.1\nhost=\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {"GET / HTTP/1.0\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, false},
    {"GET / HTTP/1.0\nConnection=Keep-Alive\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {"GET / HTTP/1.1\nHost=a\nConnection=x ,Close\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, false},
    {"GET / HTTP/1.1\nHost=a\nConnection=close\nConnection=keep-alive\n", HTTP1_OK, HTTP1_NO_BODY, 0, false,
     false},
    {"POST /x?y HTTP/1.1\nHOST=a.b:80\ncontent-length=17\n", HTTP1_OK, HTTP1_LENGTH, 17, false, true},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=0\nExpect=100-continue\n", HTTP1_OK, HTTP1_LENGTH, 0, false,
     true},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=1\nexpect=100-Continue\n", HTTP1_OK, HTTP1_LENGTH, 1, true,
     true},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=chunked\nExpect=100-continue \n", HTTP1_OK, HTTP1_CHUNKED, 0,
     true, true},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=Chunked\n", HTTP1_OK, HTTP1_CHUNKED, 0, false, true},
    {"POST / HTTP/1.0\nContent-Length=1\nExpect=200-maybe\n", HTTP1_OK, HTTP1_LENGTH, 1, false, false},
    {"GET / HTTP/1.1\nHost=a\nExpect=100-continue\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {"BREW / HTTP/1.1\nHost=[::1]:8080\n", HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {"GET / HTTP/1.1\nHost=a\nHosts=b\nExpectt=c\nConnectiom=close\nContent-Lengti=1\nTransfer-Encodinf=d\n",
     HTTP1_OK, HTTP1_NO_BODY, 0, false, true},
    {" / HTTP/1.1\nHost=a\n", HTTP1_BAD_METHOD, 0, 0, 0, 0},
    {"G:T / HTTP/1.1\nHost=a\n", HTTP1_BAD_METHOD, 0, 0, 0, 0},
    {"G\x01T / HTTP/1.1\nHost=a\n", HTTP1_BAD_METHOD, 0, 0, 0, 0},
    {"GET  HTTP/1.1\nHost=a\n", HTTP1_BAD_TARGET, 0, 0, 0, 0},
    {"GET /a b HTTP/1.1\nHost=a\n", HTTP1_BAD_TARGET, 0, 0, 0, 0},
    {"GET /\x7F HTTP/1.1\nHost=a\n", HTTP1_BAD_TARGET, 0, 0, 0, 0},
    {"GET /\xFF HTTP/1.1\nHost=a\n", HTTP1_BAD_TARGET, 0, 0, 0, 0},
    {"GET / HTTP/1.2\nHost=a\n", HTTP1_BAD_VERSION, 0, 0, 0, 0},
    {"GET / HTTP/2.0\nHost=a\n", HTTP1_BAD_VERSION, 0, 0, 0, 0},
    {"GET / \nHost=a\n", HTTP1_BAD_VERSION, 0, 0, 0, 0},
    {"GET / http/1.1\nHost=a\n", HTTP1_BAD_VERSION, 0, 0, 0, 0},
    {"GET / HTTP/1.1\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\nHost=a\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.0\nHost=a\nhost=b\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=\nhost=\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a b\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=u@a\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a:x\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a/b\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a, b\n", HTTP1_BAD_HOST, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\n=x\n", HTTP1_BAD_NAME, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\n:x=y\n", HTTP1_BAD_NAME, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\nX =y\n", HTTP1_BAD_NAME, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\n X=y\n", HTTP1_BAD_NAME, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\nX\x80=y\n", HTTP1_BAD_NAME, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\nX=a\rb\n", HTTP1_BAD_VALUE, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\nX=a\x7F\n", HTTP1_BAD_VALUE, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=+5\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=-5\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=5 \n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=0x5\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=5,5\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=9223372036854775808\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=5\nContent-Length=5\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=0\ncontent-length=0\n", HTTP1_BAD_LENGTH, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=chunked \n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=\n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=identity\n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=gzip, chunked\n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=\tchunked\n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=chunked\nTransfer-Encoding=chunked\n", HTTP1_BAD_CODING, 0,
     0, 0, 0},
    {"POST / HTTP/1.0\nTransfer-Encoding=chunked\n", HTTP1_BAD_CODING, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nTransfer-Encoding=chunked\nContent-Length=5\n", HTTP1_TWO_FRAMINGS, 0, 0, 0,
     0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=5\nTransfer-Encoding=chunked\n", HTTP1_TWO_FRAMINGS, 0, 0, 0,
     0},
    {"POST / HTTP/1.1\nHost=a\nContent-Length=5\nExpect=100\n", HTTP1_BAD_EXPECT, 0, 0, 0, 0},
    {"POST / HTTP/1.1\nHost=a\nExpect=100-continue\nExpect=x\n", HTTP1_BAD_EXPECT, 0, 0, 0, 0},
    {"GET / HTTP/1.1\nHost=a\na=1\nb=2\nc=3\nd=4\ne=5\nf=6\n", HTTP1_TOO_MANY_FIELDS, 0, 0, 0, 0},
};

START_TEST(judges_requests)
{
    const struct request_case *c = &requests[_i];
    struct http_field f[FIELDS];
    struct http1_request r;
    enum http1_fault fault = judge(c->text, &r, f, 6);
    ck_assert_msg(fault == c->fault, "%s: %s", c->text, http1_fault_text(fault));
    if (fault != HTTP1_OK)
        return;
    ck_assert_msg(r.framing == c->framing && r.length == c->length, "%s", c->text);
    ck_assert_msg(r.expects_continue == c->expects_continue, "%s", c->text);
    ck_assert_msg(r.keep_alive == c->keep_alive, "%s", c->text);
    ck_assert_msg(r.minor == (strstr(c->text, "HTTP/1.1") ? 1u : 0u), "%s", c->text);
}
END_TEST

START_TEST(cuts_white_space_behind_values)
{
    struct http_field f[FIELDS];
    struct http1_request r;
    ck_assert_int_eq(judge("GET / HTTP/1.1\nHost=a:80 \nX=y z \t\nEmpty= \n", &r, f, 6), HTTP1_OK);
    ck_assert(slice_eq(f[0].value, SLICE("a:80")) && slice_eq(r.host, SLICE("a:80")) && r.has_host);
    ck_assert(slice_eq(f[1].value, SLICE("y z")));
    ck_assert_uint_eq(f[2].value.len, 0);
    f[0] = (struct http_field){SLICE("X"), {NULL, 0}};
    const struct http1_request_check_in in = {SLICE("GET"), SLICE("/"), SLICE("HTTP/1.0"), {f, 1}, 1};
    ck_assert_int_eq(http1_request_check(&in, &r), HTTP1_OK);
    ck_assert_int_eq(judge("GET / HTTP/1.0\n", &r, f, 0), HTTP1_OK);
    ck_assert(!r.has_host && r.host.len == 0);
}
END_TEST

START_TEST(every_fault_has_words)
{
    for (unsigned f = HTTP1_OK; f <= HTTP1_PARSED_WRONGLY; f++)
        ck_assert_str_ne(http1_fault_text(f), "unknown fault");
    ck_assert_str_eq(http1_fault_text((enum http1_fault)99), "unknown fault");
}
END_TEST

static Suite *http1_suite(void)
{
    Suite *s = suite_create("http1");
    TCase *t = tcase_create("http1");
    tcase_add_loop_test(t, answers, 0, COUNT(good));
    tcase_add_loop_test(t, answers_refused, 0, COUNT(bad));
    tcase_add_test(t, fields_of_answers);
    tcase_add_test(t, fields_are_counted);
    tcase_add_test(t, every_byte_in_fields);
    tcase_add_test(t, looks_at_bytes_once);
    tcase_add_test(t, writes_requests);
    tcase_add_test(t, never_writes_line_ends);
    tcase_add_loop_test(t, judges_requests, 0, COUNT(requests));
    tcase_add_test(t, cuts_white_space_behind_values);
    tcase_add_test(t, every_fault_has_words);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(http1_suite)
