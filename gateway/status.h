/*
 * status.h: everything the gateway knows of itself in one JSON object, for those who look on: the dashboard,
 * `tollgate top`, and whoever asks the admin port for /status.
 *
 * Counters only grow since the start of the process, so that whoever looks twice can tell rates, also after
 * having missed a look; "instance" tells one process from the next. Times are seconds unless a name says
 * otherwise.
 *
 *     {
 *       "version", "revision", "instance": "hex", "gateway": "name in the fleet" or null,
 *       "started": 1795886494.02, "now": 1795886500.10,            Unix time
 *       "ready": true, "config_loaded": 1795886494.02, "config_ok": true,
 *       "cpu_seconds": 5.59, "memory": {"resident": bytes, "cache": bytes, ...},
 *       "connections": {"open", "resting", "total"}, "in_flight": 3,
 *       "workers": [{"index": 0, "lag_ms": 0.1, "in_flight": 1, "stalled": false}],
 *       "latency_bounds": [0.0005, 0.001, ...],                     upper bounds of all histograms below
 *       "overhead": HISTOGRAM,
 *       "errors": {"breaker_open": 12, ...},                        requests by reason, those that were seen
 *       "routes": [{"name", "requests": {"2xx": 10, "5xx": 1, ...}, "latency": HISTOGRAM,
 *                   "bytes_in", "bytes_out", "limited": 3, "cache": {"HIT": 7, "MISS": 3, ...}}],
 *       "backends": [{"name", "latency": HISTOGRAM, "errors": {...}, "retries": 0,
 *                     "breaker": as in /breakers, "servers": as in /servers}],
 *       "limits": as in /limits, "cache": as in /cache, "redis": as in /redis, or null,
 *       "traces": {"kept", "exported", "dropped", ...} or null, "log_dropped": 0
 *     }
 *     HISTOGRAM: {"count", "sum", "buckets": [counts below each bound, not cumulative; the last: above all]}
 *
 * Control thread only.
 */
#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H

#include "lib/check.h"

struct status_view;

/* From malloc; NULL: memory is short. */
MUST_USE char *status_json(const struct status_view *v);

#endif
