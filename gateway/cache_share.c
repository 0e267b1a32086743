/*
 * cache_share.c: see cache_share.h.
 *
 * States of an exchange's share:
 *
 *     IDLE -> ASKING -> ANSWERED            a reply, or none in time
 *     ANSWERED -> WAITING -> ASKING         the fetch is another gateway's: until news, or a look now and
 * then
 *     ANSWERED -> READING -> ANSWERED       the pieces of what was found (cache_share_read.c)
 *
 * While it asks or waits it is in its worker's table by the hash of its key, so that news that come before
 * the reply are not lost.
 */
#include "gateway/cache_share.h"

#include <stdlib.h>

#include "gateway/cache_share_internal.h"
#include "lib/hash.h"

#define LOOK_MS 150 /* a lock that is another's is looked at again after this */

/* The share of X, made when it is not there; NULL: nothing is shared, or memory is short. */
static struct cache_share *share_of(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    if (s || !cache_sharing_of(x) || !cache_conf_of(x)->shared)
        return s;
    s = arena_alloc(&x->arena, sizeof(*s));
    if (!s)
        return NULL;
    memset(s, 0, offsetof(struct cache_share, lock));
    s->exchange = x;
    s->node = REDIS_NONE;
    s->session = fleet_session(cache_sharing_of(x)->fleet, REDIS_NONE);
    return x->caching.share = s;
}

static uint64_t ring_hash(const struct object_key *key)
{
    return hash_bytes(key->text.p, key->group_len, 0);
}

/* ---- who waits ---- */

static void set_listed(struct cache_sharing *all, struct cache_share *s, bool is_listed)
{
    uint32_t n = atomic_load_explicit(&all->nlisted, memory_order_relaxed);
    s->is_listed = is_listed;
    atomic_store_explicit(&all->nlisted, is_listed ? n + 1 : n - 1, memory_order_release);
}

static void enlist(struct cache_share *s)
{
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    if (s->is_listed)
        return;
    struct cache_share **head = &all->table[s->hash % SHARE_TABLE];
    s->prev = NULL;
    s->next = *head;
    if (*head)
        (*head)->prev = s;
    *head = s;
    set_listed(all, s, true);
}

