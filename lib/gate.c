/*
 * gate.c: see gate.h.
 *
 * Invariant: a word whose count is 0 is free, whatever its tag; only a holder of the count takes it away. So
 * a place cannot change its key while anybody is inside.
 */
#include "lib/gate.h"

#include <stdlib.h>

#define WAYS       7 /* places of a set; its flag is the eighth word */
#define COUNT_BITS 16
#define COUNT_MASK UINT64_C(0xffff)
#define SPINS      200

struct set {
    _Alignas(CACHE_LINE) gate_place places[WAYS];
    _Atomic uint64_t is_claiming;
};

struct gate {
    size_t mask;
    struct set sets[];
};

static uint64_t tag_of(struct gate_key key)
{
    return key.tag & ~COUNT_MASK;
}

struct gate *gate_new(size_t places)
{
    size_t nsets = 8;
    while (nsets * (WAYS + 1) < places)
        nsets *= 2;
    size_t size = sizeof(struct gate) + nsets * sizeof(struct set);
    struct gate *g = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!g)
        return NULL;
    g->mask = nsets - 1;
    for (size_t i = 0; i < nsets; i++) {
        for (size_t w = 0; w < WAYS; w++)
            atomic_init(&g->sets[i].places[w], 0);
        atomic_init(&g->sets[i].is_claiming, 0);
    }
    return g;
}

void gate_free(struct gate *g)
{
    free(g);
}

/* Add one to a place that has the key. False: it has another by now, or none. */
static bool join(gate_place *p, uint64_t tag, uint32_t max, bool *is_full)
{
    uint64_t word = atomic_load_explicit(p, memory_order_relaxed);
    *is_full = false;
    while ((word & ~COUNT_MASK) == tag && (word & COUNT_MASK) > 0) {
        *is_full = (word & COUNT_MASK) >= max;
        if (*is_full || atomic_compare_exchange_weak_explicit(p, &word, word + 1, memory_order_acquire,
                                                              memory_order_relaxed))
            return true;
    }
    return false;
}

/* Take a free place for the key. NULL: there is none. */
static gate_place *take(struct set *s, uint64_t tag)
{
    for (size_t w = 0; w < WAYS; w++) {
        uint64_t word = atomic_load_explicit(&s->places[w], memory_order_relaxed);
        if ((word & COUNT_MASK) == 0 &&
            atomic_compare_exchange_strong_explicit(&s->places[w], &word, tag | 1, memory_order_acquire,
                                                    memory_order_relaxed))
            return &s->places[w];
    }
    return NULL;
}

static gate_place *find(struct set *s, uint64_t tag, uint32_t max, bool *is_full)
{
    for (size_t w = 0; w < WAYS; w++)
        if (join(&s->places[w], tag, max, is_full))
            return &s->places[w];
    return NULL;
}

static bool claim(struct set *s)
{
    for (int i = 0; i < SPINS; i++)
        if (!atomic_exchange_explicit(&s->is_claiming, 1, memory_order_acquire))
            return true;
    return false;
}

enum gate_result gate_enter(struct gate *g, struct gate_key key, uint32_t max, gate_place **place)
{
    struct set *s = &g->sets[key.set & g->mask];
    const uint64_t tag = tag_of(key);
    bool is_full;
    *place = find(s, tag, max, &is_full);
    if (!*place) {
        bool claimed = claim(s);
        *place = find(s, tag, max, &is_full);
        if (!*place)
            *place = take(s, tag);
        if (claimed)
            atomic_store_explicit(&s->is_claiming, 0, memory_order_release);
    }
    if (!is_full)
        return GATE_IN;
    *place = NULL;
    return GATE_FULL;
}

void gate_leave(gate_place *place)
{
    if (place)
        CHECK((atomic_fetch_sub_explicit(place, 1, memory_order_release) & COUNT_MASK) > 0);
}

uint32_t gate_count(const struct gate *g, struct gate_key key)
{
    const struct set *s = &g->sets[key.set & g->mask];
    uint64_t n = 0;
    for (size_t w = 0; w < WAYS; w++) {
        uint64_t word = atomic_load_explicit(&s->places[w], memory_order_relaxed);
        n += (word & ~COUNT_MASK) == tag_of(key) ? word & COUNT_MASK : 0;
    }
    return (uint32_t)n;
}
