/* test_ejection.c: which servers are fit to be asked (lib/ejection), with a clock of its own and under
 * threads. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/ejection.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define SECOND (UINT64_C(1000) << 20) /* whole ticks, so that nothing is rounded */
#define START  (100 * SECOND)

static const struct ejection_policy usual = {
    .consecutive = 3,
    .base_ns = 30 * SECOND,
    .max_ns = 100 * SECOND,
    .max_share = 5000,
    .rise = 2,
    .fall = 3,
    .slow_start_ns = 10 * SECOND,
    .panic_share = 5000,
};

static bool admits(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns)
{
    enum ejection_event event;
    bool is_usable = ejection_admits(pool, s, now_ns, &event);
    ck_assert_int_eq(event, EJECTION_NOTHING);
    return is_usable;
}

/* Enough failures; the event of the last. */
static enum ejection_event knock_out(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns)
{
    ck_assert_int_eq(ejection_report(pool, s, now_ns, true), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_report(pool, s, now_ns, true), EJECTION_NOTHING);
    return ejection_report(pool, s, now_ns, true);
}

static void comes_back(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns)
{
    enum ejection_event event;
    ck_assert(!admits(pool, s, now_ns - 1));
    ck_assert(ejection_admits(pool, s, now_ns, &event));
    ck_assert_int_eq(event, EJECTION_RETURNED);
    ck_assert(admits(pool, s, now_ns));
}

START_TEST(failures_in_a_row_eject)
{
    struct ejection_pool pool;
    struct ejection_server s;
    ejection_pool_init(&pool, &usual, 4);
    ejection_init(&s);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ejection_report(&pool, &s, START, true), EJECTION_NOTHING);
        ck_assert_int_eq(ejection_report(&pool, &s, START, true), EJECTION_NOTHING);
        ck_assert_uint_eq(ejection_view(&s, START).failures, 2);
        ck_assert_int_eq(ejection_report(&pool, &s, START, false), EJECTION_NOTHING);
    }
    ck_assert(admits(&pool, &s, START));
    ck_assert_int_eq(knock_out(&pool, &s, START), EJECTION_EJECTED);
    ck_assert_uint_eq(ejection_count(&pool), 1);
    ck_assert_uint_eq(ejection_view(&s, START + SECOND).time_left_ns, 29 * SECOND);
    for (int i = 0; i < 10; i++) /* those that were on their way */
        ck_assert_int_eq(ejection_report(&pool, &s, START, i != 4), EJECTION_NOTHING);
    ck_assert_uint_eq(ejection_count(&pool), 1);
    comes_back(&pool, &s, START + 30 * SECOND);
    ck_assert_uint_eq(ejection_count(&pool), 0);
    ck_assert_uint_eq(ejection_view(&s, START).failures, 0);
}
END_TEST

START_TEST(any_number_of_failures_can_be_counted)
{
    struct ejection_pool pool;
    struct ejection_server s;
    ejection_pool_init(&pool, &usual, 1);
    ejection_init(&s);
    for (int i = 0; i < 70000; i++)
        ck_assert_int_eq(ejection_report(&pool, &s, START, true), EJECTION_NOTHING);
    ck_assert_uint_eq(ejection_view(&s, START).failures, 65535);
    ejection_pool_resize(&pool, 2);
    ck_assert_int_eq(ejection_report(&pool, &s, START, true), EJECTION_EJECTED);
    comes_back(&pool, &s, START + 30 * SECOND);
}
END_TEST

