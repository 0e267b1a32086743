/* test_retry_budget.c: the share of requests that may be repeated (lib/retry_budget), alone and under
 * threads. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/random.h"
#include "lib/retry_budget.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define START  (1000 * SECOND)

static const struct retry_budget_policy usual = {
    .window_ns = 10 * SECOND, .share = 2000, .min_per_second = 1};

static unsigned take_all(struct retry_budget *b, uint64_t now_ns)
{
    unsigned n = 0;
    while (n < 100000 && retry_budget_take(b, now_ns))
        n++;
    return n;
}

static void request(struct retry_budget *b, uint64_t now_ns, unsigned n)
{
    while (n--)
        retry_budget_request(b, now_ns);
}

START_TEST(a_share_and_a_minimum)
{
    struct retry_budget b;
    retry_budget_init(&b, &usual);
    ck_assert_uint_eq(take_all(&b, START), 10);
    request(&b, START, 99);
    ck_assert_uint_eq(take_all(&b, START), 19);
    request(&b, START, 1);
    ck_assert_uint_eq(take_all(&b, START), 1);
    struct retry_budget_view v = retry_budget_view(&b, START);
    ck_assert_uint_eq(v.requests, 100);
    ck_assert_uint_eq(v.retries, 30);
    ck_assert_uint_eq(v.left, 0);
}
END_TEST

START_TEST(no_minimum_and_no_share)
{
    struct retry_budget b;
    struct retry_budget_policy policy = usual;
    policy.min_per_second = 0;
    retry_budget_init(&b, &policy);
    ck_assert_uint_eq(take_all(&b, START), 0);
    request(&b, START, 4);
    ck_assert_uint_eq(take_all(&b, START), 0);
    request(&b, START, 1);
    ck_assert_uint_eq(take_all(&b, START), 1);
    policy.share = 0;
    policy.min_per_second = 3;
    policy.window_ns = SECOND;
    retry_budget_init(&b, &policy);
    request(&b, START, 1000);
    ck_assert_uint_eq(take_all(&b, START), 3);
    ck_assert_uint_eq(take_all(&b, 0), 0); /* a clock that is behind */
    ck_assert_uint_eq(take_all(&b, START + SECOND), 3);
}
END_TEST

START_TEST(the_window_moves_on)
{
    struct retry_budget b;
    retry_budget_init(&b, &usual);
    request(&b, START, 100);
    ck_assert_uint_eq(take_all(&b, START + 3 * SECOND), 30);
    ck_assert_uint_eq(take_all(&b, START + 10 * SECOND - 1), 0);
    /* The requests are forgotten now, the retries not yet. */
    ck_assert_uint_eq(take_all(&b, START + 10 * SECOND), 0);
    ck_assert_uint_eq(retry_budget_view(&b, START + 10 * SECOND).requests, 0);
    ck_assert_uint_eq(retry_budget_view(&b, START + 10 * SECOND).retries, 30);
    ck_assert_uint_eq(take_all(&b, START + 13 * SECOND), 10);
}
END_TEST

START_TEST(a_long_time_adds_up_to_no_more)
{
    struct retry_budget b;
    unsigned requests = 0, retries = 0, at_once;
    retry_budget_init(&b, &usual);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now_ns = START + i * SECOND / 3;
        at_once = i * 7919 % 23;
        request(&b, now_ns, at_once);
        requests += at_once;
        retries += take_all(&b, now_ns);
    }
    unsigned bound = requests / 5 + 34 * 10; /* 333 s are less than 34 windows */
    ck_assert_uint_le(retries, bound);
    ck_assert_uint_ge(retries, bound - bound / 20);
}
END_TEST

START_TEST(what_comes_late_gains_nothing)
{
    struct retry_budget b;
    struct retry_budget_policy policy = usual;
    policy.min_per_second = 0;
    retry_budget_init(&b, &policy);
    request(&b, START, 50);
    request(&b, START + 5 * SECOND, 50);
    ck_assert_uint_eq(take_all(&b, START), 10); /* those of later do not count yet */
    ck_assert_uint_eq(take_all(&b, START + 5 * SECOND), 10);
    ck_assert_uint_eq(take_all(&b, START), 0);
    /* Taken by a late clock, but recorded as of now: it is forgotten no earlier than its requests. */
    retry_budget_init(&b, &policy);
    request(&b, START + 9 * SECOND, 50);
    ck_assert(retry_budget_take(&b, START + 9 * SECOND));
    ck_assert_uint_eq(take_all(&b, START), 9);
    ck_assert_uint_eq(take_all(&b, START + 18 * SECOND), 0);
    ck_assert_uint_eq(retry_budget_view(&b, START + 18 * SECOND).retries, 10);
    request(&b, START, 1000); /* its place in the ring is that of a younger slice, or its time is over */
    ck_assert_uint_eq(take_all(&b, START + 18 * SECOND), 0);
    request(&b, START + 25 * SECOND, 50); /* where START had its place before */
    request(&b, START + 9 * SECOND, 1);
    ck_assert_uint_eq(retry_budget_view(&b, START + 25 * SECOND).requests, 50);
}
END_TEST

