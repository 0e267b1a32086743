/*
 * cache_share_store.c: the part of cache_share.h that puts objects into Redis.
 *
 * A store may outlive its exchange, so it has a copy of all it needs, the lock's token too. A body that is
 * too large for one value goes first, piece by piece, and the lock is extended meanwhile; then the object
 * with the script that judges it, and, where answers vary, the note of the names by which they do. The last
 * script gives the lock back. When it comes to nothing, pieces that have been put are removed.
 */
#include "gateway/cache_share_internal.h"

#include <stdlib.h>

#define KEEP_MIN_MS  10000 /* for validators alone */
#define KEEP_MAX_MS  (INT64_C(30) * 24 * 3600 * 1000)
#define TAG_KEYS     (6 + OBJECT_TAGS_MAX)
#define PIECES_MORE  10000 /* ms that pieces are there for longer than the object, for who is reading them */
#define EXTEND_PARTS 4     /* of the lock's time to live: after one it is extended */

struct script_call {
    struct redis_call call; /* first */
    struct storing *storing;
    struct object *object; /* a reference; NULL: none */
};

struct storing {
    struct piece_mover mover; /* first */
    struct cache_sharing *sharing;
    struct script_call object, note;
    size_t node;
    int64_t since, fence, keep_ms;
    enum conf_cache_compress compress;
    uint64_t extended_ns;
    char token[DLOCK_TOKEN_LEN];
    size_t token_len;
    bool holds_lock;
    struct entry_piece *pieces;
    struct storing *next, *prev;
    struct object_key key; /* that was asked for; in LOCK_KEY */
    struct slice lock_key;
    char space[]; /* of LOCK_KEY */
};

/* ---- life ---- */

static void free_storing(struct storing *st)
{
    object_put(st->object.object);
    object_put(st->note.object);
    free(st->pieces);
    free(st);
}

static void end_storing(struct storing *st)
{
    struct cache_sharing *all = st->sharing;
    if (st->prev)
        st->prev->next = st->next;
    else
        all->storing = st->next;
    if (st->next)
        st->next->prev = st->prev;
    free_storing(st);
}

void cache_storing_free(struct cache_sharing *s)
{
    while (s->storing) {
        struct storing *next = s->storing->next;
        free_storing(s->storing);
        s->storing = next;
    }
}

static void send_next(struct piece_mover *m);

static struct storing *new_storing(struct cache_share *s, struct object *o)
{
    struct cache_sharing *all = cache_sharing_of(s->exchange);
    struct storing *st = calloc(1, sizeof(*st) + s->lock_key.len);
    size_t n = o->body ? entry_pieces(o->body->cap) : 0;
    struct slice token = dlock_token(&s->lock);
    if (!st || (n > 0 && !(st->pieces = calloc(n, sizeof(*st->pieces)))) || token.len > sizeof(st->token)) {
        free(st);
        return NULL;
    }
    st->mover = (struct piece_mover){.sharing = all, .send = send_next, .node = s->node, .n = n};
    st->sharing = all;
    st->node = s->node;
    st->since = (int64_t)s->since;
    st->fence = dlock_fence(&s->lock);
    st->compress = cache_conf_of(s->exchange)->compress;
    st->extended_ns = clock_now_ns();
    memcpy(st->token, token.p, token.len);
    st->token_len = token.len;
    st->holds_lock = true;
    memcpy(st->space, s->lock_key.p, s->lock_key.len);
    st->lock_key = (struct slice){st->space, s->lock_key.len};
    st->key =
        (struct object_key){slice_skip(st->lock_key, s->lock_key.len - s->key.text.len), s->key.group_len};
    st->object = (struct script_call){.storing = st, .object = object_get(o)};
    st->note = (struct script_call){.storing = st};
    st->next = all->storing;
    if (all->storing)
        all->storing->prev = st;
    all->storing = st;
    return st;
}

static void unlock(struct storing *st)
{
    if (st->holds_lock)
        cache_share_unlock(st->sharing, st->node, &st->key, st->lock_key,
                           (struct slice){st->token, st->token_len});
    st->holds_lock = false;
}

