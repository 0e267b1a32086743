/*
 * region.h: memory of a fixed size, from which pieces of any size are cut and given back.
 *
 * What a process takes for a region is bounded by its size whatever is done with it: there is nothing behind
 * it to grow into. Pieces are found and given back in constant time; neighbours that are free are one.
 *
 *     struct region r;
 *     if (!region_init(&r, 64 << 20)) ...
 *     void *p = region_alloc(&r, 1000);        // NULL: no piece that large is free
 *     region_shrink(&r, p, 600);               // the tail is free again
 *     region_release(&r, p);
 *
 * Pages are the system's until they are first used. Pieces are aligned for any type and not zeroed; each
 * costs 16 bytes beside its own.
 *
 * One thread at a time. Source: Masmano, Ripoll, Crespo, Real: TLSF: a new dynamic memory allocator for
 * real-time systems (2004).
 */
#ifndef LIB_REGION_H
#define LIB_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

#define REGION_FIRST  40 /* classes by power of two */
#define REGION_SECOND 32 /* parts of each */

struct region_block;

struct region {
    char *memory;
    size_t size;
    size_t used;    /* bytes in pieces, with what they cost */
    uint64_t first; /* classes that have a free block */
    uint32_t second[REGION_FIRST];
    struct region_block *free[REGION_FIRST][REGION_SECOND];
};

/* SIZE in bytes, rounded down to whole pages; at least one page. False: the system has no memory. */
MUST_USE bool region_init(struct region *r, size_t size);
void region_fini(struct region *r);

MUST_USE void *region_alloc(struct region *r, size_t size);
void region_release(struct region *r, void *p);

/* Make P's piece smaller. */
void region_shrink(struct region *r, void *p, size_t size);

/* Bytes that P's piece takes of the region, all included. */
size_t region_size(const void *p);

#endif
