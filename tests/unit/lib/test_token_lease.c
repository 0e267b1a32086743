/* test_token_lease.c: tokens that are leased from elsewhere (lib/token_lease); the fleet has its own tests.
 */
#include <pthread.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/random.h"
#include "tests/unit/lib/lease_fixture.h"
#include "tests/unit/unit.h"

#define MS     CLOCK_MILLISECOND_NS
#define SECOND CLOCK_SECOND_NS
#define HOLD   (50 * MS)

static const struct bucket_key key = {3, 5};

static struct lease_table *table;
static struct lease_rate fast, slow; /* 1000 a second, 100 at once; one a second, 5 at once */

static struct lease_rate rate_of(uint64_t count, uint64_t period_ns, uint64_t burst, bool is_exact)
{
    struct token_rate tokens;
    struct lease_rate r;
    ck_assert(token_rate_init(&tokens, count, period_ns, burst));
    lease_rate_init(&r, &tokens, is_exact);
    return r;
}

static void setup(void)
{
    table = lease_table_new(1024);
    ck_assert_ptr_nonnull(table);
    fast = rate_of(1000, SECOND, 100, false);
    slow = rate_of(1, SECOND, 5, false);
}

static void teardown(void)
{
    lease_table_free(table);
}

static struct lease_answer take_cost(const struct lease_rate *r, uint64_t now, unsigned lane, uint64_t cost)
{
    return lease_take(table, key, &(struct lease_take){r, now, cost, lane, false});
}

static struct lease_answer take(const struct lease_rate *r, uint64_t now)
{
    return take_cost(r, now, 0, 1);
}

static struct lease_answer again(const struct lease_rate *r, uint64_t now)
{
    return lease_take(table, key, &(struct lease_take){r, now, 1, 0, true});
}

static uint64_t grant(const struct lease_rate *r, const struct lease_answer *a, uint64_t n, uint64_t left,
                      uint64_t retry_us, uint64_t now)
{
    struct lease_reply reply = {.granted = n, .remaining = left, .retry_us = retry_us, .stamp = 77};
    return lease_granted(table, key, r, &a->ask, &reply, now);
}

START_TEST(rate_is_whole_numbers)
{
    struct lease_rate r = rate_of(1000000, SECOND, 1000, false);
    ck_assert_uint_eq(r.parts, 1);
    ck_assert_uint_eq(r.refill, 1);
    r = rate_of(999999, SECOND, 1000, false);
    ck_assert_uint_eq(r.parts, 1000000);
    ck_assert_uint_eq(r.refill, 999999);
    r = rate_of(1, 86400 * SECOND, 10, false);
    ck_assert_uint_eq(r.parts, UINT64_C(86400000000));
    ck_assert_uint_eq(r.refill, 1);
}
END_TEST

START_TEST(life_leaves_the_bucket_room_to_refill)
{
    ck_assert_uint_gt(fast.life_ns, 0);
    ck_assert_uint_le(fast.life_ns * 9 / 8 + fast.pause_ns, 100 * MS);
    ck_assert_uint_eq(slow.life_ns, 0);
    ck_assert_uint_eq(rate_of(1000, SECOND, 100, true).life_ns, 0);
    ck_assert_uint_eq(rate_of(1000, SECOND, 1, false).life_ns, 0);
    ck_assert_uint_eq(rate_of(100000, SECOND, 100000, false).life_ns, LEASE_LIFE_MAX);
}
END_TEST

START_TEST(first_take_asks_and_the_others_wait)
{
    struct lease_answer a = take_cost(&fast, SECOND, 3, 1), b = take_cost(&fast, SECOND + MS, 5, 1);
    ck_assert_int_eq(a.verdict, LEASE_WAIT);
    ck_assert(a.asks);
    ck_assert_uint_eq(a.ask.want, 1);
    ck_assert_int_eq(b.verdict, LEASE_WAIT);
    ck_assert(!b.asks);
    ck_assert_uint_eq(grant(&fast, &a, 1, 99, 0, SECOND + MS), 1 << 3 | 1 << 5);
    ck_assert_int_eq(again(&fast, SECOND + MS).verdict, LEASE_ADMITTED);
    a = again(&fast, SECOND + MS); /* the second finds nothing, and asks */
    ck_assert_int_eq(a.verdict, LEASE_WAIT);
    ck_assert(a.asks);
    ck_assert_uint_ge(a.ask.want, 1);
}
END_TEST

