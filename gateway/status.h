/*
 * status.h: everything the gateway knows of itself in one JSON object, for those who look on: the dashboard,
 * `tollgate top`, and whoever asks the admin port for /status.
 *
 * Counters only grow since the start of the process, so that whoever looks twice can tell rates, also after
 * having missed a look; "instance" tells one process from the next. Times are seconds unless a name says
 * otherwise. Names of routes and backends come from the configuration; a route that a reload took away stays,
 * with what it had counted. Whatever counts nothing is left out of the lists by reason, status and cache
 * status, never a field of another kind.
 *
 *     {
 *       "version", "revision", "instance": "hex", "gateway": "name in the fleet" or null,
 *       "started": 1795886494.02, "now": 1795886500.10,            Unix time
 *       "ready": true, "config_loaded": 1795886494.02, "config_ok": true,
 *       "cpu_seconds": 5.59, "memory": {"resident": bytes, "cache": bytes},
 *       "connections": {"open", "resting", "total"}, "in_flight": 3,
 *       "upstream": {"open", "idle", "opened", "reused"},           connections to backends; two grow
 *       "workers": [{"index": 0, "lag_ms": 0.1, "in_flight": 1, "stalled": false}],
 *       "latency_bounds": [0.000008192, 0.000012288, ...],          upper bounds of all histograms below
 *       "overhead": HISTOGRAM,
 *       "errors": {"breaker_open": 12, ...},                        requests by reason
 *       "routes": [{"name", "requests": {"2xx": 10, "5xx": 1, "other": 1, ...}, "latency": HISTOGRAM,
 *                   "bytes_in", "bytes_out", "limited": 3, "cache": {"HIT": 7, "MISS": 3, ...}}],
 *       "backends": [{"name", "latency": HISTOGRAM, "errors": {...}, "retries": 0,
 *                     "breaker": as in /breakers, "servers": as in /servers}],
 *       "limits": as in /limits, "cache": as in /cache, "redis": as in /redis, or null,
 *       "traces": {"kept", "exported", "dropped", "failed", "exports", "export_errors", "waiting"} or null,
 *       "log_dropped": 0                                            lines of the access log
 *     }
 *     HISTOGRAM: {"count", "sum", "buckets": [counts below each bound, not cumulative; the last: above all]}
 *
 * Requests without a route are in the route "none", so that the routes are all there is. A request is counted
 * when it is over, and the numbers are not of one moment: while requests end, sums that should be the same
 * differ by those few.
 *
 * Control thread only, but for status_name_instance.
 */
#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H

#include <stdbool.h>

#include "lib/check.h"

struct state_view;
struct metrics;
struct metrics_backend;
struct metrics_gauges;
struct tracer_stats;
struct worker;

#define STATUS_INSTANCE 17 /* bytes of an instance's name, with its NUL */

/* What is looked at; everything is lent. */
struct status_view {
    const struct state_view *state;
    struct metrics *metrics;
    const struct metrics_gauges *gauges;
    struct metrics_backend *const *backends; /* by index of the configuration's */
    struct worker *const *workers;
    unsigned nworkers;
    const struct tracer_stats *traces; /* NULL: there is no tracer */
    const char *instance;
    bool is_ready;
};

/* A name that no other process has, 16 hex digits. */
void status_name_instance(char name[STATUS_INSTANCE]);

/* From malloc; NULL: memory is short. */
MUST_USE char *status_json(const struct status_view *v);

#endif
