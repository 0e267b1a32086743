/* Lines through pipes that nobody reads, files that are moved away, descriptors that fail; and the error log
 * on top. */
#include "gateway/logwriter.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/unit.h"

#define STOP_MS  10000
#define WAIT_NS  (20 * CLOCK_SECOND_NS) /* after which a test gives up */
#define STREAMS  3
#define LINES    4000
#define LONGEST  40000 /* longer than a block */
#define PER_FULL 100000

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof(dir), "/tmp/tollgate-logwriter-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
    static const char *const files[] = {"log", "old"};
    char path[128];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* All that can be read, NUL-terminated; to be freed. */
static char *read_all(int fd, size_t *len)
{
    size_t cap = 1 << 16, n = 0;
    char *text = malloc(cap + 1);
    ssize_t got;
    while ((got = read(fd, text + n, cap - n)) > 0) {
        n += (size_t)got;
        if (n == cap)
            text = realloc(text, (cap *= 2) + 1);
    }
    text[n] = '\0';
    *len = n;
    return text;
}

static char *read_file(const char *name)
{
    size_t len;
    int fd = open(path_of(name), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    char *text = read_all(fd, &len);
    close(fd);
    return text;
}

static struct logwriter *open_log(const char *name)
{
    struct err err = {0};
    struct logwriter *w = logwriter_new(path_of(name), 16384, &err);
    ck_assert_msg(w, "%s", err.link[0]);
    return w;
}

/* The writer has written, or dropped, all it was given. */
static void wait_written(const struct logwriter *w)
{
    uint64_t until = clock_now_ns() + WAIT_NS;
    while (logwriter_waiting(w) > 0) {
        if (clock_now_ns() > until)
            ck_abort_msg("the writer hangs");
        sched_yield();
    }
}

static void write_line(struct logwriter *w, const char *text)
{
    logwriter_line(w, slice_of(text));
    wait_written(w);
}

/* ---- whole and in order ---- */

struct author {
    pthread_t thread;
    struct logwriter *w;
    unsigned number, seed;
};

/* "author line length xxx...", so that a reader can tell whether it is whole. */
static size_t compose(char *text, unsigned author, unsigned number, size_t fill)
{
    int n = snprintf(text, 64, "%u %u %zu ", author, number, fill);
    memset(text + n, 'x', fill);
    return (size_t)n + fill;
}

static void *write_many(void *arg)
{
    struct author *a = arg;
    static _Thread_local char text[LONGEST + 64];
    struct logwriter_stream *s = logwriter_stream_new(a->w);
    for (unsigned i = 0; i < LINES; i++) {
        int r = rand_r(&a->seed);
        size_t fill = r % 1000 == 0 ? LONGEST - (size_t)(r % 7) : (size_t)(r % 900);
        logwriter_stream_line(s, (struct slice){text, compose(text, a->number, i, fill)});
        if (r % 50 == 0)
            logwriter_stream_flush(s);
    }
    logwriter_stream_free(s);
    return NULL;
}

/* Check every line of TEXT, and that each author's come in order; how many there are. */
static unsigned check_lines(const char *text, unsigned *next)
{
    unsigned nlines = 0;
    for (const char *end; *text; text = end + 1, nlines++) {
        unsigned author, number;
        size_t fill;
        int at = 0;
        char head[48]; /* sscanf would look for the end of the whole text */
        snprintf(head, sizeof(head), "%.*s", (int)sizeof(head) - 1, text);
        end = strchr(text, '\n');
        if (!end || sscanf(head, "%u %u %zu%n", &author, &number, &fill, &at) != 3 || author >= STREAMS ||
            number < next[author] || strspn(text + at + 1, "x") != fill || text + at + 1 + fill != end)
            ck_abort_msg("line %u is broken: %.60s", nlines, text);
        next[author] = number + 1;
    }
    return nlines;
}

static void run_authors(struct logwriter *w, unsigned seed)
{
    struct author authors[STREAMS];
    for (unsigned i = 0; i < STREAMS; i++) {
        authors[i] = (struct author){.w = w, .number = i, .seed = seed + i};
        ck_assert_int_eq(pthread_create(&authors[i].thread, NULL, write_many, &authors[i]), 0);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        pthread_join(authors[i].thread, NULL);
}

START_TEST(file_has_all_lines)
{
    unsigned next[STREAMS] = {0}, seed = (unsigned)clock_now_ns();
    printf("seed %u\n", seed);
    make_dir();
    struct logwriter *w = open_log("log");
    run_authors(w, seed);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 0);
    char *text = read_file("log");
    ck_assert_uint_eq(check_lines(text, next), STREAMS * LINES);
    free(text);
    remove_dir();
}
END_TEST

struct reader {
    pthread_t thread;
    int fd;
    char *text;
    size_t len;
};

static void *read_pipe(void *arg)
{
    struct reader *r = arg;
    r->text = read_all(r->fd, &r->len);
    return NULL;
}

/* With and without O_NONBLOCK. */
START_TEST(pipe_has_all_lines)
{
    unsigned next[STREAMS] = {0}, seed = (unsigned)clock_now_ns();
    int fds[2];
    struct reader r = {0};
    printf("seed %u\n", seed);
    ck_assert_int_eq(pipe2(fds, _i ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK), 0);
    fcntl(fds[0], F_SETFL, 0);
    r.fd = fds[0];
    pthread_create(&r.thread, NULL, read_pipe, &r);
    struct logwriter *w = logwriter_new_fd(fds[1], 32768, NULL);
    ck_assert_ptr_nonnull(w);
    run_authors(w, seed);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 0);
    close(fds[1]);
    pthread_join(r.thread, NULL);
    ck_assert_uint_eq(check_lines(r.text, next), STREAMS * LINES);
    free(r.text);
    close(fds[0]);
}
END_TEST

