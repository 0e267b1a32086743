/* test_chunked.c: decoding at every split, strictness, bounds, trailers, writing. */
#include "lib/chunked.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE 2048

struct outcome {
    ssize_t payload; /* -1: fault */
    enum chunked_fault fault;
    size_t consumed;
    bool done;
    char bytes[65536];
};

static _Alignas(16) char space[SPACE];
static struct chunked decoder;
static struct outcome whole, parts;

/* Decode TEXT in portions of STEP bytes, the first one of FIRST. Portions lie in memory of their very size.
 */
static void decode(struct slice text, size_t first, size_t step, struct outcome *o)
{
    memset(o, 0, sizeof(*o));
    chunked_init(&decoder, space, sizeof(space));
    size_t n = first;
    for (size_t at = 0; at < text.len && o->payload >= 0; at += n, n = step) {
        size_t used;
        n = n < text.len - at ? n : text.len - at;
        char *p = malloc(n > 0 ? n : 1);
        memcpy(p, text.p + at, n);
        ssize_t got = chunked_decode(&decoder, p, n, &used);
        o->consumed += used;
        if (got > 0)
            memcpy(o->bytes + o->payload, p, (size_t)got);
        o->payload = got < 0 ? -1 : o->payload + got;
        free(p);
        if (chunked_is_done(&decoder) || got < 0)
            break;
        ck_assert_uint_eq(used, n);
    }
    o->fault = decoder.fault;
    o->done = chunked_is_done(&decoder);
}

static void assert_same(const char *what, size_t split)
{
    ck_assert_msg(parts.payload == whole.payload, "%s cut at %zu: payload %zd", what, split, parts.payload);
    ck_assert_msg(parts.fault == whole.fault, "%s cut at %zu: %s", what, split,
                  chunked_fault_text(parts.fault));
    ck_assert_msg(parts.consumed == whole.consumed, "%s cut at %zu: consumed %zu", what, split,
                  parts.consumed);
    ck_assert_msg(parts.done == whole.done, "%s cut at %zu", what, split);
    if (whole.payload > 0)
        ck_assert(memcmp(parts.bytes, whole.bytes, (size_t)whole.payload) == 0);
}

/* Whole, byte by byte, in threes, and cut at every place: always the same, which is left in `whole`. */
static void decode_all_ways(const char *what, struct slice text)
{
    decode(text, text.len, 1, &whole);
    decode(text, 1, 1, &parts);
    assert_same(what, 1);
    decode(text, 3, 3, &parts);
    assert_same(what, 3);
    for (size_t split = 0; split <= text.len; split++) {
        decode(text, split, text.len, &parts);
        assert_same(what, split);
    }
}

