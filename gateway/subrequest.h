/*
 * subrequest.h: a small request of the gateway's own to a backend, on behalf of an exchange that waits for
 * it.
 *
 *     s = subrequest_start(x, &(struct subrequest_ask){.backend = i, .head = head, .timeout_ms = 500});
 *     if (!s) ...                                     // at once: x->err says why
 *     park; when woken and subrequest_is_over(s): subrequest_result(s, &answer)
 *     subrequest_end(s);                              // whatever became of it
 *
 * It has no body, and its answer, head and body, has to fit into FORWARD_BUFFER. It uses the backend's
 * balancer, connections, breaker and server fitness as any request does, and goes to another server when one
 * cannot be connected to; an answer that breaks off is a failure. Memory is the exchange's, a buffer from the
 * worker's pool, until subrequest_end.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_SUBREQUEST_H
#define GATEWAY_SUBREQUEST_H

#include "gateway/exchange.h"

struct subrequest;

struct subrequest_ask {
    size_t backend;    /* index into conf.backends */
    struct slice head; /* of a GET, complete; lent until the end */
    uint32_t timeout_ms;
};

struct subrequest_answer {
    unsigned status;
    struct http_fields fields; /* lent until subrequest_end */
    struct slice body;
};

/* NULL when it cannot even begin. X is woken when it is over. */
MUST_USE struct subrequest *subrequest_start(struct exchange *x, const struct subrequest_ask *ask);
bool subrequest_is_over(const struct subrequest *s);

/* False: there is none, x->err says why. */
MUST_USE bool subrequest_result(const struct subrequest *s, struct subrequest_answer *answer);

/* NULL is allowed. */
void subrequest_end(struct subrequest *s);

#endif
