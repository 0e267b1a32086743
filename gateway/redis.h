/*
 * redis.h: the Redis nodes, as one thread sees them.
 *
 * A set of links (redis_link.h), one to each node, and the ring that says which node is meant for what. All
 * gateways with the same nodes agree on it. A node that does not answer is off the ring until it does: what
 * it owned is its successors' meanwhile, and its own again afterwards.
 *
 *     size_t node = redis_node_for(r, hash_bytes(key, len, 0));
 *     call.done = on_reply;
 *     if (node == REDIS_NONE || !redis_eval(r, node, &call, REDIS_CACHE_READ, &keys, &args))
 *         ... go on without Redis
 *
 * Scripts (redis_script.h) are sent by their digest, and whole where the node does not have them: the first
 * time on each connection, and after it has said NOSCRIPT. A call that was answered with NOSCRIPT gets that
 * answer (redis_wants_again) and may be sent again at once; but once, for a node may say so for ever.
 *
 * One thread, which turns SETUP's loop. Its calls end as those of redis_link.h: once, from the loop, with a
 * reply or with NULL after the deadline of a command at the latest.
 */
#ifndef GATEWAY_REDIS_H
#define GATEWAY_REDIS_H

#include "gateway/conf_redis.h"
#include "gateway/redis_link.h"
#include "gateway/redis_script.h"

#define REDIS_NONE SIZE_MAX

struct redis;

struct redis_setup {
    uv_loop_t *loop;
    void (*set_timer)(void *ctx, struct wheel_entry *e, uint64_t due_ns); /* met to the millisecond */
    void *ctx;
    const struct conf_redis *conf; /* lent */
    /* Whether others have reason not to use node I now; NULL: never. Any result may change at any time. */
    bool (*is_barred)(void *bar, size_t i);
    void (*changed)(void *ctx, size_t i, enum redis_state state, const char *why); /* or NULL */
    void *bar;
    void (*answered)(void *ctx, size_t i, uint64_t took_ns); /* a command of node I; or NULL */
    uint64_t seed;
};

/* No node has an address yet, unless it is written as a number or is a unix socket. NULL: memory is short, or
 * what CONF says of TLS cannot be used (which redis_tls_new, tried with it beforehand, puts into words). */
MUST_USE struct redis *redis_new(const struct redis_setup *setup);

/* Calls that are under way are forgotten. From a function it has called, too, but for is_barred. The loop has
 * to turn until its handles are closed. NULL is allowed. */
void redis_free(struct redis *r);

/* Node I of CONF, as a link wants it; lent by CONF. Without address where its name has to be resolved. */
void redis_node_of(const struct conf_redis *conf, size_t i, struct redis_node *out);

/* What its links share; lent. NULL: no TLS. */
const struct redis_tls *redis_tls_of(const struct redis *r);

/* Where node I is now: a numeric address, NULL: nobody knows. A connection to another address is ended. */
void redis_set_address(struct redis *r, size_t i, const char *address);

/* The node for what HASH stands for: of those that can be used, the first on the ring. REDIS_NONE: there is
 * none. */
size_t redis_node_for(const struct redis *r, uint64_t hash);

/* Up, and not barred. */
bool redis_is_up(const struct redis *r, size_t i);

struct redis_link_stats redis_node_stats(const struct redis *r, size_t i);

/* Why it went down, or could not be connected to, when it last did; lent. */
const char *redis_node_why(const struct redis *r, size_t i);

struct redis_words {
    const struct slice *at;
    int n;
};

/* Run SCRIPT on node I. False: the node cannot be asked, or KEYS and ARGS are more than REDIS_WORDS_MAX - 3;
 * DONE is not called then. Nothing that is given is kept. Who is barred is for redis_node_for to know. */
MUST_USE bool redis_eval(struct redis *r, size_t i, struct redis_call *call, enum redis_script script,
                         struct redis_words keys, struct redis_words args);

/* A plain command. */
MUST_USE bool redis_send(struct redis *r, size_t i, struct redis_call *call,
                         const struct redis_command *command);

/* REPLY says that the node does not have the script any more: send the same again, it goes whole this time.
 * WAS_REPEATED is the caller's, of that call, at first false: true once only. REPLY may be NULL. */
MUST_USE bool redis_wants_again(const struct redis_reply *reply, bool *was_repeated);

#endif
