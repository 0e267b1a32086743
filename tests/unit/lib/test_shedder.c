/* test_shedder.c: the level follows the lag up at once, and down by and by. */
#include "lib/shedder.h"
#include "tests/unit/unit.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static void observe(struct shedder *s, uint64_t *now, int times, uint64_t lag_ns)
{
    for (int i = 0; i < times; i++)
        shedder_observe(s, *now += 50 * MS, lag_ns);
}

START_TEST(nothing_is_refused_while_the_loop_keeps_up)
{
    struct shedder s;
    uint64_t now = SECOND;
    shedder_init(&s, 50 * MS);
    observe(&s, &now, 1000, 49 * MS);
    ck_assert(shedder_admits(&s, SHED_LOW));
    shedder_init(&s, 0);
    observe(&s, &now, 1000, SECOND);
    ck_assert(shedder_admits(&s, SHED_LOW));
}
END_TEST

START_TEST(more_lag_refuses_more)
{
    static const struct {
        uint64_t lag_ns;
        enum shed_priority lowest;
    } cases[] = {{60 * MS, SHED_NORMAL},
                 {120 * MS, SHED_HIGH},
                 {250 * MS, SHED_CRITICAL},
                 {9 * SECOND, SHED_CRITICAL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shedder s;
        uint64_t now = SECOND;
        shedder_init(&s, 50 * MS);
        observe(&s, &now, 8, cases[i].lag_ns);
        ck_assert(shedder_admits(&s, cases[i].lowest));
        ck_assert(!shedder_admits(&s, cases[i].lowest - 1));
    }
}
END_TEST

START_TEST(it_falls_step_by_step_and_not_before_a_second)
{
    struct shedder s;
    uint64_t now = SECOND;
    shedder_init(&s, 50 * MS);
    observe(&s, &now, 8, 250 * MS);
    uint64_t raised = s.changed_ns;
    while (s.level == 3)
        observe(&s, &now, 1, 0);
    ck_assert_uint_eq(s.level, 2);
    ck_assert_uint_ge(now - raised, SECOND);
    observe(&s, &now, 19, 0);
    ck_assert_uint_eq(s.level, 2);
    observe(&s, &now, 1, 0);
    ck_assert_uint_eq(s.level, 1);
    /* Between half of its bound and the bound it stays as it is. */
    observe(&s, &now, 100, 40 * MS);
    ck_assert_uint_eq(s.level, 1);
    observe(&s, &now, 100, 20 * MS);
    ck_assert_uint_eq(s.level, 0);
}
END_TEST

static Suite *shedder_suite(void)
{
    Suite *s = suite_create("shedder");
    TCase *t = tcase_create("shedder");
    tcase_add_test(t, nothing_is_refused_while_the_loop_keeps_up);
    tcase_add_test(t, more_lag_refuses_more);
    tcase_add_test(t, it_falls_step_by_step_and_not_before_a_second);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(shedder_suite)
