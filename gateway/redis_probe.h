/*
 * redis_probe.h: a look at a Redis node: whether a gateway could use it, and what it says of itself.
 *
 *     struct redis_probe p;
 *     redis_probe(&conf->redis, i, &p);
 *     if (p.state != PROBE_OK) fprintf(stderr, "%s: %s\n", conf->redis.nodes[i].name, p.why);
 *
 * It connects as a gateway does, logs in, chooses the database, and asks: PING a few times, INFO, DBSIZE,
 * TIME and which gateways are at work. It writes nothing. It blocks, for PROBE_MS at most; for commands that
 * people run, not for workers.
 *
 * Whatever a node answers is taken for hostile: bounded, its kind checked, and made of visible ASCII
 * characters before it gets into a text here.
 *
 * Any thread; nothing is kept. The process has to ignore SIGPIPE.
 */
#ifndef GATEWAY_REDIS_PROBE_H
#define GATEWAY_REDIS_PROBE_H

#include "gateway/conf_redis.h"
#include "lib/slice.h"

#define PROBE_MS            2000 /* for all of it */
#define PROBE_PINGS         20
#define PROBE_UNKNOWN       UINT64_MAX /* of a number that the node has not told */
#define PROBE_STRANGERS_MAX 16

enum probe_state {
    PROBE_OK,
    PROBE_NO_ADDRESS,    /* its name does not resolve */
    PROBE_NO_CONNECTION, /* nobody takes it */
    PROBE_NO_TLS,        /* TLS fails: a certificate, or it speaks none */
    PROBE_LATE,          /* nothing comes in time */
    PROBE_NO_LOGIN,      /* it wants another user or password */
    PROBE_NO_DATABASE,   /* it has no such number */
    PROBE_LOADING,       /* it reads its data from disk */
    PROBE_REFUSED,       /* it answers PING with another error */
    PROBE_NO_REDIS,      /* what it says makes no sense */
};

/* A gateway that is at work with other nodes. */
struct probe_stranger {
    char gateway[64];
    char fingerprint[17];
};

struct redis_probe {
    enum probe_state state;
    char why[256];              /* PROBE_OK: empty */
    char address[128];          /* "10.0.0.1:6379", "unix:/run/redis.sock"; empty: none was found */
    uint32_t median_us, max_us; /* of PINGs */

    /* from INFO; empty or PROBE_UNKNOWN where it does not say */
    char info_error[128]; /* empty: there is one */
    char redis_version[32], valkey_version[32];
    char mode[16], role[16], policy[32];
    uint64_t used_memory, maxmemory; /* bytes; maxmemory 0: no bound */
    uint64_t evicted, clients;

    uint64_t keys;     /* in the database */
    bool has_clock;    /* ahead_us holds */
    int64_t ahead_us;  /* of this machine's clock */
    uint64_t gateways; /* that say they are at work */
    size_t nstrangers; /* of them, with other nodes; no more than are kept */
    struct probe_stranger strangers[PROBE_STRANGERS_MAX];
};

void redis_probe(const struct conf_redis *conf, size_t node, struct redis_probe *out);

/* Its name in a word: "ok", "no login". */
const char *probe_state_name(enum probe_state state);

/* Take what TEXT, an answer to INFO, says. */
void redis_probe_read_info(struct slice text, struct redis_probe *out);

#endif