/* ---- nobody reads ---- */

/* Write lines until one is dropped; how many were written. */
static unsigned fill_up(struct logwriter *w, struct logwriter_stream *s, unsigned first)
{
    char text[600];
    unsigned i = first;
    for (uint64_t before = logwriter_dropped(w); logwriter_dropped(w) == before; i++) {
        ck_assert_uint_lt(i, first + PER_FULL);
        logwriter_stream_line(s, (struct slice){text, compose(text, 0, i, 500)});
        if (i % 10 == 0)
            logwriter_stream_flush(s);
    }
    return i;
}

/* Write lines into a pipe of a single page until the writer has filled it, and so is stuck; how many were
 * written. */
static unsigned get_stuck(int fds[2], struct logwriter_stream *s)
{
    char text[600];
    uint64_t until = clock_now_ns() + WAIT_NS;
    int held = 0;
    unsigned i = 0;
    for (; i < 20; i++)
        logwriter_stream_line(s, (struct slice){text, compose(text, 0, i, 500)});
    logwriter_stream_flush(s);
    while (ioctl(fds[0], FIONREAD, &held) == 0 && held == 0)
        if (clock_now_ns() > until)
            ck_abort_msg("the writer does not begin");
    return i;
}

START_TEST(a_full_pipe_drops)
{
    unsigned next[STREAMS] = {0};
    int fds[2];
    char line[600];
    size_t len;
    ck_assert_int_eq(pipe2(fds, _i ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 16, NULL);
    struct logwriter_stream *s = logwriter_stream_new(w);
    ck_assert_int_ge(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    unsigned written = fill_up(w, s, get_stuck(fds, s));
    ck_assert_uint_gt(written, 200); /* 256 KB and the pipe */
    ck_assert_uint_le(logwriter_waiting(w), 256 * 1024);
    for (unsigned i = 0; i < 1000; i++) /* the worker goes on, and all is counted */
        logwriter_stream_line(s, (struct slice){line, compose(line, 0, written + i, 500)});
    ck_assert_uint_eq(logwriter_dropped(w), 1001);
    logwriter_stream_free(s);

    uint64_t begin = clock_now_ns();
    uint64_t dropped = logwriter_stop(w, 10);
    ck_assert_uint_lt(clock_now_ns() - begin, 5 * CLOCK_SECOND_NS);
    close(fds[1]);
    fcntl(fds[0], F_SETFL, 0);
    char *text = read_all(fds[0], &len);
    ck_assert_uint_gt(len, 2000); /* what the pipe held */
    unsigned nlines = check_lines(text, next);
    ck_assert_uint_eq(nlines + dropped, written + 1000);
    ck_assert_uint_eq(next[0], nlines); /* the first ones, without a gap */
    free(text);
    close(fds[0]);
}
END_TEST

START_TEST(after_a_stall_it_goes_on)
{
    unsigned next[STREAMS] = {0};
    int fds[2];
    struct reader r = {0};
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 16, NULL);
    struct logwriter_stream *s = logwriter_stream_new(w);
    unsigned written = fill_up(w, s, 0);
    uint64_t dropped = logwriter_dropped(w);
    r.fd = fds[0];
    pthread_create(&r.thread, NULL, read_pipe, &r);
    wait_written(w);
    char text[64];
    for (unsigned i = 0; i < 100; i++)
        logwriter_stream_line(s, (struct slice){text, compose(text, 0, written + i, 0)});
    logwriter_stream_free(s);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), dropped);
    close(fds[1]);
    pthread_join(r.thread, NULL);
    ck_assert_uint_eq(check_lines(r.text, next), written + 100 - dropped);
    ck_assert_uint_eq(next[0], written + 100);
    free(r.text);
    close(fds[0]);
}
END_TEST

