/*
 * deadline.h: how long a request may take, as its caller says and as its backend is told.
 *
 * A backend that knows when its caller will give up need not work on for nobody. The time that is left of the
 * total goes to it in milliseconds in a field (X-Request-Timeout-Ms unless the conf has another name), and in
 * grpc-timeout where the request has one. A caller among the trusted proxies may ask for less than the
 * configuration grants, by the same fields; of others the field is not believed, nor passed on.
 *
 * Source of grpc-timeout: the specification "gRPC over HTTP2", Timeout.
 */
#ifndef GATEWAY_DEADLINE_H
#define GATEWAY_DEADLINE_H

#include "gateway/exchange.h"
#include "lib/buf.h"

/* When the exchange must have ended, in monotonic ns; 0: whenever. */
uint64_t deadline_of(const struct exchange *x);

/* Whether a field of the client's is replaced by deadline_add, or dropped. */
bool deadline_owns(const struct exchange *x, struct slice name);

/* The fields for the backend. */
void deadline_add(const struct exchange *x, struct buf *b);

#endif
