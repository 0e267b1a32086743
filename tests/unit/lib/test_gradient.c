/*
 * test_gradient.c: the adaptive concurrency limit (lib/gradient), against a simulated server.
 *
 * The server works on `workers` requests at a time, `base_ns` for each; more wait their turn. So with N in
 * flight an answer takes base x max(1, N / workers), and capacity x base latency is the number of workers.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/gradient.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define MS     CLOCK_MILLISECOND_NS
#define WINDOW (100 * MS)

static const struct gradient_policy usual = {
    .min = 2,
    .max = 1000,
    .initial = 20,
    .window_ns = WINDOW,
    .min_samples = 10,
    .tolerance = 11000,
    .smoothing = 2000,
    .calm_every = 50,
};

struct simulation {
    struct gradient g;
    struct random random;
    uint64_t now_ns;
    uint32_t demand; /* in flight, if the limit lets them */
    uint32_t workers;
    uint64_t base_ns;
    uint32_t lowest, highest; /* limit of the last windows */
    double work;              /* share of the workers' time that was used */
};

static void begin(struct simulation *s, const struct gradient_policy *policy)
{
    random_seed_with(&s->random, 7);
    s->now_ns = 1000 * WINDOW;
    gradient_init(&s->g, policy, s->now_ns);
}

/* N windows with 20 answers each, every one up to 5 % faster or slower than computed. */
static void run(struct simulation *s, unsigned n)
{
    s->lowest = UINT32_MAX;
    s->highest = 0;
    s->work = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t limit = gradient_limit(&s->g), in_flight = s->demand < limit ? s->demand : limit;
        uint64_t latency_ns = in_flight > s->workers ? s->base_ns * in_flight / s->workers : s->base_ns;
        for (int k = 0; k < 20; k++) {
            s->now_ns += WINDOW / 20;
            (void)gradient_sample(&s->g, s->now_ns,
                                  latency_ns * (95 + random_below(random_next(&s->random), 11)) / 100,
                                  in_flight);
        }
        s->lowest = limit < s->lowest ? limit : s->lowest;
        s->highest = limit > s->highest ? limit : s->highest;
        s->work += (double)(in_flight < s->workers ? in_flight : s->workers) / s->workers / n;
    }
}

START_TEST(it_grows_to_what_the_server_can_do_and_stays)
{
    struct simulation s = {.demand = 5000, .workers = 100, .base_ns = 30 * MS};
    begin(&s, &usual);
    run(&s, 300);
    for (int i = 0; i < 50; i++) { /* and does not drift, however long the load lasts */
        run(&s, 200);
        ck_assert_uint_le(s.highest, 130);
        ck_assert(s.work > 0.97);
    }
    struct gradient_view v = gradient_view(&s.g);
    ck_assert_uint_ge(v.long_ns, 28 * MS);
    ck_assert_uint_le(v.long_ns, 32 * MS);
}
END_TEST

/* The base latency is known from calmer times. */
START_TEST(it_shrinks_to_what_the_server_can_do)
{
    struct simulation s = {.demand = 10, .workers = 100, .base_ns = 30 * MS};
    struct gradient_policy policy = usual;
    policy.initial = 800;
    begin(&s, &policy);
    run(&s, 10);
    ck_assert_uint_eq(gradient_limit(&s.g), 800); /* nothing to learn about it yet */
    s.demand = 5000;
    run(&s, 40);
    ck_assert_uint_le(gradient_limit(&s.g), 140);
    run(&s, 200);
    ck_assert_uint_le(s.highest, 140);
    ck_assert(s.work > 0.97);
}
END_TEST

/* Born under overload: the first latency it sees is that of a queue. */
START_TEST(it_finds_the_base_under_load)
{
    struct simulation s = {.demand = 5000, .workers = 40, .base_ns = 30 * MS};
    struct gradient_policy policy = usual;
    policy.initial = 100;
    begin(&s, &policy);
    run(&s, 600);
    run(&s, 200);
    ck_assert_uint_le(s.highest, 60);
    ck_assert(s.work > 0.95);
}
END_TEST

START_TEST(it_follows_a_server_that_loses_and_regains_workers)
{
    struct simulation s = {.demand = 5000, .workers = 100, .base_ns = 30 * MS};
    begin(&s, &usual);
    run(&s, 300);
    s.workers = 30;
    run(&s, 45);
    ck_assert_uint_le(gradient_limit(&s.g), 50);
    run(&s, 300);
    ck_assert_uint_le(s.highest, 50);
    ck_assert(s.work > 0.95);
    s.workers = 100;
    run(&s, 300);
    run(&s, 100);
    ck_assert_uint_ge(s.highest, 100);
    ck_assert_uint_le(s.highest, 130);
}
END_TEST

