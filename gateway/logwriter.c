/*
 * logwriter.c: see logwriter.h.
 *
 * A block is a message to the actor, and goes from the stream to the mailbox, to the writer, to the ring of
 * spare blocks and back. `waiting` counts the memory of all blocks between the hand-over and the end of their
 * writing; a hand-over that would raise it above the bound is refused, and then the stream keeps its block
 * and drops what comes. So a stream takes a fixed number of steps for a line, whatever the writer does.
 *
 * A flush of a block that is less than half full hands over a copy of the right size: otherwise a slow writer
 * and a quiet gateway would use up the bound with empty space.
 *
 * The descriptor is often a pipe that others have too, so it cannot be made non-blocking: poll is asked
 * first, and no more is written than a pipe takes at once. This keeps the thread from hanging in a write, and
 * stop can end it.
 */
#include "gateway/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/actor.h"
#include "lib/clock.h"

#define BLOCK_BYTES (32 * 1024)
#define LINE_BYTES  1024         /* what a line of the bound stands for */
#define BOUND_MIN   (256 * 1024) /* bytes; some blocks must fit in any case */
#define SPARE_MAX   64           /* blocks kept for use again */
#define RESERVE     4096         /* messages beyond the bound: the last blocks of streams, and reopening */
#define POLL_MS     50           /* how soon a writer that waits for a reader notices that it is to stop */
#define HANG_MS     1000         /* how long stop waits for a writer that it told to drop everything */

enum message_type { MESSAGE_BLOCK, MESSAGE_WAKE };

struct logwriter {
    struct actor *actor;
    size_t bound; /* of waiting */
    struct queue_ring *spare;

    /* the actor's */
    char *path; /* NULL: the descriptor is lent */
    int fd;
    bool is_regular; /* a file on a disk, not a pipe, socket or terminal */
    bool is_torn;    /* the last write failed in the middle of a line */

    /* Any thread's. Relaxed throughout: each is a number of its own, nothing is published by it. */
    _Atomic size_t waiting;
    _Atomic uint64_t dropped;
    _Atomic uint64_t errors;
    _Atomic bool reopen_wanted;
    _Atomic bool is_late; /* stop has lost its patience: drop what cannot be written at once */
};

struct block {
    struct message base; /* first */
    struct logwriter *writer;
    size_t cap, len; /* bytes of text */
    uint64_t nlines;
    char text[];
};

struct logwriter_stream {
    struct logwriter *writer;
    struct block *block; /* being filled; NULL: none yet */
};

/* ---- blocks ---- */

static void count_dropped(struct logwriter *w, uint64_t nlines)
{
    atomic_fetch_add_explicit(&w->dropped, nlines, memory_order_relaxed);
}

static size_t block_memory(const struct block *b)
{
    return sizeof(*b) + b->cap;
}

static void block_free(struct block *b)
{
    if (b->cap != BLOCK_BYTES || !queue_ring_push(b->writer->spare, b))
        free(b);
}

/* Of a message that was taken: its memory no longer waits. */
static void block_done(struct block *b)
{
    atomic_fetch_sub_explicit(&b->writer->waiting, block_memory(b), memory_order_relaxed);
    block_free(b);
}

static void drop_message(struct message *m)
{
    struct block *b = (struct block *)m;
    count_dropped(b->writer, b->nlines);
    block_done(b);
}

static struct block *block_new(struct logwriter *w, size_t cap)
{
    struct block *b = cap == BLOCK_BYTES ? queue_ring_pop(w->spare) : NULL;
    if (!b)
        b = malloc(sizeof(*b) + cap);
    if (!b)
        return NULL;
    b->base.type = MESSAGE_BLOCK;
    b->base.free = drop_message;
    b->writer = w;
    b->cap = cap;
    b->len = 0;
    b->nlines = 0;
    return b;
}

static void block_add(struct block *b, struct slice line)
{
    if (line.len > 0)
        memcpy(b->text + b->len, line.p, line.len);
    b->text[b->len + line.len] = '\n';
    b->len += line.len + 1;
    b->nlines++;
}

/* Takes B when true. With ANYWAY the bound does not count. */
static bool hand_over(struct block *b, bool anyway)
{
    struct logwriter *w = b->writer;
    size_t memory = block_memory(b);
    size_t before = atomic_fetch_add_explicit(&w->waiting, memory, memory_order_relaxed);
    if ((anyway || before + memory <= w->bound) && actor_send(w->actor, &b->base))
        return true;
    atomic_fetch_sub_explicit(&w->waiting, memory, memory_order_relaxed);
    return false;
}

