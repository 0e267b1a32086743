/*
 * cache_share.c: see cache_share.h.
 *
 * States of an exchange's share:
 *
 *     IDLE -> ASKING -> ANSWERED            a reply, or none in time
 *     ANSWERED -> WAITING -> ASKING         the fetch is another gateway's: until news, or a look now and
 * then
 *
 * While it asks or waits it is in its worker's table by the hash of its key, so that news that come before
 * the reply are not lost.
 */
#include "gateway/cache_share.h"

#include <stdlib.h>

#include "gateway/cache_internal.h"
#include "gateway/cached.h"
#include "gateway/entry.h"
#include "gateway/fleet.h"
#include "gateway/redis.h"
#include "lib/dlock.h"
#include "lib/hash.h"

#define MS          UINT64_C(1000000)
#define TABLE       512
#define LOOK_MS     150         /* a lock that is another's is looked at again after this */
#define ENTRY_HEAD  (64 * 1024) /* bytes of an entry beside its body */
#define KEEP_MIN_MS 10000       /* for validators alone */
#define KEEP_MAX_MS (INT64_C(30) * 24 * 3600 * 1000)
#define TAG_KEYS    (6 + OBJECT_TAGS_MAX)

enum share_state { SHARE_IDLE, SHARE_ASKING, SHARE_ANSWERED, SHARE_WAITING };

struct cache_share {
    struct redis_call call; /* first */
    struct exchange *exchange;
    enum share_state state;
    enum cache_share_answer answer;
    bool locks, is_busy, has_news, was_asked, has_key;
    bool is_granted;
    size_t node;
    uint32_t session;      /* with the node; or without any, when nobody was asked */
    struct object_key key; /* that was asked for, in the exchange's arena */
    struct slice lock_key;
    uint64_t since, store_since;
    uint64_t sent_ns, begun_ns;
    struct object *object; /* SHARE_FOUND */
    struct dlock lock;
    struct dlock_node lock_node;
    struct redis_call extension;
    struct wheel_entry timer; /* to look again, or to extend */
    uint64_t hash;
    bool is_listed;
    struct cache_share *next, *prev;
};

/* A store that is under way; it may outlive its exchange. */
struct storing {
    struct redis_call call; /* first */
    struct cache_sharing *sharing;
    struct object *object;
    struct storing *next, *prev;
};

/* Keys that are the same for all objects, and texts that do not change. */
struct fixed_words {
    struct slice meta, prefixes, fence, recent, lock_ttl;
    char space[512];
};

struct cache_sharing {
    struct worker *worker;
    struct fleet *fleet;
    struct redis *redis;
    struct entry_packer *packer;
    struct fixed_words fixed;
    struct entry entry; /* of the reply that is being looked at */
    struct storing *storing;
    _Atomic uint32_t nlisted;
    struct cache_share *table[TABLE];
};

/* "PREFIX:KIND:NAME" */
static struct slice add_key(const struct cache_sharing *s, const char *kind, struct slice name, struct buf *b)
{
    size_t from = b->len;
    buf_add(b, slice_of(fleet_conf(s->fleet)->prefix));
    buf_add(b, slice_of(kind));
    buf_add(b, name);
    return b->failed ? (struct slice){"", 0} : (struct slice){b->p + from, b->len - from};
}

static void make_fixed(struct cache_sharing *s)
{
    struct fixed_words *f = &s->fixed;
    struct buf b;
    buf_init(&b, f->space, sizeof(f->space));
    f->meta = add_key(s, ":meta", SLICE(""), &b);
    f->prefixes = add_key(s, ":prefixes", SLICE(""), &b);
    f->fence = add_key(s, ":fence", SLICE(""), &b);
    f->recent = add_key(s, ":recent", SLICE(""), &b);
    size_t from = b.len;
    buf_add_u64(&b, fleet_conf(s->fleet)->lock_ms);
    f->lock_ttl = (struct slice){b.p + from, b.len - from};
    CHECK(!b.failed); /* a prefix has 64 bytes at most */
}

struct cache_sharing *cache_sharing_new(struct worker *w)
{
    struct cache_sharing *s = calloc(1, sizeof(*s));
    if (!s || !(s->packer = entry_packer_new())) {
        free(s);
        return NULL;
    }
    s->worker = w;
    s->fleet = w->setup.fleet;
    s->redis = w->redis;
    make_fixed(s);
    return s;
}

void cache_sharing_free(struct cache_sharing *s)
{
    if (!s)
        return;
    while (s->storing) {
        struct storing *next = s->storing->next;
        object_put(s->storing->object);
        free(s->storing);
        s->storing = next;
    }
    entry_packer_free(s->packer);
    free(s);
}

