/*
 * balancer.h: choose the server that a request goes to.
 *
 * One balancer per backend and worker: it owns its state, so choosing takes no lock and touches no line that
 * other workers write (least_conn and p2c read the shared in-flight counts). Time and randomness are
 * arguments.
 *
 *   round_robin  smooth weighted round robin: weights a=5 b=1 c=1 give a a b a c a a
 *   least_conn   fewest requests in flight for its weight; ties by smooth weighted round robin
 *   p2c          two are picked at random by weight; the one with fewer in flight for its weight, on a tie
 * the first hash         the owner of the key on a consistent ring (lib/hash_ring); when it is out, the next
 * one on the ring
 *
 * An endpoint whose down_until_ns lies ahead, that is ejected or down by health checks (lib/ejection.h),
 * full, or that this request has tried, is passed over; a backup is, while another can be used. When all are
 * down, the one whose time ends first is used all the same (better than refusing), and so are all when so few
 * are fit that it is a panic; when all were tried or are full, the answer is NULL. A server that comes back
 * has its slow start: less weight for a while, which BALANCE_HASH takes no notice of.
 */
#ifndef GATEWAY_BALANCER_H
#define GATEWAY_BALANCER_H

#include "gateway/endpoint.h"

struct balancer;

struct balance_request {
    uint64_t now_ns;
    uint64_t random; /* any 64 random bits */
    uint64_t hash;   /* of the key, for BALANCE_HASH */
    struct endpoint *const *tried;
    size_t ntried;
    uint32_t per_server; /* a server with so many requests in flight is full; 0: none is */
    /* NULL, or told of a server that came back. */
    void (*changed)(void *ctx, const struct endpoint *e, enum ejection_event event);
    void *ctx;
};

/* Keeps a reference to LIST. NULL when memory is short. An empty list is fine: it never chooses. */
MUST_USE struct balancer *balancer_new(enum conf_balance policy, struct endpoint_list *list);
void balancer_free(struct balancer *b);
const struct endpoint_list *balancer_list(const struct balancer *b);

/* Lent: the caller takes its own reference when it keeps it. */
struct endpoint *balancer_choose(struct balancer *b, const struct balance_request *req);

#endif
