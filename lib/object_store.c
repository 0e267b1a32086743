/*
 * object_store.c: see object_store.h.
 *
 * The store is cut into shards by the hash of the group. A shard has a region, a lock, and under that lock:
 * two queues of objects (SMALL for newcomers, MAIN for those that were asked for again or were remembered by
 * the ghosts), a table of groups, a table of tags, and a record of the last purges. The table of keys alone
 * has locks of its own, one for some of its chains, because hits go through it: they are held for a walk
 * along a chain, and by writers while a pointer changes.
 *
 * Order of locks: the shard's, then a chain's.
 *
 * The last reference to an object that is no longer in the store may be given back by a hit. To take no lock
 * then, it goes on a stack, and is buried by the next one who wants memory.
 *
 * There are several chains for each object that a shard is likely to hold, for whatever stands in a chain
 * before what is looked for is far away, and read only to be passed over.
 *
 * A purge of a tag leaves objects where they are: their SINCE tells that they are dead. A purge also has to
 * stop what is on its way into the store: the last purges of groups and tags are kept in a ring, and whoever
 * is older than the ring, or than the last purge of a prefix or of everything, is refused.
 */
#include "lib/object_store.h"

#include <stdlib.h>

#include "lib/object_store_internal.h"

#define SHARD_SIZE ((size_t)16 << 20) /* bytes that a shard has at least, when there are several */
#define SIZE_MIN   ((size_t)256 << 10)
#define PER_BUCKET 2048 /* bytes of the shard for each place of the tables of tags and ghosts */
#define PER_CHAIN  512  /* the same for keys and groups */
#define BODY_PART  4    /* of a shard is the largest body */
#define USES_MAX   3

/* ---- objects and bodies ---- */

struct object_body *object_body_new(struct object_store *s, const struct object_key *key, size_t cap)
{
    if (cap > object_store_max_body(s))
        return NULL;
    struct object_shard *sh = object_shard_of(s, object_group_hash(s, object_group(key)));
    struct object_body *b = object_room_take(sh, sizeof(*b) + cap);
    if (!b)
        return NULL;
    b->shard = sh;
    b->cap = cap;
    b->dead_next = NULL;
    atomic_init(&b->refs, 1);
    return b;
}

void object_body_shrink(struct object_body *b, size_t len)
{
    struct object_shard *sh = b->shard;
    CHECK(len <= b->cap);
    pthread_mutex_lock(&sh->lock);
    region_shrink(&sh->region, b, sizeof(*b) + len);
    b->cap = len;
    pthread_mutex_unlock(&sh->lock);
}

static size_t aligned(size_t n)
{
    return (n + 15) / 16 * 16;
}

struct object *object_new(struct object_store *s, const struct object_init *init)
{
    uint64_t group = object_group_hash(s, object_group(&init->key));
    struct object_shard *sh = object_shard_of(s, group);
    CHECK(init->ntags <= OBJECT_TAGS_MAX);
    size_t head = aligned(sizeof(struct object)), meta = aligned(init->meta_len);
    size_t tags = aligned(init->ntags * (sizeof(struct object_tag *) + sizeof(uint64_t)));
    char *p = object_room_take(sh, head + meta + tags + init->key.text.len);
    if (!p)
        return NULL;
    struct object *o = (struct object *)(void *)p;
    char *text = p + head + meta + tags;
    memcpy(text, init->key.text.p, init->key.text.len);
    *o = (struct object){
        .key = {{text, init->key.text.len}, init->key.group_len},
        .meta = p + head,
        .meta_len = init->meta_len,
        .body = init->body ? object_body_get(init->body) : NULL,
        .hash = object_key_hash(&init->key, group),
        .group_hash = group,
        .since = init->since,
        .shard = sh,
        .ntags = init->ntags,
        .tags = (struct object_tag **)(void *)(p + head + meta),
        .tag_hashes = (uint64_t *)(void *)(p + head + meta + init->ntags * sizeof(struct object_tag *)),
    };
    atomic_init(&o->refs, 1);
    object_room_fetch(sh, o); /* most are put in soon */
    for (size_t i = 0; i < init->ntags; i++)
        o->tag_hashes[i] = object_group_hash(s, init->tags[i]);
    o->bytes = region_size(o) + (o->body ? region_size(o->body) : 0);
    return o;
}

/* ---- finding ---- */

static bool is_same(const struct object *o, uint64_t hash, const struct object_key *key)
{
    return o->hash == hash && o->key.group_len == key->group_len && slice_eq(o->key.text, key->text);
}

static void count_use(struct object *o)
{
    uint8_t uses = atomic_load_explicit(&o->uses, memory_order_relaxed);
    if (uses < USES_MAX)
        atomic_store_explicit(&o->uses, (uint8_t)(uses + 1), memory_order_relaxed);
}

static bool is_stale_by_purge(const struct object *o)
{
    for (size_t i = 0; i < o->ntags; i++)
        if (o->since < atomic_load_explicit(&o->tags[i]->stale_at, memory_order_relaxed))
            return true;
    return false;
}

struct object *object_store_find(struct object_store *s, const struct object_key *key)
{
    uint64_t group = object_group_hash(s, object_group(key)), hash = object_key_hash(key, group);
    struct object_shard *sh = object_shard_of(s, group);
    struct chain_lock *l = object_lock_of(sh, hash);
    pthread_mutex_lock(&l->mutex);
    struct object *o = *object_chain_of(sh, hash);
    while (o && !is_same(o, hash, key))
        o = o->chain_next;
    if (o && object_is_dead(o))
        o = NULL;
    if (o) {
        object_get(o);
        if (is_stale_by_purge(o))
            atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&l->mutex);
    if (o)
        count_use(o);
    return o;
}

/* ---- putting ---- */

