/*
 * actor.h: a thread that owns its state and is only ever sent messages.
 *
 *     static void handle(void *self, struct message *m);        // takes M
 *     static void tick(void *self, uint64_t now_ns);
 *
 *     struct actor *a = actor_new(&(struct actor_setup){.name = "prober", .self = prober, .handle = handle,
 *                                 .max = 1024, .tick = tick, .tick_ns = CLOCK_SECOND_NS}, &err);
 *     if (!actor_send(a, &m->base)) ...                         // any thread
 *     actor_stop(a, clock_now_ns() + 2 * CLOCK_SECOND_NS);      // what was sent is handled first
 *     actor_free(a);
 *
 * SELF belongs to the actor's thread from actor_new until actor_stop says true. The thread blocks all
 * signals. Threads that run a loop of their own use a mailbox (mailbox.h) without an actor.
 */
#ifndef LIB_ACTOR_H
#define LIB_ACTOR_H

#include "lib/err.h"
#include "lib/mailbox.h"

struct actor;

struct actor_setup {
    const char *name; /* of the thread; cut to 15 bytes */
    void *self;
    void (*handle)(void *self, struct message *m); /* takes M */
    void (*tick)(void *self, uint64_t now_ns);     /* NULL: none. Monotonic time */
    uint64_t tick_ns;                              /* between ticks; ticks that were missed are not made up */
    size_t max;                                    /* messages that may wait */
};

/* NULL with err. The thread runs when this returns. */
MUST_USE struct actor *actor_new(const struct actor_setup *setup, struct err *err);

/* Any thread. Takes M when true. False: full or stopping, M stays the caller's. Never waits. */
MUST_USE bool actor_send(struct actor *a, struct message *m);

/*
 * Refuse new messages, let the actor handle those it has, and wait for its end, at most until DEADLINE_NS
 * (monotonic). False: it is not at its end yet. From then on it drops its messages unhandled; stop may be
 * called again. One thread at a time, never the actor's own. Every message that actor_send took was handled,
 * or dropped because of the deadline.
 */
MUST_USE bool actor_stop(struct actor *a, uint64_t deadline_ns);

/* After actor_stop said true, when nobody sends any more. */
void actor_free(struct actor *a);

/* Messages waiting; any thread, for gauges. */
size_t actor_count(const struct actor *a);

#endif
