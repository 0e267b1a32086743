/*
 * balancer.c: see balancer.h.
 *
 * Every policy looks first at its own pick; the rule for who is passed over is in one place, is_out(). First
 * come the servers proper that are fit, then the backups that are fit, then whoever is left. Round robin is
 * linear in the number of endpoints, which is what smoothness costs; least_conn too; p2c and hash are not.
 *
 * Load is in_flight / weight, without the request in question: counting it would give all of a quiet
 * backend's requests to its heaviest endpoint. p2c compares by weight although it picks by weight, or of two
 * endpoints, which are always the pair, each would get half of the load whatever its weight.
 */
#include "gateway/balancer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/hash_ring.h"
#include "lib/random.h"

struct balancer {
    enum conf_balance policy;
    struct endpoint_list *list; /* counted */
    bool has_backups;
    struct hash_ring *ring; /* BALANCE_HASH */
    uint64_t total;         /* of all weights */
    uint64_t *upto;         /* weights summed up to and with each endpoint */
    int64_t *current;       /* smooth round robin: credit of each */
};

/* What an endpoint is called on the ring: its server and its address. The address alone would not do, for two
 * servers may have the same one, nor would its text, which is cut. */
static uint64_t ring_name(const struct endpoint *e)
{
    const char *const parts[] = {e->host, e->address, e->unix_path};
    uint64_t h = e->port;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        h = parts[i] ? hash_bytes(parts[i], strlen(parts[i]), h) : h;
    return htole64(h);
}

