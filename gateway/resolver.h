/*
 * resolver.h: the addresses behind the names of a backend's servers, kept up to date.
 *
 * A service of the control thread's loop: names are looked up by libuv's thread pool (getaddrinfo), never on
 * a worker. Each name is looked up at once and again every `resolve_ms`; when the set of addresses of a
 * backend has changed a new endpoint_list is handed to the publish function. A name that fails to resolve
 * keeps its last addresses, and is a warning; at the start it simply has none yet and is tried again every
 * second. Numeric addresses and unix sockets are published without a look-up. Order does not matter: the same
 * set in another order is no change.
 *
 * Control thread only.
 */
#ifndef GATEWAY_RESOLVER_H
#define GATEWAY_RESOLVER_H

#include <uv.h>

#include "gateway/endpoint.h"

struct resolver;
struct resolver_watch;

/* LIST is lent: the callee takes its own reference. Called from the control thread's loop, and from inside
 * resolver_watch when something is known by then. It may not watch, unwatch or free. */
typedef void resolver_publish(void *ctx, struct endpoint_list *list);

/* Gets warnings ("cannot resolve users-1: ..."), once for each change of state, not each time. */
typedef void resolver_log(void *ctx, const char *text);

MUST_USE struct resolver *resolver_new(uv_loop_t *loop, struct endpoint_registry *reg, uint32_t resolve_ms);

/* The same with another look-up than uv_getaddrinfo, which it has to be like. */
typedef int resolver_lookup(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb done, const char *node,
                            const char *service, const struct addrinfo *hints);
MUST_USE struct resolver *resolver_new_with(uv_loop_t *loop, struct endpoint_registry *reg,
                                            uint32_t resolve_ms, resolver_lookup *lookup);
void resolver_set_log(struct resolver *r, resolver_log *log, void *ctx);

/* Ends every watch; closing its handles needs the loop to run on until they are closed. */
void resolver_free(struct resolver *r);

/* Waits that are under way begin again with the new interval. */
void resolver_set_interval(struct resolver *r, uint32_t resolve_ms);

/* Follow the servers of BACKEND, which must outlive the watch. Several watches of the same name share one
 * look-up, so a reload finds what is known already. NULL when memory is short. */
MUST_USE struct resolver_watch *resolver_watch(struct resolver *r, const struct conf_backend *backend,
                                               resolver_publish *publish, void *ctx);
void resolver_unwatch(struct resolver_watch *w);

#endif
