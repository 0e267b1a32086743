/*
 * object_store.h: objects in a fixed amount of memory, found by key, shared by threads.
 *
 *     struct object_store *s = object_store_new(&(struct object_store_setup){.size = 64 << 20}, &err);
 *     struct object_key key = {SLICE("http://h/a\nvariant"), 10};
 *     struct object_body *body = object_body_new(s, &key, body_len);      // NULL: no room
 *     memcpy(body->bytes, ...);
 *     struct object *o = object_new(s, &(struct object_init){.key = key, .body = body, .meta_len = n});
 *     memcpy(o->meta, ...);
 *     object_store_put(s, o);
 *     object_put(o);
 *     ...
 *     if ((o = object_store_find(s, &key))) { ...; object_put(o); }
 *
 * An object is a key, some bytes about it (meta) and a body. It does not change any more once it was put;
 * whoever found one holds a reference and may use it for as long as it likes, whatever becomes of it in the
 * store. A body has references of its own, so that two versions of what is known about it share it.
 *
 * Memory: SIZE bounds all there is, tables included, by the byte (region.h). To make room, what is asked for
 * least goes: S3-FIFO, which keeps what is asked for once out of the way of what is asked for often. On Zipf
 * traces with scans it hit 5 to 9 of 100 requests more than LRU, 1 more than SIEVE, and 1 less than W-TinyLFU
 * at most, and a hit moves nothing: it raises a counter of two bits.
 *
 * Purging. The first part of a key names its group (a URL, whose variants have longer keys), and an object
 * may have tags. Groups and tags, prefixes of groups and everything can be purged: hard, objects are gone;
 * soft, object_is_stale says so of them. A tag is purged in constant time; objects that go by it keep their
 * memory until their turn to be evicted comes. What was begun before a purge (SINCE) is not
 * put after it.
 *
 * Threads: any, at any time. object_store_find and object_put take no lock that is held for longer than it
 * takes to go along a chain of the hash table; object_store_put, object_new and object_body_new take one that
 * is held while room is made.
 *
 * Source: Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction (SOSP 2023).
 */
#ifndef LIB_OBJECT_STORE_H
#define LIB_OBJECT_STORE_H

#include <stdatomic.h>

#include "lib/check.h"
#include "lib/err.h"
#include "lib/slice.h"

#define OBJECT_TAGS_MAX 64

struct object_store;
struct object_shard;
struct object_tag;

struct object_store_setup {
    size_t size;     /* bytes of memory for all */
    uint64_t secret; /* keys are hashed with it */
};

struct object_key {
    struct slice text;
    size_t group_len; /* of its first bytes, which are the group */
};

struct object_body {
    _Atomic uint32_t refs;
    struct object_shard *shard;
    struct object_body *dead_next;
    size_t cap; /* bytes of it */
    char bytes[];
};

struct object {
    struct object_key key;
    void *meta; /* aligned for any type */
    size_t meta_len;
    struct object_body *body; /* NULL: none */

    /* the store's own */
    _Atomic uint32_t refs;
    _Atomic uint8_t uses;
    _Atomic bool is_stale;
    _Atomic uint64_t note;
    uint8_t queue;
    uint64_t hash, group_hash;
    uint64_t since;
    struct object_shard *shard;
    struct object *chain_next, *group_next, *group_prev, *next, *prev, *dead_next;
    size_t bytes;
    size_t ntags;
    struct object_tag **tags;
    uint64_t *tag_hashes;
};

struct object_init {
    struct object_key key;    /* copied */
    size_t meta_len;          /* bytes; the caller fills them in before the object is put */
    struct object_body *body; /* or NULL; takes a reference of its own */
    const struct slice *tags; /* not empty, no one twice */
    size_t ntags;             /* at most OBJECT_TAGS_MAX */
    uint64_t since;           /* what object_store_now gave before the object was asked for */
};

/* NULL with err. */
MUST_USE struct object_store *object_store_new(const struct object_store_setup *setup, struct err *err);

/* No object may be held any more. */
void object_store_free(struct object_store *s);

/* The largest body that there may be room for. */
size_t object_store_max_body(const struct object_store *s);

/* A point in time, for purges of what KEY belongs to. */
uint64_t object_store_now(struct object_store *s, const struct object_key *key);

/* Whether what was begun then may be purged by now: by its group, by a tag that it may have, or with all. */
MUST_USE bool object_store_may_be_purged(struct object_store *s, const struct object_key *key,
                                         uint64_t since);

/* CAP bytes, to be filled by the caller; its reference is the caller's. NULL: no room. */
MUST_USE struct object_body *object_body_new(struct object_store *s, const struct object_key *key,
                                             size_t cap);
struct object_body *object_body_get(struct object_body *b);
void object_body_put(struct object_body *b);

/* Give back what is behind the first LEN bytes. Others may read those meanwhile, but not CAP. */
void object_body_shrink(struct object_body *b, size_t len);

/* Not in the store yet; its reference is the caller's. NULL: no room. */
MUST_USE struct object *object_new(struct object_store *s, const struct object_init *init);
struct object *object_get(struct object *o);
void object_put(struct object *o);

/* In the place of what has the same key. False: it was purged since it was begun, and is not in. */
bool object_store_put(struct object_store *s, struct object *o);

/* A reference; NULL: not there. */
MUST_USE struct object *object_store_find(struct object_store *s, const struct object_key *key);

/* Take O out, if it is in. */
void object_store_drop(struct object_store *s, struct object *o);

/* Whether it was purged softly. */
static inline bool object_is_stale(const struct object *o)
{
    return atomic_load_explicit(&o->is_stale, memory_order_relaxed);
}

/* A number of the user's, 0 at first, which may change at any time. */
static inline uint64_t object_note(const struct object *o)
{
    return atomic_load_explicit(&o->note, memory_order_relaxed);
}

static inline void object_set_note(struct object *o, uint64_t note)
{
    atomic_store_explicit(&o->note, note, memory_order_relaxed);
}

enum object_purge { OBJECT_GROUP, OBJECT_TAG, OBJECT_PREFIX, OBJECT_ALL };

/* How many objects are gone, or stale when SOFT. WHAT: the whole group, the tag, or the beginning of groups.
 * OBJECT_PREFIX and OBJECT_ALL take long, without holding others up for long; the others are quick, but for
 * a group with very many members. */
size_t object_store_purge(struct object_store *s, enum object_purge kind, struct slice what, bool soft);

struct object_store_stats {
    size_t size, used;                          /* bytes */
    uint64_t objects, stored, evicted, refused; /* refused: there was no room */
};

void object_store_stats(struct object_store *s, struct object_store_stats *out);

#endif
