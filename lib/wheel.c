/*
 * wheel.c: a hashed timing wheel.
 *
 * Each slot is a ring with a head; an entry lies in the slot of its due tick modulo the number of slots, and
 * one that is due in a later round stays there until its round comes. A run moves a slot's ring aside first,
 * so that what the functions set meanwhile is never visited twice.
 */
#include "lib/wheel.h"

static void ring_init(struct wheel_entry *head)
{
    head->next = head->prev = head;
}

static void ring_add(struct wheel_entry *head, struct wheel_entry *e)
{
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}

/* Move all of FROM behind the empty head TO. */
static void ring_move(struct wheel_entry *from, struct wheel_entry *to)
{
    ring_init(to);
    if (from->next == from)
        return;
    to->next = from->next;
    to->prev = from->prev;
    to->next->prev = to;
    to->prev->next = to;
    ring_init(from);
}

void wheel_init(struct wheel *w, uint64_t tick_ns, uint64_t now_ns)
{
    w->tick_ns = tick_ns;
    w->now_ns = now_ns;
    w->done = now_ns / tick_ns;
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        ring_init(&w->slot[i]);
}

/* The tick at whose end DUE_NS has passed, at the earliest the next one. */
static uint64_t tick_of(const struct wheel *w, uint64_t due_ns)
{
    uint64_t tick = due_ns / w->tick_ns + (due_ns % w->tick_ns != 0);
    return tick > w->done ? tick : w->done + 1;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t due_ns)
{
    wheel_cancel(e);
    e->due_ns = due_ns;
    ring_add(&w->slot[tick_of(w, due_ns) % WHEEL_SLOTS], e);
}

void wheel_cancel(struct wheel_entry *e)
{
    if (!e->next)
        return;
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->next = e->prev = NULL;
}

static size_t run_slot(struct wheel *w, struct wheel_entry *slot, uint64_t now_ns)
{
    size_t called = 0;
    struct wheel_entry pending;
    ring_move(slot, &pending);
    while (pending.next != &pending) {
        struct wheel_entry *e = pending.next;
        wheel_cancel(e);
        if (e->due_ns > now_ns) {
            ring_add(&w->slot[tick_of(w, e->due_ns) % WHEEL_SLOTS], e);
            continue;
        }
        called++;
        e->expired(e);
    }
    return called;
}

size_t wheel_run(struct wheel *w, uint64_t now_ns)
{
    size_t called = 0;
    uint64_t last = now_ns / w->tick_ns;
    wheel_tell(w, now_ns);
    /* After a long pause one round visits every slot; more would only repeat it. */
    if (last > w->done + WHEEL_SLOTS)
        w->done = last - WHEEL_SLOTS;
    while (w->done < last) {
        w->done++;
        called += run_slot(w, &w->slot[w->done % WHEEL_SLOTS], now_ns);
    }
    return called;
}

bool wheel_is_empty(const struct wheel *w)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        if (w->slot[i].next != &w->slot[i])
            return false;
    return true;
}
