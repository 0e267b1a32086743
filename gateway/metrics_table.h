/*
 * metrics_table.h: the inside of struct metrics, shared by the one who counts (metrics.c) and the one who
 * prints (metrics_text.c).
 *
 * Numbers of a stripe are written by the worker it belongs to and read by anybody, relaxed. The lists of
 * routes and backends only grow, under the lock; an entry's names and pointers never change.
 */
#ifndef GATEWAY_METRICS_TABLE_H
#define GATEWAY_METRICS_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/cache_status.h"
#include "gateway/limit.h"
#include "gateway/metrics.h"
#include "gateway/reason.h"
#include "lib/counter.h"
#include "lib/exemplars.h"
#include "lib/histogram.h"
#include "lib/http.h"

/* How often a pair of method and status was seen. */
struct metrics_cell {
    _Atomic uint32_t key; /* 0: free; set once, after the number */
    _Atomic uint64_t n;
};

/* Open addressing, without removal: a pair stands in the first cell from its hash on that was free when it
 * came. */
struct metrics_codes {
    _Alignas(CACHE_LINE) struct metrics_cell cells[METRICS_CODES];
    _Atomic uint64_t other[HTTP_METHODS]; /* for pairs that found no cell */
};

#define METRICS_STATUS_MAX 999

static inline uint32_t metrics_key(enum http_method method, unsigned status)
{
    return ((uint32_t)method + 1) << 16 | status;
}

static inline enum http_method metrics_key_method(uint32_t key)
{
    return (enum http_method)((key >> 16) - 1);
}

static inline unsigned metrics_key_status(uint32_t key)
{
    return key & 0xffff;
}

/* Decisions of limits, by store, and what became of requests in the cache, are counted under their results.
 */
enum metrics_route_counter {
    ROUTE_BYTES_IN,
    ROUTE_BYTES_OUT,
    ROUTE_LIMITS,
    ROUTE_CACHE = ROUTE_LIMITS + LIMIT_RESULTS * LIMIT_STORES,
    ROUTE_COUNTERS = ROUTE_CACHE + CACHE_STATUSES
};

/* Errors of a backend are counted under their reason; behind them: */
enum metrics_backend_counter { BACKEND_RETRIES = REASONS, BACKEND_COUNTERS };

/* ---- durations ---- */

#define METRICS_BOUNDS 20

/* Upper ends of a histogram's buckets in seconds, and as they are written; one more bucket is above. */
struct metrics_scale {
    size_t n;
    double bounds[METRICS_BOUNDS];
    const char *texts[METRICS_BOUNDS];
};

/* Of requests, and of the time that the gateway itself adds; metrics_scale.c. */
extern const struct metrics_scale metrics_scale_requests, metrics_scale_overhead;

/* The bucket of a duration: up to N, which is the one above. */
size_t metrics_scale_bucket(const struct metrics_scale *scale, uint64_t ns);

/* How long requests took, and for each bucket of the page one of them that was traced. */
struct metrics_durations {
    struct histogram *histogram;
    struct exemplars *exemplars;
};

/* What a route and a backend have in common: a place in a list, and a name. */
struct metrics_name {
    struct metrics_name *next;
    char *text;
    char *label; /* the same, escaped for a label's value */
};

struct metrics_route {
    struct metrics_name name; /* first */
    struct metrics_durations durations;
    struct counters *counts;     /* by enum metrics_route_counter */
    struct metrics_codes *codes; /* one for each stripe */
};

struct metrics_backend {
    struct metrics_name name;           /* first */
    struct metrics_durations durations; /* of requests to it */
    struct counters *counts;            /* by reason, and by enum metrics_backend_counter */
};

/* In the order they came. */
struct metrics_list {
    struct metrics_name *first, **end;
    size_t n;
};

struct metrics {
    size_t nstripes;
    struct histogram *overhead;
    struct counters *reasons;
    struct metrics_route *none; /* for requests without a route */
    int64_t started_us;

    pthread_mutex_t lock; /* guards the lists */
    struct metrics_list routes;
    struct metrics_list backends;

    _Atomic uint64_t reloads_good, reloads_bad; /* written by one thread at a time */
    _Atomic bool reload_ok;                     /* the last one */
    _Atomic int64_t loaded_us;                  /* when the configuration in use was loaded */
};

#endif
