/* test_bucket_table.c: many buckets in a fixed place (lib/bucket_table). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/bucket_table.h"
#include "lib/clock.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define SECOND   CLOCK_SECOND_NS
#define DAY      (24 * 3600 * SECOND)
#define INTERVAL (SECOND / 10)
#define BURST    5

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOWER 8
#else
#define SLOWER 1
#endif

static struct token_rate ten_a_second(void)
{
    struct token_rate r;
    ck_assert(token_rate_init(&r, 10, SECOND, BURST));
    return r;
}

static struct bucket_table *table_of(size_t max_entries)
{
    struct bucket_table *t = bucket_table_new(max_entries, 4);
    ck_assert_ptr_nonnull(t);
    return t;
}

/* The same key for the same N; SplitMix64's finisher, so that all bits differ. */
static struct bucket_key key_of(uint64_t n)
{
    struct random random;
    random_seed_with(&random, n);
    uint64_t place = random_next(&random);
    return (struct bucket_key){place, random_next(&random)};
}

static struct token_result take(struct bucket_table *t, struct bucket_key key, const struct token_rate *r,
                                uint64_t now)
{
    return bucket_table_take(t, 0, key, &(struct token_ask){.rate = r, .now_ns = now, .cost = 1});
}

static uint64_t take_all(struct bucket_table *t, struct bucket_key key, const struct token_rate *r,
                         uint64_t now)
{
    uint64_t n = 0;
    while (n < 1000 && take(t, key, r, now).admitted)
        n++;
    return n;
}

static struct bucket_usage usage(const struct bucket_table *t, uint64_t now)
{
    return bucket_table_usage(t, now, SIZE_MAX);
}

START_TEST(keys_have_their_own_buckets)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(4000);
    for (uint64_t k = 0; k < 1000; k++)
        ck_assert_uint_eq(take_all(t, key_of(k), &r, DAY), BURST);
    struct bucket_usage u = usage(t, DAY);
    ck_assert_uint_eq(u.in_debt, 1000);
    ck_assert_uint_eq(u.held, 1000);
    ck_assert_uint_eq(u.evicted + u.recycled + u.overflowed, 0);
    ck_assert_uint_eq(u.bytes, 32 * 4000);
    ck_assert_uint_eq(usage(t, DAY + SECOND).in_debt, 0);
    for (uint64_t k = 0; k < 1000; k++)
        ck_assert_uint_eq(take_all(t, key_of(k), &r, DAY + INTERVAL), 1);
    bucket_table_free(t);
}
END_TEST

START_TEST(keys_differ_in_either_half)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(1000);
    struct bucket_key keys[] = {{1, 2}, {1, 3}, {UINT64_MAX, 2}, {0, 0}, {UINT64_MAX, UINT64_MAX}};
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
        ck_assert_uint_eq(take_all(t, keys[k], &r, DAY), BURST);
    ck_assert_uint_eq(usage(t, DAY).held, 5);
    bucket_table_free(t);
}
END_TEST

START_TEST(a_look_and_a_return)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(8);
    struct token_ask ask = {.rate = &r, .now_ns = DAY, .cost = 2};
    ck_assert_uint_eq(bucket_table_peek(t, key_of(1), &ask).remaining, BURST);
    bucket_table_give_back(t, key_of(1), &ask); /* no such key: nothing */
    ck_assert_uint_eq(usage(t, DAY).held, 0);
    ck_assert(bucket_table_take(t, 0, key_of(1), &ask).admitted);
    ck_assert_uint_eq(bucket_table_peek(t, key_of(1), &ask).remaining, BURST - 2);
    bucket_table_give_back(t, key_of(2), &ask);
    ck_assert_uint_eq(bucket_table_peek(t, key_of(1), &ask).remaining, BURST - 2);
    bucket_table_give_back(t, key_of(1), &ask);
    bucket_table_give_back(t, key_of(1), &ask);
    ck_assert_uint_eq(bucket_table_peek(t, key_of(1), &ask).remaining, BURST);
    ask.cost = BURST + 1;
    ck_assert_uint_eq(bucket_table_take(t, 0, key_of(3), &ask).retry_ns, TOKEN_NEVER);
    ask = (struct token_ask){.rate = &r, .now_ns = DAY, .cost = BURST, .max_wait_ns = SECOND};
    ck_assert(bucket_table_take(t, 0, key_of(4), &ask).admitted);
    ck_assert_uint_eq(bucket_table_take(t, 0, key_of(4), &ask).wait_ns, SECOND / 2);
    ck_assert_uint_eq(usage(t, DAY).overflowed, 0);
    bucket_table_free(t);
}
END_TEST

