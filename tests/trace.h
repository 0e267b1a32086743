/*
 * trace.h: requests as a cache meets them: often for the same few, by Zipf's law, and now and then a scan
 * over what is never asked for again. For those who compare what a cache hits with what LRU would.
 */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include <math.h>
#include <stdlib.h>

#include "lib/random.h"

struct trace {
    int universe;   /* objects that are asked for again; those of scans have the numbers from it on */
    int period;     /* requests, of which the last fifth is a scan */
    int n, scanned; /* so far */
    struct random random;
    double sum[];
};

/* To be freed with free(). */
static inline struct trace *trace_new(int universe, int period, double exponent)
{
    struct trace *t = calloc(1, sizeof(*t) + (size_t)universe * sizeof(double));
    t->universe = universe;
    t->period = period;
    for (int i = 0; i < universe; i++)
        t->sum[i] = (i ? t->sum[i - 1] : 0) + 1 / pow(i + 1, exponent);
    random_seed_with(&t->random, 11);
    return t;
}

static inline int trace_next(struct trace *t)
{
    if (t->n++ % t->period >= t->period / 5 * 4)
        return t->universe + t->scanned++;
    double want = (double)(random_next(&t->random) >> 11) / 9007199254740992.0 * t->sum[t->universe - 1];
    int low = 0, high = t->universe - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (t->sum[middle] < want)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What LRU with ROOM objects hits of so many requests of T, which is used up: by time stamps, and a ring of
 * what was used when. */
static inline int trace_lru_hits(struct trace *t, int requests, size_t room)
{
    int *used = calloc((size_t)(t->universe + requests), sizeof(int));
    int *ring = calloc((size_t)requests + 1, sizeof(int));
    int hits = 0, oldest = 1;
    size_t n = 0;
    for (int now = 1; now <= requests; now++) {
        int i = trace_next(t);
        hits += used[i] > 0;
        n += used[i] == 0;
        used[i] = now;
        ring[now] = i;
        for (; n > room; oldest++)
            if (used[ring[oldest]] == oldest) {
                used[ring[oldest]] = 0;
                n--;
            }
    }
    free(used);
    free(ring);
    free(t);
    return hits;
}

#endif
