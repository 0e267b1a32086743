/* test_redis_resp.c: bytes of commands, and replies out of bytes that are good, cut, nonsense or too much. */
#include "gateway/redis_resp.h"
#include "lib/buf.h"
#include "lib/random.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct redis_reader *reader;

static void set_up(void)
{
    reader = redis_reader_new();
    ck_assert_ptr_nonnull(reader);
}

static void tear_down(void)
{
    redis_reader_free(reader);
}

static enum redis_reading feed(struct slice bytes, struct redis_reply *v)
{
    ck_assert(redis_reader_feed(reader, bytes));
    return redis_reader_next(reader, v);
}

START_TEST(commands)
{
    static char big[100000];
    struct redis_output o = {0};
    const struct slice words[] = {
        SLICE("SET"), SLICE(""), SLICE("0123456789"), {big, sizeof(big)}, {NULL, 0}};
    ck_assert(redis_output_add(&o, &(struct redis_command){words, 3}));
    ck_assert(
        slice_eq(redis_output_waiting(&o), SLICE("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$10\r\n0123456789\r\n")));
    redis_output_take(&o, 4);
    for (int i = 0; i < 100; i++) {
        size_t before = redis_output_waiting(&o).len;
        ck_assert(redis_output_add(&o, &(struct redis_command){words, 5}));
        redis_output_take(&o, before); /* all but the newest */
        ck_assert(slice_starts(redis_output_waiting(&o), SLICE("*5\r\n$3\r\nSET\r\n")));
        ck_assert(slice_ends(redis_output_waiting(&o), SLICE("\r\n$0\r\n\r\n")));
    }
    int n = 0;
    while (redis_output_add(&o, &(struct redis_command){words, 4}))
        n++;
    ck_assert_int_ge(n, 160);
    ck_assert_uint_le(redis_output_waiting(&o).len, REDIS_OUTPUT_MAX);
    redis_output_take(&o, redis_output_waiting(&o).len);
    ck_assert(redis_output_add(&o, &(struct redis_command){words, 1}));
    ck_assert_uint_eq(redis_output_waiting(&o).len, 13);
    redis_output_fini(&o);
}
END_TEST

START_TEST(replies_byte_by_byte)
{
    const struct slice bytes = SLICE("*5\r\n$3\r\na\r\n\r\n:-7\r\n$-1\r\n*2\r\n+x\r\n-ERR y\r\n*-1\r\n");
    struct redis_reply v;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i + 1 < bytes.len; i++)
            ck_assert_int_eq(feed((struct slice){bytes.p + i, 1}, &v), REDIS_READ_MORE);
        ck_assert_int_eq(feed((struct slice){bytes.p + bytes.len - 1, 1}, &v), REDIS_READ_REPLY);
        ck_assert(v.kind == REDIS_ARRAY && v.n == 5);
        ck_assert(slice_eq(redis_reply_at(&v, 0).text, SLICE("a\r\n")));
        ck_assert_int_eq(redis_reply_at(&v, 1).integer, -7);
        ck_assert_int_eq(redis_reply_at(&v, 2).kind, REDIS_NIL);
        const struct redis_reply inner = redis_reply_at(&v, 3);
        ck_assert(inner.kind == REDIS_ARRAY && slice_eq(redis_reply_at(&inner, 0).text, SLICE("x")));
        ck_assert(redis_reply_at(&inner, 1).kind == REDIS_FAILED);
        ck_assert_int_eq(redis_reply_at(&v, 4).kind, REDIS_NIL);
        ck_assert_int_eq(redis_reply_at(&v, 5).kind, REDIS_NIL);
        ck_assert_int_eq(redis_reply_at(&inner, 9).kind, REDIS_NIL);
        ck_assert_int_eq(redis_reader_next(reader, &v), REDIS_READ_MORE);
    }
}
END_TEST

START_TEST(nonsense)
{
    static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n",
                                        "\r\n",
                                        "$-5\r\n",
                                        "*-7\r\n",
                                        "*99999999999999999999\r\n",
                                        "*2147483647\r\n",
                                        "*1048577\r\n",
                                        ":12x\r\n",
                                        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
                                        "*1048576\r\n*1048576\r\n*1048576\r\n",
                                        "%1\r\n+a\r\n+b\r\n",
                                        "#t\r\n",
                                        ",1.5\r\n",
                                        "~1\r\n:1\r\n",
                                        ">1\r\n:1\r\n",
                                        "=5\r\ntxt:x\r\n",
                                        "(123456789012345678901234567890\r\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct redis_reply v;
        tear_down();
        set_up();
        ck_assert_msg(feed(slice_of(texts[i]), &v) == REDIS_READ_FAULT, "%s", texts[i]);
        ck_assert_int_eq(redis_reader_next(reader, &v), REDIS_READ_FAULT);
    }
}
END_TEST

/* Feeds HEAD and then BODY until it is a fault; the bytes it took. */
static size_t fed_until_fault(const char *head, const char *body)
{
    static char bytes[16384];
    struct redis_reply v;
    size_t n = 0, len = strlen(body);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = body[i % len];
    tear_down();
    set_up();
    enum redis_reading what = feed(slice_of(head), &v);
    for (; what == REDIS_READ_MORE && n <= 2 * REDIS_REPLY_MAX; n += sizeof(bytes))
        what = feed((struct slice){bytes, sizeof(bytes)}, &v);
    ck_assert_int_eq(what, REDIS_READ_FAULT);
    return n;
}