static void unlist(struct cache_share *s)
{
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    if (!s->is_listed)
        return;
    set_listed(all, s, false);
    if (s->prev)
        s->prev->next = s->next;
    else
        all->table[s->hash % SHARE_TABLE] = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

struct news {
    struct worker_call call; /* first */
    uint64_t hash;
};

static void run_news(struct worker *w, struct worker_call *call)
{
    uint64_t hash = ((struct news *)(void *)call)->hash;
    free(call);
    for (struct cache_share *s = w->sharing->table[hash % SHARE_TABLE], *next; s; s = next) {
        next = s->next;
        if (s->hash != hash)
            continue;
        s->has_news = true;
        if (s->state == SHARE_WAITING)
            cache_share_ask_again(s);
    }
}

static void free_news(struct message *m)
{
    free(m);
}

void cache_share_post_news(struct worker *w, struct slice key)
{
    if (!w->sharing || atomic_load(&w->sharing->nlisted) == 0)
        return;
    struct news *n = malloc(sizeof(*n));
    if (!n)
        return; /* it looks again by itself */
    *n = (struct news){.call = {.base.free = free_news, .run = run_news},
                       .hash = hash_bytes(key.p, key.len, 0)};
    if (!worker_post_call(w, &n->call))
        free(n);
}

/* ---- the lock ---- */

static void on_timer(struct wheel_entry *e);

void cache_share_unlock(struct cache_sharing *all, size_t node, const struct object_key *key,
                        struct slice lock_key, struct slice token)
{
    struct buf b = worker_scratch(all->worker);
    fleet_announcement(all->fleet, FLEET_RELEASED, key, 0, &b);
    const struct slice keys[] = {lock_key};
    const struct slice args[] = {token, fleet_channel(all->fleet), buf_slice(&b)};
    if (!b.failed)
        (void)!redis_eval(all->redis, node, NULL, REDIS_CACHE_RELEASE, (struct redis_words){keys, 1},
                          (struct redis_words){args, 3});
}

void cache_share_drop(struct cache_sharing *all, size_t node, const struct object_key *key, uint64_t version)
{
    struct buf b = worker_scratch(all->worker);
    const struct slice keys[] = {cache_sharing_key(all->fixed.object, key->text, &b),
                                 cache_sharing_pieces_key(all, version, &b)};
    const struct slice args[] = {{(const char *)&version, sizeof(version)}};
    if (!b.failed)
        (void)!redis_eval(all->redis, node, NULL, REDIS_CACHE_DROP, (struct redis_words){keys, 2},
                          (struct redis_words){args, 1});
}

bool cache_share_look_again(struct cache_share *s)
{
    if (s->has_lost)
        return false;
    s->has_lost = true;
    cache_share_release(s->exchange);
    cache_share_ask_again(s);
    return true;
}

static void release_key(struct cache_share *s)
{
    char token[DLOCK_TOKEN_LEN];
    dlock_write_token(s->random, token);
    cache_share_unlock(cache_sharing_of(s->exchange), s->node, &s->key, s->lock_key,
                       (struct slice){token, sizeof(token)});
}

static void on_extended(struct redis_call *call, const struct redis_reply *reply)
{
    struct cache_share *s = (struct cache_share *)((char *)call - offsetof(struct cache_share, extension));
    const struct dlock_reply r = {.is_answered = reply && reply->kind == REDIS_INTEGER,
                                  .number = reply ? reply->integer : 0};
    dlock_answer(&s->lock_node.ask, &r, clock_now_ns());
}

/* What dlock.h wants to have run: extensions. It is released together with a store, or with an announcement.
 */
static bool run_lock(void *ctx, struct dlock_ask *ask)
{
    struct cache_share *s = ctx;
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    if (ask->script != DLOCK_EXTEND)
        return false;
    s->extension.done = on_extended;
    return redis_eval(all->redis, s->node, &s->extension, REDIS_CACHE_EXTEND,
                      (struct redis_words){ask->keys, ask->nkeys},
                      (struct redis_words){ask->args, ask->nargs});
}

static void on_lock_changed(void *ctx, struct dlock *l, enum dlock_event event)
{
    struct cache_share *s = ctx;
    (void)l;
    if (event == DLOCK_DID_LOSE)
        s->exchange->caching.detail = "lock-lost"; /* what is stored then is judged by its fencing number */
}

static void make_lock(struct cache_share *s)
{
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    s->lock_node = (struct dlock_node){.eval = run_lock, .ctx = s};
    const struct dlock_setup setup = {.nodes = &s->lock_node,
                                      .n = 1,
                                      .lock_key = s->lock_key,
                                      .ttl_ms = fleet_conf(all->fleet)->lock_ms,
                                      .changed = on_lock_changed,
                                      .ctx = s};
    dlock_init(&s->lock, &setup);
    dlock_offer(&s->lock, s->random);
}

static void set_timer(struct cache_share *s, uint64_t due_ns)
{
    s->timer.expired = on_timer;
    worker_set_soon(s->exchange->worker, &s->timer, due_ns);
}

static void take_grant(struct cache_share *s, int64_t fence)
{
    make_lock(s);
    s->is_granted = dlock_granted(&s->lock, fence, s->sent_ns, clock_now_ns());
    if (s->is_granted)
        set_timer(s, dlock_renew_ns(&s->lock));
    else
        release_key(s);
}

static void extend(struct cache_share *s)
{
    uint64_t now = clock_now_ns();
    dlock_tick(&s->lock, now);
    if (now >= dlock_renew_ns(&s->lock))
        (void)!dlock_extend(&s->lock, now);
    uint64_t next = dlock_renew_ns(&s->lock),
             ttl = fleet_conf(cache_sharing_of(s->exchange)->fleet)->lock_ms * MS;
    if (dlock_state(&s->lock) == DLOCK_HELD)
        set_timer(s, next == DLOCK_NEVER ? now + ttl / 10 : next);
}

/* ---- the answer ---- */

struct lookup {
    int64_t found, lock, seq, fence, elapsed_ms;
    bool is_softened;
    uint64_t version;
    struct slice entry;
    bool is_broken; /* it is no entry */
};

static bool read_integer(const struct redis_reply *array, size_t i, int64_t max, int64_t *out)
{
    struct redis_reply r = redis_reply_at(array, i);
    *out = r.integer;
    return r.kind == REDIS_INTEGER && r.integer >= 0 && r.integer <= max;
}

/* What REDIS_CACHE_READ has answered. False: that is no such answer. */
static bool read_lookup(const struct redis_reply *reply, struct lookup *l)
{
    int64_t softened;
    if (!reply || reply->kind != REDIS_ARRAY || reply->n != 8 || !read_integer(reply, 0, 2, &l->found) ||
        !read_integer(reply, 1, 2, &l->lock) || !read_integer(reply, 2, DLOCK_FENCE_MAX, &l->seq) ||
        !read_integer(reply, 3, DLOCK_FENCE_MAX, &l->fence) ||
        !read_integer(reply, 4, DLOCK_FENCE_MAX / 1000, &l->elapsed_ms) ||
        !read_integer(reply, 5, 1, &softened))
        return false;
    struct redis_reply version = redis_reply_at(reply, 6), entry = redis_reply_at(reply, 7);
    if (version.kind != REDIS_TEXT || entry.kind != REDIS_TEXT ||
        (l->found && version.text.len != sizeof(l->version)))
        return false;
    if (l->found)
        memcpy(&l->version, version.text.p, sizeof(l->version));
    l->is_softened = softened;
    l->entry = entry.text;
    return true;
}

/* What was found; it counts as read now. NULL: it is none, or there is no room. */
static struct object *object_of(struct cache_share *s, struct lookup *l)
{
    struct exchange *x = s->exchange;
    struct cache_sharing *all = cache_sharing_of(x);
    const struct entry_context ctx = {.store = cache_store_of(x),
                                      .key = s->key,
                                      .since = s->store_since,
                                      .now_ms = cache_now_ms(),
                                      .elapsed_ms = l->elapsed_ms,
                                      .body_max = cache_body_max(x),
                                      .packer = all->packer};
    l->is_broken = !entry_decode(l->entry, &all->entry);
    struct object *o = l->is_broken ? NULL : entry_to_object(&all->entry, &ctx);
    if (!o)
        return NULL;
    ((struct cached *)o->meta)->version = l->version;
    if (l->is_softened)
        atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    cache_share_mark(x, o);
    return o;
}

/* Into memory with it, unless it is still to be read. */
static enum cache_share_answer keep(struct cache_share *s, struct lookup *l)
{
    struct exchange *x = s->exchange;
    const struct entry *e = &cache_sharing_of(x)->entry;
    struct object *o = object_of(s, l);
    if (!o)
        return SHARE_ABSENT;
    if (e->in_pieces ? cache_reading_prepare(s, e, o) : object_store_put(cache_store_of(x), o)) {
        s->object = o;
        return e->in_pieces ? SHARE_PIECES : SHARE_FOUND;
    }
    object_put(o); /* it was purged meanwhile, or memory is short */
    return SHARE_ABSENT;
}

/* The exchange's own object is what lies there. */
static struct object *confirm(struct cache_share *s, const struct lookup *l)
{
    struct object *o = object_get(s->exchange->caching.stale);
    cache_share_mark(s->exchange, o);
    if (l->is_softened)
        atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    return o;
}

static uint64_t known_version(const struct exchange *x)
{
    return x->caching.stale ? cached_of(x->caching.stale)->version : 0;
}

static enum cache_share_answer answer_of(struct cache_share *s, struct lookup *l)
{
    if (l->found == 2 && l->version == known_version(s->exchange) && s->exchange->caching.stale) {
        s->object = confirm(s, l);
        return SHARE_SAME;
    }
    return l->found == 1 ? keep(s, l) : SHARE_ABSENT;
}

void cache_share_go_on(struct cache_share *s)
{
    s->state = SHARE_ANSWERED;
    if (s->exchange->caching.refreshes)
        cache_refresh_answered(s->exchange);
    else
        exchange_wake(s->exchange);
}

/* What lay there was no entry, and is gone now: ask for the lock. False: that was done already. */
static bool look_without_it(struct cache_share *s)
{
    s->state = SHARE_ANSWERED;
    return cache_share_look_again(s);
}

static void on_lookup(struct redis_call *call, const struct redis_reply *reply)
{
    struct cache_share *s = (struct cache_share *)(void *)call;
    struct lookup l = {0};
    if (redis_wants_again(reply, &s->was_repeated)) {
        cache_share_ask_again(s);
        return;
    }
    bool ok = read_lookup(reply, &l);
    s->since = (uint64_t)l.seq;
    s->answer = ok ? answer_of(s, &l) : SHARE_GONE;
    s->is_busy = ok && s->locks && l.lock == 2;
    if (ok && s->locks && l.lock == 1)
        take_grant(s, l.fence);
    if (l.is_broken)
        cache_share_drop(cache_sharing_of(s->exchange), s->node, &s->key, l.version);
    if (l.is_broken && !s->is_granted && look_without_it(s))
        return;
    if (!s->is_busy)
        unlist(s);
    cache_share_go_on(s);
}

/* ---- asking ---- */

static bool send_lookup(struct cache_share *s)
{
    struct exchange *x = s->exchange;
    struct cache_sharing *all = cache_sharing_of(x);
    struct buf b = worker_scratch(x->worker);
    struct slice keys[KEY_FIXED];
    char token[DLOCK_TOKEN_LEN];
    uint64_t version = known_version(x);
    bool has_waited = s->begun_ns != s->sent_ns;
    cache_sharing_keys(all, &s->key, &b, keys);
    keys[KEY_LOCK] = s->lock_key;
    if (b.failed)
        return false;
    s->random[0] = random_next(&x->worker->random);
    s->random[1] = random_next(&x->worker->random);
    dlock_write_token(s->random, token);
    const struct slice args[] = {{token, s->locks ? sizeof(token) : 0},
                                 all->fixed.lock_ttl,
                                 {(const char *)&version, version ? sizeof(version) : 0},
                                 {s->key.text.p, s->key.group_len},
                                 s->locks && !has_waited && x->caching.is_refused ? SLICE("1") : SLICE("0"),
                                 all->fixed.pieces};
    s->call.done = on_lookup;
    s->has_news = false;
    s->store_since = object_store_now(cache_store_of(x), &s->key);
    s->session = fleet_session(all->fleet, s->node);
    s->state = SHARE_ASKING;
    return redis_eval(all->redis, s->node, &s->call, REDIS_CACHE_READ, (struct redis_words){keys, KEY_FIXED},
                      (struct redis_words){args, 6});
}

/* From the loop. */
void cache_share_ask_again(struct cache_share *s)
{
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    wheel_cancel(&s->timer);
    cache_reading_end(s);
    cache_hold(&s->object, NULL);
    s->is_busy = false;
    if (s->locks)
        enlist(s);
    s->node = redis_node_for(all->redis, ring_hash(&s->key));
    s->sent_ns = clock_now_ns();
    if (s->node != REDIS_NONE && send_lookup(s))
        return;
    unlist(s);
    s->answer = SHARE_GONE;
    cache_share_go_on(s);
}

static void on_timer(struct wheel_entry *e)
{
    struct cache_share *s = (struct cache_share *)((char *)e - offsetof(struct cache_share, timer));
    if (s->state == SHARE_WAITING)
        cache_share_ask_again(s);
    else if (s->is_granted)
        extend(s);
}

/* The key and its lock's, for as long as the exchange lives. */
static bool own_key(struct cache_share *s)
{
    struct exchange *x = s->exchange;
    struct buf b = worker_scratch(x->worker);
    bool ok = true;
    s->key = (struct object_key){arena_slice(&x->arena, x->caching.full_key.text, &ok),
                                 x->caching.full_key.group_len};
    s->lock_key =
        arena_slice(&x->arena, cache_sharing_key(cache_sharing_of(x)->fixed.lock, s->key.text, &b), &ok);
    s->hash = hash_bytes(s->key.text.p, s->key.text.len, 0);
    return ok && !b.failed;
}

bool cache_share_ask(struct exchange *x, bool locks)
{
    struct cache_share *s = share_of(x);
    if (!s)
        return false;
    cache_share_end(x);
    s->was_asked = true;
    s->has_lost = s->was_repeated = false;
    s->locks = locks;
    s->session = fleet_session(cache_sharing_of(x)->fleet, REDIS_NONE);
    s->node = redis_node_for(cache_sharing_of(x)->redis, ring_hash(&x->caching.full_key));
    s->begun_ns = s->sent_ns = clock_now_ns();
    if (s->node == REDIS_NONE || !own_key(s))
        return false;
    if (locks)
        enlist(s);
    if (send_lookup(s))
        return true;
    unlist(s);
    s->state = SHARE_IDLE;
    s->node = REDIS_NONE;
    return false;
}

enum cache_share_answer cache_share_take(struct exchange *x, struct object **o)
{
    struct cache_share *s = x->caching.share;
    if (s->state != SHARE_ANSWERED)
        return SHARE_PENDING;
    s->state = SHARE_IDLE;
    *o = s->object;
    s->object = NULL;
    if (s->answer == SHARE_STREAMS)
        *o = cache_reading_object(s);
    return s->answer;
}

bool cache_share_wait(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    uint64_t now = clock_now_ns(),
             until = s->begun_ns + fleet_conf(cache_sharing_of(x)->fleet)->lock_wait_ms * MS;
    if (now >= until) {
        unlist(s);
        return false;
    }
    if (s->begun_ns == s->sent_ns) /* for the first time */
        fleet_count_wait(cache_sharing_of(x)->fleet);
    uint64_t due =
        now +
        (s->has_news ? 0 : LOOK_MS * MS / 2 + random_below(random_next(&x->worker->random), LOOK_MS * MS));
    s->state = SHARE_WAITING;
    set_timer(s, due < until ? due : until);
    return true;
}

bool cache_share_is_pending(const struct exchange *x)
{
    return x->caching.share && x->caching.share->state != SHARE_IDLE;
}

const char *cache_share_wait_name(const struct exchange *x)
{
    switch (x->caching.share->state) {
    case SHARE_WAITING:
        return "lock";
    case SHARE_READING:
        return "redis read";
    default:
        return "redis lookup";
    }
}

bool cache_share_was_asked(const struct exchange *x)
{
    return x->caching.share && x->caching.share->was_asked;
}

bool cache_share_is_granted(const struct exchange *x)
{
    return x->caching.share && x->caching.share->is_granted;
}

bool cache_share_is_busy(const struct exchange *x)
{
    return x->caching.share && x->caching.share->is_busy;
}

/* ---- the end ---- */

void cache_share_release(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    if (!s || !s->is_granted)
        return;
    s->is_granted = false;
    wheel_cancel(&s->timer);
    redis_call_cancel(&s->extension);
    release_key(s);
}

void cache_share_end(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    if (!s)
        return;
    redis_call_cancel(&s->call);
    if (s->state == SHARE_ASKING && s->locks)
        release_key(s); /* it may have been granted */
    cache_share_release(x);
    unlist(s);
    wheel_cancel(&s->timer);
    redis_call_cancel(&s->extension);
    cache_reading_end(s);
    cache_hold(&s->object, NULL);
    s->is_busy = false;
    s->state = SHARE_IDLE;
}

/* ---- what may be believed ---- */

void cache_share_mark(struct exchange *x, struct object *o)
{
    struct cache_share *s = share_of(x);
    if (s)
        object_set_note(o,
                        fleet_mark(cache_sharing_of(x)->fleet, s->node, s->session, x->worker->wheel.now_ns));
}

bool cache_share_believes(const struct exchange *x, const struct object *o)
{
    const struct cache_sharing *all = cache_sharing_of(x);
    return !all || !cache_conf_of(x)->shared ||
           fleet_believes(all->fleet, object_note(o), x->worker->wheel.now_ns);
}
