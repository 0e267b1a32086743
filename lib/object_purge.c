/* object_purge.c: the part of object_store.h that purges. See object_store.c. */
#include "lib/object_store_internal.h"

#define PURGE_BUCKETS 512 /* that a purge of a prefix looks at in one go */

uint64_t object_store_now(struct object_store *s, const struct object_key *key)
{
    struct object_shard *sh = object_shard_of(s, object_group_hash(s, object_group(key)));
    return atomic_load_explicit(&sh->now, memory_order_acquire);
}

bool object_store_may_be_purged(struct object_store *s, const struct object_key *key, uint64_t since)
{
    uint64_t group = object_group_hash(s, object_group(key));
    struct object_shard *sh = object_shard_of(s, group);
    if (atomic_load_explicit(&sh->now, memory_order_acquire) == since)
        return false;
    pthread_mutex_lock(&sh->lock);
    uint64_t now = atomic_load_explicit(&sh->now, memory_order_relaxed);
    bool may = since < sh->barrier || now - since > OBJECT_PURGES;
    for (uint64_t n = since + 1; n <= now && !may; n++) {
        const struct purge_record *p = &sh->purges[n % OBJECT_PURGES];
        may = p->is_tag || p->hash == group;
    }
    pthread_mutex_unlock(&sh->lock);
    return may;
}

/* The shard's lock is held. */
static uint64_t record(struct object_shard *sh, struct purge_record p)
{
    uint64_t n = atomic_load_explicit(&sh->now, memory_order_relaxed) + 1;
    sh->purges[n % OBJECT_PURGES] = p;
    atomic_store_explicit(&sh->now, n, memory_order_release);
    return n;
}

static void purge_one(struct object_shard *sh, struct object *o, bool soft)
{
    if (soft)
        atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    else
        object_room_take_out(sh, o);
}

static size_t purge_group(struct object_store *s, struct slice group, bool soft)
{
    uint64_t hash = object_group_hash(s, group);
    struct object_shard *sh = object_shard_of(s, hash);
    size_t n = 0;
    pthread_mutex_lock(&sh->lock);
    record(sh, (struct purge_record){hash, false, soft});
    for (struct object *o = *object_group_chain_of(sh, hash), *next; o; o = next) {
        next = o->group_next;
        if (o->group_hash != hash || !slice_eq(object_group(&o->key), group))
            continue;
        n += !object_is_dead(o);
        purge_one(sh, o, soft);
    }
    pthread_mutex_unlock(&sh->lock);
    return n;
}

static size_t purge_tag(struct object_shard *sh, uint64_t hash, bool soft)
{
    size_t n = 0;
    pthread_mutex_lock(&sh->lock);
    uint64_t at = record(sh, (struct purge_record){hash, true, soft});
    struct object_tag *t = object_room_find_tag(sh, hash);
    if (t) {
        n = t->live;
        atomic_store_explicit(soft ? &t->stale_at : &t->dead_at, at, memory_order_relaxed);
        if (!soft)
            t->live = 0;
    }
    pthread_mutex_unlock(&sh->lock);
    return n;
}

/* Some of the groups at a time, with the lock given back in between. Who comes in behind the walk was begun
 * before the barrier and is refused, or after it and is new. */
static size_t purge_prefix(struct object_shard *sh, struct slice prefix, bool soft)
{
    size_t n = 0;
    pthread_mutex_lock(&sh->lock);
    uint64_t at = record(sh, (struct purge_record){0, true, soft});
    sh->barrier = at;
    for (size_t i = 0; i < sh->nchains; i++) {
        for (struct object *o = sh->groups[i], *next; o; o = next) {
            next = o->group_next;
            if (o->since >= at || !slice_starts(object_group(&o->key), prefix))
                continue;
            n += !object_is_dead(o);
            purge_one(sh, o, soft);
        }
        if (i % PURGE_BUCKETS == PURGE_BUCKETS - 1) {
            pthread_mutex_unlock(&sh->lock);
            pthread_mutex_lock(&sh->lock);
        }
    }
    pthread_mutex_unlock(&sh->lock);
    return n;
}

size_t object_store_purge(struct object_store *s, enum object_purge kind, struct slice what, bool soft)
{
    size_t n = 0;
    if (kind == OBJECT_GROUP)
        return purge_group(s, what, soft);
    for (size_t i = 0; i < s->nshards; i++) {
        if (kind == OBJECT_TAG)
            n += purge_tag(s->shards[i], object_group_hash(s, what), soft);
        else
            n += purge_prefix(s->shards[i], kind == OBJECT_ALL ? SLICE("") : what, soft);
    }
    return n;
}
