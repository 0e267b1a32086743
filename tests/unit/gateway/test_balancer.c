/* Exact sequences where there is one, shares where chance decides, and the rules for what is down or was
 * tried. */
#include "tests/unit/gateway/balancer_fixture.h"

static const enum conf_balance policies[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN, BALANCE_P2C,
                                             BALANCE_HASH};

#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* ---- for every policy ---- */

START_TEST(an_empty_list_has_nothing_to_choose)
{
    for (size_t p = 0; p < POLICIES; p++) {
        struct world w;
        open_world(&w, policies[p], 0, NULL);
        ck_assert_uint_eq(choose(&w), SIZE_MAX);
        close_world(&w);
    }
    balancer_free(NULL);
}
END_TEST

START_TEST(the_only_one_is_taken_even_when_down_but_not_twice)
{
    for (size_t p = 0; p < POLICIES; p++) {
        struct world w;
        open_world(&w, policies[p], 1, NULL);
        expect_sequence(&w, "aaaa");
        at(&w, 0)->down_until_ns = 5000;
        expect_sequence(&w, "aa");
        at(&w, 0)->down_until_ns = UINT64_MAX;
        expect_sequence(&w, "aa");
        struct endpoint *tried[] = {at(&w, 0)};
        w.req.tried = tried;
        w.req.ntried = 1;
        expect_sequence(&w, "--");
        close_world(&w);
    }
}
END_TEST

START_TEST(the_list_is_kept_as_long_as_the_balancer)
{
    struct world w;
    open_world(&w, BALANCE_ROUND_ROBIN, 2, NULL);
    ck_assert_ptr_eq(balancer_list(w.b), w.list);
    ck_assert_uint_eq(w.list->refs, 2);
    struct balancer *b = balancer_new(BALANCE_HASH, w.list);
    ck_assert_uint_eq(w.list->refs, 3);
    balancer_free(b);
    ck_assert_uint_eq(w.list->refs, 2);
    close_world(&w);
}
END_TEST

static bool is_tried(const struct world *w, size_t i)
{
    for (size_t k = 0; k < w->req.ntried; k++)
        if (w->req.tried[k] == at(w, i))
            return true;
    return false;
}

/* Any choice is held against the rule as it is told: up and not tried; else of those not tried the first to
 * be up; else none. */
static void check_rule(const struct world *w, size_t chosen)
{
    uint64_t first_ns = UINT64_MAX;
    bool any_up = false, any_left = false;
    for (size_t i = 0; i < w->list->n; i++) {
        if (is_tried(w, i))
            continue;
        any_left = true;
        any_up |= at(w, i)->down_until_ns <= w->req.now_ns;
        if (at(w, i)->down_until_ns < first_ns)
            first_ns = at(w, i)->down_until_ns;
    }
    ck_assert((chosen != SIZE_MAX) == any_left);
    if (!any_left)
        return;
    ck_assert(!is_tried(w, chosen));
    if (any_up)
        ck_assert_uint_le(at(w, chosen)->down_until_ns, w->req.now_ns);
    else
        ck_assert_uint_eq(at(w, chosen)->down_until_ns, first_ns);
}

START_TEST(what_is_down_or_was_tried_is_passed_over)
{
    for (size_t p = 0; p < POLICIES; p++)
        for (size_t n = 1; n <= 9; n++) {
            struct world w;
            unsigned weights[9];
            struct random r;
            random_seed_with(&r, SEED + n);
            for (size_t i = 0; i < n; i++)
                weights[i] = 1 + (unsigned)random_below(random_next(&r), 5);
            open_world(&w, policies[p], n, weights);
            for (int round = 0; round < 2000; round++) {
                struct endpoint *tried[9];
                unsigned percent = (unsigned)random_below(random_next(&r), 101);
                w.req.tried = tried;
                w.req.ntried = 0;
                w.req.hash = random_next(&r);
                for (size_t i = 0; i < n; i++) {
                    bool is_down = random_below(random_next(&r), 100) < percent;
                    at(&w, i)->down_until_ns = is_down ? 1001 + random_below(random_next(&r), 50) : 1000;
                    at(&w, i)->in_flight = (uint32_t)random_below(random_next(&r), 4);
                    if (random_below(random_next(&r), 3) == 0)
                        tried[w.req.ntried++] = at(&w, i);
                }
                check_rule(&w, choose(&w));
            }
            close_world(&w);
        }
}
END_TEST

START_TEST(when_all_are_down_the_first_to_be_up_is_used)
{
    for (size_t p = 0; p < POLICIES; p++) {
        struct world w;
        open_world(&w, policies[p], 3, NULL);
        struct endpoint *tried[] = {at(&w, 1), at(&w, 2), at(&w, 0)};
        at(&w, 0)->down_until_ns = UINT64_MAX;
        at(&w, 1)->down_until_ns = 3000;
        at(&w, 2)->down_until_ns = 4000;
        w.req.tried = tried;
        expect_sequence(&w, "bb");
        w.req.ntried = 1;
        expect_sequence(&w, "cc");
        w.req.ntried = 2;
        expect_sequence(&w, "aa");
        w.req.ntried = 3;
        expect_sequence(&w, "--");
        /* Up again from the very nanosecond on. */
        w.req.ntried = 0;
        w.req.now_ns = 2999;
        expect_sequence(&w, "bb");
        w.req.now_ns = 4000;
        at(&w, 1)->down_until_ns = 4001;
        expect_sequence(&w, "cc");
        close_world(&w);
    }
}
END_TEST

