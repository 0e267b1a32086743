/*
 * guard.h: what stands before a backend: its circuit breaker, its retry budget, its bulkhead.
 *
 * One for each backend by name, shared by all workers without a lock. A guard outlives reloads as long as its
 * part of the configuration stays the same; when that changes, the backend gets a new one, and requests under
 * way finish on the old.
 *
 * Threads: the registry is the control thread's, guard_get/put are anybody's, what is in a guard is
 * lock-free.
 */
#ifndef GATEWAY_GUARD_H
#define GATEWAY_GUARD_H

#include "gateway/conf.h"
#include "gateway/log.h"
#include "lib/breaker.h"
#include "lib/bulkhead.h"
#include "lib/gradient.h"
#include "lib/mailbox.h"
#include "lib/quantile.h"
#include "lib/retry_budget.h"

struct fleet;

struct guard {
    struct breaker breaker;
    struct retry_budget budget;
    struct bulkhead bulkhead;   /* used when its maximum is not 0 */
    struct gradient gradient;   /* steers it, when it is adaptive */
    struct quantile latency_us; /* of 95 %, where a route hedges */
    _Atomic uint32_t queued;    /* requests that wait to enter it, in all workers */

    _Atomic uint32_t refs;
    char *name;
    struct conf_breaker breaker_conf;
    struct conf_retry retry_conf;
    struct conf_bulkhead bulkhead_conf;
    uint16_t told_generation; /* of the breaker: events.c's, on the control thread */
    struct guard *next;       /* in the registry */
};

struct guards;

/* NULL when memory is short. */
MUST_USE struct guards *guards_new(void);

/* Call after all snapshots are gone. */
void guards_free(struct guards *g);

/* The guard of BACKEND. Gives a reference; NULL when memory is short. */
MUST_USE struct guard *guards_find(struct guards *g, const struct conf_backend *backend, uint64_t now_ns);

/* The one of that name, lent; NULL when there is none. For the admin interface. */
struct guard *guards_named(const struct guards *g, const char *name);

/* The Ith, lent; NULL past the last. For metrics. */
struct guard *guards_at(const struct guards *g, size_t i);

/* Those that no configuration uses any more leave the registry. */
void guards_sweep(struct guards *g);

struct guard *guard_get(struct guard *g);
void guard_put(struct guard *g);

/* An answer, or the lack of one in time, took so long. Only where the bulkhead is adaptive. */
void guard_learn(struct guard *g, uint64_t now_ns, uint64_t latency_ns);

/* Log a change of the breaker's state; nothing when there was none. Any thread. */
void guard_tell(const struct guard *g, struct breaker_change change, struct log *log);

/* ---- with other gateways ---- */

/* Tell them of CHANGE, if the breaker has opened by itself and its configuration says `share`. FLEET may be
 * NULL. Any thread; never waits. */
void guard_share(const struct guard *g, struct breaker_change change, uint64_t now_ns, struct fleet *fleet);

/* A breaker of BACKEND has opened in another gateway: from the fleet's thread, which hears it, to the control
 * thread. Nothing of it is checked. */
struct guard_news {
    struct message base; /* first; its type is the sender's affair */
    uint64_t open_ms;
    char backend[];
};

/* NULL: no backend has such a name, or memory is short. Any thread; freed by message_drop. */
MUST_USE struct guard_news *guard_news_new(struct slice backend, uint64_t open_ms);

/* Do with the breaker of that backend what its configuration says, and log that; nothing when there is none.
 */
void guards_hear(struct guards *g, const struct guard_news *news, uint64_t now_ns, struct log *log);

#endif
