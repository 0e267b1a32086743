/*
 * conf_same.h: whether two routes ask for the same, and two configurations what only a start can give. Pure.
 */
#ifndef GATEWAY_CONF_SAME_H
#define GATEWAY_CONF_SAME_H

#include "gateway/conf.h"

/* Whether every request that A matches is matched by B too and the other way round, as far as their texts
 * tell: the same path but for the names of parameters, the same hosts, methods and header conditions in any
 * order. */
bool conf_routes_match_same(const struct conf_route *a, const struct conf_route *b);

/* Either may be NULL. */
bool conf_same_text(const char *a, const char *b);

#define CONF_FIXED_MAX 8

/* What has changed from OLD to NEW that a running process keeps as it was: names for a person, in NAMES,
 * which has CONF_FIXED_MAX places. How many. */
size_t conf_fixed_changes(const struct conf *old, const struct conf *new, const char **names);

/* conf_tracing.c: whether what exports traces by A would do the same by B. */
bool conf_tracing_exports_alike(const struct conf_tracing *a, const struct conf_tracing *b);

#endif
