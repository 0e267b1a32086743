/*
 * pool.c: a free list that is linked through the free objects; see pool.h.
 *
 * Last in, first out: what was put last is most likely still in the processor's cache. The link lies in the
 * first bytes of a kept object, so under AddressSanitizer they too are poisoned, and opened only while the
 * list is worked on.
 */
#include "lib/pool.h"

#include <stdlib.h>

#include "lib/poison.h"

struct pool_free {
    struct pool_free *next;
};

/* Relaxed, and no read-modify-write: the owner alone writes, others look at a gauge. */
static size_t gauge(const _Atomic size_t *g)
{
    return atomic_load_explicit(g, memory_order_relaxed);
}

static void gauge_set(_Atomic size_t *g, size_t n)
{
    atomic_store_explicit(g, n, memory_order_relaxed);
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

void pool_init(struct pool *p, size_t size, size_t max, size_t keep)
{
    CHECK(size > 0 && size < (size_t)1 << 40);
    p->kept = NULL;
    p->size = size < CACHE_LINE ? round_up(size, sizeof(struct pool_free)) : round_up(size, CACHE_LINE);
    p->max = max;
    p->keep = keep;
    atomic_init(&p->in_use, 0);
    atomic_init(&p->free, 0);
}

static struct pool_free *take_kept(struct pool *p)
{
    struct pool_free *f = p->kept;
    UNPOISON(f, p->size);
    p->kept = f->next;
    gauge_set(&p->free, gauge(&p->free) - 1);
    return f;
}

void pool_fini(struct pool *p)
{
    while (p->kept)
        free(take_kept(p));
}

void *pool_get(struct pool *p)
{
    if (gauge(&p->in_use) >= p->max)
        return NULL;
    void *object;
    if (p->kept)
        object = take_kept(p);
    else if (p->size < CACHE_LINE)
        object = malloc(p->size);
    else
        object = aligned_alloc(CACHE_LINE, p->size);
    if (object)
        gauge_set(&p->in_use, gauge(&p->in_use) + 1);
    return object;
}

void pool_put(struct pool *p, void *object)
{
    CHECK(object && gauge(&p->in_use) > 0);
    gauge_set(&p->in_use, gauge(&p->in_use) - 1);
    if (gauge(&p->free) >= p->keep) {
        free(object);
        return;
    }
    struct pool_free *f = object;
    f->next = p->kept;
    p->kept = f;
    POISON(f, p->size);
    gauge_set(&p->free, gauge(&p->free) + 1);
}

struct pool_usage pool_usage(const struct pool *p)
{
    struct pool_usage u = {.in_use = gauge(&p->in_use), .free = gauge(&p->free)};
    u.bytes = (u.in_use + u.free) * p->size;
    return u;
}
