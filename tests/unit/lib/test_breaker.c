/* test_breaker.c: the circuit breaker (lib/breaker), told as stories with a clock of its own. */
#include "tests/unit/lib/breaker_fixture.h"

START_TEST(a_failing_backend_gets_what_fills_the_window_and_then_probes)
{
    struct breaker b;
    uint64_t now_ns = START;
    unsigned passed = 0;
    breaker_init(&b, &usual, now_ns);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ask(&b, now_ns, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    for (int i = 0; i < 1000; i++) {
        struct breaker_permit p;
        if (breaker_admit(&b, now_ns, &p)) {
            passed++;
            (void)tell(&b, &p, now_ns, BREAKER_FAILURE);
        }
    }
    ck_assert_uint_eq(passed, 100); /* half of 200: the threshold, exactly */
    passed = 0;
    for (now_ns += 5 * SECOND; now_ns < START + 60 * SECOND; now_ns += 10 * TICK) {
        struct breaker_permit p;
        if (breaker_admit(&b, now_ns, &p)) {
            ck_assert(p.is_probe);
            passed++;
            ck_assert_int_eq(tell(&b, &p, now_ns, BREAKER_FAILURE).event, BREAKER_DID_REOPEN);
        }
    }
    ck_assert_uint_eq(passed, 4); /* after 5, 15, 30 and 45 seconds */
}
END_TEST

START_TEST(few_requests_prove_nothing)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(breaker_view(&b, START).state, BREAKER_CLOSED);
    ck_assert_uint_eq(breaker_view(&b, START).window.failures, 9);
    ck_assert_uint_eq(breaker_view(&b, START).in_a_row, 9);
}
END_TEST

START_TEST(just_below_the_ratio_it_stays_closed)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    for (int i = 0; i < 101; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);
    struct breaker_view v = breaker_view(&b, START);
    ck_assert_uint_eq(v.tripped.total, 202);
    ck_assert_uint_eq(v.tripped.failures, 101);
    ck_assert_uint_eq(v.window.total, 0);
}
END_TEST

START_TEST(the_window_forgets)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    for (int i = 0; i < 9; i++)
        (void)ask(&b, START, BREAKER_FAILURE);
    ck_assert_uint_eq(breaker_view(&b, START + 10 * SECOND - 1).window.total, 9);
    ck_assert_uint_eq(breaker_view(&b, START + 10 * SECOND).window.total, 0);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(ask(&b, START + 10 * SECOND, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    /* Slice after slice, three times round the ring: always the last ten. */
    for (unsigned i = 11; i < 40; i++) {
        (void)ask(&b, START + i * SECOND, BREAKER_SUCCESS);
        ck_assert_uint_eq(breaker_view(&b, START + i * SECOND).window.total, i < 20 ? i - 1 : 10);
    }
}
END_TEST

START_TEST(a_long_life_does_not_confuse_the_slices)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    policy.window_ns = 10 * TICK;
    breaker_init(&b, &policy, 0);
    uint64_t around = (UINT64_C(1) << 24) * TICK; /* where the numbers of slices begin again */
    for (unsigned i = 0; i < 100; i++) {
        (void)ask(&b, around + i * TICK - 50 * TICK, BREAKER_SUCCESS);
        ck_assert_uint_eq(breaker_view(&b, around + i * TICK - 50 * TICK).window.total, i < 10 ? i + 1 : 10);
    }
    /* A slice untouched for so long that its number looks like one of the future. */
    uint64_t later = around + (UINT64_C(1) << 23) * TICK + 1000 * TICK;
    for (unsigned i = 0; i < 10; i++)
        (void)ask(&b, later + i * TICK, BREAKER_SUCCESS);
    ck_assert_uint_eq(breaker_view(&b, later + 9 * TICK).window.total, 10);
}
END_TEST

START_TEST(a_clock_that_is_ahead_is_believed)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(ask(&b, START + SECOND, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, START).window.total, 9);
    ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_OPEN);
}
END_TEST

START_TEST(a_clock_that_is_far_behind_spoils_nothing)
{
    struct breaker b;
    struct breaker_permit late;
    breaker_init(&b, &usual, START);
    ck_assert(breaker_admit(&b, START, &late));
    for (int i = 0; i < 9; i++)
        (void)ask(&b, START + 12 * SECOND, BREAKER_SUCCESS);
    (void)tell(&b, &late, START + 2 * SECOND, BREAKER_SUCCESS); /* the same place in the ring */
    ck_assert_uint_eq(breaker_view(&b, START + 12 * SECOND).window.total, 9);
}
END_TEST

