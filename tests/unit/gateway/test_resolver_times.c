/* When names are looked up, who shares a look-up, and answers that come too late. */
#include "tests/unit/gateway/resolver_fixture.h"

/* ---- when ---- */

START_TEST(a_name_is_tried_every_second_until_found_and_then_by_interval)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    ck_assert_uint_eq(wait_of(&w), 0);
    for (int i = 0; i < 3; i++) {
        answer(&w, "users", i == 1 ? UV_EAI_AGAIN : UV_EAI_NONAME, NULL);
        ck_assert_uint_eq(wait_of(&w), RETRY_MS);
        skip_waits(&w, 1);
    }
    ck_assert_uint_eq(v.published, 0);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    /* It was found once: a failure waits for the interval too. */
    skip_waits(&w, 1);
    answer(&w, "users", UV_EAI_AGAIN, NULL);
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_failure_keeps_the_addresses_and_is_told_once)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        skip_waits(&w, 1);
        answer(&w, "users", UV_EAI_NONAME, NULL);
        expect(&v, 1, "10.0.0.1:80*1");
        ck_assert_uint_eq(w.nlog, 1);
        ck_assert_str_eq(w.log, "cannot resolve users: unknown node or service");
    }
    for (int i = 0; i < 2; i++) {
        skip_waits(&w, 1);
        answer(&w, "users", 0, "10.0.0.1");
        expect(&v, 1, "10.0.0.1:80*1");
        ck_assert_uint_eq(w.nlog, 2);
        ck_assert_str_eq(w.log, "users resolves again");
    }
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(an_answer_without_addresses_is_a_failure)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "");
    ck_assert_uint_eq(v.published, 0);
    ck_assert_str_eq(w.log, "cannot resolve users: no address");
    ck_assert_uint_eq(wait_of(&w), RETRY_MS);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    skip_waits(&w, 1);
    answer(&w, "users", 0, "");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.nlog, 3);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_look_up_that_cannot_begin_is_told_and_tried_again)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    w.refusal = UV_EINVAL;
    watch_host(&w, &v, "users");
    ck_assert_str_eq(w.log, "cannot resolve users: invalid argument");
    ck_assert_uint_eq(wait_of(&w), RETRY_MS);
    skip_waits(&w, 1);
    ck_assert_uint_eq(w.nlog, 1);
    w.refusal = 0;
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&v, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.nlog, 2);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_look_up_does_not_overlap_itself)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    answer(&w, "users", 0, "10.0.0.1");
    skip_waits(&w, 1);
    /* The cut timer goes on every millisecond, now during a look-up; one for good measure has to fire. */
    uint64_t end_ns = clock_now_ns() + 5 * CLOCK_MILLISECOND_NS;
    while (clock_now_ns() < end_ns)
        uv_run(&w.loop, UV_RUN_ONCE);
    ck_assert_uint_eq(w.lookups, 2);
    ck_assert_uint_eq(w.nasked, 1);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

START_TEST(a_new_interval_counts_at_once)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_set_interval(w.r, 500);
    ck_assert_uint_eq(wait_of(&w), 0);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(wait_of(&w), 500);
    resolver_set_interval(w.r, 300);
    ck_assert_uint_eq(wait_of(&w), 300);
    resolver_set_interval(w.r, 900);
    ck_assert_uint_eq(wait_of(&w), 900);
    resolver_unwatch(v.watch);
    drop(&v);
    close_world(&w);
}
END_TEST

/* ---- watches that share ---- */

START_TEST(watches_of_a_name_share_its_look_up)
{
    struct world w;
    struct watcher a, b, c;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "users");
    ck_assert_uint_eq(w.lookups, 1);
    answer(&w, "users", 0, "10.0.0.1");
    expect(&a, 1, "10.0.0.1:80*1");
    expect(&b, 1, "10.0.0.1:80*1");
    ck_assert_ptr_eq(a.list->at[0].endpoint, b.list->at[0].endpoint);
    /* Known already: published from inside, without asking. */
    watch_host(&w, &c, "users");
    expect(&c, 1, "10.0.0.1:80*1");
    ck_assert_uint_eq(w.lookups, 1);
    resolver_unwatch(a.watch);
    skip_waits(&w, 1);
    answer(&w, "users", 0, "10.0.0.2");
    expect(&a, 1, "10.0.0.1:80*1");
    expect(&b, 2, "10.0.0.2:80*1");
    expect(&c, 2, "10.0.0.2:80*1");
    resolver_unwatch(b.watch);
    ck_assert_uint_eq(wait_of(&w), INTERVAL_MS);
    resolver_unwatch(c.watch);
    ck_assert_uint_eq(wait_of(&w), 0);
    drop(&a);
    drop(&b);
    drop(&c);
    close_world(&w);
}
END_TEST

