/*
 * actor.c: a thread around a mailbox; see actor.h.
 *
 * The thread ends when its mailbox is over: closed, and empty for good. The end is told by `ended` under a
 * mutex instead of by a join with a deadline, because only the former can wait by the monotonic clock
 * everywhere. Messages are handled in batches, so that a flood does not keep the ticks away.
 */
#include "lib/actor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/threads.h"

#define BATCH 64

struct actor {
    struct actor_setup setup;
    char name[16]; /* all that the kernel keeps */
    struct mailbox *mailbox;
    pthread_t thread;
    uint64_t tick_due_ns;   /* the thread's own */
    _Atomic bool given_up;  /* the deadline of stop has passed: drop, do not handle */
    pthread_mutex_t mutex;  /* guards ended */
    pthread_cond_t changed; /* ended was set; monotonic clock */
    bool ended;
    bool joined; /* the stopper's own */
};

static void on_message(void *ctx, struct message *m)
{
    struct actor *a = ctx;
    /* Relaxed: a hint; one more message handled does no harm. */
    if (atomic_load_explicit(&a->given_up, memory_order_relaxed))
        message_drop(m);
    else
        a->setup.handle(a->setup.self, m);
}

/* Tick when it is time; nanoseconds until the next one. */
static uint64_t tick_if_due(struct actor *a)
{
    uint64_t now = clock_now_ns();
    if (now >= a->tick_due_ns) {
        a->setup.tick(a->setup.self, now);
        now = clock_now_ns();
        a->tick_due_ns += a->setup.tick_ns;
        if (a->tick_due_ns <= now)
            a->tick_due_ns = now + a->setup.tick_ns;
    }
    return a->tick_due_ns - now;
}

/* Sleep until there is mail or the time has come. A signal or a wake too many only makes another turn. */
static void wait_for_mail(struct actor *a, bool has_tick, uint64_t left_ns)
{
    if (mailbox_is_closed(a->mailbox)) {
        sched_yield(); /* over but for senders in the middle of a send: a few instructions */
        return;
    }
    struct pollfd p = {.fd = mailbox_fd(a->mailbox), .events = POLLIN};
    struct timespec t = {.tv_sec = (time_t)(left_ns / CLOCK_SECOND_NS),
                         .tv_nsec = (long)(left_ns % CLOCK_SECOND_NS)};
    CHECK(ppoll(&p, 1, has_tick ? &t : NULL, NULL) >= 0 || errno == EINTR || errno == ENOMEM);
}

static void tell_end(struct actor *a)
{
    pthread_mutex_lock(&a->mutex);
    a->ended = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->mutex);
}

static void *run(void *arg)
{
    struct actor *a = arg;
    bool has_tick = a->setup.tick && a->setup.tick_ns > 0;
    uint64_t left_ns = 0;
    pthread_setname_np(pthread_self(), a->name);
    a->tick_due_ns = clock_now_ns() + a->setup.tick_ns;
    for (;;) {
        mailbox_drain(a->mailbox, on_message, a, BATCH);
        if (mailbox_is_over(a->mailbox))
            break;
        if (has_tick)
            left_ns = tick_if_due(a);
        wait_for_mail(a, has_tick, left_ns);
    }
    tell_end(a);
    return NULL;
}

/* Signals are for the threads that expect them: the new thread inherits a full mask. */
static int start_thread(struct actor *a)
{
    sigset_t all, before;
    threads_signals(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (failed)
        return failed;
    failed = pthread_create(&a->thread, NULL, run, a);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return failed;
}

static void init_locks(struct actor *a)
{
    pthread_condattr_t attr;
    CHECK(pthread_condattr_init(&attr) == 0);
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&a->changed, &attr) == 0);
    CHECK(pthread_condattr_destroy(&attr) == 0);
    CHECK(pthread_mutex_init(&a->mutex, NULL) == 0);
}

static void release(struct actor *a)
{
    if (a->mailbox)
        mailbox_free(a->mailbox);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

struct actor *actor_new(const struct actor_setup *setup, struct err *err)
{
    struct actor *a = calloc(1, sizeof(*a));
    if (!a) {
        err_sys(err, ERR_SELF, ENOMEM, "actor");
        return NULL;
    }
    a->setup = *setup;
    snprintf(a->name, sizeof(a->name), "%s", setup->name);
    a->setup.name = a->name;
    init_locks(a);
    a->mailbox = mailbox_new(setup->max);
    int failed = a->mailbox ? start_thread(a) : errno;
    if (!failed)
        return a;
    err_sys(err, ERR_SELF, failed, a->mailbox ? "start a thread" : "eventfd");
    err_add(err, "actor %s", a->name);
    release(a);
    return NULL;
}

bool actor_send(struct actor *a, struct message *m)
{
    return mailbox_send(a->mailbox, m);
}

static bool wait_for_end(struct actor *a, uint64_t deadline_ns)
{
    struct timespec t = {.tv_sec = (time_t)(deadline_ns / CLOCK_SECOND_NS),
                         .tv_nsec = (long)(deadline_ns % CLOCK_SECOND_NS)};
    pthread_mutex_lock(&a->mutex);
    int late = 0;
    while (!a->ended && !late)
        late = pthread_cond_timedwait(&a->changed, &a->mutex, &t);
    bool ended = a->ended;
    pthread_mutex_unlock(&a->mutex);
    return ended;
}

bool actor_stop(struct actor *a, uint64_t deadline_ns)
{
    if (a->joined)
        return true;
    mailbox_close(a->mailbox);
    if (!wait_for_end(a, deadline_ns)) {
        atomic_store_explicit(&a->given_up, true, memory_order_relaxed);
        return false;
    }
    a->joined = pthread_join(a->thread, NULL) == 0;
    CHECK(a->joined);
    return true;
}

void actor_free(struct actor *a)
{
    CHECK(a->joined);
    release(a);
}

size_t actor_count(const struct actor *a)
{
    return mailbox_count(a->mailbox);
}
