/*
 * fleet.h: the gateways that share Redis nodes, as one.
 *
 * A thread of its own, away from the workers, that keeps this gateway in touch with the others:
 *
 *  - it subscribes to the fleet's channel on every node, and passes on what others announce: objects that
 * were stored or purged, locks that were released, breakers that have opened;
 *  - it tells every node that this gateway is alive, and learns how many are;
 *  - it compares the list of nodes with what the others have, and says so loudly when they differ;
 *  - it carries out purges over all nodes and gateways.
 *
 * What is promised of purges. A purge is complete when every node has carried it out and every gateway that
 * listened there has said that it has dropped what it had in memory; or has had `trust` to do so in vain, for
 * by then it believes its memory no more. So: after a purge that was reported as complete, a gateway that
 * hears the nodes serves nothing older, and one that is cut off does so for `trust` at most: what it had in
 * memory, from when it last heard them on; what it has fetched since, from then on. A purge that a node did
 * not get is reported as partial; the node then begins empty when it comes back.
 *
 * How that is kept. An object in memory has a mark: of which node it is, of which session of this gateway
 * with that node, and when it was read. It is believed while the session lasts and was verified (by a PING
 * over the subscription), or the object was read, less than `trust` ago. A session ends with its connection:
 * then objects are believed no more before the node has said that their version is still the right one. What
 * was fetched while no node could be asked has a mark of its own, which ends when any node is there again.
 *
 *     uint64_t mark = fleet_mark(f, node, fleet_session(f, node), now_ns);    // the session when it was
 * asked for if (!fleet_believes(f, mark, now_ns)) ... ask the node
 *
 * Functions are for any thread unless they say otherwise, and never wait.
 */
#ifndef GATEWAY_FLEET_H
#define GATEWAY_FLEET_H

#include "gateway/conf_redis.h"
#include "gateway/redis_link.h"
#include "gateway/worker.h"
#include "lib/histogram.h"
#include "lib/object_store.h"

struct fleet;
struct worker;

#define FLEET_ID          16  /* characters of a gateway's id */
#define FLEET_BACKEND_MAX 400 /* bytes of a backend's name: breakers of longer ones are not shared */

struct fleet_setup {
    struct snapshot *snapshot;  /* its conf has a section redis; the fleet takes its own reference */
    struct object_store *store; /* what is purged in memory */
    /* Another gateway's breaker of BACKEND has opened; on the fleet's thread. NULL: that is of no interest.
     */
    void (*breaker_opened)(void *ctx, struct slice backend, uint64_t open_ms);
    void *ctx;
    struct log *log;
    unsigned nworkers;
};

/* The thread runs when this returns. NULL with err. */
MUST_USE struct fleet *fleet_new(const struct fleet_setup *setup, struct err *err);

/* The workers are there, and will be until fleet_stop. The control thread's. */
void fleet_set_workers(struct fleet *f, struct worker *const *workers, unsigned n);

/* Where node I is: a numeric address. The control thread's. */
void fleet_set_address(struct fleet *f, size_t i, const char *address);

/* End the thread; the others may go on calling, to no effect. Then fleet_free. NULL is allowed. */
void fleet_stop(struct fleet *f);
void fleet_free(struct fleet *f);

const struct conf_redis *fleet_conf(const struct fleet *f);
const char *fleet_id(const struct fleet *f);

/* Gateways that are alive, this one included: at least 1. The last number that was known while no node
 * answers. */
unsigned fleet_gateways(const struct fleet *f);

/* ---- what may be believed ---- */

/* Whether node I may not be used: nothing is heard of it. BAR is the fleet; for redis.h. */
bool fleet_bars(void *bar, size_t i);

/* The present session with NODE; REDIS_NONE: without any. */
uint32_t fleet_session(const struct fleet *f, size_t node);

/* For the note of an object. */
uint64_t fleet_mark(const struct fleet *f, size_t node, uint32_t session, uint64_t now_ns);
MUST_USE bool fleet_believes(const struct fleet *f, uint64_t mark, uint64_t now_ns);

/* ---- announcements ---- */

/*
 * What goes over the channel: a letter for the topic, the id of the sender, and the topic's own text. The
 * texts of FLEET_STORED and FLEET_RELEASED go with the scripts that store and release; B is filled, as far as
 * it reaches.
 */
enum fleet_topic {
    FLEET_STORED = 'S',   /* version (16 digits), length of the group (8), key */
    FLEET_RELEASED = 'R', /* the same without version: the fetch has ended without an object */
    FLEET_PURGE = 'P',    /* number (16), kind, soft, what */
    FLEET_BREAKER = 'B',  /* for how long it stays open (ms, 16 digits), name of the backend */
};

void fleet_announcement(const struct fleet *f, enum fleet_topic topic, const struct object_key *key,
                        uint64_t version, struct buf *b);
struct slice fleet_channel(const struct fleet *f);

/* A breaker of BACKEND has opened. Others hear it once from each node. */
void fleet_tell_breaker(struct fleet *f, struct slice backend, uint64_t open_ms);

/* ---- purges ---- */

struct fleet_purge_result {
    unsigned nodes, nodes_done; /* how many there are, and how many have carried it out */
    unsigned gateways_late;     /* that were told and did not say so in time */
    bool is_complete;
};

/* From malloc; freed by whoever DONE hands it to. */
struct fleet_purge {
    struct worker_call call;             /* the fleet's on its way in; then free for use, to send P on */
    void (*done)(struct fleet_purge *p); /* on the fleet's thread: takes P. NULL: nobody wants to know */
    void *ctx;
    struct mailbox *mailbox; /* the asker's own, as CTX: where P goes then */
    struct worker *worker;
    struct fleet_purge_result result;
    enum object_purge kind;
    bool soft;
    size_t len;
    char what[]; /* the group, tag or prefix */
};

/* Carry it out on all nodes and other gateways; the own memory is the caller's affair, and comes first. WHAT
 * is copied. False: memory is short, or the fleet has stopped; DONE is not called then. */
MUST_USE bool fleet_purge(struct fleet *f, const struct fleet_purge *want, struct slice what);

/* ---- what one can see ---- */

/* A worker's own: a command of node I was answered; what its link has done so far. */
void fleet_count_answer(struct fleet *f, size_t i, unsigned worker, uint64_t took_ns);
void fleet_count_link(struct fleet *f, size_t i, unsigned worker, const struct redis_link_stats *stats);

/* A request waits for the fetch of another gateway. */
void fleet_count_wait(struct fleet *f);

struct fleet_node_view {
    const char *name;
    double share; /* of the keys, 0 to 1, while all nodes are up */
    bool is_heard;
    uint64_t session;         /* how often it was heard anew */
    uint64_t verified_ago_ns; /* 0: never */

    /* over all workers */
    uint64_t sent, answered, late, refused, connects, writes;
    struct histogram_snapshot durations;
};

struct fleet_view {
    unsigned gateways;
    bool has_other_rings; /* a gateway has another list of nodes */
    uint64_t heard, purges, purges_partial, waits;
};

void fleet_view(const struct fleet *f, struct fleet_view *v);
void fleet_view_node(const struct fleet *f, size_t i, uint64_t now_ns, struct fleet_node_view *v);

#endif
