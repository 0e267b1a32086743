/* test_breaker_others.c: what the circuit breaker (lib/breaker) does when it hears that another one has
 * opened. */
#include "tests/unit/lib/breaker_fixture.h"

START_TEST(it_opens_because_another_has)
{
    struct breaker b;
    struct breaker_permit early;
    breaker_init(&b, &usual, START);
    ck_assert(breaker_admit(&b, START, &early));
    (void)ask(&b, START, BREAKER_FAILURE);
    struct breaker_change change = breaker_open_for(&b, START, 7 * SECOND, 0);
    ck_assert_int_eq(change.event, BREAKER_DID_FOLLOW);
    ck_assert_uint_eq(change.open_until_ns, START + 7 * SECOND);
    struct breaker_view v = breaker_view(&b, START);
    ck_assert_int_eq(v.state, BREAKER_OPEN);
    ck_assert_uint_eq(v.generation, change.generation);
    ck_assert_uint_eq(v.tripped.failures, 1); /* what it had seen itself */
    ck_assert_uint_eq(v.events[BREAKER_DID_FOLLOW], 1);
    ck_assert_uint_eq(v.events[BREAKER_DID_OPEN], 0);
    ck_assert_uint_eq(refused_for(&b, START), 7 * SECOND);
    ck_assert_int_eq(tell(&b, &early, START, BREAKER_FAILURE).event, BREAKER_DID_NOTHING);
    close_it(&b, START + 7 * SECOND);
    open_it(&b, START + 8 * SECOND); /* at once after it: for twice as long */
    ck_assert_uint_eq(breaker_view(&b, START + 8 * SECOND).time_left_ns, 10 * SECOND);
}
END_TEST

START_TEST(only_a_closed_one_follows)
{
    struct breaker b;
    struct breaker_permit probe;
    breaker_init(&b, &usual, START);
    ck_assert_int_eq(breaker_open_for(&b, START, 0, 0).event, BREAKER_DID_NOTHING);
    open_it(&b, START);
    ck_assert_int_eq(breaker_open_for(&b, START, 9 * SECOND, 0).event, BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, START).time_left_ns, 5 * SECOND);
    ck_assert(breaker_admit(&b, START + 5 * SECOND, &probe));
    ck_assert_int_eq(breaker_open_for(&b, START + 5 * SECOND, 9 * SECOND, 0).event, BREAKER_DID_NOTHING);
    ck_assert_int_eq(breaker_view(&b, START + 5 * SECOND).state, BREAKER_HALF_OPEN);
    ck_assert_uint_eq(breaker_view(&b, START + 5 * SECOND).probes_out, 1);
    (void)breaker_force(&b, BREAKER_FORCE_CLOSED, START);
    ck_assert_int_eq(breaker_open_for(&b, START, 9 * SECOND, 0).event, BREAKER_DID_NOTHING);
    (void)breaker_force(&b, BREAKER_FORCE_OPEN, START);
    ck_assert_int_eq(breaker_open_for(&b, START, 9 * SECOND, 0).event, BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, START).events[BREAKER_DID_FOLLOW], 0);
}
END_TEST

START_TEST(what_another_says_is_bounded)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    breaker_init(&b, &policy, START);
    ck_assert_uint_eq(breaker_open_for(&b, START, UINT64_MAX, 0).open_until_ns, START + 15 * SECOND);
    policy.jitter = 2000;
    breaker_init(&b, &policy, START);
    ck_assert_uint_le(breaker_open_for(&b, START, UINT64_MAX, UINT64_MAX).open_until_ns,
                      START + 18 * SECOND + TICK);
    breaker_init(&b, &policy, START);
    ck_assert_uint_le(breaker_open_for(&b, START, 5 * SECOND, 0).open_until_ns, START + 4 * SECOND + TICK);
    breaker_init(&b, &policy, START);
    ck_assert(breaker_be_cautious(&b, START, UINT64_MAX));
    ck_assert_uint_eq(breaker_view(&b, START).cautious_left_ns, 15 * SECOND + 10 * SECOND);
}
END_TEST

