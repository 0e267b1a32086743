/* test_stacks.c: where a thread is (lib/stacks, unwind, modules, symbols, threads). */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/stacks.h"
#include "lib/symbols.h"
#include "lib/threads.h"
#include "tests/unit/unit.h"

#define NOINLINE __attribute__((noinline))
#define PATIENCE 20000 /* ms that only a hanging thread needs */

struct sleeper {
    pthread_t thread;
    _Atomic pid_t tid;
    _Atomic bool sleeps;
    bool is_deaf;
    sem_t ends;
    unsigned depth;
};

/* It says so when it has got to the bottom. */
static NOINLINE void wait_here(struct sleeper *s)
{
    atomic_store(&s->sleeps, true);
    while (sem_wait(&s->ends) != 0)
        continue;
}

static NOINLINE void go_deeper(struct sleeper *s, unsigned depth)
{
    if (depth > 0)
        go_deeper(s, depth - 1);
    else
        wait_here(s);
    atomic_store(&s->sleeps, false); /* so that the call before is not the last thing here */
}

static void *sleeper_run(void *arg)
{
    struct sleeper *s = arg;
    sigset_t all;
    sigfillset(&all);
    if (s->is_deaf)
        pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_setname_np(pthread_self(), "a sleeper");
    atomic_store(&s->tid, gettid());
    go_deeper(s, s->depth);
    return NULL;
}

static void sleeper_start(struct sleeper *s, unsigned depth, bool is_deaf)
{
    memset(s, 0, sizeof(*s));
    sem_init(&s->ends, 0, 0);
    s->depth = depth;
    s->is_deaf = is_deaf;
    ck_assert_int_eq(pthread_create(&s->thread, NULL, sleeper_run, s), 0);
    uint64_t deadline = clock_now_ns() + PATIENCE * CLOCK_MILLISECOND_NS;
    while (!atomic_load(&s->sleeps)) {
        ck_assert_uint_lt(clock_now_ns(), deadline);
        sched_yield();
    }
}

static void sleeper_stop(struct sleeper *s)
{
    sem_post(&s->ends);
    pthread_join(s->thread, NULL);
    sem_destroy(&s->ends);
}

/* How often the function NAME is in the stack. */
static unsigned count_in(struct modules *all, const uintptr_t *at, size_t n, const char *name)
{
    unsigned found = 0;
    struct symbols *names = symbols_new(all, NULL);
    ck_assert_ptr_nonnull(names);
    for (size_t i = 0; i < n; i++)
        found += strcmp(symbols_find(names, i == 0 ? at[0] : at[i] - 1).name, name) == 0;
    symbols_free(names);
    return found;
}

START_TEST(finds_a_thread_that_waits)
{
    uintptr_t at[UNWIND_MAX];
    struct sleeper s;
    sleeper_start(&s, 20, false);
    struct modules *all = modules_new(NULL);
    ck_assert_ptr_nonnull(all);
    size_t n = stacks_take(all, s.tid, at, PATIENCE);
    ck_assert_uint_gt(n, 22);
    ck_assert_uint_eq(count_in(all, at, n, "wait_here"), 1);
    ck_assert_uint_eq(count_in(all, at, n, "go_deeper"), 21);
    ck_assert_uint_eq(count_in(all, at, n, "sleeper_run"), 1);
    sleeper_stop(&s);
    modules_free(all);
}
END_TEST

START_TEST(a_stack_without_end_is_cut)
{
    uintptr_t at[UNWIND_MAX];
    struct sleeper s;
    sleeper_start(&s, 1000, false);
    struct modules *all = modules_new(NULL);
    ck_assert_uint_eq(stacks_take(all, s.tid, at, PATIENCE), UNWIND_MAX);
    sleeper_stop(&s);
    modules_free(all);
}
END_TEST

START_TEST(a_thread_may_ask_for_its_own)
{
    uintptr_t at[UNWIND_MAX];
    struct modules *all = modules_new(NULL);
    size_t n = stacks_take(all, gettid(), at, PATIENCE);
    ck_assert_uint_gt(n, 3);
    ck_assert_uint_eq(count_in(all, at, n, "a_thread_may_ask_for_its_own_fn"), 1);
    ck_assert_uint_eq(count_in(all, at, n, "main"), 1);
    modules_free(all);
}
END_TEST

START_TEST(who_does_not_hear_does_not_answer)
{
    uintptr_t at[UNWIND_MAX];
    struct sleeper s;
    sleeper_start(&s, 1, true);
    struct modules *all = modules_new(NULL);
    ck_assert_uint_eq(stacks_take(all, s.tid, at, 50), 0);
    struct sleeper other;
    sleeper_start(&other, 1, false);
    ck_assert_uint_gt(stacks_take(all, other.tid, at, PATIENCE), 0); /* nobody is in the way */
    sleeper_stop(&other);
    sleeper_stop(&s);
    ck_assert_uint_eq(stacks_take(all, s.tid, at, 50), 0); /* it is gone */
    modules_free(all);
}
END_TEST

static void *ask_again_and_again(void *arg)
{
    uintptr_t at[UNWIND_MAX];
    const struct sleeper *s = arg;
    struct modules *all = modules_new(NULL);
    size_t good = 0;
    for (int i = 0; i < 200; i++)
        good += stacks_take(all, s->tid, at, PATIENCE) > 5;
    modules_free(all);
    return (void *)good;
}

START_TEST(many_may_ask)
{
    struct sleeper s;
    pthread_t askers[3];
    sleeper_start(&s, 3, false);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&askers[i], NULL, ask_again_and_again, &s), 0);
    for (int i = 0; i < 3; i++) {
        void *good;
        pthread_join(askers[i], &good);
        ck_assert_uint_eq((size_t)good, 200);
    }
    sleeper_stop(&s);
}
END_TEST

