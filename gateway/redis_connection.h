/*
 * redis_connection.h: one connection to a Redis node: commands out, replies in, from its opening to its end.
 *
 * What its owner adds is written when the loop is about to wait, all of one turn by one call. The owner hears
 * from the loop only, and may close the connection whenever it does.
 *
 * One thread.
 */
#ifndef GATEWAY_REDIS_CONNECTION_H
#define GATEWAY_REDIS_CONNECTION_H

#include <uv.h>

#include "gateway/redis_resp.h"
#include "gateway/redis_socket.h"

struct redis_connection;

struct redis_connection_owner {
    void (*writing)(void *owner); /* what was added in this turn goes now */
    /* Lent for the call; its last byte was read at READ_NS. */
    void (*reply)(void *owner, const struct redis_reply *reply, uint64_t read_ns);
    void (*ended)(void *owner, const char *why); /* it is no good: close it. WHY is lent, until then */
};

/* Begins to connect. NULL: WHY, of SIZE bytes, says why it cannot. */
MUST_USE struct redis_connection *redis_connection_new(uv_loop_t *loop, const struct redis_place *place,
                                                       char *why, size_t size);

/* Once, before the loop turns. EVENTS is lent. */
void redis_connection_set_owner(struct redis_connection *c, const struct redis_connection_owner *events,
                                void *owner);

/* The owner hears nothing any more. The loop has to turn until its handles are closed. */
void redis_connection_close(struct redis_connection *c);

/* False: too much waits, or memory is short; nothing of it was taken. */
MUST_USE bool redis_connection_add(struct redis_connection *c, const struct redis_command *command);

/* Look now for what has come. From the loop only. */
void redis_connection_read(struct redis_connection *c);

/* Calls that wrote. */
uint64_t redis_connection_writes(const struct redis_connection *c);

#endif