START_TEST(a_full_slice_stops_counting)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    (void)ask(&b, START, BREAKER_SUCCESS);
    atomic_fetch_add(&b.slices[0].total, (UINT64_C(1) << 24) - 3); /* the lowest bits are the count */
    for (int i = 0; i < 5; i++)
        (void)ask(&b, START, BREAKER_SUCCESS);
    ck_assert_uint_eq(breaker_view(&b, START).window.total, (UINT64_C(1) << 24) - 1);
}
END_TEST

START_TEST(failures_in_a_row_open_it)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    policy.consecutive = 3;
    policy.min_requests = 1000;
    breaker_init(&b, &policy, START);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
        ck_assert_int_eq(ask(&b, START, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    }
    (void)ask(&b, START, BREAKER_FAILURE);
    (void)ask(&b, START + 100 * SECOND, BREAKER_FAILURE); /* a row has no window */
    ck_assert_int_eq(ask(&b, START + 200 * SECOND, BREAKER_FAILURE), BREAKER_DID_OPEN);
    close_it(&b, START + 300 * SECOND);
    ck_assert_int_eq(ask(&b, START + 300 * SECOND, BREAKER_FAILURE), BREAKER_DID_NOTHING); /* a new row */
    ck_assert_uint_eq(breaker_view(&b, START + 300 * SECOND).in_a_row, 1);
}
END_TEST

START_TEST(slow_answers_open_it)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    for (int i = 0; i < 3; i++)
        (void)ask_slowly(&b, START, SECOND - 1);
    for (int i = 0; i < 11; i++)
        ck_assert_int_eq(ask_slowly(&b, START, SECOND), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask_slowly(&b, START, SECOND), BREAKER_DID_OPEN); /* 12 of 15 */
    ck_assert_uint_eq(breaker_view(&b, START).tripped.slow, 12);
    ck_assert_uint_eq(breaker_view(&b, START).tripped.failures, 0);
    /* A slow probe is no proof of health. */
    ck_assert_int_eq(ask_slowly(&b, START + 5 * SECOND, SECOND), BREAKER_DID_REOPEN);
    close_it(&b, START + 15 * SECOND);

    struct breaker_policy policy = usual;
    policy.slow_ratio = 0;
    breaker_init(&b, &policy, START);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(ask_slowly(&b, START, 100 * SECOND), BREAKER_DID_NOTHING);
}
END_TEST

START_TEST(open_it_refuses_and_says_for_how_long)
{
    struct breaker b;
    breaker_init(&b, &usual, START);
    open_it(&b, START);
    ck_assert_uint_eq(refused_for(&b, START), 5 * SECOND);
    ck_assert_uint_eq(refused_for(&b, START + 5 * SECOND - 1), 1);
    struct breaker_view v = breaker_view(&b, START + SECOND);
    ck_assert_int_eq(v.state, BREAKER_OPEN);
    ck_assert_uint_eq(v.time_left_ns, 4 * SECOND);
    struct breaker_permit p;
    ck_assert(breaker_admit(&b, START + 5 * SECOND, &p));
    ck_assert_int_eq(p.change.event, BREAKER_DID_HALF_OPEN);
    ck_assert_uint_eq(p.change.generation, p.generation);
    ck_assert(p.is_probe);
}
END_TEST

START_TEST(probes_are_counted_out_and_in)
{
    struct breaker b;
    struct breaker_permit p[4];
    uint64_t now_ns = START + 5 * SECOND;
    breaker_init(&b, &usual, START);
    open_it(&b, START);
    for (int i = 0; i < 3; i++) {
        ck_assert(breaker_admit(&b, now_ns, &p[i]));
        ck_assert_int_eq(p[i].change.event, i ? BREAKER_DID_NOTHING : BREAKER_DID_HALF_OPEN);
    }
    (void)refused_for(&b, now_ns);
    ck_assert_int_eq(tell(&b, &p[0], now_ns, BREAKER_SUCCESS).event, BREAKER_DID_NOTHING);
    ck_assert(breaker_admit(&b, now_ns, &p[3]));
    (void)refused_for(&b, now_ns);
    breaker_cancel(&b, &p[1]);
    breaker_cancel(&b, &p[1]); /* spent */
    (void)tell(&b, &p[1], now_ns, BREAKER_FAILURE);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probes_out, 2);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probe_successes, 1);
    ck_assert(breaker_admit(&b, now_ns, &p[1]));
    (void)tell(&b, &p[1], now_ns, BREAKER_SUCCESS);
    struct breaker_change change = tell(&b, &p[2], now_ns, BREAKER_SUCCESS);
    ck_assert_int_eq(change.event, BREAKER_DID_CLOSE);
    ck_assert_uint_eq(change.generation, breaker_view(&b, now_ns).generation);
    /* The third is late, and says nothing about the closed breaker, nor takes its place. */
    ck_assert_int_eq(tell(&b, &p[3], now_ns, BREAKER_FAILURE).event, BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, now_ns).window.total, 0);
}
END_TEST

