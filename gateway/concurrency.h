/*
 * concurrency.h: how many requests of a client, or of a route, may be under way at once.
 *
 * A step of the path, behind the limits. What is over the bound waits when the configuration has a queue for
 * it, for so long at most, and is refused with 429 otherwise. The counts are the process's, shared by all
 * workers without a lock (lib/gate.h) and kept over reloads. A request that waits is let in by its own
 * worker, which looks at every turn; between workers the order is not that of arrival.
 */
#ifndef GATEWAY_CONCURRENCY_H
#define GATEWAY_CONCURRENCY_H

#include "gateway/conf.h"
#include "lib/gate.h"
#include "lib/wheel.h"

struct exchange;
struct worker;

/* The counts of the process. */
struct concurrency;

/* NULL when memory is short. */
MUST_USE struct concurrency *concurrency_new(void);
void concurrency_free(struct concurrency *c);

/* What an exchange has to do with it. */
struct concurrent {
    gate_place *places[CONF_CONCURRENCY_MAX]; /* that it holds */
    size_t n;                                 /* bounds of the route that it has passed */
    gate_place *waiting;                      /* its place in the queue of the next */
    bool is_queued, is_late;
    struct exchange *next, *prev; /* in the worker's list of those that wait */
    struct wheel_entry timer;
};

/* Let in who waits and may. Every turn. */
void concurrency_wake(struct worker *w);

#endif
