/* watchdog.c: see watchdog.h. */
#include "gateway/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "gateway/log.h"
#include "gateway/worker.h"
#include "lib/actor.h"
#include "lib/clock.h"
#include "lib/stacks.h"
#include "lib/symbols.h"

#define TICK_NS    (50 * CLOCK_MILLISECOND_NS)
#define LATE_NS    (150 * CLOCK_MILLISECOND_NS) /* a tick that is so late tells nothing about others */
#define STACK_MS   100
#define STACK_TEXT 900 /* bytes */
#define STOP_NS    (10 * CLOCK_SECOND_NS)

struct watch {
    struct watchdog_target target;
    uint64_t stalled_ns; /* when its loop last turned before it was held up; 0: it is not */
    _Atomic uint64_t stalls;
};

struct watchdog {
    struct actor *actor;
    struct log *log;
    uint64_t limit_ns;
    uint64_t ticked_ns;
    unsigned n;
    struct watch watches[];
};

static void add_names(struct buf *b, struct symbols *names, const uintptr_t *at, size_t n)
{
    for (size_t i = 0; i < n && !b->failed; i++) {
        if (i > 0)
            buf_add(b, SLICE(" < "));
        buf_add(b, slice_of(symbols_find(names, i == 0 ? at[0] : at[i] - 1).name));
    }
}

/* Where the thread is, the innermost function first. */
static void add_stack(struct buf *b, pid_t tid)
{
    uintptr_t at[UNWIND_MAX];
    struct modules *all = modules_new(NULL);
    struct symbols *names = all ? symbols_new(all, NULL) : NULL;
    size_t n = names ? stacks_take(all, tid, at, STACK_MS) : 0;
    if (n == 0)
        buf_add(b, SLICE("it does not say where it is"));
    else
        add_names(b, names, at, n);
    if (names)
        symbols_free(names);
    if (all)
        modules_free(all);
}

static void report(struct watchdog *w, unsigned i, uint64_t held_ns)
{
    char text[STACK_TEXT];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    add_stack(&b, atomic_load_explicit(w->watches[i].target.tid, memory_order_relaxed));
    log_printf(w->log, LOG_WARN, "worker %u has not turned for %u ms: %.*s", i,
               (unsigned)(held_ns / CLOCK_MILLISECOND_NS), SLICE_ARG(buf_slice(&b)));
}

static void look(struct watchdog *w, unsigned i, uint64_t now, bool is_late)
{
    struct watch *x = &w->watches[i];
    uint64_t beat = atomic_load_explicit(x->target.beat_ns, memory_order_relaxed);
    if (x->stalled_ns != 0 && beat != x->stalled_ns) {
        log_printf(w->log, LOG_WARN, "worker %u went on after %u ms", i,
                   (unsigned)((beat - x->stalled_ns) / CLOCK_MILLISECOND_NS));
        x->stalled_ns = 0;
    }
    if (is_late || x->stalled_ns != 0 || beat == 0 || now < beat + w->limit_ns)
        return;
    x->stalled_ns = beat;
    atomic_fetch_add_explicit(&x->stalls, 1, memory_order_relaxed);
    report(w, i, now - beat);
}

static void on_tick(void *self, uint64_t now_ns)
{
    struct watchdog *w = self;
    bool is_late = now_ns > w->ticked_ns + LATE_NS;
    for (unsigned i = 0; i < w->n; i++)
        look(w, i, now_ns, is_late);
    w->ticked_ns = clock_now_ns(); /* reports take their time */
}

static void on_message(void *self, struct message *m)
{
    (void)self;
    message_drop(m);
}

struct watchdog *watchdog_new(const struct watchdog_setup *setup, struct err *err)
{
    struct watchdog *w = calloc(1, sizeof(*w) + setup->n * sizeof(w->watches[0]));
    if (!w) {
        err_sys(err, ERR_SELF, ENOMEM, "watchdog");
        return NULL;
    }
    w->log = setup->log;
    w->limit_ns = setup->limit_ns;
    w->n = setup->n;
    w->ticked_ns = clock_now_ns();
    for (unsigned i = 0; i < w->n; i++)
        w->watches[i].target = setup->targets[i];
    const struct actor_setup a = {
        .name = "watchdog", .self = w, .handle = on_message, .tick = on_tick, .tick_ns = TICK_NS, .max = 1};
    if ((w->actor = actor_new(&a, err)) != NULL)
        return w;
    free(w);
    return NULL;
}

struct watchdog *watchdog_of_workers(struct worker *const *workers, unsigned n, struct log *log,
                                     struct err *err)
{
    struct watchdog_target *targets = calloc(n + 1, sizeof(*targets));
    if (!targets) {
        err_sys(err, ERR_SELF, ENOMEM, "watchdog");
        return NULL;
    }
    for (unsigned i = 0; i < n; i++)
        targets[i] = (struct watchdog_target){&workers[i]->beat_ns, &workers[i]->tid};
    const struct watchdog_setup setup = {log, n, targets, WATCHDOG_LIMIT_NS};
    struct watchdog *w = watchdog_new(&setup, err);
    free(targets);
    return w;
}

void watchdog_free(struct watchdog *w)
{
    if (!w || !actor_stop(w->actor, clock_now_ns() + STOP_NS))
        return; /* held up itself: its thread goes on with what is its own */
    actor_free(w->actor);
    free(w);
}

uint64_t watchdog_stalls(const struct watchdog *w, unsigned i)
{
    return atomic_load_explicit(&w->watches[i].stalls, memory_order_relaxed);
}

void watchdog_metrics(const struct watchdog *w, FILE *out)
{
    fputs("# HELP tollgate_worker_stalls_total Times that the worker's loop did not turn for long.\n"
          "# TYPE tollgate_worker_stalls_total counter\n",
          out);
    for (unsigned i = 0; i < w->n; i++)
        fprintf(out, "tollgate_worker_stalls_total{worker=\"%u\"} %" PRIu64 "\n", i, watchdog_stalls(w, i));
}
