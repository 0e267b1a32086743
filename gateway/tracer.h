/*
 * tracer.h: where the traces of requests go: the last ones are kept to be looked at, and all are exported.
 *
 *     struct tracer *t = tracer_new(&setup, &err);
 *     tracer_offer(t, trace);                          // any worker, for a request whose trace is kept
 *     char *json = tracer_list_json(t, 100, true, NULL);   // to show them
 *     tracer_stop(t, 1000);
 *
 * An actor: it takes finished traces from the workers, keeps the last TRACER_RECENT of them in a ring, and
 * sends them in batches to an OTLP/HTTP endpoint (JSON, gzip) where the configuration names one. It never
 * slows a request: its mailbox is bounded, what finds it full is dropped and counted; a collector that does
 * not answer costs retries with growing pauses (jittered, Retry-After heeded) and, when the bound of what
 * waits is reached, the newest traces, counted too. A batch that was tried sixteen times, some five minutes,
 * is given up. Trouble is logged, at most once a minute while it runs.
 *
 * Formats: OTLP 1.x, JSON encoding of ExportTraceServiceRequest (ids in hex, numbers of 64 bits as text);
 * attributes by OpenTelemetry's semantic conventions for HTTP 1.2x.
 */
#ifndef GATEWAY_TRACER_H
#define GATEWAY_TRACER_H

#include <stdatomic.h>
#include <stddef.h>

#include "lib/check.h"
#include "lib/err.h"
#include "lib/mailbox.h"
#include "lib/trace.h"

#define TRACER_RECENT 512

struct tracer;
struct log;

/* What is exported of a span, and shown; texts lie behind the array, in the same block of memory. */
struct trace_event {
    const char *name; /* static: "exception" */
    const char *type; /* static: code of the err */
    struct slice text;
    uint64_t at_ns;
};

#define TRACE_EVENTS 8

/*
 * A request that is over: one block of memory, from malloc, with everything it points to inside (but for
 * static names). spans[0] is the request's own, kind SERVER; there is at least this one. Parents of the
 * others are ids of this list, or 0: of spans[0]. All ids are drawn. Times are monotonic; begin_wall_us
 * belongs to spans[0].begin_ns. A span without an end ends with spans[0].
 */
struct trace {
    struct message base; /* first; this and the next three are the tracer's, who sets them */
    struct trace *next;
    _Atomic unsigned refs;
    uint64_t taken_ns;
    struct trace_id id;
    uint64_t remote_parent; /* 0: none */
    struct slice state;     /* tracestate, or empty */
    bool is_sampled;        /* exported because of that; otherwise because it failed or was slow */
    bool is_error;
    bool is_local; /* not exported: only to be looked at here */
    int64_t begin_wall_us;
    unsigned status;
    struct slice name; /* of the request's span: "GET /api/users/" */
    struct slice request_id, method, path, route, reason;
    unsigned nevents;
    struct trace_event events[TRACE_EVENTS]; /* of spans[0]: the causes of its error, outermost first */
    unsigned dropped_spans;
    unsigned nspans;
    struct span spans[]; /* `next` is unused */
};

struct tracer_setup {
    const char *endpoint;       /* "http://collector:4318/v1/traces"; NULL: nothing is exported */
    const char *const *headers; /* "Name: value" each, for the endpoint */
    size_t nheaders;
    const char *service;  /* service.name */
    const char *version;  /* service.version */
    const char *instance; /* service.instance.id */
    uint32_t timeout_ms;  /* of an export; 0: 5 s */
    size_t queue;         /* spans that may wait; 0: 8192 */
    const char *ca;       /* file with certificates to trust for https; NULL: the system's */
    struct log *log;      /* may be NULL */
};

/* All of SETUP is copied, but the log. NULL with err. */
MUST_USE struct tracer *tracer_new(const struct tracer_setup *setup, struct err *err);

/* Any thread; takes T, also when it is dropped. Never waits. */
void tracer_offer(struct tracer *t, struct trace *trace);

/* No more offers. What waits is sent within WITHIN_MS, or dropped. Frees T, which may be NULL. */
void tracer_stop(struct tracer *t, unsigned within_ms);

/* ---- to be looked at; any thread, under a lock that workers never take ---- */

/* JSON from malloc; NULL: memory is short. The last ones, newest first, at most MAX; `slow`: those that took
 * longest first. FILTER: only those whose request or trace id begins so; NULL: all. An array of
 *   {"trace_id","request_id","time","method","path","route","status","reason","duration_ms","error":bool,
 *    "sampled":bool,"spans":N, "steps":{"limit":0.012,"cache":1.5,...}}     steps: ms by name of span, summed
 */
char *tracer_list_json(struct tracer *t, size_t max, bool slow, const char *filter);

/* One of them whole, by trace id (the newest of that trace) or by request id; NULL when there is none, or
 * memory is short. What the list says of it (its "spans" are an array here), "dropped_spans", and
 *   "spans":[{"id","parent" (or null),"name","kind","begin_ms","end_ms","failed":bool,"attributes":{...},
 *             "link":{"trace_id","span_id"} (where there is one)}],
 *   "events":[{"type","text","at_ms"}]
 * Times are from the begin of the request.
 */
char *tracer_show_json(struct tracer *t, const char *id);

struct tracer_stats {
    uint64_t kept, exported, dropped, failed; /* spans: taken; sent; dropped for want of room; given up */
    uint64_t exports, export_errors;          /* requests to the collector */
    size_t waiting;                           /* spans */
};

void tracer_stats(const struct tracer *t, struct tracer_stats *out);

#endif
