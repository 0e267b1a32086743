/*
 * client.h: the connections of clients: what each is doing, how long it may, and whether its client is still
 * there.
 *
 * A connection is IDLE between requests and BUSY with one; client_set_state moves it between the two lists,
 * each oldest first. Deadlines are kept in the worker's wheel: new connection      head_timeout until the
 * first request line between requests    idle_timeout head of a request   head_timeout from its request line
 *     body and reply      idle_timeout without any movement
 * A connection is ended from our side by shutting its socket down, which libmicrohttpd notices.
 *
 * A request that has to wait is parked. At first the connection only waits (httpd.h tells how); when it does
 * so for long, or too many do, it is suspended.
 *
 * libmicrohttpd overlooks an end of stream that comes together with data: it reads until it has all data, and
 * the edge that its epoll set would report is gone. So a connection on which nothing moves is probed once.
 *
 * It does not look at a suspended connection either. Those that are suspended for longer than a tenth of
 * a second go into an epoll set of our own, for EPOLLRDHUP. A client that had closed its sending half by then
 * may only be one that has nothing more to say, and gets its answer; one that closes it later has left.
 *
 * A connection that is idle for REST_AFTER goes to rest (rest.h): libmicrohttpd is told to give it up, and
 * closes its descriptor, but not the socket, of which we hold another. Only where it is certain that
 * libmicrohttpd has no byte of a next request in its memory: when the bytes that were read from the socket
 * are those of the requests that were served. TLS connections stay, for their state is not ours to move.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_CLIENT_H
#define GATEWAY_CLIENT_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <uv.h>

#include "gateway/conf.h"
#include "gateway/httpd.h"
#include "gateway/rest.h"
#include "lib/cidr.h"
#include "lib/wheel.h"

struct exchange;
struct clients;

enum client_state { CLIENT_IDLE, CLIENT_BUSY };

struct client {
    struct clients *all;
    struct httpd *httpd;
    struct MHD_Connection *mhd;
    int fd;
    bool tls;
    struct ip ip;
    enum client_state state;
    struct client *next, *prev; /* in the list of its state */
    struct exchange *exchange;  /* the request it is busy with */
    struct wheel_entry deadline;
    uint64_t moved_ns;      /* when something last moved */
    uint64_t parked_ns;     /* parked since; 0: not parked */
    bool waits;             /* parked, but not suspended */
    size_t head_bytes;      /* of its present request */
    bool tires;             /* and is to be suspended at the next chance */
    unsigned completed_run; /* of httpd, in which its last request ended */
    bool pipelines;         /* its next request was there before the last one had ended */
    uint64_t watched_ns;    /* in the epoll set since; 0: not */
    uint64_t discarded;     /* bytes of an unwanted body that were dropped */
    uint64_t consumed;      /* bytes of all its requests so far; UINT64_MAX: not known */
    int rest_fd;            /* it is about to rest: a second descriptor of its socket; -1: it is not */
    bool has_served;        /* at least one request */
    bool half_closed;       /* seen when we began to watch */
    bool probed;            /* looked at since something last moved */
    bool cut;               /* its socket was shut down */

    /* of the present request */
    bool head_seen;
    bool body_ended;
    bool woken; /* do not suspend: something happened already */
    bool replied;
    bool finished; /* a reply that ends with the connection has come to its end */
    bool lingers;  /* its socket is to linger when the connection ends */
};

struct client_list {
    struct client *first, *last;
    size_t n;
};

/* Read by other threads for metrics. */
struct client_stats {
    _Atomic uint64_t accepted;
    _Atomic uint32_t open;    /* those that rest included */
    _Atomic uint32_t resting; /* rest.h */
};

struct lingering;

struct clients {
    struct wheel *wheel;
    struct client_list lists[2]; /* by state */
    unsigned nwaiting;           /* connections that wait without being suspended */
    struct conf_client limits;
    uint64_t probe_ns; /* when resting connections are probed next */
    int watch_fd;      /* epoll set of suspended connections */
    uv_poll_t watch;
    struct lingering *lingers;
    size_t nlingers;
    struct rests rests;
    unsigned ngoing;                /* connections that are about to rest */
    unsigned ngone;                 /* that went to rest since memory was last given back */
    uint64_t given_ns;              /* when that was */
    void (*gone)(struct client *c); /* the client of a suspended connection has left */
    struct client_stats stats;
};

/* False when there is no memory or no descriptor. GONE and the others: see struct clients and rest.h. */
struct clients_setup {
    uv_loop_t *loop;
    struct wheel *wheel;
    void (*gone)(struct client *);
    void (*woken)(void *ctx, const struct rest_socket *s);
    void *ctx;
};
MUST_USE bool clients_init(struct clients *all, const struct clients_setup *setup);

/* All connections must have ended. The loop must run on until the handle is closed. */
void clients_fini(struct clients *all);

/* Connections in all. */
size_t clients_open(const struct clients *all);

/* Every tick: watch those that are parked for long, drain sockets that linger. */
void clients_tick(struct clients *all, uint64_t now_ns);

/* FD was accepted; NULL when memory is short (FD is left alone). Counts as IDLE. */
MUST_USE struct client *client_new(struct clients *all, int fd, const struct sockaddr *addr);
void client_free(struct client *c);
void client_set_state(struct client *c, enum client_state state);

/* A request of BYTES is over; UINT64_MAX: nobody knows how many they were, and it cannot rest. */
void client_count_request(struct client *c, uint64_t bytes);

/* A request begins: it is no time to rest. */
void client_stay(struct client *c);

/* Something moved. */
void client_moved(struct client *c);

/* End the connection from our side. */
void client_cut(struct client *c);

/* Wait for client_resume. MAY_WAIT: libmicrohttpd has nothing to read, so that it keeps the connection among
 * those that it visits at each run; in the middle of a body it does not. */
void client_park(struct client *c, bool may_wait);

/* For callbacks of libmicrohttpd, first thing: true when the connection is parked still and nothing is to be
 * done. */
bool client_still_waits(struct client *c);
void client_resume(struct client *c);

/* Keep the socket open for a while after the connection ends, so that its last bytes are not lost to a reset.
 */
void client_linger(struct client *c);

#endif