static void remove_pieces(const struct storing *st)
{
    struct cache_sharing *all = st->sharing;
    struct buf b = worker_scratch(all->worker);
    const struct slice words[] = {SLICE("UNLINK"),
                                  cache_sharing_pieces_key(all, cached_of(st->object.object)->version, &b)};
    if (st->mover.n > 0 && !b.failed)
        (void)!redis_send(all->redis, st->node, NULL, &(struct redis_command){words, 2});
}

/* ---- the scripts ---- */

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
    struct slice keys[TAG_KEYS], args[11];
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
        w->keys[w->nkeys++] = cache_sharing_key(all->fixed.tag, tags[i], b);
}

/* All but the entry. A note of names is kept for as long as what lies behind it. UNLOCKS: this is the last of
 * the fetch. */
static void make_words(struct storing *st, const struct object *o, bool unlocks, struct buf *b,
                       struct store_words *w)
{
    struct cache_sharing *all = st->sharing;
    int64_t fresh_us, keep_ms;
    lives_of(cached_of(o), cache_now_ms(), &fresh_us, &keep_ms);
    if (cached_of(o)->kind == CACHED_VARY) {
        keep_ms = st->keep_ms;
        fresh_us = keep_ms * 1000;
    }
    st->keep_ms = keep_ms;
    w->nkeys = KEY_FIXED;
    cache_sharing_keys(all, &o->key, b, w->keys);
    w->keys[KEY_LOCK] = st->lock_key;
    w->keys[KEY_RECENT] = all->fixed.recent;
    add_tag_keys(all, o, b, w);
    size_t from = b->len;
    fleet_announcement(all->fleet, FLEET_STORED, &o->key, cached_of(o)->version, b);
    const struct slice announcement = {b->p + from, b->len - from};
    const struct slice args[] = {unlocks ? (struct slice){st->token, st->token_len} : SLICE(""),
                                 number(w->since, sizeof(w->since), st->since),
                                 number(w->fence, sizeof(w->fence), st->fence),
                                 number(w->keep, sizeof(w->keep), keep_ms),
                                 number(w->fresh, sizeof(w->fresh), fresh_us),
                                 {(const char *)&cached_of(o)->version, sizeof(uint64_t)},
                                 {o->key.text.p, o->key.group_len},
                                 {NULL, 0},
                                 fleet_channel(all->fleet),
                                 announcement,
                                 all->fixed.pieces};
    memcpy(w->args, args, sizeof(args));
}

static void on_stored(struct redis_call *call, const struct redis_reply *reply)
{
    struct script_call *c = (struct script_call *)(void *)call;
    struct storing *st = c->storing;
    /* Refused: it was purged, or a later one is there. */
    if (reply && reply->kind == REDIS_INTEGER && reply->integer == 0) {
        object_store_drop(st->sharing->worker->setup.cache->store, c->object);
        if (c == &st->object)
            remove_pieces(st);
    }
    object_put(c->object);
    c->object = NULL;
    if (!st->object.object && !st->note.object)
        end_storing(st);
}

static bool store_one(struct storing *st, struct script_call *c, bool unlocks)
{
    struct cache_sharing *all = st->sharing;
    struct buf b = worker_scratch(all->worker), entry;
    struct store_words w;
    const struct entry_options opt = {.compress = st->compress,
                                      .packer = all->packer,
                                      .now_ms = cache_now_ms(),
                                      .pieces = c == &st->object ? st->pieces : NULL};
    size_t max = opt.pieces ? entry_size_in_pieces(c->object) : entry_size_max(c->object);
    char *space = malloc(max);
    if (!space)
        return false;
    buf_init(&entry, space, max);
    make_words(st, c->object, unlocks, &b, &w);
    bool ok = !b.failed && entry_encode(c->object, &opt, &entry);
    w.args[7] = buf_slice(&entry);
    c->call.done = on_stored;
    ok = ok && redis_eval(all->redis, st->node, &c->call, REDIS_CACHE_STORE,
                          (struct redis_words){w.keys, w.nkeys}, (struct redis_words){w.args, 11});
    if (ok && unlocks)
        st->holds_lock = false;
    free(space);
    return ok;
}