START_TEST(it_shrinks_when_answers_take_longer_and_learns_that_they_do)
{
    struct simulation s = {.demand = 5000, .workers = 100, .base_ns = 30 * MS};
    begin(&s, &usual);
    run(&s, 300);
    while (gradient_limit(&s.g) < 100) /* not just when it measures */
        run(&s, 1);
    s.base_ns = 90 * MS;
    run(&s, 60);
    ck_assert_uint_le(s.lowest, 40);
    run(&s, 300);
    ck_assert_uint_le(gradient_view(&s.g).long_ns, 95 * MS);
    ck_assert_uint_ge(gradient_view(&s.g).long_ns, 85 * MS);
    run(&s, 100);
    ck_assert_uint_ge(s.highest, 100);
    ck_assert_uint_le(s.highest, 130);
}
END_TEST

START_TEST(it_grows_only_when_it_is_used)
{
    struct simulation s = {.demand = 15, .workers = 100, .base_ns = 30 * MS};
    begin(&s, &usual);
    run(&s, 40); /* 15 of 20: not calm, and not near */
    ck_assert_uint_eq(s.lowest, 20);
    ck_assert_uint_eq(s.highest, 20);
    s.demand = 18;
    run(&s, 5);
    ck_assert_uint_gt(gradient_limit(&s.g), 20);
    run(&s, 100);
    ck_assert_uint_le(s.highest, 23);
}
END_TEST

START_TEST(a_calm_time_needs_no_other)
{
    struct simulation s = {.demand = 10, .workers = 100, .base_ns = 30 * MS};
    begin(&s, &usual);
    run(&s, 500);
    ck_assert_uint_eq(s.lowest, 20);
    s.base_ns = 60 * MS;
    run(&s, 20);
    ck_assert_uint_ge(gradient_view(&s.g).long_ns, 55 * MS);
    s.demand = 16; /* now one has to be made, for two windows */
    run(&s, 60);
    ck_assert_uint_eq(s.lowest, 9);
}
END_TEST

START_TEST(it_stays_within_its_bounds)
{
    struct simulation s = {.demand = 5000, .workers = 100, .base_ns = 30 * MS};
    struct gradient_policy policy = usual;
    policy.min = 10;
    policy.max = 50;
    begin(&s, &policy);
    run(&s, 300);
    ck_assert_uint_eq(s.highest, 50);
    s.workers = 1;
    run(&s, 300);
    ck_assert_uint_eq(s.lowest, 10);
    ck_assert_uint_le(s.highest, 50);
    policy.calm_every = 1000;
    begin(&s, &policy);
    run(&s, 100);
    s.base_ns *= 100;
    run(&s, 60);
    ck_assert_uint_eq(s.lowest, 10);
    ck_assert_uint_eq(gradient_limit(&s.g), 10);
}
END_TEST

/* The end of one window: ten answers. */
static void feed(struct gradient *g, uint64_t window, uint64_t latency_ns, uint32_t in_flight)
{
    for (int i = 0; i < 10; i++)
        (void)gradient_sample(g, window * WINDOW, latency_ns, in_flight);
}

START_TEST(one_bad_window_is_no_reason_to_panic)
{
    struct gradient g;
    struct gradient_policy policy = usual;
    policy.initial = 100;
    gradient_init(&g, &policy, 0);
    feed(&g, 1, MS, 90);
    uint32_t before = gradient_limit(&g);
    feed(&g, 2, 1000 * MS, 90);
    ck_assert_uint_lt(gradient_limit(&g), before);
    ck_assert_uint_ge(gradient_limit(&g), before - 10);
}
END_TEST

START_TEST(a_faster_window_lowers_the_long_term)
{
    struct gradient g;
    gradient_init(&g, &usual, 0);
    feed(&g, 1, 10 * MS, 20);
    ck_assert_uint_eq(gradient_view(&g).long_ns, 10 * MS);
    feed(&g, 2, 2 * MS, 20);
    ck_assert_uint_eq(gradient_view(&g).long_ns, 8 * MS);
    feed(&g, 3, 10 * MS, 20);
    ck_assert_uint_eq(gradient_view(&g).long_ns, 8 * MS);
}
END_TEST

START_TEST(measuring_waits_for_what_was_in_flight)
{
    struct gradient g;
    struct gradient_policy policy = usual;
    uint64_t window = 1;
    policy.max = 20;
    gradient_init(&g, &policy, 0);
    for (; gradient_limit(&g) == 20; window++) {
        ck_assert_uint_lt(window, 100);
        feed(&g, window, MS, gradient_limit(&g));
    }
    uint32_t calm = gradient_limit(&g);
    for (uint64_t end = window + 3; window < end; window++)
        feed(&g, window, 9 * MS, calm + 1);
    ck_assert_uint_eq(gradient_view(&g).long_ns, MS);
    feed(&g, window++, 9 * MS, calm); /* these came after they had left */
    ck_assert_uint_eq(gradient_view(&g).long_ns, MS);
    feed(&g, window++, 2 * MS, calm);
    ck_assert_uint_eq(gradient_view(&g).long_ns, 2 * MS);
    ck_assert_uint_gt(gradient_limit(&g), calm);
}
END_TEST

