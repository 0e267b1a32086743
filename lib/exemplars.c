/*
 * exemplars.c: see exemplars.h.
 *
 * Each place is a sequence lock: its number is odd while the words are being written, and a reader that finds
 * it odd, or changed afterwards, looks again. Fences are not used, because the thread sanitizer does not know
 * them: the words are stored with release and loaded with acquire instead, so that a reader that got a word
 * of a later writing also gets its odd number. On x86 that costs nothing.
 */
#include "lib/exemplars.h"

#include <stdatomic.h>
#include <stdlib.h>

#define TRIES 16 /* a writer is done within some ns, unless its thread was put off in between */

enum word { TRACE_HIGH, TRACE_LOW, VALUE, WALL, WORDS };

struct place {
    _Atomic uint64_t number; /* 0: never written; odd: being written */
    _Atomic uint64_t words[WORDS];
};

struct exemplars {
    size_t nstripes, nbuckets;
    size_t width; /* places from one stripe to the next: whole cache lines */
    _Alignas(CACHE_LINE) struct place places[];
};

struct exemplars *exemplars_new(size_t nstripes, size_t nbuckets)
{
    size_t per_line = CACHE_LINE / sizeof(_Atomic uint64_t);
    size_t width = (nbuckets + per_line - 1) / per_line * per_line, size = 0;
    if (nbuckets > SIZE_MAX / 2 || __builtin_mul_overflow(nstripes, width, &size) ||
        __builtin_mul_overflow(size, sizeof(struct place), &size) ||
        __builtin_add_overflow(size, sizeof(struct exemplars), &size))
        return NULL;
    struct exemplars *e = aligned_alloc(CACHE_LINE, size);
    if (!e)
        return NULL;
    e->nstripes = nstripes;
    e->nbuckets = nbuckets;
    e->width = width;
    for (size_t i = 0; i < nstripes * width; i++) {
        atomic_init(&e->places[i].number, 0);
        for (unsigned w = 0; w < WORDS; w++)
            atomic_init(&e->places[i].words[w], 0);
    }
    return e;
}

void exemplars_free(struct exemplars *e)
{
    free(e);
}

void exemplars_put(struct exemplars *e, size_t stripe, size_t bucket, const struct exemplar *x)
{
    CHECK(stripe < e->nstripes && bucket < e->nbuckets);
    struct place *p = &e->places[stripe * e->width + bucket];
    const uint64_t words[WORDS] = {x->trace.high, x->trace.low, x->value_ns, (uint64_t)x->wall_us};
    /* Relaxed: this thread alone writes it. */
    uint64_t number = atomic_load_explicit(&p->number, memory_order_relaxed);
    atomic_store_explicit(&p->number, number + 1, memory_order_relaxed);
    /* Release: the odd number first. Partner: the acquire loads of the words in read_place. */
    for (unsigned w = 0; w < WORDS; w++)
        atomic_store_explicit(&p->words[w], words[w], memory_order_release);
    /* Release: the words first. Partner: the first load of read_place. */
    atomic_store_explicit(&p->number, number + 2, memory_order_release);
}

static bool read_place(const struct place *p, struct exemplar *x)
{
    uint64_t words[WORDS];
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = atomic_load_explicit(&p->number, memory_order_acquire);
        if (before == 0)
            return false;
        for (unsigned w = 0; w < WORDS; w++)
            words[w] = atomic_load_explicit(&p->words[w], memory_order_acquire);
        /* Relaxed: the acquire loads above keep it behind them. */
        if (before % 2 == 0 && before == atomic_load_explicit(&p->number, memory_order_relaxed)) {
            *x = (struct exemplar){{words[TRACE_HIGH], words[TRACE_LOW]}, words[VALUE], (int64_t)words[WALL]};
            return true;
        }
    }
    return false;
}

bool exemplars_get(const struct exemplars *e, size_t bucket, struct exemplar *x)
{
    bool found = false;
    struct exemplar one;
    CHECK(bucket < e->nbuckets);
    for (size_t i = 0; i < e->nstripes; i++)
        if (read_place(&e->places[i * e->width + bucket], &one) && (!found || one.wall_us > x->wall_us)) {
            *x = one;
            found = true;
        }
    return found;
}
