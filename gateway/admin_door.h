/*
 * admin_door.h: the listening socket of the admin port, on its loop.
 *
 *     static void entered(void *ctx, const struct admin_guest *g);      // takes g->fd
 *
 *     admin_door_open(&door, &(struct admin_door_setup){loop, fd, entered, ctx});
 *     ...
 *     admin_door_close(&door);                        // then the loop runs until its handles are closed
 *
 * Where there is no descriptor or no memory for a connection, the socket stays readable all the same: the
 * door is then shut for ADMIN_DOOR_PAUSE_MS, so that the loop does not turn for nothing. Who waits outside
 * meanwhile comes in after that.
 *
 * The loop's thread only.
 */
#ifndef GATEWAY_ADMIN_DOOR_H
#define GATEWAY_ADMIN_DOOR_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#include "lib/check.h"

#define ADMIN_DOOR_PAUSE_MS 100

/* A connection; its socket does not block. */
struct admin_guest {
    int fd;
    const struct sockaddr *addr; /* lent for the call */
    socklen_t addr_len;
};

struct admin_door_setup {
    uv_loop_t *loop;
    int fd;                                                  /* listens, and does not block */
    void (*entered)(void *ctx, const struct admin_guest *g); /* takes its descriptor */
    void *ctx;
};

struct admin_door {
    struct admin_door_setup setup;
    uv_poll_t poll;
    uv_timer_t pause;
};

/* Takes the listening descriptor when true. False: it cannot be polled. */
MUST_USE bool admin_door_open(struct admin_door *d, const struct admin_door_setup *setup);

/* Closes the descriptor too. D has to live until the loop has closed its handles. */
void admin_door_close(struct admin_door *d);

#endif
