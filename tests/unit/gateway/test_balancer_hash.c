/* Balancing by the hash of a key: where keys go, and what moves them. */
#include "tests/unit/gateway/balancer_fixture.h"

/* ---- hash ---- */

static uint64_t key(unsigned i)
{
    return hash_bytes(&i, sizeof(i), 9);
}

START_TEST(a_key_stays_where_it_is)
{
    struct world w;
    open_world(&w, BALANCE_HASH, 5, NULL);
    for (unsigned k = 0; k < 500; k++) {
        w.req.hash = key(k);
        size_t first = choose(&w);
        at(&w, first)->in_flight = 1000;
        for (int i = 0; i < 3; i++)
            ck_assert_uint_eq(choose(&w), first);
    }
    close_world(&w);
}
END_TEST

START_TEST(hash_shares_by_weight)
{
    static const unsigned weights[] = {1, 2, 5};
    unsigned count[3];
    struct world w;
    open_world(&w, BALANCE_HASH, 3, weights);
    count_choices(&w, 40000, count);
    for (size_t i = 0; i < 3; i++)
        expect_share(count[i], 40000, weights[i] / 8.0, weights[i] / 8.0 / 4);
    close_world(&w);
}
END_TEST

START_TEST(keys_of_one_that_is_down_move_and_come_back)
{
    enum { KEYS = 3000 };
    static size_t owner[KEYS];
    unsigned count[5] = {0};
    struct world w;
    open_world(&w, BALANCE_HASH, 5, NULL);
    for (unsigned k = 0; k < KEYS; k++) {
        w.req.hash = key(k);
        owner[k] = choose(&w);
    }
    at(&w, 3)->down_until_ns = 2000;
    for (unsigned k = 0; k < KEYS; k++) {
        w.req.hash = key(k);
        size_t now = choose(&w);
        ck_assert_uint_ne(now, 3);
        ck_assert(now == owner[k] || owner[k] == 3);
        count[now] += owner[k] == 3;
    }
    for (size_t i = 0; i < 5; i++)
        ck_assert_msg(i == 3 || count[i] > 0, "none went to %zu", i);
    w.req.now_ns = 2000;
    for (unsigned k = 0; k < KEYS; k++) {
        w.req.hash = key(k);
        ck_assert_uint_eq(choose(&w), owner[k]);
    }
    close_world(&w);
}
END_TEST

/* Gateways agree, whatever the order of their lists. */
START_TEST(the_order_of_the_list_does_not_matter_to_hash)
{
    struct world w, v;
    open_world(&w, BALANCE_HASH, 6, NULL);
    v = w;
    struct endpoint_list *l = list_new(6);
    for (size_t i = 0; i < 6; i++) {
        l->at[i].endpoint = endpoint_get(at(&w, 5 - i));
        l->at[i].weight = 1;
    }
    open_with(&v, BALANCE_HASH, l);
    for (unsigned k = 0; k < 2000; k++) {
        w.req.hash = v.req.hash = key(k);
        ck_assert_uint_eq(choose(&w), 5 - choose(&v));
    }
    balancer_free(v.b);
    endpoint_list_put(v.list);
    close_world(&w);
}
END_TEST

/* Servers that have the same address, one of them at two ports, and paths that differ only behind what the
 * text of an endpoint shows.
 */
START_TEST(endpoints_of_the_same_text_are_apart_on_the_ring)
{
    char paths[2][108];
    struct conf_server s[] = {{.host = "a", .port = 80},
                              {.host = "b", .port = 80},
                              {.unix_path = paths[0]},
                              {.unix_path = paths[1]},
                              {.host = "a", .port = 81}};
    unsigned count[5];
    struct world w = {.reg = endpoint_registry_new(1)};
    struct endpoint_list *l = list_new(5);
    for (int i = 0; i < 2; i++) {
        memset(paths[i], 'x', sizeof(paths[i]));
        paths[i][100] = (char)('0' + i);
        paths[i][107] = '\0';
    }
    for (size_t i = 0; i < 5; i++) {
        l->at[i].endpoint = endpoint_find(w.reg, &s[i], &no_tls, s[i].host ? "10.0.0.1" : NULL);
        l->at[i].weight = 1;
    }
    ck_assert_str_eq(l->at[0].endpoint->text, l->at[1].endpoint->text);
    ck_assert_str_eq(l->at[2].endpoint->text, l->at[3].endpoint->text);
    open_with(&w, BALANCE_HASH, l);
    count_choices(&w, 20000, count);
    for (size_t i = 0; i < 5; i++)
        expect_share(count[i], 20000, 0.2, 0.06);
    close_world(&w);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("balancer_hash");
    TCase *t = tcase_create("hash");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_key_stays_where_it_is);
    tcase_add_test(t, hash_shares_by_weight);
    tcase_add_test(t, keys_of_one_that_is_down_move_and_come_back);
    tcase_add_test(t, the_order_of_the_list_does_not_matter_to_hash);
    tcase_add_test(t, endpoints_of_the_same_text_are_apart_on_the_ring);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
