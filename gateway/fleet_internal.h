/*
 * fleet_internal.h: what the parts of fleet.h share: fleet.c (the thread and its nodes), fleet_news.c (what
 * is announced) and fleet_purge.c. Nobody else includes it.
 */
#ifndef GATEWAY_FLEET_INTERNAL_H
#define GATEWAY_FLEET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/fleet.h"
#include "gateway/log.h"
#include "gateway/redis.h"
#include "lib/buf.h"
#include "lib/random.h"
#include "lib/wheel.h"

#define FLEET_TEXT_MAX                                                                                       \
    (80 * 1024) /* bytes of an announcement: a URL (max_head: 64 KB) and what stands before it */
#define FLEET_ADDRESS 64

enum fleet_message { FLEET_MAIL_PURGE, FLEET_MAIL_ADDRESS, FLEET_MAIL_BREAKER };

/* A purge that is under way. */
struct fleet_task {
    struct fleet *fleet;
    struct fleet_task *next;
    struct fleet_purge *purge;
    uint64_t number;
    struct wheel_entry timer;
    unsigned asked, told, said; /* nodes that have not answered; gateways that were told, that have said so */
    struct fleet_ask *asks;     /* one for each node */
};

struct fleet_ask {
    struct redis_call call; /* first */
    struct fleet_task *task;
    size_t node;
    bool is_done, was_repeated;
};

/* A look at another node, or the emptying of the own one. */
struct fleet_look {
    struct redis_call call; /* first */
    struct fleet_node *node;
};

/* What a worker's link to a node has done, as it last said. */
struct fleet_counts {
    _Alignas(CACHE_LINE) _Atomic uint64_t sent;
    _Atomic uint64_t answered, late, refused, connects, writes;
};

struct fleet_node {
    struct fleet *fleet;
    size_t index;
    struct redis_node conf;
    struct redis_link *link; /* the subscription */
    struct redis_call beat;
    struct fleet_look looks[CONF_REDIS_NODES_MAX]; /* by node: has this one missed a purge? */
    size_t looking;
    bool has_missed; /* a purge, as far as is known here */
    double share;    /* of the keys, while all nodes are up */
    bool is_welcome; /* the subscription is there, and what it has missed was made good */
    unsigned gateways, others;

    /* for all threads */
    struct histogram *durations;
    struct fleet_counts *counts; /* by worker */
    _Atomic bool is_heard;
    _Atomic uint32_t session;
    _Atomic uint64_t verified_ns;
};

struct fleet {
    struct fleet_setup setup;
    const struct conf_redis *conf;
    pthread_t thread;
    bool is_running;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_poll_t mail;
    struct mailbox *mailbox;
    struct wheel wheel;
    struct random random;
    struct redis *redis;
    char id[FLEET_ID + 1];
    char channel[128], answers[160]; /* names of the channels for all, and for this gateway alone */
    struct slice channels[2];        /* the same */
    char fingerprint[17];
    struct wheel_entry beat_timer;
    struct fleet_task *tasks;
    uint64_t task_number;
    struct worker *const *_Atomic workers;
    unsigned nworkers;
    bool is_stopping, has_said_goodbye;
    bool has_warned;

    _Atomic unsigned gateways;
    _Atomic bool has_other_rings;
    _Atomic uint32_t session; /* without any node: grows when one is heard again */
    _Atomic uint64_t heard, purges, purges_partial, waits;
    size_t nnodes;
    struct fleet_node *nodes;
    char scratch[FLEET_TEXT_MAX];
};

/* ---- fleet_news.c ---- */

/* A message of the channel, or an answer to a purge, has come over the subscription to NODE. */
void fleet_news(struct fleet_node *node, struct slice channel, struct slice payload);

/* The parts of an announcement. False: it is none. */
struct fleet_parts {
    enum fleet_topic topic;
    struct slice sender, text;
};
MUST_USE bool fleet_parse(struct slice payload, struct fleet_parts *parts);

/* LEN hexadecimal digits. False: others. */
MUST_USE bool fleet_digits(struct slice *text, size_t len, uint64_t *value);

/* ---- fleet_purge.c ---- */

void fleet_begin_purge(struct fleet *f, struct fleet_purge *p);

/* No node gets it. */
void fleet_refuse_purge(struct fleet *f, struct fleet_purge *p);
void fleet_take_answer(struct fleet *f, uint64_t number);
void fleet_end_purges(struct fleet *f);

/* What another gateway has announced. */
void fleet_follow_purge(struct fleet_node *node, struct slice sender, struct slice text);

/* Whether NODE has missed a purge; it is welcome afterwards. */
void fleet_check_missed(struct fleet_node *node);

/* NODE may be used; or not, until it is welcome again. */
void fleet_welcome(struct fleet_node *node);
void fleet_part(struct fleet_node *node);

/* A key of the fleet: "PREFIX:NAME", in SPACE. */
struct slice fleet_key(const struct fleet *f, const char *name, char *space, size_t size);

#endif
