/*
 * sse.h: reading a stream of server-sent events.
 *
 *     static void on_event(void *ctx, const struct sse_event *e) { ... e->type, e->data ... }
 *     struct sse *s = sse_new(65536, on_event, ctx);
 *     sse_feed(s, bytes);                  // pieces of any size, as they come
 *     sse_restart(s);                      // the connection is a new one
 *     sse_free(s);
 *
 * All memory is taken at the start. An event with a longer line, or more data, than MAX bytes is left out and
 * counted; the events after it are read as usual. Fields "id" and "retry" are passed over: nobody here
 * resumes a stream.
 *
 * One thread. Source: HTML Living Standard, 9.2.6 (interpreting an event stream).
 */
#ifndef LIB_SSE_H
#define LIB_SSE_H

#include "lib/check.h"
#include "lib/slice.h"

struct sse;

/* Lent during the call. */
struct sse_event {
    struct slice type; /* "message" when the event has none */
    struct slice data; /* its lines, with a line feed between them; may hold any other byte */
};

typedef void sse_fn(void *ctx, const struct sse_event *e);

/* NULL: out of memory. */
MUST_USE struct sse *sse_new(size_t max, sse_fn *on_event, void *ctx);
void sse_free(struct sse *s);

/* The next bytes. ON_EVENT is called before this returns, and must not feed or free S. */
void sse_feed(struct sse *s, struct slice bytes);

/* Another stream begins; an event that is not complete is forgotten. */
void sse_restart(struct sse *s);

/* Events that were left out. */
uint64_t sse_dropped(const struct sse *s);

#endif
