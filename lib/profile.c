/*
 * profile.c: see profile.h.
 *
 * A slot is one thread's: its timer and its buffer, a ring of words with one writer (the handler, on that
 * thread) and one reader (whoever collects). A sample is a head word, its number of addresses and its weight,
 * and the addresses. The signal carries the slot's number; that the slot is the thread's own is looked up, so
 * that a signal that is left over from an earlier profile cannot write to somebody else's.
 *
 * Slots hang in the session, and that on the hook: once it is cleared, no handler uses them.
 */
#include "lib/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/hash.h"
#include "lib/hook.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define RING    8192 /* words; a power of two */
#define BUCKETS 4096
#define LATE_NS (10 * CLOCK_SECOND_NS)

struct slot {
    pid_t tid;
    timer_t timer;
    bool is_seen; /* at this look for threads */
    char name[THREAD_NAME];
    _Atomic uint32_t head; /* words ever written, by the handler */
    _Atomic uint32_t tail; /* words ever read */
    _Atomic uint64_t lost;
    uint64_t words[RING];
};

struct chain {
    struct profile_stack *stack;
    struct chain *next;
    uint64_t hash;
};

struct profile {
    struct modules *modules;
    _Atomic(struct slot *) slots[PROFILE_THREADS_MAX];
    struct chain *buckets[BUCKETS];
    struct profile_stack *stacks;
    size_t nstacks;
    uint64_t begin_ns;
    bool is_stopped;
    bool is_in_use; /* by a handler that is late, for ever */
    struct profile_totals totals;
};

static struct hook hook;

/* ---- on the threads ---- */

static void put(struct slot *s, uint32_t at, uint64_t word)
{
    s->words[at % RING] = word;
}

static void sample(const struct profile *p, struct slot *s, uint32_t weight, const void *context)
{
    uintptr_t at[UNWIND_MAX];
    uint32_t n = (uint32_t)unwind_walk(p->modules, context, at, UNWIND_MAX);
    uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
    /* Acquire: the reader has read what is overwritten. Partner: the release in drain. */
    if (RING - (head - atomic_load_explicit(&s->tail, memory_order_acquire)) < n + 1) {
        atomic_fetch_add_explicit(&s->lost, weight, memory_order_relaxed);
        return;
    }
    put(s, head, (uint64_t)weight << 32 | n);
    for (uint32_t i = 0; i < n; i++)
        put(s, head + 1 + i, at[i]);
    /* Release: the words first. Partner: the acquire in drain. */
    atomic_store_explicit(&s->head, head + 1 + n, memory_order_release);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)number;
    struct profile *p = hook_enter(&hook);
    uintptr_t i = (uintptr_t)info->si_value.sival_ptr;
    if (p && info->si_code == SI_TIMER && i < PROFILE_THREADS_MAX) {
        struct slot *s = atomic_load_explicit(&p->slots[i], memory_order_acquire);
        if (s && s->tid == gettid())
            sample(p, s, 1 + (uint32_t)info->si_overrun, context);
    }
    hook_leave(&hook);
    errno = saved;
}

/* ---- stacks ---- */

static bool is_same(const struct profile_stack *a, const char *thread, const uintptr_t *at, size_t n)
{
    return a->n == n && strcmp(a->thread, thread) == 0 && memcmp(a->at, at, n * sizeof(at[0])) == 0;
}

static struct chain *chain_new(const char *thread, const uintptr_t *at, size_t n)
{
    struct chain *c = malloc(sizeof(*c));
    struct profile_stack *s = malloc(sizeof(*s) + n * sizeof(at[0]));
    if (!c || !s) {
        free(c);
        free(s);
        return NULL;
    }
    *s = (struct profile_stack){.n = n};
    memcpy(s->thread, thread, THREAD_NAME);
    memcpy(s->at, at, n * sizeof(at[0]));
    *c = (struct chain){.stack = s};
    return c;
}