START_TEST(outcomes_of_before_do_not_count)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    struct breaker_permit old[20], probe;
    uint64_t now_ns = START;
    policy.consecutive = 2;
    policy.close_after = 1;
    breaker_init(&b, &policy, now_ns);
    for (int i = 0; i < 20; i++)
        ck_assert(breaker_admit(&b, now_ns, &old[i]));
    (void)tell(&b, &old[0], now_ns, BREAKER_FAILURE);
    ck_assert_int_eq(tell(&b, &old[1], now_ns, BREAKER_FAILURE).event, BREAKER_DID_OPEN);
    for (int i = 2; i < 6; i++) /* open: neither longer nor shorter */
        ck_assert_int_eq(tell(&b, &old[i], now_ns, i % 2 ? BREAKER_SUCCESS : BREAKER_FAILURE).event, 0);
    ck_assert_uint_eq(breaker_view(&b, now_ns).time_left_ns, 5 * SECOND);
    now_ns += 5 * SECOND;
    ck_assert(breaker_admit(&b, now_ns, &probe));
    for (int i = 6; i < 10; i++) /* half-open: neither closes nor reopens nor gives a place back */
        ck_assert_int_eq(tell(&b, &old[i], now_ns, i % 2 ? BREAKER_SUCCESS : BREAKER_FAILURE).event, 0);
    breaker_cancel(&b, &old[10]);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probes_out, 1);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probe_successes, 0);
    ck_assert_int_eq(tell(&b, &probe, now_ns, BREAKER_SUCCESS).event, BREAKER_DID_CLOSE);
    for (int i = 11; i < 20; i++) /* closed again: another window */
        ck_assert_int_eq(tell(&b, &old[i], now_ns, BREAKER_FAILURE).event, BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, now_ns).window.total, 0);
    ck_assert_uint_eq(breaker_view(&b, now_ns).in_a_row, 0);
}
END_TEST

START_TEST(the_window_begins_anew_after_closing)
{
    struct breaker_policy policy = usual;
    struct breaker b;
    policy.open_for_ns = TICK; /* shorter than a slice */
    policy.close_after = 1;
    breaker_init(&b, &policy, START);
    for (int round = 0; round < 5; round++) {
        uint64_t now_ns = START + (uint64_t)round * 100 * TICK;
        open_it(&b, now_ns);
        ck_assert_int_eq(ask(&b, now_ns + 99 * TICK, BREAKER_SUCCESS), BREAKER_DID_CLOSE);
        ck_assert_uint_eq(breaker_view(&b, now_ns + 99 * TICK).window.total, 0);
    }
}
END_TEST

/* How long the breaker, which opens at NOW_NS, stays open. */
static uint64_t reopen(struct breaker *b, uint64_t now_ns)
{
    ck_assert_int_eq(ask(b, now_ns, BREAKER_FAILURE), BREAKER_DID_REOPEN);
    return breaker_view(b, now_ns).time_left_ns;
}

START_TEST(it_stays_open_for_longer_each_time)
{
    struct breaker b;
    uint64_t now_ns = START;
    breaker_init(&b, &usual, now_ns);
    open_it(&b, now_ns);
    ck_assert_uint_eq(reopen(&b, now_ns += 5 * SECOND), 10 * SECOND);
    ck_assert_uint_eq(reopen(&b, now_ns += 10 * SECOND), 15 * SECOND);
    ck_assert_uint_eq(reopen(&b, now_ns += 15 * SECOND), 15 * SECOND);
    ck_assert_uint_eq(breaker_view(&b, now_ns).openings, 4);
    close_it(&b, now_ns += 15 * SECOND);
    open_it(&b, now_ns += 10 * SECOND - 1); /* it had not been well for a window */
    ck_assert_uint_ge(breaker_view(&b, now_ns).time_left_ns, 15 * SECOND);
    close_it(&b, now_ns += 16 * SECOND);
    open_it(&b, now_ns += 10 * SECOND);
    ck_assert_uint_le(breaker_view(&b, now_ns).time_left_ns, 5 * SECOND + TICK);
    ck_assert_uint_eq(breaker_view(&b, now_ns).openings, 1);
    for (int i = 0; i < 40; i++) /* the level has an end, and no time overflows */
        ck_assert_uint_le(reopen(&b, now_ns += 16 * SECOND), 15 * SECOND + TICK);
}
END_TEST

