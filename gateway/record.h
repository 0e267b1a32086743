/*
 * record.h: what is known of a request when it is over.
 *
 * The exchange fills one, and from it alone come the access log line and the metrics. All slices are lent
 * until the call that takes the record returns. Times are nanoseconds of the monotonic clock, 0 where the
 * moment never came.
 */
#ifndef GATEWAY_RECORD_H
#define GATEWAY_RECORD_H

#include "gateway/cache_status.h"
#include "gateway/limit.h"
#include "gateway/reason.h"
#include "lib/cidr.h"
#include "lib/err.h"
#include "lib/http.h"

struct metrics_route;
struct metrics_backend;

struct record {
    int64_t wall_us; /* when the request began: microseconds since 1970, UTC */
    uint64_t begin_ns;
    uint64_t end_ns;

    struct slice request_id;
    struct slice trace_id; /* 32 hex digits */
    struct slice span_id;  /* 16 hex digits: our own span */
    bool is_sampled;       /* its trace is exported, whatever becomes of it */
    struct ip client_ip;
    struct slice method;
    enum http_method method_kind;
    struct slice host;
    struct slice path; /* in normal form, or raw when it was refused */
    struct slice query;
    unsigned http_minor; /* 0 or 1 */
    bool client_tls;
    struct slice consumer; /* who, where the route asks; empty: nobody in particular */
    struct slice user_agent;
    struct slice referer;

    unsigned status;    /* sent to the client, or 499 */
    uint64_t bytes_in;  /* of the request's body */
    uint64_t bytes_out; /* of the answer's body, as far as it was sent */
    enum reason reason;
    const struct err *err; /* cause chain; NULL: none */

    enum cache_status cache;

    enum limit_result limit;      /* LIMIT_NONE: the route has none, or the client is exempt */
    enum limit_store limit_store; /* what that was decided with */

    struct slice route;   /* name; empty: none */
    struct slice backend; /* name; empty: none */
    struct slice upstream_addr;
    unsigned upstream_status;        /* 0: none */
    unsigned retries;                /* tries after the first */
    uint64_t upstream_tried_ns;      /* the first try began; 0: there was only the one of upstream_begin_ns */
    uint64_t upstream_begin_ns;      /* the try began (connection wanted) */
    uint64_t upstream_connected_ns;  /* connection in hand */
    uint64_t upstream_first_byte_ns; /* of the answer */
    uint64_t upstream_end_ns;        /* last byte of the answer */
    bool upstream_reused;            /* on a kept connection */

    struct metrics_route *metrics_route;     /* NULL: none */
    struct metrics_backend *metrics_backend; /* NULL: none */
};

/* From A to B; 0 when either never came, or they came the other way round. */
static inline uint64_t record_span_ns(uint64_t a, uint64_t b)
{
    return a != 0 && b > a ? b - a : 0;
}

static inline uint64_t record_total_ns(const struct record *r)
{
    return record_span_ns(r->begin_ns, r->end_ns);
}

/* How long backends had the request, from the first try to the end of the last; never more than the total. */
static inline uint64_t record_upstream_ns(const struct record *r)
{
    uint64_t begin = r->upstream_tried_ns ? r->upstream_tried_ns : r->upstream_begin_ns;
    uint64_t end = r->upstream_end_ns ? r->upstream_end_ns : r->end_ns;
    uint64_t upstream = record_span_ns(begin, end), total = record_total_ns(r);
    return upstream < total ? upstream : total;
}

#endif
