/*
 * redis_link.h: a connection to a Redis or Valkey node, of one worker.
 *
 *     struct redis_link *l = redis_link_new(&setup);
 *     ...
 *     call.done = on_reply;
 *     if (!redis_link_send(l, &call, &command)) ...            // the node is not up: go on without it
 *
 * Commands of all requests go over one connection, one behind the other, without waiting for each other's
 * replies; those of one turn of the loop are written together at its end. Each has a deadline; whoever sent
 * one hears of it once: its reply, or that there will be none.
 *
 * The link looks after itself. It connects, says who it is (AUTH, SELECT), and is up when the node has
 * answered a PING. It goes down when the connection ends, when nothing has been answered for DEADLINE while
 * something was asked, or when a reply makes no sense; then it tries again, after 50 ms at first and 250 ms
 * at last, each time give or take a half. While it is down, commands are refused at once: a node that is dead
 * or stalled costs a request nothing but for those that were under way.
 *
 * A link with channels subscribes to them instead, and is up when the node has confirmed all. It takes no
 * commands, hears messages, and asks the node every PING_MS whether it is there: what was published before an
 * answer's question was sent has been heard when it comes.
 *
 * Replies are lent for the duration of the call, and hostile: look at their kind before anything else.
 *
 * The process has to ignore SIGPIPE.
 *
 * One thread. Functions of the setup and of calls are called from the loop, never from inside a function of
 * this interface. They may use all of it, redis_link_free too.
 */
#ifndef GATEWAY_REDIS_LINK_H
#define GATEWAY_REDIS_LINK_H

#include <uv.h>

#include "gateway/redis_resp.h"
#include "gateway/redis_socket.h"
#include "lib/wheel.h"

struct redis_link;

struct redis_node {
    const char *name;    /* for log and metrics */
    const char *address; /* at first: numeric, or a path that begins with '/'; NULL: not known yet */
    uint16_t port;
    const char *host;     /* what TLS verifies; NULL: the address */
    const char *username; /* NULL: the default user */
    const char *password; /* NULL: no AUTH */
    unsigned database;
    uint32_t connect_ms, command_ms; /* deadlines: until it is up, and from the writing of a command */
};

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct redis_link_setup {
    uv_loop_t *loop;
    void (*set_timer)(void *ctx, struct wheel_entry *e, uint64_t due_ns); /* in a wheel that is turned */
    const struct redis_node *node;                                        /* lent */
    const struct redis_tls *tls;                                          /* lent; NULL: plain */
    uint64_t seed;                                                        /* of the jitter */
    void (*changed)(void *ctx, enum redis_state state, const char *why);  /* up and down; or NULL */
    void (*failed)(void *ctx, struct slice text); /* an error reply, before its call hears it; or NULL */

    void (*answered)(void *ctx, uint64_t took_ns); /* a command, from its writing on; or NULL */

    const struct slice *channels; /* lent; to subscribe to */
    size_t nchannels;             /* below REDIS_WORDS_MAX; 0: a link for commands */
    uint32_t ping_ms;
    void (*message)(void *ctx, struct slice channel, struct slice payload);
    /* The node has answered what was asked at SENT_NS: on becoming up, and for each PING; or NULL. */
    void (*verified)(void *ctx, uint64_t sent_ns);
    void *ctx;
};

/* Begins to connect. NULL: memory is short. */
MUST_USE struct redis_link *redis_link_new(const struct redis_link_setup *setup);

/* What is under way is forgotten. The loop has to turn until its handles are closed. NULL is allowed. */
void redis_link_free(struct redis_link *l);

/* Where the node is now (copied); NULL: nobody knows. A connection to another address is ended, and made anew
 * at once, by the next turn. */
void redis_link_set_address(struct redis_link *l, const char *address);

enum redis_state redis_link_state(const struct redis_link *l);

/* Why it went down, or could not connect, when it last did; lent. */
const char *redis_link_why(const struct redis_link *l);

struct redis_link_stats {
    uint64_t sent, answered, late, refused, connects;
    uint64_t writes; /* calls that wrote commands, the greeting's too: several commands share one */
};

struct redis_link_stats redis_link_stats(const struct redis_link *l);

/* Embedded in what waits for the reply. */
struct redis_call {
    void (*done)(struct redis_call *call, const struct redis_reply *reply); /* NULL: none came in time */
    struct redis_link *pending; /* the link's own: NULL: not under way. At first, too */
    uint64_t place;             /* the link's own */
};

/* False: the node is not up, too much is under way, or memory is short; DONE is not called then. The command
 * is not kept. */
MUST_USE bool redis_link_send(struct redis_link *l, struct redis_call *call,
                              const struct redis_command *command);

/* Hear nothing of it any more. */
void redis_call_cancel(struct redis_call *call);

#endif
