/*
 * redis_ring.h: which Redis node owns what, for all who know the same nodes.
 *
 * A hash ring (lib/hash_ring.h) with ten times its usual points: a ring of nodes is made once, and an uneven
 * share of it is paid for all the time. A node's share is that of its weight within 10 % of it, and so is
 * what moves when one is added (2.5 %, one standard deviation), as long as all weights together are at most
 * 40; with more there are fewer points for each.
 *
 * Pure.
 */
#ifndef GATEWAY_REDIS_RING_H
#define GATEWAY_REDIS_RING_H

#include "gateway/conf_redis.h"
#include "lib/hash_ring.h"

/* NULL: memory is short. */
MUST_USE struct hash_ring *redis_ring_new(const struct conf_redis *conf);

#endif
