/*
 * exchange.h: a request, from its first line to its log line.
 *
 * An exchange belongs to one worker for its whole life. The front end (front.h) makes one when a request line
 * has come, feeds it the request, and asks for the reply; the engine here walks it through the steps of
 * path.h:
 *
 *     exchange_new -> exchange_run ... parked, woken, exchange_run ... -> reply is ready -> exchange_end
 *
 * A step that has to wait parks the exchange; whatever it waits for calls exchange_wake, and the front end
 * runs it again. Every ending, good or bad, goes through exchange_end: the steps' undo functions in reverse
 * order, then the record (log line and metrics), then the memory goes back to the pool.
 *
 * Worker's thread only.
 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "gateway/access.h"
#include "gateway/cache.h"
#include "gateway/concurrency.h"
#include "gateway/forward.h"
#include "gateway/limit.h"
#include "gateway/record.h"
#include "gateway/router.h"
#include "gateway/tracing.h"
#include "lib/arena.h"
#include "lib/http1.h"
#include "lib/uri.h"

struct worker;
struct client;
struct snapshot_use;
struct MHD_Response;

#define EXCHANGE_FIELDS      48           /* fields kept in place; more come from the arena */
#define EXCHANGE_ARENA_FIRST 3072         /* bytes of arena in place */
#define EXCHANGE_EXTRA       24           /* fields that steps may add to any reply */
#define EXCHANGE_ARENA_MAX   (256 * 1024) /* bytes of arena in all */

enum reply_body {
    REPLY_EMPTY,  /* no content, and no length to be told */
    REPLY_LENGTH, /* no content, but its length is told: HEAD, 304 */
    REPLY_BYTES,  /* all here */
    REPLY_STREAM, /* forward_read gives it */
};

#define LENGTH_UNKNOWN UINT64_MAX

/* What the client will get. */
struct reply {
    unsigned status;
    struct http_field *fields; /* in the arena; framing fields are the front end's own */
    size_t nfields, cap;
    enum reply_body body;
    struct slice bytes; /* REPLY_BYTES */
    uint64_t length;    /* REPLY_LENGTH, REPLY_STREAM: bytes, or LENGTH_UNKNOWN */
    bool ready;
};

struct exchange {
    struct worker *worker;
    struct client *client;
    struct snapshot_use *use; /* the configuration it began with; counted */
    size_t step;              /* next row of the path */
    bool parked;              /* waiting for exchange_wake */
    bool aborted;             /* no reply any more: cut the client's connection */
    bool is_orphan;           /* it goes on without a client; CLIENT is NULL */
    bool is_ripe;             /* an orphan that is to be looked at at the end of the turn */
    struct exchange *orphan_next, *orphan_prev;

    /* the request */
    struct slice target; /* raw, as it came */
    struct http_fields fields;
    enum http1_fault head_fault; /* what was found wrong with the head */
    struct http1_request head;   /* what it means: framing, host, ... */
    struct uri_target uri;
    struct slice path; /* in normal form */
    bool has_encoded_slash;
    struct slice authority; /* host and port as the client wrote them */
    struct slice host;      /* without port */
    struct ip peer_ip;      /* of the connection */
    bool peer_is_trusted;   /* it may speak for others */
    uint64_t body_in;       /* bytes of the request's body so far */
    bool is_preflight;      /* its route is that of the request to come; see cors.h */
    bool discard;           /* what is left of the body is read and dropped */

    struct access access;
    struct limit limit;
    struct concurrent concurrent;
    struct caching caching;
    struct forward forward;
    struct reply reply;
    size_t nextra;
    uint64_t retry_after_s;        /* to be told with a refusal; 0: the reason's own */
    struct MHD_Response *response; /* once it is being sent; the connection's */
    struct record record;
    struct tracing tracing;

    struct arena arena;

    /* not cleared for each request, for they are large: what says how much of them counts is set */
    struct err err;
    struct router_match match;
    struct http_field extra[EXCHANGE_EXTRA]; /* go with the reply, whoever makes it */
    struct http_cache_ask ask;               /* what it says to caches; where its route has one */
    struct http_field field_space[EXCHANGE_FIELDS];
    _Alignas(16) char arena_space[EXCHANGE_ARENA_FIRST];
};

/* NULL when the worker's bound is reached or memory is short. TARGET is copied. */
MUST_USE struct exchange *exchange_new(struct worker *w, struct client *c, struct slice target);

/* Walk on. Afterwards the exchange is parked, or its reply is ready, or it is aborted. */
void exchange_run(struct exchange *x);

/* What a parked exchange waited for has happened: let the front end run it in this turn of the loop. */
void exchange_wake(struct exchange *x);

/* End with an answer of our own for REASON. The cause is in x->err, if there is one. Sets the reply, or when
 * one is under way already, aborts. */
void exchange_fail(struct exchange *x, enum reason reason);

/* The client's part is over: COMPLETE when the whole reply went out. Frees the exchange, unless it has to go
 * on for the cache: then it becomes an orphan of its worker. */
void exchange_end(struct exchange *x, bool complete);

/* Go on with the orphans that were woken, and end those that are done. Every turn. */
void exchange_turn_orphans(struct worker *w);

/* End all of them. */
void exchange_end_orphans(struct worker *w);

/* Add a field to the reply. False when memory is short; then the exchange fails anyway. NAME and VALUE must
 * live as long as the exchange. */
bool reply_add(struct exchange *x, struct slice name, struct slice value);

/* Add a field to whatever reply there will be. NAME and VALUE must live as long as the exchange, and a NUL
 * must stand behind each. What does not fit is left out. */
void exchange_decorate(struct exchange *x, struct slice name, struct slice value);

/* The configuration, the route and the backend, once they are known (NULL before). */
const struct conf *exchange_conf(const struct exchange *x);
const struct conf_route *exchange_route(const struct exchange *x);

#endif
