/*
 * histogram.c: see histogram.h.
 *
 * The bucket of a duration is read off its bits: the place of the highest one gives the power of two, the two
 * bits after it the quarter. The count of all is not kept apart but summed from the buckets, so that a
 * snapshot taken while others count is never at odds with itself; only sum_ns may be an instant ahead or
 * behind.
 */
#include "lib/histogram.h"

#include <stdlib.h>

#define SUBS (1U << HISTOGRAM_SUB_BITS)
#define LAST (HISTOGRAM_BUCKETS - 1)

struct stripe {
    _Alignas(CACHE_LINE) _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

struct histogram {
    size_t nstripes;
    struct stripe stripes[];
};

unsigned histogram_bucket(uint64_t ns)
{
    if (ns < (UINT64_C(1) << HISTOGRAM_LOW_BIT))
        return 0;
    unsigned high = 63 - (unsigned)__builtin_clzll(ns);
    if (high >= HISTOGRAM_HIGH_BIT)
        return LAST;
    unsigned sub = (unsigned)(ns >> (high - HISTOGRAM_SUB_BITS)) & (SUBS - 1);
    return 1 + (high - HISTOGRAM_LOW_BIT) * SUBS + sub;
}

uint64_t histogram_bucket_from(unsigned bucket)
{
    if (bucket == 0)
        return 0;
    unsigned high = HISTOGRAM_LOW_BIT + (bucket - 1) / SUBS;
    uint64_t sub = (bucket - 1) % SUBS;
    return (SUBS + sub) << (high - HISTOGRAM_SUB_BITS);
}

struct histogram *histogram_new(size_t nstripes)
{
    size_t size = 0;
    if (__builtin_mul_overflow(nstripes, sizeof(struct stripe), &size) ||
        __builtin_add_overflow(size, sizeof(struct histogram), &size))
        return NULL;
    struct histogram *h = aligned_alloc(CACHE_LINE, size); /* both parts are whole lines */
    if (!h)
        return NULL;
    h->nstripes = nstripes;
    for (size_t i = 0; i < nstripes; i++) {
        atomic_init(&h->stripes[i].sum_ns, 0);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            atomic_init(&h->stripes[i].buckets[b], 0);
    }
    return h;
}

void histogram_free(struct histogram *h)
{
    free(h);
}

/* Relaxed, and no read-modify-write: a single writer, and readers that want nothing but the number. */
static void raise_by(_Atomic uint64_t *number, uint64_t n)
{
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void histogram_add(struct histogram *h, size_t stripe, uint64_t ns)
{
    CHECK(stripe < h->nstripes);
    struct stripe *s = &h->stripes[stripe];
    raise_by(&s->buckets[histogram_bucket(ns)], 1);
    raise_by(&s->sum_ns, ns);
}

void histogram_read(const struct histogram *h, struct histogram_snapshot *s)
{
    for (size_t i = 0; i < h->nstripes; i++) {
        const struct stripe *from = &h->stripes[i];
        s->sum_ns += atomic_load_explicit(&from->sum_ns, memory_order_relaxed);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
            uint64_t n = atomic_load_explicit(&from->buckets[b], memory_order_relaxed);
            s->buckets[b] += n;
            s->count += n;
        }
    }
}

/* The last bucket has no end: as far as anyone can tell, all of it lies above every bound. */
static uint64_t count_up_to(const struct histogram_snapshot *s, double bound_ns)
{
    uint64_t sum = 0;
    for (unsigned b = 0; b < LAST; b++) {
        double from = (double)histogram_bucket_from(b);
        double to = (double)histogram_bucket_from(b + 1);
        if (bound_ns < to) {
            double share = bound_ns > from ? (bound_ns - from) / (to - from) : 0;
            return sum + (uint64_t)((double)s->buckets[b] * share);
        }
        sum += s->buckets[b];
    }
    return sum;
}

void histogram_cumulative(const struct histogram_snapshot *s, const double *bounds, size_t n,
                          uint64_t *counts)
{
    for (size_t i = 0; i < n; i++)
        counts[i] = count_up_to(s, bounds[i] * 1e9);
}

double histogram_quantile(const struct histogram_snapshot *s, double q)
{
    double wanted = (double)s->count * q;
    double before = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        double n = (double)s->buckets[b];
        double from = (double)histogram_bucket_from(b);
        if (n > 0 && before + n >= wanted) {
            double to = b == LAST ? from : (double)histogram_bucket_from(b + 1);
            double share = wanted > before ? (wanted - before) / n : 0;
            return (from + (to - from) * share) / 1e9;
        }
        before += n;
    }
    return 0;
}