/* It comes to nothing. */
static void give_up(struct storing *st)
{
    piece_end(&st->mover);
    unlock(st);
    remove_pieces(st);
    end_storing(st);
}

/* The pieces are there, if there are any. */
static void store_object(struct storing *st)
{
    if (!store_one(st, &st->object, !st->note.object)) {
        give_up(st);
        return;
    }
    if (st->note.object && !store_one(st, &st->note, true)) {
        object_put(st->note.object);
        st->note.object = NULL;
        unlock(st);
    }
}

/* ---- the pieces ---- */

/* Nothing has to be known of the answer: what is stored without the lock is judged by its fencing number. */
static void extend(struct storing *st)
{
    struct cache_sharing *all = st->sharing;
    uint64_t now = clock_now_ns();
    if (now - st->extended_ns < fleet_conf(all->fleet)->lock_ms * MS / EXTEND_PARTS)
        return;
    const struct slice keys[] = {st->lock_key};
    const struct slice args[] = {{st->token, st->token_len}, all->fixed.lock_ttl};
    st->extended_ns = now;
    (void)!redis_eval(all->redis, st->node, NULL, REDIS_CACHE_EXTEND, (struct redis_words){keys, 1},
                      (struct redis_words){args, 2});
}

static void on_piece(struct redis_call *call, const struct redis_reply *reply)
{
    struct storing *st = (struct storing *)(void *)((struct piece_call *)(void *)call)->mover; /* first */
    struct cache_sharing *all = st->sharing;
    piece_was_done(&st->mover);
    if (!reply || reply->kind != REDIS_INTEGER) {
        give_up(st);
    } else if (st->mover.done == st->mover.n) {
        store_object(st);
    } else {
        extend(st);
        piece_enter(&st->mover);
    }
    piece_give_turns(all);
}

static bool send_piece(struct storing *st)
{
    struct cache_sharing *all = st->sharing;
    const struct object *o = st->object.object;
    struct buf b = worker_scratch(all->worker);
    char index[24], keep[24];
    size_t i = st->mover.sent;
    int64_t fresh_us, keep_ms;
    const struct entry_options opt = {.compress = st->compress, .packer = all->packer};
    char *space = st->compress == CACHE_COMPRESS_OFF ? NULL : malloc(ENTRY_PIECE);
    lives_of(cached_of(o), cache_now_ms(), &fresh_us, &keep_ms);
    const struct slice keys[] = {cache_sharing_pieces_key(all, cached_of(o)->version, &b)};
    const struct slice args[] = {number(index, sizeof(index), (int64_t)i),
                                 entry_piece_encode(o, i, &opt, space, &st->pieces[i]),
                                 number(keep, sizeof(keep), keep_ms + PIECES_MORE)};
    struct redis_call *call = piece_call_of(&st->mover);
    call->done = on_piece;
    bool ok = !b.failed && redis_eval(all->redis, st->node, call, REDIS_CACHE_PIECE,
                                      (struct redis_words){keys, 1}, (struct redis_words){args, 3});
    free(space);
    if (ok)
        piece_was_sent(&st->mover);
    return ok;
}

static void send_next(struct piece_mover *m)
{
    struct storing *st = (struct storing *)(void *)m;
    if (!send_piece(st))
        give_up(st);
}

/* ---- for the exchange ---- */

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
    bool fits = o && (!o->body || o->body->cap <= cache_conf_of(x)->shared_max);
    struct storing *st = fits ? new_storing(s, o) : NULL;
    if (!st) {
        cache_share_release(x);
        return;
    }
    s->is_granted = false;
    wheel_cancel(&s->timer);
    st->note.object = note_of(x, o);
    if (st->mover.n > 0)
        piece_enter(&st->mover);
    else
        store_object(st);
}
