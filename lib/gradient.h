/*
 * gradient.h: how many requests a backend can take at once, learnt from how long they take.
 *
 * A server that is given more than it can work on does not get more done, it only answers later. So the
 * latency of the last moments (short-term) is compared with that of calm times (long-term). While it is not
 * worse, the limit grows, by its square root; when it is, the limit shrinks in proportion. It settles near
 * what Little's law asks for, capacity x base latency, plus a short queue that keeps the server busy.
 *
 *     gradient_init(&g, &policy, now_ns);
 *     ...
 *     if (!bulkhead_enter(b)) refuse;
 *     ...                                                              // the answer has come
 *     if (gradient_sample(&g, now_ns, latency_ns, bulkhead_inside(b)))
 *         bulkhead_resize(b, gradient_limit(&g));
 *     bulkhead_leave(b);
 *
 * Give it the latency of requests that the backend worked on: the time to the first byte, also of those that
 * timed out; not that of refused connections, which are fast for no good reason.
 *
 * The long-term latency is measured while in flight is at most half of the limit. When load leaves no such
 * time for calm_every windows, one is made: the limit is halved for two windows or a few more. Without that,
 * the queue of a busy server would be taken for its nature after a while, and the limit would drift up.
 *
 * Any thread; lock-free: samples are added up in one atomic, and whoever finds a window over updates the
 * limit, unless another one is at it. Times are monotonic ns; latencies above 16 s count as 16 s. Source: the
 * gradient limit of Netflix' concurrency-limits; the calm windows are as in Envoy's adaptive concurrency
 * filter; both go back to TCP Vegas (Brakmo and Peterson, 1995).
 */
#ifndef LIB_GRADIENT_H
#define LIB_GRADIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

#define GRADIENT_WHOLE 10000

struct gradient_policy {
    uint32_t min, max, initial; /* the limit; 1 <= min <= initial <= max */
    uint64_t window_ns;         /* of the short term, at least this */
    uint32_t min_samples;       /* a window with fewer goes on; at least 1 */
    uint32_t tolerance;         /* short-term latency that is no worse, per long-term, in 1/10000: 11000 */
    uint32_t smoothing;         /* how far a window moves the limit to where it should be: 2000 of 10000 */
    uint32_t calm_every;        /* windows, at most, between measurements of the long term: 100 */
};

/* No field is for the user. */
struct gradient {
    _Alignas(CACHE_LINE) struct gradient_policy policy;
    _Atomic uint32_t limit;
    _Atomic uint64_t ends_ns;                      /* of the window */
    _Atomic uint64_t long_us, short_us;            /* for the view */
    _Alignas(CACHE_LINE) _Atomic uint64_t samples; /* number and sum */
    _Atomic uint32_t peak;                         /* in flight */
    _Alignas(CACHE_LINE) atomic_flag is_busy;      /* guards what follows */
    int phase;
    unsigned since_calm; /* windows */
    unsigned settling;   /* windows */
    double exact;        /* the limit, when not calm */
    double long_term;    /* us; 0: not known yet */
};

struct gradient_view {
    uint32_t limit;
    uint64_t long_ns, short_ns; /* 0: not known yet */
};

void gradient_init(struct gradient *g, const struct gradient_policy *policy, uint64_t now_ns);

/* One answer, while IN_FLIGHT were, itself included. True: the limit has changed. */
bool gradient_sample(struct gradient *g, uint64_t now_ns, uint64_t latency_ns, uint32_t in_flight);

uint32_t gradient_limit(const struct gradient *g);

struct gradient_view gradient_view(const struct gradient *g);

#endif
