/* Deadlines of lib/wheel: never early, never lost, never late by more than a tick. */
#include "lib/wheel.h"
#include "tests/unit/unit.h"

#define TICK UINT64_C(1000)

struct probe {
    struct wheel_entry entry; /* first */
    unsigned fired;
    uint64_t fired_ns;
    struct wheel *wheel;
    uint64_t again_ns;          /* set again for this time when it fires; 0: not */
    struct wheel_entry *victim; /* cancelled when it fires */
};

static uint64_t now;

static void on_expired(struct wheel_entry *e)
{
    struct probe *p = (struct probe *)e;
    p->fired++;
    p->fired_ns = now;
    if (p->again_ns) {
        uint64_t due = p->again_ns;
        p->again_ns = 0;
        wheel_set(p->wheel, e, due);
    }
    if (p->victim)
        wheel_cancel(p->victim);
}

static void run_until(struct wheel *w, uint64_t end)
{
    for (; now < end; now += TICK / 4)
        wheel_run(w, now);
    now = end;
    wheel_run(w, now);
}

START_TEST(fires_within_one_tick_and_never_early)
{
    struct wheel w;
    static struct probe p[2000];
    now = 123456;
    uint64_t start = now, seed = 42;
    wheel_init(&w, TICK, now);
    for (size_t i = 0; i < 2000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (struct probe){.entry.expired = on_expired, .wheel = &w};
        wheel_set(&w, &p[i].entry, start + (seed >> 33) % (3 * WHEEL_SLOTS * TICK));
    }
    run_until(&w, start + 4 * WHEEL_SLOTS * TICK);
    for (size_t i = 0; i < 2000; i++) {
        ck_assert_uint_eq(p[i].fired, 1);
        ck_assert(p[i].fired_ns >= p[i].entry.due_ns);
        ck_assert(p[i].fired_ns <= p[i].entry.due_ns + TICK + TICK / 4);
        ck_assert(!wheel_is_set(&p[i].entry));
    }
}
END_TEST

START_TEST(a_cancelled_entry_never_fires)
{
    struct wheel w;
    now = 0;
    wheel_init(&w, TICK, now);
    struct probe a = {.entry.expired = on_expired}, b = a, c = a;
    wheel_set(&w, &a.entry, 5 * TICK);
    wheel_set(&w, &b.entry, 5 * TICK);
    wheel_set(&w, &c.entry, 5 * TICK);
    a.victim = &c.entry; /* cancelled from inside the same run */
    wheel_cancel(&b.entry);
    run_until(&w, 10 * TICK);
    ck_assert_uint_eq(a.fired, 1);
    ck_assert_uint_eq(b.fired, 0);
    ck_assert_uint_eq(c.fired, 0);
}
END_TEST

START_TEST(an_entry_may_set_itself_again_and_be_moved)
{
    struct wheel w;
    now = 0;
    wheel_init(&w, TICK, now);
    struct probe a = {.entry.expired = on_expired, .wheel = &w, .again_ns = 20 * TICK},
                 b = {.entry.expired = on_expired};
    wheel_set(&w, &a.entry, 3 * TICK);
    wheel_set(&w, &b.entry, 3 * TICK);
    wheel_set(&w, &b.entry, 30 * TICK);
    run_until(&w, 10 * TICK);
    ck_assert_uint_eq(a.fired, 1);
    ck_assert_uint_eq(b.fired, 0);
    run_until(&w, 40 * TICK);
    ck_assert_uint_eq(a.fired, 2);
    ck_assert_uint_eq(b.fired, 1);
}
END_TEST

START_TEST(a_long_pause_loses_nothing)
{
    struct wheel w;
    static struct probe p[1000];
    now = 7;
    wheel_init(&w, TICK, now);
    for (size_t i = 0; i < 1000; i++) {
        p[i] = (struct probe){.entry.expired = on_expired};
        wheel_set(&w, &p[i].entry, now + i * TICK);
    }
    now += 1000000 * TICK;
    ck_assert_uint_eq(wheel_run(&w, now), 1000);
    wheel_set(&w, &p[0].entry, now - 5);
    now += TICK;
    ck_assert_uint_eq(wheel_run(&w, now), 1);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("wheel");
    TCase *t = tcase_create("wheel");
    tcase_add_test(t, fires_within_one_tick_and_never_early);
    tcase_add_test(t, a_cancelled_entry_never_fires);
    tcase_add_test(t, an_entry_may_set_itself_again_and_be_moved);
    tcase_add_test(t, a_long_pause_loses_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