START_TEST(a_full_count_stays_full)
{
    struct retry_budget b;
    struct retry_budget_policy policy = {.window_ns = 10, .share = 1};
    retry_budget_init(&b, &policy);
    retry_budget_request(&b, 0);
    atomic_fetch_add(&b.slices[1].requests, (UINT64_C(1) << 24) - 3); /* the lowest bits are the count */
    request(&b, 0, 10);
    ck_assert_uint_eq(retry_budget_view(&b, 0).requests, (UINT64_C(1) << 24) - 1);
}
END_TEST

/* ---- threads ---- */

#define NTHREADS 6
#define EACH     20000

struct storm {
    struct retry_budget b;
    _Atomic uint64_t now_ns, requests, retries;
    _Atomic bool is_over;
    _Atomic uint64_t too_many;
    bool has_moving_clock;
    uint64_t seed;
};

/* Half are requests, half want to be retries. */
static void *live(void *arg)
{
    struct storm *s = arg;
    struct random r;
    random_seed_with(&r, s->seed ^ (uint64_t)(uintptr_t)&r);
    for (int i = 0; i < EACH; i++) {
        uint64_t now_ns = atomic_load(&s->now_ns);
        if (random_next(&r) >> 63) {
            atomic_fetch_add(&s->requests, 1);
            retry_budget_request(&s->b, now_ns);
        } else if (retry_budget_take(&s->b, now_ns)) {
            uint64_t retries = atomic_fetch_add(&s->retries, 1) + 1;
            if (!s->has_moving_clock && retries > atomic_load(&s->requests) / 5 + 10)
                atomic_fetch_add(&s->too_many, 1);
        }
    }
    return NULL;
}

static void *tick(void *arg)
{
    struct storm *s = arg;
    while (!atomic_load(&s->is_over)) {
        if (s->has_moving_clock)
            atomic_fetch_add(&s->now_ns, SECOND / 4);
        sched_yield();
    }
    return NULL;
}

START_TEST(threads_never_take_more)
{
    struct storm s = {.has_moving_clock = _i % 2, .seed = clock_now_ns(), .now_ns = START};
    pthread_t threads[NTHREADS + 1];
    printf("seed %llu\n", (unsigned long long)s.seed);
    retry_budget_init(&s.b, &usual);
    for (int i = 0; i <= NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < NTHREADS ? live : tick, &s), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&s.is_over, true);
    pthread_join(threads[NTHREADS], NULL);
    uint64_t windows = (s.now_ns - START) / (10 * SECOND) + 1;
    ck_assert_uint_le(s.retries, s.requests / 5 + 10 * windows);
    ck_assert_uint_eq(s.too_many, 0);
    if (!s.has_moving_clock) {
        ck_assert_uint_eq(retry_budget_view(&s.b, START).requests, s.requests);
        ck_assert_uint_eq(retry_budget_view(&s.b, START).retries, s.retries);
        s.retries += take_all(&s.b, START); /* those that were refused for meeting others are still there */
        ck_assert_uint_eq(s.retries, s.requests / 5 + 10);
    }
}
END_TEST

/* Everyone wants the last few at the same moment. */
struct edge {
    struct retry_budget b;
    _Atomic unsigned round, ready, taken;
};

#define ROUNDS 3000
#define RACERS 3

static void *race(void *arg)
{
    struct edge *e = arg;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        atomic_fetch_add(&e->ready, 1);
        for (unsigned spins = 1; atomic_load(&e->ready) < i * RACERS; spins++)
            if (spins % 64 == 0)
                sched_yield();
        atomic_fetch_add(&e->taken, retry_budget_take(&e->b, i * 2 * SECOND));
    }
    return NULL;
}

START_TEST(the_last_one_is_taken_once)
{
    struct edge e = {.round = 0};
    struct retry_budget_policy policy = {.window_ns = SECOND, .min_per_second = 1};
    pthread_t threads[RACERS];
    retry_budget_init(&e.b, &policy);
    for (int i = 0; i < RACERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &e), 0);
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(e.taken, ROUNDS); /* one a round, at most */
    ck_assert_uint_ge(e.taken, ROUNDS / 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("retry_budget");
    TCase *t = tcase_create("retry_budget");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_share_and_a_minimum);
    tcase_add_test(t, no_minimum_and_no_share);
    tcase_add_test(t, the_window_moves_on);
    tcase_add_test(t, a_long_time_adds_up_to_no_more);
    tcase_add_test(t, what_comes_late_gains_nothing);
    tcase_add_test(t, a_full_count_stays_full);
    tcase_add_loop_test(t, threads_never_take_more, 0, 4);
    tcase_add_test(t, the_last_one_is_taken_once);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
