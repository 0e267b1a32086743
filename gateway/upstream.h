/*
 * upstream.h: connections to backends, and the pools that keep them.
 *
 * libcurl resolves nothing here (addresses are given) but connects, does TLS and keeps the connection: each
 * one is an easy handle with CURLOPT_CONNECT_ONLY in the worker's multi handle. Bytes go over it by
 * upstream_send and upstream_recv, straight on the socket for plain HTTP, through libcurl for TLS. What the
 * bytes mean is the business of forward.h.
 *
 * A connection has one user at a time. upstream_acquire gives an idle one at once, or begins to connect and
 * reports later. Idle connections are watched: whatever arrives on one ends it, so that no stray byte meets
 * the next request.
 *
 *     struct upstream_want want = {.endpoint = e, .backend = b, .user = &my_user, .ctx = x};
 *     switch (upstream_acquire(u, &want, &conn, &err)) {
 *     case UPSTREAM_READY:   send on conn
 *     case UPSTREAM_PENDING: conn is lent; user->connected(ctx) or user->failed(ctx, reason, err) will be
 * called case UPSTREAM_FULL:    max_connections are open and busy case UPSTREAM_ERROR:   err says why
 *     }
 *
 * All calls are the owning worker's. The functions of a user are called from the worker's loop only, never
 * from inside a call of this interface. After failed() the connection is gone; otherwise the user gives it
 * back with upstream_release.
 */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

#include <sys/types.h>
#include <sys/uio.h>
#include <uv.h>

#include "gateway/endpoint.h"
#include "gateway/reason.h"
#include "lib/err.h"
#include "lib/wheel.h"

struct upstream;
struct upstream_conn;

struct upstream_user {
    void (*connected)(void *ctx);
    void (*failed)(void *ctx, enum reason reason, const struct err *err);
    void (*readable)(void *ctx);
    void (*writable)(void *ctx);
};

struct upstream_want {
    struct endpoint *endpoint;
    const struct conf_backend *backend; /* lent until the connection is released */
    const struct upstream_user *user;
    void *ctx;
    bool fresh; /* no kept connection */
};

enum upstream_result { UPSTREAM_READY, UPSTREAM_PENDING, UPSTREAM_FULL, UPSTREAM_ERROR };

/* Read by other threads for metrics; written by the worker alone. */
struct upstream_stats {
    _Atomic uint64_t opened; /* connections made since the start */
    _Atomic uint64_t reused; /* requests that found a kept one */
    _Atomic uint32_t open;   /* connections now, idle ones included */
    _Atomic uint32_t idle;
};

/* WORKER is the index into endpoint slots. NULL when memory is short. */
MUST_USE struct upstream *upstream_new(uv_loop_t *loop, struct wheel *wheel, unsigned worker);

/* The end: close every idle connection; those in use must have been released. The loop must run on until the
 * handles are closed; then upstream_free. */
void upstream_close(struct upstream *u);
void upstream_free(struct upstream *u);
const struct upstream_stats *upstream_stats(const struct upstream *u);

/* Report connections that were made or failed. To be called before the loop waits, and after every acquire.
 */
void upstream_run_pending(struct upstream *u);
bool upstream_has_pending(const struct upstream *u);

MUST_USE enum upstream_result upstream_acquire(struct upstream *u, const struct upstream_want *want,
                                               struct upstream_conn **conn, struct err *err);

/* Give the connection back, or give up connecting. REUSABLE: the exchange on it was complete and clean. */
void upstream_release(struct upstream_conn *c, bool reusable);

/* Another user for a connection in hand. */
void upstream_hand_over(struct upstream_conn *c, const struct upstream_user *user, void *ctx);

/* Bytes taken, possibly 0 when the socket takes none now; -1: broken, err says how. */
MUST_USE ssize_t upstream_send(struct upstream_conn *c, const struct iovec *iov, int n, struct err *err);

#define UPSTREAM_AGAIN  (-1)
#define UPSTREAM_BROKEN (-2)

/* Bytes read; 0: the peer closed; UPSTREAM_AGAIN; UPSTREAM_BROKEN with err. */
MUST_USE ssize_t upstream_recv(struct upstream_conn *c, void *p, size_t len, struct err *err);

/* Which events the user wants to be told of; nothing costs nothing when it is as it was. */
void upstream_watch(struct upstream_conn *c, bool readable, bool writable);

bool upstream_is_reused(const struct upstream_conn *c); /* it has served a request before this one */
struct endpoint *upstream_endpoint(const struct upstream_conn *c);

/* The worker was told of a new list of addresses: drop idle connections to those that are retired. */
void upstream_forget_retired(struct upstream *u);

#endif