/* ---- round robin ---- */

START_TEST(round_robin_is_smooth)
{
    static const struct {
        size_t n;
        unsigned weights[4];
        const char *expected;
    } cases[] = {
        {3, {5, 1, 1}, "aabacaaaabacaa"}, {3, {1, 1, 1}, "abcabcabc"}, {3, {1, 2, 3}, "cbacbccbacbc"},
        {2, {1, 1}, "abababab"},          {2, {3, 1}, "aabaaaba"},     {2, {1000, 1000}, "ababab"},
        {4, {1, 1, 1, 1}, "abcdabcd"},    {1, {7}, "aaaaaa"},
    };
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct world w;
        open_world(&w, BALANCE_ROUND_ROBIN, cases[k].n, cases[k].weights);
        expect_sequence(&w, cases[k].expected);
        close_world(&w);
    }
}
END_TEST

START_TEST(each_cycle_of_round_robin_is_exact)
{
    struct random r;
    random_seed_with(&r, SEED);
    for (int round = 0; round < 20; round++) {
        unsigned weights[20], count[20], total = 0;
        size_t n = 1 + random_below(random_next(&r), 20);
        struct world w;
        for (size_t i = 0; i < n; i++)
            total += weights[i] = 1 + (unsigned)random_below(random_next(&r), 100);
        open_world(&w, BALANCE_ROUND_ROBIN, n, weights);
        for (int cycle = 0; cycle < 3; cycle++) {
            count_choices(&w, total, count);
            for (size_t i = 0; i < n; i++)
                ck_assert_uint_eq(count[i], weights[i]);
        }
        close_world(&w);
    }
}
END_TEST

START_TEST(round_robin_passes_over_what_is_down_until_it_is_back)
{
    struct world w;
    open_world(&w, BALANCE_ROUND_ROBIN, 3, NULL);
    expect_sequence(&w, "abc");
    at(&w, 1)->down_until_ns = 2000;
    expect_sequence(&w, "acacac");
    w.req.now_ns = 2000;
    expect_sequence(&w, "abcabc");
    close_world(&w);
}
END_TEST

/* ---- least_conn ---- */

START_TEST(least_conn_takes_the_least_loaded)
{
    struct world w;
    open_world(&w, BALANCE_LEAST_CONN, 3, NULL);
    at(&w, 0)->in_flight = 3;
    at(&w, 1)->in_flight = 2;
    at(&w, 2)->in_flight = 4;
    expect_sequence(&w, "bb");
    at(&w, 2)->in_flight = 1;
    expect_sequence(&w, "cc");
    at(&w, 2)->down_until_ns = 2000;
    expect_sequence(&w, "bb");
    close_world(&w);
}
END_TEST

START_TEST(least_conn_measures_by_weight)
{
    static const unsigned weights[] = {4, 2, 1};
    struct world w;
    open_world(&w, BALANCE_LEAST_CONN, 3, weights);
    at(&w, 0)->in_flight = 3; /* 0.75 */
    at(&w, 1)->in_flight = 2; /* 1 */
    at(&w, 2)->in_flight = 1; /* 1 */
    expect_sequence(&w, "aa");
    at(&w, 0)->in_flight = 5; /* 1.25 */
    expect_sequence(&w, "bcbbcb");
    at(&w, 2)->in_flight = 0;
    expect_sequence(&w, "cc");
    /* Numbers that do not fit 32 bits when multiplied. */
    at(&w, 0)->in_flight = UINT32_MAX;
    at(&w, 1)->in_flight = UINT32_MAX / 2 + 1;
    at(&w, 2)->in_flight = UINT32_MAX;
    expect_sequence(&w, "aa");
    close_world(&w);
}
END_TEST

START_TEST(ties_of_least_conn_go_round_by_weight)
{
    static const unsigned weights[] = {3, 1};
    struct world w;
    open_world(&w, BALANCE_LEAST_CONN, 3, NULL);
    expect_sequence(&w, "abcabc");
    at(&w, 1)->in_flight = 1;
    expect_sequence(&w, "acac");
    close_world(&w);
    /* A quiet backend, where nothing is ever in flight: the light one is not left without. */
    open_world(&w, BALANCE_LEAST_CONN, 2, weights);
    expect_sequence(&w, "aabaaaba");
    close_world(&w);
}
END_TEST

START_TEST(least_conn_under_load_shares_by_weight)
{
    static const unsigned weights[] = {1, 2, 5};
    unsigned count[3];
    struct world w;
    open_world(&w, BALANCE_LEAST_CONN, 3, weights);
    count_busy(&w, 160, 40000, count);
    for (size_t i = 0; i < 3; i++) {
        expect_share(count[i], 40000, weights[i] / 8.0, 0.01);
        ck_assert_uint_ge(at(&w, i)->in_flight, weights[i] * 19);
        ck_assert_uint_le(at(&w, i)->in_flight, weights[i] * 21);
    }
    close_world(&w);
}
END_TEST