START_TEST(only_those_who_use_a_name_are_told_of_it)
{
    struct world w;
    struct watcher a, b;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "orders");
    answer(&w, "orders", 0, "10.0.0.2");
    ck_assert_uint_eq(a.published, 0);
    expect(&b, 1, "10.0.0.2:80*1");
    answer(&w, "users", UV_EAI_NONAME, NULL);
    ck_assert_uint_eq(a.published, 0);
    drop(&b);
    resolver_unwatch(a.watch);
    resolver_unwatch(b.watch);
    close_world(&w);
}
END_TEST

/* As at a reload: the new watch comes before the old one goes. */
START_TEST(a_reload_finds_what_is_known)
{
    struct world w;
    struct watcher old, new;
    open_world(&w, ask);
    watch_host(&w, &old, "users");
    answer(&w, "users", 0, "10.0.0.1");
    for (int i = 0; i < 3; i++) {
        watch_host(&w, &new, "users");
        expect(&new, 1, "10.0.0.1:80*1");
        ck_assert_ptr_eq(new.list->at[0].endpoint, old.list->at[0].endpoint);
        resolver_unwatch(old.watch);
        drop(&old);
        endpoint_sweep(w.reg);
        ck_assert(!new.list->at[0].endpoint->retired);
        /* The backend of a watch lies in its watcher: the next watch is on one that stays. */
        watch_host(&w, &old, "users");
        resolver_unwatch(new.watch);
        drop(&new);
    }
    ck_assert_uint_eq(w.lookups, 1);
    resolver_unwatch(old.watch);
    drop(&old);
    close_world(&w);
}
END_TEST

/* ---- what comes too late ---- */

START_TEST(an_answer_after_the_unwatch_is_thrown_away)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    answer(&w, "users", 0, "10.0.0.1");
    uv_run(&w.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(v.published, 0);
    ck_assert_uint_eq(w.nlog, 0);
    ck_assert_uint_eq(w.lookups, 1);
    /* The same, its timer closed first. */
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    answer(&w, "users", UV_EAI_CANCELED, NULL);
    ck_assert_uint_eq(v.published, 0);
    ck_assert_uint_eq(w.nlog, 0);
    close_world(&w);
}
END_TEST

START_TEST(an_answer_after_the_end_is_thrown_away)
{
    struct world w;
    struct watcher a, b;
    open_world(&w, ask);
    watch_host(&w, &a, "users");
    watch_host(&w, &b, "orders");
    answer(&w, "orders", 0, "10.0.0.2");
    drop(&b);
    resolver_free(w.r);
    w.r = NULL;
    answer(&w, "users", 0, "10.0.0.1");
    uv_run(&w.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(a.published, 0);
    ck_assert_uint_eq(b.published, 1);
    close_world(&w);
}
END_TEST

START_TEST(a_name_that_is_wanted_again_does_not_hear_the_old_answer)
{
    struct world w;
    struct watcher v;
    open_world(&w, ask);
    watch_host(&w, &v, "users");
    resolver_unwatch(v.watch);
    watch_host(&w, &v, "users");
    ck_assert_uint_eq(w.nasked, 2);
    answer(&w, "users", 0, "10.0.0.1");
    ck_assert_uint_eq(v.published, 0);
    answer(&w, "users", 0, "10.0.0.2");
    expect(&v, 1, "10.0.0.2:80*1");
    drop(&v);
    close_world(&w);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("resolver_times");
    TCase *t = tcase_create("times");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_name_is_tried_every_second_until_found_and_then_by_interval);
    tcase_add_test(t, a_failure_keeps_the_addresses_and_is_told_once);
    tcase_add_test(t, an_answer_without_addresses_is_a_failure);
    tcase_add_test(t, a_look_up_that_cannot_begin_is_told_and_tried_again);
    tcase_add_test(t, a_look_up_does_not_overlap_itself);
    tcase_add_test(t, a_new_interval_counts_at_once);
    tcase_add_test(t, watches_of_a_name_share_its_look_up);
    tcase_add_test(t, only_those_who_use_a_name_are_told_of_it);
    tcase_add_test(t, a_reload_finds_what_is_known);
    tcase_add_test(t, an_answer_after_the_unwatch_is_thrown_away);
    tcase_add_test(t, an_answer_after_the_end_is_thrown_away);
    tcase_add_test(t, a_name_that_is_wanted_again_does_not_hear_the_old_answer);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