static struct profile_stack *find_or_make(struct profile *p, const char *thread, const uintptr_t *at,
                                          size_t n)
{
    uint64_t hash = hash_bytes(at, n * sizeof(at[0]), 0);
    struct chain **bucket = &p->buckets[hash % BUCKETS];
    for (struct chain *c = *bucket; c; c = c->next)
        if (c->hash == hash && is_same(c->stack, thread, at, n))
            return c->stack;
    struct chain *c = p->nstacks < PROFILE_STACKS_MAX ? chain_new(thread, at, n) : NULL;
    if (!c)
        return NULL;
    c->hash = hash;
    c->next = *bucket;
    *bucket = c;
    c->stack->next = p->stacks;
    p->stacks = c->stack;
    p->nstacks++;
    return c->stack;
}

static void count(struct profile *p, const struct slot *s, const uintptr_t *at, size_t n, uint64_t weight)
{
    struct profile_stack *stack = find_or_make(p, s->name, at, n);
    if (!stack) {
        p->totals.lost += weight;
        return;
    }
    stack->count += weight;
    p->totals.samples += weight;
}

static void drain(struct profile *p, struct slot *s)
{
    uintptr_t at[UNWIND_MAX];
    uint32_t tail = atomic_load_explicit(&s->tail, memory_order_relaxed);
    while (tail != atomic_load_explicit(&s->head, memory_order_acquire)) {
        uint64_t word = s->words[tail++ % RING];
        uint32_t n = (uint32_t)word;
        for (uint32_t i = 0; i < n; i++)
            at[i] = s->words[tail++ % RING];
        count(p, s, at, n, word >> 32);
        atomic_store_explicit(&s->tail, tail, memory_order_release);
    }
    p->totals.lost += atomic_exchange_explicit(&s->lost, 0, memory_order_relaxed);
}

/* ---- threads ---- */

/* The clock of a thread's CPU time, by its id: what pthread_getcpuclockid makes of a pthread_t. */
static clockid_t clock_of(pid_t tid)
{
    return (clockid_t)(~(unsigned)tid << 3 | 6);
}

static bool start_timer(const struct profile *p, struct slot *s, size_t i)
{
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = THREADS_PROFILE};
    ev.sigev_value.sival_ptr = (void *)i;
    ev.sigev_notify_thread_id = s->tid;
    if (timer_create(clock_of(s->tid), &ev, &s->timer) != 0)
        return false;
    const struct timespec period = {.tv_nsec = (long)p->totals.period_ns % (long)CLOCK_SECOND_NS,
                                    .tv_sec = (time_t)(p->totals.period_ns / CLOCK_SECOND_NS)};
    const struct itimerspec t = {period, period};
    if (timer_settime(s->timer, 0, &t, NULL) == 0)
        return true;
    timer_delete(s->timer);
    return false;
}

static struct slot *slot_at(const struct profile *p, size_t i)
{
    return atomic_load_explicit(&p->slots[i], memory_order_relaxed);
}

static void add_thread(struct profile *p, pid_t tid)
{
    size_t i = 0;
    while (i < PROFILE_THREADS_MAX && slot_at(p, i))
        i++;
    struct slot *s = i < PROFILE_THREADS_MAX ? calloc(1, sizeof(*s)) : NULL;
    if (!s) {
        p->totals.threads_left_out++;
        return;
    }
    s->tid = tid;
    s->is_seen = true;
    if (threads_name(tid, s->name)) {
        /* Release: the slot is whole. Partner: the acquire in the handler. */
        atomic_store_explicit(&p->slots[i], s, memory_order_release);
        if (start_timer(p, s, i)) {
            p->totals.threads++;
            return;
        }
        p->totals.threads_left_out++;
        atomic_store_explicit(&p->slots[i], NULL, memory_order_relaxed);
    }
    free(s); /* without a timer, no handler has looked for it */
}

static struct slot *slot_of(const struct profile *p, pid_t tid)
{
    for (size_t i = 0; i < PROFILE_THREADS_MAX; i++) {
        struct slot *s = slot_at(p, i);
        if (s && s->tid == tid)
            return s;
    }
    return NULL;
}

