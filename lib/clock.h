/*
 * clock.h: what time it is.
 *
 * Only the edges of the program ask (a loop's turn, an actor's tick); everything else is told the time as an
 * argument, so that tests need no waiting.
 *
 *     uint64_t now_ns = clock_now_ns();
 *     if (now_ns >= x->deadline_ns) ...
 *
 * Thread-safe; no system call where the kernel has a vDSO.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include "lib/check.h"

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND_NS      UINT64_C(1000000000)
#define CLOCK_MILLISECOND_NS UINT64_C(1000000)

/* Nanoseconds of a clock that never goes back and means nothing outside this machine's uptime. */
static inline uint64_t clock_now_ns(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * CLOCK_SECOND_NS + (uint64_t)t.tv_nsec;
}

/* Microseconds since 1970-01-01 UTC: for log lines and dates, never for deadlines, because it may jump. */
static inline int64_t clock_wall_us(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
