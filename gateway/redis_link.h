/*
 * redis_link.h: a connection to a Redis or Valkey node, of one worker.
 *
 *     struct redis_link *l = redis_link_new(&setup, &err);
 *     ...
 *     call.done = on_reply;
 *     if (!redis_link_send(l, &call, &command)) ...            // the node is not up: go on without it
 *
 * Commands of all requests go over one connection, one behind the other, without waiting for each other's
 * replies. Each has a deadline; whoever sent one hears of it once: its reply, or that there will be none.
 *
 * The link looks after itself. It connects, says who it is (AUTH, SELECT), and is up when the node has
 * answered a PING. It goes down when the connection ends, when nothing has been answered for DEADLINE while
 * something was asked, or when a reply makes no sense; then it tries again, after 100 ms at first and 5 s at
 * last, each time give or take a half. While it is down, commands are refused at once: a node that is dead or
 * stalled costs a request nothing but for those that were under way.
 *
 * Replies are lent for the duration of the call, and hostile: look at their kind before anything else.
 *
 * The process has to ignore SIGPIPE.
 *
 * One thread. The functions of calls are called from the loop, never from inside a function of this
 * interface, but for redis_link_free and redis_call_cancel, which call none.
 */
#ifndef GATEWAY_REDIS_LINK_H
#define GATEWAY_REDIS_LINK_H

#include <uv.h>

#include "lib/check.h"
#include "lib/err.h"
#include "lib/slice.h"
#include "lib/wheel.h"

struct redis_link;
struct redis_pending;

struct redis_node {
    const char *name;    /* for log and metrics */
    const char *address; /* numeric, or a path that begins with '/' */
    uint16_t port;
    const char *username; /* NULL: the default user */
    const char *password; /* NULL: no AUTH */
    unsigned database;
    uint32_t connect_ms, command_ms; /* deadlines */
};

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct redis_link_setup {
    uv_loop_t *loop;
    void (*set_timer)(void *ctx, struct wheel_entry *e, uint64_t due_ns); /* in a wheel that is turned */
    const struct redis_node *node;                                        /* lent */
    uint64_t seed;                                                        /* of the jitter */
    void (*changed)(void *ctx, enum redis_state state, const char *why);  /* up and down; or NULL */
    void *ctx;
};

/* Begins to connect. NULL: memory is short. */
MUST_USE struct redis_link *redis_link_new(const struct redis_link_setup *setup);

/* What is under way is forgotten. The loop has to turn until its handles are closed. */
void redis_link_free(struct redis_link *l);

enum redis_state redis_link_state(const struct redis_link *l);

struct redis_link_stats {
    uint64_t sent, answered, late, refused, connects;
};

struct redis_link_stats redis_link_stats(const struct redis_link *l);

/* ---- commands ---- */

#define REDIS_WORDS_MAX 16

struct redis_command {
    struct slice words[REDIS_WORDS_MAX];
    int n;
};

enum redis_kind { REDIS_NIL, REDIS_TEXT, REDIS_INTEGER, REDIS_ARRAY, REDIS_FAILED };

struct redis_reply {
    enum redis_kind kind;
    struct slice text; /* REDIS_TEXT; REDIS_FAILED: what the node said */
    int64_t integer;
    size_t n; /* of REDIS_ARRAY */
    const void *elements;
};

/* Element I of an array; REDIS_NIL when there is none. */
struct redis_reply redis_reply_at(const struct redis_reply *array, size_t i);

/* Embedded in what waits for the reply. */
struct redis_call {
    void (*done)(struct redis_call *call, const struct redis_reply *reply); /* NULL: none came in time */
    struct redis_pending *pending;                                          /* the link's own */
};

/* False: the node is not up, or memory is short; DONE is not called then. */
MUST_USE bool redis_link_send(struct redis_link *l, struct redis_call *call,
                              const struct redis_command *command);

/* Hear nothing of it any more. */
void redis_call_cancel(struct redis_call *call);

#endif