/* What a stream still holds when it is freed is not subject to the bound. */
START_TEST(the_last_block_is_kept)
{
    unsigned next[STREAMS] = {0};
    int fds[2];
    struct reader r = {0};
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 16, NULL);
    struct logwriter_stream *s = logwriter_stream_new(w);
    unsigned written = fill_up(w, s, 0);
    uint64_t dropped = logwriter_dropped(w);
    logwriter_stream_free(s);
    r.fd = fds[0];
    pthread_create(&r.thread, NULL, read_pipe, &r);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), dropped);
    close(fds[1]);
    pthread_join(r.thread, NULL);
    ck_assert_uint_eq(check_lines(r.text, next), written - dropped);
    free(r.text);
    close(fds[0]);
}
END_TEST

/* A packet is what one write gave: whole lines, so that they do not mix with another program's. */
START_TEST(pieces_are_whole_lines)
{
    int fds[2];
    char text[600], packet[65536];
    unsigned npackets = 0, next[STREAMS] = {0}, nlines = 0;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 16, NULL);
    struct logwriter_stream *s = logwriter_stream_new(w);
    for (unsigned i = 0; i < 100; i++)
        logwriter_stream_line(s, (struct slice){text, compose(text, 0, i, i * 5)});
    logwriter_stream_free(s);
    for (; nlines < 100; npackets++) {
        ssize_t n = recv(fds[0], packet, sizeof(packet) - 1, 0);
        ck_assert_int_gt(n, 0);
        ck_assert_int_le(n, PIPE_BUF);
        packet[n] = '\0';
        nlines += check_lines(packet, next);
    }
    ck_assert_uint_lt(npackets, 10); /* and not each by itself */
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 0);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* A quiet gateway in front of a stalled pipe: flushes of a line each must not use the bound up by whole
 * blocks. */
START_TEST(small_flushes_take_little)
{
    int fds[2];
    char text[600];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 1024, NULL);
    struct logwriter_stream *s = logwriter_stream_new(w);
    for (unsigned i = 0; i < 1024; i++) {
        logwriter_stream_line(s, (struct slice){text, compose(text, 0, i, 500)});
        logwriter_stream_flush(s);
    }
    ck_assert_uint_eq(logwriter_dropped(w), 0);
    ck_assert_uint_gt(logwriter_waiting(w), 100000);
    logwriter_stream_free(s);
    logwriter_stop(w, 0);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* ---- files that change, descriptors that fail ---- */

START_TEST(reopened_after_a_rename)
{
    char old[128];
    make_dir();
    struct logwriter *w = open_log("log");
    write_line(w, "one");
    snprintf(old, sizeof(old), "%s", path_of("old"));
    ck_assert_int_eq(rename(path_of("log"), old), 0);
    write_line(w, "two");
    logwriter_reopen(w);
    write_line(w, "three");
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 0);
    char *before = read_file("old"), *after = read_file("log");
    ck_assert_str_eq(before, "one\ntwo\n");
    ck_assert_str_eq(after, "three\n");
    free(before);
    free(after);
    struct stat st;
    ck_assert_int_eq(stat(path_of("log"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0137, 0);
    remove_dir();
}
END_TEST

/* Without a line to follow, too. */
START_TEST(reopened_at_once)
{
    uint64_t until = clock_now_ns() + WAIT_NS;
    make_dir();
    struct logwriter *w = open_log("log");
    unlink(path_of("log"));
    logwriter_reopen(w);
    while (access(path_of("log"), F_OK) != 0)
        if (clock_now_ns() > until)
            ck_abort_msg("no new file");
    logwriter_stop(w, STOP_MS);
    remove_dir();
}
END_TEST

START_TEST(old_file_stays_when_reopen_fails)
{
    char old[128];
    make_dir();
    snprintf(old, sizeof(old), "%s", path_of("old"));
    struct logwriter *w = open_log("log");
    rename(path_of("log"), old);
    ck_assert_int_eq(mkdir(path_of("log"), 0700), 0);
    logwriter_reopen(w);
    write_line(w, "still here");
    ck_assert_uint_eq(logwriter_errors(w), 1);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 0);
    char *text = read_file("old");
    ck_assert_str_eq(text, "still here\n");
    free(text);
    rmdir(path_of("log"));
    remove_dir();
}
END_TEST

