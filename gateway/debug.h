/*
 * debug.h: what the process is doing, for whoever looks for the reason.
 *
 *     GET /debug/profile?seconds=5&format=folded&hz=99    CPU profile of all threads: lib/profile.h
 *                        1 to 60          pprof  1 to 500
 *     GET /debug/threads                                  every thread, what it does and its stack
 *     GET /debug/memory                                   bytes, by what they are for
 *
 *     curl -s localhost:9901/debug/profile?seconds=10 | flamegraph.pl > profile.svg
 *     go tool pprof 'http://localhost:9901/debug/profile?seconds=10&format=pprof'
 *
 * Profiles and stacks are made by a thread of their own that lives as long as that takes; the answer comes by
 * a ticket (state.h). One of each kind at a time: who else asks gets 409. When the client leaves, a profile
 * is given up. Without anybody who asks, there is no thread and no timer.
 *
 * /debug/memory asks malloc for its numbers, which goes along the free pieces of each of its arenas under
 * that arena's lock: a look now and then, nothing to be scraped every second.
 *
 * Control thread only.
 */
#ifndef GATEWAY_DEBUG_H
#define GATEWAY_DEBUG_H

#include "gateway/state.h"

struct logwriter;
struct worker;

struct debug_setup {
    struct worker *const *workers; /* lent until debug_free */
    unsigned nworkers;
    struct logwriter *access_log; /* NULL: off */
    struct mailbox *mailbox;      /* gets STATE_MAIL_DEBUG when an answer is there */
};

/* NULL: out of memory. */
MUST_USE struct debug *debug_new(const struct debug_setup *setup);

/* Ends what is under way; whoever waits for it is told. Before the workers stop. D may be NULL. */
void debug_free(struct debug *d);

/* Whether it is one of the pages above. */
MUST_USE bool debug_has(const struct state_ask *ask);

/* D is NULL while the process ends. */
MUST_USE struct state_answer debug_handle(struct debug *d, const struct state_view *v,
                                          const struct state_ask *ask);

/* A message of type STATE_MAIL_DEBUG has come; takes M. */
void debug_finish(struct debug *d, struct message *m);

#endif
