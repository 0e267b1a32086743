/* test_profile.c: what a process spends its CPU time on (lib/profile, profile_report, unwind). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/profile_report.h"
#include "tests/unit/unit.h"

#define NOINLINE __attribute__((noinline))
#define ENOUGH   60 /* samples, where there may be any number */

/* ThreadSanitizer holds signals back until the thread calls it: where they come is its own business. */
#if defined(__SANITIZE_THREAD__)
#define SAYS_WHERE 0
#else
#define SAYS_WHERE 1
#endif

static _Atomic bool ends;
static _Atomic uint64_t work;

static NOINLINE void burn_here(void)
{
    for (unsigned i = 0; i < 100000; i++)
        atomic_fetch_add_explicit(&work, i, memory_order_relaxed);
}

static NOINLINE void burn_some(void)
{
    burn_here();
    clock_now_ns(); /* so that the call before is not the last thing here */
}

static int compare(const void *a, const void *b)
{
    burn_some();
    return *(const int *)a - *(const int *)b;
}

/* Through a function of the C library, which has no frame pointers. */
static NOINLINE void burn_through_library(void)
{
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof(numbers[0]), compare);
    atomic_fetch_add_explicit(&work, (uint64_t)numbers[0], memory_order_relaxed);
}

static void *burn(void *name)
{
    pthread_setname_np(pthread_self(), name);
    while (!atomic_load(&ends))
        burn_through_library();
    return NULL;
}

static pthread_t start_burning(char *name)
{
    pthread_t t;
    atomic_store(&ends, false);
    ck_assert_int_eq(pthread_create(&t, NULL, burn, name), 0);
    return t;
}

static void stop_burning(pthread_t t)
{
    atomic_store(&ends, true);
    pthread_join(t, NULL);
}

/* Until there are so many, or the deadline makes the test fail. */
static void collect_until(struct profile *p, uint64_t samples)
{
    uint64_t deadline = clock_now_ns() + 60 * CLOCK_SECOND_NS;
    while (profile_totals(p).samples < samples) {
        ck_assert_uint_lt(clock_now_ns(), deadline);
        burn_here();
        profile_collect(p);
    }
}

static uint64_t count_lines(const char *text, const char *begin, const char *part)
{
    uint64_t n = 0;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n'), *at = memmem(line, (size_t)(end - line), part, strlen(part));
        if (strncmp(line, begin, strlen(begin)) == 0 && at)
            n += strtoull((const char *)memrchr(line, ' ', (size_t)(end - line)) + 1, NULL, 10);
        line = end + 1;
    }
    return n;
}

START_TEST(names_the_function_that_burns)
{
    size_t len;
    pthread_t t = start_burning("burner");
    struct profile *p = profile_new(197, NULL);
    ck_assert_ptr_nonnull(p);
    collect_until(p, ENOUGH);
    while (profile_totals(p).threads < 2)
        collect_until(p, profile_totals(p).samples + 1);
    stop_burning(t);
    profile_stop(p);
    struct profile_totals totals = profile_totals(p);
    char *text = profile_report_folded(p, &len);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), len);
    ck_assert_uint_eq(totals.period_ns, CLOCK_SECOND_NS / 197);
    ck_assert_uint_gt(totals.duration_ns, 0);
    uint64_t of_thread = count_lines(text, "burner;", ";");
    ck_assert_uint_gt(of_thread, 0);
    ck_assert_uint_eq(count_lines(text, "", ";"), totals.samples);
    if (SAYS_WHERE) {
        uint64_t whole = count_lines(text, "burner;", ";burn;burn_through_library;");
        uint64_t through = count_lines(text, "burner;", ";compare;burn_some;burn_here ");
        ck_assert_msg(whole * 10 > of_thread * 9, "%s", text);
        ck_assert_msg(through * 10 > of_thread * 8, "%s", text);
    }
    free(text);
    profile_free(p);
}
END_TEST

START_TEST(one_at_a_time)
{
    struct err err = {0};
    struct profile *p = profile_new(99, &err);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_null(profile_new(99, &err));
    ck_assert_int_eq(err.sys, EBUSY);
    profile_free(p);
    p = profile_new(99, NULL);
    ck_assert_ptr_nonnull(p);
    profile_free(p);
}
END_TEST

/* The CPU time that samples stand for is what the clock says, about: the kernel's tick is coarse. */
START_TEST(samples_stand_for_their_time)
{
    struct timespec begin, end;
    struct profile *p = profile_new(99, NULL);
    ck_assert_ptr_nonnull(p);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    collect_until(p, ENOUGH);
    profile_stop(p);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double spent = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    struct profile_totals totals = profile_totals(p);
    double told = (double)(totals.samples + totals.lost) * (double)totals.period_ns / 1e9;
    ck_assert_msg(told < spent * 1.2 + 0.1 && told > spent * 0.7 - 0.1, "%f of %f s", told, spent);
    profile_free(p);
}
END_TEST

/* Long stacks, so that a buffer is full soon. */
static NOINLINE void burn_deep(unsigned depth)
{
    if (depth > 0)
        burn_deep(depth - 1);
    else
        burn_here();
    atomic_fetch_add_explicit(&work, depth, memory_order_relaxed);
}

