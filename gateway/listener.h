/*
 * listener.h: the listening sockets.
 *
 * Opened once, by the control thread, before the workers start, and kept until the process ends: one socket
 * for each address and worker (SO_REUSEPORT: the kernel spreads connections over them), or for a unix socket
 * one that all workers accept from.
 */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include "gateway/conf.h"
#include "lib/err.h"

struct listener {
    int fd;
    bool tls;
    bool is_unix;
    const char *cert_pem; /* PEM text, with tls */
    const char *key_pem;
};

struct listeners {
    struct listener *at; /* worker w's are at[w * per_worker] ... */
    size_t per_worker;
    unsigned nworkers;
    char **pem; /* owned texts */
    size_t npem;
};

/* Open all sockets of CONF. False with err, and nothing open. */
MUST_USE bool listeners_open(struct listeners *l, const struct conf *conf, struct err *err);
void listeners_close(struct listeners *l);

/* One socket, for the admin port: the descriptor, or -1 with err. */
MUST_USE int listener_open_one(const struct conf_listen *l, bool share, struct err *err);

/* A whole file, NUL-terminated, from malloc; NULL with err. */
MUST_USE char *listener_read_pem(const char *path, struct err *err);

#endif
