/*
 * request.h: steps that look at the request: its head, its target, its route, its size.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "gateway/path.h"

/* Refuse what is malformed or ambiguous (RFC 9112), TRACE and CONNECT. The framing is in x->head afterwards.
 */
enum step_result request_check_head(struct exchange *x);

/* The path in its normal form, the query, the host. */
enum step_result request_read_target(struct exchange *x);

/* The route; 503 when its priority is not served now; 404, 405 with Allow, 400 for an encoded slash that the
 * route does not want. */
enum step_result request_find_route(struct exchange *x);

/* 413 for a body that is announced as larger than the route takes; one without a length is watched as it
 * comes. */
enum step_result request_check_body(struct exchange *x);

#endif
