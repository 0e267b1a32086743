/*
 * conf_same.h: whether two routes ask for the same. Used by the conf_*.c files only. Pure.
 */
#ifndef GATEWAY_CONF_SAME_H
#define GATEWAY_CONF_SAME_H

#include "gateway/conf.h"

/* Whether every request that A matches is matched by B too and the other way round, as far as their texts
 * tell: the same path but for the names of parameters, the same hosts, methods and header conditions in any
 * order. */
bool conf_routes_match_same(const struct conf_route *a, const struct conf_route *b);

#endif
