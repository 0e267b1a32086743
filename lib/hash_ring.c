/*
 * hash_ring.c: a sorted array of points, and in front of it a table small enough to stay near.
 *
 * The circle is cut into arcs of equal length, ARCS for each point at least. Most of them have no point in
 * them; what lies there belongs to the node of the next point, whatever its hash, and the table says which
 * that is. For the others it says which point is the first one to look at.
 *
 * Points of equal hash are ordered by the hash of their node's name, so that a collision resolves in the same
 * way for everyone. What is hashed again is put into little-endian order first, so that machines of either
 * order agree.
 */
#include "lib/hash_ring.h"

#include <endian.h>
#include <stdlib.h>

#include "lib/hash.h"

#define ARCS    4          /* for each point, or up to twice as many */
#define DIVIDED UINT16_MAX /* the arc has a point in it */

_Static_assert(HASH_RING_NODES_MAX < DIVIDED, "nodes are told from it");

struct point {
    uint64_t hash;
    uint64_t name_hash;
    uint32_t node;
};

struct hash_ring {
    size_t nnodes;
    size_t npoints;
    unsigned shift;   /* of a hash to its arc */
    uint32_t *first;  /* of each arc: the first point in or behind it, or npoints */
    uint16_t *owners; /* of each arc: the node that owns all of it, or DIVIDED */
    struct point points[];
};

static int by_hash(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    if (p->hash != q->hash)
        return p->hash < q->hash ? -1 : 1;
    if (p->name_hash != q->name_hash)
        return p->name_hash < q->name_hash ? -1 : 1;
    return p->node < q->node ? -1 : p->node > q->node;
}

/* Points of a node, where TOTAL would be those of all nodes without the bound. */
static size_t points_of(unsigned weight, uint64_t total)
{
    uint64_t wanted = (uint64_t)weight * HASH_RING_POINTS;
    if (total > HASH_RING_POINTS_MAX)
        wanted = wanted * HASH_RING_POINTS_MAX / total;
    return wanted > 0 ? (size_t)wanted : 1;
}

static bool make_arcs(struct hash_ring *r)
{
    unsigned bits = 1;
    while ((size_t)1 << bits < ARCS * r->npoints)
        bits++;
    size_t narcs = (size_t)1 << bits, point = 0;
    r->shift = 64 - bits;
    r->first = malloc(narcs * sizeof(r->first[0]));
    r->owners = malloc(narcs * sizeof(r->owners[0]));
    if (!r->first || !r->owners)
        return false;
    for (size_t i = 0; i < narcs && r->npoints > 0; i++) {
        r->first[i] = (uint32_t)point;
        r->owners[i] = (uint16_t)r->points[point % r->npoints].node;
        for (; point < r->npoints && r->points[point].hash >> r->shift == i; point++)
            r->owners[i] = DIVIDED;
    }
    return true;
}

struct hash_ring *hash_ring_new(const struct hash_ring_node *nodes, size_t n)
{
    uint64_t total = 0;
    size_t npoints = 0, at = 0;
    if (n > HASH_RING_NODES_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++)
        total += (uint64_t)nodes[i].weight * HASH_RING_POINTS;
    for (size_t i = 0; i < n; i++)
        npoints += points_of(nodes[i].weight, total);
    struct hash_ring *r = malloc(sizeof(*r) + npoints * sizeof(r->points[0]));
    if (!r)
        return NULL;
    *r = (struct hash_ring){.nnodes = n, .npoints = npoints};
    for (size_t i = 0; i < n; i++) {
        uint64_t name_hash = hash_bytes(nodes[i].name.p, nodes[i].name.len, 0);
        uint64_t bytes = htole64(name_hash);
        for (size_t k = points_of(nodes[i].weight, total); k-- > 0;)
            r->points[at++] =
                (struct point){hash_bytes(&bytes, sizeof(bytes), k + 1), name_hash, (uint32_t)i};
    }
    qsort(r->points, npoints, sizeof(r->points[0]), by_hash);
    if (!make_arcs(r)) {
        hash_ring_free(r);
        return NULL;
    }
    return r;
}

void hash_ring_free(struct hash_ring *r)
{
    if (!r)
        return;
    free(r->first);
    free(r->owners);
    free(r);
}

/* The first point at or behind HASH, round the circle. */
static size_t find(const struct hash_ring *r, uint64_t hash)
{
    if (r->npoints == 0)
        return 0;
    size_t i = r->first[hash >> r->shift];
    while (i < r->npoints && r->points[i].hash < hash)
        i++;
    return i < r->npoints ? i : 0;
}

size_t hash_ring_owner(const struct hash_ring *r, uint64_t hash)
{
    if (r->npoints == 0)
        return SIZE_MAX;
    uint16_t owner = r->owners[hash >> r->shift];
    return owner != DIVIDED ? owner : r->points[find(r, hash)].node;
}

/* A point owns what lies between the one before it and itself; the first one, what lies round the circle's
 * end. Counted in whole points, so that no share is above 1: whoever owns all of them has gone round to 0. */
double hash_ring_share(const struct hash_ring *r, size_t node)
{
    uint64_t owned = 0;
    bool has_any = false;
    for (size_t i = 0; i < r->npoints; i++) {
        if (r->points[i].node != node)
            continue;
        has_any = true;
        owned += r->points[i].hash - r->points[i > 0 ? i - 1 : r->npoints - 1].hash;
    }
    return has_any && owned == 0 ? 1 : (double)owned / 18446744073709551616.0; /* 2^64 */
}

void hash_ring_walk(const struct hash_ring *r, uint64_t hash, struct hash_ring_walk *w)
{
    w->at = find(r, hash);
    w->left = r->npoints;
    memset(w->seen, 0, (r->nnodes + 63) / 64 * sizeof(w->seen[0]));
}

bool hash_ring_next(const struct hash_ring *r, struct hash_ring_walk *w, size_t *node)
{
    while (w->left > 0) {
        size_t i = r->points[w->at].node;
        w->left--;
        w->at = w->at + 1 < r->npoints ? w->at + 1 : 0;
        if (w->seen[i / 64] >> (i % 64) & 1)
            continue;
        w->seen[i / 64] |= UINT64_C(1) << (i % 64);
        *node = i;
        return true;
    }
    return false;
}