/* ---- the writer's thread ---- */

/* Wait until the descriptor takes something, or has failed. False: there is no time for that any more. */
static bool wait_writable(const struct logwriter *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    for (;;) {
        bool is_late = atomic_load_explicit(&w->is_late, memory_order_relaxed);
        int n = poll(&p, 1, is_late ? 0 : POLL_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
        if (is_late)
            return false;
    }
}

/* What to write at a time of TEXT. */
static struct slice next_piece(const struct logwriter *w, struct slice text)
{
    size_t n = PIPE_BUF;
    if (w->is_regular || text.len <= n)
        return text;
    while (n > 0 && text.p[n - 1] != '\n')
        n--;
    return (struct slice){text.p, n > 0 ? n : PIPE_BUF};
}

/* Bytes written, at least 1; 0: it failed, or it is too late. */
static size_t write_some(struct logwriter *w, struct slice piece)
{
    while (w->is_regular || wait_writable(w)) {
        ssize_t n = write(w->fd, piece.p, piece.len);
        if (n > 0)
            return (size_t)n;
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && !w->is_regular)))
            continue;
        atomic_fetch_add_explicit(&w->errors, 1, memory_order_relaxed);
        return 0;
    }
    return 0;
}

/* What could not be written of TEXT. */
static struct slice write_text(struct logwriter *w, struct slice text)
{
    while (text.len > 0) {
        size_t n = write_some(w, next_piece(w, text));
        if (n == 0)
            break;
        w->is_torn = text.p[n - 1] != '\n';
        text = slice_skip(text, n);
    }
    return text;
}

static uint64_t count_lines(struct slice text)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.p[i] == '\n';
    return n;
}

/* A line whose end was lost gets one, before others follow. */
static void write_block(struct logwriter *w, const struct block *b)
{
    struct slice text = {b->text, b->len};
    if (!w->is_torn || write_text(w, SLICE("\n")).len == 0)
        text = write_text(w, text);
    if (text.len > 0)
        count_dropped(w, count_lines(text));
}

static bool use_fd(struct logwriter *w, int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return false;
    w->fd = fd;
    w->is_regular = S_ISREG(st.st_mode);
    w->is_torn = false;
    return true;
}

/* Non-blocking for the sake of a FIFO that nobody reads: opening it must not hang. */
static bool open_path(struct logwriter *w)
{
    int fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    if (use_fd(w, fd))
        return true;
    int sys = errno;
    if (fd >= 0)
        close(fd);
    errno = sys;
    return false;
}

static void reopen(struct logwriter *w)
{
    int old = w->fd;
    if (!w->path)
        return;
    if (open_path(w))
        close(old);
    else
        atomic_fetch_add_explicit(&w->errors, 1, memory_order_relaxed);
}

static void handle(void *self, struct message *m)
{
    struct logwriter *w = self;
    if (atomic_exchange_explicit(&w->reopen_wanted, false, memory_order_relaxed))
        reopen(w);
    if (m->type == MESSAGE_WAKE) {
        message_drop(m);
        return;
    }
    write_block(w, (struct block *)m);
    block_done((struct block *)m);
}

/* ---- life ---- */