START_TEST(jitter_is_within_its_share)
{
    static const uint64_t randoms[] = {0, UINT64_MAX / 2, UINT64_MAX};
    static const uint64_t left[] = {4 * SECOND, 5 * SECOND, 6 * SECOND};
    struct breaker_policy policy = usual;
    policy.jitter = 2000;
    policy.consecutive = 1;
    for (int i = 0; i < 3; i++) {
        struct breaker b;
        struct breaker_permit p;
        breaker_init(&b, &policy, START);
        ck_assert(breaker_admit(&b, START, &p));
        struct breaker_result r = {.outcome = BREAKER_FAILURE, .now_ns = START, .random = randoms[i]};
        ck_assert_int_eq(breaker_report(&b, &p, &r).event, BREAKER_DID_OPEN);
        uint64_t left_ns = breaker_view(&b, START).time_left_ns;
        ck_assert_uint_ge(left_ns + TICK, left[i]);
        ck_assert_uint_le(left_ns, left[i] + TICK);
    }
}
END_TEST

START_TEST(lost_probes_are_written_off_together)
{
    struct breaker b;
    struct breaker_permit lost[3], p;
    uint64_t now_ns = START + 5 * SECOND;
    breaker_init(&b, &usual, START);
    open_it(&b, START);
    ck_assert_int_eq(ask(&b, now_ns, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    for (int i = 0; i < 3; i++)
        ck_assert(breaker_admit(&b, now_ns + (uint64_t)i * SECOND, &lost[i]));
    (void)refused_for(&b, now_ns + 62 * SECOND - 1); /* the youngest has still time */
    ck_assert(breaker_admit(&b, now_ns + 62 * SECOND, &p));
    ck_assert_int_eq(p.change.event, BREAKER_DID_RENEW);
    ck_assert_uint_eq(p.change.generation, p.generation);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probes_out, 1);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probe_successes, 1); /* what was proven stays */
    ck_assert_int_eq(tell(&b, &lost[0], now_ns, BREAKER_FAILURE).event, BREAKER_DID_NOTHING);
    breaker_cancel(&b, &lost[1]);
    ck_assert_uint_eq(breaker_view(&b, now_ns).probes_out, 1);
    ck_assert_int_eq(tell(&b, &p, now_ns, BREAKER_FAILURE).event, BREAKER_DID_REOPEN);

    struct breaker_policy policy = usual;
    policy.probe_timeout_ns = 0;
    policy.probes = 1;
    breaker_init(&b, &policy, START);
    open_it(&b, START);
    ck_assert(breaker_admit(&b, now_ns, &p));
    (void)refused_for(&b, now_ns + 1000000 * SECOND);
}
END_TEST