/* Eight entries: one set of sixteen slots, so all keys meet. */
START_TEST(full_again_is_free_again)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(8);
    uint64_t now = DAY;
    for (uint64_t k = 0; k < 16 * 100; k++, now += k % 16 ? 0 : SECOND)
        ck_assert_uint_eq(take_all(t, key_of(k), &r, now), BURST);
    struct bucket_usage u = usage(t, now - SECOND);
    ck_assert_uint_eq(u.recycled, 16 * 99);
    ck_assert_uint_eq(u.evicted + u.overflowed, 0);
    ck_assert_uint_eq(u.in_debt, 16);
    bucket_table_free(t);
}
END_TEST

/* The slot that goes is the one that is, or will be, full first; those in deeper debt stay. */
START_TEST(the_least_debt_is_displaced_and_inherited)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(8);
    for (uint64_t k = 0; k < 16; k++)
        for (uint64_t n = 0; n < (k == 11 ? 2 : 4); n++)
            ck_assert(take(t, key_of(k), &r, DAY).admitted);
    struct token_ask ask = {.rate = &r, .now_ns = DAY, .cost = 1};
    ck_assert_uint_eq(bucket_table_peek(t, key_of(99), &ask).remaining, 3);
    bucket_table_give_back(t, key_of(99), &ask); /* not to the one whose slot it would get */
    ck_assert_uint_eq(bucket_table_peek(t, key_of(11), &ask).remaining, 3);
    struct token_result first = take(t, key_of(99), &r, DAY);
    ck_assert(first.admitted);
    ck_assert_uint_eq(first.remaining, 2);
    ck_assert_uint_eq(usage(t, DAY).evicted, 1);
    for (uint64_t k = 0; k < 16; k++)
        ck_assert_uint_eq(bucket_table_peek(t, key_of(k), &ask).remaining, k == 11 ? 2 : 1);
    ck_assert_uint_eq(take_all(t, key_of(99), &r, DAY), 2);
    for (uint64_t k = 0; k < 16; k++)
        ck_assert_uint_le(take_all(t, key_of(k), &r, DAY), 1);
    ck_assert_uint_eq(usage(t, DAY).held, 16);
    uint64_t evicted = usage(t, DAY).evicted;

    struct token_result refused = take(t, key_of(200), &r, DAY); /* all are at their limits */
    ck_assert(!refused.admitted);
    ck_assert_uint_eq(refused.retry_ns, INTERVAL);
    ck_assert_uint_eq(usage(t, DAY).evicted, evicted);
    ck_assert_uint_ge(usage(t, DAY).overflowed, 1);
    ck_assert(take(t, key_of(200), &r, DAY + INTERVAL).admitted);
    bucket_table_free(t);
}
END_TEST

/* Far more keys than slots, at random, one after another, with clocks that differ: no key gets too much. */
START_TEST(no_key_gains_by_being_forgotten)
{
    struct random random;
    random_seed(&random);
    uint64_t seed = random_next(&random);
    printf("seed %lu\n", seed);
    random_seed_with(&random, seed);
    struct token_rate fast = ten_a_second(), slow;
    ck_assert(token_rate_init(&slow, 3, 2 * SECOND, 3));
    for (int round = 0; round < 40 / SLOWER + 1; round++) {
        struct bucket_table *t = table_of(16);
        enum { NKEYS = 120 };
        uint64_t admitted = 0, now = DAY, reached = DAY;
        struct token_bucket unbounded[NKEYS] = {0};
        for (int i = 0; i < 20000; i++) {
            uint64_t bits = random_next(&random), k = random_below(bits, NKEYS);
            now = reached - random_below(random_next(&random), SECOND / 4);
            reached += random_below(random_next(&random), INTERVAL / 8);
            struct token_ask ask = {.rate = k % 2 ? &fast : &slow, .now_ns = now, .cost = 1 + bits % 2};
            if (!bucket_table_take(t, 0, key_of(k), &ask).admitted)
                continue;
            /* What the table admits, a bucket that is never forgotten admits as well. */
            ck_assert(token_bucket_take(&unbounded[k], &ask).admitted);
            admitted++;
        }
        ck_assert_uint_gt(usage(t, now).evicted, 100);
        ck_assert_uint_gt(usage(t, now).overflowed, 100);
        ck_assert_uint_gt(admitted, 1000);
        bucket_table_free(t);
    }
}
END_TEST

