/* The watchdog: a loop that is held up is told of once, with where it is, and when it goes on. */
#include "gateway/watchdog.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/log.h"
#include "lib/clock.h"
#include "tests/unit/unit.h"

#define NOINLINE __attribute__((noinline))
#define LIMIT_NS (200 * CLOCK_MILLISECOND_NS)

static uint64_t ample(void)
{
    return clock_now_ns() + 60 * CLOCK_SECOND_NS;
}

/* A loop that turns all the time, but for when it is told to stand still. */
struct loop {
    pthread_t thread;
    _Atomic uint64_t beat_ns;
    _Atomic pid_t tid;
    _Atomic bool stands, ends;
    sem_t go_on;
};

static NOINLINE void stand_still(struct loop *l)
{
    while (sem_wait(&l->go_on) != 0)
        continue;
    atomic_store(&l->stands, false);
}

static void *loop_run(void *arg)
{
    struct loop *l = arg;
    const struct timespec pause = {.tv_nsec = 5000000};
    atomic_store(&l->tid, gettid());
    while (!atomic_load(&l->ends)) {
        atomic_store(&l->beat_ns, clock_now_ns());
        nanosleep(&pause, NULL); /* as a loop does that has nothing to do */
        if (atomic_load(&l->stands))
            stand_still(l);
    }
    return NULL;
}

static void loop_start(struct loop *l)
{
    memset(l, 0, sizeof(*l));
    sem_init(&l->go_on, 0, 0);
    ck_assert_int_eq(pthread_create(&l->thread, NULL, loop_run, l), 0);
}

static void loop_stop(struct loop *l)
{
    atomic_store(&l->ends, true);
    pthread_join(l->thread, NULL);
    sem_destroy(&l->go_on);
}

static char path[64];

static struct log *open_log(void)
{
    snprintf(path, sizeof(path), "/tmp/tollgate-watchdog-%d", (int)getpid());
    unlink(path);
    const struct conf_log conf = {.error = path, .format = LOG_COMBINED, .level = LOG_INFO, .queue = 16384};
    struct log *log = log_new(&conf, NULL);
    ck_assert_ptr_nonnull(log);
    return log;
}

/* How many lines have PART in them. */
static unsigned count_lines(const char *part)
{
    char line[4096];
    unsigned n = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        n += strstr(line, part) != NULL;
    if (f)
        fclose(f);
    return n;
}

static void wait_for_lines(const char *part, unsigned n)
{
    uint64_t deadline = ample();
    while (count_lines(part) < n)
        ck_assert_msg(clock_now_ns() < deadline, "no \"%s\"", part);
}

static void wait_for_stalls(const struct watchdog *w, unsigned i, uint64_t n)
{
    uint64_t deadline = ample();
    while (watchdog_stalls(w, i) < n)
        ck_assert_uint_lt(clock_now_ns(), deadline);
}

static void hold_up(struct loop *l, const struct watchdog *w, unsigned i)
{
    uint64_t before = watchdog_stalls(w, i);
    atomic_store(&l->stands, true);
    wait_for_stalls(w, i, before + 1);
}

static void let_go(struct loop *l)
{
    uint64_t deadline = ample();
    sem_post(&l->go_on);
    while (atomic_load(&l->stands))
        ck_assert_uint_lt(clock_now_ns(), deadline);
}

START_TEST(tells_of_a_loop_that_stands_still)
{
    struct loop loops[2];
    struct watchdog_target targets[2];
    struct log *log = open_log();
    for (int i = 0; i < 2; i++) {
        loop_start(&loops[i]);
        targets[i] = (struct watchdog_target){&loops[i].beat_ns, &loops[i].tid};
    }
    struct watchdog *w = watchdog_new(&(struct watchdog_setup){log, 2, targets, LIMIT_NS}, NULL);
    ck_assert_ptr_nonnull(w);
    for (unsigned round = 1; round <= 2; round++) {
        hold_up(&loops[1], w, 1);
        wait_for_lines("worker 1 has not turned for", round);
        wait_for_lines("stand_still < loop_run < ", 2 * round - 1);
        hold_up(&loops[0], w, 0); /* meanwhile the first one is looked at many times */
        wait_for_lines("worker 0 has not turned for", round);
        let_go(&loops[0]);
        let_go(&loops[1]);
        wait_for_lines("worker 1 went on after", round);
    }
    /* On a machine with much to do there may be more of them, but each with its end. */
    loop_stop(&loops[0]);
    loop_stop(&loops[1]);
    watchdog_free(w);
    log_free(log);
    ck_assert_uint_ge(count_lines("worker 1 has not turned for"), 2);
    ck_assert_uint_eq(count_lines("stand_still"), 4); /* once for each */
    unlink(path);
}
END_TEST

START_TEST(counts_for_the_metrics)
{
    char *text;
    size_t len;
    struct loop loop;
    struct log *log = open_log();
    loop_start(&loop);
    const struct watchdog_target targets[] = {{&loop.beat_ns, &loop.tid}};
    struct watchdog *w = watchdog_new(&(struct watchdog_setup){log, 1, targets, LIMIT_NS}, NULL);
    hold_up(&loop, w, 0);
    FILE *out = open_memstream(&text, &len);
    watchdog_metrics(w, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "# TYPE tollgate_worker_stalls_total counter\n"));
    const char *line = strstr(text, "\ntollgate_worker_stalls_total{worker=\"0\"} ");
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_ge(strtoul(strrchr(line, ' '), NULL, 10), 1);
    free(text);
    let_go(&loop);
    loop_stop(&loop);
    watchdog_free(w);
    log_free(log);
    unlink(path);
}
END_TEST

/* Before its first turn nothing is known of it. */
START_TEST(a_loop_that_has_not_begun_is_no_stall)
{
    struct loop other;
    _Atomic uint64_t beat = 0;
    _Atomic pid_t tid = 0;
    struct log *log = open_log();
    loop_start(&other);
    const struct watchdog_target targets[] = {{&beat, &tid}, {&other.beat_ns, &other.tid}};
    struct watchdog *w = watchdog_new(&(struct watchdog_setup){log, 2, targets, LIMIT_NS}, NULL);
    hold_up(&other, w, 1); /* it has looked at both by then */
    ck_assert_uint_eq(watchdog_stalls(w, 0), 0);
    let_go(&other);
    loop_stop(&other);
    watchdog_free(w);
    log_free(log);
    watchdog_free(NULL);
    unlink(path);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("watchdog");
    TCase *t = tcase_create("watchdog");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, tells_of_a_loop_that_stands_still);
    tcase_add_test(t, counts_for_the_metrics);
    tcase_add_test(t, a_loop_that_has_not_begun_is_no_stall);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
