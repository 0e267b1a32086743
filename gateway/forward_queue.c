/*
 * forward_queue.c: the part of forward.h where requests wait for room in a backend's bulkhead.
 *
 * One queue for each worker, of all backends, in the order of arrival. Room is made on any worker, which
 * tells nobody: each looks at every turn of its own, and it turns at least once in a tick. So nobody waits
 * for longer than a tick while there is room, but between workers the order is not that of arrival.
 */
#include "gateway/forward_internal.h"

#include "gateway/worker.h"

static struct exchange *exchange_of(struct forward *f)
{
    return (struct exchange *)((char *)f - offsetof(struct exchange, forward));
}

void forward_join_queue(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct worker *w = x->worker;
    f->is_queued = true;
    f->queue_next = NULL;
    f->queue_prev = w->queue_last;
    if (w->queue_last)
        w->queue_last->queue_next = f;
    else
        w->queue_first = f;
    w->queue_last = f;
}

void forward_leave_queue(struct exchange *x)
{
    struct forward *f = &x->forward;
    struct worker *w = x->worker;
    if (!f->is_queued)
        return;
    f->is_queued = false;
    if (f->queue_prev)
        f->queue_prev->queue_next = f->queue_next;
    else
        w->queue_first = f->queue_next;
    if (f->queue_next)
        f->queue_next->queue_prev = f->queue_prev;
    else
        w->queue_last = f->queue_prev;
    atomic_fetch_sub_explicit(&f->guard->queued, 1, memory_order_relaxed);
}

void forward_wake_queue(struct worker *w)
{
    for (struct forward *f = w->queue_first, *next; f; f = next) {
        next = f->queue_next;
        if (!bulkhead_enter(&f->guard->bulkhead))
            continue;
        f->is_inside = true;
        forward_leave_queue(exchange_of(f));
        forward_set_phase(f, 0, REASON_NONE);
        exchange_wake(exchange_of(f));
    }
}
