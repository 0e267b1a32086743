/*
 * path.h: the path of a request, as one array of steps.
 *
 * A step says what is next: PASS to go on with the following step, PARK to wait (it has arranged for
 * exchange_wake; when woken, the same step runs again), REPLY when x->reply is ready. undo gives back what
 * run took, and is called for every step that was begun, in reverse order, however the request ends.
 *
 * A new feature is one row here and one file for its step.
 */
#ifndef GATEWAY_PATH_H
#define GATEWAY_PATH_H

#include "gateway/exchange.h"

enum step_result { STEP_PASS, STEP_PARK, STEP_REPLY };

struct step {
    const char *name;
    enum step_result (*run)(struct exchange *x);
    void (*undo)(struct exchange *x); /* NULL: nothing to give back */
};

/* access.c: the client's network may come in. */
enum step_result access_admit(struct exchange *x);

/* cors.c: answers preflights; tells browsers which pages may see the answer. */
enum step_result cors_step(struct exchange *x);

/* access.c: who the client is, where the route asks; parks while a slow check is under way. */
enum step_result access_step(struct exchange *x);
void access_undo(struct exchange *x);

/* limit.c: a token of each limit of the route; parks when it is to be delayed. */
enum step_result limit_step(struct exchange *x);
void limit_undo(struct exchange *x);

/* concurrency.c: a place among those under way; parks while there is none and it may wait. */
enum step_result concurrency_step(struct exchange *x);
void concurrency_undo(struct exchange *x);

/* cache.c: answers from what is stored; parks while another request fetches the same. */
enum step_result cache_step(struct exchange *x);
void cache_undo(struct exchange *x);

/* forward.c: choose a server and exchange the request with it. Parks until the answer's head is there. */
enum step_result forward_step(struct exchange *x);

extern const struct step request_path[];
extern const size_t request_path_length;

#endif
