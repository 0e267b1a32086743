/*
 * tracer_ring.h: the last traces, to be looked at; a part of the tracer.
 *
 *     tracer_ring_add(&ring, trace);                        // the tracer's actor
 *
 *     struct trace *traces[TRACER_RECENT];                  // any other thread, but no worker
 *     size_t n = tracer_ring_get(&ring, traces);            // newest first
 *     tracer_ring_put(traces, n);
 *
 * Traces are counted: one that is shown may leave the ring meanwhile. The lock is held for as long as it
 * takes to copy the pointers.
 */
#ifndef GATEWAY_TRACER_RING_H
#define GATEWAY_TRACER_RING_H

#include <pthread.h>

#include "gateway/tracer.h"

struct tracer_ring {
    pthread_mutex_t lock;
    struct trace *slots[TRACER_RECENT]; /* NULL: never used */
    size_t next;                        /* the slot of the oldest */
};

void tracer_ring_init(struct tracer_ring *r);
void tracer_ring_fini(struct tracer_ring *r);

/* T gets one more reference; the oldest one is let go. */
void tracer_ring_add(struct tracer_ring *r, struct trace *t);

/* How many there are in OUT, each with a reference. */
size_t tracer_ring_get(struct tracer_ring *r, struct trace *out[TRACER_RECENT]);
void tracer_ring_put(struct trace *const *traces, size_t n);

/* One reference more, one less. */
struct trace *trace_get(struct trace *t);
void trace_put(struct trace *t);

#endif
