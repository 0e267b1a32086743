/* quantile.c: see quantile.h. */
#include "lib/quantile.h"

#define UNIT  256
#define STEPS 16
#define MOST  (UINT64_C(1) << 31)

void quantile_init(struct quantile *q, uint32_t share)
{
    atomic_init(&q->estimate, 0);
    q->share = share;
}

void quantile_add(struct quantile *q, uint32_t sample)
{
    uint64_t at = atomic_load_explicit(&q->estimate, memory_order_relaxed);
    uint64_t value = (sample < MOST ? sample : MOST) * UNIT;
    if (at == 0)
        at = value > 0 ? value : 1;
    else if (value > at)
        at += at * q->share / (QUANTILE_WHOLE * STEPS) + 1;
    else
        at -= at * (QUANTILE_WHOLE - q->share) / (QUANTILE_WHOLE * STEPS);
    atomic_store_explicit(&q->estimate, at, memory_order_relaxed);
}

uint32_t quantile_get(const struct quantile *q)
{
    uint64_t at = atomic_load_explicit(&q->estimate, memory_order_relaxed);
    return (uint32_t)((at + UNIT - 1) / UNIT);
}