/* Whether a purge since O was begun forbids it. SOFT purges make it stale instead. */
static bool was_purged(struct object_shard *sh, struct object *o)
{
    uint64_t now = atomic_load_explicit(&sh->now, memory_order_relaxed);
    if (o->since < sh->barrier || now - o->since > OBJECT_PURGES)
        return true;
    for (uint64_t n = o->since + 1; n <= now; n++) {
        const struct purge_record *p = &sh->purges[n % OBJECT_PURGES];
        bool is_meant = !p->is_tag && p->hash == o->group_hash;
        for (size_t i = 0; i < o->ntags && p->is_tag && !is_meant; i++)
            is_meant = p->hash == o->tag_hashes[i];
        if (is_meant && !p->soft)
            return true;
        if (is_meant)
            atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    }
    return false;
}

static struct object *find_linked(struct object_shard *sh, const struct object *like)
{
    struct object *o = *object_chain_of(sh, like->hash);
    while (o && !is_same(o, like->hash, &like->key))
        o = o->chain_next;
    return o;
}

bool object_store_put(struct object_store *s, struct object *o)
{
    struct object_shard *sh = o->shard;
    (void)s;
    pthread_mutex_lock(&sh->lock);
    /* What is in by now has seen all purges so far. */
    bool ok = !was_purged(sh, o);
    if (ok) {
        o->since = atomic_load_explicit(&sh->now, memory_order_relaxed);
        ok = object_room_take_tags(sh, o);
    }
    if (ok) {
        struct object *old = find_linked(sh, o);
        bool was_in_main = old && old->queue == QUEUE_MAIN;
        if (old)
            object_room_take_out(sh, old);
        object_room_link(sh, o, was_in_main);
        sh->stored++;
    }
    pthread_mutex_unlock(&sh->lock);
    return ok;
}

void object_store_drop(struct object_store *s, struct object *o)
{
    struct object_shard *sh = o->shard;
    (void)s;
    pthread_mutex_lock(&sh->lock);
    if (o->queue != QUEUE_NONE)
        object_room_take_out(sh, o);
    pthread_mutex_unlock(&sh->lock);
}

/* ---- the whole ---- */

static size_t table_bytes(const struct object_shard *sh)
{
    return sh->nchains * 2 * sizeof(struct object *) +
           sh->nbuckets * (sizeof(struct object_tag *) + sizeof(struct ghost));
}

/* A power of two. */
static size_t places_for(size_t size, size_t each)
{
    size_t n = 64;
    while (n * each < size)
        n *= 2;
    return n;
}

static void shard_free(struct object_shard *sh)
{
    free(sh->groups);
    free(sh->tags);
    free(sh->ghosts);
    free(sh->chains);
    free(sh);
}

static struct object_shard *shard_new(size_t size)
{
    struct object_shard *sh = aligned_alloc(64, aligned(sizeof(*sh) + 63) / 64 * 64);
    if (!sh)
        return NULL;
    memset(sh, 0, sizeof(*sh));
    sh->nbuckets = places_for(size, PER_BUCKET);
    sh->nchains = places_for(size, PER_CHAIN);
    sh->groups = calloc(sh->nchains, sizeof(*sh->groups));
    sh->tags = calloc(sh->nbuckets, sizeof(*sh->tags));
    sh->ghosts = calloc(sh->nbuckets, sizeof(*sh->ghosts));
    sh->chains = calloc(sh->nchains, sizeof(*sh->chains));
    size_t tables = table_bytes(sh) + sizeof(*sh);
    if (!sh->groups || !sh->tags || !sh->ghosts || !sh->chains || tables >= size ||
        !region_init(&sh->region, size - tables)) {
        shard_free(sh);
        return NULL;
    }
    pthread_mutex_init(&sh->lock, NULL);
    for (size_t i = 0; i < OBJECT_LOCKS; i++)
        pthread_mutex_init(&sh->locks[i].mutex, NULL);
    return sh;
}

struct object_store *object_store_new(const struct object_store_setup *setup, struct err *err)
{
    struct object_store *s = calloc(1, sizeof(*s));
    size_t size = setup->size < SIZE_MIN ? SIZE_MIN : setup->size, n = size / SHARD_SIZE;
    if (!s) {
        err_set(err, ERR_SELF, "no memory for the store");
        return NULL;
    }
    s->size = size;
    s->secret = setup->secret;
    n = n < 1 ? 1 : n > OBJECT_SHARDS_MAX ? OBJECT_SHARDS_MAX : n;
    while (s->nshards < n) {
        if (!(s->shards[s->nshards] = shard_new(size / n))) {
            err_set(err, ERR_SELF, "no memory for a store of %zu bytes", size);
            object_store_free(s);
            return NULL;
        }
        s->nshards++;
    }
    return s;
}

void object_store_free(struct object_store *s)
{
    for (size_t i = 0; s && i < s->nshards; i++) {
        region_fini(&s->shards[i]->region);
        shard_free(s->shards[i]);
    }
    free(s);
}

size_t object_store_max_body(const struct object_store *s)
{
    return s->shards[0]->region.size / BODY_PART;
}

void object_store_stats(struct object_store *s, struct object_store_stats *out)
{
    *out = (struct object_store_stats){.size = s->size};
    for (size_t i = 0; i < s->nshards; i++) {
        struct object_shard *sh = s->shards[i];
        pthread_mutex_lock(&sh->lock);
        object_room_bury(sh);
        out->used += sh->region.used + (s->size / s->nshards - sh->region.size);
        out->objects += sh->queues[QUEUE_SMALL].n + sh->queues[QUEUE_MAIN].n;
        out->stored += sh->stored;
        out->evicted += sh->evicted;
        out->refused += sh->refused;
        pthread_mutex_unlock(&sh->lock);
    }
}
