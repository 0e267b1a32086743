/* test_bulkhead.c: the bound of what is in flight (lib/bulkhead), alone and under threads. */
#include <pthread.h>
#include <sched.h>

#include "lib/bulkhead.h"
#include "tests/unit/unit.h"

START_TEST(no_more_than_its_maximum)
{
    struct bulkhead b;
    bulkhead_init(&b, 3);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            ck_assert_uint_eq(bulkhead_inside(&b), i);
            ck_assert(bulkhead_enter(&b));
        }
        ck_assert(!bulkhead_enter(&b));
        ck_assert(!bulkhead_enter(&b));
        bulkhead_leave(&b);
        ck_assert(bulkhead_enter(&b));
        ck_assert(!bulkhead_enter(&b));
        for (int i = 0; i < 3; i++)
            bulkhead_leave(&b);
        ck_assert_uint_eq(bulkhead_inside(&b), 0);
    }
    bulkhead_init(&b, 0);
    ck_assert(!bulkhead_enter(&b));
    bulkhead_init(&b, UINT32_MAX);
    ck_assert(bulkhead_enter(&b));
}
END_TEST

START_TEST(the_maximum_changes)
{
    struct bulkhead b;
    bulkhead_init(&b, 2);
    ck_assert(bulkhead_enter(&b) && bulkhead_enter(&b));
    bulkhead_resize(&b, 3);
    ck_assert_uint_eq(bulkhead_max(&b), 3);
    ck_assert(bulkhead_enter(&b));
    bulkhead_resize(&b, 1);
    bulkhead_leave(&b);
    bulkhead_leave(&b);
    ck_assert_uint_eq(bulkhead_inside(&b), 1);
    ck_assert(!bulkhead_enter(&b));
    bulkhead_leave(&b);
    ck_assert(bulkhead_enter(&b));
}
END_TEST

/* ---- threads ---- */

#define NTHREADS 6
#define EACH     40000

struct storm {
    struct bulkhead b;
    _Atomic uint32_t inside; /* lowered before leaving, so never more than are inside */
    _Atomic unsigned too_many, refused, entered;
};

static void *live(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < EACH; i++) {
        if (!bulkhead_enter(&s->b)) {
            atomic_fetch_add(&s->refused, 1);
            continue;
        }
        atomic_fetch_add(&s->entered, 1);
        if (atomic_fetch_add(&s->inside, 1) + 1 > bulkhead_max(&s->b))
            atomic_fetch_add(&s->too_many, 1);
        if (i % 64 == 0)
            sched_yield();
        atomic_fetch_sub(&s->inside, 1);
        bulkhead_leave(&s->b);
    }
    return NULL;
}

/* 1 and 2 are crowded; with room for all of them nobody may be refused. */
static const uint32_t maxima[] = {1, 2, NTHREADS};

START_TEST(threads_never_exceed_it_and_find_the_room_there_is)
{
    struct storm s = {.inside = 0};
    pthread_t threads[NTHREADS];
    bulkhead_init(&s.b, maxima[_i]);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, live, &s), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(s.too_many, 0);
    ck_assert_uint_eq(bulkhead_inside(&s.b), 0);
    ck_assert_uint_eq(s.entered + s.refused, NTHREADS * EACH);
    ck_assert_uint_gt(s.entered, 0);
    if (maxima[_i] == NTHREADS)
        ck_assert_uint_eq(s.refused, 0);
}
END_TEST

/* As many places as threads: there is always room. */
static void *in_and_out(void *arg)
{
    struct storm *s = arg;
    for (int i = 0; i < 4 * EACH; i++) {
        if (bulkhead_enter(&s->b)) {
            bulkhead_leave(&s->b);
            atomic_fetch_add_explicit(&s->entered, 1, memory_order_relaxed);
        }
    }
    return NULL;
}

START_TEST(those_who_leave_make_room_at_once)
{
    struct storm s = {.inside = 0};
    pthread_t threads[2];
    bulkhead_init(&s.b, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, in_and_out, &s), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(s.entered, 8 * EACH);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("bulkhead");
    TCase *t = tcase_create("bulkhead");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, no_more_than_its_maximum);
    tcase_add_test(t, the_maximum_changes);
    tcase_add_loop_test(t, threads_never_exceed_it_and_find_the_room_there_is, 0,
                        (int)(sizeof(maxima) / sizeof(maxima[0])));
    tcase_add_test(t, those_who_leave_make_room_at_once);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
