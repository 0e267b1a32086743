/*
 * metrics.h: what the gateway counts, and its page for Prometheus.
 *
 *     struct metrics *m = metrics_new(nworkers);
 *     struct metrics_route *route = metrics_route(m, "/api/users/");       // control thread, at each load
 *
 *     record.metrics_route = route;
 *     metrics_record(m, worker_index, &record);                            // that worker, for each request
 *
 *     char *text = metrics_text(m, &gauges, METRICS_TEXT, &len);           // any thread; free(text)
 *
 * Counting takes no lock and no locked instruction: every worker has a stripe of its own for everything it
 * counts, and a page sums over the stripes. Families, labels and their words: the table at the top of
 * metrics_text.c.
 *
 * Labels come from the configuration and from closed lists, never from a client: methods are those of
 * lib/http.h, and a route has at most METRICS_CODES pairs of method and status on each worker, the rest is
 * counted as code="other" (a backend may invent statuses). Routes and backends are kept for ever, so that a
 * reload resets nothing; past METRICS_NAMES of them, new ones share the name "other". Requests without a
 * route have route="none".
 *
 * Of requests that are sampled (record.h), the last one of each bucket of a duration is kept with the id of
 * its trace, and is shown as the bucket's exemplar where the format has them. The counts at the bounds are
 * shares of finer ones (lib/histogram.h): an exemplar close to a bound may stand by a bucket whose count says
 * that it was the next.
 *
 * Owns everything it gives but the text.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include <stdio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/cache_status.h"
#include "gateway/limit.h"
#include "gateway/reason.h"
#include "lib/check.h"
#include "lib/histogram.h"

struct metrics;
struct metrics_route;
struct metrics_backend;
struct record;

#define METRICS_CODES 64   /* pairs of method and status of a route, for each worker */
#define METRICS_NAMES 4096 /* routes, and backends */

enum metrics_format {
    METRICS_TEXT, /* Prometheus text, 0.0.4 */
    METRICS_OPEN, /* OpenMetrics, 1.0.0; with exemplars */
};

/* What others count; they fill it in for each page. */
struct metrics_gauges {
    uint64_t connections;         /* of clients, open */
    uint64_t connections_resting; /* of them: idle for long, put away */
    uint64_t connections_total;   /* of clients, ever */
    uint64_t requests_in_flight;
    uint64_t upstream_open; /* connections to backends, idle ones too */
    uint64_t upstream_idle;
    uint64_t upstream_opened_total;
    uint64_t upstream_reused_total;     /* requests that found a kept connection */
    uint64_t log_dropped_total;         /* lines */
    void (*more)(void *ctx, FILE *out); /* prints families of others, as text 0.0.4; NULL: none */
    void *ctx;
};

/* NULL: out of memory. The configuration counts as loaded at this moment. */
MUST_USE struct metrics *metrics_new(size_t nworkers);
void metrics_free(struct metrics *m);

/* The one of that name, made when there is none; takes a lock. NAME is copied. NULL: out of memory, which a
 * record may hold. */
struct metrics_route *metrics_route(struct metrics *m, const char *name);
struct metrics_backend *metrics_backend(struct metrics *m, const char *name);

/* Only worker number STRIPE. */
void metrics_record(struct metrics *m, size_t stripe, const struct record *r);

/* A reload has ended. One thread at a time. */
void metrics_reloaded(struct metrics *m, bool ok);

/* Gives the page from malloc, NUL-terminated, *LEN without the NUL. NULL: out of memory. */
MUST_USE char *metrics_text(struct metrics *m, const struct metrics_gauges *gauges,
                            enum metrics_format format, size_t *len);

/* ---- the same numbers for others than Prometheus; any thread ---- */

#define METRICS_CLASSES 6

/* Sums over all workers, not of one moment. */
struct metrics_route_view {
    const char *name;                   /* lent */
    uint64_t requests[METRICS_CLASSES]; /* by the first digit of their status; 0: any other status */
    struct histogram_snapshot durations;
    uint64_t bytes_in, bytes_out;
    uint64_t limits[LIMIT_RESULTS];
    uint64_t cache[CACHE_STATUSES];
};

struct metrics_backend_view {
    struct histogram_snapshot durations;
    uint64_t errors[REASONS];
    uint64_t retries;
};

/* What belongs to no route and no backend. */
struct metrics_view {
    int64_t started_us, loaded_us; /* since 1970: the process; the configuration in use */
    bool is_config_good;           /* the last reload */
    struct histogram_snapshot overhead;
    uint64_t errors[REASONS];
};

typedef void metrics_look(void *ctx, const struct metrics_route_view *v);

/* LOOK at each route, "none" first, the others in the order they came. New routes wait meanwhile. */
void metrics_read_routes(struct metrics *m, metrics_look *look, void *ctx);
void metrics_read_backend(const struct metrics_backend *b, struct metrics_backend_view *v);
void metrics_read(const struct metrics *m, struct metrics_view *v);

/* Memory of the process; 0 when the system does not tell. */
uint64_t metrics_resident_bytes(void);

#endif