/* Hot keys are asked for all the time while millions of new keys pass: they keep their slots and limits. */
START_TEST(a_flood_leaves_the_hot_keys_limited)
{
    enum { NHOT = 100 };
    uint64_t nflood = 4000000 / SLOWER, admitted[NHOT] = {0}, now = DAY;
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(20000);
    for (uint64_t i = 0; i < nflood; i++) {
        if (i % 2000 == 0)
            for (uint64_t h = 0; h < NHOT; h++)
                admitted[h] += take_all(t, key_of(h), &r, now);
        now += 2000; /* faster than all slots together refill */
        (void)take(t, key_of(1000 + i / 2), &r, now);
    }
    uint64_t earned = (now - DAY) / INTERVAL + BURST;
    for (uint64_t h = 0; h < NHOT; h++) {
        ck_assert_uint_le(admitted[h], earned);
        ck_assert_uint_ge(admitted[h] + 2, earned); /* displaced by none, and not served less either */
    }
    struct token_ask ask = {.rate = &r, .now_ns = now, .cost = 1};
    for (uint64_t h = 0; h < NHOT; h++) {
        (void)take_all(t, key_of(h), &r, now);
        bucket_table_give_back(t, key_of(h), &ask); /* has an effect on a key that has its slot only */
        ck_assert_uint_eq(bucket_table_peek(t, key_of(h), &ask).remaining, 1);
    }
    struct bucket_usage u = usage(t, now);
    ck_assert_uint_eq(u.bytes, 32 * 20000);
    ck_assert_uint_le(u.held, u.slots);
    ck_assert_uint_gt(u.evicted, 0);
    ck_assert_uint_gt(u.overflowed, 0);
    uint64_t sample = bucket_table_usage(t, now, 500).in_debt;
    ck_assert_uint_le(sample, u.in_debt + u.in_debt / 5);
    ck_assert_uint_ge(sample, u.in_debt - u.in_debt / 5);
    bucket_table_free(t);
}
END_TEST

/* Threads that take from the same few keys, all in one set, from an empty table, in orders of their own. */
struct race {
    struct bucket_table *table;
    const struct token_rate *rate;
    uint64_t nkeys, base, now;
    pthread_barrier_t *barrier;
    size_t thread;
    uint64_t admitted[32];
};

static void *run_race(void *arg)
{
    struct race *race = arg;
    struct token_ask ask = {.rate = race->rate, .now_ns = race->now, .cost = 1};
    pthread_barrier_wait(race->barrier);
    for (uint64_t i = 0; i < race->nkeys * BURST; i++) {
        uint64_t k = (i * 7 + race->thread * 3) % race->nkeys;
        struct bucket_key key = key_of(race->base + k);
        race->admitted[k] += bucket_table_take(race->table, race->thread, key, &ask).admitted;
    }
    return NULL;
}

