/*
 * stacks.c: see stacks.h.
 *
 * The ask hangs on a hook while the thread may answer. One that answers too late finds the hook empty, or is
 * waited for: it is writing then, and that takes microseconds. If it takes longer than that anyway (a machine
 * that gives the thread no time), what it writes to is given up for lost.
 */
#include "lib/stacks.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/hook.h"
#include "lib/threads.h"

#define LATE_NS (10 * CLOCK_SECOND_NS)

struct ask {
    struct modules *all;
    pid_t tid;
    _Atomic bool is_taken; /* the signal may come twice */
    sem_t answered;
    size_t n;
    uintptr_t at[UNWIND_MAX];
};

static struct hook hook;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    struct ask *a = hook_enter(&hook);
    (void)number, (void)info;
    if (a && a->tid == gettid() && !atomic_exchange(&a->is_taken, true)) {
        a->n = unwind_walk(a->all, context, a->at, UNWIND_MAX);
        sem_post(&a->answered);
    }
    hook_leave(&hook);
    errno = saved;
}

static struct ask *ask_new(struct modules *all, pid_t tid)
{
    struct ask *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->all = modules_get(all);
    a->tid = tid;
    sem_init(&a->answered, 0, 0);
    return a;
}

static void ask_free(struct ask *a)
{
    modules_free(a->all);
    sem_destroy(&a->answered);
    free(a);
}

static bool wait_for(struct ask *a, uint64_t deadline_ns)
{
    const struct timespec t = {.tv_sec = (time_t)(deadline_ns / CLOCK_SECOND_NS),
                               .tv_nsec = (long)(deadline_ns % CLOCK_SECOND_NS)};
    int failed;
    do
        failed = sem_clockwait(&a->answered, CLOCK_MONOTONIC, &t);
    while (failed && errno == EINTR);
    return !failed;
}

/* The handler stays for good: a late signal finds nothing to do. */
static bool install(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&sa.sa_mask);
    return sigaction(THREADS_STACK, &sa, NULL) == 0;
}

static size_t take(struct ask *a, uintptr_t at[UNWIND_MAX], uint64_t deadline_ns)
{
    size_t n = 0;
    bool answered = install() && hook_set(&hook, a) &&
                    syscall(SYS_tgkill, getpid(), a->tid, THREADS_STACK) == 0 && wait_for(a, deadline_ns);
    if (!hook_clear(&hook, clock_now_ns() + LATE_NS))
        return 0;
    if (answered) {
        n = a->n;
        memcpy(at, a->at, n * sizeof(at[0]));
    }
    ask_free(a);
    return n;
}

/* One's own stack needs no signal. */
static size_t take_own(const struct modules *all, uintptr_t at[UNWIND_MAX])
{
    ucontext_t here;
    return getcontext(&here) == 0 ? unwind_walk(all, &here, at, UNWIND_MAX) : 0;
}

size_t stacks_take(struct modules *all, pid_t tid, uintptr_t at[UNWIND_MAX], unsigned within_ms)
{
    if (tid == gettid())
        return take_own(all, at);
    struct ask *a = ask_new(all, tid);
    if (!a)
        return 0;
    pthread_mutex_lock(&one_at_a_time);
    size_t n = take(a, at, clock_now_ns() + within_ms * CLOCK_MILLISECOND_NS);
    pthread_mutex_unlock(&one_at_a_time);
    return n;
}
