/* test_redis_ring.c: how evenly keys lie on the nodes, and what moves when one comes or goes. */
#include "gateway/redis_ring.h"

#include <stdio.h>

#include "lib/hash.h"
#include "tests/unit/unit.h"

#define KEYS  200000
#define NODES 16

struct set {
    struct conf_redis conf;
    struct conf_redis_node nodes[NODES];
    char names[NODES][32];
};

/* N nodes of weight 1, without number LEFT_OUT. */
static void make_set(struct set *s, size_t n, size_t left_out)
{
    memset(s, 0, sizeof(*s));
    s->conf.nodes = s->nodes;
    for (size_t i = 0; i < n; i++) {
        if (i == left_out)
            continue;
        size_t at = s->conf.nnodes++;
        snprintf(s->names[at], sizeof(s->names[at]), "redis-%zu:6379", i + 1);
        s->nodes[at] = (struct conf_redis_node){.name = s->names[at], .weight = 1};
    }
}

static struct hash_ring *ring_of(const struct set *s)
{
    struct hash_ring *r = redis_ring_new(&s->conf);
    ck_assert_ptr_nonnull(r);
    return r;
}

static const char *owner_of(const struct set *s, const struct hash_ring *r, unsigned key)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "http://example.com/objects/%u", key);
    return s->nodes[hash_ring_owner(r, hash_bytes(text, (size_t)len, 0))].name;
}

START_TEST(shares_are_even_within_a_tenth)
{
    for (size_t n = 2; n <= NODES; n++) {
        struct set s;
        unsigned owned[NODES] = {0};
        make_set(&s, n, NODES);
        struct hash_ring *r = ring_of(&s);
        for (unsigned k = 0; k < KEYS; k++)
            for (size_t i = 0; i < n; i++)
                owned[i] += owner_of(&s, r, k) == s.nodes[i].name;
        for (size_t i = 0; i < n; i++) {
            double part = (double)owned[i] * (double)n / KEYS;
            ck_assert_msg(part > 0.9 && part < 1.1, "node %zu of %zu has %.3f of an even share", i, n, part);
        }
        hash_ring_free(r);
    }
}
END_TEST

/* Each of N nodes in turn is the one that is added: 1/N of the keys move, within a tenth of that, and all of
 * them to it. Read backwards: who goes moves what it had, and nothing else. */
START_TEST(a_node_that_comes_moves_its_share)
{
    for (size_t n = 2; n <= NODES; n += 3) {
        struct set all, rest;
        make_set(&all, n, NODES);
        struct hash_ring *after = ring_of(&all);
        for (size_t added = 0; added < n; added++) {
            make_set(&rest, n, added);
            struct hash_ring *before = ring_of(&rest);
            unsigned moved = 0;
            for (unsigned k = 0; k < KEYS / 4; k++) {
                const char *old = owner_of(&rest, before, k), *now = owner_of(&all, after, k);
                if (strcmp(old, now) == 0)
                    continue;
                ck_assert_str_eq(now, all.names[added]);
                moved++;
            }
            double part = (double)moved * (double)n / (KEYS / 4.0);
            ck_assert_msg(part > 0.9 && part < 1.1, "node %zu of %zu moved %.3f of its share", added, n,
                          part);
            hash_ring_free(before);
        }
        hash_ring_free(after);
    }
}
END_TEST

START_TEST(a_weight_is_a_share)
{
    struct set s;
    unsigned heavy = 0;
    make_set(&s, 3, NODES);
    s.nodes[1].weight = 3;
    struct hash_ring *r = ring_of(&s);
    for (unsigned k = 0; k < KEYS; k++)
        heavy += owner_of(&s, r, k) == s.nodes[1].name;
    ck_assert_double_eq_tol((double)heavy / KEYS, 0.6, 0.06);
    hash_ring_free(r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("redis_ring");
    TCase *t = tcase_create("ring");
    tcase_add_test(t, shares_are_even_within_a_tenth);
    tcase_add_test(t, a_node_that_comes_moves_its_share);
    tcase_add_test(t, a_weight_is_a_share);
    tcase_set_timeout(t, 120);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
