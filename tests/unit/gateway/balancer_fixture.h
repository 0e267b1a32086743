/* balancer_fixture.h: a balancer over endpoints called a, b, c, ... and ways to see what it chooses. */
#ifndef TESTS_UNIT_GATEWAY_BALANCER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_BALANCER_FIXTURE_H

#include "gateway/balancer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define N_MAX 1000
#define SEED  20260101

static const struct conf_tls no_tls = {.verify = true};

/* A balancer over endpoints called a, b, c, ... */
struct world {
    struct endpoint_registry *reg;
    struct endpoint_list *list;
    struct balancer *b;
    struct random random;
    struct balance_request req;
};

static inline struct endpoint_list *list_new(size_t n)
{
    struct endpoint_list *l = calloc(1, sizeof(*l) + n * sizeof(l->at[0]));
    ck_assert_ptr_nonnull(l);
    atomic_init(&l->refs, 1);
    l->n = n;
    return l;
}

static inline void open_with(struct world *w, enum conf_balance policy, struct endpoint_list *list)
{
    w->list = list;
    w->b = balancer_new(policy, list);
    ck_assert_ptr_nonnull(w->b);
    random_seed_with(&w->random, SEED);
    w->req = (struct balance_request){.now_ns = 1000};
}

/* N endpoints; WEIGHTS may be NULL: 1 each. */
static inline void open_world(struct world *w, enum conf_balance policy, size_t n, const unsigned *weights)
{
    w->reg = endpoint_registry_new(1);
    struct endpoint_list *l = list_new(n);
    for (size_t i = 0; i < n; i++) {
        struct conf_server s = {.host = "users", .port = 80};
        char address[48];
        snprintf(address, sizeof(address), "10.0.%zu.%zu", i / 256, i % 256);
        l->at[i].endpoint = endpoint_find(w->reg, &s, &no_tls, address);
        ck_assert_ptr_nonnull(l->at[i].endpoint);
        l->at[i].weight = weights ? weights[i] : 1;
    }
    open_with(w, policy, l);
}

static inline void close_world(struct world *w)
{
    balancer_free(w->b);
    endpoint_list_put(w->list);
    endpoint_registry_free(w->reg);
}

static inline struct endpoint *at(const struct world *w, size_t i)
{
    return w->list->at[i].endpoint;
}

/* Index of the choice; SIZE_MAX: none. */
static inline size_t choose(struct world *w)
{
    w->req.random = random_next(&w->random);
    struct endpoint *e = balancer_choose(w->b, &w->req);
    size_t i = 0;
    if (!e)
        return SIZE_MAX;
    while (i < w->list->n && at(w, i) != e)
        i++;
    ck_assert_uint_lt(i, w->list->n);
    return i;
}

static inline void expect_sequence(struct world *w, const char *expected)
{
    char got[128] = "";
    size_t n = strlen(expected);
    for (size_t k = 0; k < n; k++) {
        size_t i = choose(w);
        got[k] = i == SIZE_MAX ? '-' : (char)('a' + i);
    }
    ck_assert_str_eq(got, expected);
}

/* Choices of each endpoint, of TIMES; with random keys for hash. */
static inline void count_choices(struct world *w, unsigned times, unsigned *count)
{
    memset(count, 0, w->list->n * sizeof(*count));
    for (unsigned k = 0; k < times; k++) {
        w->req.hash = hash_bytes(&k, sizeof(k), 0);
        size_t i = choose(w);
        ck_assert_uint_ne(i, SIZE_MAX);
        count[i]++;
    }
}

/* Hold LOAD requests: each choice begins one and ends one of those held, picked by chance. */
static inline void count_busy(struct world *w, unsigned load, unsigned times, unsigned *count)
{
    size_t *held = calloc(load, sizeof(*held));
    memset(count, 0, w->list->n * sizeof(*count));
    for (unsigned k = 0; k < load + times; k++) {
        size_t slot = k < load ? k : random_below(random_next(&w->random), load);
        if (k >= load)
            at(w, held[slot])->in_flight--;
        size_t i = choose(w);
        at(w, i)->in_flight++;
        held[slot] = i;
        count[i] += k >= load;
    }
    free(held);
}

static inline void expect_share(unsigned count, unsigned times, double share, double tolerance)
{
    double got = (double)count / times;
    ck_assert_msg(got > share - tolerance && got < share + tolerance, "%.4f instead of %.4f", got, share);
}

#endif
