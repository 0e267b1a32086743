/*
 * tracing.h: the trace of a request: whose it is, what it waited for, and whether it is kept.
 *
 *     identify     tracing_identify: the trace of the client's request goes on, or a new one begins
 *     the engine   tracing_enter, tracing_park, tracing_leave: a span for each step
 *     a step       tracing_wait: what it waits for, until the exchange runs again
 *     forward      tracing_try: the backend is asked; tracing_add: and told which span asks
 *     the end      tracing_finish: the spans go to the tracer (tracer.h), or nowhere
 *
 * Every request has a trace, for the price of three random numbers. What is kept of it is decided twice: when
 * it begins, by the parent's decision or by the ratio (`sample`); and when it is over, for what failed, took
 * longer than `slow`, or is the slowest of its moment. A sampled request has spans of all its steps, by the
 * clock. Any other one has spans of the steps that waited, by the time of the loop's turn, which costs no
 * look at the clock.
 *
 * Contexts are read and written only where the configuration has a section tracing; without it they pass
 * through as other fields do. Only what is sampled, failed or slow is exported; the slowest of their moment
 * are for the admin port alone.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_TRACING_H
#define GATEWAY_TRACING_H

#include "lib/buf.h"
#include "lib/http.h"
#include "lib/trace.h"

struct endpoint;
struct exchange;

#define TRACING_TAIL_MAX 100 /* traces a second that a worker keeps because they failed or were slow */

/* A backend is asked. */
struct tracing_try {
    uint64_t span; /* its id; 0: none, or it was told of */
    uint64_t begin_ns;
    bool is_tls;
};

/* The exchange's part. */
struct tracing {
    struct trace_context context; /* is_sampled: our decision */
    struct slice state;           /* tracestate that goes on; empty: none */
    uint64_t span;                /* id of the request's own */
    struct tracing_try try;       /* under way */
    struct tracing_try hedge;     /* a second one beside it */
    bool is_on;                   /* contexts are ours to write */
    struct span_list spans;
    struct span *step;          /* it is at; NULL: none that is told of */
    struct span *wait;          /* what it waits for; NULL: nothing */
    struct tracing_block *held; /* the trace, while the exchange goes on without its client */
};

/* The worker's part: what bounds the traces that are kept for another reason than sampling. */
struct tracing_tail {
    uint64_t second_began_ns;
    unsigned kept;       /* in this second */
    uint64_t slowest_ns; /* duration to be exceeded by whatever is the slowest of its moment */
};

/* Read the context, decide, and tell the record. */
void tracing_identify(struct exchange *x);

/* Whether a field of the client's request is replaced by ours, and ours. SPAN: who asks. */
bool tracing_owns(const struct exchange *x, struct slice name);
void tracing_add(const struct exchange *x, uint64_t span, struct buf *b);

/* A step of a sampled request begins; any step is parked; one that has a span is over; and an exchange that
 * waits runs again. */
void tracing_enter(struct exchange *x, const char *step);
void tracing_park(struct exchange *x, const char *step);
void tracing_leave(struct exchange *x);
void tracing_resume(struct exchange *x);

/* The step that runs will be parked for WHAT (static). The span, to be linked to others; NULL: no room. */
struct span *tracing_wait(struct exchange *x, const char *what);

/* E is asked from now on. The try under way has failed, and another may follow. */
void tracing_try(struct exchange *x, const struct endpoint *e);
void tracing_try_failed(struct exchange *x);

/* E is asked beside it. Whoever answers first goes on as the try; the other one is told of as
 * tollgate.hedge: lost. */
void tracing_hedge(struct exchange *x, const struct endpoint *e);
void tracing_hedge_won(struct exchange *x);
void tracing_hedge_lost(struct exchange *x);

/* A span's id, never 0. */
uint64_t tracing_draw_id(const struct exchange *x);

/* The host of an address as endpoints have it; *PORT: 0 when it has none. */
struct slice tracing_host(struct slice addr, uint64_t *port);

/* The record is complete: keep the trace, or not. GOES_ON: the exchange has no client any more and goes on
 * for the cache; then its trace waits for tracing_finish_orphan. */
void tracing_finish(struct exchange *x, bool goes_on);
void tracing_finish_orphan(struct exchange *x);

#endif
