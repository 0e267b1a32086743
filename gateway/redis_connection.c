/*
 * redis_connection.c: see redis_connection.h.
 *
 * Commands are put into the output as they come; what is there when the loop is about to wait is written then
 * (uv_prepare), and only what the socket does not take is left to polling.
 *
 * It outlives its owner's use of it until its handles are closed: `owner` is NULL then, which is looked at
 * after everything that may have closed it.
 *
 * hiredis' own connections (redisContext) were dropped for an allocation and a copy per command and for TLS
 * that blocks, its asynchronous ones because they end the process when a node says what nobody has asked for.
 */
#include "gateway/redis_connection.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"

#define READ_SIZE      16384 /* a whole record of TLS */
#define READS_PER_TURN 32    /* then others have their turn */

struct redis_connection {
    uv_poll_t poll;
    uv_prepare_t prepare; /* active: there is output that nobody has tried to write */
    struct redis_socket socket;
    struct redis_output output;
    struct redis_reader *reader;
    const struct redis_connection_owner *events;
    void *owner;              /* NULL: given up */
    int polled;               /* for */
    bool is_blocked;          /* the socket did not take all output */
    unsigned handles;         /* that are not closed yet */
    uint64_t writes, read_ns; /* READ_NS: when last */
};

/* ---- life ---- */

static void on_closed(uv_handle_t *h)
{
    struct redis_connection *c = h->data;
    if (--c->handles > 0)
        return;
    redis_output_fini(&c->output);
    redis_reader_free(c->reader);
    free(c);
}

void redis_connection_close(struct redis_connection *c)
{
    c->owner = NULL;
    uv_close((uv_handle_t *)&c->poll, on_closed);
    uv_close((uv_handle_t *)&c->prepare, on_closed);
    redis_socket_close(&c->socket);
}

static void end(struct redis_connection *c, const char *why)
{
    c->events->ended(c->owner, why);
}

/* ---- writing ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct redis_connection *c)
{
    int events = c->socket.is_open || !c->socket.wants_write ? UV_READABLE : 0;
    if (c->socket.wants_write || c->is_blocked)
        events |= UV_WRITABLE;
    if (c->polled != events)
        uv_poll_start(&c->poll, events, on_poll);
    c->polled = events;
}

static void flush(struct redis_connection *c)
{
    struct slice waiting;
    c->is_blocked = false;
    while (!c->is_blocked && (waiting = redis_output_waiting(&c->output)).len > 0) {
        ssize_t n = redis_socket_write(&c->socket, waiting);
        c->writes++;
        if (n < 0) {
            end(c, c->socket.why);
            return;
        }
        redis_output_take(&c->output, (size_t)n);
        c->is_blocked = n == 0;
    }
    watch(c);
}

/* The loop is about to wait. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct redis_connection *c = prepare->data;
    uv_prepare_stop(prepare);
    c->events->writing(c->owner);
    if (c->owner && c->socket.is_open && !c->is_blocked)
        flush(c);
}

bool redis_connection_add(struct redis_connection *c, const struct redis_command *command)
{
    if (!redis_output_add(&c->output, command))
        return false;
    if (!uv_is_active((uv_handle_t *)&c->prepare))
        uv_prepare_start(&c->prepare, on_prepare);
    return true;
}

uint64_t redis_connection_writes(const struct redis_connection *c)
{
    return c->writes;
}

/* ---- reading ---- */

/* What is there of replies. */
static void take_replies(struct redis_connection *c)
{
    struct redis_reply v;
    enum redis_reading what = REDIS_READ_MORE;
    while (c->owner && (what = redis_reader_next(c->reader, &v)) == REDIS_READ_REPLY)
        c->events->reply(c->owner, &v, c->read_ns);
    if (c->owner && what == REDIS_READ_FAULT)
        end(c, "what it says is no reply, or too large");
}

static void take_bytes(struct redis_connection *c, struct slice bytes)
{
    c->read_ns = clock_now_ns();
    if (redis_reader_feed(c->reader, bytes))
        take_replies(c);
    else
        end(c, "out of memory");
}

void redis_connection_read(struct redis_connection *c)
{
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_PER_TURN && c->owner; i++) {
        ssize_t n = redis_socket_read(&c->socket, bytes, sizeof(bytes));
        if (n < 0)
            end(c, c->socket.why);
        else if (n > 0)
            take_bytes(c, (struct slice){bytes, (size_t)n});
        if (n < (ssize_t)sizeof(bytes))
            break; /* what is left, if anything, is polled for */
    }
    if (c->owner)
        watch(c);
}

/* ---- opening ---- */

static void go_on_opening(struct redis_connection *c)
{
    switch (redis_socket_open(&c->socket)) {
    case REDIS_SOCKET_OPEN:
        flush(c); /* what was added meanwhile */
        break;
    case REDIS_SOCKET_WAIT:
        watch(c);
        break;
    case REDIS_SOCKET_FAILED:
        end(c, c->socket.why);
        break;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_connection *c = poll->data;
    (void)events;
    if (status != 0) {
        end(c, redis_socket_fault(&c->socket));
    } else if (!c->socket.is_open) {
        go_on_opening(c);
    } else {
        redis_connection_read(c);
        if (c->owner && c->is_blocked)
            flush(c);
    }
}

struct redis_connection *redis_connection_new(uv_loop_t *loop, const struct redis_place *place, char *why,
                                              size_t size)
{
    struct redis_connection *c = calloc(1, sizeof(*c));
    snprintf(why, size, "out of memory");
    if (!c)
        return NULL;
    if (!redis_socket_connect(&c->socket, place)) {
        snprintf(why, size, "%s", c->socket.why);
        free(c);
        return NULL;
    }
    c->reader = redis_reader_new();
    if (!c->reader || uv_poll_init(loop, &c->poll, c->socket.fd) != 0) {
        redis_reader_free(c->reader);
        redis_socket_close(&c->socket);
        free(c);
        return NULL;
    }
    uv_prepare_init(loop, &c->prepare);
    c->poll.data = c->prepare.data = c;
    c->handles = 2;
    watch(c);
    return c;
}

void redis_connection_set_owner(struct redis_connection *c, const struct redis_connection_owner *events,
                                void *owner)
{
    c->events = events;
    c->owner = owner;
}
