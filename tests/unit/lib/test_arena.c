/* test_arena.c: memory given back all at once (lib/arena). */
#include <stdalign.h>

#include "lib/arena.h"
#include "tests/unit/unit.h"

#define FIRST 256

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % alignof(max_align_t) == 0;
}

START_TEST(the_lent_block_comes_first)
{
    alignas(max_align_t) char first[FIRST];
    struct arena a;
    arena_init(&a, first, sizeof(first), 0);
    char *one = arena_alloc(&a, 1);
    char *two = arena_alloc(&a, 100);
    ck_assert_ptr_eq(one, first);
    ck_assert(is_aligned(two) && two > one && two + 100 <= first + FIRST);
    ck_assert_ptr_null(arena_alloc(&a, FIRST));
    ck_assert_ptr_nonnull(arena_alloc(&a, 64));
    ck_assert_uint_eq(a.extra_size, 0);
    arena_fini(&a);
}
END_TEST

START_TEST(pieces_do_not_overlap)
{
    alignas(max_align_t) char first[FIRST];
    enum { PIECES = 200 };
    unsigned char *piece[PIECES];
    struct arena a;
    arena_init(&a, first, sizeof(first), 1 << 20);
    for (size_t i = 0; i < PIECES; i++) {
        piece[i] = arena_alloc(&a, i * 7 + 1);
        ck_assert_ptr_nonnull(piece[i]);
        ck_assert(is_aligned(piece[i]));
        memset(piece[i], (int)i, i * 7 + 1);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k <= i * 7; k++)
            ck_assert_uint_eq(piece[i][k], i);
    arena_fini(&a);
}
END_TEST

START_TEST(the_limit_holds)
{
    struct arena a;
    arena_init(&a, NULL, 0, 10000);
    size_t given = 0;
    while (arena_alloc(&a, 64))
        given += 64;
    ck_assert_uint_le(given, 10000);
    ck_assert_uint_ge(given, 9900);
    ck_assert_uint_le(a.extra_size, 10000);
    arena_reset(&a);
    ck_assert_ptr_nonnull(arena_alloc(&a, 9984));
    ck_assert_ptr_null(arena_alloc(&a, 64));
    arena_fini(&a);
}
END_TEST

START_TEST(huge_sizes_are_refused)
{
    alignas(max_align_t) char first[FIRST];
    struct arena a;
    arena_init(&a, first, sizeof(first), 1 << 16);
    for (size_t less = 0; less < 40; less++) {
        ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - less));
        ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX / 2 - less));
    }
    ck_assert_ptr_null(arena_alloc(&a, (1 << 16) + 1));
    ck_assert_ptr_nonnull(arena_alloc(&a, 1 << 16));
    arena_fini(&a);
}
END_TEST

START_TEST(reset_begins_anew)
{
    alignas(max_align_t) char first[FIRST];
    struct arena a;
    arena_init(&a, first, sizeof(first), 1 << 16);
    void *one = arena_alloc(&a, 16);
    ck_assert_ptr_nonnull(arena_alloc(&a, 5000));
    arena_reset(&a);
    ck_assert_ptr_null(a.extra);
    ck_assert_uint_eq(a.extra_size, 0);
    ck_assert_ptr_eq(arena_alloc(&a, 16), one);
    arena_fini(&a);
}
END_TEST

START_TEST(texts)
{
    struct arena a;
    arena_init(&a, NULL, 0, 8192);
    ck_assert_str_eq(arena_dup(&a, SLICE("abc")), "abc");
    ck_assert_str_eq(arena_dup(&a, (struct slice){NULL, 0}), "");
    ck_assert_str_eq(arena_printf(&a, "%s=%d", "n", 42), "n=42");
    bool ok = true;
    ck_assert(slice_eq(arena_slice(&a, SLICE("a\0b"), &ok), SLICE("a\0b")));
    ck_assert(ok);
    ck_assert_ptr_null(arena_printf(&a, "%9000d", 1));
    ck_assert_ptr_nonnull(arena_printf(&a, "%3000d", 1));
    ck_assert_uint_eq(arena_slice(&a, (struct slice){"", 9000}, &ok).len, 0);
    ck_assert(!ok);
    arena_slice(&a, SLICE("x"), &ok);
    ck_assert(!ok);
    arena_fini(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("arena");
    TCase *t = tcase_create("arena");
    tcase_add_test(t, the_lent_block_comes_first);
    tcase_add_test(t, pieces_do_not_overlap);
    tcase_add_test(t, the_limit_holds);
    tcase_add_test(t, huge_sizes_are_refused);
    tcase_add_test(t, reset_begins_anew);
    tcase_add_test(t, texts);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
