/*
 * redis_socket.h: bytes to and from a Redis node: TCP or a unix socket, never blocking; TLS over TCP.
 *
 *     if (!redis_socket_connect(&s, &place)) ...              // s.why says why
 *     ... whenever its descriptor can be written (or read: see wants_write)
 *     switch (redis_socket_open(&s)) ...
 *     n = redis_socket_read(&s, p, len);
 *
 * TLS is 1.2 or newer. Unless its settings say `verify = no`, the node's certificate has to lead to a trusted
 * one and to be for the node's name: the one of the settings, else the host as it is configured, be it a name
 * or a number.
 *
 * A socket belongs to one thread, which ignores SIGPIPE. A struct redis_tls is shared by any number of them
 * and may be freed while sockets are open.
 */
#ifndef GATEWAY_REDIS_SOCKET_H
#define GATEWAY_REDIS_SOCKET_H

#include <sys/types.h>

#include "gateway/conf_redis.h"
#include "lib/check.h"
#include "lib/err.h"
#include "lib/slice.h"

/* What all connections by TLS have in common. Files are read once: a changed one needs a new struct. */
struct redis_tls;

/* NULL: *ERR says what cannot be used. Gives. */
MUST_USE struct redis_tls *redis_tls_new(const struct conf_redis_tls *conf, struct err *err);
void redis_tls_free(struct redis_tls *t); /* NULL is allowed */

struct redis_place {
    const char *address; /* numeric, or a path that begins with '/' */
    uint16_t port;
    const char *host;            /* to verify; NULL: the address */
    const struct redis_tls *tls; /* NULL: plain. Not used for a path */
};

/* Embedded. */
struct redis_socket {
    int fd; /* -1: none */
    bool is_open;
    bool wants_write;   /* not open, or its reading: it goes on when it can be written; else: when read */
    struct ssl_st *tls; /* NULL: plain */
    char why[160];      /* what went wrong */
};

/* Begins to connect. False: it cannot be, and there is nothing to close. */
MUST_USE bool redis_socket_connect(struct redis_socket *s, const struct redis_place *place);

enum redis_opening { REDIS_SOCKET_OPEN, REDIS_SOCKET_WAIT, REDIS_SOCKET_FAILED };

MUST_USE enum redis_opening redis_socket_open(struct redis_socket *s);

/* Bytes read or written; 0: none now, wait until it can be read or written; -1: it is over. Only of one that
 * is open. */
MUST_USE ssize_t redis_socket_read(struct redis_socket *s, char *p, size_t len);
MUST_USE ssize_t redis_socket_write(struct redis_socket *s, struct slice bytes);

/* What the system knows of a descriptor that can be used no more. */
const char *redis_socket_fault(struct redis_socket *s);

/* Not polled any more. */
void redis_socket_close(struct redis_socket *s);

#endif
