/*
 * trace.h: distributed tracing: contexts as they travel between services, and the spans of one request.
 *
 *     struct trace_context c;
 *     if (!trace_parse(traceparent, &c))                        // W3C Trace Context; or trace_parse_b3
 *         c = trace_begin(random_next(&r), random_next(&r));    // a new trace
 *     c.is_sampled = ...;                                       // the parent's decision, or:
 *     trace_ratio_samples(&c.id, trace_ratio(0.01))
 *
 *     char text[TRACE_PARENT_LEN + 1];
 *     trace_format(&c, span_id, text);                          // for the next service
 *
 *     struct span_list spans;                                   // of a request, from its arena
 *     struct span *s = span_add(&spans, &arena, "connect", now_ns);
 *     span_end(s, now_ns);
 *
 * Contexts follow W3C Trace Context (level 1, and the random flag of level 2), names and kinds OpenTelemetry.
 * Parsing is strict: what is not a valid context is as if there were none, so that a hostile or broken peer
 * can do no more than begin a new trace. Nothing here allocates but from the arena that is given, and nothing
 * takes a lock.
 */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/slice.h"

#define TRACE_PARENT_LEN 55  /* "00-" 32 hex "-" 16 hex "-" 2 hex */
#define TRACE_STATE_MAX  512 /* bytes of tracestate that are passed on; see trace_state_is_valid */
#define SPANS_MAX        64  /* of one request; more are counted only */
#define SPAN_ATTRIBUTES  8   /* of one span, besides those of the request */

/* ---- contexts ---- */

struct trace_id {
    uint64_t high, low; /* as the 32 hex digits read, the first 16 are HIGH; never both 0 */
};

struct trace_context {
    struct trace_id id;
    uint64_t parent;   /* span id of who asked; 0: nobody, the trace begins here */
    bool is_sampled;   /* the parent's decision */
    bool has_decision; /* there was one; with W3C always, with B3 it may be deferred */
    bool is_debug;     /* B3: sampled whatever the others say */
    bool is_random;    /* W3C, level 2: the id's last 56 bits are random, says who began the trace */
};

/* A new trace of two random numbers. */
struct trace_context trace_begin(uint64_t random_high, uint64_t random_low);

/* The value of the one field traceparent. False: it is none; *OUT is untouched. A version above 00 is read as
 * far as it is known (not its random flag), ff is refused. All parsers leave *OUT alone when they say false.
 */
bool trace_parse(struct slice value, struct trace_context *out);

/* The value of the field b3: "TRACE-SPAN[-SAMPLED[-PARENT]]", or only the decision ("0", "1", "d"): then
 * OUT->id is zero and a new trace is to be begun with the decision. */
bool trace_parse_b3(struct slice value, struct trace_context *out);

/* The same of X-B3-TraceId (16 or 32 digits), -SpanId, -Sampled ("0", "1", and as old peers have it "false",
 * "true") and -Flags; an empty slice: not there. False also when none is there. */
bool trace_parse_b3_fields(struct slice trace, struct slice span, struct slice sampled, struct slice flags,
                           struct trace_context *out);

/* Whether all values of tracestate, joined by commas, may be passed on: at most 32 members (empty ones
 * count), keys unique, all well-formed, not longer than TRACE_STATE_MAX. */
bool trace_state_is_valid(struct slice joined);

/* traceparent for whom SPAN asks; OUT has TRACE_PARENT_LEN + 1 bytes. The random flag is passed on. */
void trace_format(const struct trace_context *c, uint64_t span, char *out);

/* b3, single: "TRACE-SPAN-1", -0 or -d; OUT has TRACE_B3_LEN + 1 bytes. */
#define TRACE_B3_LEN 51
void trace_format_b3(const struct trace_context *c, uint64_t span, char *out);

void trace_id_format(const struct trace_id *id, char out[33]);
void span_id_format(uint64_t id, char out[17]);
bool trace_id_parse(struct slice text, struct trace_id *out); /* 32 lower-case hex digits, not all 0 */

static inline bool trace_id_equals(struct trace_id a, struct trace_id b)
{
    return a.high == b.high && a.low == b.low;
}

/* A share of all traces, 0 (none) to 1 (all), as a bound for trace_ratio_samples: all services with the same
 * share decide alike, for it looks at the id's last 56 bits as OpenTelemetry's consistent sampling does. */
uint64_t trace_ratio(double share);
bool trace_ratio_samples(const struct trace_id *id, uint64_t ratio);

/* ---- spans ---- */

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 }; /* numbers of OTLP */

struct span_attribute {
    const char *name;  /* static */
    struct slice text; /* p == NULL: the number */
    int64_t number;
};

struct span {
    struct span *next; /* in the order they began */
    uint64_t id;       /* 0: not drawn yet; whoever exports draws it */
    uint64_t parent;   /* id; 0: of the request's own span */
    const char *name;  /* static */
    enum span_kind kind;
    uint64_t begin_ns, end_ns; /* monotonic; end 0: still open */
    bool failed;
    uint64_t link_span; /* 0: none; of another trace, or of this one */
    struct trace_id link_trace;
    unsigned nattributes;
    struct span_attribute *attributes; /* room for SPAN_ATTRIBUTES, from the arena with the first */
};

struct span_list {
    struct span *first, *last;
    unsigned n, dropped;
};

/* A span at the end of the list, from the arena. NULL: there are SPANS_MAX, or memory is short; all functions
 * on spans take NULL. */
struct span *span_add(struct span_list *l, struct arena *a, const char *name, uint64_t now_ns);

/* One that has ended stays as it is. */
void span_end(struct span *s, uint64_t now_ns);

/* TEXT must live as long as the span, and A is its arena. A name that is there already gets the new value;
 * what does not fit is left out. */
void span_set_text(struct span *s, struct arena *a, const char *name, struct slice text);
void span_set_number(struct span *s, struct arena *a, const char *name, int64_t number);
void span_link(struct span *s, struct trace_id trace, uint64_t span);

#endif
