/* Where keys go: evenly and by weight, the same for everyone, and elsewhere only when they must. */
#include "lib/hash_ring.h"

#include <stdio.h>

#include "lib/hash.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define KEYS  50000
#define NODES 16

/* N nodes called node-0, node-1, ... of weight 1. */
struct set {
    char names[NODES][32];
    struct hash_ring_node nodes[NODES];
    size_t n;
};

static void make_set(struct set *s, size_t n)
{
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(s->names[i], sizeof(s->names[i]), "node-%zu", i);
        s->nodes[i] = (struct hash_ring_node){slice_of(s->names[i]), 1};
    }
}

static struct hash_ring *ring_of(const struct hash_ring_node *nodes, size_t n)
{
    struct hash_ring *r = hash_ring_new(nodes, n);
    ck_assert_ptr_nonnull(r);
    return r;
}

static uint64_t key(unsigned i)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "key-%u", i);
    return hash_bytes(text, (size_t)len, 0);
}

/* Part of the keys that belong to NODE. */
static double share(const struct hash_ring *r, size_t node)
{
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++)
        count += hash_ring_owner(r, key(i)) == node;
    return (double)count / KEYS;
}

/* ---- the hash ---- */

START_TEST(the_hash_is_the_published_one)
{
    ck_assert_uint_eq(hash_bytes("", 0, 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(hash_bytes(NULL, 0, 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_ne(hash_bytes("a", 1, 0), hash_bytes("a", 1, 1));
    ck_assert_uint_ne(hash_bytes("a\0b", 3, 0), hash_bytes("a\0c", 3, 0));
}
END_TEST

/* ---- shape ---- */

START_TEST(an_empty_ring_has_no_owner)
{
    struct hash_ring_walk w;
    size_t i;
    struct hash_ring *r = ring_of(NULL, 0);
    ck_assert_uint_eq(hash_ring_owner(r, 1), SIZE_MAX);
    hash_ring_walk(r, 1, &w);
    ck_assert(!hash_ring_next(r, &w, &i));
    hash_ring_free(r);
    hash_ring_free(NULL);
}
END_TEST

START_TEST(one_node_owns_all)
{
    struct set s;
    make_set(&s, 1);
    struct hash_ring *r = ring_of(s.nodes, 1);
    ck_assert_double_eq(share(r, 0), 1);
    ck_assert_uint_eq(hash_ring_owner(r, 0), 0);
    ck_assert_uint_eq(hash_ring_owner(r, UINT64_MAX), 0);
    hash_ring_free(r);
}
END_TEST

START_TEST(behind_the_last_point_comes_the_first)
{
    struct set s;
    for (size_t n = 2; n <= NODES; n++) {
        make_set(&s, n);
        struct hash_ring *r = ring_of(s.nodes, n);
        ck_assert_uint_eq(hash_ring_owner(r, UINT64_MAX), hash_ring_owner(r, 0));
        hash_ring_free(r);
    }
}
END_TEST

START_TEST(more_nodes_than_the_bound_are_refused)
{
    static struct hash_ring_node nodes[HASH_RING_NODES_MAX + 1];
    static char names[HASH_RING_NODES_MAX + 1][32];
    static bool owns[HASH_RING_NODES_MAX];
    size_t i, owners = 0, given = 0;
    struct hash_ring_walk w;
    for (i = 0; i <= HASH_RING_NODES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "node-%zu", i);
        nodes[i] = (struct hash_ring_node){slice_of(names[i]), 1000};
    }
    ck_assert_ptr_null(hash_ring_new(nodes, HASH_RING_NODES_MAX + 1));
    /* As many as are allowed, their points cut down to 16 each: still nobody is left out. */
    struct hash_ring *r = ring_of(nodes, HASH_RING_NODES_MAX);
    hash_ring_walk(r, 12345, &w);
    while (hash_ring_next(r, &w, &i))
        given++;
    ck_assert_uint_eq(given, HASH_RING_NODES_MAX);
    for (unsigned k = 0; k < 4 * KEYS; k++)
        owns[hash_ring_owner(r, key(k))] = true;
    for (i = 0; i < HASH_RING_NODES_MAX; i++)
        owners += owns[i];
    ck_assert_uint_eq(owners, HASH_RING_NODES_MAX);
    hash_ring_free(r);
}
END_TEST

/* Weight 1 beside weights that use up the bound still has a point. */
START_TEST(the_lightest_keeps_a_point)
{
    struct set s;
    struct hash_ring_walk w;
    size_t i, given = 0;
    make_set(&s, 3);
    s.nodes[0].weight = s.nodes[1].weight = UINT32_MAX;
    struct hash_ring *r = ring_of(s.nodes, 3);
    hash_ring_walk(r, 1, &w);
    while (hash_ring_next(r, &w, &i))
        given++;
    ck_assert_uint_eq(given, 3);
    ck_assert_double_gt(share(r, 0), 0.45);
    ck_assert_double_gt(share(r, 1), 0.45);
    hash_ring_free(r);
}
END_TEST

/* ---- balance ---- */

/* The bound: four standard deviations, 1 / sqrt(160) each, of an even share. */
START_TEST(equal_nodes_get_equal_shares)
{
    struct set s;
    make_set(&s, NODES);
    struct hash_ring *r = ring_of(s.nodes, NODES);
    for (size_t i = 0; i < NODES; i++) {
        double part = share(r, i) * NODES;
        ck_assert_msg(part > 0.68 && part < 1.32, "node %zu has %.3f of an even share", i, part);
    }
    hash_ring_free(r);
}
END_TEST

/* What is counted by arcs is what keys meet, and all of it together is the circle. */
START_TEST(shares_are_those_of_keys)
{
    struct set s;
    double sum = 0;
    make_set(&s, NODES);
    struct hash_ring *r = ring_of(s.nodes, NODES);
    for (size_t i = 0; i < NODES; i++) {
        double part = hash_ring_share(r, i), seen = share(r, i);
        ck_assert_msg(part > seen * 0.95 && part < seen * 1.05, "node %zu: %.4f and %.4f", i, part, seen);
        sum += part;
    }
    ck_assert(sum > 0.999999 && sum < 1.000001);
    hash_ring_free(r);
}
END_TEST

START_TEST(one_node_has_all_shares)
{
    struct set s;
    make_set(&s, 1);
    struct hash_ring *r = ring_of(s.nodes, 1);
    ck_assert_double_eq(hash_ring_share(r, 0), 1);
    hash_ring_free(r);
}
END_TEST

START_TEST(shares_follow_weights)
{
    static const unsigned weights[] = {1, 2, 4, 8};
    struct set s;
    make_set(&s, 4);
    for (size_t i = 0; i < 4; i++)
        s.nodes[i].weight = weights[i];
    struct hash_ring *r = ring_of(s.nodes, 4);
    for (size_t i = 0; i < 4; i++) {
        double part = share(r, i) * 15 / weights[i];
        ck_assert_msg(part > 0.75 && part < 1.25, "weight %u has %.3f of its share", weights[i], part);
    }
    hash_ring_free(r);
}
END_TEST

/* ---- the same for everyone ---- */

START_TEST(the_order_of_nodes_does_not_matter)
{
    struct set s;
    struct hash_ring_node shuffled[NODES];
    struct random rnd;
    make_set(&s, NODES);
    random_seed_with(&rnd, 3);
    for (size_t i = 0; i < NODES; i++) {
        s.nodes[i].weight = 1 + (unsigned)i % 3;
        shuffled[i] = s.nodes[i];
    }
    struct hash_ring *a = ring_of(s.nodes, NODES);
    for (int round = 0; round < 5; round++) {
        for (size_t i = NODES - 1; i > 0; i--) {
            size_t k = random_below(random_next(&rnd), i + 1);
            struct hash_ring_node t = shuffled[i];
            shuffled[i] = shuffled[k];
            shuffled[k] = t;
        }
        struct hash_ring *b = ring_of(shuffled, NODES);
        for (unsigned i = 0; i < 5000; i++)
            ck_assert(slice_eq(s.nodes[hash_ring_owner(a, key(i))].name,
                               shuffled[hash_ring_owner(b, key(i))].name));
        hash_ring_free(b);
    }
    hash_ring_free(a);
}
END_TEST

/* Gateways of different versions and machines share keys: what moves them is a change of protocol. */
START_TEST(places_are_the_same_in_every_version)
{
    static const char expected[] = "0700000940220445941299891301455524589448090646424347878283309580";
    struct set s;
    char owners[65] = "";
    make_set(&s, 10);
    struct hash_ring *r = ring_of(s.nodes, 10);
    for (unsigned i = 0; i < 64; i++)
        owners[i] = (char)('0' + hash_ring_owner(r, key(i)));
    ck_assert_str_eq(owners, expected);
    hash_ring_free(r);
}
END_TEST

/* ---- nodes that come and go ---- */

/* Each of N + 1 nodes in turn is the one that is added. On average exactly 1 / (N + 1) of the keys move, and
 * for each within four standard deviations; all that move go to it. Read backwards: removing moves what it
 * had and nothing else. */
static void check_moves(size_t n)
{
    struct set s;
    struct hash_ring_node rest[NODES];
    double even = 1.0 / (double)(n + 1), sum = 0;
    make_set(&s, n + 1);
    struct hash_ring *after = ring_of(s.nodes, n + 1);
    for (size_t added = 0; added <= n; added++) {
        unsigned moved = 0;
        for (size_t i = 0; i < n; i++)
            rest[i] = s.nodes[i < added ? i : i + 1];
        struct hash_ring *before = ring_of(rest, n);
        for (unsigned i = 0; i < KEYS / 5; i++) {
            size_t old = hash_ring_owner(before, key(i)), new = hash_ring_owner(after, key(i));
            old = old < added ? old : old + 1;
            ck_assert_msg(new == old || new == added, "key %u went from %zu to %zu when %zu came", i, old,
                          new, added);
            moved += new != old;
        }
        hash_ring_free(before);
        double part = moved / (KEYS / 5.0);
        ck_assert_msg(part > even * 0.68 && part < even * 1.32, "%zu of %zu moved %.4f", added, n + 1, part);
        sum += part;
    }
    hash_ring_free(after);
    ck_assert_double_eq_tol(sum / (double)(n + 1), even, even * 0.1);
}

START_TEST(a_new_node_gets_its_share_and_moves_nothing_else)
{
    check_moves(2);
    check_moves(3);
    check_moves(9);
    check_moves(NODES - 1);
}
END_TEST

START_TEST(a_heavier_node_takes_and_gives_nothing_else)
{
    struct set s;
    unsigned moved = 0;
    make_set(&s, 8);
    struct hash_ring *before = ring_of(s.nodes, 8);
    s.nodes[5].weight = 2;
    struct hash_ring *after = ring_of(s.nodes, 8);
    for (unsigned i = 0; i < KEYS; i++) {
        size_t old = hash_ring_owner(before, key(i)), new = hash_ring_owner(after, key(i));
        ck_assert(new == old || new == 5);
        moved += new != old;
    }
    /* From 1/8 to 2/9. */
    ck_assert_double_eq_tol((double)moved / KEYS, 2 / 9.0 - 1 / 8.0, 0.03);
    hash_ring_free(before);
    hash_ring_free(after);
}
END_TEST

/* ---- successors ---- */

START_TEST(a_walk_gives_each_node_once_in_the_order_of_succession)
{
    struct set s;
    make_set(&s, 6);
    struct hash_ring *r = ring_of(s.nodes, 6);
    for (unsigned k = 0; k < 500; k++) {
        struct hash_ring_node left[6];
        struct hash_ring_walk w;
        size_t n = 6, i;
        memcpy(left, s.nodes, sizeof(left));
        hash_ring_walk(r, key(k), &w);
        while (hash_ring_next(r, &w, &i)) {
            /* It owns the key on a ring without those before it. */
            struct hash_ring *fewer = ring_of(left, n);
            size_t owner = hash_ring_owner(fewer, key(k));
            hash_ring_free(fewer);
            ck_assert_uint_lt(owner, n);
            ck_assert(slice_eq(left[owner].name, s.nodes[i].name));
            left[owner] = left[--n];
        }
        ck_assert_uint_eq(n, 0);
        ck_assert(!hash_ring_next(r, &w, &i));
    }
    hash_ring_free(r);
}
END_TEST

/* The keys of a node that is gone spread over all others, not over one neighbour. */
static size_t first_of_walk(const struct hash_ring *r, uint64_t hash)
{
    struct hash_ring_walk w;
    size_t i = SIZE_MAX;
    hash_ring_walk(r, hash, &w);
    return hash_ring_next(r, &w, &i) ? i : SIZE_MAX;
}

/* However the circle is cut: at, before and behind each of 2^14 equal parts, and anywhere. */
START_TEST(the_owner_is_the_first_of_a_walk)
{
    struct set s;
    struct random random;
    random_seed_with(&random, 11);
    for (size_t n = 1; n <= NODES; n += 5) {
        make_set(&s, n);
        struct hash_ring *r = ring_of(s.nodes, s.n);
        for (uint64_t i = 0; i < 1 << 14; i++) {
            const uint64_t part = i << 50, hashes[] = {part, part - 1, part + 1, random_next(&random)};
            for (size_t k = 0; k < 4; k++)
                ck_assert_uint_eq(hash_ring_owner(r, hashes[k]), first_of_walk(r, hashes[k]));
        }
        hash_ring_free(r);
    }
}
END_TEST

START_TEST(successors_of_a_node_are_all_the_others)
{
    unsigned count[10] = {0}, total = 0;
    struct set s;
    make_set(&s, 10);
    struct hash_ring *r = ring_of(s.nodes, 10);
    for (unsigned k = 0; k < KEYS; k++) {
        struct hash_ring_walk w;
        size_t i;
        if (hash_ring_owner(r, key(k)) != 4)
            continue;
        hash_ring_walk(r, key(k), &w);
        ck_assert(hash_ring_next(r, &w, &i));
        ck_assert_uint_eq(i, 4);
        ck_assert(hash_ring_next(r, &w, &i));
        count[i]++;
        total++;
    }
    ck_assert_uint_eq(count[4], 0);
    for (size_t i = 0; i < 10; i++)
        if (i != 4)
            ck_assert_msg(count[i] > total / 9 / 3 && count[i] < total / 9 * 2, "%zu: %u of %u", i, count[i],
                          total);
    hash_ring_free(r);
}
END_TEST

/* Names that are the same twice are not allowed; that they come all the same must hurt nobody. */
START_TEST(equal_names_are_survived)
{
    struct hash_ring_node nodes[] = {{SLICE("a"), 1}, {SLICE("a"), 1}, {SLICE(""), 1}};
    struct hash_ring_walk w;
    size_t i, given = 0;
    struct hash_ring *r = ring_of(nodes, 3);
    hash_ring_walk(r, 77, &w);
    while (hash_ring_next(r, &w, &i))
        given++;
    ck_assert_uint_eq(given, 3);
    ck_assert_double_eq(share(r, 1), 0);
    hash_ring_free(r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("hash_ring");
    TCase *t = tcase_create("hash_ring");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_hash_is_the_published_one);
    tcase_add_test(t, an_empty_ring_has_no_owner);
    tcase_add_test(t, one_node_owns_all);
    tcase_add_test(t, behind_the_last_point_comes_the_first);
    tcase_add_test(t, more_nodes_than_the_bound_are_refused);
    tcase_add_test(t, the_lightest_keeps_a_point);
    tcase_add_test(t, equal_nodes_get_equal_shares);
    tcase_add_test(t, shares_follow_weights);
    tcase_add_test(t, shares_are_those_of_keys);
    tcase_add_test(t, one_node_has_all_shares);
    tcase_add_test(t, the_order_of_nodes_does_not_matter);
    tcase_add_test(t, places_are_the_same_in_every_version);
    tcase_add_test(t, a_new_node_gets_its_share_and_moves_nothing_else);
    tcase_add_test(t, a_heavier_node_takes_and_gives_nothing_else);
    tcase_add_test(t, a_walk_gives_each_node_once_in_the_order_of_succession);
    tcase_add_test(t, successors_of_a_node_are_all_the_others);
    tcase_add_test(t, the_owner_is_the_first_of_a_walk);
    tcase_add_test(t, equal_names_are_survived);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
