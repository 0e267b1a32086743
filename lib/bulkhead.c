/*
 * bulkhead.c: see bulkhead.h.
 *
 * A compare-and-swap and not "raise, look, lower again": that would let those who are about to be refused
 * take the room of others for a moment.
 *
 * Relaxed everywhere: the number guards no other memory.
 */
#include "lib/bulkhead.h"

bool bulkhead_enter(struct bulkhead *b)
{
    uint32_t inside = atomic_load_explicit(&b->inside, memory_order_relaxed);
    do {
        if (inside >= atomic_load_explicit(&b->max, memory_order_relaxed))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->inside, &inside, inside + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void bulkhead_leave(struct bulkhead *b)
{
    uint32_t was = atomic_fetch_sub_explicit(&b->inside, 1, memory_order_relaxed);
    CHECK(was > 0);
}

void bulkhead_resize(struct bulkhead *b, uint32_t max)
{
    atomic_store_explicit(&b->max, max, memory_order_relaxed);
}

uint32_t bulkhead_max(const struct bulkhead *b)
{
    return atomic_load_explicit(&b->max, memory_order_relaxed);
}

uint32_t bulkhead_inside(const struct bulkhead *b)
{
    return atomic_load_explicit(&b->inside, memory_order_relaxed);
}
