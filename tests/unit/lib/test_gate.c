/* test_gate.c: never more than the bound, for each key; everything is given back. */
#include "lib/gate.h"
#include "tests/unit/unit.h"

#include <pthread.h>

#define THREADS 4
#define ROUNDS  50000
#define KEYS    3
#define MAX     2

static struct gate_key key(uint64_t n)
{
    return (struct gate_key){n * UINT64_C(0x9e3779b97f4a7c15), (n + 1) * UINT64_C(0xc2b2ae3d27d4eb4f)};
}

START_TEST(so_many_are_let_in)
{
    gate_place *places[4];
    struct gate *g = gate_new(64);
    ck_assert_ptr_nonnull(g);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(gate_enter(g, key(1), 3, &places[i]), GATE_IN);
    ck_assert_int_eq(gate_enter(g, key(1), 3, &places[3]), GATE_FULL);
    ck_assert_ptr_null(places[3]);
    ck_assert_uint_eq(gate_count(g, key(1)), 3);
    ck_assert_int_eq(gate_enter(g, key(2), 3, &places[3]), GATE_IN);
    ck_assert_uint_eq(gate_count(g, key(2)), 1);
    gate_leave(places[0]);
    ck_assert_int_eq(gate_enter(g, key(1), 3, &places[0]), GATE_IN);
    for (int i = 0; i < 4; i++)
        gate_leave(places[i]);
    ck_assert_uint_eq(gate_count(g, key(1)), 0);
    ck_assert_uint_eq(gate_count(g, key(2)), 0);
    gate_leave(NULL);
    gate_free(g);
}
END_TEST

START_TEST(a_full_set_lets_in_uncounted)
{
    gate_place *places[8];
    struct gate *g = gate_new(64);
    for (uint64_t i = 0; i < 8; i++)
        ck_assert_int_eq(gate_enter(g, (struct gate_key){5, (i + 1) << 20}, 1, &places[i]), GATE_IN);
    for (int i = 0; i < 7; i++)
        ck_assert_ptr_nonnull(places[i]);
    ck_assert_ptr_null(places[7]);
    /* A place that is free again serves another key. */
    gate_leave(places[3]);
    ck_assert_int_eq(gate_enter(g, (struct gate_key){5, UINT64_C(99) << 20}, 1, &places[3]), GATE_IN);
    ck_assert_ptr_nonnull(places[3]);
    gate_free(g);
}
END_TEST

struct crowd {
    struct gate *gate;
    _Atomic int inside[KEYS];
    _Atomic uint64_t let_in, refused;
};

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    gate_place *place;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned k = i % KEYS;
        if (gate_enter(c->gate, key(k), MAX, &place) == GATE_FULL) {
            atomic_fetch_add(&c->refused, 1);
            continue;
        }
        CHECK(place);
        CHECK(atomic_fetch_add(&c->inside[k], 1) < 2 * MAX);
        atomic_fetch_add(&c->let_in, 1);
        atomic_fetch_sub(&c->inside[k], 1);
        gate_leave(place);
    }
    return NULL;
}

START_TEST(threads_never_exceed_it_and_leave_nothing)
{
    pthread_t threads[THREADS];
    struct crowd c = {.gate = gate_new(64)};
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(c.let_in + c.refused, (uint64_t)THREADS * ROUNDS);
    ck_assert_uint_gt(c.let_in, ROUNDS / 2);
    for (unsigned k = 0; k < KEYS; k++)
        ck_assert_uint_eq(gate_count(c.gate, key(k)), 0);
    gate_free(c.gate);
}
END_TEST

static Suite *gate_suite(void)
{
    Suite *s = suite_create("gate");
    TCase *t = tcase_create("gate");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, so_many_are_let_in);
    tcase_add_test(t, a_full_set_lets_in_uncounted);
    tcase_add_test(t, threads_never_exceed_it_and_leave_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(gate_suite)