START_TEST(next_ask_is_for_all_that_wait)
{
    struct lease_answer a = take(&slow, SECOND);
    for (int i = 0; i < 3; i++)
        ck_assert(!take(&slow, SECOND + MS).asks);
    ck_assert_uint_eq(grant(&slow, &a, 1, 4, 0, SECOND + MS), 1);
    ck_assert_int_eq(again(&slow, SECOND + MS).verdict, LEASE_ADMITTED);
    a = again(&slow, SECOND + MS);
    ck_assert(a.asks);
    ck_assert_uint_eq(a.ask.want, 3);
    lease_leave(table, key, 1); /* one of them has gone */
    ck_assert_uint_eq(grant(&slow, &a, 0, 0, 0, SECOND + 2 * MS), 1);
    ck_assert_uint_eq(again(&slow, SECOND + 3 * MS).ask.want, 2);
}
END_TEST

START_TEST(refusals_are_local_until_the_bucket_has_tokens)
{
    struct lease_answer a = take(&slow, SECOND);
    ck_assert_uint_eq(grant(&slow, &a, 0, 0, 700000, SECOND + MS), 1);
    struct lease_answer b = take(&slow, SECOND + 2 * MS);
    ck_assert_int_eq(b.verdict, LEASE_REFUSED);
    ck_assert(!b.asks);
    ck_assert_uint_eq(b.retry_ns, 699 * MS);
    ck_assert(take(&slow, SECOND + 701 * MS).asks);
}
END_TEST

START_TEST(wait_that_cannot_be_is_not_believed)
{
    const struct lease_rate *rates[] = {&slow, &fast};
    for (uint64_t i = 0; i < 2; i++) {
        const struct lease_rate *r = rates[i];
        uint64_t now = (1 + i * 1000) * SECOND, full = i ? 100 * MS : 5 * SECOND;
        struct lease_answer a = take(r, now);
        struct lease_reply reply = {.retry_us = UINT64_C(1) << 52, .full_us = UINT64_MAX};
        ck_assert_uint_eq(lease_granted(table, key, r, &a.ask, &reply, now), 1);
        a = again(r, now);
        ck_assert_int_eq(a.verdict, LEASE_REFUSED);
        ck_assert_uint_ge(a.retry_ns, 2 * full);
        ck_assert_uint_le(a.retry_ns, 2 * full + 2 * LEASE_LIFE_MAX + MS);
        ck_assert_uint_le(a.full_ns, 2 * full + 2 * LEASE_LIFE_MAX + MS);
        ck_assert(take(r, now + 2 * full + 2 * LEASE_LIFE_MAX + MS).asks);
    }
}
END_TEST

START_TEST(no_more_is_left_than_the_burst)
{
    struct lease_answer a = take_cost(&slow, SECOND, 0, 5);
    ck_assert_uint_eq(grant(&slow, &a, 5, 5, 0, SECOND), 1);
    a = again(&slow, SECOND);
    ck_assert_int_eq(a.verdict, LEASE_ADMITTED);
    ck_assert_uint_eq(a.remaining, 5);
}
END_TEST

START_TEST(saturated_key_pauses)
{
    struct lease_answer a = take(&fast, SECOND);
    ck_assert_uint_ge(fast.pause_ns, 45 * MS);
    ck_assert_uint_eq(grant(&fast, &a, 0, 0, 10, SECOND + MS), 1);
    for (uint64_t t = 1; t < 50; t++)
        ck_assert_int_eq(take(&fast, SECOND + t * MS).verdict, LEASE_REFUSED);
    a = take(&fast, SECOND + 50 * MS);
    ck_assert(a.asks);
    ck_assert_uint_gt(a.ask.want, 10); /* as many as were refused meanwhile */
}
END_TEST

START_TEST(small_request_may_have_what_is_too_little_for_a_large_one)
{
    struct lease_answer a = take_cost(&slow, SECOND, 0, 3);
    ck_assert_uint_eq(a.ask.at_least, 3);
    ck_assert_uint_eq(grant(&slow, &a, 0, 2, 1000000, SECOND + MS), 1);
    ck_assert_int_eq(take_cost(&slow, SECOND + 2 * MS, 0, 3).verdict, LEASE_REFUSED);
    ck_assert(take_cost(&slow, SECOND + 2 * MS, 0, 2).asks);
}
END_TEST

START_TEST(lease_ends_and_its_rest_is_given_back)
{
    struct lease_answer a = take(&fast, SECOND);
    ck_assert_uint_eq(grant(&fast, &a, 20, 80, 0, SECOND + 2 * MS), 1);
    uint64_t end = SECOND + fast.life_ns - fast.life_ns / 4; /* from when it was sent */
    ck_assert_int_eq(again(&fast, end - 1).verdict, LEASE_ADMITTED);
    a = take(&fast, end);
    ck_assert_int_eq(a.verdict, LEASE_WAIT);
    ck_assert(a.asks);
    ck_assert_uint_eq(a.ask.back, 19);
    ck_assert_int_eq(a.ask.stamp, 77);
}
END_TEST

