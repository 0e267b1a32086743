/*
 * redis_watch.h: where the Redis nodes are whose names have to be resolved, kept up to date.
 *
 * Each is followed by the resolver (resolver.h) as if it were a backend of one server: late, and again. Of
 * several addresses the first is taken.
 *
 * Control thread only.
 */
#ifndef GATEWAY_REDIS_WATCH_H
#define GATEWAY_REDIS_WATCH_H

#include "gateway/conf_redis.h"
#include "gateway/resolver.h"

struct redis_watch;

/* ADDRESS is numeric, and lent. Called from inside redis_watch_new when something is known by then. */
typedef void redis_watch_found(void *ctx, size_t node, const char *address);

/* CONF outlives it. NULL: memory is short. */
MUST_USE struct redis_watch *redis_watch_new(const struct conf_redis *conf, struct resolver *resolver,
                                             redis_watch_found *found, void *ctx);
void redis_watch_free(struct redis_watch *w); /* NULL is allowed */

#endif