START_TEST(longer_each_time_up_to_a_maximum)
{
    static const unsigned seconds[] = {30, 60, 90, 100, 100};
    struct ejection_pool pool;
    struct ejection_server s;
    uint64_t now_ns = START;
    ejection_pool_init(&pool, &usual, 4);
    ejection_init(&s);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(knock_out(&pool, &s, now_ns), EJECTION_EJECTED);
        ck_assert_uint_eq(ejection_view(&s, now_ns).ejections, i + 1);
        comes_back(&pool, &s, now_ns += seconds[i] * SECOND);
        now_ns += 99 * SECOND; /* not yet forgotten */
    }
    now_ns += SECOND;
    ck_assert_int_eq(knock_out(&pool, &s, now_ns), EJECTION_EJECTED);
    comes_back(&pool, &s, now_ns + 30 * SECOND);
    for (int i = 0; i < 300; i++) { /* the number has an end */
        ck_assert_int_eq(knock_out(&pool, &s, now_ns += 50 * SECOND), EJECTION_EJECTED);
        now_ns += ejection_view(&s, now_ns).time_left_ns;
        comes_back(&pool, &s, now_ns);
    }
    ck_assert_uint_eq(ejection_view(&s, now_ns).ejections, 127);
}
END_TEST

START_TEST(a_share_of_the_pool_at_most)
{
    struct ejection_pool pool;
    struct ejection_server s[5];
    ejection_pool_init(&pool, &usual, 5);
    ck_assert_uint_eq(ejection_cap(&pool), 2);
    for (int i = 0; i < 5; i++) {
        ejection_init(&s[i]);
        ck_assert_int_eq(knock_out(&pool, &s[i], START), i < 2 ? EJECTION_EJECTED : EJECTION_NOTHING);
        ck_assert_int_eq(admits(&pool, &s[i], START), i >= 2);
    }
    ck_assert_uint_eq(ejection_count(&pool), 2);
    comes_back(&pool, &s[0], START + 30 * SECOND);
    ck_assert_int_eq(ejection_report(&pool, &s[4], START + 30 * SECOND, true), EJECTION_EJECTED); /* now */
    ejection_pool_resize(&pool, 6);
    ck_assert_int_eq(ejection_report(&pool, &s[3], START + 30 * SECOND, true), EJECTION_EJECTED);
    ck_assert_int_eq(ejection_report(&pool, &s[2], START + 30 * SECOND, true), EJECTION_NOTHING);
    /* Whoever leaves gives the place back, once. */
    ejection_forget(&pool, &s[4]);
    ejection_forget(&pool, &s[4]);
    ejection_forget(&pool, &s[2]); /* had none */
    ejection_forget(&pool, &s[0]); /* had one once */
    ck_assert_uint_eq(ejection_count(&pool), 2);
}
END_TEST

START_TEST(the_last_server_stays)
{
    static const struct {
        uint32_t size, share, cap;
    } rows[] = {{0, 5000, 0}, {1, 5000, 0},  {2, 1000, 1}, {2, 0, 0},
                {3, 9999, 2}, {10, 3000, 3}, {1, 10000, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ejection_policy policy = usual;
        struct ejection_pool pool;
        policy.max_share = rows[i].share;
        ejection_pool_init(&pool, &policy, rows[i].size);
        ck_assert_uint_eq(ejection_cap(&pool), rows[i].cap);
    }
}
END_TEST

START_TEST(it_can_be_off)
{
    struct ejection_policy policy = usual;
    struct ejection_pool pool;
    struct ejection_server s;
    policy.consecutive = 0;
    ejection_pool_init(&pool, &policy, 4);
    ejection_init(&s);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ejection_report(&pool, &s, START, true), EJECTION_NOTHING);
    ck_assert(admits(&pool, &s, START));
}
END_TEST

START_TEST(health_checks_rise_and_fall)
{
    struct ejection_pool pool;
    struct ejection_server s;
    ejection_pool_init(&pool, &usual, 4);
    ejection_init(&s);
    for (int i = 0; i < 9; i++) /* never three in a row */
        ck_assert_int_eq(ejection_probe(&pool, &s, START, i % 3 == 2), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_probe(&pool, &s, START, false), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_probe(&pool, &s, START, false), EJECTION_NOTHING);
    ck_assert(admits(&pool, &s, START));
    ck_assert_int_eq(ejection_probe(&pool, &s, START, false), EJECTION_DOWN);
    ck_assert(!admits(&pool, &s, START));
    ck_assert(ejection_view(&s, START).is_down);
    for (int i = 0; i < 10; i++) /* never two in a row */
        ck_assert_int_eq(ejection_probe(&pool, &s, START, i % 2), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_probe(&pool, &s, START, false), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_probe(&pool, &s, START, true), EJECTION_NOTHING);
    ck_assert_int_eq(ejection_probe(&pool, &s, START, true), EJECTION_UP);
    ck_assert(admits(&pool, &s, START));
    /* Both ways at once: ejected, and down when its time is over. */
    (void)knock_out(&pool, &s, START);
    for (int i = 0; i < 3; i++)
        (void)ejection_probe(&pool, &s, START, false);
    enum ejection_event event;
    ck_assert(!ejection_admits(&pool, &s, START + 30 * SECOND, &event));
    ck_assert_int_eq(event, EJECTION_RETURNED);
    ck_assert_uint_eq(ejection_count(&pool), 0);
}
END_TEST

