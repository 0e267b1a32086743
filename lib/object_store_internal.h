/*
 * object_store_internal.h: what the three parts of object_store.h share: object_store.c (find, put, the
 * whole), object_room.c (memory and what goes to make room) and object_purge.c. Nobody else includes it.
 */
#ifndef LIB_OBJECT_STORE_INTERNAL_H
#define LIB_OBJECT_STORE_INTERNAL_H

#include <pthread.h>

#include "lib/hash.h"
#include "lib/object_store.h"
#include "lib/region.h"

#define OBJECT_LOCKS      64   /* for the chains of keys */
#define OBJECT_PURGES     1024 /* that a shard remembers */
#define OBJECT_SHARDS_MAX 16

enum { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

struct chain_lock {
    _Alignas(64) pthread_mutex_t mutex;
};

struct object_tag {
    struct object_tag *next;
    uint64_t hash;
    size_t refs;               /* objects in the store that have it */
    size_t live;               /* of them, not dead by it */
    _Atomic uint64_t dead_at;  /* the last purge of it; older objects are dead */
    _Atomic uint64_t stale_at; /* the same, soft */
};

struct queue_of_objects {
    struct object *head, *tail; /* in at the head */
    size_t bytes, n;
};

/* That an object went from SMALL, not long ago. */
struct ghost {
    uint32_t print, at;
};

struct purge_record {
    uint64_t hash;
    bool is_tag, soft;
};

struct object_shard {
    pthread_mutex_t lock;
    struct region region;
    struct object **groups;
    struct object_tag **tags;
    struct ghost *ghosts;
    size_t nbuckets; /* of tags and of ghosts; a power of two, as */
    size_t nchains;  /* of keys and of groups */
    struct queue_of_objects queues[3];
    uint32_t ghost_clock;
    uint64_t stored, evicted, refused;
    struct purge_record purges[OBJECT_PURGES]; /* number n at n % OBJECT_PURGES */
    _Atomic uint64_t now;                      /* number of the last purge */
    uint64_t barrier;                          /* what was begun before this purge is not put */
    _Atomic(struct object *) dead;
    _Atomic(struct object_body *) dead_bodies;

    /* hits */
    struct object **chains;
    struct chain_lock locks[OBJECT_LOCKS];
};

struct object_store {
    size_t size;
    uint64_t secret;
    size_t nshards;
    struct object_shard *shards[OBJECT_SHARDS_MAX];
};

static inline uint64_t object_group_hash(const struct object_store *s, struct slice group)
{
    return hash_bytes(group.p, group.len, s->secret);
}

static inline uint64_t object_key_hash(const struct object_key *key, uint64_t group)
{
    return hash_bytes(key->text.p + key->group_len, key->text.len - key->group_len, group);
}

static inline struct slice object_group(const struct object_key *key)
{
    return (struct slice){key->text.p, key->group_len};
}

/* By the high bits; the tables go by the low ones. */
static inline struct object_shard *object_shard_of(const struct object_store *s, uint64_t group)
{
    return s->shards[(group >> 40) % s->nshards];
}

static inline struct chain_lock *object_lock_of(const struct object_shard *sh, uint64_t hash)
{
    return (struct chain_lock *)(uintptr_t)&sh->locks[hash % OBJECT_LOCKS];
}

static inline struct object **object_chain_of(const struct object_shard *sh, uint64_t hash)
{
    return &sh->chains[hash & (sh->nchains - 1)];
}

static inline struct object **object_group_chain_of(const struct object_shard *sh, uint64_t group)
{
    return &sh->groups[group & (sh->nchains - 1)];
}

/* By a purge of one of its tags. While it is linked, under one of its locks. */
static inline bool object_is_dead(const struct object *o)
{
    for (size_t i = 0; i < o->ntags; i++)
        if (o->since < atomic_load_explicit(&o->tags[i]->dead_at, memory_order_relaxed))
            return true;
    return false;
}

/* ---- object_room.c; the shard's lock is held, but for the first and object_room_fetch ---- */

/* SIZE bytes, for which others go if they have to; NULL: there is no room. */
MUST_USE void *object_room_take(struct object_shard *sh, size_t size);

/* Free what was given back by its last user. */
void object_room_bury(struct object_shard *sh);

/* The places that O is in, or will be put into, are fetched, for they are touched soon. */
void object_room_fetch(const struct object_shard *sh, const struct object *o);

/* O goes out of the store. */
void object_room_take_out(struct object_shard *sh, struct object *o);

/* O goes in, with a reference of the store's; IS_PROVEN: at once among those that were asked for again. */
void object_room_link(struct object_shard *sh, struct object *o, bool is_proven);

/* O has its tags. False: no memory for them. */
MUST_USE bool object_room_take_tags(struct object_shard *sh, struct object *o);

struct object_tag *object_room_find_tag(struct object_shard *sh, uint64_t hash);

#endif
