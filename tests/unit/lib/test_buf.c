/* test_buf.c: text in lent memory (lib/buf). */
#include "lib/buf.h"
#include "tests/unit/unit.h"

#define ck_assert_text(b, want)                                                                              \
    ck_assert_msg(slice_eq(buf_slice(&(b)), SLICE(want)), "%.*s", SLICE_ARG(buf_slice(&(b))))

START_TEST(pieces_follow_each_other)
{
    char memory[64];
    struct buf b;
    buf_init(&b, memory, sizeof(memory));
    buf_add(&b, SLICE("GET "));
    buf_add_char(&b, '/');
    buf_add(&b, (struct slice){NULL, 0});
    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_printf(&b, " %s%d", "x", -7);
    ck_assert(!b.failed);
    ck_assert_text(b, "GET /0 18446744073709551615 x-7");
}
END_TEST

START_TEST(hex_is_padded_to_the_width)
{
    char memory[64];
    struct buf b;
    buf_init(&b, memory, sizeof(memory));
    buf_add_hex(&b, 0, 0);
    buf_add_char(&b, ' ');
    buf_add_hex(&b, 0xab, 4);
    buf_add_char(&b, ' ');
    buf_add_hex(&b, 0xABCDE, 2);
    buf_add_char(&b, ' ');
    buf_add_hex(&b, UINT64_MAX, 99);
    ck_assert_text(b, "0 00ab abcde ffffffffffffffff");
}
END_TEST

START_TEST(failure_is_sticky_and_leaves_whole_pieces)
{
    char memory[9] = "........";
    struct buf b;
    buf_init(&b, memory, 8);
    buf_add(&b, SLICE("12345"));
    buf_add(&b, SLICE("6789"));
    ck_assert(b.failed);
    buf_add(&b, SLICE("6"));
    buf_add_u64(&b, 6);
    buf_printf(&b, "6");
    buf_add_json(&b, SLICE("6"));
    ck_assert_text(b, "12345");
    ck_assert_int_eq(memory[5], '.');
    ck_assert_ptr_null(buf_cstr(&b));
}
END_TEST

START_TEST(printed_text_may_fill_the_memory_exactly)
{
    char memory[9] = "........";
    struct buf b;
    buf_init(&b, memory, 8);
    buf_add(&b, SLICE("abc"));
    buf_printf(&b, "%d", 12345);
    ck_assert(!b.failed);
    ck_assert_text(b, "abc12345");
    ck_assert_int_eq(memory[8], '\0'); /* the literal's own: nothing was written behind the end */
    buf_printf(&b, "%s", "");
    ck_assert(!b.failed);
    buf_printf(&b, "%d", 1);
    ck_assert(b.failed);
    ck_assert_text(b, "abc12345");

    buf_init(&b, memory, 8);
    buf_printf(&b, "%d", 123456789);
    ck_assert(b.failed);
    ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(no_memory_at_all)
{
    struct buf b;
    buf_init(&b, NULL, 0);
    buf_add(&b, SLICE(""));
    buf_printf(&b, "%s", "");
    buf_add_json(&b, SLICE(""));
    ck_assert(!b.failed);
    ck_assert_ptr_null(buf_cstr(&b));
    buf_printf(&b, "%d", 1);
    ck_assert(b.failed);
}
END_TEST

START_TEST(cstr_needs_room_for_the_nul)
{
    char memory[4];
    struct buf b;
    buf_init(&b, memory, sizeof(memory));
    buf_add(&b, SLICE("abc"));
    ck_assert_str_eq(buf_cstr(&b), "abc");
    buf_add_char(&b, 'd');
    ck_assert(!b.failed);
    ck_assert_ptr_null(buf_cstr(&b));
}
END_TEST

static const struct {
    struct slice in, out;
} json[] = {
    {SLICE("plain ~\x7f"), SLICE("plain ~\x7f")},
    {SLICE("a\"b\\c/"), SLICE("a\\\"b\\\\c/")},
    {SLICE("\b\t\n\f\r"), SLICE("\\b\\t\\n\\f\\r")},
    {SLICE("\0\x01\x1f\x0b"), SLICE("\\u0000\\u0001\\u001f\\u000b")},
    {SLICE("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF"),
     SLICE("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF")},
    {SLICE("\xEE\x80\x80\xED\x9F\xBF"), SLICE("\xEE\x80\x80\xED\x9F\xBF")},
    {SLICE("a\x80z\xFFq"), SLICE("a\xEF\xBF\xBDz\xEF\xBF\xBDq")},
    /* overlong, a surrogate, above U+10FFFF: every byte by itself */
    {SLICE("\xC0\xAF"), SLICE("\xEF\xBF\xBD\xEF\xBF\xBD")},
    {SLICE("\xE0\x80\xAF"), SLICE("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")},
    {SLICE("\xED\xA0\x80"), SLICE("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")},
    {SLICE("\xF4\x90\x80\x80"), SLICE("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")},
    /* cut short: what began well is one */
    {SLICE("\xE2\x82"), SLICE("\xEF\xBF\xBD")},
    {SLICE("\xF0\x9F\x98\"x"), SLICE("\xEF\xBF\xBD\\\"x")},
    {SLICE("\xE2"), SLICE("\xEF\xBF\xBD")},
    {SLICE("\xC3\xC3\xA9"), SLICE("\xEF\xBF\xBD\xC3\xA9")},
};

START_TEST(json_is_escaped_and_utf8)
{
    char memory[64];
    struct buf b;
    buf_init(&b, memory, sizeof(memory));
    buf_add_json(&b, json[_i].in);
    ck_assert(!b.failed);
    ck_assert_msg(slice_eq(buf_slice(&b), json[_i].out), "case %d: %.*s", _i, SLICE_ARG(buf_slice(&b)));
}
END_TEST

START_TEST(json_that_does_not_fit_is_taken_back)
{
    char memory[10];
    struct buf b;
    for (size_t cap = 0; cap < 10; cap++) {
        buf_init(&b, memory, cap);
        buf_add_json(&b, SLICE("ab\x01\n"
                               "c")); /* 2 + 6 + 2 + 1 = 11 bytes */
        ck_assert(b.failed);
        ck_assert_uint_eq(b.len, 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("buf");
    tcase_add_test(t, pieces_follow_each_other);
    tcase_add_test(t, hex_is_padded_to_the_width);
    tcase_add_test(t, failure_is_sticky_and_leaves_whole_pieces);
    tcase_add_test(t, printed_text_may_fill_the_memory_exactly);
    tcase_add_test(t, no_memory_at_all);
    tcase_add_test(t, cstr_needs_room_for_the_nul);
    tcase_add_loop_test(t, json_is_escaped_and_utf8, 0, (int)(sizeof(json) / sizeof(json[0])));
    tcase_add_test(t, json_that_does_not_fit_is_taken_back);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
