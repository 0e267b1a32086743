/*
 * limit.h: the limits of a route: so many requests of a client in so much time.
 *
 * A step of the path, behind access control and before anything that costs. A request takes its tokens from
 * the buckets of all limits of its route; when one of them refuses, what the others gave is given back, and
 * the answer is 429 with Retry-After. Every answer of a limited route tells the state of the limit that is
 * nearest to refusing: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10),
 * X-RateLimit-*.
 *
 * The buckets are the process's, shared by all workers without a lock and kept over reloads: limits of the
 * same name, or of the same place in a route of the same name, have the same buckets. A limit whose rate
 * changes begins anew.
 */
#ifndef GATEWAY_LIMIT_H
#define GATEWAY_LIMIT_H

#include "gateway/conf.h"
#include "lib/bucket_table.h"
#include "lib/buf.h"
#include "lib/slice.h"
#include "lib/wheel.h"

struct exchange;
struct limit_asked;
struct limit_shared;
struct refusals;

#define LIMIT_TABLES 3

/* The buckets of the process. */
struct limiter;

/* BUCKETS: clients that are remembered at a time, for each class of limits (those that fill in seconds, in
 * minutes, in hours or days). NULL when memory is short. */
MUST_USE struct limiter *limiter_new(size_t buckets, unsigned nworkers);
void limiter_free(struct limiter *l);

/* Its leases, for limits of all gateways. */
const struct limit_shared *limiter_shared(const struct limiter *l);

/* Who was refused by it; see refusals.h. */
const struct refusals *limiter_refusals(const struct limiter *l);

/* What limit I of a route is called, to its clients too: as configured, or "default", "limit2", ... */
void limit_name(const struct conf_limit *limit, size_t i, struct buf *out);

/* For gauges; any thread. I below LIMIT_TABLES. */
struct bucket_usage limiter_usage(const struct limiter *l, unsigned i, uint64_t now_ns);

/* The limits of a configuration, ready for use. Immutable; lent by a snapshot. */
struct limit_rules;

/* CONF and L must outlive the rules. NULL when memory is short. */
MUST_USE struct limit_rules *limit_rules_new(const struct conf *conf, struct limiter *l);
void limit_rules_free(struct limit_rules *r);

enum limit_result { LIMIT_NONE, LIMIT_ALLOWED, LIMIT_DELAYED, LIMIT_REFUSED, LIMIT_SHADOWED, LIMIT_RESULTS };

/* "allowed", "delayed", "refused", "shadow". */
const char *limit_result_name(enum limit_result r);

/* What decided: a bucket of this gateway, that of all gateways, or this one's share of it. */
enum limit_store { LIMIT_LOCAL, LIMIT_REDIS, LIMIT_SHARE, LIMIT_STORES };

/* "local", "redis", "share". */
const char *limit_store_name(enum limit_store s);

/* An exchange that waits for tokens from Redis; limit_shared.c's. */
struct limit_wait {
    bool is_waiting; /* in the list of its worker */
    bool has_waited; /* its tokens are counted among those that are waited for */
    bool is_late;    /* too long; it goes on without Redis */
    unsigned rounds; /* so often, for one limit */
    uint64_t cost;
    struct bucket_key key;
    struct exchange *next, *prev;
};

/* What an exchange has to do with limits. */
struct limit {
    bool is_done;              /* all limits were asked */
    struct limit_asked *asked; /* those that were, in its arena */
    size_t nasked;
    size_t next;              /* of the route's limits, to be asked */
    struct wheel_entry timer; /* it is delayed, or waits */
    struct limit_wait wait;
};

#endif
