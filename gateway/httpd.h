/*
 * httpd.h: a libmicrohttpd daemon on a libuv loop.
 *
 * The daemon polls nothing itself: its epoll descriptor is polled by the loop, and httpd_turn lets it work.
 * It has no listening socket; connections are accepted by the caller and added. Used by the front end of each
 * worker and by the admin port.
 *
 * All calls are the loop's thread's.
 */
#ifndef GATEWAY_HTTPD_H
#define GATEWAY_HTTPD_H

#include <microhttpd.h>
#include <uv.h>

#include "lib/err.h"

struct httpd;

struct httpd_setup {
    uv_loop_t *loop;
    const char *cert_pem, *key_pem; /* both or neither */
    size_t memory; /* bytes of a connection's memory: request head and reply head have to fit */
    unsigned max_connections;
    const unsigned
        *waiting;    /* connections that wait without being suspended (see httpd_turn); NULL: none ever do */
    unsigned idle_s; /* inactive connections are ended after this; 0: the caller sees to it */
    MHD_AccessHandlerCallback handler;
    void *(*target)(void *ctx, const char *raw,
                    struct MHD_Connection *c); /* sees the raw target first; NULL */
    MHD_RequestCompletedCallback completed;    /* NULL */
    MHD_NotifyConnectionCallback connection;   /* NULL */
    void *ctx;
};

MUST_USE struct httpd *httpd_new(const struct httpd_setup *setup, struct err *err);

/* Takes FD, also when it fails. */
MUST_USE bool httpd_add(struct httpd *h, int fd, const struct sockaddr *addr, socklen_t len);

/* There is work that no event tells of, for instance a resumed connection. */
void httpd_poke(struct httpd *h);

/*
 * Work until there is nothing to do at once, or for long enough for now (then it is poked still). True when
 * it worked.
 *
 * A handler that has nothing to answer yet may return without suspending its connection: it is then called
 * again at each run. That saves the three system calls that suspending and resuming cost, as long as few do
 * it and not for long. While any do, libmicrohttpd always claims to have more to do, so it is run again only
 * when poked: by the handler that knows of more.
 */
bool httpd_turn(struct httpd *h);

/* Counts the runs. */
unsigned httpd_run_number(const struct httpd *h);
bool httpd_is_poked(const struct httpd *h);

/* Ends all connections. The loop must run on until the handle is closed; then httpd_free. */
void httpd_close(struct httpd *h);
void httpd_free(struct httpd *h);

#endif
