/*
 * endpoint.h: one address that requests can be sent to, and lists of them.
 *
 * A server of the conf file is a name; the addresses it resolves to are endpoints, and each is balanced, left
 * out and kept connected to on its own. Endpoints outlive reloads and resolutions: the same server of the
 * same backend with the same address, TLS settings and rules of fitness is the same object, so its
 * connections and its state carry over. The registry that makes this so belongs to the control thread.
 *
 * Threads: endpoint_find and the registry are the control thread's; endpoint_get/put and the atomics are
 * anybody's; slots[w] is worker w's alone.
 */
#ifndef GATEWAY_ENDPOINT_H
#define GATEWAY_ENDPOINT_H

#include <stdatomic.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "gateway/conf.h"
#include "lib/ejection.h"

/* What one worker keeps about an endpoint: its connection pool (see upstream.h). Apart by cache lines. */
struct endpoint_slot {
    _Alignas(
        CACHE_LINE) void *pool; /* struct upstream_pool of that worker; NULL until its first connection */
};

/* Which servers of one backend are fit to be asked (lib/ejection.h): shared by all its endpoints. */
struct fitness {
    struct ejection_pool pool;
    struct ejection_policy policy;
    char *backend;        /* name; NULL: of no backend */
    unsigned endpoints;   /* that refer to it; the control thread's */
    struct fitness *next; /* in the registry */
};

struct endpoint {
    struct ejection_server fit;
    struct fitness *fitness;
    _Atomic uint32_t refs;
    _Atomic uint32_t
        in_flight; /* requests on it now, over all workers; kept where the balance or a bound asks */
    _Atomic uint64_t down_until_ns; /* left out until then (monotonic); 0: in use */
    _Atomic bool retired;           /* no backend has it any more: keep no connection to it */
    struct {
        unsigned weight; /* 0: as configured */
        bool is_drained; /* gets no new requests */
    } by_hand;           /* what an operator has set; the control thread's */
    unsigned listed;     /* published lists that hold it; the control thread's */

    /* fixed at birth */
    char text[INET6_ADDRSTRLEN + 24]; /* "10.0.0.3:9000", "[::1]:80", "unix:/run/app.sock" (cut when long) */
    char *address;                    /* numeric address; NULL for a unix socket */
    uint16_t port;
    char *unix_path;  /* NULL for TCP */
    char *host;       /* the server's name as configured: for SNI, verification and UPSTREAM_HOST_SERVER */
    char *host_field; /* "users-1:9000": the Host field for UPSTREAM_HOST_SERVER; no port when it is the
                         scheme's own */
    bool tls;
    struct conf_tls tls_conf; /* with own copies of its strings */
    struct endpoint_registry *registry;
    struct endpoint *next; /* in the registry */
    unsigned nslots;
    struct endpoint_slot slots[];
};

struct endpoint_registry;

MUST_USE struct endpoint_registry *endpoint_registry_new(unsigned nworkers);

/* Call after the workers have ended and every reference was put: that one is left is a fault of ours (CHECK).
 */
void endpoint_registry_free(struct endpoint_registry *reg);

/* The endpoint of SERVER at ADDRESS (numeric; NULL for a unix socket), made when it is new. Gives a
 * reference; NULL when memory is short. */
MUST_USE struct endpoint *endpoint_find(struct endpoint_registry *reg, const struct conf_server *server,
                                        const struct conf_tls *tls, const char *address);

/* Another reference, for somebody who holds one. */
struct endpoint *endpoint_get(struct endpoint *e);

/* Any thread may put; the memory of an endpoint without references is freed by the control thread's next
 * sweep, and until then endpoint_find may revive it. */
void endpoint_put(struct endpoint *e);
void endpoint_sweep(struct endpoint_registry *reg);

/* The backend has N endpoints now; E is one of them. The control thread's. */
void endpoint_set_pool_size(struct endpoint *e, size_t n);

/* An immutable list: all addresses of all servers of one backend. Counted; each entry holds a reference. */
struct endpoint_list {
    _Atomic uint32_t refs;
    size_t n;
    struct {
        struct endpoint *endpoint;
        unsigned weight;     /* by hand, or configured */
        unsigned configured; /* weight */
        bool is_backup;
        bool is_drained;
    } at[];
};

/* LIST as it has to be after changes of by_hand; NULL when memory is short. The control thread's. */
MUST_USE struct endpoint_list *endpoint_list_renew(const struct endpoint_list *l);

struct endpoint_list *endpoint_list_get(struct endpoint_list *l);
void endpoint_list_put(struct endpoint_list *l);

#endif
