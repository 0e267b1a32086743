/*
 * hook.h: what a signal's handler works on, and when it is done with it.
 *
 * A handler is given nothing but the signal, so that what it needs has to lie in a variable of the file: a
 * hook. What hangs on it can be taken off and freed while handlers may run on other threads.
 *
 *     static struct hook hook;
 *
 *     void *it = hook_enter(&hook);            // in the handler
 *     if (it) ...
 *     hook_leave(&hook);
 *
 *     if (hook_set(&hook, it)) ...             // false: something hangs there
 *     if (hook_clear(&hook, deadline_ns))      // true: nobody uses it any more
 *         free(it);
 *
 * hook_enter and hook_leave are async-signal-safe; all of it: any thread.
 */
#ifndef LIB_HOOK_H
#define LIB_HOOK_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/clock.h"

struct hook {
    _Atomic(void *) it;
    _Atomic unsigned inside; /* handlers that may be using it */
};

/*
 * Sequentially consistent, as are the store and the load of hook_clear: either this load finds nothing, or
 * the load there counts this handler.
 */
static inline void *hook_enter(struct hook *h)
{
    atomic_fetch_add(&h->inside, 1);
    return atomic_load(&h->it);
}

static inline void hook_leave(struct hook *h)
{
    atomic_fetch_sub(&h->inside, 1);
}

MUST_USE static inline bool hook_set(struct hook *h, void *it)
{
    void *none = NULL;
    return atomic_compare_exchange_strong(&h->it, &none, it);
}

/* False: at DEADLINE_NS (monotonic) a handler still runs, and what hung there may never be freed. */
MUST_USE static inline bool hook_clear(struct hook *h, uint64_t deadline_ns)
{
    atomic_store(&h->it, NULL);
    while (atomic_load(&h->inside) > 0) {
        if (clock_now_ns() >= deadline_ns)
            return false;
        sched_yield();
    }
    return true;
}

#endif
