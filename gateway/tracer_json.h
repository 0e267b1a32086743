/*
 * tracer_json.h: traces as JSON to be looked at; a part of the tracer.
 *
 *     char *list = tracer_json_list(traces, n, 100, true);     // free(); NULL: memory is short
 *     char *one = tracer_json_show(traces[0]);
 *
 * Text comes from clients: what is not UTF-8 is replaced. Pure functions.
 */
#ifndef GATEWAY_TRACER_JSON_H
#define GATEWAY_TRACER_JSON_H

#include "gateway/tracer.h"

/* When a span ended, were it still open or its clock wrong: never before it began. */
uint64_t trace_span_end_ns(const struct trace *t, const struct span *s);

/* See tracer_list_json and tracer_show_json. TRACES: newest first; their order may be changed. */
char *tracer_json_list(struct trace **traces, size_t n, size_t max, bool slow);
char *tracer_json_show(const struct trace *t);

#endif
