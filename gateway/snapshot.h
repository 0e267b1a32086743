/*
 * snapshot.h: a configuration in use.
 *
 * What workers share of the configuration: the checked file, the router built from it, and for each backend
 * its metrics. Immutable and counted: a request finishes on the snapshot that it began with, and the last one
 * to let go frees it.
 *
 * A worker holds each snapshot through one struct snapshot_use of its own, which also has the worker's
 * balancers. Uses are counted without atomics, by the worker alone; the snapshot only counts its uses.
 */
#ifndef GATEWAY_SNAPSHOT_H
#define GATEWAY_SNAPSHOT_H

#include <stdatomic.h>

#include "gateway/balancer.h"
#include "gateway/guard.h"
#include "gateway/jwks_source.h"
#include "gateway/limit.h"
#include "gateway/metrics.h"
#include "gateway/router.h"

struct snapshot {
    _Atomic uint32_t refs;
    struct conf *conf;                 /* owned */
    struct router *router;             /* owned */
    struct metrics_route **routes;     /* by index of conf->routes */
    struct limit_rules *limits;        /* owned */
    struct jwks_source **jwks;         /* by index of conf->auths; NULL: its keys are not fetched */
    struct guard **guards;             /* by index of conf->backends; counted */
    struct metrics_backend **backends; /* by index of conf->backends */
};

/* What all snapshots use; it outlives them. */
struct snapshot_shared {
    struct metrics *metrics;
    struct limiter *limiter;
    struct guards *guards;
    struct jwks_fetcher *jwks;
};

/* Takes CONF, also when it fails: NULL when memory is short. Gives one reference. */
MUST_USE struct snapshot *snapshot_new(struct conf *conf, const struct snapshot_shared *shared);
struct snapshot *snapshot_get(struct snapshot *s);
void snapshot_put(struct snapshot *s);

/* A worker's hold on a snapshot. */
struct snapshot_use {
    struct snapshot *snapshot;    /* counted */
    uint32_t refs;                /* requests on it, and 1 while it is the worker's current one */
    struct snapshot_use *next;    /* the worker's older ones */
    struct balancer *balancers[]; /* by index of conf->backends; NULL: no address known yet */
};

MUST_USE struct snapshot_use *snapshot_use_new(struct snapshot *s);

/* Lets go; frees with the last one. */
void snapshot_use_put(struct snapshot_use *u);

/* New addresses for a backend. An earlier list is given back. */
void snapshot_use_set(struct snapshot_use *u, size_t backend, struct endpoint_list *list);

#endif
