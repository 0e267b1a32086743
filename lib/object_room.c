/*
 * object_room.c: the part of object_store.h that keeps the memory: what is given back, the queues, the tags,
 * and what goes to make room. See object_store.c.
 */
#include "lib/object_store_internal.h"

#define SMALL_PART 10 /* of the memory is for newcomers */

/* ---- memory ---- */

void object_room_bury(struct object_shard *sh)
{
    struct object *o = atomic_exchange_explicit(&sh->dead, NULL, memory_order_acquire);
    while (o) {
        struct object *next = o->dead_next;
        region_release(&sh->region, o);
        o = next;
    }
    struct object_body *b = atomic_exchange_explicit(&sh->dead_bodies, NULL, memory_order_acquire);
    while (b) {
        struct object_body *next = b->dead_next;
        region_release(&sh->region, b);
        b = next;
    }
}

struct object_body *object_body_get(struct object_body *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

/* The stacks are only ever emptied as a whole, so that a pushed pointer cannot be mistaken for another. */
void object_body_put(struct object_body *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct object_shard *sh = b->shard;
    b->dead_next = atomic_load_explicit(&sh->dead_bodies, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&sh->dead_bodies, &b->dead_next, b, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

struct object *object_get(struct object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void object_put(struct object *o)
{
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct object_shard *sh = o->shard;
    object_body_put(o->body);
    o->dead_next = atomic_load_explicit(&sh->dead, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&sh->dead, &o->dead_next, o, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

/* ---- queues ---- */

static void enqueue(struct object_shard *sh, struct object *o, int queue)
{
    struct queue_of_objects *q = &sh->queues[queue];
    o->queue = (uint8_t)queue;
    o->prev = NULL;
    o->next = q->head;
    if (q->head)
        q->head->prev = o;
    else
        q->tail = o;
    q->head = o;
    q->bytes += o->bytes;
    q->n++;
}

static void dequeue(struct object_shard *sh, struct object *o)
{
    struct queue_of_objects *q = &sh->queues[o->queue];
    if (o->prev)
        o->prev->next = o->next;
    else
        q->head = o->next;
    if (o->next)
        o->next->prev = o->prev;
    else
        q->tail = o->prev;
    q->bytes -= o->bytes;
    q->n--;
    o->queue = QUEUE_NONE;
}

static struct ghost *ghost_of(const struct object_shard *sh, const struct object *o)
{
    return &sh->ghosts[(o->hash >> 8) % sh->nbuckets];
}

static void remember(struct object_shard *sh, const struct object *o)
{
    *ghost_of(sh, o) = (struct ghost){(uint32_t)(o->hash >> 32), ++sh->ghost_clock};
}

/* Whether it went not longer ago than as many others as MAIN holds. */
static bool is_remembered(const struct object_shard *sh, const struct object *o)
{
    const struct ghost *g = ghost_of(sh, o);
    return g->at != 0 && g->print == (uint32_t)(o->hash >> 32) &&
           sh->ghost_clock - g->at <= sh->queues[QUEUE_MAIN].n;
}

/* ---- tags ---- */

struct object_tag *object_room_find_tag(struct object_shard *sh, uint64_t hash)
{
    struct object_tag *t = sh->tags[hash & (sh->nbuckets - 1)];
    while (t && t->hash != hash)
        t = t->next;
    return t;
}

static void put_tag(struct object_shard *sh, struct object_tag *t, const struct object *o)
{
    if (o->since >= atomic_load_explicit(&t->dead_at, memory_order_relaxed))
        t->live--;
    if (--t->refs > 0)
        return;
    struct object_tag **at = &sh->tags[t->hash & (sh->nbuckets - 1)];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    region_release(&sh->region, t);
}

static struct object_tag *get_tag(struct object_shard *sh, uint64_t hash)
{
    struct object_tag *t = object_room_find_tag(sh, hash);
    if (!t) {
        if (!(t = region_alloc(&sh->region, sizeof(*t))))
            return NULL;
        struct object_tag **at = &sh->tags[hash & (sh->nbuckets - 1)];
        *t = (struct object_tag){.next = *at, .hash = hash};
        *at = t;
    }
    t->refs++;
    t->live++;
    return t;
}

/* ---- in and out ---- */

static void unlink_chain(struct object_shard *sh, struct object *o)
{
    struct chain_lock *l = object_lock_of(sh, o->hash);
    pthread_mutex_lock(&l->mutex);
    struct object **at = object_chain_of(sh, o->hash);
    while (*at != o)
        at = &(*at)->chain_next;
    *at = o->chain_next;
    pthread_mutex_unlock(&l->mutex);
}

static void link_chain(struct object_shard *sh, struct object *o)
{
    struct chain_lock *l = object_lock_of(sh, o->hash);
    struct object **at = object_chain_of(sh, o->hash);
    o->chain_next = *at; /* the shard's lock keeps others from writing */
    pthread_mutex_lock(&l->mutex);
    *at = o;
    pthread_mutex_unlock(&l->mutex);
}

static void unlink_group(struct object_shard *sh, struct object *o)
{
    if (o->group_prev)
        o->group_prev->group_next = o->group_next;
    else
        *object_group_chain_of(sh, o->group_hash) = o->group_next;
    if (o->group_next)
        o->group_next->group_prev = o->group_prev;
}

static void link_group(struct object_shard *sh, struct object *o)
{
    struct object **at = object_group_chain_of(sh, o->group_hash);
    o->group_prev = NULL;
    o->group_next = *at;
    if (*at)
        (*at)->group_prev = o;
    *at = o;
}

void object_room_fetch(const struct object_shard *sh, const struct object *o)
{
    __builtin_prefetch(object_group_chain_of(sh, o->group_hash), 1);
    __builtin_prefetch(object_chain_of(sh, o->hash), 1);
    __builtin_prefetch(object_lock_of(sh, o->hash), 1);
}

void object_room_take_out(struct object_shard *sh, struct object *o)
{
    unlink_chain(sh, o);
    unlink_group(sh, o);
    dequeue(sh, o);
    for (size_t i = 0; i < o->ntags; i++)
        put_tag(sh, o->tags[i], o);
    object_put(o);
}

/* ---- making room ---- */

static unsigned uses_of(const struct object *o)
{
    return object_is_dead(o) ? 0 : atomic_load_explicit(&o->uses, memory_order_relaxed);
}

/*
 * The objects that go next were not touched for long, nor were the places that they are taken out of: each
 * would be waited for. So the places of the next one are fetched, and the object behind it, which has to be
 * there before its own places can be told.
 */
static void fetch_next(const struct object_shard *sh, const struct queue_of_objects *q)
{
    const struct object *o = q->tail;
    if (!o)
        return;
    object_room_fetch(sh, o);
    __builtin_prefetch(ghost_of(sh, o), 1);
    __builtin_prefetch(o->body, 1);
    for (size_t at = 0; o->prev && at < sizeof(*o) + CACHE_LINE; at += CACHE_LINE)
        __builtin_prefetch((const char *)o->prev + at, 1);
}

static void evict_from_small(struct object_shard *sh)
{
    struct object *o = sh->queues[QUEUE_SMALL].tail;
    if (uses_of(o) > 0) {
        dequeue(sh, o);
        atomic_store_explicit(&o->uses, 0, memory_order_relaxed);
        enqueue(sh, o, QUEUE_MAIN);
        return;
    }
    remember(sh, o);
    object_room_take_out(sh, o);
    fetch_next(sh, &sh->queues[QUEUE_SMALL]);
    sh->evicted++;
}

static void evict_from_main(struct object_shard *sh)
{
    struct object *o = sh->queues[QUEUE_MAIN].tail;
    unsigned uses = uses_of(o);
    if (uses > 0) {
        dequeue(sh, o);
        atomic_store_explicit(&o->uses, (uint8_t)(uses - 1), memory_order_relaxed);
        enqueue(sh, o, QUEUE_MAIN);
        return;
    }
    object_room_take_out(sh, o);
    fetch_next(sh, &sh->queues[QUEUE_MAIN]);
    sh->evicted++;
}

/* False: nothing is left that could go. */
static bool make_room(struct object_shard *sh)
{
    const struct queue_of_objects *small = &sh->queues[QUEUE_SMALL], *main = &sh->queues[QUEUE_MAIN];
    if (small->n + main->n == 0)
        return false;
    if (main->n == 0 || (small->n > 0 && small->bytes >= sh->region.size / SMALL_PART))
        evict_from_small(sh);
    else
        evict_from_main(sh);
    return true;
}

void *object_room_take(struct object_shard *sh, size_t size)
{
    void *p = NULL;
    pthread_mutex_lock(&sh->lock);
    object_room_bury(sh);
    while (!(p = region_alloc(&sh->region, size)) && make_room(sh))
        object_room_bury(sh);
    if (!p)
        sh->refused++;
    pthread_mutex_unlock(&sh->lock);
    return p;
}

bool object_room_take_tags(struct object_shard *sh, struct object *o)
{
    for (size_t i = 0; i < o->ntags; i++) {
        while (!(o->tags[i] = get_tag(sh, o->tag_hashes[i])) && make_room(sh))
            object_room_bury(sh);
        if (o->tags[i])
            continue;
        while (i-- > 0)
            put_tag(sh, o->tags[i], o);
        return false;
    }
    return true;
}

void object_room_link(struct object_shard *sh, struct object *o, bool is_proven)
{
    object_get(o);
    link_group(sh, o);
    enqueue(sh, o, is_proven || is_remembered(sh, o) ? QUEUE_MAIN : QUEUE_SMALL);
    link_chain(sh, o);
}
