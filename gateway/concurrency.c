/* concurrency.c: see concurrency.h. */
#include "gateway/concurrency.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/client_key.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define MS     UINT64_C(1000000)
#define PLACES 262144 /* 2 MB, used by the page: four times as many as requests are usually under way */

struct concurrency {
    struct gate *inside, *waiting;
    unsigned char secret[CLIENT_KEY_SECRET];
};

struct concurrency *concurrency_new(void)
{
    struct concurrency *c = calloc(1, sizeof(*c));
    if (c && getrandom(c->secret, sizeof(c->secret), 0) == sizeof(c->secret) &&
        (c->inside = gate_new(PLACES)) && (c->waiting = gate_new(PLACES)))
        return c;
    concurrency_free(c);
    return NULL;
}

void concurrency_free(struct concurrency *c)
{
    if (!c)
        return;
    gate_free(c->inside);
    gate_free(c->waiting);
    free(c);
}

static const struct conf_concurrency *bound_of(const struct exchange *x)
{
    return &exchange_route(x)->concurrencies[x->concurrent.n];
}

static struct gate_key key_of(struct exchange *x)
{
    const struct conf_concurrency *bound = bound_of(x);
    struct client_key key = client_key_of(x, &bound->keys, bound->id, x->worker->setup.concurrency->secret);
    return (struct gate_key){key.high, key.low};
}

/* ---- waiting ---- */

static void join_queue(struct exchange *x)
{
    struct worker *w = x->worker;
    struct concurrent *c = &x->concurrent;
    c->is_queued = true;
    c->next = NULL;
    c->prev = w->crowd_last;
    if (w->crowd_last)
        w->crowd_last->concurrent.next = x;
    else
        w->crowd_first = x;
    w->crowd_last = x;
}

static void leave_queue(struct exchange *x)
{
    struct worker *w = x->worker;
    struct concurrent *c = &x->concurrent;
    if (!c->is_queued)
        return;
    c->is_queued = false;
    if (c->prev)
        c->prev->concurrent.next = c->next;
    else
        w->crowd_first = c->next;
    if (c->next)
        c->next->concurrent.prev = c->prev;
    else
        w->crowd_last = c->prev;
    wheel_cancel(&c->timer);
    gate_leave(c->waiting);
    c->waiting = NULL;
}

static bool enter(struct exchange *x, struct gate_key key)
{
    struct concurrent *c = &x->concurrent;
    const struct conf_concurrency *bound = bound_of(x);
    if (gate_enter(x->worker->setup.concurrency->inside, key, bound->max, &c->places[c->n]) != GATE_IN)
        return false;
    c->n++;
    return true;
}

void concurrency_wake(struct worker *w)
{
    for (struct exchange *x = w->crowd_first, *next; x; x = next) {
        next = x->concurrent.next;
        if (!enter(x, key_of(x)))
            continue;
        leave_queue(x);
        exchange_wake(x);
    }
}

static void on_late(struct wheel_entry *e)
{
    struct concurrent *c = (struct concurrent *)((char *)e - offsetof(struct concurrent, timer));
    struct exchange *x = (struct exchange *)((char *)c - offsetof(struct exchange, concurrent));
    c->is_late = true;
    leave_queue(x);
    exchange_wake(x);
}

/* False: the queue is full, or it has waited already. */
static bool may_wait(struct exchange *x, struct gate_key key)
{
    struct concurrent *c = &x->concurrent;
    const struct conf_concurrency *bound = bound_of(x);
    if (bound->queue == 0 || c->is_late ||
        gate_enter(x->worker->setup.concurrency->waiting, key, bound->queue, &c->waiting) != GATE_IN)
        return false;
    join_queue(x);
    c->timer.expired = on_late;
    wheel_set(&x->worker->wheel, &c->timer, clock_now_ns() + bound->wait_ms * MS);
    return true;
}

/* ---- the step ---- */

enum step_result concurrency_step(struct exchange *x)
{
    struct concurrent *c = &x->concurrent;
    if (c->is_queued)
        return STEP_PARK;
    while (c->n < exchange_route(x)->nconcurrencies) {
        struct gate_key key = key_of(x);
        if (enter(x, key))
            continue;
        if (bound_of(x)->mode == LIMIT_SHADOW) {
            x->record.limit = LIMIT_SHADOWED;
            c->n++;
            continue;
        }
        if (may_wait(x, key))
            return STEP_PARK;
        x->record.limit = LIMIT_REFUSED;
        exchange_fail(x, REASON_CONCURRENCY);
        return STEP_REPLY;
    }
    return STEP_PASS;
}

void concurrency_undo(struct exchange *x)
{
    struct concurrent *c = &x->concurrent;
    leave_queue(x);
    for (size_t i = 0; i < c->n; i++)
        gate_leave(c->places[i]);
    c->n = 0;
}