/* ---- p2c ---- */

/* Nothing in flight: the first pick stands. Five standard deviations of 40,000 draws are at most 0.0125. */
START_TEST(p2c_of_a_quiet_backend_picks_by_weight)
{
    static const unsigned weights[] = {1, 2, 3, 10};
    unsigned count[4];
    struct world w;
    open_world(&w, BALANCE_P2C, 4, weights);
    count_choices(&w, 40000, count);
    for (size_t i = 0; i < 4; i++)
        expect_share(count[i], 40000, weights[i] / 16.0, 0.0125);
    close_world(&w);
}
END_TEST

START_TEST(p2c_of_two_takes_the_less_loaded)
{
    static const unsigned weights[] = {9, 1};
    struct world w;
    open_world(&w, BALANCE_P2C, 2, NULL);
    at(&w, 0)->in_flight = 1;
    expect_sequence(&w, "bbbbbbbbbb");
    at(&w, 1)->in_flight = 2;
    expect_sequence(&w, "aaaaaaaaaa");
    close_world(&w);
    open_world(&w, BALANCE_P2C, 2, weights);
    at(&w, 0)->in_flight = 8;
    at(&w, 1)->in_flight = 1;
    expect_sequence(&w, "aaaaaaaaaa");
    at(&w, 0)->in_flight = 10;
    expect_sequence(&w, "bbbbbbbbbb");
    close_world(&w);
}
END_TEST

/* Equal loads, one slow endpoint: for two picks are never the same it is never the better one. */
START_TEST(p2c_avoids_the_one_that_is_loaded)
{
    unsigned count[4];
    struct world w;
    open_world(&w, BALANCE_P2C, 4, NULL);
    at(&w, 2)->in_flight = 50;
    count_choices(&w, 40000, count);
    ck_assert_uint_eq(count[2], 0);
    for (size_t i = 0; i < 4; i++)
        if (i != 2)
            expect_share(count[i], 40000, 1 / 3.0, 0.015);
    close_world(&w);
}
END_TEST

START_TEST(p2c_under_load_shares_by_weight)
{
    static const unsigned two[] = {9, 1}, four[] = {1, 2, 3, 10};
    unsigned count[4];
    struct world w;
    open_world(&w, BALANCE_P2C, 2, two);
    count_busy(&w, 200, 40000, count);
    expect_share(count[0], 40000, 0.9, 0.02);
    close_world(&w);
    open_world(&w, BALANCE_P2C, 4, four);
    count_busy(&w, 320, 40000, count);
    for (size_t i = 0; i < 4; i++)
        expect_share(count[i], 40000, four[i] / 16.0, 0.02);
    close_world(&w);
}
END_TEST

/* The power of two choices: 1,000 requests on 1,000 endpoints. One choice would leave some with 5 or 6; two
 * leave log log n, here 3 and seldom 4 (Mitzenmacher, 2001). */
START_TEST(p2c_keeps_the_longest_queue_short)
{
    uint32_t most = 0;
    unsigned busy = 0;
    struct world w;
    open_world(&w, BALANCE_P2C, N_MAX, NULL);
    for (int k = 0; k < N_MAX; k++)
        at(&w, choose(&w))->in_flight++;
    for (size_t i = 0; i < N_MAX; i++) {
        most = at(&w, i)->in_flight > most ? at(&w, i)->in_flight : most;
        busy += at(&w, i)->in_flight > 0;
    }
    ck_assert_uint_le(most, 4);
    ck_assert_uint_gt(busy, 700);
    close_world(&w);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("balancer");
    TCase *t = tcase_create("balancer");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, an_empty_list_has_nothing_to_choose);
    tcase_add_test(t, the_only_one_is_taken_even_when_down_but_not_twice);
    tcase_add_test(t, the_list_is_kept_as_long_as_the_balancer);
    tcase_add_test(t, what_is_down_or_was_tried_is_passed_over);
    tcase_add_test(t, when_all_are_down_the_first_to_be_up_is_used);
    tcase_add_test(t, round_robin_is_smooth);
    tcase_add_test(t, each_cycle_of_round_robin_is_exact);
    tcase_add_test(t, round_robin_passes_over_what_is_down_until_it_is_back);
    tcase_add_test(t, least_conn_takes_the_least_loaded);
    tcase_add_test(t, least_conn_measures_by_weight);
    tcase_add_test(t, ties_of_least_conn_go_round_by_weight);
    tcase_add_test(t, least_conn_under_load_shares_by_weight);
    tcase_add_test(t, p2c_of_a_quiet_backend_picks_by_weight);
    tcase_add_test(t, p2c_of_two_takes_the_less_loaded);
    tcase_add_test(t, p2c_avoids_the_one_that_is_loaded);
    tcase_add_test(t, p2c_under_load_shares_by_weight);
    tcase_add_test(t, p2c_keeps_the_longest_queue_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