START_TEST(too_much)
{
    ck_assert_uint_le(fed_until_fault("+", "x"), REDIS_LINE_MAX + 16384 + 1);
    ck_assert_uint_le(fed_until_fault("$", "1"), REDIS_LINE_MAX + 16384 + 1);
    ck_assert_uint_le(fed_until_fault("$999999999\r\n", "\r\nx?"), REDIS_REPLY_MAX + 16384);
    ck_assert_uint_le(fed_until_fault("*1000000\r\n", "$8\r\nabcdefgh\r\n:1"), REDIS_REPLY_MAX);
    ck_assert_uint_le(fed_until_fault("*1048576\r\n", "*1000\r\n"), REDIS_REPLY_MAX);
}
END_TEST

/* ---- the same, however it comes ---- */

/* Replies as one text, so that they can be compared. */
static void tell(const struct redis_reply *v, struct buf *b)
{
    buf_printf(b, "<%d %lld ", (int)v->kind, v->kind == REDIS_INTEGER ? (long long)v->integer : 0);
    if (v->kind == REDIS_TEXT || v->kind == REDIS_FAILED)
        buf_add(b, v->text);
    for (size_t i = 0; v->kind == REDIS_ARRAY && i < v->n; i++)
        tell(&v->elements[i], b);
    buf_add_char(b, '>');
}

/* What is read of BYTES, when they come SIZE at a time. */
static void read_in_pieces(struct slice bytes, size_t size, struct buf *said)
{
    struct redis_reply v;
    enum redis_reading what = REDIS_READ_MORE;
    tear_down();
    set_up();
    while (bytes.len > 0 && what != REDIS_READ_FAULT) {
        struct slice piece = {bytes.p, bytes.len < size ? bytes.len : size};
        bytes = slice_skip(bytes, piece.len);
        ck_assert(redis_reader_feed(reader, piece));
        while ((what = redis_reader_next(reader, &v)) == REDIS_READ_REPLY)
            tell(&v, said);
    }
    buf_add(said, what == REDIS_READ_FAULT ? SLICE("fault") : SLICE("more"));
}

static void make_reply(struct random *r, struct buf *b, int depth)
{
    static const char *const odd[] = {"+OK\r\n",    "-ERR no\r\n", "$-1\r\n", "*-1\r\n",
                                      "$0\r\n\r\n", ":-7\r\n",     "*0\r\n"};
    unsigned kind = (unsigned)random_below(random_next(r), depth < 3 ? 4 : 3);
    size_t n = (size_t)random_below(random_next(r), kind == 3 ? 20 : 300);
    if (kind == 0) {
        buf_add(b, slice_of(odd[random_below(random_next(r), sizeof(odd) / sizeof(odd[0]))]));
    } else if (kind == 1) {
        buf_printf(b, ":%lld\r\n", (long long)(random_next(r) >> (n % 64)));
    } else if (kind == 2) {
        buf_printf(b, "$%zu\r\n", n);
        for (size_t i = 0; i < n; i++)
            buf_add_char(b, (char)random_next(r));
        buf_add(b, SLICE("\r\n"));
    } else {
        buf_printf(b, "*%zu\r\n", n);
        for (size_t i = 0; i < n; i++)
            make_reply(r, b, depth + 1);
    }
}

/* Byte for byte all goes through hiredis; as a whole nearly nothing. Also where a byte was changed. */
START_TEST(the_same_in_any_pieces)
{
    static char bytes[1 << 20], one[2 << 20], other[2 << 20];
    static const size_t sizes[] = {7, 100, 4096, 16384, sizeof(bytes)};
    struct random r;
    random_seed_with(&r, (uint64_t)_i);
    for (int round = 0; round < 20; round++) {
        struct buf b, whole, pieces;
        buf_init(&b, bytes, sizeof(bytes));
        buf_init(&whole, one, sizeof(one));
        for (int i = 0; i < 10; i++)
            make_reply(&r, &b, 0);
        ck_assert(!b.failed);
        if (_i % 2 == 1)
            bytes[random_below(random_next(&r), b.len)] = "0:$*-\r1x\n+"[random_below(random_next(&r), 11)];
        read_in_pieces(buf_slice(&b), 1, &whole);
        ck_assert(!whole.failed);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            buf_init(&pieces, other, sizeof(other));
            read_in_pieces(buf_slice(&b), sizes[i], &pieces);
            ck_assert_msg(slice_eq(buf_slice(&whole), buf_slice(&pieces)), "pieces of %zu, round %d",
                          sizes[i], round);
        }
    }
}
END_TEST

/* Many replies do not add up to one that is too large. */
START_TEST(many)
{
    static char text[1 << 20];
    struct redis_reply v;
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 100; i++) {
        ck_assert(redis_reader_feed(reader, SLICE(":1\r\n$1048576\r\n")));
        ck_assert(redis_reader_feed(reader, (struct slice){text, sizeof(text)}));
        ck_assert_int_eq(feed(SLICE("\r\n+"), &v), REDIS_READ_REPLY);
        ck_assert_int_eq(v.integer, 1);
        ck_assert_int_eq(redis_reader_next(reader, &v), REDIS_READ_REPLY);
        ck_assert_uint_eq(v.text.len, sizeof(text));
        ck_assert_int_eq(redis_reader_next(reader, &v), REDIS_READ_MORE);
        ck_assert_int_eq(feed(SLICE("OK\r\n"), &v), REDIS_READ_REPLY);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("redis_resp");
    TCase *t = tcase_create("redis_resp");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, commands);
    tcase_add_test(t, replies_byte_by_byte);
    tcase_add_test(t, nonsense);
    tcase_add_test(t, too_much);
    tcase_add_test(t, many);
    tcase_add_loop_test(t, the_same_in_any_pieces, 0, 10);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
