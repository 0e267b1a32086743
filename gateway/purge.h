/*
 * purge.h: taking answers out of the cache on demand.
 *
 *     PURGE /people/7                          what is stored of this URL, all variants
 *     PURGE / with Surrogate-Key: a b          what has any of these tags (Cache-Tag: a, b too)
 *     Soft-Purge: 1                            it becomes stale instead of going
 *
 * from the networks that the route's cache names. The answer tells how many went: {"purged":3}. The admin
 * port's POST /cache/purge does the same for URLs, prefixes, tags and everything.
 */
#ifndef GATEWAY_PURGE_H
#define GATEWAY_PURGE_H

#include "gateway/path.h"

/* The method PURGE on a route with a cache. */
enum step_result purge_run(struct exchange *x);

/* The group (cache_key.h) of a URL or path that X's URL refers to, in X's arena. False: it is malformed, or
 * of another origin. */
MUST_USE bool purge_group_of(struct exchange *x, struct slice reference, struct slice *group);

#endif
