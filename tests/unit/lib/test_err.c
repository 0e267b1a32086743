/* test_err.c: errors with their causes (lib/err). */
#include <errno.h>

#include "lib/err.h"
#include "tests/unit/unit.h"

/* The text of E, in MEMORY. */
static const char *text_of(const struct err *e, char *memory, size_t size)
{
    struct buf b;
    buf_init(&b, memory, size);
    err_text(e, &b);
    return buf_cstr(&b);
}

START_TEST(the_chain_reads_from_the_outside_in)
{
    char memory[512];
    struct err e = {0};
    ck_assert(!err_is_set(&e));
    ck_assert_str_eq(text_of(&e, memory, sizeof(memory)), "");
    err_sys(&e, ERR_UPSTREAM, ECONNRESET, "write");
    err_add(&e, "send request to %s:%d", "10.0.0.3", 9000);
    ck_assert(err_is_set(&e));
    ck_assert_str_eq(text_of(&e, memory, sizeof(memory)),
                     "send request to 10.0.0.3:9000: write: connection reset by peer");
    ck_assert_int_eq(e.sys, ECONNRESET);
    ck_assert_int_eq(e.origin, ERR_UPSTREAM);
    ck_assert(e.retryable);
}
END_TEST

START_TEST(a_system_error_says_whether_to_try_again)
{
    struct err e = {0};
    err_sys(&e, ERR_SELF, EACCES, "open");
    ck_assert(!e.retryable);
    err_clear(&e);
    ck_assert(!err_is_set(&e));
    ck_assert_int_eq(e.sys, 0);
    err_sys(&e, ERR_STORE, ECONNREFUSED, "connect");
    ck_assert(e.retryable);
    ck_assert_int_eq(e.origin, ERR_STORE);
}
END_TEST

START_TEST(nothing_is_replaced)
{
    char memory[512];
    struct err e = {0};
    err_sys(&e, ERR_STORE, ENOENT, "open");
    err_set(&e, ERR_CLIENT, "second");
    err_sys(&e, ERR_SELF, EPIPE, "third");
    ck_assert_int_eq(e.origin, ERR_STORE);
    ck_assert_int_eq(e.sys, ENOENT);
    ck_assert(!e.retryable);
    ck_assert_str_eq(text_of(&e, memory, sizeof(memory)),
                     "third: broken pipe: second: open: no such file or directory");
}
END_TEST

START_TEST(a_deep_chain_keeps_the_root_and_the_outermost)
{
    char memory[512];
    struct err e = {0};
    err_set(&e, ERR_CLIENT, "root");
    for (int i = 1; i <= ERR_DEPTH + 2; i++)
        err_add(&e, "%d", i);
    ck_assert_uint_eq(e.depth, ERR_DEPTH);
    ck_assert_str_eq(text_of(&e, memory, sizeof(memory)), "8: 7: 6: 5: 4: root");
    ck_assert_int_eq(ERR_DEPTH, 6);
}
END_TEST

START_TEST(long_text_is_cut)
{
    char memory[512], longest[300];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    struct err e = {0};
    err_set(&e, ERR_SELF, "%s", longest);
    err_add(&e, "%s", longest);
    ck_assert_uint_eq(strlen(e.link[0]), ERR_TEXT - 1);
    ck_assert_uint_eq(strlen(text_of(&e, memory, sizeof(memory))), 2 * (ERR_TEXT - 1) + 2);
    char little[8];
    ck_assert_ptr_null(text_of(&e, little, sizeof(little)));
}
END_TEST

START_TEST(add_needs_an_error)
{
    struct err e = {0};
    err_add(&e, "context");
    ck_assert(!err_is_set(&e));
}
END_TEST

START_TEST(null_is_allowed_everywhere)
{
    char memory[8];
    err_clear(NULL);
    err_set(NULL, ERR_SELF, "x");
    err_sys(NULL, ERR_SELF, EIO, "x");
    err_add(NULL, "x");
    ck_assert(!err_is_set(NULL));
    ck_assert_str_eq(text_of(NULL, memory, sizeof(memory)), "");
}
END_TEST

START_TEST(origins_have_names)
{
    ck_assert_str_eq(err_origin_name(ERR_NONE), "none");
    ck_assert_str_eq(err_origin_name(ERR_CLIENT), "client");
    ck_assert_str_eq(err_origin_name(ERR_UPSTREAM), "upstream");
    ck_assert_str_eq(err_origin_name(ERR_STORE), "store");
    ck_assert_str_eq(err_origin_name(ERR_SELF), "self");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("err");
    tcase_add_test(t, the_chain_reads_from_the_outside_in);
    tcase_add_test(t, a_system_error_says_whether_to_try_again);
    tcase_add_test(t, nothing_is_replaced);
    tcase_add_test(t, a_deep_chain_keeps_the_root_and_the_outermost);
    tcase_add_test(t, long_text_is_cut);
    tcase_add_test(t, add_needs_an_error);
    tcase_add_test(t, null_is_allowed_everywhere);
    tcase_add_test(t, origins_have_names);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
