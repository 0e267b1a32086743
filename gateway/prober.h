/*
 * prober.h: active health checks: asks every server of every backend that has `health` from time to time.
 *
 * One thread with libcurl's multi interface, away from the workers. What it finds goes to the server's
 * fitness (lib/ejection.h), which the balancers look at: `fall` bad checks in a row take a server out, `rise`
 * good ones bring it back. A server that is new is taken to be well until its checks say otherwise, and is
 * checked at once. One that is not checked any more, because a reload dropped `health`, is brought back.
 *
 *     prober_follow(p, snapshot, lists);                 // a new configuration, with what is known of it
 *     prober_change(p, snapshot, backend, list);         // new addresses of one of its backends
 *
 * A check has ended after its timeout, whatever the server does; of an answer at most PROBE_BODY bytes are
 * read; at most PROBES_AT_ONCE checks run.
 */
#ifndef GATEWAY_PROBER_H
#define GATEWAY_PROBER_H

#include "gateway/log.h"
#include "gateway/snapshot.h"

#define PROBE_BODY     (64 * 1024)
#define PROBES_AT_ONCE 256

struct prober;

/* The thread runs when this returns. LOG outlives it. NULL with err. */
MUST_USE struct prober *prober_new(struct log *log, struct err *err);

/* Ends the thread; checks under way are given up. NULL is allowed. */
void prober_free(struct prober *p);

/* The control thread's. The lists are as many as the snapshot's backends; NULL where no address is known.
 * False when memory is short: then the old targets stay. */
bool prober_follow(struct prober *p, struct snapshot *s, struct endpoint_list *const *lists);
bool prober_change(struct prober *p, struct snapshot *s, size_t backend, struct endpoint_list *list);

#endif