/* A key in demand: 40 takes in 40 ms. */
static void make_demand(void)
{
    struct lease_answer a = take(&fast, SECOND);
    ck_assert_uint_eq(grant(&fast, &a, 1, 99, 0, SECOND), 1);
    for (uint64_t i = 0; i < 50; i++) {
        a = take(&fast, SECOND + i * MS);
        if (a.asks)
            ck_assert(grant(&fast, &a, a.ask.want, 50, 0, SECOND + i * MS) <= 1);
    }
}

START_TEST(hot_key_asks_before_it_has_to_wait)
{
    make_demand();
    int waits = 0, asks = 0;
    struct lease_answer pending = {0};
    for (uint64_t i = 0; i < 400; i++) { /* answers take 1 ms */
        uint64_t now = SECOND + 50 * MS + i * MS;
        if (pending.asks)
            ck_assert(grant(&fast, &pending, pending.ask.want, 50, 0, now) <= 1);
        pending = take(&fast, now);
        waits += pending.verdict == LEASE_WAIT;
        asks += pending.asks;
    }
    ck_assert_int_le(waits, 2);
    ck_assert_int_le(asks, 25);
}
END_TEST

START_TEST(token_of_a_request_that_was_refused_elsewhere_comes_back)
{
    struct lease_take t = {&slow, SECOND, 1, 0, false};
    struct lease_answer a = take(&slow, SECOND);
    ck_assert_uint_eq(grant(&slow, &a, 1, 0, 900000, SECOND + MS), 1);
    a = again(&slow, SECOND + MS);
    ck_assert_int_eq(a.verdict, LEASE_ADMITTED);
    t.now_ns = SECOND + 2 * MS;
    lease_give_back(table, key, &t, a.stamp);
    ck_assert_int_eq(take(&slow, SECOND + 2 * MS).verdict, LEASE_ADMITTED);
    t.now_ns = SECOND + 3 * SECOND;
    lease_give_back(table, key, &t, a.stamp); /* too late to be spent here */
    a = take(&slow, SECOND + 3 * SECOND);
    ck_assert(a.asks);
    ck_assert_uint_eq(a.ask.back, 1);
}
END_TEST

START_TEST(failure_is_told_at_once_and_one_finds_out)
{
    struct lease_answer a = take(&fast, SECOND);
    ck_assert_uint_eq(lease_failed(table, key, &a.ask, SECOND + MS, HOLD), 1);
    ck_assert_int_eq(again(&fast, SECOND + MS).verdict, LEASE_DOWN);
    ck_assert_int_eq(take(&fast, SECOND + 50 * MS).verdict, LEASE_DOWN);
    a = take(&fast, SECOND + 51 * MS);
    ck_assert(a.asks);
    ck_assert_uint_eq(a.ask.down_ns, 51 * MS);
    ck_assert_int_eq(take(&fast, SECOND + 52 * MS).verdict, LEASE_WAIT);
    ck_assert_uint_eq(grant(&fast, &a, 1, 9, 0, SECOND + 53 * MS), 1);
    ck_assert_int_eq(again(&fast, SECOND + 53 * MS).verdict, LEASE_ADMITTED);
    ck_assert_uint_eq(take(&fast, SECOND + 54 * MS).ask.down_ns, 0);
}
END_TEST

START_TEST(what_is_known_of_the_bucket_is_told)
{
    struct lease_answer a = take(&slow, SECOND);
    struct lease_reply reply = {
        .granted = 1, .remaining = 0, .retry_us = 500000, .full_us = 4500000, .stamp = 1};
    ck_assert_uint_eq(lease_granted(table, key, &slow, &a.ask, &reply, SECOND), 1);
    a = again(&slow, SECOND);
    ck_assert_uint_eq(a.full_ns, 4500 * MS);
    a = take(&slow, 2 * SECOND);
    ck_assert_uint_eq(a.ask.full_in_ns, 3500 * MS);
}
END_TEST

