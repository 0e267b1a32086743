/*
 * counter.h: numbers that many threads raise and few ever read.
 *
 * Every thread has a stripe of its own, on cache lines of its own, and raises its numbers there by a plain
 * load, add and store: no lock, no locked instruction, no line that travels between processors. A reader sums
 * over the stripes.
 *
 *     enum { REQUESTS, BYTES, NCOUNTERS };
 *     struct counters *c = counters_new(nworkers, NCOUNTERS);
 *     counter_add(c, worker_index, REQUESTS, 1);          // by that worker only
 *     uint64_t n = counter_sum(c, REQUESTS);              // any thread
 *
 * A sum is not of one moment, but never misses what was added before it began, as far as the reader can know
 * of it, and never goes back. Sums wrap at 2^64.
 */
#ifndef LIB_COUNTER_H
#define LIB_COUNTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

/* No field is for the user; here so that counter_add is a few instructions. */
struct counters {
    size_t nstripes;
    size_t ncounters;
    size_t width; /* numbers from one stripe to the next: whole cache lines */
    _Alignas(CACHE_LINE) _Atomic uint64_t numbers[];
};

/* All zero. NULL: out of memory. */
MUST_USE struct counters *counters_new(size_t nstripes, size_t ncounters);
void counters_free(struct counters *c);

/* Only the thread that STRIPE belongs to. */
static inline void counter_add(struct counters *c, size_t stripe, size_t index, uint64_t n)
{
    CHECK(stripe < c->nstripes && index < c->ncounters);
    _Atomic uint64_t *number = &c->numbers[stripe * c->width + index];
    /* Relaxed: a single writer, and readers that want nothing but the number. */
    uint64_t old = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, old + n, memory_order_relaxed);
}

uint64_t counter_sum(const struct counters *c, size_t index);

#endif
