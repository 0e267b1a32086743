/* test_counter.c: striped counters (lib/counter). */
#include <pthread.h>
#include <stdbool.h>

#include "lib/counter.h"
#include "tests/unit/unit.h"

#define STRIPES 4
#define ADDS    50000

START_TEST(sums_go_over_the_stripes)
{
    struct counters *c = counters_new(3, 9);
    ck_assert_ptr_nonnull(c);
    for (size_t i = 0; i < 9; i++)
        ck_assert_uint_eq(counter_sum(c, i), 0);
    for (size_t stripe = 0; stripe < 3; stripe++)
        for (size_t i = 0; i < 9; i++)
            counter_add(c, stripe, i, 1 + i * 100 + stripe);
    for (size_t i = 0; i < 9; i++)
        ck_assert_uint_eq(counter_sum(c, i), 3 * (1 + i * 100) + 3);
    counters_free(c);
}
END_TEST

START_TEST(stripes_share_no_cache_line)
{
    for (size_t n = 1; n < 20; n++) {
        struct counters *c = counters_new(2, n);
        ck_assert_uint_eq((uintptr_t)&c->numbers[0] % CACHE_LINE, 0);
        ck_assert_uint_eq((uintptr_t)&c->numbers[c->width] % CACHE_LINE, 0);
        ck_assert_uint_ge(c->width, n);
        counters_free(c);
    }
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    ck_assert_ptr_null(counters_new(SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_null(counters_new(SIZE_MAX / 8, 8));
    ck_assert_ptr_null(counters_new(1, SIZE_MAX));
    struct counters *none = counters_new(0, 0);
    ck_assert_ptr_nonnull(none);
    counters_free(none);
}
END_TEST

struct adder {
    struct counters *c;
    size_t stripe;
    pthread_t thread;
};

static void *add(void *arg)
{
    const struct adder *a = arg;
    for (int i = 0; i < ADDS; i++)
        counter_add(a->c, a->stripe, 1, a->stripe + 1);
    return NULL;
}

START_TEST(threads_lose_nothing)
{
    struct counters *c = counters_new(STRIPES, 3);
    struct adder adders[STRIPES];
    const uint64_t all = ADDS * (1 + 2 + 3 + 4);
    for (size_t i = 0; i < STRIPES; i++) {
        adders[i] = (struct adder){.c = c, .stripe = i};
        ck_assert_int_eq(pthread_create(&adders[i].thread, NULL, add, &adders[i]), 0);
    }
    bool fell = false;
    for (uint64_t before = 0, now; before < all; before = now) {
        now = counter_sum(c, 1);
        fell = fell || now < before;
    }
    for (size_t i = 0; i < STRIPES; i++)
        pthread_join(adders[i].thread, NULL);
    ck_assert(!fell);
    ck_assert_uint_eq(counter_sum(c, 1), all);
    ck_assert_uint_eq(counter_sum(c, 0), 0);
    ck_assert_uint_eq(counter_sum(c, 2), 0);
    counters_free(c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("counter");
    TCase *t = tcase_create("counter");
    tcase_add_test(t, sums_go_over_the_stripes);
    tcase_add_test(t, stripes_share_no_cache_line);
    tcase_add_test(t, absurd_sizes_are_refused);
    tcase_add_test(t, threads_lose_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
