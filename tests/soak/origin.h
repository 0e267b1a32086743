/*
 * origin.h: the backend of the soak: does what each request's X-Do says, and checks all it is given.
 *
 * One thread accepts, and one serves each connection, so that the code reads as the story of a connection.
 * What is wrong with a request is told to the tally, and in the answer's X-Verdict: "ok", "early" (answered
 * before the body was read), or what was wrong.
 *
 *     struct origin *o = origin_start(ports, nports, &tally);
 *     origin_close_connections(o);
 *     origin_stop(o);
 */
#ifndef SOAK_ORIGIN_H
#define SOAK_ORIGIN_H

#include <stdint.h>

#include "tests/soak/tally.h"

struct origin;

/* Listen on 127.0.0.1; NULL when that cannot be had (errno says why). */
struct origin *origin_start(const uint16_t *ports, unsigned nports, struct tally *tally);

/* End every connection, as a backend that goes away; new ones are still taken. Returns when all threads are
 * gone. */
void origin_close_connections(struct origin *o);
void origin_stop(struct origin *o);

#endif
