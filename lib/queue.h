/*
 * queue.h: two lock-free queues.
 *
 * struct queue: many producers, one consumer, first in first out for each producer. Nodes are part of what is
 * queued, so a push allocates nothing; it is wait-free: a fixed number of steps whatever the others do. A
 * bound keeps it from growing for ever. It also knows when the consumer must be woken: the consumer arms the
 * queue before its last look, and the first push after that is told QUEUE_WAKE.
 *
 *     switch (queue_push(&q, &m->node)) {          // any thread
 *     case QUEUE_REFUSED: ... full or closed, M is still yours
 *     case QUEUE_WAKE:    ... wake the consumer
 *     case QUEUE_ADDED:   ... nothing to do
 *     }
 *     while ((node = queue_pop(&q)))               // the consumer
 *         ...
 *     queue_arm(&q);
 *     while ((node = queue_pop(&q)))               // what came before the arming; only then sleep
 *         ...
 *
 * It follows D. Vyukov, "Intrusive MPSC node-based queue" (1024cores.net).
 *
 * struct queue_ring: many producers, many consumers, a fixed number of pointers; for free lists that threads
 * share. Both calls finish without waiting for a free place or for an item. It follows D. Vyukov, "Bounded
 * MPMC queue" (1024cores.net).
 *
 *     struct queue_ring *r = queue_ring_new(1024);
 *     if (!queue_ring_push(r, block)) free(block);
 *     block = queue_ring_pop(r);                   // NULL: empty
 *
 * The queues own nothing that is in them.
 */
#ifndef LIB_QUEUE_H
#define LIB_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/check.h"

/* ---- many producers, one consumer ---- */

struct queue_node {
    _Atomic(struct queue_node *) next; /* the one pushed after this */
};

/* Embedded; whoever allocates it must keep its alignment. No field is for the user. */
struct queue {
    _Alignas(CACHE_LINE) _Atomic(struct queue_node *) tail; /* pushed last */
    _Atomic size_t count; /* nodes admitted and not popped, plus the closed bit */
    _Atomic bool armed;   /* the next push is to wake the consumer */
    size_t max;
    _Alignas(CACHE_LINE) struct queue_node *head; /* next to pop; the consumer's */
    struct queue_node stub;                       /* keeps the list from ever being empty */
};

enum queue_push_result { QUEUE_REFUSED, QUEUE_ADDED, QUEUE_WAKE };

/* At most MAX nodes (at least 1) at a time. A new queue is armed. There is nothing to undo at the end. */
void queue_init(struct queue *q, size_t max);

/*
 * Any thread. Refused when MAX nodes are in, or when it was closed. While several threads push at the edge,
 * one may be refused although a place is free: each refused push counts for a moment.
 */
MUST_USE enum queue_push_result queue_push(struct queue *q, struct queue_node *n);

/* The consumer only. NULL: empty, or the oldest push is not finished (its producer will then find the queue
 * armed). */
MUST_USE struct queue_node *queue_pop(struct queue *q);

/* The consumer only, before its last look: the next push gives QUEUE_WAKE, once. */
void queue_arm(struct queue *q);

/* Any thread: refuse all pushes from now on. What is in may still be popped. */
void queue_close(struct queue *q);
bool queue_is_closed(const struct queue *q);

/* Closed, and every node that was admitted has been popped: nothing will ever come again. */
bool queue_is_over(const struct queue *q);

/* Nodes in the queue; any thread, for gauges. */
size_t queue_count(const struct queue *q);

/* ---- many producers, many consumers ---- */

struct queue_ring;

/* Room for CAPACITY pointers, rounded up to a power of two (2 at least). NULL: out of memory. */
MUST_USE struct queue_ring *queue_ring_new(size_t capacity);
void queue_ring_free(struct queue_ring *r);

/* Any thread. False: full. ITEM may not be NULL. */
MUST_USE bool queue_ring_push(struct queue_ring *r, void *item);

/* Any thread. NULL: empty. */
MUST_USE void *queue_ring_pop(struct queue_ring *r);

#endif