/* Rather than that it was not found: for want of a descriptor, or because there are too many. */
static bool has_ended(pid_t tid)
{
    return syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH;
}

/* The thread of slot I has ended: its handler runs no more. */
static void drop_thread(struct profile *p, size_t i)
{
    struct slot *s = slot_at(p, i);
    timer_delete(s->timer);
    drain(p, s);
    atomic_store_explicit(&p->slots[i], NULL, memory_order_relaxed);
    free(s);
}

static void look_for_threads(struct profile *p)
{
    pid_t ids[PROFILE_THREADS_MAX];
    size_t n = threads_list(ids, PROFILE_THREADS_MAX);
    for (size_t i = 0; i < PROFILE_THREADS_MAX; i++)
        if (slot_at(p, i))
            slot_at(p, i)->is_seen = false;
    for (size_t i = 0; i < n; i++) {
        struct slot *s = slot_of(p, ids[i]);
        if (s) /* a thread may take its name after it began */
            s->is_seen = threads_name(s->tid, s->name);
        else
            add_thread(p, ids[i]);
    }
    for (size_t i = 0; n > 0 && i < PROFILE_THREADS_MAX; i++)
        if (slot_at(p, i) && !slot_at(p, i)->is_seen && has_ended(slot_at(p, i)->tid))
            drop_thread(p, i);
}

/* ---- life ---- */

static bool install(struct err *err)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigfillset(&sa.sa_mask);
    if (sigaction(THREADS_PROFILE, &sa, NULL) == 0)
        return true;
    err_sys(err, ERR_SELF, errno, "sigaction");
    return false;
}

struct profile *profile_new(unsigned hz, struct err *err)
{
    CHECK(hz >= 1 && hz <= PROFILE_HZ_MAX);
    struct profile *p = calloc(1, sizeof(*p));
    if (!p) {
        err_sys(err, ERR_SELF, ENOMEM, "profile");
        return NULL;
    }
    p->totals.period_ns = CLOCK_SECOND_NS / hz;
    p->totals.begin_us = clock_wall_us();
    p->begin_ns = clock_now_ns();
    if ((p->modules = modules_new(err)) != NULL && install(err)) {
        if (hook_set(&hook, p)) {
            look_for_threads(p);
            return p;
        }
        err_sys(err, ERR_SELF, EBUSY, "profile");
    }
    if (p->modules)
        modules_free(p->modules);
    free(p);
    return NULL;
}

void profile_collect(struct profile *p)
{
    if (p->is_stopped)
        return;
    for (size_t i = 0; i < PROFILE_THREADS_MAX; i++)
        if (slot_at(p, i))
            drain(p, slot_at(p, i));
    look_for_threads(p);
}

void profile_stop(struct profile *p)
{
    if (p->is_stopped)
        return;
    for (size_t i = 0; i < PROFILE_THREADS_MAX; i++)
        if (slot_at(p, i))
            timer_delete(slot_at(p, i)->timer);
    p->is_in_use = !hook_clear(&hook, clock_now_ns() + LATE_NS);
    p->totals.duration_ns = clock_now_ns() - p->begin_ns;
    p->is_stopped = true;
    for (size_t i = 0; i < PROFILE_THREADS_MAX; i++) {
        struct slot *s = slot_at(p, i);
        if (!s)
            continue;
        drain(p, s);
        if (!p->is_in_use)
            free(s);
    }
}

void profile_free(struct profile *p)
{
    profile_stop(p);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct chain *c = p->buckets[i], *next; c; c = next) {
            next = c->next;
            free(c->stack);
            free(c);
        }
    if (p->is_in_use)
        return;
    modules_free(p->modules);
    free(p);
}

const struct profile_stack *profile_stacks(const struct profile *p)
{
    return p->stacks;
}

struct profile_totals profile_totals(const struct profile *p)
{
    struct profile_totals t = p->totals;
    if (!p->is_stopped)
        t.duration_ns = clock_now_ns() - p->begin_ns;
    return t;
}

struct modules *profile_modules(const struct profile *p)
{
    return p->modules;
}
