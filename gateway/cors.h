/*
 * cors.h: which pages of which origins may use a route from a browser.
 *
 * A step of the path, in front of access and limits, for a browser asks without credentials: a preflight is
 * answered here, with 204. Other requests pass, whatever their origin, for it is the browser that keeps pages
 * out; the answer, also one of ours, tells it whether the page may see it. What the backend says of
 * Access-Control-* is dropped on a route with `cors`.
 *
 * An answer that depends on the origin says so: Vary. Source: the Fetch standard, 3.2 (HTTP extensions).
 */
#ifndef GATEWAY_CORS_H
#define GATEWAY_CORS_H

#include "gateway/path.h"

/* Whether the origin that a browser sends is meant by PATTERN: the same; or, with "*." in front of its host,
 * any host below it with the same scheme and port; "*" is any. */
bool cors_origin_is(const char *pattern, struct slice origin);

/* Whether the request asks for leave to send another one, with *METHOD. */
bool cors_asks_for(const struct exchange *x, struct slice *method);

/* Whether a field of the backend's answer is for cors.c alone to say. */
bool cors_owns(const struct conf_route *r, struct slice name);

#endif