static void race_once(struct bucket_table *t, const struct token_rate *r, uint64_t round, uint64_t nkeys)
{
    struct race race[4];
    pthread_t thread[4];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 4);
    for (size_t i = 0; i < 4; i++) {
        race[i] = (struct race){.table = t, .rate = r, .nkeys = nkeys, .base = round * 32, .thread = i};
        race[i].barrier = &barrier;
        race[i].now = DAY + round * SECOND; /* what came before is full again */
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_race, &race[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (uint64_t k = 0; k < nkeys; k++) {
        uint64_t sum = 0;
        for (int i = 0; i < 4; i++)
            sum += race[i].admitted[k];
        ck_assert_uint_le(sum, BURST);
        if (nkeys <= 16)
            ck_assert_uint_eq(sum, BURST);
    }
}

START_TEST(racing_claims_admit_one_burst)
{
    struct token_rate r = ten_a_second();
    struct bucket_table *t = table_of(8);
    for (uint64_t round = 0; round < 3000 / SLOWER; round++) {
        uint64_t nkeys = (uint64_t[]){1, 2, 16, 24}[round % 4], now = DAY + round * SECOND;
        race_once(t, &r, round, nkeys);
        if (nkeys <= 16)
            ck_assert_uint_eq(usage(t, now).in_debt, nkeys); /* no key has two slots */
    }
    bucket_table_free(t);
}
END_TEST

/* Slots change hands all the time under all threads: keys come back as strangers displace them. */
struct churn {
    struct bucket_table *table;
    struct token_rate rate;
    _Atomic uint64_t now;
    _Atomic uint64_t admitted[64];
    size_t thread;
};

struct churner {
    struct churn *churn;
    size_t thread;
};

static void *run_churn(void *arg)
{
    struct churner *me = arg;
    struct churn *c = me->churn;
    struct random random;
    random_seed_with(&random, me->thread);
    for (int i = 0; i < 400000 / SLOWER; i++) {
        uint64_t bits = random_next(&random), k = random_below(bits, 64);
        uint64_t now = bits % 16 ? atomic_load(&c->now) : atomic_fetch_add(&c->now, SECOND / 100);
        struct token_ask ask = {.rate = &c->rate, .now_ns = now, .cost = 1};
        if (bucket_table_take(c->table, me->thread, key_of(k), &ask).admitted)
            atomic_fetch_add(&c->admitted[k], 1);
    }
    return NULL;
}

START_TEST(slots_change_hands_under_threads)
{
    struct churn c = {.table = table_of(8), .rate = ten_a_second(), .now = DAY};
    struct churner churner[4];
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++) {
        churner[i] = (struct churner){&c, i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_churn, &churner[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    uint64_t now = atomic_load(&c.now), earned = (now - DAY) / INTERVAL + BURST, total = 0;
    for (int k = 0; k < 64; k++) {
        ck_assert_uint_le(atomic_load(&c.admitted[k]), earned);
        total += atomic_load(&c.admitted[k]);
    }
    ck_assert_uint_gt(total, earned);
    ck_assert_uint_le(total, 16 * earned); /* all keys together get what sixteen buckets refill */
    ck_assert_uint_gt(usage(c.table, now).evicted, 1000);
    bucket_table_free(c.table);
}
END_TEST

START_TEST(sizes)
{
    ck_assert_ptr_null(bucket_table_new(0, 1));
    ck_assert_ptr_null(bucket_table_new(SIZE_MAX, 1));
    ck_assert_ptr_null(bucket_table_new(SIZE_MAX / 33, 1));
    bucket_table_free(NULL);
    struct bucket_table *t = table_of(1);
    ck_assert_uint_eq(usage(t, 0).slots, 16);
    bucket_table_free(t);
    t = table_of(9);
    ck_assert_uint_eq(usage(t, 0).slots, 32);
    ck_assert_uint_eq(bucket_table_usage(t, 0, 0).held, 0);
    bucket_table_free(t);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("bucket_table");
    TCase *t = tcase_create("bucket_table");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, keys_have_their_own_buckets);
    tcase_add_test(t, keys_differ_in_either_half);
    tcase_add_test(t, a_look_and_a_return);
    tcase_add_test(t, full_again_is_free_again);
    tcase_add_test(t, the_least_debt_is_displaced_and_inherited);
    tcase_add_test(t, no_key_gains_by_being_forgotten);
    tcase_add_test(t, a_flood_leaves_the_hot_keys_limited);
    tcase_add_test(t, racing_claims_admit_one_burst);
    tcase_add_test(t, slots_change_hands_under_threads);
    tcase_add_test(t, sizes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
