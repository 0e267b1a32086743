/*
 * cache_share.h: the part of the response cache that gateways share, in Redis.
 *
 * What is not in this gateway's memory, or may not be believed (fleet.h), is asked for from the node that
 * owns its URL. One script answers with the object, or gives out the lock of its key in the same round trip:
 * then this gateway fetches it for all, and the others wait until it has been announced. Who holds the lock
 * extends it while the fetch goes on; when its gateway dies, another one gets it when its time is over.
 * Whoever has to wait looks again by itself now and then, and goes alone after `lock_wait`.
 *
 *     if (!cache_share_ask(x, true)) ...                   // no node can be asked: go on without
 *     ... PARK; the exchange is woken
 *     switch (cache_share_take(x, &o)) ...
 *     cache_share_store(x, o);                             // or, without an object:
 *     cache_share_release(x);
 *
 * Bodies that are too large for one value are stored and read in pieces, a few at a time. Who reads one is as
 * who fetches it: it leads a flight, and all clients that want it read what has come.
 *
 * Redis that does not answer in time is as if it were not there.
 *
 * Worker's thread, but for cache_share_post_news.
 */
#ifndef GATEWAY_CACHE_SHARE_H
#define GATEWAY_CACHE_SHARE_H

#include "lib/check.h"
#include "lib/object_store.h"

struct cache_share;
struct cache_sharing;
struct exchange;
struct fleet;
struct worker;

/* What a worker needs for it. NULL: memory is short. */
MUST_USE struct cache_sharing *cache_sharing_new(struct worker *w);
void cache_sharing_free(struct cache_sharing *s);

/* What lies under NAME has changed: who waits for it on W looks again. Any thread. */
void cache_share_post_news(struct worker *w, struct slice key);

enum cache_share_answer {
    SHARE_PENDING, /* not there yet: PARK */
    SHARE_GONE,    /* no node has answered */
    SHARE_ABSENT,  /* it is not there */
    SHARE_FOUND,   /* here it is, fresh or not; it is in memory now, if there was room */
    SHARE_SAME,    /* the exchange's stale object is what is there */
    SHARE_PIECES,  /* it is there; O is without its body, which can be read: cache_share_read */
    SHARE_STREAMS, /* the body has begun to come: cache_share_stream */
};

/* Ask for what lies under the full key. LOCKS: and to be the one who fetches it if it is not fresh. False:
 * nobody can be asked. */
MUST_USE bool cache_share_ask(struct exchange *x, bool locks);

/* *O: a reference, but for PENDING, GONE and ABSENT. */
MUST_USE enum cache_share_answer cache_share_take(struct exchange *x, struct object **o);

/* After SHARE_PIECES: bytes of the body. */
uint64_t cache_share_length(const struct exchange *x);

/* After SHARE_PIECES: read the body. STREAMS: X leads a flight and wants to stream; the answer is STREAMS
 * then, as soon as the first of it is there. Otherwise, or when it comes at once, FOUND. False: it cannot be
 * asked for. */
MUST_USE bool cache_share_read(struct exchange *x, bool streams);

/* After SHARE_STREAMS: into the flight with it, which lands when all of it is there. */
void cache_share_stream(struct exchange *x);

/* The flight's body is on its way from Redis. */
bool cache_share_is_reading(const struct exchange *x);

bool cache_share_is_pending(const struct exchange *x);

/* For what, in a word or two. */
const char *cache_share_wait_name(const struct exchange *x);

/* It was asked for, whatever the answer was. */
bool cache_share_was_asked(const struct exchange *x);

/* The fetch is X's; it is another gateway's. */
bool cache_share_is_granted(const struct exchange *x);
bool cache_share_is_busy(const struct exchange *x);

/* Wait until there is news of it, and ask again then. False: it has waited for long enough. */
MUST_USE bool cache_share_wait(struct exchange *x);

/* O was stored in memory: into Redis with it, if X has fetched it for all, and tell the others. */
void cache_share_store(struct exchange *x, struct object *o);

/* The fetch has ended, and there is nothing to store. */
void cache_share_release(struct exchange *x);

/* No more to do with it. */
void cache_share_end(struct exchange *x);

/* ---- what may be believed ---- */

/* O is about to be put into memory: from now on it counts as read from where it was asked for. */
void cache_share_mark(struct exchange *x, struct object *o);

/* Whether O, from memory, may be used without asking. */
MUST_USE bool cache_share_believes(const struct exchange *x, const struct object *o);

#endif