START_TEST(it_can_be_forced)
{
    struct breaker b;
    struct breaker_permit p;
    breaker_init(&b, &usual, START);
    ck_assert_int_eq(breaker_force(&b, BREAKER_FORCE_NONE, START).event, BREAKER_DID_NOTHING);
    ck_assert(breaker_admit(&b, START, &p));
    ck_assert_int_eq(breaker_force(&b, BREAKER_FORCE_OPEN, START).event, BREAKER_DID_FORCE_OPEN);
    ck_assert_int_eq(breaker_force(&b, BREAKER_FORCE_OPEN, START).event, BREAKER_DID_NOTHING);
    ck_assert_int_eq(tell(&b, &p, START, BREAKER_SUCCESS).event, BREAKER_DID_NOTHING);
    (void)refused_for(&b, START + 1000 * SECOND);
    ck_assert_int_eq(breaker_force(&b, BREAKER_FORCE_NONE, START).event, BREAKER_DID_RELEASE);
    ck_assert_int_eq(breaker_view(&b, START).state, BREAKER_HALF_OPEN);
    close_it(&b, START);
    struct breaker_change change = breaker_force(&b, BREAKER_FORCE_CLOSED, START);
    ck_assert_int_eq(change.event, BREAKER_DID_FORCE_CLOSED);
    ck_assert_uint_eq(change.generation, breaker_view(&b, START).generation);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ask(&b, START, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_uint_eq(breaker_view(&b, START).window.failures, 100);
    ck_assert_int_eq(breaker_force(&b, BREAKER_FORCE_NONE, START).event, BREAKER_DID_RELEASE);
    ck_assert_int_eq(breaker_view(&b, START).state, BREAKER_CLOSED);
    ck_assert_uint_eq(breaker_view(&b, START).window.failures, 0);
    open_it(&b, START);
    struct breaker_view v = breaker_view(&b, START);
    ck_assert_uint_eq(v.events[BREAKER_DID_OPEN], 1);
    ck_assert_uint_eq(v.events[BREAKER_DID_RELEASE], 2);
    ck_assert_uint_eq(v.events[BREAKER_DID_CLOSE], 1);
    ck_assert_uint_eq(v.events[BREAKER_DID_FORCE_OPEN] + v.events[BREAKER_DID_FORCE_CLOSED], 2);
}
END_TEST

START_TEST(policies_are_looked_at)
{
    struct breaker_policy p;
    ck_assert_ptr_null(breaker_policy_fault(&usual));
#define FAULTY(field, value)                                                                                 \
    p = usual;                                                                                               \
    p.field = (value);                                                                                       \
    ck_assert_ptr_nonnull(breaker_policy_fault(&p))
    FAULTY(window_ns, 9);
    FAULTY(window_ns, BREAKER_LONGEST_NS + 1);
    FAULTY(min_requests, 0);
    FAULTY(min_requests, BREAKER_MOST + 1);
    FAULTY(failure_ratio, BREAKER_WHOLE + 1);
    FAULTY(slow_ratio, BREAKER_WHOLE + 1);
    FAULTY(slow_ns, 0);
    FAULTY(consecutive, BREAKER_MOST + 1);
    FAULTY(open_for_ns, 0);
    FAULTY(open_for_ns, p.open_max_ns + 1);
    FAULTY(open_max_ns, BREAKER_LONGEST_NS + 1);
    FAULTY(jitter, BREAKER_WHOLE);
    FAULTY(probes, 0);
    FAULTY(probes, BREAKER_MOST + 1);
    FAULTY(close_after, 0);
    FAULTY(close_after, BREAKER_MOST + 1);
    FAULTY(probe_timeout_ns, BREAKER_LONGEST_NS + 1);
#undef FAULTY
}
END_TEST

START_TEST(everything_has_a_name)
{
    ck_assert_str_eq(breaker_state_name(BREAKER_CLOSED), "closed");
    ck_assert_str_eq(breaker_state_name(BREAKER_HALF_OPEN), "half-open");
    ck_assert_str_eq(breaker_state_name(BREAKER_FORCED_CLOSED), "forced closed");
    ck_assert_str_eq(breaker_event_name(BREAKER_DID_NOTHING), "nothing");
    ck_assert_str_eq(breaker_event_name(BREAKER_DID_REOPEN), "reopened");
    ck_assert_str_eq(breaker_event_name(BREAKER_DID_RELEASE), "released");
    ck_assert_str_eq(breaker_event_name(BREAKER_DID_FOLLOW), "followed");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("breaker");
    TCase *t = tcase_create("breaker");
    tcase_add_test(t, a_failing_backend_gets_what_fills_the_window_and_then_probes);
    tcase_add_test(t, few_requests_prove_nothing);
    tcase_add_test(t, just_below_the_ratio_it_stays_closed);
    tcase_add_test(t, the_window_forgets);
    tcase_add_test(t, a_long_life_does_not_confuse_the_slices);
    tcase_add_test(t, a_clock_that_is_ahead_is_believed);
    tcase_add_test(t, a_clock_that_is_far_behind_spoils_nothing);
    tcase_add_test(t, a_full_slice_stops_counting);
    tcase_add_test(t, failures_in_a_row_open_it);
    tcase_add_test(t, slow_answers_open_it);
    tcase_add_test(t, open_it_refuses_and_says_for_how_long);
    tcase_add_test(t, probes_are_counted_out_and_in);
    tcase_add_test(t, outcomes_of_before_do_not_count);
    tcase_add_test(t, the_window_begins_anew_after_closing);
    tcase_add_test(t, it_stays_open_for_longer_each_time);
    tcase_add_test(t, jitter_is_within_its_share);
    tcase_add_test(t, lost_probes_are_written_off_together);
    tcase_add_test(t, it_can_be_forced);
    tcase_add_test(t, policies_are_looked_at);
    tcase_add_test(t, everything_has_a_name);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
