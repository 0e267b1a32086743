/*
 * tracer_otlp.h: traces as an export request of OTLP; a part of the tracer.
 *
 *     const struct tracer_otlp_from from = {.service = "gateway", .version = "1.0", .instance = "a"};
 *     char *json = tracer_otlp_json(&from, traces, n);            // free()
 *
 * Pure functions. Source: OpenTelemetry protocol 1.x, JSON encoding of ExportTraceServiceRequest: ids are
 * hex, numbers of 64 bits are text, enums are numbers. Attributes of the request's own span by the semantic
 * conventions for HTTP, where the trace does not say them already: http.request.method, url.path, http.route,
 * http.response.status_code, error.type; and ours: tollgate.request_id, tollgate.reason,
 * tollgate.dropped_spans.
 */
#ifndef GATEWAY_TRACER_OTLP_H
#define GATEWAY_TRACER_OTLP_H

#include "gateway/tracer.h"

/* The resource that has the spans. */
struct tracer_otlp_from {
    const char *service, *version, *instance;
};

/* Text from malloc; NULL: memory is short. */
MUST_USE char *tracer_otlp_json(const struct tracer_otlp_from *from, struct trace *const *traces, size_t n);

#endif
