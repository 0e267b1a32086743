/*
 * tally.h: what has happened so far: counts by category, failures, and how often each request reached the
 * origin.
 *
 * All threads share one tally; every call is safe from any of them.
 */
#ifndef SOAK_TALLY_H
#define SOAK_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/soak/plan.h"

#define TALLY_FAILURES_MAX 50 /* after so many the run is given up */

/* What may come of a request and be right, and what is worth counting on the way. */
#define TALLY_KINDS(X)                                                                                       \
    X(COMPLETE, "complete answers, verified")                                                                \
    X(CUT_SEEN, "answers the origin cut, seen as cut")                                                       \
    X(CUT_HIDDEN, "answers the origin cut, to HTTP/1.0 clients that cannot see it")                          \
    X(REFUSED, "gateway errors for origins that failed")                                                     \
    X(STALE,                                                                                                 \
      "gateway errors because a kept connection was closed at the moment of use; never reached the origin")  \
    X(LEFT, "requests the client left")                                                                      \
    X(EARLY_LOST, "early answers lost with the connection the origin closed")                                \
    X(IDLE_CLOSED, "kept client connections closed unannounced; request repeated")                           \
    X(PIPELINE_CLOSED, "pipelined requests behind an answer that announced the close; request repeated")     \
    X(REUSED, "requests on a kept client connection")                                                        \
    X(PIPELINED, "requests pipelined")                                                                       \
    X(CONTINUED, "bodies sent after 100 Continue")                                                           \
    X(UNASKED, "bodies sent though no 100 Continue came in time")                                            \
    X(INTERIM, "interim answers (103) passed on")                                                            \
    X(TRAILERS_UP, "request trailers passed on")                                                             \
    X(TRAILERS_DOWN, "answer trailers passed on")                                                            \
    X(DROPPED, "origin connections closed without a word after an answer")                                   \
    X(REPEATED, "idempotent requests the gateway sent twice")                                                \
    X(BYTES_UP, "request body bytes verified")                                                               \
    X(BYTES_DOWN, "answer body bytes verified")

enum tally_kind {
#define TALLY_ENUM(name, text) TALLY_##name,
    TALLY_KINDS(TALLY_ENUM)
#undef TALLY_ENUM
        TALLY_COUNT
};

struct tally {
    uint64_t run_seed;
    uint64_t first_id, requests;
    unsigned repeats_max; /* how often an idempotent request may reach the origin */
    _Atomic uint64_t counts[TALLY_COUNT];
    _Atomic uint64_t passed, failed;
    _Atomic uint8_t *reached; /* per request: how often the origin saw it */
};

bool tally_init(struct tally *t, uint64_t run_seed, uint64_t first_id, uint64_t requests);
void tally_fini(struct tally *t);

void tally_add(struct tally *t, enum tally_kind kind, uint64_t n);

/* The request ID came to its end as it may, in the way KIND. */
void tally_pass(struct tally *t, enum tally_kind kind);

/* It did not; TEXT says what was seen. Prints it with the plan. */
void tally_fail(struct tally *t, const struct plan *p, const char *text);

/* What the origin finds wrong with a request it was given. */
void tally_fail_at_origin(struct tally *t, uint64_t id, const char *text);

bool tally_is_hopeless(struct tally *t);

/* The origin has the head of request ID: how often, this time included. 0: no such request. */
unsigned tally_reached(struct tally *t, uint64_t id);
unsigned tally_times_reached(struct tally *t, uint64_t id);

/* What can only be said at the end; then the counts on standard output, "N passed, N failed" last. True: none
 * failed. */
bool tally_close(struct tally *t);

#endif