/* A buffer that nobody empties is full at some time; that is told. */
START_TEST(what_has_no_room_is_counted)
{
    struct timespec t;
    struct profile *p = profile_new(PROFILE_HZ_MAX, NULL);
    ck_assert_ptr_nonnull(p);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    uint64_t begin = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000, now = begin;
    for (; now < begin + 1500; now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) {
        burn_deep(200);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    }
    profile_stop(p);
    struct profile_totals totals = profile_totals(p);
    ck_assert_uint_gt(totals.samples, 0);
    ck_assert_uint_gt(totals.lost, 0);
    for (const struct profile_stack *s = profile_stacks(p); s; s = s->next)
        ck_assert_uint_le(s->n, UNWIND_MAX);
    profile_free(p);
}
END_TEST

/* Burns until it is told to end; the thread is there only after the profile has begun. */
START_TEST(finds_threads_that_begin_later)
{
    size_t len;
    struct profile *p = profile_new(197, NULL);
    ck_assert_ptr_nonnull(p);
    collect_until(p, 1);
    pthread_t t = start_burning("later");
    uint64_t seen = 0, deadline = clock_now_ns() + 60 * CLOCK_SECOND_NS;
    while (seen == 0) {
        ck_assert_uint_lt(clock_now_ns(), deadline);
        collect_until(p, profile_totals(p).samples + 10);
        char *text = profile_report_folded(p, &len);
        seen = count_lines(text, "later;", "");
        free(text);
    }
    stop_burning(t);
    profile_collect(p); /* the one that has ended is let go of */
    profile_free(p);
}
END_TEST

static size_t count_dir(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static size_t count_timers(void)
{
    char line[256];
    size_t n = 0;
    FILE *f = fopen("/proc/self/timers", "r");
    while (f && fgets(line, sizeof(line), f))
        n += strncmp(line, "ID:", 3) == 0;
    if (f)
        fclose(f);
    return n;
}

static size_t resident_kb(void)
{
    char line[256];
    size_t kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %zu", &kb) == 1)
            break;
    fclose(f);
    return kb;
}

static void profile_once(void)
{
    size_t len;
    struct profile *p = profile_new(PROFILE_HZ_MAX, NULL);
    ck_assert_ptr_nonnull(p);
    collect_until(p, 5);
    ck_assert_uint_ge(count_timers(), 1);
    profile_stop(p);
    free(profile_report_folded(p, &len));
    free(profile_report_pprof(p, &len));
    profile_free(p);
}

START_TEST(leaves_nothing_behind)
{
    for (int i = 0; i < 10; i++)
        profile_once();
    size_t fds = count_dir("/proc/self/fd"), tasks = count_dir("/proc/self/task"), kb = resident_kb();
    for (int i = 0; i < 100; i++)
        profile_once();
    ck_assert_uint_eq(count_dir("/proc/self/fd"), fds);
    ck_assert_uint_eq(count_dir("/proc/self/task"), tasks);
    ck_assert_uint_eq(count_timers(), 0);
    if (!getenv("SANITIZED")) /* which keeps what is freed */
        ck_assert_uint_lt(resident_kb(), kb + 1024);
}
END_TEST

/* The handler must not change what the code it interrupts sees. */
START_TEST(keeps_errno)
{
    struct profile *p = profile_new(PROFILE_HZ_MAX, NULL);
    ck_assert_ptr_nonnull(p);
    for (uint64_t n = 0; n < 20; n = profile_totals(p).samples) {
        errno = 4711;
        burn_here();
        ck_assert_int_eq(errno, 4711);
        profile_collect(p);
    }
    profile_free(p);
}
END_TEST

/* Leaves nobody a descriptor, now and then. */
static void *take_descriptors(void *unused)
{
    (void)unused;
    while (!atomic_load(&ends)) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

START_TEST(a_thread_that_is_not_found_for_want_of_descriptors_has_not_ended)
{
    struct rlimit usual, one_left;
    pthread_t t;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    one_left = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = usual.rlim_max};
    close(next);
    atomic_store(&ends, false);
    ck_assert_int_eq(pthread_create(&t, NULL, take_descriptors, NULL), 0);
    struct profile *p = profile_new(500, NULL);
    ck_assert_ptr_nonnull(p);
    size_t threads = profile_totals(p).threads;
    ck_assert_uint_ge(threads, 2);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_left), 0);
    for (int i = 0; i < 5000; i++)
        profile_collect(p);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    ck_assert_uint_eq(profile_totals(p).threads, threads);
    atomic_store(&ends, true);
    pthread_join(t, NULL);
    profile_free(p);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("profile");
    TCase *t = tcase_create("profile");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, names_the_function_that_burns);
    tcase_add_test(t, one_at_a_time);
    tcase_add_test(t, a_thread_that_is_not_found_for_want_of_descriptors_has_not_ended);
    tcase_add_test(t, samples_stand_for_their_time);
    tcase_add_test(t, what_has_no_room_is_counted);
    tcase_add_test(t, finds_threads_that_begin_later);
    tcase_add_test(t, leaves_nothing_behind);
    tcase_add_test(t, keeps_errno);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
