/* Text for a terminal (lib/printable): no byte of it can be obeyed. */
#include "lib/printable.h"

#include "tests/unit/unit.h"

static void becomes(struct slice s, const char *want)
{
    char text[64];
    printable_copy(text, sizeof(text), s);
    ck_assert_str_eq(text, want);
}

START_TEST(what_is_escaped)
{
    becomes(SLICE("/a b~"), "/a b~");
    becomes(SLICE("/a\x1b[2J"), "/a%1B[2J");
    becomes(SLICE("a\nb\r\t\x7f"), "a%0Ab%0D%09%7F");
    becomes(SLICE("caf\xc3\xa9"), "caf%C3%A9");
    becomes(SLICE("\x9b"
                  "31m"),
            "%9B31m");
    becomes((struct slice){"a\0b", 3}, "a%00b");
    becomes((struct slice){NULL, 0}, "");
}
END_TEST

START_TEST(every_byte)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c, text[8];
        printable_copy(text, sizeof(text), (struct slice){&byte, 1});
        ck_assert_uint_eq(strlen(text), c >= 0x20 && c <= 0x7e ? 1 : 3);
        for (const char *p = text; *p; p++)
            ck_assert(*p >= 0x20 && *p <= 0x7e);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_cut)
{
    char text[5];
    printable_copy(text, sizeof(text), SLICE("abcdef"));
    ck_assert_str_eq(text, "abcd");
    printable_copy(text, sizeof(text), SLICE("ab\x1b"));
    ck_assert_str_eq(text, "ab");
    printable_copy(text, 1, SLICE("ab"));
    ck_assert_str_eq(text, "");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("printable");
    TCase *t = tcase_create("printable");
    tcase_add_test(t, what_is_escaped);
    tcase_add_test(t, every_byte);
    tcase_add_test(t, what_does_not_fit_is_cut);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
