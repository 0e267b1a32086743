/* tracer_ring.c: see tracer_ring.h. */
#include "gateway/tracer_ring.h"

#include <stdlib.h>

struct trace *trace_get(struct trace *t)
{
    /* Relaxed: who takes another reference has one. */
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void trace_put(struct trace *t)
{
    /* Release what was read of it, acquired by the one that frees. */
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        free(t);
}

void tracer_ring_init(struct tracer_ring *r)
{
    *r = (struct tracer_ring){.next = 0};
    CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
}

void tracer_ring_fini(struct tracer_ring *r)
{
    for (size_t i = 0; i < TRACER_RECENT; i++)
        trace_put(r->slots[i]);
    pthread_mutex_destroy(&r->lock);
}

void tracer_ring_add(struct tracer_ring *r, struct trace *t)
{
    trace_get(t);
    pthread_mutex_lock(&r->lock);
    struct trace *oldest = r->slots[r->next];
    r->slots[r->next] = t;
    r->next = (r->next + 1) % TRACER_RECENT;
    pthread_mutex_unlock(&r->lock);
    trace_put(oldest);
}

size_t tracer_ring_get(struct tracer_ring *r, struct trace *out[TRACER_RECENT])
{
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t back = 1; back <= TRACER_RECENT; back++) {
        struct trace *t = r->slots[(r->next + TRACER_RECENT - back) % TRACER_RECENT];
        if (!t)
            break;
        out[n++] = trace_get(t);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

void tracer_ring_put(struct trace *const *traces, size_t n)
{
    for (size_t i = 0; i < n; i++)
        trace_put(traces[i]);
}
