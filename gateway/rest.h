/*
 * rest.h: kept connections of clients that have nothing to say, at rest.
 *
 * libmicrohttpd keeps some 16 KB for each connection, used or not. A connection that was idle for a while
 * is taken out of it: its socket goes to a list here, with an epoll set that tells when it speaks or closes,
 * and costs about 100 bytes until then. A socket that speaks is handed to the front end like a new one.
 *
 *     rests_add(r, &(struct rest_socket){...})    takes the socket
 *     r->woken(ctx, &socket)                      gives it back: bytes have come
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_REST_H
#define GATEWAY_REST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/check.h"

struct httpd;

struct rest_socket {
    int fd;
    struct httpd *httpd; /* where it came from */
    uint64_t idle_ns;    /* idle since; monotonic */
    uint64_t consumed;   /* bytes of requests that it has brought so far */
};

struct rest {
    struct rest_socket socket;
    struct rest *next, *prev;
};

struct rests {
    struct rest *first, *last; /* longest at rest first */
    size_t n;
    int epoll_fd;
    uv_poll_t poll;
    void (*woken)(void *ctx, const struct rest_socket *s); /* takes the socket */
    void *ctx;
};

/* False when there is no memory or no descriptor. */
MUST_USE bool rests_init(struct rests *r, uv_loop_t *loop,
                         void (*woken)(void *ctx, const struct rest_socket *s), void *ctx);

/* Close all. The loop must run on until the handle is closed. */
void rests_fini(struct rests *r);

/* Takes the socket; closes it when memory is short. */
void rests_add(struct rests *r, const struct rest_socket *s);

/* Close those that have been idle for longer than IDLE_MS. */
void rests_expire(struct rests *r, uint64_t now_ns, uint32_t idle_ms);

/* Close the one that rests for longest. False when there is none. */
bool rests_evict(struct rests *r);
void rests_close_all(struct rests *r);

#endif
