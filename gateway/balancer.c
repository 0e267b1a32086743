/*
 * balancer.c: see balancer.h.
 *
 * Every policy looks first at its own pick; the rule for what is down or was tried is in one place, is_out(). Round robin
 * is linear in the number of endpoints, which is what smoothness costs; least_conn too; p2c and hash are not.
 */
#include "gateway/balancer.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash_ring.h"
#include "lib/random.h"

struct balancer {
    enum conf_balance policy;
    struct endpoint_list *list; /* counted */
    struct hash_ring *ring;     /* BALANCE_HASH */
    uint64_t total;             /* of all weights */
    uint64_t *upto;             /* weights summed up to and with each endpoint */
    int64_t *current;           /* smooth round robin: credit of each */
    size_t next;                /* least_conn: where the search begins, so that ties rotate */
};

static struct hash_ring *make_ring(const struct endpoint_list *list)
{
    size_t n = list->n < HASH_RING_NODES_MAX ? list->n : HASH_RING_NODES_MAX;
    struct hash_ring_node *nodes = calloc(n + 1, sizeof(*nodes));
    if (!nodes)
        return NULL;
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct hash_ring_node){slice_of(list->at[i].endpoint->text), list->at[i].weight};
    struct hash_ring *ring = hash_ring_new(nodes, n);
    free(nodes);
    return ring;
}

struct balancer *balancer_new(enum conf_balance policy, struct endpoint_list *list)
{
    struct balancer *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->policy = policy;
    b->list = endpoint_list_get(list);
    b->upto = calloc(list->n + 1, sizeof(*b->upto));
    b->current = calloc(list->n + 1, sizeof(*b->current));
    b->ring = policy == BALANCE_HASH ? make_ring(list) : NULL;
    if (!b->upto || !b->current || (policy == BALANCE_HASH && !b->ring)) {
        balancer_free(b);
        return NULL;
    }
    for (size_t i = 0; i < list->n; i++)
        b->upto[i] = b->total += list->at[i].weight;
    return b;
}

void balancer_free(struct balancer *b)
{
    if (!b)
        return;
    endpoint_list_put(b->list);
    hash_ring_free(b->ring);
    free(b->upto);
    free(b->current);
    free(b);
}

const struct endpoint_list *balancer_list(const struct balancer *b)
{
    return b->list;
}

static bool was_tried(const struct endpoint *e, const struct balance_request *req)
{
    for (size_t i = 0; i < req->ntried; i++)
        if (req->tried[i] == e)
            return true;
    return false;
}

static bool is_out(const struct endpoint *e, const struct balance_request *req)
{
    return atomic_load_explicit(&e->down_until_ns, memory_order_relaxed) > req->now_ns || was_tried(e, req);
}

/* Each gets its weight as credit, the richest is taken and pays the total. */
static struct endpoint *round_robin(struct balancer *b, const struct balance_request *req)
{
    size_t best = SIZE_MAX;
    int64_t total = 0;
    for (size_t i = 0; i < b->list->n; i++) {
        if (is_out(b->list->at[i].endpoint, req))
            continue;
        b->current[i] += b->list->at[i].weight;
        total += b->list->at[i].weight;
        if (best == SIZE_MAX || b->current[i] > b->current[best])
            best = i;
    }
    if (best == SIZE_MAX)
        return NULL;
    b->current[best] -= total;
    return b->list->at[best].endpoint;
}

/* Whether endpoint A carries less for its weight than B, the request in question included. */
static bool is_lighter(const struct balancer *b, size_t i, size_t j)
{
    uint64_t a = atomic_load_explicit(&b->list->at[i].endpoint->in_flight, memory_order_relaxed) + UINT64_C(1);
    uint64_t c = atomic_load_explicit(&b->list->at[j].endpoint->in_flight, memory_order_relaxed) + UINT64_C(1);
    return a * b->list->at[j].weight < c * b->list->at[i].weight;
}

static struct endpoint *least_conn(struct balancer *b, const struct balance_request *req)
{
    size_t n = b->list->n, best = SIZE_MAX;
    for (size_t k = 0; k < n; k++) {
        size_t i = (b->next + k) % n;
        if (!is_out(b->list->at[i].endpoint, req) && (best == SIZE_MAX || is_lighter(b, i, best)))
            best = i;
    }
    if (best == SIZE_MAX)
        return NULL;
    b->next = (best + 1) % n;
    return b->list->at[best].endpoint;
}

/* The endpoint whose weight covers POINT, which is below the total. */
static size_t by_weight(const struct balancer *b, uint64_t point)
{
    size_t low = 0, high = b->list->n - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b->upto[mid] <= point)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Two by weight, the second another one than the first; the less loaded by its number in flight alone, for the weights
 * have had their say. */
static struct endpoint *p2c(struct balancer *b, const struct balance_request *req)
{
    size_t n = b->list->n;
    uint64_t other = req->random * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = by_weight(b, random_below(req->random, b->total));
    size_t j = by_weight(b, random_below(other, b->total));
    if (i == j && n > 1)
        j = (i + 1 + (size_t)random_below(other << 7 | other >> 57, n - 1)) % n;
    struct endpoint *e = b->list->at[i].endpoint, *f = b->list->at[j].endpoint;
    if (is_out(e, req) || is_out(f, req))
        return !is_out(e, req) ? e : !is_out(f, req) ? f : least_conn(b, req);
    return atomic_load_explicit(&f->in_flight, memory_order_relaxed) <
                   atomic_load_explicit(&e->in_flight, memory_order_relaxed)
               ? f
               : e;
}

static struct endpoint *by_hash(struct balancer *b, const struct balance_request *req)
{
    struct hash_ring_walk walk;
    size_t i;
    i = hash_ring_owner(b->ring, req->hash);
    if (i != SIZE_MAX && !is_out(b->list->at[i].endpoint, req))
        return b->list->at[i].endpoint;
    hash_ring_walk(b->ring, req->hash, &walk);
    while (hash_ring_next(b->ring, &walk, &i))
        if (!is_out(b->list->at[i].endpoint, req))
            return b->list->at[i].endpoint;
    return NULL;
}

/* All are down or were tried: of those not tried, the one that may be up again first. */
static struct endpoint *least_down(struct balancer *b, const struct balance_request *req)
{
    struct endpoint *best = NULL;
    uint64_t best_ns = UINT64_MAX;
    for (size_t i = 0; i < b->list->n; i++) {
        struct endpoint *e = b->list->at[i].endpoint;
        uint64_t until_ns = atomic_load_explicit(&e->down_until_ns, memory_order_relaxed);
        if (!was_tried(e, req) && until_ns < best_ns) {
            best = e;
            best_ns = until_ns;
        }
    }
    return best;
}

struct endpoint *balancer_choose(struct balancer *b, const struct balance_request *req)
{
    struct endpoint *e = NULL;
    if (b->list->n == 0)
        return NULL;
    switch (b->policy) {
    case BALANCE_ROUND_ROBIN:
        e = round_robin(b, req);
        break;
    case BALANCE_LEAST_CONN:
        e = least_conn(b, req);
        break;
    case BALANCE_P2C:
        e = p2c(b, req);
        break;
    case BALANCE_HASH:
        e = by_hash(b, req);
        break;
    }
    return e ? e : least_down(b, req);
}
