/*
 * worker.h: one thread per core, and all it owns.
 *
 * A worker is a libuv loop with a front end, a pool of backend connections, object pools, timers and a
 * mailbox. A request is born, served and logged on one worker. Others reach it by message only: a new
 * configuration, new addresses of a backend, drain, stop.
 *
 * What is in struct worker belongs to its thread, except the atomics and what says otherwise.
 */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include <pthread.h>
#include <uv.h>

#include "gateway/accesslog.h"
#include "gateway/front.h"
#include "gateway/logwriter.h"
#include "gateway/snapshot.h"
#include "gateway/tail.h"
#include "lib/actor.h"
#include "lib/pool.h"
#include "lib/random.h"
#include "lib/shedder.h"
#include "lib/wheel.h"

#define WORKER_TICK_MS 50
#define WORKER_SCRATCH (128 * 1024) /* bytes of text that a step may build at a time */

/* What the control thread gives a worker at birth. All of it outlives the worker. */
struct worker_setup {
    unsigned index;
    const struct listener *listeners;
    size_t nlisteners;
    struct snapshot *snapshot; /* the worker takes its own reference */
    struct endpoint_list *
        *lists; /* addresses of its backends, NULL where none is known; only read during the start */
    struct metrics *metrics;
    struct logins *passwords;
    struct concurrency *concurrency;
    struct cache *cache;
    struct fleet *fleet;          /* NULL: it shares nothing with other gateways */
    struct logwriter *access_log; /* NULL: off */
    struct tracer *tracer;        /* NULL: traces go nowhere */
    struct tail *tail;            /* who looks on; NULL: nobody ever does */
    struct log *log;
};

struct worker {
    struct worker_setup setup;
    pthread_t thread;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t busy; /* active while there is work that no event announces */
    uv_timer_t tick;
    uv_poll_t mail;
    struct mailbox *mailbox;
    struct wheel wheel;
    struct wheel soon;    /* deadlines to the millisecond; runs only while there are any */
    uv_timer_t soon_tick; /* active while it runs */
    struct front *front;
    struct upstream *upstream;
    struct redis *redis;             /* NULL: there is none */
    struct cache_sharing *sharing;   /* the same */
    struct limit_waits *limit_waits; /* for tokens of limits of all gateways; NULL before the first */
    struct pool exchanges;
    struct pool buffers;
    struct pool holds;
    struct exchange *crowd_first, *crowd_last; /* requests that wait for others of their client to end */
    struct exchange *orphans;                  /* requests that go on without a client */
    bool has_ripe;                             /* some of them are to be looked at */
    struct forward *marked;                    /* requests to be sent at the end of the turn */
    struct forward *queue_first, *queue_last;  /* requests before a bulkhead */
    struct password_cache *logins;             /* that were right; NULL before the first */
    struct random random;
    struct shedder shedder;
    struct tracing_tail trace_tail;
    uint64_t ticked_ns; /* the last tick */
    struct snapshot_use *current;
    struct accesslog format;
    struct logwriter_stream *log_stream;
    struct tail_stream *tail;
    _Atomic uint32_t in_flight; /* exchanges; written by the worker */
    bool draining;
    bool stopping;
    _Atomic bool is_empty;    /* drained: no connection is left */
    _Atomic uint64_t beat_ns; /* when the loop last turned */
    _Atomic uint64_t lag_ns;  /* how late the last tick was */
    _Atomic pid_t tid;        /* of its thread; 0 before it runs */
    char scratch[WORKER_SCRATCH];
};

enum worker_message_type { WORKER_SNAPSHOT, WORKER_ADDRESSES, WORKER_DRAIN, WORKER_STOP, WORKER_CALL };

/* Something for a worker to do, as the beginning of a message of one's own. */
struct worker_call {
    struct message base;                                     /* base.free: for one that is never run */
    void (*run)(struct worker *w, struct worker_call *call); /* on the worker's thread; takes CALL */
};

/* NULL with err. The thread runs when this returns. */
MUST_USE struct worker *worker_start(const struct worker_setup *setup, struct err *err);

/* Any thread may post. False when memory is short. */
bool worker_post_snapshot(struct worker *w, struct snapshot *s, struct endpoint_list *const *lists);
bool worker_post_addresses(struct worker *w, struct snapshot *s, size_t backend, struct endpoint_list *list);
bool worker_post_redis_address(struct worker *w, size_t node, const char *address);
void worker_post_filters(struct worker *w, struct tail_filters *filters); /* logged when it fails */
bool worker_post_drain(struct worker *w);

/* Takes CALL when true. False: the worker takes nothing any more. */
MUST_USE bool worker_post_call(struct worker *w, struct worker_call *call);

/* Cut what is left and end the thread; waits for it. */
void worker_stop(struct worker *w);

/* As wheel_set, met to the millisecond: for waits that are shorter than a tick of the other wheel. */
void worker_set_soon(struct worker *w, struct wheel_entry *e, uint64_t due_ns);

/* An empty buffer over the worker's scratch memory, good until the next one is asked for. */
struct buf worker_scratch(struct worker *w);

/* Add what W has to *G; any thread. */
void worker_count(const struct worker *w, struct metrics_gauges *g);

/* How late W's loop is now; any thread. A loop that does not turn is later with every moment. */
uint64_t worker_lag_ns(const struct worker *w, uint64_t now_ns);

/* A request is over: log line and metrics. */
void worker_record(struct worker *w, const struct record *r, const struct conf *conf);

#endif
