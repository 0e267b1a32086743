/*
 * hash_ring.h: consistent hashing.
 *
 * Nodes stand on a circle of 64-bit points, each at many of them in proportion to its weight; a key belongs
 * to the node of the next point. A node that comes or goes moves only the keys that it gets or had: about its
 * share. Points depend on the names of nodes alone, so the order in which they are given does not matter and
 * all who know the same names agree.
 *
 *     struct hash_ring *r = hash_ring_new(nodes, n);
 *     size_t owner = hash_ring_owner(r, hash_bytes(key, len, 0));       // index into nodes
 *     hash_ring_walk(r, hash, &w);
 *     while (hash_ring_next(r, &w, &i)) ...                             // its successors, each node once
 *
 * With n nodes of equal weight a node's share of the keys is 1/n give or take about 8 % of it (1 / sqrt(160),
 * one standard deviation); that a node moves only its own keys holds as long as all weights together stay
 * below the bound on points.
 *
 * Immutable once made: any thread may look up. Names are not kept. Sources: Karger et al., "Consistent
 * hashing and random trees", 1997; virtual nodes as in Chord (Stoica et al., 2001); 160 points for each as in
 * ketama (Jones, 2007).
 */
#ifndef LIB_HASH_RING_H
#define LIB_HASH_RING_H

#include "lib/check.h"
#include "lib/slice.h"

#define HASH_RING_POINTS     160   /* of a node of weight 1 */
#define HASH_RING_POINTS_MAX 65536 /* of all; with more each node gets fewer, but at least one */
#define HASH_RING_NODES_MAX  4096

struct hash_ring;

struct hash_ring_node {
    struct slice name; /* distinct */
    unsigned weight;   /* at least 1 */
};

/* NULL: out of memory, or more nodes than HASH_RING_NODES_MAX. No node at all is fine. */
MUST_USE struct hash_ring *hash_ring_new(const struct hash_ring_node *nodes, size_t n);
void hash_ring_free(struct hash_ring *r);

/* The index of the node that owns HASH; SIZE_MAX when there is none. */
size_t hash_ring_owner(const struct hash_ring *r, uint64_t hash);

/* The part of the circle that node NODE owns, 0 to 1. Looks at all points. */
double hash_ring_share(const struct hash_ring *r, size_t node);

/* Owner first, then the nodes that would own HASH if those before were gone. */
struct hash_ring_walk {
    size_t at;                               /* point to look at next */
    size_t left;                             /* points that were not looked at */
    uint64_t seen[HASH_RING_NODES_MAX / 64]; /* nodes already given */
};

void hash_ring_walk(const struct hash_ring *r, uint64_t hash, struct hash_ring_walk *w);
bool hash_ring_next(const struct hash_ring *r, struct hash_ring_walk *w, size_t *node);

#endif
