/*
 * wheel.h: many deadlines, cheaply (a hashed timing wheel).
 *
 * Setting and cancelling are a list operation each. Deadlines are met to the wheel's tick, never early. An
 * entry is embedded in what it is about and is owned by one thread.
 *
 *     struct wheel w;
 *     wheel_init(&w, 50 * 1000000, now_ns);
 *     entry.expired = on_expired;
 *     wheel_set(&w, &entry, now_ns + 5 * SECOND);
 *     wheel_run(&w, now_ns);           // every tick: calls expired() for what is due
 *
 * An entry is out of the wheel when its function is called; the function may set it again, or set and cancel
 * any other. For a deadline that moves all the time, let it fire and set it again for the time that is left.
 *
 * Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987 (scheme 6).
 */
#ifndef LIB_WHEEL_H
#define LIB_WHEEL_H

#include "lib/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_SLOTS 512

struct wheel_entry {
    struct wheel_entry *next; /* NULL: not in a wheel */
    struct wheel_entry *prev;
    uint64_t due_ns;
    void (*expired)(struct wheel_entry *e);
};

struct wheel {
    uint64_t tick_ns;
    uint64_t now_ns;                      /* what the owner last said: near enough for deadlines, and free */
    uint64_t done;                        /* number of the last tick that was run */
    struct wheel_entry slot[WHEEL_SLOTS]; /* heads of rings */
};

void wheel_init(struct wheel *w, uint64_t tick_ns, uint64_t now_ns);

/* Sets or moves. A deadline in the past fires at the next run. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t due_ns);
void wheel_cancel(struct wheel_entry *e);

static inline bool wheel_is_set(const struct wheel_entry *e)
{
    return e->next != NULL;
}

/* Looks at every slot. */
bool wheel_is_empty(const struct wheel *w);

/* Tell the time, once for each turn of the owner's loop. */
static inline void wheel_tell(struct wheel *w, uint64_t now_ns)
{
    w->now_ns = now_ns;
}

/* Call what is due at NOW_NS; the number of entries called. */
size_t wheel_run(struct wheel *w, uint64_t now_ns);

#endif