START_TEST(a_window_needs_time_and_samples)
{
    struct gradient g;
    gradient_init(&g, &usual, 0);
    for (int i = 0; i < 9; i++)
        ck_assert(!gradient_sample(&g, 2 * WINDOW, MS, 20)); /* too few */
    ck_assert_uint_eq(gradient_view(&g).short_ns, 0);
    ck_assert(gradient_sample(&g, 2 * WINDOW, 11 * MS, 20) == (gradient_limit(&g) != 20));
    ck_assert_uint_eq(gradient_view(&g).short_ns, 2 * MS);
    for (int i = 0; i < 1000; i++)
        ck_assert(!gradient_sample(&g, 3 * WINDOW - 1, MS, 20)); /* too early */
    ck_assert_uint_eq(gradient_view(&g).short_ns, 2 * MS);
    (void)gradient_sample(&g, 3 * WINDOW, MS, 20);
    ck_assert_uint_eq(gradient_view(&g).short_ns, MS);
}
END_TEST

START_TEST(no_number_is_too_large)
{
    struct gradient g;
    gradient_init(&g, &usual, 0);
    for (int i = 0; i < 1200000; i++) /* more than are counted */
        (void)gradient_sample(&g, 0, 4 * CLOCK_SECOND_NS, UINT32_MAX);
    (void)gradient_sample(&g, WINDOW, 4 * CLOCK_SECOND_NS, UINT32_MAX);
    ck_assert_uint_eq(gradient_view(&g).short_ns, 4 * CLOCK_SECOND_NS);
    gradient_init(&g, &usual, 0);
    for (int i = 0; i < 1200000; i++)
        (void)gradient_sample(&g, 0, UINT64_MAX, UINT32_MAX);
    (void)gradient_sample(&g, WINDOW, UINT64_MAX, UINT32_MAX);
    ck_assert_uint_ge(gradient_view(&g).short_ns, UINT64_C(16000000000));
    ck_assert_uint_le(gradient_view(&g).short_ns, UINT64_C(17000000000));
    for (int i = 0; i < 100; i++)
        (void)gradient_sample(&g, 2 * WINDOW, 0, 0);
    ck_assert_uint_eq(gradient_view(&g).short_ns, 1000);
}
END_TEST

/* What hangs in flight for ever must not keep the limit low for ever. */
START_TEST(settling_ends)
{
    struct gradient g;
    gradient_init(&g, &usual, 0);
    uint32_t lowest = UINT32_MAX, limit = 0;
    for (uint64_t i = 1; i < 500; i++) {
        for (int k = 0; k < 10; k++)
            (void)gradient_sample(&g, i * WINDOW, MS, 900);
        limit = gradient_limit(&g);
        lowest = limit < lowest ? limit : lowest;
    }
    ck_assert_uint_gt(limit, 100);
    ck_assert_uint_ge(lowest, 20);
}
END_TEST

/* ---- threads ---- */

#define NTHREADS 6
#define EACH     50000

struct storm {
    struct gradient g;
    _Atomic uint64_t now_ns;
    _Atomic unsigned out_of_bounds, changes;
};

static void *live(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < EACH; i++) {
        uint32_t limit = gradient_limit(&s->g);
        if (limit < usual.min || limit > usual.max)
            atomic_fetch_add(&s->out_of_bounds, 1);
        uint64_t latency_ns = limit > 100 ? 30 * MS * limit / 100 : 30 * MS;
        uint64_t now_ns = atomic_fetch_add(&s->now_ns, WINDOW / 20) + WINDOW / 20;
        if (gradient_sample(&s->g, now_ns, latency_ns, limit))
            atomic_fetch_add(&s->changes, 1);
        if (i % 256 == 0)
            sched_yield();
    }
    return NULL;
}

START_TEST(threads_settle_on_one_limit)
{
    struct storm s = {.now_ns = WINDOW};
    pthread_t threads[NTHREADS];
    gradient_init(&s.g, &usual, WINDOW);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, live, &s), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(s.out_of_bounds, 0);
    ck_assert_uint_gt(s.changes, 100);
    ck_assert_uint_le(s.changes, NTHREADS * EACH / 10);
    ck_assert_uint_ge(gradient_limit(&s.g), 40); /* it may be measuring */
    ck_assert_uint_le(gradient_limit(&s.g), 140);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("gradient");
    TCase *t = tcase_create("gradient");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, it_grows_to_what_the_server_can_do_and_stays);
    tcase_add_test(t, it_shrinks_to_what_the_server_can_do);
    tcase_add_test(t, it_finds_the_base_under_load);
    tcase_add_test(t, it_follows_a_server_that_loses_and_regains_workers);
    tcase_add_test(t, it_shrinks_when_answers_take_longer_and_learns_that_they_do);
    tcase_add_test(t, it_grows_only_when_it_is_used);
    tcase_add_test(t, a_calm_time_needs_no_other);
    tcase_add_test(t, it_stays_within_its_bounds);
    tcase_add_test(t, one_bad_window_is_no_reason_to_panic);
    tcase_add_test(t, a_faster_window_lowers_the_long_term);
    tcase_add_test(t, measuring_waits_for_what_was_in_flight);
    tcase_add_test(t, a_window_needs_time_and_samples);
    tcase_add_test(t, no_number_is_too_large);
    tcase_add_test(t, settling_ends);
    tcase_add_test(t, threads_settle_on_one_limit);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
