/*
 * top_model.h: the numbers that `tollgate top` shows: what has changed between two looks at a gateway.
 *
 *     struct top_model m = {0};
 *     if (top_model_take(&m, body)) {                    // each second, what GET /status gave (status.h)
 *         struct top_summary s;
 *         top_model_sum_up(&m, &s);                      // requests per second, percentiles, ...
 *     }
 *     top_model_fini(&m);
 *
 * The first look is compared with the start of the process: its rates are means of all the time since. The
 * same when the gateway is another process than before. Percentiles come from the difference of two
 * histograms, so they are of the requests that ended between the looks; within a bucket, durations are taken
 * to be spread evenly.
 *
 * What is not there, is of another type than it should be, or cannot be computed, is NAN. Nothing of the text
 * is believed. Pure but for memory; one thread.
 */
#ifndef GATEWAY_TOP_MODEL_H
#define GATEWAY_TOP_MODEL_H

#include <cjson/cJSON.h>

#include "lib/check.h"
#include "lib/slice.h"

#define TOP_BUCKETS 256 /* of a histogram, at most */

struct top_model {
    cJSON *now, *before; /* owned; NULL: there was none */
    bool has_restarted;  /* the last look was the first at another process */
};

/* Another look. False: JSON is no status, or memory is short; nothing has changed then. */
MUST_USE bool top_model_take(struct top_model *m, struct slice json);
void top_model_fini(struct top_model *m);

/* Seconds between the looks that are compared. */
double top_model_elapsed(const struct top_model *m);

/* ---- reading; J may be NULL ---- */

/* The number at PATH ("memory/resident") in J. */
double top_number(const cJSON *j, const char *path);
const cJSON *top_at(const cJSON *j, const char *path);

/* The one of that name in ARRAY, which is probably at INDEX; NULL when there is none. */
const cJSON *top_named(const cJSON *array, int index, const char *name);

/* ---- comparing: J of now, OLD of before or NULL ---- */

/* How much the number at PATH has grown; what is not there is 0, and what has fallen began anew. */
double top_growth(const cJSON *j, const cJSON *old, const char *path);

/* The same of the sum over an object of numbers. */
double top_growth_of_all(const cJSON *j, const cJSON *old, const char *path);

/* Durations. */
struct top_histogram {
    size_t nbounds;             /* the buckets are one more */
    double bounds[TOP_BUCKETS]; /* seconds */
    double counts[TOP_BUCKETS + 1];
    double count;
};

/* Nothing in it yet, with the bounds of the model's last look. */
void top_histogram_init(struct top_histogram *h, const struct top_model *m);

/* Add what has come to the histogram at PATH. */
void top_histogram_add(struct top_histogram *h, const cJSON *j, const cJSON *old, const char *path);

/* Seconds within which the share Q of all ended; NAN when there are none. */
double top_quantile(const struct top_histogram *h, double q);

/* ---- the whole ---- */

struct top_summary {
    double uptime_s, requests, errors; /* per second; the share of 5xx, 0 to 1 */
    double p50_s, p95_s, p99_s;
    double in_flight, connections;
    double cpu; /* cores in use */
    double resident;
    double lag_ms; /* of the worker that is latest */
    unsigned workers, stalled;
    bool is_ready, is_config_good;
};

void top_model_sum_up(const struct top_model *m, struct top_summary *s);

#endif
