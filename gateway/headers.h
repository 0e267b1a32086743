/*
 * headers.h: what a message looks like on the other side: the head that a backend gets, the fields that a
 * client gets.
 *
 * Fields that belong to one connection are dropped in both directions, with those that Connection names,
 * except that nobody can name away Host, Content-Length, Authorization, Cookie, the X-Forwarded fields or our
 * own. Then X-Forwarded-For, -Proto, -Host, X-Request-Id and Via are set, and last come the route's own
 * edits.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_HEADERS_H
#define GATEWAY_HEADERS_H

#include "gateway/exchange.h"

/* One line of a head. */
void headers_add(struct buf *b, struct slice name, struct slice value);

/* The request head for the backend, in the arena; SERVER is the Host field that UPSTREAM_HOST_SERVER wants,
 * SPAN who asks. Empty when it does not fit. */
struct slice headers_request(struct exchange *x, const char *server, uint64_t span);

/* The head of the request that asks a service for PATH whether the client's request may pass: its fields,
 * which request it is (X-Forwarded-Method, X-Forwarded-Uri), no body. In the arena; empty when it does not
 * fit. */
struct slice headers_auth_request(struct exchange *x, const char *path);

/* Fill x->reply with the fields of the backend's answer. ANSWER's bytes may be changed (names and values get
 * their NULs) and must live as long as the exchange. False when memory is short. */
MUST_USE bool headers_answer(struct exchange *x, const struct http1_response *answer);

/* Write the head of an interim answer as the client gets it into B. */
void headers_interim(const struct exchange *x, const struct http1_response *answer, struct buf *b);

/* The fields of the backend's answer that a cache may keep, into the MAX of OUT; CC: what the answer says. */
struct http_fields headers_to_keep(const struct exchange *x, const struct http1_response *answer,
                                   const struct cache_control *cc, struct http_field *out, size_t max);

/* Apply the route's response_header edits to x->reply. */
MUST_USE bool headers_edit_reply(struct exchange *x);

#endif