/* ---- names ---- */

static uintptr_t address_of(void (*f)(struct sleeper *))
{
    return (uintptr_t)f;
}

START_TEST(names_static_functions_and_those_of_libraries)
{
    struct modules *all = modules_new(NULL);
    struct symbols *names = symbols_new(all, NULL);
    uintptr_t here = address_of(wait_here), there = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort");
    ck_assert_str_eq(symbols_find(names, here).name, "wait_here");
    ck_assert_str_eq(symbols_find(names, here + 1).name, "wait_here");
    ck_assert_str_eq(symbols_find(names, here).module->path, "/proc/self/exe");
    ck_assert_str_ne(symbols_find(names, here - 1).name, "wait_here");
    ck_assert_uint_ne(there, 0);
    ck_assert_str_eq(symbols_find(names, there).name, "qsort");
    ck_assert_uint_eq(unwind_function(all, here + 1), here);
    ck_assert_str_eq(symbols_find(names, 16).name, "0x10");
    ck_assert_ptr_null(symbols_find(names, 16).module);
    symbols_free(names);
    modules_free(all);
}
END_TEST

/* A function of a library that exports others only is called by where it begins. */
START_TEST(what_has_no_name_is_called_by_its_module)
{
    struct modules *all = modules_new(NULL);
    struct symbols *names = symbols_new(all, NULL);
    const struct module *libc = modules_find(all, (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"));
    size_t unnamed = 0;
    ck_assert_ptr_nonnull(libc);
    for (uintptr_t pc = libc->begin; pc < libc->end; pc += 16) {
        const char *name = symbols_find(names, pc).name;
        if (strncmp(name, libc->name, strlen(libc->name)) != 0)
            continue;
        uintptr_t function = unwind_function(all, pc);
        ck_assert_int_eq(name[strlen(libc->name)], '+');
        uintptr_t told = strtoul(name + strlen(libc->name) + 1, NULL, 16) + libc->bias;
        ck_assert_uint_eq(told, function ? function : pc);
        unnamed++;
    }
    ck_assert_uint_gt(unnamed, 0);
    symbols_free(names);
    modules_free(all);
}
END_TEST

START_TEST(modules_do_not_overlap)
{
    struct modules *all = modules_new(NULL);
    ck_assert_uint_gt(modules_count(all), 3);
    for (size_t i = 0; i < modules_count(all); i++) {
        const struct module *m = modules_at(all, i);
        ck_assert_uint_lt(m->begin, m->end);
        ck_assert_ptr_eq(modules_find(all, m->begin), m);
        ck_assert_ptr_eq(modules_find(all, m->end - 1), m);
        ck_assert_ptr_ne(modules_find(all, m->end), m);
        ck_assert(i == 0 || modules_at(all, i - 1)->end <= m->begin);
    }
    ck_assert_ptr_null(modules_find(all, 0));
    modules_free(all);
}
END_TEST

START_TEST(reads_build_ids)
{
    uint8_t id[MODULE_BUILD_ID_MAX];
    static const uint8_t notes[] = {4, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 'G', 'N', 'U', 0, 7, 0, 0, 0,
                                    4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 5, 6, 0, 0};
    ck_assert_uint_eq(modules_build_id(notes, sizeof(notes), id), 2);
    ck_assert(id[0] == 5 && id[1] == 6);
    for (size_t len = 0; len < sizeof(notes); len++)
        ck_assert_uint_eq(modules_build_id(notes, len, id), 0);
    static const uint8_t huge[] = {255, 255, 255, 255, 255, 255, 255, 255, 3, 0, 0, 0, 'G', 'N', 'U', 0};
    ck_assert_uint_eq(modules_build_id(huge, sizeof(huge), id), 0);
}
END_TEST

/* ---- threads ---- */

START_TEST(threads_have_names_and_states)
{
    pid_t ids[64];
    char name[THREAD_NAME];
    bool found = false;
    struct sleeper s;
    sleeper_start(&s, 1, false);
    size_t n = threads_list(ids, 64);
    for (size_t i = 0; i < n; i++)
        found |= ids[i] == s.tid;
    ck_assert(found);
    ck_assert(threads_name(s.tid, name));
    ck_assert_str_eq(name, "a sleeper");
    uint64_t deadline = clock_now_ns() + PATIENCE * CLOCK_MILLISECOND_NS;
    while (threads_state(s.tid) != 'S')
        ck_assert_uint_lt(clock_now_ns(), deadline);
    ck_assert_int_eq(threads_state(gettid()), 'R');
    sleeper_stop(&s);
    while (threads_state(s.tid) != '\0')
        ck_assert_uint_lt(clock_now_ns(), deadline);
    ck_assert(!threads_name(s.tid, name));
    ck_assert_uint_eq(threads_list(ids, 1), 1);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("stacks");
    TCase *t = tcase_create("stacks");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, finds_a_thread_that_waits);
    tcase_add_test(t, a_stack_without_end_is_cut);
    tcase_add_test(t, a_thread_may_ask_for_its_own);
    tcase_add_test(t, who_does_not_hear_does_not_answer);
    tcase_add_test(t, many_may_ask);
    tcase_add_test(t, names_static_functions_and_those_of_libraries);
    tcase_add_test(t, what_has_no_name_is_called_by_its_module);
    tcase_add_test(t, modules_do_not_overlap);
    tcase_add_test(t, reads_build_ids);
    tcase_add_test(t, threads_have_names_and_states);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
