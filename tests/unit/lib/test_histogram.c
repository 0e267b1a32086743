/* test_histogram.c: striped histograms of durations (lib/histogram). */
#include <pthread.h>
#include <stdbool.h>

#include "lib/histogram.h"
#include "tests/unit/unit.h"

#define MS UINT64_C(1000000)

START_TEST(buckets_are_seamless)
{
    ck_assert_uint_eq(histogram_bucket_from(0), 0);
    for (unsigned b = 1; b < HISTOGRAM_BUCKETS; b++) {
        uint64_t from = histogram_bucket_from(b);
        ck_assert_uint_gt(from, histogram_bucket_from(b - 1));
        ck_assert_uint_eq(histogram_bucket(from), b);
        ck_assert_uint_eq(histogram_bucket(from - 1), b - 1);
    }
    ck_assert_uint_eq(histogram_bucket(0), 0);
    ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    ck_assert_uint_eq(histogram_bucket_from(HISTOGRAM_BUCKETS - 1), UINT64_C(1) << HISTOGRAM_HIGH_BIT);
}
END_TEST

START_TEST(a_bucket_is_at_most_a_quarter_wide)
{
    for (unsigned b = 1; b + 1 < HISTOGRAM_BUCKETS; b++)
        ck_assert_uint_le(4 * (histogram_bucket_from(b + 1) - histogram_bucket_from(b)),
                          histogram_bucket_from(b));
}
END_TEST

START_TEST(counts_at_bounds)
{
    struct histogram *h = histogram_new(2);
    struct histogram_snapshot s = {0};
    for (uint64_t i = 0; i < 100; i++)
        histogram_add(h, i % 2, 10 * MS);
    for (uint64_t i = 0; i < 50; i++)
        histogram_add(h, 0, 200 * MS);
    histogram_add(h, 1, 500000 * MS); /* above all buckets */
    histogram_add(h, 1, 3);           /* below */
    histogram_read(h, &s);
    ck_assert_uint_eq(s.count, 152);
    ck_assert_uint_eq(s.sum_ns, 100 * 10 * MS + 50 * 200 * MS + 500000 * MS + 3);
    const double bounds[] = {0.001, 0.005, 0.025, 0.1, 0.5, 1000, 0};
    uint64_t n[7];
    histogram_cumulative(&s, bounds, 7, n);
    ck_assert_uint_eq(n[0], 1);
    ck_assert_uint_eq(n[1], 1);
    ck_assert_uint_eq(n[2], 101);
    ck_assert_uint_eq(n[3], 101);
    ck_assert_uint_eq(n[4], 151);
    ck_assert_uint_eq(n[5], 151);
    ck_assert_uint_eq(n[6], 0);
    histogram_free(h);
}
END_TEST

START_TEST(a_bound_inside_a_bucket_takes_its_share)
{
    struct histogram *h = histogram_new(1);
    struct histogram_snapshot s = {0};
    unsigned b = histogram_bucket(100 * MS);
    double from = (double)histogram_bucket_from(b), to = (double)histogram_bucket_from(b + 1);
    for (int i = 0; i < 1000; i++)
        histogram_add(h, 0, 100 * MS);
    histogram_read(h, &s);
    const double bounds[] = {from / 1e9, (from + (to - from) / 4) / 1e9, (from + (to - from) / 2) / 1e9,
                             to / 1e9};
    uint64_t n[4];
    histogram_cumulative(&s, bounds, 4, n);
    ck_assert_uint_eq(n[0], 0);
    ck_assert(n[1] >= 249 && n[1] <= 251);
    ck_assert(n[2] >= 499 && n[2] <= 501);
    ck_assert_uint_ge(n[3], 999);
    histogram_free(h);
}
END_TEST

START_TEST(quantiles_are_close)
{
    struct histogram *h = histogram_new(1);
    struct histogram_snapshot s = {0};
    ck_assert(histogram_quantile(&s, 0.5) == 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(h, 0, i * MS); /* the share Q took Q seconds */
    histogram_read(h, &s);
    for (double q = 0.01; q <= 1; q += 0.01) {
        double got = histogram_quantile(&s, q);
        ck_assert_msg(got > q * 0.95 && got < q * 1.1, "%f: %f", q, got);
    }
    ck_assert(histogram_quantile(&s, 0) <= 0.001);
    histogram_free(h);
}
END_TEST

START_TEST(the_last_bucket_answers_with_its_beginning)
{
    struct histogram *h = histogram_new(1);
    struct histogram_snapshot s = {0};
    histogram_add(h, 0, UINT64_MAX);
    histogram_read(h, &s);
    double got = histogram_quantile(&s, 0.5);
    ck_assert(got > 137 && got < 138);
    histogram_free(h);
}
END_TEST

START_TEST(snapshots_add_up)
{
    struct histogram *a = histogram_new(1), *b = histogram_new(1);
    struct histogram_snapshot s = {0};
    histogram_add(a, 0, MS);
    histogram_add(b, 0, 2 * MS);
    histogram_read(a, &s);
    histogram_read(b, &s);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_uint_eq(s.sum_ns, 3 * MS);
    ck_assert_ptr_null(histogram_new(SIZE_MAX / 8));
    histogram_free(a);
    histogram_free(b);
}
END_TEST

struct adder {
    struct histogram *h;
    size_t stripe;
    pthread_t thread;
};

static void *add(void *arg)
{
    const struct adder *a = arg;
    for (uint64_t i = 0; i < 20000; i++)
        histogram_add(a->h, a->stripe, i * 1000);
    return NULL;
}

/* What a reader sees never falls, at any bound. */
START_TEST(readers_see_only_growth)
{
    static const double bounds[] = {0.0001, 0.001, 0.003, 0.01, 0.015, 1};
    struct histogram *h = histogram_new(2);
    struct adder adders[2];
    uint64_t before[6] = {0}, count = 0;
    bool good = true;
    for (size_t i = 0; i < 2; i++) {
        adders[i] = (struct adder){.h = h, .stripe = i};
        ck_assert_int_eq(pthread_create(&adders[i].thread, NULL, add, &adders[i]), 0);
    }
    while (count < 40000) {
        struct histogram_snapshot s = {0};
        uint64_t now[6];
        histogram_read(h, &s);
        histogram_cumulative(&s, bounds, 6, now);
        for (size_t i = 0; i < 6; i++) {
            good = good && now[i] >= before[i] && now[i] <= s.count && (i == 0 || now[i] >= now[i - 1]);
            before[i] = now[i];
        }
        count = s.count;
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(adders[i].thread, NULL);
    ck_assert(good);
    ck_assert_uint_eq(count, 40000);
    histogram_free(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("histogram");
    TCase *t = tcase_create("histogram");
    tcase_add_test(t, buckets_are_seamless);
    tcase_add_test(t, a_bucket_is_at_most_a_quarter_wide);
    tcase_add_test(t, counts_at_bounds);
    tcase_add_test(t, a_bound_inside_a_bucket_takes_its_share);
    tcase_add_test(t, quantiles_are_close);
    tcase_add_test(t, the_last_bucket_answers_with_its_beginning);
    tcase_add_test(t, snapshots_add_up);
    tcase_add_test(t, readers_see_only_growth);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
