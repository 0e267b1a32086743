/*
 * refusals.h: who is refused most by limits, for the operator, and without giving away who that is.
 *
 *     struct refused_by by = {rule_id, bucket_key, &limit->keys};
    refusals_note(r, x, &by);                                      // a limit has refused X; its worker
 *
 *     struct refusal top[REFUSALS_SHOWN];                            // any thread
 *     if (refusals_top(r, now_ns, top, &n)) ...
 *
 * Each worker keeps the REFUSALS_KEPT most refused clients of late in a table of its own
 * (lib/heavy_hitters.h); they are summed when they are looked at. Counts are halved every minute. What limits
 * in shadow mode would have refused is not noted, nor what is refused only because Redis does not answer.
 *
 * A client is shown by the key of its limit, masked:
 *
 *     ip               192.0.2.x, 2001:db8:1::x; with the prefix when it is shorter than an address: /64
 *     header, cookie,  the first four characters, though never more than half of them, "***", and six hex
 *     consumer, claim  digits: a hash with a secret of the process. "anna***0f3a9c"
 *     route            nothing: the limit has one bucket for all
 *
 * Nothing else of a header or a token is kept in the first place. Where a request has not got what the key is
 * made of, its address stands in for it (client_key.h), and is shown as one.
 */
#ifndef GATEWAY_REFUSALS_H
#define GATEWAY_REFUSALS_H

#include "gateway/conf.h"
#include "lib/bucket_table.h"

struct exchange;

#define REFUSALS_KEPT     256 /* by each worker */
#define REFUSALS_SHOWN    20
#define REFUSALS_HALVE_NS (UINT64_C(60) * 1000000000)
#define REFUSAL_KIND_MAX  96
#define REFUSAL_KEY_MAX   128

struct refusals;

/* NULL: memory is short. */
MUST_USE struct refusals *refusals_new(unsigned nworkers);
void refusals_free(struct refusals *r);

/* The id of limit I of ROUTE: the same after a reload that leaves both where they are. */
uint64_t refusals_rule_id(const struct conf_route *route, size_t i);

struct refused_by {
    uint64_t rule;
    struct bucket_key client; /* what the limit knows the client by */
    const struct conf_keys *keys;
};

/* X was refused. Its worker's thread. */
void refusals_note(struct refusals *r, struct exchange *x, const struct refused_by *by);

struct refusal {
    uint64_t rule;
    char kind[REFUSAL_KIND_MAX]; /* "ip"; of a key of several parts "ip+header" */
    char key[REFUSAL_KEY_MAX];   /* masked, ASCII; parts with " + " between; empty: the whole route */
    uint64_t count;              /* refusals of late, see heavy_hitters.h */
    uint64_t over;               /* by how much that may be too high */
};

/* Those with the highest counts, the highest first; how many. Any thread. False: memory is short. */
MUST_USE bool refusals_top(const struct refusals *r, uint64_t now_ns, struct refusal out[REFUSALS_SHOWN],
                           size_t *n);

#endif