START_TEST(changes_say_until_when_it_is_open)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    struct breaker_permit p;
    policy.consecutive = 1;
    policy.close_after = 1;
    breaker_init(&b, &policy, START);
    ck_assert(breaker_admit(&b, START, &p));
    ck_assert_uint_eq(p.change.open_until_ns, 0);
    ck_assert_uint_eq(tell(&b, &p, START, BREAKER_FAILURE).open_until_ns, START + 5 * SECOND);
    ck_assert(breaker_admit(&b, START + 5 * SECOND, &p));
    ck_assert_uint_eq(p.change.open_until_ns, 0);
    ck_assert_uint_eq(tell(&b, &p, START + 5 * SECOND, BREAKER_FAILURE).open_until_ns, START + 15 * SECOND);
    ck_assert(breaker_admit(&b, START + 15 * SECOND, &p));
    ck_assert_uint_eq(tell(&b, &p, START + 15 * SECOND, BREAKER_SUCCESS).open_until_ns, 0);
    ck_assert_uint_eq(breaker_force(&b, BREAKER_FORCE_OPEN, START).open_until_ns, 0);
}
END_TEST

START_TEST(cautious_it_opens_after_half)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    ck_assert(!breaker_be_cautious(&b, START, 0));
    ck_assert_uint_eq(breaker_view(&b, START).cautious_left_ns, 0);
    ck_assert(breaker_be_cautious(&b, START, 5 * SECOND));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING); /* 1 of 6 */
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);    /* 2 of 7: a quarter is enough */
    ck_assert_uint_eq(breaker_view(&b, START).cautions, 1);

    breaker_init(&b, &usual, START);
    (void)breaker_be_cautious(&b, START, 5 * SECOND);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN); /* half of 10 requests */
}
END_TEST

START_TEST(half_of_the_smallest_is_still_on)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    policy.min_requests = 1000;
    policy.consecutive = 5;
    breaker_init(&b, &policy, START);
    (void)breaker_be_cautious(&b, START, SECOND);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);

    policy.consecutive = 1;
    breaker_init(&b, &policy, START);
    (void)breaker_be_cautious(&b, START, SECOND);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);

    policy = usual;
    policy.min_requests = policy.failure_ratio = 1;
    breaker_init(&b, &policy, START);
    (void)breaker_be_cautious(&b, START, SECOND);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);

    policy.failure_ratio = policy.slow_ratio = policy.consecutive = 0; /* what is off stays off */
    breaker_init(&b, &policy, START);
    (void)breaker_be_cautious(&b, START, SECOND);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
}
END_TEST

START_TEST(caution_ends)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    ck_assert(breaker_be_cautious(&b, START, 5 * SECOND));
    ck_assert(!breaker_be_cautious(&b, START, 5 * SECOND)); /* the same news by another way */
    ck_assert(!breaker_be_cautious(&b, START, SECOND));     /* never for less */
    ck_assert_uint_eq(breaker_view(&b, START + SECOND).cautious_left_ns, 14 * SECOND);
    ck_assert(!breaker_be_cautious(&b, START + SECOND, 5 * SECOND));
    uint64_t end_ns = START + 16 * SECOND;
    ck_assert_uint_eq(breaker_view(&b, end_ns - 1).cautious_left_ns, 1);
    ck_assert_uint_eq(breaker_view(&b, end_ns).cautious_left_ns, 0);
    for (int i = 0; i < 4; i++)
        (void)ask(&b, end_ns - 1, BREAKER_FAILURE);
    for (int i = 4; i < 9; i++)
        ck_assert_int_eq(ask(&b, end_ns, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(&b, end_ns, BREAKER_FAILURE), BREAKER_DID_OPEN);
    ck_assert_uint_eq(breaker_view(&b, end_ns).cautions, 1);
    ck_assert(breaker_be_cautious(&b, end_ns, SECOND));
    ck_assert_uint_eq(breaker_view(&b, end_ns).cautions, 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("breaker_others");
    TCase *t = tcase_create("breaker_others");
    tcase_add_test(t, it_opens_because_another_has);
    tcase_add_test(t, only_a_closed_one_follows);
    tcase_add_test(t, what_another_says_is_bounded);
    tcase_add_test(t, changes_say_until_when_it_is_open);
    tcase_add_test(t, cautious_it_opens_after_half);
    tcase_add_test(t, half_of_the_smallest_is_still_on);
    tcase_add_test(t, caution_ends);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
