/* test_region.c: pieces do not overlap, come back whole, and the region stays the size it is. */
#include "lib/region.h"

#include <string.h>

#include "lib/random.h"
#include "tests/unit/unit.h"

#define SIZE   ((size_t)1 << 20)
#define PIECES 256

START_TEST(all_of_it_comes_back_as_one)
{
    struct region r;
    void *p[PIECES];
    ck_assert(region_init(&r, SIZE));
    for (size_t i = 0; i < PIECES; i++)
        ck_assert_ptr_nonnull(p[i] = region_alloc(&r, 1000 + i));
    for (size_t i = 0; i < PIECES; i += 2)
        region_release(&r, p[i]);
    ck_assert_ptr_null(region_alloc(&r, SIZE * 9 / 10));
    for (size_t i = 1; i < PIECES; i += 2)
        region_release(&r, p[i]);
    ck_assert_uint_eq(r.used, 0);
    void *whole = region_alloc(&r, SIZE * 9 / 10);
    ck_assert_ptr_nonnull(whole);
    region_release(&r, whole);
    region_fini(&r);
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
    struct region r;
    ck_assert(region_init(&r, 1));
    ck_assert_uint_eq(r.size, 4096);
    ck_assert_ptr_null(region_alloc(&r, 4096));
    ck_assert_ptr_null(region_alloc(&r, SIZE_MAX));
    void *p = region_alloc(&r, 0);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_ge(region_size(p), 16);
    region_release(&r, p);
    region_fini(&r);
}
END_TEST

START_TEST(a_tail_is_given_back)
{
    struct region r;
    ck_assert(region_init(&r, SIZE));
    char *p = region_alloc(&r, 600000);
    memset(p, 'x', 600000);
    ck_assert_ptr_null(region_alloc(&r, 600000));
    region_shrink(&r, p, 1000);
    region_shrink(&r, p, 5000); /* never larger */
    ck_assert_uint_le(region_size(p), 1040);
    char *q = region_alloc(&r, 600000);
    ck_assert_ptr_nonnull(q);
    memset(q, 'y', 600000);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_int_eq(p[i], 'x');
    region_release(&r, p);
    region_release(&r, q);
    ck_assert_uint_eq(r.used, 0);
    region_fini(&r);
}
END_TEST

static void fill(char *p, size_t n, size_t i)
{
    memset(p, (int)(i & 0xff), n);
}

static void verify(const char *p, size_t n, size_t i)
{
    size_t wrong = 0;
    for (size_t k = 0; k < n; k++)
        wrong += (unsigned char)p[k] != (i & 0xff);
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(pieces_keep_what_is_in_them)
{
    struct region r;
    struct random random;
    char *p[PIECES] = {NULL};
    size_t len[PIECES], refused = 0;
    ck_assert(region_init(&r, SIZE));
    random_seed_with(&random, 5);
    for (int turn = 0; turn < 100000; turn++) {
        size_t i = random_below(random_next(&random), PIECES);
        size_t n = random_below(random_next(&random), 1 << random_below(random_next(&random), 15));
        if (p[i]) {
            verify(p[i], len[i], i);
            region_release(&r, p[i]);
            p[i] = NULL;
        } else if ((p[i] = region_alloc(&r, n))) {
            ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
            len[i] = n;
            if (turn % 3 == 0)
                region_shrink(&r, p[i], len[i] = n / 2);
            fill(p[i], len[i], i);
        } else {
            refused++;
        }
        ck_assert_uint_le(r.used, SIZE);
    }
    ck_assert_uint_lt(refused, 10000);
    for (size_t i = 0; i < PIECES; i++)
        if (p[i])
            region_release(&r, p[i]);
    ck_assert_uint_eq(r.used, 0);
    ck_assert_ptr_nonnull(region_alloc(&r, SIZE * 9 / 10));
    region_fini(&r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("region");
    TCase *t = tcase_create("region");
    tcase_add_test(t, all_of_it_comes_back_as_one);
    tcase_add_test(t, what_is_too_large_is_refused);
    tcase_add_test(t, a_tail_is_given_back);
    tcase_add_test(t, pieces_keep_what_is_in_them);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
