/*
 * watchdog.h: tells of loops that do not turn.
 *
 * A thread of its own looks, 20 times a second, when each worker's loop last turned. One that has not for
 * longer than the limit is held up by something: where it is, its stack, is logged once, and when it goes on,
 * after how long:
 *
 *     worker 1 has not turned for 163 ms: regexec < router_match < route_run < exchange_run < ...
 *     worker 1 went on after 412 ms
 *
 * It costs a request nothing. A process that was stopped as a whole, or got no processor, is not taken for a
 * stall of its workers, as far as the watchdog was late itself; on a machine with too much to do it may be
 * wrong. Its log lines are words for people, and nothing acts on them.
 *
 *     struct watchdog *w = watchdog_new(&(struct watchdog_setup){.log = log, .n = 2, .targets = targets,
 *                                       .limit_ns = WATCHDOG_LIMIT_NS}, &err);
 *     ...
 *     watchdog_free(w);                      // before what the targets point to goes
 *
 * Calls: one thread; watchdog_stalls and watchdog_metrics: any.
 */
#ifndef GATEWAY_WATCHDOG_H
#define GATEWAY_WATCHDOG_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "lib/err.h"

/* A worker may rest for a tick (WORKER_TICK_MS) before it turns; being held up for 100 ms comes on top. */
#define WATCHDOG_LIMIT_NS UINT64_C(150000000)

struct log;
struct watchdog;
struct worker;

struct watchdog_target {
    const _Atomic uint64_t *beat_ns; /* when its loop last turned; 0: not yet */
    const _Atomic pid_t *tid;        /* of its thread; 0: not yet */
};

struct watchdog_setup {
    struct log *log;
    unsigned n;
    const struct watchdog_target *targets; /* copied */
    uint64_t limit_ns;
};

MUST_USE struct watchdog *watchdog_new(const struct watchdog_setup *setup, struct err *err);

/* The same for workers, with the usual limit. */
MUST_USE struct watchdog *watchdog_of_workers(struct worker *const *workers, unsigned n, struct log *log,
                                              struct err *err);

/* W may be NULL. */
void watchdog_free(struct watchdog *w);

/* How often target I was found to be held up. */
uint64_t watchdog_stalls(const struct watchdog *w, unsigned i);

/* tollgate_worker_stalls_total */
void watchdog_metrics(const struct watchdog *w, FILE *out);

#endif
