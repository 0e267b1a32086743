/*
 * state_internal.h: what the parts of state.h share: state.c (backends, limits), the other state_*.c, and
 * status.c, which shows the same. Nobody else includes it.
 */
#ifndef GATEWAY_STATE_INTERNAL_H
#define GATEWAY_STATE_INTERNAL_H

#include <cjson/cJSON.h>

#include "gateway/state.h"

/* Takes JSON. */
struct state_answer state_answer_with(unsigned status, cJSON *json);
struct state_answer state_refuse(unsigned status, const char *why);

/* What the pages show, given; NULL or with something missing when memory is short. */
cJSON *state_breaker_json(const struct guard *g, uint64_t now_ns);
void state_add_servers(const struct state_view *v, size_t backend, cJSON *all);
cJSON *state_limits_json(const struct state_view *v);
cJSON *state_cache_json(const struct state_view *v);
cJSON *state_redis_json(const struct state_view *v); /* v->fleet is there */

/* HELP and TYPE of a family of metrics. */
void state_family(FILE *out, const char *name, const char *type, const char *help);

/* A family of one sample without labels. */
void state_sample(FILE *out, const char *name, const char *type, const char *help, uint64_t value);

/* ---- state_refused.c ---- */

/* Who is refused most by limits, as in /limits: an array, given. Empty also when memory is short. */
MUST_USE cJSON *state_refused(const struct state_view *v);

/* ---- state_cache.c ---- */

struct state_answer state_purge(const struct state_view *v, const struct state_ask *ask);
void state_cache_metrics(const struct state_view *v, FILE *out);

/* ---- state_fleet.c ---- */

struct state_answer state_show_redis(const struct state_view *v, const struct state_ask *ask);
void state_fleet_metrics(const struct state_view *v, FILE *out);

/* ---- state_trace.c ---- */

struct state_answer state_list_traces(const struct state_view *v, const struct state_ask *ask);
struct state_answer state_list_slow(const struct state_view *v, const struct state_ask *ask);
struct state_answer state_show_trace(const struct state_view *v, const char *id);
void state_trace_metrics(const struct state_view *v, FILE *out);

/* ---- state_process.c ---- */

/* Workers, memory, logs. */
void state_process_metrics(const struct state_view *v, FILE *out);

#endif