START_TEST(who_comes_back_starts_slowly)
{
    struct ejection_pool pool;
    struct ejection_server s;
    ejection_pool_init(&pool, &usual, 4);
    ejection_init(&s);
    ck_assert_uint_eq(ejection_weight(&pool, &s, 1), EJECTION_WHOLE);
    (void)knock_out(&pool, &s, START);
    uint64_t back_ns = START + 30 * SECOND;
    comes_back(&pool, &s, back_ns);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns - 1), EJECTION_WEIGHT_MIN);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns), EJECTION_WEIGHT_MIN);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns + 2 * SECOND), 2000);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns + 5 * SECOND), 5000);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns + 10 * SECOND - 1), 9999);
    ck_assert_uint_eq(ejection_weight(&pool, &s, back_ns + 10 * SECOND), EJECTION_WHOLE);
    for (int i = 0; i < 3; i++)
        (void)ejection_probe(&pool, &s, START, false);
    for (int i = 0; i < 2; i++)
        (void)ejection_probe(&pool, &s, 2 * back_ns, true);
    ck_assert_uint_eq(ejection_weight(&pool, &s, 2 * back_ns + 4 * SECOND), 4000);
    ejection_begin(&s, 3 * back_ns);
    ck_assert_uint_eq(ejection_weight(&pool, &s, 3 * back_ns + 3 * SECOND), 3000);
    pool.policy.slow_start_ns = 0;
    ck_assert_uint_eq(ejection_weight(&pool, &s, 3 * back_ns), EJECTION_WHOLE);
}
END_TEST

START_TEST(too_few_is_panic)
{
    struct ejection_pool pool;
    ejection_pool_init(&pool, &usual, 5);
    ck_assert(ejection_is_panic(&pool, 0));
    ck_assert(ejection_is_panic(&pool, 2));
    ck_assert(!ejection_is_panic(&pool, 3));
    ejection_pool_resize(&pool, 4);
    ck_assert(!ejection_is_panic(&pool, 2));
    pool.policy.panic_share = 0;
    ck_assert(!ejection_is_panic(&pool, 0));
    ck_assert_str_eq(ejection_event_name(EJECTION_EJECTED), "ejected");
    ck_assert_str_eq(ejection_event_name(EJECTION_UP), "up");
}
END_TEST

/* ---- threads ---- */

#define NTHREADS 6
#define NSERVERS 10
#define EACH     60000

struct storm {
    struct ejection_pool pool;
    struct ejection_server servers[NSERVERS];
    _Atomic int balance[NSERVERS]; /* ejections less returns that were told */
    _Atomic unsigned ejections, too_many, rises[2];
    _Atomic uint64_t now_ns;
    uint64_t step_ns, seed;
};

static void *live(void *arg)
{
    struct storm *s = arg;
    struct random r;
    random_seed_with(&r, s->seed ^ (uint64_t)(uintptr_t)&r);
    for (int i = 0; i < EACH; i++) {
        uint64_t random = random_next(&r), now_ns = atomic_fetch_add(&s->now_ns, s->step_ns);
        unsigned k = random % NSERVERS;
        enum ejection_event event;
        if (ejection_admits(&s->pool, &s->servers[k], now_ns, &event) &&
            ejection_report(&s->pool, &s->servers[k], now_ns, random >> 61 != 0) == EJECTION_EJECTED) {
            atomic_fetch_add(&s->balance[k], 1);
            atomic_fetch_add(&s->ejections, 1);
        }
        if (event == EJECTION_RETURNED)
            atomic_fetch_sub(&s->balance[k], 1);
        if (ejection_count(&s->pool) > ejection_cap(&s->pool))
            atomic_fetch_add(&s->too_many, 1);
        if (i % 512 == 0)
            sched_yield();
    }
    return NULL;
}

