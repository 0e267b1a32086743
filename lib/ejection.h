/*
 * ejection.h: which servers of a backend are fit to be asked.
 *
 * A server drops out in two ways, and both are kept here. Passively: so many requests in a row failed on it,
 * so it is ejected for a while, longer each time it happens again; but never more servers than a share of the
 * pool, because the rest must carry the load. Actively: a health checker asks it from time to time; so many
 * bad answers in a row take it down, so many good ones bring it up. A server that came back gets its full
 * share only after a slow start.
 *
 *     ejection_pool_init(&pool, &policy, nservers);
 *     ejection_init(&server->fitness);                            // each, embedded in the server
 *
 *     usable += ejection_admits(&pool, &s->fitness, now_ns, &event);            // choosing; log the event
 *     weight = s->weight * ejection_weight(&pool, &s->fitness, now_ns);
 *     if (ejection_is_panic(&pool, usable))
 *         use all of them;                                        // a bad server is better than an
 * overloaded one
 *
 *     event = ejection_report(&pool, &s->fitness, now_ns, has_failed);          // after each request
 *     event = ejection_probe(&pool, &s->fitness, now_ns, is_well);              // after each health check
 *     ejection_forget(&pool, &s->fitness);                        // the server leaves the pool
 *
 * Exact with any number of threads: no more than ejection_cap() servers are ejected at once, and every event
 * is returned by exactly one call. A server comes back when it is looked at after its time: look at all when
 * choosing.
 *
 * Any thread; lock-free. Times are monotonic ns below 2^60, rounded up to 2^20 ns (1.05 ms); shares in
 * 1/10000. Source: what Envoy calls outlier detection, slow start and panic threshold; rise and fall as in
 * HAProxy.
 */
#ifndef LIB_EJECTION_H
#define LIB_EJECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

#define EJECTION_WHOLE      10000
#define EJECTION_WEIGHT_MIN 1000                       /* a slow start begins with a tenth */
#define EJECTION_LONGEST_NS UINT64_C(1000000000000000) /* of any duration in a policy: 11 days */

enum ejection_event {
    EJECTION_NOTHING,
    EJECTION_EJECTED,
    EJECTION_RETURNED, /* its time is over */
    EJECTION_DOWN,     /* by health checks */
    EJECTION_UP,
};

struct ejection_policy {
    uint16_t consecutive; /* failures in a row that eject; 0: off */
    uint64_t base_ns;     /* ejected for this times the number of ejections in a row */
    uint64_t max_ns;      /* and no longer; after as long without ejection, the number begins anew */
    uint32_t max_share;  /* of the pool, ejected at once; at least one server when the pool has two or more */
    uint16_t rise, fall; /* health checks in a row that bring up, or down; at least 1 */
    uint64_t slow_start_ns; /* 0: off */
    uint32_t panic_share;   /* fewer usable servers than this: panic; 0: never */
};

/* No field is for the user. */
struct ejection_pool {
    _Alignas(CACHE_LINE) struct ejection_policy policy;
    _Atomic uint32_t size, cap;
    _Alignas(CACHE_LINE) _Atomic uint32_t ejected;
};

/* Embedded in a server. No field is for the user. */
struct ejection_server {
    _Alignas(CACHE_LINE) _Atomic uint64_t word; /* passive: see ejection.c */
    _Atomic uint32_t health;                    /* active */
    _Atomic uint64_t back_ns;                   /* when it came back; 0: it was never away */
};

struct ejection_view {
    bool is_ejected, is_down;
    unsigned failures, ejections; /* in a row */
    uint64_t time_left_ns;        /* of the ejection */
};

/* All fields of POLICY are taken as they are; CHECKs that they make sense. */
void ejection_pool_init(struct ejection_pool *pool, const struct ejection_policy *policy, uint32_t size);

/* The pool has another number of servers now. Puts nobody in or out by itself. */
void ejection_pool_resize(struct ejection_pool *pool, uint32_t size);

uint32_t ejection_cap(const struct ejection_pool *pool);
uint32_t ejection_count(const struct ejection_pool *pool);

/* In, up, and not in a slow start. */
void ejection_init(struct ejection_server *s);

/* Begin a slow start: for a server that joins a pool that is at work. */
void ejection_begin(struct ejection_server *s, uint64_t now_ns);

/* Give back the place that an ejected server holds in the pool's share; it is in again. */
void ejection_forget(struct ejection_pool *pool, struct ejection_server *s);

/* May it be asked? *EVENT: EJECTION_RETURNED when this call ended its ejection, else EJECTION_NOTHING. */
MUST_USE bool ejection_admits(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                              enum ejection_event *event);

/* The end of a request: NOTHING or EJECTED. */
enum ejection_event ejection_report(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                                    bool has_failed);

/* The end of a health check: NOTHING, DOWN or UP. */
enum ejection_event ejection_probe(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                                   bool is_well);

/* What its weight is worth now: from EJECTION_WEIGHT_MIN to EJECTION_WHOLE. */
uint32_t ejection_weight(const struct ejection_pool *pool, const struct ejection_server *s, uint64_t now_ns);

/* Whether USABLE servers are too few to leave the others out. */
bool ejection_is_panic(const struct ejection_pool *pool, uint32_t usable);

struct ejection_view ejection_view(const struct ejection_server *s, uint64_t now_ns);

const char *ejection_event_name(enum ejection_event event);

#endif
