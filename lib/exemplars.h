/*
 * exemplars.h: for each bucket of a histogram, the last measurement whose trace can be looked at.
 *
 *     struct exemplars *e = exemplars_new(nworkers, nbuckets);
 *
 *     const struct exemplar x = {.trace = id, .value_ns = took_ns, .wall_us = clock_wall_us()};
 *     exemplars_put(e, worker_index, bucket, &x);              // by that worker only
 *
 *     if (exemplars_get(e, bucket, &x)) ...                    // any thread
 *
 * Striped as counters are (counter.h): a writer stores five words of its own and takes no lock; a reader
 * gets the youngest of all stripes, each whole: never the trace of one measurement with the value of another.
 *
 * Source: OpenMetrics 1.0, "Exemplars"; the sequence lock without fences is that of Hans Boehm, "Can seqlocks
 * get along with programming language memory models?" (2012).
 */
#ifndef LIB_EXEMPLARS_H
#define LIB_EXEMPLARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"
#include "lib/trace.h"

struct exemplars;

struct exemplar {
    struct trace_id trace;
    uint64_t value_ns; /* what was measured */
    int64_t wall_us;   /* when, since 1970 */
};

/* NULL: out of memory. */
MUST_USE struct exemplars *exemplars_new(size_t nstripes, size_t nbuckets);
void exemplars_free(struct exemplars *e);

/* Only the thread that STRIPE belongs to. */
void exemplars_put(struct exemplars *e, size_t stripe, size_t bucket, const struct exemplar *x);

/* False: there is none, or its writer was busy whenever it was looked at. */
MUST_USE bool exemplars_get(const struct exemplars *e, size_t bucket, struct exemplar *x);

#endif