static const struct good_case {
    struct slice text;
    struct slice payload;
    size_t behind; /* bytes behind the message */
} good[] = {
    {SLICE("0\r\n\r\n"), SLICE(""), 0},
    {SLICE("5\r\nhello\r\n0\r\n\r\n"), SLICE("hello"), 0},
    {SLICE("5\r\nhello\r\n0\r\n\r\nHTTP/1.1"), SLICE("hello"), 8},
    {SLICE("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), SLICE("abcdef"), 0},
    {SLICE("A\r\n0123456789\r\n0\r\n\r\n"), SLICE("0123456789"), 0},
    {SLICE("a\r\n0123456789\r\n0\r\n\r\n"), SLICE("0123456789"), 0},
    {SLICE("0000000000000002\r\n\r\n\r\n0000000000000000\r\n\r\n"), SLICE("\r\n"), 0},
    {SLICE("2;a\r\nhi\r\n0;last\r\n\r\n"), SLICE("hi"), 0},
    {SLICE("2 ;a=\"q;\tq\"\r\nhi\r\n0\r\n\r\n"), SLICE("hi"), 0},
    {SLICE("2\t;;;\r\nhi\r\n0\r\n\r\n"), SLICE("hi"), 0},
    {SLICE("3\r\n\0\r\n\r\n0\r\n\r\n"), SLICE("\0\r\n"), 0},
    {SLICE("2\r\nhi\r\n0\r\nA: b\r\n\r\nX"), SLICE("hi"), 1},
    {SLICE("2\r\nhi\r\n0\r\nA:\r\nb:\t c \r\n\r\n"), SLICE("hi"), 0},
};

START_TEST(decodes)
{
    const struct good_case *c = &good[_i];
    decode_all_ways(c->text.p, c->text);
    ck_assert_msg(whole.done, "%s: %s", c->text.p, chunked_fault_text(whole.fault));
    ck_assert_uint_eq(whole.payload, c->payload.len);
    ck_assert_mem_eq(whole.bytes, c->payload.p, c->payload.len);
    ck_assert_uint_eq(whole.consumed, c->text.len - c->behind);
    /* No shorter text is a whole message. */
    for (size_t n = 0; n < whole.consumed; n++) {
        decode((struct slice){c->text.p, n}, n, 1, &parts);
        ck_assert_msg(!parts.done && parts.payload >= 0, "%zu bytes of %s", n, c->text.p);
    }
}
END_TEST

static const struct bad_case {
    struct slice text;
    enum chunked_fault fault;
    size_t at; /* of the byte that is refused */
} bad[] = {
    {SLICE("\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("x\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("g\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("-1\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("+1\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE(" 1\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("0x1\r\n"), CHUNKED_BAD_SIZE, 1},
    {SLICE("1_\r\n"), CHUNKED_BAD_SIZE, 1},
    {SLICE(";a\r\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("\n"), CHUNKED_BAD_SIZE, 0},
    {SLICE("5 \r\nhello"), CHUNKED_BAD_SIZE, 2},
    {SLICE("5 5\r\nhello"), CHUNKED_BAD_SIZE, 2},
    {SLICE("5\0\r\n"), CHUNKED_BAD_SIZE, 1},
    {SLICE("1\nh\r\n"), CHUNKED_BAD_LINE_END, 1},
    {SLICE("1\rh\r\n"), CHUNKED_BAD_LINE_END, 2},
    {SLICE("1\r\r\nh\r\n"), CHUNKED_BAD_LINE_END, 2},
    {SLICE("1\r\nh\n0\r\n\r\n"), CHUNKED_BAD_LINE_END, 4},
    {SLICE("1\r\nhi\r\n"), CHUNKED_BAD_LINE_END, 4},
    {SLICE("2\r\nhi0\r\n\r\n"), CHUNKED_BAD_LINE_END, 5},
    {SLICE("1\r\nh\r0\r\n"), CHUNKED_BAD_LINE_END, 5},
    {SLICE("1;a\nh\r\n"), CHUNKED_BAD_LINE_END, 3},
    {SLICE("1;a\rb\r\n"), CHUNKED_BAD_LINE_END, 4},
    {SLICE("1;a\0b\r\n"), CHUNKED_BAD_EXTENSION, 3},
    {SLICE("1;a\x7F\r\n"), CHUNKED_BAD_EXTENSION, 3},
    {SLICE("8000000000000000\r\n"), CHUNKED_TOO_LARGE, 15},
    {SLICE("FFFFFFFFFFFFFFFF\r\n"), CHUNKED_TOO_LARGE, 15},
    {SLICE("00000000000000001\r\n"), CHUNKED_TOO_LARGE, 16},
    {SLICE("0\r\n\n"), CHUNKED_BAD_LINE_END, 3},
    {SLICE("0\r\n\rX"), CHUNKED_BAD_LINE_END, 4},
    {SLICE("0\r\nA: b\n\r\n"), CHUNKED_BAD_LINE_END, 7},
    {SLICE("0\r\nA: b\rc\r\n\r\n"), CHUNKED_BAD_LINE_END, 8},
    {SLICE("0\r\nA: \0b\r\n\r\n"), CHUNKED_BAD_TRAILER, 6},
    {SLICE("0\r\nA : b\r\n\r\n"), CHUNKED_BAD_TRAILER, 9},
    {SLICE("0\r\n: b\r\n\r\n"), CHUNKED_BAD_TRAILER, 7},
    {SLICE("0\r\nA b\r\n\r\n"), CHUNKED_BAD_TRAILER, 7},
    {SLICE("0\r\nAb\r\n\r\n"), CHUNKED_BAD_TRAILER, 6},
    {SLICE("0\r\nA: b\r\n c\r\n\r\n"), CHUNKED_BAD_TRAILER, 12},
};

START_TEST(refuses)
{
    const struct bad_case *c = &bad[_i];
    decode_all_ways(c->text.p, c->text);
    ck_assert_msg(whole.fault == c->fault, "%s: %s", c->text.p, chunked_fault_text(whole.fault));
    ck_assert_int_eq(whole.payload, -1);
    ck_assert_msg(whole.consumed == c->at, "%s: %zu", c->text.p, whole.consumed);
    size_t used = 7;
    char more[] = "0\r\n\r\n";
    ck_assert_int_eq(chunked_decode(&decoder, more, 5, &used), -1);
    ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(largest_size_is_taken)
{
    char text[] = "7fffffffffffffff\r\nab";
    size_t used;
    chunked_init(&decoder, space, sizeof(space));
    ck_assert_int_eq(chunked_decode(&decoder, text, sizeof(text) - 1, &used), 2);
    ck_assert_uint_eq(chunked_needs(&decoder), (uint64_t)INT64_MAX - 2);
}
END_TEST

/* A text of HEAD, N times C, and TAIL. */
static struct slice padded(const char *head, char c, size_t n, const char *tail)
{
    static char text[100000];
    size_t at = strlen(head);
    memcpy(text, head, at);
    memset(text + at, c, n);
    memcpy(text + at + n, tail, strlen(tail));
    return (struct slice){text, at + n + strlen(tail)};
}

START_TEST(extensions_are_bounded)
{
    struct slice fits = padded("1;", 'x', CHUNKED_EXTENSION_MAX - 1, "\r\na\r\n0\r\n\r\n");
    decode(fits, fits.len, 1, &whole);
    ck_assert(whole.done && whole.payload == 1);
    struct slice no = padded("1;", 'x', CHUNKED_EXTENSION_MAX, "\r\na\r\n0\r\n\r\n");
    decode(no, no.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_EXTENSION_TOO_LONG);
    struct slice blank = padded("1", ' ', CHUNKED_EXTENSION_MAX + 1, ";\r\na\r\n0\r\n\r\n");
    decode(blank, blank.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_EXTENSION_TOO_LONG);
}
END_TEST

/* Extensions that are longer than the payload run out; those that are shorter never do. */
START_TEST(extensions_are_bounded_in_all)
{
    static char text[60000];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    for (int i = 0; i < 1000; i++)
        buf_add(&b, SLICE("1;ab\r\nz\r\n"));
    buf_add(&b, SLICE("0\r\n\r\n"));
    decode(buf_slice(&b), b.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_EXTENSION_TOO_LONG);
    decode(buf_slice(&b), 7, 7, &parts);
    ck_assert_uint_eq(parts.consumed, whole.consumed);
    buf_init(&b, text, sizeof(text));
    for (int i = 0; i < 1000; i++)
        buf_add(&b, SLICE("a;signature\r\n0123456789\r\n"));
    buf_add(&b, SLICE("0\r\n\r\n"));
    decode(buf_slice(&b), b.len, 1, &whole);
    ck_assert(whole.done && whole.payload == 10000);
}
END_TEST

START_TEST(trailers_are_kept_in_order)
{
    struct slice text = SLICE("0\r\nA: 1\r\nGrpc-Status:0 \r\nb:\r\nServer-Timing: \tx y\t\r\n\r\n");
    static const char *const wanted[] = {"A", "1", "Grpc-Status", "0", "b", "", "Server-Timing", "x y"};
    for (size_t split = 0; split <= text.len; split++) {
        decode(text, split, 1, &whole);
        ck_assert(whole.done);
        struct http_fields t = chunked_trailers(&decoder);
        ck_assert_uint_eq(t.n, 4);
        for (size_t i = 0; i < 4; i++) {
            ck_assert(slice_eq(t.at[i].name, slice_of(wanted[2 * i])));
            ck_assert(slice_eq(t.at[i].value, slice_of(wanted[2 * i + 1])));
        }
    }
    decode((struct slice){text.p, text.len - 1}, text.len, 1, &whole);
    ck_assert_uint_eq(chunked_trailers(&decoder).n, 0);
}
END_TEST

START_TEST(some_trailers_are_dropped)
{
    static const char *const names[] = {"Content-Length",
                                        "transfer-encoding",
                                        "HOST",
                                        "Connection",
                                        "Trailer",
                                        "Authorization",
                                        "Set-Cookie",
                                        "Cookie",
                                        "Cache-Control",
                                        "Content-Type",
                                        "Content-Encoding",
                                        "If-Match",
                                        "Vary",
                                        "TE",
                                        "Proxy-Authorization",
                                        "X-Forwarded-For",
                                        "x-forwarded-anything",
                                        "Forwarded"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[128];
        int n = snprintf(text, sizeof(text), "0\r\nA: b\r\n%s: 5\r\nC: d\r\n\r\n", names[i]);
        decode((struct slice){text, (size_t)n}, 9, 1, &whole);
        ck_assert(whole.done);
        struct http_fields t = chunked_trailers(&decoder);
        ck_assert_msg(t.n == 2, "%s", names[i]);
        ck_assert(slice_eq(t.at[0].name, SLICE("A")) && slice_eq(t.at[1].value, SLICE("d")));
        ck_assert(!chunked_may_trail(slice_of(names[i])));
    }
    ck_assert(chunked_may_trail(SLICE("grpc-status")) && chunked_may_trail(SLICE("Digest")));
    ck_assert(chunked_may_trail(SLICE("x-forwarded")));
}
END_TEST

START_TEST(trailers_are_bounded)
{
    static char text[CHUNKED_TRAILER_BYTES + 100];
    struct buf b;
    /* One line that does not fit the space. */
    struct slice line = padded("0\r\nA: ", 'x', SPACE, "\r\n\r\n");
    decode(line, line.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_TRAILERS_TOO_LARGE);
    /* The line fits, its place in the array does not. */
    line = padded("0\r\nA:", 'x', SPACE - 10, "\r\n\r\n");
    decode(line, line.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_TRAILERS_TOO_LARGE);
    line = padded("0\r\nA:", 'x', SPACE - 2 - sizeof(struct http_field), "\r\n\r\n");
    decode(line, line.len, 1, &whole);
    ck_assert(whole.done);
    ck_assert_uint_eq(chunked_trailers(&decoder).at[0].value.len, SPACE - 2 - sizeof(struct http_field));
    /* Many fields: 32 and no more. */
    for (size_t n = CHUNKED_TRAILERS_MAX; n <= CHUNKED_TRAILERS_MAX + 1; n++) {
        buf_init(&b, text, sizeof(text));
        buf_add(&b, SLICE("0\r\n"));
        for (size_t i = 0; i < n; i++)
            buf_add(&b, SLICE("A: b\r\n"));
        buf_add(&b, SLICE("\r\n"));
        decode(buf_slice(&b), b.len, 1, &whole);
        ck_assert(whole.done == (n == CHUNKED_TRAILERS_MAX));
    }
    /* What is dropped counts too. */
    buf_init(&b, text, sizeof(text));
    buf_add(&b, SLICE("0\r\n"));
    while (b.len < CHUNKED_TRAILER_BYTES + 10)
        buf_add(&b, SLICE("Host: b\r\n"));
    buf_add(&b, SLICE("\r\n"));
    decode(buf_slice(&b), b.len, 1, &whole);
    ck_assert_int_eq(whole.fault, CHUNKED_TRAILERS_TOO_LARGE);
}
END_TEST

START_TEST(space_may_be_small_or_crooked)
{
    char text[] = "1\r\na\r\n0\r\n\r\n", trailer[] = "0\r\nA: b\r\n\r\n";
    size_t used;
    chunked_init(&decoder, NULL, 0);
    ck_assert_int_eq(chunked_decode(&decoder, text, sizeof(text) - 1, &used), 1);
    ck_assert(chunked_is_done(&decoder) && chunked_trailers(&decoder).n == 0);
    chunked_init(&decoder, NULL, 0);
    ck_assert_int_eq(chunked_decode(&decoder, trailer, sizeof(trailer) - 1, &used), -1);
    for (size_t off = 0; off < 16; off++) {
        char again[] = "0\r\nA: b\r\nC: d\r\n\r\n";
        chunked_init(&decoder, space + off, 100);
        ck_assert_int_eq(chunked_decode(&decoder, again, sizeof(again) - 1, &used), 0);
        struct http_fields t = chunked_trailers(&decoder);
        ck_assert(t.n == 2 && slice_eq(t.at[1].name, SLICE("C")));
        ck_assert((char *)t.at > space + off && (char *)(t.at + t.n) <= space + off + 100);
    }
}
END_TEST

START_TEST(payload_may_go_elsewhere)
{
    char a[] = "10\r\nabc", b[] = "\r\n0\r\n\r\n";
    size_t used;
    chunked_init(&decoder, space, sizeof(space));
    ck_assert_uint_eq(chunked_needs(&decoder), 0);
    ck_assert_int_eq(chunked_decode(&decoder, a, sizeof(a) - 1, &used), 3);
    ck_assert_mem_eq(a, "abc", 3);
    ck_assert_uint_eq(chunked_needs(&decoder), 13);
    chunked_skip(&decoder, 0);
    chunked_skip(&decoder, 12);
    ck_assert_uint_eq(chunked_needs(&decoder), 1);
    chunked_skip(&decoder, 1);
    ck_assert_uint_eq(chunked_needs(&decoder), 0);
    ck_assert_int_eq(chunked_decode(&decoder, b, sizeof(b) - 1, &used), 0);
    ck_assert(chunked_is_done(&decoder) && used == sizeof(b) - 1);
    ck_assert_int_eq(chunked_decode(&decoder, b, sizeof(b) - 1, &used), 0);
    ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(writes_headers)
{
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {{1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {0xABCDEF, "abcdef\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"},
                 {0, "0\r\n"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CHUNKED_HEADER_MAX];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        chunked_add_header(&b, cases[i].n);
        ck_assert(!b.failed && slice_eq(buf_slice(&b), slice_of(cases[i].text)));
        buf_init(&b, text, strlen(cases[i].text) - 1);
        chunked_add_header(&b, cases[i].n);
        ck_assert(b.failed);
    }
}
END_TEST

START_TEST(writes_the_end)
{
    struct http_field f[] = {
        {SLICE("A"), SLICE("1")},         {SLICE("Host"), SLICE("x")}, {SLICE("b d"), SLICE("x")},
        {SLICE("B"), SLICE("x\r\nC: y")}, {SLICE(""), SLICE("x")},     {SLICE("Content-Length"), SLICE("3")},
        {SLICE("Empty"), SLICE("")},
    };
    char text[100];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    chunked_add_last(&b, (struct http_fields){NULL, 0});
    ck_assert(slice_eq(buf_slice(&b), SLICE("0\r\n\r\n")));
    buf_init(&b, text, sizeof(text));
    chunked_add_last(&b, (struct http_fields){f, 7});
    ck_assert(slice_eq(buf_slice(&b), SLICE("0\r\nA: 1\r\nEmpty: \r\n\r\n")));
}
END_TEST

/* Random payload in random chunks, written, then decoded in random portions in place. */
START_TEST(round_trips)
{
    static char payload[8192], wire[65536], got[8192];
    unsigned seed = 4711;
    for (int round = 0; round < 300; round++) {
        struct buf b;
        size_t len = (size_t)rand_r(&seed) % sizeof(payload), in = 0, n = 0;
        for (size_t i = 0; i < len; i++)
            payload[i] = (char)rand_r(&seed);
        buf_init(&b, wire, sizeof(wire));
        for (size_t at = 0, chunk; at < len; at += chunk) {
            chunk = 1 + (size_t)rand_r(&seed) % 600;
            chunk = chunk < len - at ? chunk : len - at;
            chunked_add_header(&b, chunk);
            buf_add(&b, (struct slice){payload + at, chunk});
            buf_add(&b, SLICE("\r\n"));
        }
        chunked_add_last(&b, (struct http_fields){NULL, 0});
        buf_add(&b, SLICE("behind"));
        ck_assert(!b.failed);
        chunked_init(&decoder, space, sizeof(space));
        while (!chunked_is_done(&decoder)) {
            size_t used, portion = 1 + (size_t)rand_r(&seed) % 1000;
            portion = portion < b.len - in ? portion : b.len - in;
            ssize_t k = chunked_decode(&decoder, wire + in, portion, &used);
            ck_assert_msg(k >= 0, "seed 4711, round %d", round);
            memcpy(got + n, wire + in, (size_t)k);
            n += (size_t)k;
            in += used;
        }
        ck_assert_uint_eq(n, len);
        ck_assert_uint_eq(in, b.len - 6);
        ck_assert(len == 0 || memcmp(got, payload, len) == 0);
    }
}
END_TEST

START_TEST(every_fault_has_words)
{
    for (unsigned f = CHUNKED_OK; f <= CHUNKED_TRAILERS_TOO_LARGE; f++)
        ck_assert_str_ne(chunked_fault_text(f), "unknown fault");
    ck_assert_str_eq(chunked_fault_text((enum chunked_fault)99), "unknown fault");
}
END_TEST

static Suite *chunked_suite(void)
{
    Suite *s = suite_create("chunked");
    TCase *t = tcase_create("chunked");
    tcase_add_loop_test(t, decodes, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(t, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(t, largest_size_is_taken);
    tcase_add_test(t, extensions_are_bounded);
    tcase_add_test(t, extensions_are_bounded_in_all);
    tcase_add_test(t, trailers_are_kept_in_order);
    tcase_add_test(t, some_trailers_are_dropped);
    tcase_add_test(t, trailers_are_bounded);
    tcase_add_test(t, space_may_be_small_or_crooked);
    tcase_add_test(t, payload_may_go_elsewhere);
    tcase_add_test(t, writes_headers);
    tcase_add_test(t, writes_the_end);
    tcase_add_test(t, round_trips);
    tcase_add_test(t, every_fault_has_words);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(chunked_suite)