/* Without and with a clock: nobody comes back, or they come and go. */
START_TEST(threads_keep_the_share)
{
    struct storm s = {.now_ns = START, .seed = clock_now_ns(), .step_ns = _i ? SECOND / 100 : 0};
    pthread_t threads[NTHREADS];
    unsigned ejected = 0;
    printf("seed %llu\n", (unsigned long long)s.seed);
    ejection_pool_init(&s.pool, &usual, NSERVERS);
    for (int i = 0; i < NSERVERS; i++)
        ejection_init(&s.servers[i]);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, live, &s), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < NSERVERS; i++) {
        ck_assert_int_eq(s.balance[i], ejection_view(&s.servers[i], s.now_ns).is_ejected);
        ejected += ejection_view(&s.servers[i], s.now_ns).is_ejected;
    }
    ck_assert_uint_eq(s.too_many, 0);
    ck_assert_uint_eq(ejected, ejection_count(&s.pool));
    ck_assert_uint_le(ejected, 5);
    if (!s.step_ns)
        ck_assert_uint_eq(s.ejections, 5);
    else
        ck_assert_uint_gt(s.ejections, 50);
}
END_TEST

/* Six threads find three servers bad at the same moment, and there is one place, or more than enough. */
struct edge {
    struct ejection_pool pool;
    struct ejection_server servers[3];
    _Atomic unsigned ready, ejected, index;
};

#define ROUNDS 3000

static void *race(void *arg)
{
    struct edge *e = arg;
    unsigned k = atomic_fetch_add(&e->index, 1);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        atomic_fetch_add(&e->ready, 1);
        for (unsigned spins = 1; atomic_load(&e->ready) < i * 6; spins++)
            if (spins % 64 == 0)
                sched_yield();
        /* Two threads for each server: the second one's swap fails or sees it ejected. */
        enum ejection_event event = ejection_report(&e->pool, &e->servers[k % 3], i * SECOND, true);
        atomic_fetch_add(&e->ejected, event == EJECTION_EJECTED);
        if (atomic_fetch_add(&e->index, 1) == 6 * i + 5) /* the last of this round */
            for (int n = 0; n < 3; n++)
                ejection_forget(&e->pool, &e->servers[n]);
    }
    return NULL;
}

START_TEST(every_place_is_taken_once)
{
    struct edge e = {.index = 0};
    struct ejection_policy policy = usual;
    pthread_t threads[6];
    policy.consecutive = 1;
    policy.max_share = 3400;
    ejection_pool_init(&e.pool, &policy, _i ? 30 : 3);
    for (int i = 0; i < 3; i++)
        ejection_init(&e.servers[i]);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &e), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(e.ejected, _i ? 3 * ROUNDS : ROUNDS);
    ck_assert_uint_eq(ejection_count(&e.pool), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ejection");
    TCase *t = tcase_create("ejection");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, failures_in_a_row_eject);
    tcase_add_test(t, any_number_of_failures_can_be_counted);
    tcase_add_test(t, longer_each_time_up_to_a_maximum);
    tcase_add_test(t, a_share_of_the_pool_at_most);
    tcase_add_test(t, the_last_server_stays);
    tcase_add_test(t, it_can_be_off);
    tcase_add_test(t, health_checks_rise_and_fall);
    tcase_add_test(t, who_comes_back_starts_slowly);
    tcase_add_test(t, too_few_is_panic);
    tcase_add_loop_test(t, threads_keep_the_share, 0, 2);
    tcase_add_loop_test(t, every_place_is_taken_once, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
