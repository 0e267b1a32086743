/*
 * cache.h: the response cache of a route.
 *
 * A step of the path, in front of the backend. What is stored and fresh is answered at once; what is stale is
 * asked for with its validators, or used as it is while it is fetched in the background; what is not there is
 * fetched, once for all who want it (flight.h). Requests that the cache is not for (another method, a body,
 * If-Match) go on to the backend; the success of one that changes things invalidates what is stored of it.
 *
 * The request that leads a flight asks the backend for the whole, without its client's own conditions, and
 * those are judged by what comes. When the backend cannot be asked, a stale answer may have to do.
 *
 * A leader whose client goes away while others wait goes on without it, and so does one that refreshes in the
 * background: see exchange_end.
 *
 * Worker's thread only. Rules: lib/http_cache.h.
 */
#ifndef GATEWAY_CACHE_H
#define GATEWAY_CACHE_H

#include "gateway/cache_status.h"
#include "gateway/flight.h"
#include "gateway/reason.h"
#include "lib/http1.h"
#include "lib/http_cache.h"
#include "lib/http_range.h"
#include "lib/object_store.h"

struct cache_share;
struct cached;
struct caching;
struct exchange;
struct purge_wait;
struct buf;

/* What all workers share of it. */
struct cache {
    struct object_store *store;
    struct flights *flights;
};

/* NULL with err. SIZE: bytes of memory for all that is stored. */
MUST_USE struct cache *cache_new(uint64_t size, unsigned nworkers, struct err *err);
void cache_free(struct cache *c);

/* The cache's part of an exchange. */
struct caching {
    bool is_begun;
    enum cache_status status;
    const char *forwarded; /* the word of RFC 9211 for why it was; NULL: it was not */
    const char *detail;    /* more words, or NULL */
    bool is_stored, is_collapsed;
    int64_t ttl_ms;      /* of a hit */
    uint64_t absent_len; /* bytes of the body of what HEAD is answered with, where that is elsewhere */

    struct object_key key;      /* without variant; empty: none was made */
    struct object_key full_key; /* with it, as far as it is known */
    struct object *object;      /* whose bytes the reply has */
    struct object *stale;       /* what is stored, but has to be asked for */
    struct object *head;        /* of the answer that is being stored */
    struct object *prefix;      /* the beginning of it, which is stored already; only the rest is asked for */
    struct object_key whole_key; /* is_part: of the whole */
    struct flight_reader reader;
    struct purge_wait *purge;  /* of the method PURGE */
    struct cache_share *share; /* with other gateways; in the arena, NULL until it is needed */
    unsigned rounds;           /* how often it has looked again because another's look has ended */
    bool owns_request;         /* has its own copy of what it needs of it */
    bool is_refused;           /* what is stored is not new enough for the request */
    bool fetches;              /* asks the backend for the cache */
    bool refreshes;            /* and not for its client, who has an answer */
    bool pumps;                /* its answer's body goes into the flight */
    bool reads;                /* its client's body comes from the flight */
    bool awaits_whole;         /* its client's range is made of the whole, when the flight has landed */
    bool is_shared;            /* others may have the answer */
    bool is_noted;             /* went alone because the key's answers were not kept */
    bool is_part;              /* a range is asked for, of which no whole is stored */
    struct object_body *body;  /* its memory, before the flight has it */
    int64_t now_ms;            /* read once for each step */
    int64_t asked_ms;          /* when the backend was */
    uint64_t since;            /* the same, for the purges of the store */

    struct cache_parts *parts; /* of a multipart reply that is being sent */
};

/* Fields of the client's request that the backend is not sent, and those that it is sent in their place. */
MUST_USE bool cache_owns(const struct exchange *x, struct slice name);
void cache_add(struct exchange *x, struct buf *b);

enum cache_head {
    CACHE_PASSES,    /* the answer is the client's, as it is */
    CACHE_DROPS,     /* nobody wants its body; the reply is there, if there is to be one */
    CACHE_ASKS_ANEW, /* it is none: ask again */
    CACHE_TAKES,     /* its body is to be pumped into the flight */
};

/* The head of the backend's answer has come. */
MUST_USE enum cache_head cache_take_head(struct exchange *x, const struct http1_response *answer);

/* CACHE_TAKES: BODY is all of it, and there is room for it; or it is to be pumped from now on. */
MUST_USE bool cache_has_room(const struct exchange *x, size_t len);
void cache_take_body(struct exchange *x, struct slice body);
void cache_pump(struct exchange *x);

/* The backend cannot be asked, or broke off. True: the client needs no other answer. */
MUST_USE bool cache_rescue(struct exchange *x, enum reason reason);

/* The request has failed for good. */
void cache_lost(struct exchange *x, enum reason reason);

/* An exchange that may outlive its client gets a copy of what it needs of the request, once. False: memory is
 * short. */
MUST_USE bool cache_own_request(struct exchange *x);

/* The exchange is needed although its client is not there any more. */
bool cache_goes_on(const struct exchange *x);

/* The client is gone, the exchange goes on. Then: whether it is needed no more. */
void cache_detach(struct exchange *x);
bool cache_is_over(const struct exchange *x);

/* The next bytes of a reply's body that comes from here (x->caching.reads or parts); as forward_read. */
MUST_USE ssize_t cache_read(struct exchange *x, char *p, size_t max);

/* Age, Cache-Status and X-Cache go with the reply. */
void cache_decorate(struct exchange *x);

#endif