static void release(struct logwriter *w)
{
    struct block *b;
    while (w->spare && (b = queue_ring_pop(w->spare)) != NULL)
        free(b);
    if (w->spare)
        queue_ring_free(w->spare);
    if (w->path && w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
}

static bool start(struct logwriter *w, struct err *err)
{
    const struct actor_setup setup = {
        .name = "log-writer",
        .self = w,
        .handle = handle,
        .max = w->bound / sizeof(struct block) + RESERVE,
    };
    w->spare = queue_ring_new(SPARE_MAX);
    if (w->spare)
        w->actor = actor_new(&setup, err);
    else
        err_sys(err, ERR_SELF, ENOMEM, "log writer");
    return w->actor != NULL;
}

static struct logwriter *new_writer(size_t queue, struct err *err)
{
    struct logwriter *w = calloc(1, sizeof(*w));
    if (!w) {
        err_sys(err, ERR_SELF, ENOMEM, "log writer");
        return NULL;
    }
    w->fd = -1;
    w->bound = queue < SIZE_MAX / LINE_BYTES ? queue * LINE_BYTES : SIZE_MAX / 2;
    if (w->bound < BOUND_MIN)
        w->bound = BOUND_MIN;
    return w;
}

struct logwriter *logwriter_new_fd(int fd, size_t queue, struct err *err)
{
    struct logwriter *w = new_writer(queue, err);
    if (!w)
        return NULL;
    if (!use_fd(w, fd))
        err_sys(err, ERR_SELF, errno, "log descriptor");
    else if (start(w, err))
        return w;
    release(w);
    return NULL;
}

struct logwriter *logwriter_new(const char *target, size_t queue, struct err *err)
{
    if (strcmp(target, "stdout") == 0)
        return logwriter_new_fd(STDOUT_FILENO, queue, err);
    if (strcmp(target, "stderr") == 0)
        return logwriter_new_fd(STDERR_FILENO, queue, err);
    struct logwriter *w = new_writer(queue, err);
    if (!w)
        return NULL;
    w->path = strdup(target);
    if (!w->path || !open_path(w)) {
        err_sys(err, ERR_SELF, errno, "open");
        err_add(err, "log file %s", target);
    } else if (start(w, err)) {
        return w;
    }
    release(w);
    return NULL;
}

uint64_t logwriter_stop(struct logwriter *w, unsigned within_ms)
{
    bool ended = actor_stop(w->actor, clock_now_ns() + within_ms * CLOCK_MILLISECOND_NS);
    if (!ended) {
        atomic_store_explicit(&w->is_late, true, memory_order_relaxed);
        ended = actor_stop(w->actor, clock_now_ns() + HANG_MS * CLOCK_MILLISECOND_NS);
    }
    uint64_t dropped = logwriter_dropped(w);
    if (!ended)
        return dropped; /* it hangs in the kernel and still uses all this */
    actor_free(w->actor);
    release(w);
    return dropped;
}

static void free_message(struct message *m)
{
    free(m);
}

/* The message only wakes the writer: should there be no room or memory for it, the next block shows the flag.
 */
void logwriter_reopen(struct logwriter *w)
{
    atomic_store_explicit(&w->reopen_wanted, true, memory_order_relaxed);
    struct message *m = malloc(sizeof(*m));
    if (!m)
        return;
    m->type = MESSAGE_WAKE;
    m->free = free_message;
    if (!actor_send(w->actor, m))
        free(m);
}

uint64_t logwriter_dropped(const struct logwriter *w)
{
    return atomic_load_explicit(&w->dropped, memory_order_relaxed);
}

uint64_t logwriter_errors(const struct logwriter *w)
{
    return atomic_load_explicit(&w->errors, memory_order_relaxed);
}

size_t logwriter_waiting(const struct logwriter *w)
{
    return atomic_load_explicit(&w->waiting, memory_order_relaxed);
}

/* ---- lines ---- */

void logwriter_line(struct logwriter *w, struct slice line)
{
    struct block *b = block_new(w, line.len + 1);
    if (b) {
        block_add(b, line);
        if (hand_over(b, false))
            return;
        block_free(b);
    }
    count_dropped(w, 1);
}

struct logwriter_stream *logwriter_stream_new(struct logwriter *w)
{
    struct logwriter_stream *s = calloc(1, sizeof(*s));
    if (s)
        s->writer = w;
    return s;
}

void logwriter_stream_free(struct logwriter_stream *s)
{
    struct block *b = s->block;
    if (b && (b->len == 0 || !hand_over(b, true))) {
        count_dropped(s->writer, b->nlines);
        block_free(b);
    }
    free(s);
}

/* Make room for LEN bytes. */
static bool have_room(struct logwriter_stream *s, size_t len)
{
    struct block *b = s->block;
    if (b && b->cap - b->len >= len)
        return true;
    if (b && b->len == 0)
        block_free(b); /* too small for this line even when empty */
    else if (b && !hand_over(b, false))
        return false;
    s->block = block_new(s->writer, len > BLOCK_BYTES ? len : BLOCK_BYTES);
    return s->block != NULL;
}

void logwriter_stream_line(struct logwriter_stream *s, struct slice line)
{
    if (LIKELY(have_room(s, line.len + 1)))
        block_add(s->block, line);
    else
        count_dropped(s->writer, 1);
}

void logwriter_stream_flush(struct logwriter_stream *s)
{
    struct block *b = s->block;
    if (!b || b->len == 0)
        return;
    struct block *copy = b->len < b->cap / 2 ? block_new(s->writer, b->len) : NULL;
    if (!copy) {
        if (hand_over(b, false))
            s->block = NULL;
        return;
    }
    memcpy(copy->text, b->text, b->len);
    copy->len = b->len;
    copy->nlines = b->nlines;
    if (!hand_over(copy, false)) {
        block_free(copy);
        return;
    }
    b->len = 0;
    b->nlines = 0;
}
