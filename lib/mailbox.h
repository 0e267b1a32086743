/*
 * mailbox.h: messages from any thread to one.
 *
 * A message is a struct that begins with struct message; it belongs to the sender until mailbox_send takes
 * it, then to the mailbox, then to the function that drain calls. An eventfd tells an event loop that there
 * is mail: it is written once for a burst, by the send that finds the receiver possibly asleep.
 *
 *     struct mailbox *mb = mailbox_new(1024);
 *     poll mailbox_fd(mb) for reading; when readable: mailbox_drain(mb, on_message, ctx, 256);
 *
 *     struct hello { struct message base; int n; };             // any thread
 *     h->base.free = hello_free;
 *     if (!mailbox_send(mb, &h->base))
 *         hello_free(&h->base);                                 // full: say so, or do without
 *
 * Messages of one sender arrive in the order they were sent. mailbox_send, _close and _count: any thread; the
 * rest: the receiver.
 */
#ifndef LIB_MAILBOX_H
#define LIB_MAILBOX_H

#include "lib/queue.h"

#include <stdint.h>

struct message {
    struct queue_node node;          /* the mailbox's, while it has the message */
    uint32_t type;                   /* what it says; the users' own numbers */
    void (*free)(struct message *m); /* for one that is never received; NULL: it needs none */
};

struct mailbox;

typedef void mailbox_fn(void *ctx, struct message *m); /* takes M */

/* At most MAX messages wait. NULL with errno. */
MUST_USE struct mailbox *mailbox_new(size_t max);

/* Drops what is in it. Nobody may send any more. */
void mailbox_free(struct mailbox *mb);

/* Readable when there may be mail. Only to be polled: drain reads it. */
int mailbox_fd(const struct mailbox *mb);

/* Takes M when true. False: full or closed, M stays the caller's. Never waits. */
MUST_USE bool mailbox_send(struct mailbox *mb, struct message *m);

/*
 * Hand at most MAX messages to FN; how many there were. When it stops at MAX, the descriptor stays readable.
 * FN may send to this mailbox.
 */
size_t mailbox_drain(struct mailbox *mb, mailbox_fn *fn, void *ctx, size_t max);

/* Refuse everything from now on and wake the receiver, who may still drain what is there. */
void mailbox_close(struct mailbox *mb);
bool mailbox_is_closed(const struct mailbox *mb);

/* Closed, and all that was ever taken has been handed out. */
bool mailbox_is_over(const struct mailbox *mb);

/* Messages waiting; for gauges. */
size_t mailbox_count(const struct mailbox *mb);

/* Free a message by its own function. */
void message_drop(struct message *m);

#endif
