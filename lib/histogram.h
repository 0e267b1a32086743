/*
 * histogram.h: how long things took.
 *
 * Durations are counted in buckets that grow with them: four for each power of two from about 1 us to 137 s,
 * one below, one above. So a quantile is off by less than a quarter of itself. Striped as counters
 * are (counter.h): each thread counts in memory of its own.
 *
 *     struct histogram *h = histogram_new(nworkers);
 *     histogram_add(h, worker_index, end_ns - begin_ns);          // by that worker only
 *
 *     struct histogram_snapshot s = {0};                          // any thread
 *     histogram_read(h, &s);
 *     static const double bounds[] = {0.005, 0.05, 0.5};
 *     uint64_t cumulative[3];
 *     histogram_cumulative(&s, bounds, 3, cumulative);            // and s.count is that of +Inf
 *     double p99 = histogram_quantile(&s, 0.99);
 */
#ifndef LIB_HISTOGRAM_H
#define LIB_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"

#define HISTOGRAM_LOW_BIT  10 /* 2^10 ns: the first bucket is below */
#define HISTOGRAM_HIGH_BIT 37 /* 2^37 ns: the last bucket is from there on */
#define HISTOGRAM_SUB_BITS 2  /* 2^2 buckets for each power of two */
#define HISTOGRAM_BUCKETS  (((HISTOGRAM_HIGH_BIT - HISTOGRAM_LOW_BIT) << HISTOGRAM_SUB_BITS) + 2)

struct histogram;

/* A copy of the counts, the caller's own. */
struct histogram_snapshot {
    uint64_t count; /* of all buckets */
    uint64_t sum_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* NULL: out of memory. */
MUST_USE struct histogram *histogram_new(size_t nstripes);
void histogram_free(struct histogram *h);

/* Only the thread that STRIPE belongs to. */
void histogram_add(struct histogram *h, size_t stripe, uint64_t ns);

/* Add what H holds to *S, so that several can be seen as one; begin with {0}. Any thread. */
void histogram_read(const struct histogram *h, struct histogram_snapshot *s);

/*
 * How many took at most BOUNDS[i] seconds, for N bounds in any order. A bound inside a bucket takes its share
 * of it; the numbers never fall as the bound or time grows, as Prometheus wants of `le`.
 */
void histogram_cumulative(const struct histogram_snapshot *s, const double *bounds, size_t n,
                          uint64_t *counts);

/* Seconds within which the share Q (0 to 1) of all ended; 0 when there are none. */
double histogram_quantile(const struct histogram_snapshot *s, double q);

/* The bucket of a duration, and its limits: from histogram_bucket_from(i) up to, but not with, that of i + 1,
 * in ns. */
unsigned histogram_bucket(uint64_t ns);
uint64_t histogram_bucket_from(unsigned bucket);

#endif
