/*
 * pool.h: objects of one size, used again and again by one thread, and never more than a bound.
 *
 *     pool_init(&p, sizeof(struct exchange), 65536, 1024);
 *     struct exchange *x = pool_get(&p);    // NULL: 65536 are in use, or out of memory
 *     pool_put(&p, x);                      // kept for the next get; freed when 1024 are kept already
 *     pool_fini(&p);
 *
 * An object's bytes are what the last user left: not zeroed. Objects of a cache line or more begin on a cache
 * line, so that two of them never share one; smaller ones are aligned for any type. Under AddressSanitizer a
 * kept object is poisoned: using it after the put, or putting it twice, is reported.
 *
 * Owned by one thread. pool_usage: any thread.
 */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/check.h"

struct pool_free;

/* Embedded. No field is for the user. */
struct pool {
    struct pool_free *kept; /* free objects, put last first */
    size_t size;            /* bytes of an object, as allocated */
    size_t max;             /* objects in use */
    size_t keep;            /* objects kept free */
    _Atomic size_t in_use;  /* both written by the owner only, relaxed: gauges */
    _Atomic size_t free;
};

/* Of one moment, about: the two numbers are not read at once. */
struct pool_usage {
    size_t in_use; /* objects */
    size_t free;   /* objects */
    size_t bytes;  /* of both */
};

/* At most MAX objects of SIZE bytes in use, at most KEEP kept free. Nothing is allocated yet. */
void pool_init(struct pool *p, size_t size, size_t max, size_t keep);

/* Free what is kept. All objects must have been put, or be given up for lost. A pool of zeroed bytes is
 * allowed. */
void pool_fini(struct pool *p);

/* Gives. NULL: MAX are in use, or out of memory. */
MUST_USE void *pool_get(struct pool *p);

/* Takes OBJECT, which came from this pool. */
void pool_put(struct pool *p, void *object);

struct pool_usage pool_usage(const struct pool *p);

#endif
