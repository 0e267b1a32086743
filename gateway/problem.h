/*
 * problem.h: the body of an answer that the gateway makes because something went wrong.
 *
 *     const struct problem p = {.reason = REASON_NO_ROUTE, .request_id = id, .accept = value_of_accept};
 *     struct slice type = problem_body(&p, &b);        // Content-Type; the body is in b
 *     b.len = 0;
 *     problem_proxy_status(&p, &b);                    // value of Proxy-Status; empty: send none
 *
 * The body is problem+json (RFC 9457) unless the client prefers HTML or plain text. It tells the status, what
 * went wrong in a sentence, the reason's word and the request's id; nothing about the inside of backends. The
 * type is about:blank, so the title is the status phrase, as the RFC asks; programs look at `reason`.
 *
 * Pure functions, callable from any thread. A buffer that is too small is left failed.
 */
#ifndef GATEWAY_PROBLEM_H
#define GATEWAY_PROBLEM_H

#include "gateway/reason.h"
#include "lib/buf.h"

struct problem {
    enum reason reason;
    struct slice request_id; /* empty: none */
    struct slice accept;     /* value of the Accept field; empty: the client takes anything */
};

/* No body is longer than this and six times the request id. */
#define PROBLEM_BODY_MAX 1024

/* Add the body to OUT; gives the value for Content-Type. */
struct slice problem_body(const struct problem *p, struct buf *out);

/* The same as JSON for what has no reason of the table: gives the text, from malloc; NULL when memory is
 * short.
 */
MUST_USE char *problem_text(unsigned status, const char *detail);

/* Add the value of Proxy-Status (RFC 9209); nothing for a reason that has no error type. */
void problem_proxy_status(const struct problem *p, struct buf *out);

#endif