static struct cache_sharing *sharing_of(const struct exchange *x)
{
    return x->worker->sharing;
}

/* The share of X, made when it is not there; NULL: nothing is shared, or memory is short. */
static struct cache_share *share_of(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    if (s || !sharing_of(x) || !cache_conf_of(x)->shared)
        return s;
    s = arena_alloc(&x->arena, sizeof(*s));
    if (!s)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->exchange = x;
    s->node = REDIS_NONE;
    s->session = fleet_session(sharing_of(x)->fleet, REDIS_NONE);
    return x->caching.share = s;
}

/* ---- keys ---- */

enum {
    KEY_OBJECT,
    KEY_META,
    KEY_GROUP,
    KEY_PREFIXES,
    KEY_LOCK,
    KEY_FENCE,
    KEY_FIXED,
    KEY_RECENT = KEY_FENCE
};

static void add_keys(const struct cache_sharing *s, const struct object_key *key, struct buf *b,
                     struct slice *keys)
{
    keys[KEY_OBJECT] = add_key(s, ":o:", key->text, b);
    keys[KEY_META] = s->fixed.meta;
    keys[KEY_GROUP] = add_key(s, ":g:", (struct slice){key->text.p, key->group_len}, b);
    keys[KEY_PREFIXES] = s->fixed.prefixes;
    keys[KEY_LOCK] = add_key(s, ":lock:", key->text, b);
    keys[KEY_FENCE] = s->fixed.fence;
}

static uint64_t ring_hash(const struct object_key *key)
{
    return hash_bytes(key->text.p, key->group_len, 0);
}

/* ---- who waits ---- */

static void enlist(struct cache_share *s)
{
    struct cache_sharing *all = sharing_of(s->exchange);
    if (s->is_listed)
        return;
    struct cache_share **head = &all->table[s->hash % TABLE];
    s->is_listed = true;
    s->prev = NULL;
    s->next = *head;
    if (*head)
        (*head)->prev = s;
    *head = s;
    atomic_fetch_add(&all->nlisted, 1);
}

static void unlist(struct cache_share *s)
{
    struct cache_sharing *all = sharing_of(s->exchange);
    if (!s->is_listed)
        return;
    s->is_listed = false;
    if (s->prev)
        s->prev->next = s->next;
    else
        all->table[s->hash % TABLE] = s->next;
    if (s->next)
        s->next->prev = s->prev;
    atomic_fetch_sub(&all->nlisted, 1);
}

struct news {
    struct worker_call call; /* first */
    uint64_t hash;
};

static void ask_again(struct cache_share *s);

