/*
 * profile.h: what this process spends its CPU time on, while it runs.
 *
 *     struct profile *p = profile_new(99, &err);        // NULL: one is running, err.sys is EBUSY
 *     every 100 ms or so: profile_collect(p);
 *     profile_stop(p);
 *     for (const struct profile_stack *s = profile_stacks(p); s; s = s->next) ...
 *     profile_free(p);
 *
 * Every thread gets a timer on its own CPU time, whose signal (THREADS_PROFILE) makes the thread write down
 * its own stack (unwind.h). So a thread that waits is not sampled and not disturbed, and two samples mean two
 * periods of CPU time. The kernel looks at such timers at its own ticks: a period shorter than one of them (4
 * ms, often) is told as several at once, which count as such.
 *
 * The handler allocates nothing and takes no lock: samples go to a buffer of the thread's own. What has no
 * room there, or comes when there are PROFILE_STACKS_MAX different stacks, is counted as lost. Threads that
 * begin are found at the next collect; those that block the signal are not sampled.
 *
 * While there is no profile there is no timer. The signal's handler stays installed from the first one on, so
 * that a late signal does no harm.
 *
 * profile_new to profile_free: one thread, which may wait. One profile at a time in a process.
 */
#ifndef LIB_PROFILE_H
#define LIB_PROFILE_H

#include "lib/threads.h"
#include "lib/unwind.h"

#define PROFILE_HZ_MAX      500
#define PROFILE_THREADS_MAX 256
#define PROFILE_STACKS_MAX  65536

struct profile;

struct profile_stack {
    const struct profile_stack *next;
    char thread[THREAD_NAME];
    uint64_t count; /* periods of CPU time */
    size_t n;
    uintptr_t at[]; /* N addresses, as in unwind.h */
};

struct profile_totals {
    uint64_t samples;        /* periods, in all stacks */
    uint64_t lost;           /* periods that no stack is known of */
    uint64_t period_ns;      /* of CPU time */
    int64_t begin_us;        /* wall clock */
    uint64_t duration_ns;    /* until now, or the stop */
    size_t threads;          /* that were sampled, whether they ran or not */
    size_t threads_left_out; /* for want of room, or of a timer */
};

/* HZ samples for a second of CPU time of each thread: 1 to PROFILE_HZ_MAX. NULL with err. */
MUST_USE struct profile *profile_new(unsigned hz, struct err *err);

/* Take what the threads have written, and look for new threads. */
void profile_collect(struct profile *p);

/* Collect for the last time; no thread is sampled any more. */
void profile_stop(struct profile *p);
void profile_free(struct profile *p);

/* In no order. */
const struct profile_stack *profile_stacks(const struct profile *p);
struct profile_totals profile_totals(const struct profile *p);

/* What is loaded, as it was at the start: for symbols.h. */
struct modules *profile_modules(const struct profile *p);

#endif