START_TEST(appended_to)
{
    make_dir();
    for (int i = 0; i < 2; i++) {
        struct logwriter *w = open_log("log");
        write_line(w, "line");
        logwriter_stop(w, STOP_MS);
    }
    char *text = read_file("log");
    ck_assert_str_eq(text, "line\nline\n");
    free(text);
    remove_dir();
}
END_TEST

START_TEST(cannot_be_opened)
{
    struct err err = {0};
    char text[512];
    struct buf b;
    ck_assert_ptr_null(logwriter_new("/nowhere/at/all", 16, &err));
    buf_init(&b, text, sizeof(text));
    err_text(&err, &b);
    ck_assert_str_eq(buf_cstr(&b), "log file /nowhere/at/all: open: no such file or directory");
    err_clear(&err);
    ck_assert_ptr_null(logwriter_new_fd(-1, 16, &err));
    ck_assert(err_is_set(&err));
    ck_assert_ptr_null(logwriter_new("/tmp", 16, NULL));
}
END_TEST

/* A FIFO without a reader must not hang the start. */
START_TEST(fifo_without_reader)
{
    make_dir();
    ck_assert_int_eq(mkfifo(path_of("log"), 0600), 0);
    ck_assert_ptr_null(logwriter_new(path_of("log"), 16, NULL));
    remove_dir();
}
END_TEST

START_TEST(reader_is_gone)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    struct logwriter *w = logwriter_new_fd(fds[1], 16, NULL);
    close(fds[0]);
    write_line(w, "one");
    write_line(w, "two");
    ck_assert_uint_eq(logwriter_dropped(w), 2);
    ck_assert_uint_ge(logwriter_errors(w), 2);
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 2);
    close(fds[1]);
}
END_TEST

/*
 * The disk is full in the middle of a line: the next one begins a line of its own. The limit holds for all
 * files of the process, so nothing is asserted while it is in force, for that writes to one.
 */
START_TEST(a_torn_line_is_ended)
{
    struct rlimit before, small;
    make_dir();
    struct logwriter *w = open_log("log");
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 12;
    signal(SIGXFSZ, SIG_IGN);
    write_line(w, "first");
    int failed = setrlimit(RLIMIT_FSIZE, &small);
    write_line(w, "second line");
    write_line(w, "third");
    failed |= setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(failed, 0);
    ck_assert_uint_eq(logwriter_dropped(w), 2);
    write_line(w, "fourth");
    ck_assert_uint_eq(logwriter_stop(w, STOP_MS), 2);
    char *text = read_file("log");
    ck_assert_str_eq(text, "first\nsecond\nfourth\n");
    free(text);
    remove_dir();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("logwriter");
    TCase *lines = tcase_create("lines"), *failures = tcase_create("failures");
    tcase_set_timeout(lines, 60);
    tcase_add_test(lines, file_has_all_lines);
    tcase_add_loop_test(lines, pipe_has_all_lines, 0, 2);
    tcase_add_loop_test(lines, a_full_pipe_drops, 0, 2);
    tcase_add_test(lines, after_a_stall_it_goes_on);
    tcase_add_test(lines, the_last_block_is_kept);
    tcase_add_test(lines, pieces_are_whole_lines);
    tcase_add_test(lines, small_flushes_take_little);
    suite_add_tcase(s, lines);
    tcase_add_test(failures, reopened_after_a_rename);
    tcase_add_test(failures, reopened_at_once);
    tcase_add_test(failures, old_file_stays_when_reopen_fails);
    tcase_add_test(failures, appended_to);
    tcase_add_test(failures, cannot_be_opened);
    tcase_add_test(failures, fifo_without_reader);
    tcase_add_test(failures, reader_is_gone);
    tcase_add_test(failures, a_torn_line_is_ended);
    suite_add_tcase(s, failures);
    return s;
}

UNIT_MAIN(make_suite)
