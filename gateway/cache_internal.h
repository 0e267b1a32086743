/*
 * cache_internal.h: what the parts of cache.h share: cache.c (the step), cache_request.c,
 * cache_answer.c and cache_reply.c.
 * Nobody else includes it.
 */
#ifndef GATEWAY_CACHE_INTERNAL_H
#define GATEWAY_CACHE_INTERNAL_H

#include "gateway/cache_share.h"
#include "gateway/exchange.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"

static inline struct object_store *cache_store_of(const struct exchange *x)
{
    return x->worker->setup.cache->store;
}

static inline const struct conf_cache *cache_conf_of(const struct exchange *x)
{
    return &exchange_route(x)->cache;
}

static inline int64_t cache_now_ms(void)
{
    return clock_wall_us() / 1000;
}

/* Hold the reference O in PLACE, and let go of what was there. */
void cache_hold(struct object **place, struct object *o);

/* Reply with O; takes the reference. */
enum step_result cache_serve(struct exchange *x, struct object *o, enum cache_status status);

/* Put O into memory, as read now. False: it was purged meanwhile. */
bool cache_put(struct exchange *x, struct object *o);

/* The other gateways have answered one that refreshes in the background. */
void cache_refresh_answered(struct exchange *x);

/* What is stored of GROUP is not valid any more, here and in the other gateways. */
void cache_invalidate(struct exchange *x, struct slice group);

/* Bytes of the largest body that the route's cache keeps. */
size_t cache_body_max(const struct exchange *x);

/* ---- cache_part.c ---- */

struct cached_parts;

/* The part that is stored of what lies under the full key. A reference; NULL: none. */
MUST_USE struct object *cache_part_find(struct exchange *x);
MUST_USE bool cache_part_has_range(const struct exchange *x, const struct object *part);

/* Fetch a range for the cache, if the request asks for just one: the full key becomes the range's. */
MUST_USE bool cache_part_begin(struct exchange *x);

/* Ask for the rest only, if the beginning is stored; the fields that say so. */
void cache_part_use_prefix(struct exchange *x);
void cache_part_add(const struct exchange *x, struct buf *b);

/* What a 206 says of itself; false when it cannot be kept. Whether it is the rest that was asked for. */
MUST_USE bool cache_part_read(const struct http1_response *answer, struct http_range *range, uint64_t *total);
MUST_USE bool cache_part_is_rest(const struct exchange *x, const struct http1_response *answer);

/* Store a part, joined with what is there. PARTS is changed. A reference; NULL: no room. */
MUST_USE struct object *cache_part_store(struct exchange *x, struct cached_parts *parts);

/* ---- cache_reply.c ---- */

/* Make the reply of what is stored: whole, in part, or none of it when the client has it. READS: its body
 * comes from the flight. False when memory is short. */
MUST_USE bool cache_reply(struct exchange *x, struct object *o, bool reads);

/* Make a 304 of it, if the client has it: *MADE. */
MUST_USE bool cache_reply_not_modified(struct exchange *x, const struct cached *c, bool *made);

ssize_t cache_read_parts(struct exchange *x, char *p, size_t max);

#endif