static struct hash_ring *make_ring(const struct endpoint_list *list)
{
    size_t n = list->n < HASH_RING_NODES_MAX ? list->n : HASH_RING_NODES_MAX;
    struct hash_ring_node *nodes = calloc(n + 1, sizeof(*nodes));
    uint64_t *names = calloc(n + 1, sizeof(*names));
    struct hash_ring *ring = NULL;
    for (size_t i = 0; nodes && names && i < n; i++) {
        names[i] = ring_name(list->at[i].endpoint);
        nodes[i].name = (struct slice){(const char *)&names[i], sizeof(names[i])};
        nodes[i].weight = list->at[i].weight;
    }
    if (nodes && names)
        ring = hash_ring_new(nodes, n);
    free(names);
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
    for (size_t i = 0; i < list->n; i++) {
        b->upto[i] = b->total += list->at[i].weight;
        b->has_backups |= list->at[i].is_backup;
    }
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

/* Whether it may be asked at all now: it is connected to, not ejected, and well. */
static bool is_fit(struct endpoint *e, const struct balance_request *req)
{
    enum ejection_event event;
    bool fit = ejection_admits(&e->fitness->pool, &e->fit, req->now_ns, &event);
    if (event != EJECTION_NOTHING && req->changed)
        req->changed(req->ctx, e, event);
    return fit && atomic_load_explicit(&e->down_until_ns, memory_order_relaxed) <= req->now_ns;
}

static bool is_full(const struct endpoint *e, const struct balance_request *req)
{
    return req->per_server > 0 &&
           atomic_load_explicit(&e->in_flight, memory_order_relaxed) >= req->per_server;
}

/* Who is looked at: the servers proper or the backups, those that are fit or all of them. */
struct field {
    const struct balance_request *req;
    bool backups, unfit;
};

static bool is_out(const struct balancer *b, size_t i, const struct field *field)
{
    struct endpoint *e = b->list->at[i].endpoint;
    return b->list->at[i].is_backup != field->backups || b->list->at[i].is_drained ||
           was_tried(e, field->req) || is_full(e, field->req) || (!field->unfit && !is_fit(e, field->req));
}

/* In tenths of a thousandth, so that a slow start has its steps. */
static uint64_t weight_of(const struct balancer *b, size_t i, const struct field *field)
{
    const struct endpoint *e = b->list->at[i].endpoint;
    return b->list->at[i].weight * (uint64_t)ejection_weight(&e->fitness->pool, &e->fit, field->req->now_ns);
}

struct load {
    uint64_t in_flight;
    uint64_t weight;
};

static struct load load_of(const struct balancer *b, size_t i, const struct field *field)
{
    const struct endpoint *e = b->list->at[i].endpoint;
    return (struct load){atomic_load_explicit(&e->in_flight, memory_order_relaxed), weight_of(b, i, field)};
}

static bool is_lighter(struct load x, struct load y)
{
    return x.in_flight * y.weight < y.in_flight * x.weight;
}

/* Each gets its weight as credit, the richest is taken and pays the total. With MOST only those that carry no
 * more. */
static struct endpoint *round_robin(struct balancer *b, const struct field *field, const struct load *most)
{
    size_t best = SIZE_MAX;
    int64_t total = 0;
    for (size_t i = 0; i < b->list->n; i++) {
        if (is_out(b, i, field) || (most && is_lighter(*most, load_of(b, i, field))))
            continue;
        int64_t weight = (int64_t)weight_of(b, i, field);
        b->current[i] += weight;
        total += weight;
        if (best == SIZE_MAX || b->current[i] > b->current[best])
            best = i;
    }
    if (best == SIZE_MAX)
        return NULL;
    b->current[best] -= total;
    return b->list->at[best].endpoint;
}

static struct endpoint *least_conn(struct balancer *b, const struct field *field)
{
    struct load least = {0};
    size_t best = SIZE_MAX, ties = 0;
    for (size_t i = 0; i < b->list->n; i++) {
        if (is_out(b, i, field))
            continue;
        struct load load = load_of(b, i, field);
        if (best == SIZE_MAX || is_lighter(load, least)) {
            best = i;
            least = load;
            ties = 0;
        } else {
            ties += !is_lighter(least, load);
        }
    }
    if (best == SIZE_MAX)
        return NULL;
    /* Other workers count meanwhile: there may be nobody left that carries so little. */
    struct endpoint *e = ties > 0 ? round_robin(b, field, &least) : NULL;
    return e ? e : b->list->at[best].endpoint;
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

/* Two by weight, the second another one than the first. */
static struct endpoint *p2c(struct balancer *b, const struct field *field)
{
    size_t n = b->list->n;
    uint64_t random = field->req->random, other = random * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = by_weight(b, random_below(random, b->total));
    size_t j = by_weight(b, random_below(other, b->total));
    if (i == j && n > 1)
        j = (i + 1 + (size_t)random_below(other << 7 | other >> 57, n - 1)) % n;
    struct endpoint *e = b->list->at[i].endpoint, *f = b->list->at[j].endpoint;
    bool e_out = is_out(b, i, field), f_out = is_out(b, j, field);
    if (e_out || f_out)
        return !e_out ? e : !f_out ? f : least_conn(b, field);
    return is_lighter(load_of(b, j, field), load_of(b, i, field)) ? f : e;
}

static struct endpoint *by_hash(struct balancer *b, const struct field *field)
{
    struct hash_ring_walk walk;
    size_t i = hash_ring_owner(b->ring, field->req->hash);
    if (i != SIZE_MAX && !is_out(b, i, field))
        return b->list->at[i].endpoint;
    hash_ring_walk(b->ring, field->req->hash, &walk);
    while (hash_ring_next(b->ring, &walk, &i))
        if (!is_out(b, i, field))
            return b->list->at[i].endpoint;
    return NULL;
}

/* All are down or were tried: of those not tried, the one that may be up again first. */
static struct endpoint *least_down(struct balancer *b, const struct balance_request *req)
{
    struct endpoint *best = NULL;
    uint64_t best_ns = 0;
    for (size_t i = 0; i < b->list->n; i++) {
        struct endpoint *e = b->list->at[i].endpoint;
        uint64_t until_ns = atomic_load_explicit(&e->down_until_ns, memory_order_relaxed);
        if (!b->list->at[i].is_drained && !was_tried(e, req) && !is_full(e, req) &&
            (!best || until_ns < best_ns)) {
            best = e;
            best_ns = until_ns;
        }
    }
    return best;
}

static struct endpoint *choose_from(struct balancer *b, const struct field *field)
{
    switch (b->policy) {
    case BALANCE_ROUND_ROBIN:
        return round_robin(b, field, NULL);
    case BALANCE_LEAST_CONN:
        return least_conn(b, field);
    case BALANCE_P2C:
        return p2c(b, field);
    case BALANCE_HASH:
        return by_hash(b, field);
    }
    return NULL;
}

/* Whether so few servers proper are fit that the rest could not carry the load. */
static bool is_panic(const struct balancer *b, const struct balance_request *req)
{
    const struct fitness *f = b->list->at[0].endpoint->fitness;
    uint32_t fit = 0;
    if (f->policy.panic_share == 0)
        return false;
    for (size_t i = 0; i < b->list->n; i++)
        fit += is_fit(b->list->at[i].endpoint, req);
    return ejection_is_panic(&f->pool, fit);
}

struct endpoint *balancer_choose(struct balancer *b, const struct balance_request *req)
{
    if (b->list->n == 0)
        return NULL;
    struct field field = {.req = req, .unfit = is_panic(b, req)};
    struct endpoint *e = choose_from(b, &field);
    field.backups = true;
    if (!e && b->has_backups)
        e = choose_from(b, &field);
    return e ? e : least_down(b, req);
}
