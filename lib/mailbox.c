/*
 * mailbox.c: a queue and an eventfd; see mailbox.h.
 *
 * The receiver may be asleep only if the queue is armed (see queue.h). Drain empties the eventfd first, then
 * pops, and arms the queue only when it has found nothing more: while it is busy, sends cost no system call.
 * The eventfd is read before the arming, never after: a read after it could swallow the wake of a message
 * that the pops did not see.
 */
#include "lib/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    struct queue queue;
    int fd;
};

struct mailbox *mailbox_new(size_t max)
{
    struct mailbox *mb = aligned_alloc(_Alignof(struct mailbox), sizeof(*mb));
    if (!mb)
        return NULL;
    queue_init(&mb->queue, max);
    mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mb->fd < 0) {
        int sys = errno;
        free(mb);
        errno = sys;
        return NULL;
    }
    return mb;
}

void message_drop(struct message *m)
{
    if (m->free)
        m->free(m);
}

static struct message *pop(struct mailbox *mb)
{
    struct queue_node *n = queue_pop(&mb->queue);
    return n ? (struct message *)(void *)((char *)n - offsetof(struct message, node)) : NULL;
}

void mailbox_free(struct mailbox *mb)
{
    for (struct message *m = pop(mb); m; m = pop(mb))
        message_drop(m);
    close(mb->fd);
    free(mb);
}

int mailbox_fd(const struct mailbox *mb)
{
    return mb->fd;
}

static void wake(struct mailbox *mb)
{
    uint64_t one = 1;
    ssize_t n = write(mb->fd, &one, sizeof(one));
    CHECK(n == sizeof(one) || errno == EAGAIN); /* EAGAIN: it is as full as can be, so it is readable */
}

bool mailbox_send(struct mailbox *mb, struct message *m)
{
    switch (queue_push(&mb->queue, &m->node)) {
    case QUEUE_REFUSED:
        return false;
    case QUEUE_WAKE:
        wake(mb);
        return true;
    case QUEUE_ADDED:
        break;
    }
    return true;
}

/* Pop until nothing is found or MAX were handed out; how many. */
static size_t hand_out(struct mailbox *mb, mailbox_fn *fn, void *ctx, size_t max)
{
    size_t n = 0;
    struct message *m;
    while (n < max && (m = pop(mb))) {
        fn(ctx, m);
        n++;
    }
    return n;
}

size_t mailbox_drain(struct mailbox *mb, mailbox_fn *fn, void *ctx, size_t max)
{
    uint64_t wakes;
    ssize_t got = read(mb->fd, &wakes, sizeof(wakes));
    CHECK(got == sizeof(wakes) || errno == EAGAIN);
    size_t n = hand_out(mb, fn, ctx, max);
    if (n < max) {
        queue_arm(&mb->queue);
        n += hand_out(mb, fn, ctx, max - n);
    }
    if (n == max)
        wake(mb);
    return n;
}

void mailbox_close(struct mailbox *mb)
{
    queue_close(&mb->queue);
    wake(mb);
}

bool mailbox_is_closed(const struct mailbox *mb)
{
    return queue_is_closed(&mb->queue);
}

bool mailbox_is_over(const struct mailbox *mb)
{
    return queue_is_over(&mb->queue);
}

size_t mailbox_count(const struct mailbox *mb)
{
    return queue_count(&mb->queue);
}
