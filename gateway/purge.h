/*
 * purge.h: taking answers out of the cache on demand.
 *
 *     PURGE /people/7                          what is stored of this URL, all variants
 *     PURGE / with Surrogate-Key: a b          what has any of these tags (Cache-Tag: a, b too)
 *     Soft-Purge: 1                            it becomes stale instead of going
 *
 * from the networks that the route's cache names. It is done on all gateways that share Redis nodes
 * (fleet.h), and answered then: how many objects went from the memory of this one, and whether all nodes have
 * done it:
 * {"purged":3,"complete":true}; 207 when not. The admin port's POST /cache/purge does the same for URLs,
 * prefixes, tags and everything.
 */
#ifndef GATEWAY_PURGE_H
#define GATEWAY_PURGE_H

#include "gateway/path.h"

/* The method PURGE on a route with a cache. Parks until all gateways have done it; then purge_go_on. */
enum step_result purge_run(struct exchange *x);
enum step_result purge_go_on(struct exchange *x);

/* X is gone, or does not wait any more. */
void purge_forget(struct exchange *x);

/* The group (cache_key.h) of a URL or path that X's URL refers to, in X's arena. False: it is malformed, or
 * of another origin. */
MUST_USE bool purge_group_of(struct exchange *x, struct slice reference, struct slice *group);

#endif
