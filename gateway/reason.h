/*
 * reason.h: the one table of reasons why a request ended otherwise than by its backend's answer.
 *
 * A reason has a short word, which appears in the problem+json body, in the access log, in metrics and in
 * Proxy-Status, the status that a client gets, the error type of RFC 9209 (Proxy-Status) and a sentence for
 * people. Inner details of backends are not among them; those go to the log as the cause chain (lib/err.h).
 */
#ifndef GATEWAY_REASON_H
#define GATEWAY_REASON_H

#include "lib/slice.h"

enum reason {
    REASON_NONE, /* nothing went wrong */

    /* the client's doing */
    REASON_BAD_REQUEST,        /* malformed head */
    REASON_BAD_FRAMING,        /* ambiguous or forbidden Content-Length / Transfer-Encoding */
    REASON_BAD_TARGET,         /* target or path refused */
    REASON_BAD_HOST,           /* Host missing, double or malformed */
    REASON_METHOD_REFUSED,     /* TRACE, CONNECT: 501 */
    REASON_METHOD_NOT_ALLOWED, /* the path exists for other methods: 405 */
    REASON_BODY_TOO_LARGE,
    REASON_URI_TOO_LONG,
    REASON_HEAD_TOO_LARGE,
    REASON_EXPECT_REFUSED,  /* Expect other than 100-continue: 417 */
    REASON_VERSION_REFUSED, /* not HTTP/1.0 or 1.1: 505 */
    REASON_CLIENT_TIMEOUT,  /* body stalled: 408 */
    REASON_CLIENT_GONE,     /* left before the answer was complete: 499, log only */
    REASON_NO_ROUTE,
    REASON_UNAUTHORIZED, /* no good credential: 401 */
    REASON_FORBIDDEN,    /* known, but not allowed: 403 */
    REASON_LIMITED,      /* too many requests: 429 */
    REASON_CONCURRENCY,  /* too many at once: 429 */
    REASON_NOT_CACHED,   /* only what is stored was wanted: 504 */

    /* the backend's */
    REASON_NO_SERVER,          /* no address is known: 503 */
    REASON_CONNECT_FAILED,     /* refused, unreachable, reset while connecting: 502 */
    REASON_CONNECT_TIMEOUT,    /* 504 */
    REASON_TLS_FAILED,         /* handshake or verification: 502 */
    REASON_UPSTREAM_RESET,     /* connection lost before the answer's head was complete: 502 */
    REASON_UPSTREAM_MALFORMED, /* not HTTP, ambiguous framing, head too large: 502 */
    REASON_UPSTREAM_TIMEOUT,   /* first byte, between bytes: 504 */
    REASON_UPSTREAM_TRUNCATED, /* lost in the middle of the body: the client's connection is cut */
    REASON_TOTAL_TIMEOUT,      /* the whole exchange took too long: 504 */

    REASON_BREAKER_OPEN,  /* its circuit breaker is open: 503 */
    REASON_BULKHEAD_FULL, /* too many requests are under way to it: 503 */

    /* ours */
    REASON_LIMIT_UNAVAILABLE, /* a limit cannot be counted now, and must be: 503 */
    REASON_AUTH_UNAVAILABLE,  /* nobody can tell now who a client is: 503 */
    REASON_OVERLOADED,        /* a bound of ours was reached (connections, memory): 503 */
    REASON_DRAINING,          /* shutting down: 503 */
    REASON_INTERNAL,          /* 500 */
    REASONS
};

struct reason_info {
    const char *name;         /* "connect_failed" */
    unsigned status;          /* for the client */
    const char *proxy_status; /* error type of RFC 9209, 2.3 ("connection_refused"), or NULL */
    const char *title;        /* "The backend could not be reached" */
};

const struct reason_info *reason_info(enum reason r);

#endif
