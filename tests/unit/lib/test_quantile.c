/* test_quantile.c: the estimate comes to rest where it should, and follows a change. */
#include "lib/quantile.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

/* N samples, uniform from LOW to HIGH; the mean of the estimate over the last half of them. */
static double run(struct quantile *q, struct random *r, int n, uint32_t low, uint32_t high)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        quantile_add(q, low + (uint32_t)random_below(random_next(r), high - low + 1));
        sum += i >= n / 2 ? quantile_get(q) : 0;
    }
    return sum / (n - n / 2);
}

START_TEST(it_comes_to_rest_at_the_share)
{
    static const uint32_t shares[] = {5000, 9000, 9500, 9900};
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        struct quantile q;
        struct random r;
        random_seed_with(&r, i + 1);
        quantile_init(&q, shares[i]);
        ck_assert_uint_eq(quantile_get(&q), 0);
        double want = 10000 + 90000.0 * shares[i] / QUANTILE_WHOLE;
        double got = run(&q, &r, 100000, 10000, 100000);
        ck_assert_msg(got > want * 0.9 && got < want * 1.1, "share %u: %.0f instead of %.0f", shares[i], got,
                      want);
    }
}
END_TEST

START_TEST(it_follows_a_change)
{
    struct quantile q;
    struct random r;
    random_seed_with(&r, 7);
    quantile_init(&q, 9500);
    run(&q, &r, 10000, 900, 1100);
    run(&q, &r, 100, 9000, 11000);
    ck_assert_uint_gt(quantile_get(&q), 9000);
    run(&q, &r, 2000, 900, 1100);
    ck_assert_uint_lt(quantile_get(&q), 1300);
}
END_TEST

START_TEST(the_smallest_and_the_largest_samples_are_fine)
{
    struct quantile q;
    quantile_init(&q, 9500);
    for (int i = 0; i < 1000; i++)
        quantile_add(&q, 0);
    ck_assert_uint_le(quantile_get(&q), 1);
    quantile_init(&q, 9500);
    for (int i = 0; i < 1000; i++)
        quantile_add(&q, UINT32_MAX);
    ck_assert_uint_ge(quantile_get(&q), 1u << 30);
}
END_TEST

static Suite *quantile_suite(void)
{
    Suite *s = suite_create("quantile");
    TCase *t = tcase_create("quantile");
    tcase_add_test(t, it_comes_to_rest_at_the_share);
    tcase_add_test(t, it_follows_a_change);
    tcase_add_test(t, the_smallest_and_the_largest_samples_are_fine);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(quantile_suite)
