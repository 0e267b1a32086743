/*
 * conf_redis.h: the part of conf.h about the Redis nodes that gateways share. Included by conf.h; its
 * conventions hold.
 */
#ifndef GATEWAY_CONF_REDIS_H
#define GATEWAY_CONF_REDIS_H

#include "gateway/conf_protect.h"

#define CONF_REDIS_NODES_MAX 64

/* A Redis or Valkey server. */
struct conf_redis_node {
    struct conf_where where;
    const char
        *name; /* as written: "redis-1:6379", "[::1]:6379", "unix:/run/redis.sock"; its place on the ring */
    const char *host;      /* name or numeric address without brackets; NULL for a unix socket */
    uint16_t port;         /* 6379 when none is written; 0 for a unix socket */
    const char *unix_path; /* NULL for TCP */
    unsigned weight;       /* 1..1000, default 1 */
};

struct conf_redis_tls {
    bool enabled;            /* the section is there */
    bool verify;             /* check the chain and the name; default yes */
    const char *ca_file;     /* PEM; NULL: the system's */
    const char *cert_file;   /* client certificate, PEM; NULL: none */
    const char *key_file;    /* its key */
    const char *server_name; /* SNI and name to verify; NULL: the node's host */
};

struct conf_redis {
    bool enabled; /* the section is there */
    struct conf_where where;
    struct conf_redis_node *nodes; /* those of the list `nodes`, then the sections `node`; names differ */
    size_t nnodes;                 /* at least 1 */
    const char *username;          /* NULL: the default user */
    const char *password;          /* NULL: no AUTH */
    uint32_t database;             /* default 0 */
    const char *prefix;            /* of all keys and channels; default "tollgate" */
    uint32_t connect_ms;           /* default 1 s */
    uint32_t command_ms;           /* default 50 ms */
    uint32_t trust_ms;     /* a gateway that hears nothing of a node uses what it has in memory for so long;
                              default 3 s */
    uint32_t lock_ms;      /* a holder that has died is replaced after this; default 3 s */
    uint32_t lock_wait_ms; /* who waits for another gateway's fetch goes alone after this; default 30 s */
    struct conf_redis_tls tls;
};

/* What gateways have to agree on to find each other's keys: the names and weights of the nodes, in any order,
 * and the database. The same on every machine. */
uint64_t conf_redis_fingerprint(const struct conf_redis *r);

/* Whether a gateway that runs with A would do the same with B. */
bool conf_redis_is_same(const struct conf_redis *a, const struct conf_redis *b);

#endif
