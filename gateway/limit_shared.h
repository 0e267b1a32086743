/*
 * limit_shared.h: limits that are counted over all gateways (scope = cluster, cluster-exact).
 *
 * Tokens are leased from a bucket in Redis (lib/token_lease.h has how, and why never too many are admitted),
 * under the same key on all gateways, on the node that the ring names. All workers of the process spend the
 * same leases. A request that finds none waits while one asks; whoever gets the answer wakes those of its own
 * worker and sends a message to the workers where others wait.
 *
 * When Redis does not answer, when_down decides: a share of the limit, this one divided by the gateways that
 * are alive, from a bucket of the process; or all; or nothing. What was admitted meanwhile is told to Redis
 * afterwards.
 *
 * Requests are not delayed (delay_ms) by such a limit: they are admitted or refused.
 */
#ifndef GATEWAY_LIMIT_SHARED_H
#define GATEWAY_LIMIT_SHARED_H

#include "gateway/limit.h"
#include "lib/token_lease.h"

struct worker;

/* The process's leases. */
struct limit_shared;

/* For CLIENTS at a time. NULL: memory is short. */
MUST_USE struct limit_shared *limit_shared_new(size_t clients, unsigned nworkers);
void limit_shared_free(struct limit_shared *s);

/* The worker ends, its exchanges have. Its thread. */
void limit_shared_leave(struct worker *w);

struct limit_shared_stats {
    uint64_t calls, failures; /* of Redis */
    size_t held;              /* clients that are remembered, about */
};

/* Any thread. */
void limit_shared_stats(const struct limit_shared *s, struct limit_shared_stats *out);

/* A limit that an exchange has come to. */
struct shared_ask {
    struct limit_shared *shared;
    const struct token_rate *rate;
    const struct lease_rate *lease;
    struct bucket_table *local; /* of shares */
    struct bucket_key key;      /* the same on all gateways */
    bool is_alone;              /* KEY is not; Redis is not asked */
    uint64_t cost;
    enum conf_limit_down when_down;
};

enum shared_verdict {
    SHARED_DECIDED,
    SHARED_WAIT,  /* the exchange has to be parked, and asks again when it is woken */
    SHARED_CLOSED /* Redis does not answer, and nothing is admitted without it */
};

struct shared_result {
    struct token_result tokens;
    enum limit_store store;
    int64_t stamp;     /* LIMIT_REDIS: of the lease */
    unsigned gateways; /* LIMIT_SHARE: one of so many */
};

MUST_USE enum shared_verdict limit_shared_take(struct exchange *x, const struct shared_ask *ask,
                                               struct shared_result *result);

/* What was taken with RESULT was not used. */
void limit_shared_give_back(const struct shared_ask *ask, const struct shared_result *result);

/* The exchange ends; nothing when it does not wait. */
void limit_shared_forget(struct exchange *x);

#endif