START_TEST(answer_to_a_slot_that_is_gone_wakes_everybody)
{
    struct lease_table *one = lease_table_new(1);
    struct lease_answer first = {0};
    ck_assert_ptr_nonnull(one);
    for (uint64_t i = 0; i < 9; i++) { /* all of them ask; the oldest goes */
        struct bucket_key k = {i, i};
        struct lease_answer a = lease_take(one, k, &(struct lease_take){&fast, SECOND + i, 1, 0, false});
        ck_assert(a.asks);
        if (i == 0)
            first = a;
    }
    struct lease_reply reply = {.granted = 1, .stamp = 1};
    ck_assert_uint_eq(lease_table_held(one), 8);
    ck_assert(lease_granted(one, (struct bucket_key){0, 0}, &fast, &first.ask, &reply, SECOND + MS) ==
              UINT64_MAX);
    ck_assert(lease_take(one, (struct bucket_key){0, 0}, &(struct lease_take){&fast, SECOND + MS, 1, 0, true})
                  .asks);
    lease_table_free(one);
}
END_TEST

START_TEST(ask_that_nobody_answers_is_given_up)
{
    ck_assert(take(&fast, SECOND).asks);
    ck_assert(!take(&fast, 2 * SECOND).asks);
    ck_assert(take(&fast, 2 * SECOND + 1).asks);
}
END_TEST

START_TEST(shares_are_fractions)
{
    struct token_rate whole, share;
    ck_assert(token_rate_init(&whole, 1000, SECOND, 100));
    lease_share(&share, &whole, 3, 1);
    ck_assert_uint_eq(share.num, 3 * MS);
    ck_assert_uint_eq(share.den, 1);
    ck_assert_uint_eq(share.burst, 33);
    lease_share(&share, &whole, 300, 5);
    ck_assert_uint_eq(share.burst, 5);
    ck_assert_uint_eq(lease_tokens_in(&whole, 30 * MS), 30);
    ck_assert_uint_eq(lease_tokens_in(&whole, SECOND), 100);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define TAKES   20000

static _Atomic uint64_t given, spent;

/* Takes, and answers what it is asked; all have the same two keys. */
static void *hammer(void *arg)
{
    struct random random;
    unsigned lane = *(const unsigned *)arg;
    random_seed_with(&random, lane);
    for (uint64_t i = 0; i < TAKES; i++) {
        struct bucket_key k = {random_next(&random) & 1, 1};
        uint64_t now = SECOND + i * 10000;
        struct lease_take t = {&fast, now, 1, lane, false};
        struct lease_answer a = lease_take(table, k, &t);
        if (a.verdict == LEASE_ADMITTED)
            atomic_fetch_add(&spent, 1);
        if (a.verdict == LEASE_WAIT)
            lease_leave(table, k, 1);
        struct lease_reply reply = {.granted = a.ask.want, .remaining = 5, .stamp = 1};
        uint64_t lanes = 0;
        if (a.asks && i % 7 == 0)
            lanes = lease_failed(table, k, &a.ask, now, MS);
        else if (a.asks) {
            atomic_fetch_add(&given, a.ask.want);
            lanes = lease_granted(table, k, &fast, &a.ask, &reply, now);
        }
        if (lanes == 0 && a.asks && a.verdict == LEASE_WAIT)
            return arg; /* at least itself */
    }
    return NULL;
}

START_TEST(threads_spend_what_was_given_and_no_more)
{
    pthread_t threads[THREADS];
    unsigned lanes[THREADS] = {0, 1, 2, 3};
    void *failed;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, &lanes[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    ck_assert_uint_gt(spent, 0);
    ck_assert_uint_le(spent, given);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("token_lease");
    TCase *c = tcase_create("lease");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, rate_is_whole_numbers);
    tcase_add_test(c, life_leaves_the_bucket_room_to_refill);
    tcase_add_test(c, first_take_asks_and_the_others_wait);
    tcase_add_test(c, next_ask_is_for_all_that_wait);
    tcase_add_test(c, refusals_are_local_until_the_bucket_has_tokens);
    tcase_add_test(c, wait_that_cannot_be_is_not_believed);
    tcase_add_test(c, no_more_is_left_than_the_burst);
    tcase_add_test(c, saturated_key_pauses);
    tcase_add_test(c, small_request_may_have_what_is_too_little_for_a_large_one);
    tcase_add_test(c, lease_ends_and_its_rest_is_given_back);
    tcase_add_test(c, hot_key_asks_before_it_has_to_wait);
    tcase_add_test(c, token_of_a_request_that_was_refused_elsewhere_comes_back);
    tcase_add_test(c, failure_is_told_at_once_and_one_finds_out);
    tcase_add_test(c, what_is_known_of_the_bucket_is_told);
    tcase_add_test(c, answer_to_a_slot_that_is_gone_wakes_everybody);
    tcase_add_test(c, ask_that_nobody_answers_is_given_up);
    tcase_add_test(c, shares_are_fractions);
    tcase_add_test(c, threads_spend_what_was_given_and_no_more);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