static void run_news(struct worker *w, struct worker_call *call)
{
    uint64_t hash = ((struct news *)(void *)call)->hash;
    free(call);
    for (struct cache_share *s = w->sharing->table[hash % TABLE], *next; s; s = next) {
        next = s->next;
        if (s->hash != hash)
            continue;
        s->has_news = true;
        if (s->state == SHARE_WAITING)
            ask_again(s);
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

/* Nothing has to be done about it when its node is gone: the key expires. */
static void release_key(struct cache_share *s)
{
    struct cache_sharing *all = sharing_of(s->exchange);
    struct buf b = worker_scratch(all->worker);
    fleet_announcement(all->fleet, FLEET_RELEASED, &s->key, 0, &b);
    const struct slice keys[] = {s->lock_key};
    const struct slice args[] = {dlock_token(&s->lock), fleet_channel(all->fleet), buf_slice(&b)};
    if (!b.failed)
        (void)!redis_eval(all->redis, s->node, NULL, REDIS_CACHE_RELEASE, (struct redis_words){keys, 1},
                          (struct redis_words){args, 3});
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
    struct cache_sharing *all = sharing_of(s->exchange);
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

static void prepare_lock(struct cache_share *s)
{
    struct cache_sharing *all = sharing_of(s->exchange);
    s->lock_node = (struct dlock_node){.eval = run_lock, .ctx = s};
    const struct dlock_setup setup = {.nodes = &s->lock_node,
                                      .n = 1,
                                      .lock_key = s->lock_key,
                                      .ttl_ms = fleet_conf(all->fleet)->lock_ms,
                                      .changed = on_lock_changed,
                                      .ctx = s};
    dlock_init(&s->lock, &setup);
}

static void set_timer(struct cache_share *s, uint64_t due_ns)
{
    s->timer.expired = on_timer;
    worker_set_soon(s->exchange->worker, &s->timer, due_ns);
}

static void take_grant(struct cache_share *s, int64_t fence)
{
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
    uint64_t next = dlock_renew_ns(&s->lock), ttl = fleet_conf(sharing_of(s->exchange)->fleet)->lock_ms * MS;
    if (dlock_state(&s->lock) == DLOCK_HELD)
        set_timer(s, next == DLOCK_NEVER ? now + ttl / 10 : next);
}

/* ---- the answer ---- */

struct lookup {
    int64_t found, lock, seq, fence, elapsed_ms;
    bool is_softened;
    uint64_t version;
    struct slice entry;
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

/* Into memory with it. NULL: it is none, or there is no room. */
static struct object *keep(struct cache_share *s, const struct lookup *l)
{
    struct exchange *x = s->exchange;
    struct cache_sharing *all = sharing_of(x);
    const struct entry_context ctx = {.store = cache_store_of(x),
                                      .key = s->key,
                                      .since = s->store_since,
                                      .now_ms = cache_now_ms(),
                                      .elapsed_ms = l->elapsed_ms,
                                      .body_max = cache_body_max(x),
                                      .packer = all->packer};
    struct object *o = entry_decode(l->entry, &all->entry) ? entry_to_object(&all->entry, &ctx) : NULL;
    if (!o)
        return NULL;
    ((struct cached *)o->meta)->version = l->version;
    if (l->is_softened)
        atomic_store_explicit(&o->is_stale, true, memory_order_relaxed);
    cache_share_mark(x, o);
    if (object_store_put(cache_store_of(x), o))
        return o;
    object_put(o); /* it was purged meanwhile */
    return NULL;
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

static enum cache_share_answer answer_of(struct cache_share *s, const struct lookup *l)
{
    if (l->found == 2 && l->version == known_version(s->exchange) && s->exchange->caching.stale) {
        s->object = confirm(s, l);
        return SHARE_SAME;
    }
    s->object = l->found == 1 ? keep(s, l) : NULL;
    return s->object ? SHARE_FOUND : SHARE_ABSENT;
}

static void go_on(struct cache_share *s)
{
    s->state = SHARE_ANSWERED;
    if (s->exchange->caching.refreshes)
        cache_refresh_answered(s->exchange);
    else
        exchange_wake(s->exchange);
}

static void on_lookup(struct redis_call *call, const struct redis_reply *reply)
{
    struct cache_share *s = (struct cache_share *)(void *)call;
    struct lookup l = {0};
    if (reply && redis_wants_again(reply)) {
        ask_again(s);
        return;
    }
    bool ok = read_lookup(reply, &l);
    s->since = (uint64_t)l.seq;
    s->answer = ok ? answer_of(s, &l) : SHARE_GONE;
    s->is_busy = ok && l.lock == 2;
    if (ok && l.lock == 1)
        take_grant(s, l.fence);
    else if (s->locks)
        dlock_refused(&s->lock);
    if (!s->is_busy)
        unlist(s);
    go_on(s);
}

/* ---- asking ---- */

static bool send_lookup(struct cache_share *s)
{
    struct exchange *x = s->exchange;
    struct cache_sharing *all = sharing_of(x);
    struct buf b = worker_scratch(x->worker);
    struct slice keys[KEY_FIXED], token = {"", 0};
    uint64_t version = known_version(x);
    bool has_waited = s->begun_ns != s->sent_ns;
    add_keys(all, &s->key, &b, keys);
    if (b.failed)
        return false;
    if (s->locks)
        token = dlock_offer(&s->lock,
                            (uint64_t[2]){random_next(&x->worker->random), random_next(&x->worker->random)});
    const struct slice args[] = {token,
                                 all->fixed.lock_ttl,
                                 {(const char *)&version, version ? sizeof(version) : 0},
                                 {s->key.text.p, s->key.group_len},
                                 s->locks && !has_waited && x->caching.is_refused ? SLICE("1") : SLICE("0")};
    s->call.done = on_lookup;
    s->has_news = false;
    s->store_since = object_store_now(cache_store_of(x), &s->key);
    s->session = fleet_session(all->fleet, s->node);
    s->state = SHARE_ASKING;
    if (redis_eval(all->redis, s->node, &s->call, REDIS_CACHE_READ, (struct redis_words){keys, KEY_FIXED},
                   (struct redis_words){args, 5}))
        return true;
    if (s->locks)
        dlock_refused(&s->lock);
    return false;
}

/* From the loop. */
static void ask_again(struct cache_share *s)
{
    struct cache_sharing *all = sharing_of(s->exchange);
    wheel_cancel(&s->timer);
    object_put(s->object);
    s->object = NULL;
    s->is_busy = false;
    if (s->state == SHARE_ASKING && s->locks)
        dlock_refused(&s->lock);
    s->node = redis_node_for(all->redis, ring_hash(&s->key));
    s->sent_ns = clock_now_ns();
    if (s->node != REDIS_NONE && send_lookup(s))
        return;
    unlist(s);
    s->answer = SHARE_GONE;
    go_on(s);
}

static void on_timer(struct wheel_entry *e)
{
    struct cache_share *s = (struct cache_share *)((char *)e - offsetof(struct cache_share, timer));
    if (s->state == SHARE_WAITING)
        ask_again(s);
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
    add_key(sharing_of(x), ":lock:", s->key.text, &b);
    s->lock_key = arena_slice(&x->arena, buf_slice(&b), &ok);
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
    s->locks = locks;
    s->session = fleet_session(sharing_of(x)->fleet, REDIS_NONE);
    s->node = redis_node_for(sharing_of(x)->redis, ring_hash(&x->caching.full_key));
    s->begun_ns = s->sent_ns = clock_now_ns();
    if (s->node == REDIS_NONE || !own_key(s))
        return false;
    if (locks) {
        prepare_lock(s);
        enlist(s);
    }
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
    return s->answer;
}

bool cache_share_wait(struct exchange *x)
{
    struct cache_share *s = x->caching.share;
    uint64_t now = clock_now_ns(), until = s->begun_ns + fleet_conf(sharing_of(x)->fleet)->lock_wait_ms * MS;
    if (now >= until) {
        unlist(s);
        return false;
    }
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

/* ---- storing ---- */

static void on_stored(struct redis_call *call, const struct redis_reply *reply)
{
    struct storing *st = (struct storing *)(void *)call;
    struct cache_sharing *all = st->sharing;
    /* Refused: it was purged, or a later one is there. */
    if (reply && reply->kind == REDIS_INTEGER && reply->integer == 0)
        object_store_drop(all->worker->setup.cache->store, st->object);
    if (st->prev)
        st->prev->next = st->next;
    else
        all->storing = st->next;
    if (st->next)
        st->next->prev = st->prev;
    object_put(st->object);
    free(st);
}

static struct redis_call *new_storing(struct cache_sharing *all, struct object *o)
{
    struct storing *st = calloc(1, sizeof(*st));
    if (!st)
        return NULL;
    *st = (struct storing){
        .call.done = on_stored, .sharing = all, .object = object_get(o), .next = all->storing};
    if (all->storing)
        all->storing->prev = st;
    all->storing = st;
    return &st->call;
}

/* For how long it is fresh, and of any use. */
static void lives_of(const struct cached *c, int64_t now_ms, int64_t *fresh_us, int64_t *keep_ms)
{
    const struct http_cache_life *l = &c->life;
    int64_t left = http_cache_left_ms(l, now_ms), stale = l->stale_while_revalidate_ms;
    stale = l->stale_if_error_ms > stale ? l->stale_if_error_ms : stale;
    stale = l->stale_if_unreachable_ms > stale ? l->stale_if_unreachable_ms : stale;
    left = left < 0 ? 0 : left > KEEP_MAX_MS ? KEEP_MAX_MS : left;
    *keep_ms = left + stale < KEEP_MIN_MS && c->kind == CACHED_ANSWER ? KEEP_MIN_MS : left + stale;
    *keep_ms = *keep_ms > KEEP_MAX_MS ? KEEP_MAX_MS : *keep_ms < 1 ? 1 : *keep_ms;
    *fresh_us = l->flags & LIFE_VALIDATE ? 0 : left * 1000;
}

/* What one store says. */
struct store_words {
    struct slice keys[TAG_KEYS], args[10];
    int nkeys;
    char since[24], fence[24], keep[24], fresh[24];
};

static struct slice number(char *space, size_t size, int64_t n)
{
    snprintf(space, size, "%lld", (long long)n);
    return slice_of(space);
}

/* The keys of what O is tagged with stand in B. */
static void add_tag_keys(const struct cache_sharing *all, const struct object *o, struct buf *b,
                         struct store_words *w)
{
    struct slice tags[OBJECT_TAGS_MAX];
    size_t n = cached_tags(cached_of(o)->fields, tags);
    for (size_t i = 0; i < n; i++)
        w->keys[w->nkeys++] = add_key(all, ":t:", tags[i], b);
}

/* KEEP_AT_LEAST: of a note of names, as long as what lies behind it. UNLOCKS: this is the last of the fetch.
 */
static bool store_one(struct cache_share *s, struct object *o, int64_t *keep_ms, bool unlocks)
{
    struct exchange *x = s->exchange;
    struct cache_sharing *all = sharing_of(x);
    struct buf b = worker_scratch(x->worker), entry;
    struct store_words w = {.nkeys = KEY_FIXED};
    struct slice keys[KEY_FIXED];
    int64_t fresh_us, keep;
    size_t max = entry_size_max(o);
    char *space = malloc(max);
    const struct entry_options opt = {
        .compress = cache_conf_of(x)->compress, .packer = all->packer, .now_ms = x->caching.now_ms};
    if (!space)
        return false;
    buf_init(&entry, space, max);
    lives_of(cached_of(o), x->caching.now_ms, &fresh_us, &keep);
    if (cached_of(o)->kind == CACHED_VARY) {
        keep = *keep_ms;
        fresh_us = keep * 1000;
    }
    *keep_ms = keep;
    add_keys(all, &o->key, &b, keys);
    memcpy(w.keys, keys, sizeof(keys));
    w.keys[KEY_LOCK] = s->lock_key;
    w.keys[KEY_RECENT] = all->fixed.recent;
    add_tag_keys(all, o, &b, &w);
    size_t from = b.len;
    fleet_announcement(all->fleet, FLEET_STORED, &o->key, cached_of(o)->version, &b);
    const struct slice announcement = {b.p + from, b.len - from};
    const struct slice args[] = {unlocks ? dlock_token(&s->lock) : SLICE(""),
                                 number(w.since, sizeof(w.since), (int64_t)s->since),
                                 number(w.fence, sizeof(w.fence), dlock_fence(&s->lock)),
                                 number(w.keep, sizeof(w.keep), keep),
                                 number(w.fresh, sizeof(w.fresh), fresh_us),
                                 {(const char *)&cached_of(o)->version, sizeof(uint64_t)},
                                 {o->key.text.p, o->key.group_len},
                                 {NULL, 0},
                                 fleet_channel(all->fleet),
                                 announcement};
    memcpy(w.args, args, sizeof(args));
    bool ok = !b.failed && entry_encode(o, &opt, &entry);
    w.args[7] = buf_slice(&entry);
    struct redis_call *call = ok ? new_storing(all, o) : NULL;
    ok = call && redis_eval(all->redis, s->node, call, REDIS_CACHE_STORE,
                            (struct redis_words){w.keys, w.nkeys}, (struct redis_words){w.args, 10});
    if (call && !ok)
        on_stored(call, NULL);
    free(space);
    return ok;
}

/* Where answers vary, the names by which they do lie under the key that was asked for. */
static struct object *note_of(struct exchange *x, const struct object *o)
{
    if (cached_of(o)->kind != CACHED_ANSWER || cached_of(o)->vary.len == 0)
        return NULL;
    struct object *note = object_store_find(cache_store_of(x), &x->caching.key);
    if (note && cached_of(note)->kind == CACHED_VARY)
        return note;
    object_put(note);
    return NULL;
}

void cache_share_store(struct exchange *x, struct object *o)
{
    struct cache_share *s = x->caching.share;
    if (!s || !s->is_granted)
        return;
    size_t body = o && o->body ? o->body->cap : 0;
    struct object *note = o ? note_of(x, o) : NULL;
    int64_t keep_ms;
    bool ok = o && body <= cache_conf_of(x)->shared_max && store_one(s, o, &keep_ms, !note);
    if (ok && note)
        ok = store_one(s, note, &keep_ms, true);
    object_put(note);
    if (ok)
        s->is_granted = false;
    else
        cache_share_release(x);
    wheel_cancel(&s->timer);
}

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
    object_put(s->object);
    s->object = NULL;
    s->is_busy = false;
    s->state = SHARE_IDLE;
}

/* ---- what may be believed ---- */

void cache_share_mark(struct exchange *x, struct object *o)
{
    struct cache_share *s = share_of(x);
    if (s)
        object_set_note(o, fleet_mark(sharing_of(x)->fleet, s->node, s->session, x->worker->wheel.now_ns));
}

bool cache_share_believes(const struct exchange *x, const struct object *o)
{
    const struct cache_sharing *all = sharing_of(x);
    return !all || !cache_conf_of(x)->shared ||
           fleet_believes(all->fleet, object_note(o), x->worker->wheel.now_ns);
}
