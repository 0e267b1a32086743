/* counter.c: allocation and sums; see counter.h. */
#include "lib/counter.h"

#include <stdlib.h>

#define PER_LINE (CACHE_LINE / sizeof(uint64_t))

struct counters *counters_new(size_t nstripes, size_t ncounters)
{
    size_t width = 0, total = 0, size = 0;
    if (__builtin_add_overflow(ncounters, PER_LINE - 1, &width))
        return NULL;
    width = width / PER_LINE * PER_LINE;
    if (__builtin_mul_overflow(nstripes, width, &total) ||
        __builtin_mul_overflow(total, sizeof(uint64_t), &size) ||
        __builtin_add_overflow(size, sizeof(struct counters), &size))
        return NULL;
    struct counters *c = aligned_alloc(CACHE_LINE, size); /* both parts are whole lines */
    if (!c)
        return NULL;
    c->nstripes = nstripes;
    c->ncounters = ncounters;
    c->width = width;
    for (size_t i = 0; i < total; i++)
        atomic_init(&c->numbers[i], 0);
    return c;
}

void counters_free(struct counters *c)
{
    free(c);
}

uint64_t counter_sum(const struct counters *c, size_t index)
{
    CHECK(index < c->ncounters);
    uint64_t sum = 0;
    for (size_t i = 0; i < c->nstripes; i++)
        sum += atomic_load_explicit(&c->numbers[i * c->width + index], memory_order_relaxed);
    return sum;
}
