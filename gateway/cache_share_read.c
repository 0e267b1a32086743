/*
 * cache_share_read.c: the part of cache_share.h that reads bodies which lie in Redis in pieces.
 *
 * The object is made with its body, which is not filled yet; each piece goes from its reply to its place, and
 * is looked at before: nothing that is not what the entry says gets any further. Replies of a node
 * come in the order of the questions, so what is filled grows from the front.
 *
 * When it streams, the exchange leads a flight, and all read from that, from the first piece on. Before,
 * what is wrong with pieces is as if the object were not there; in the middle the flight breaks, as when a
 * backend breaks off. In both cases the object is dropped from Redis, so that the next one fetches it. That
 * all pieces are there is asked first, so that it hardly ever breaks in the middle.
 */
#include "gateway/cache_share_internal.h"

struct cache_reading {
    struct piece_mover mover; /* first */
    struct cache_share *share;
    struct object *head;   /* without body */
    struct object *object; /* with it, which is being filled; NULL before */
    size_t body_len;
    struct redis_call count;
    bool streams;
    bool has_begun; /* the flight has the body */
    struct entry_piece pieces[];
};

static void send_next(struct piece_mover *m);

bool cache_reading_prepare(struct cache_share *s, const struct entry *e, struct object *o)
{
    struct exchange *x = s->exchange;
    size_t n = entry_pieces(e->body_len);
    struct cache_reading *r = arena_alloc(&x->arena, sizeof(*r) + n * sizeof(r->pieces[0]));
    if (!r)
        return false;
    memset(r, 0, sizeof(*r));
    r->mover =
        (struct piece_mover){.sharing = cache_sharing_of(x), .send = send_next, .node = s->node, .n = n};
    r->share = s;
    r->head = object_get(o);
    r->body_len = (size_t)e->body_len;
    for (size_t i = 0; i < n; i++)
        r->pieces[i] = entry_piece_of(e, i);
    s->reading = r;
    return true;
}

void cache_reading_end(struct cache_share *s)
{
    struct cache_reading *r = s->reading;
    if (!r)
        return;
    s->reading = NULL;
    redis_call_cancel(&r->count);
    piece_end(&r->mover);
    cache_hold(&r->head, NULL);
    cache_hold(&r->object, NULL);
}

struct object *cache_reading_object(const struct cache_share *s)
{
    return object_get(s->reading->object);
}

/* ---- what may go wrong ---- */

static void drop(const struct cache_reading *r)
{
    cache_share_drop(r->mover.sharing, r->mover.node, &r->head->key, cached_of(r->head)->version);
}

static void break_flight(struct exchange *x)
{
    cache_lost(x, REASON_UPSTREAM_TRUNCATED);
    if (x->is_orphan)
        exchange_wake(x);
}

/* Once; then with ANSWER. */
static void look_again(struct cache_share *s, enum cache_share_answer answer)
{
    if (cache_share_look_again(s))
        return;
    s->answer = answer;
    cache_share_go_on(s);
}

/* As if the object were not there. WRONG: it is no good; otherwise the node has not answered. */
static void lose(struct cache_reading *r, bool is_wrong)
{
    struct cache_share *s = r->share;
    bool has_begun = r->has_begun;
    if (is_wrong)
        drop(r);
    cache_reading_end(s);
    if (has_begun) {
        break_flight(s->exchange);
        return;
    }
    if (is_wrong) {
        look_again(s, SHARE_ABSENT);
        return;
    }
    s->answer = SHARE_GONE;
    cache_share_go_on(s);
}

/* ---- the pieces ---- */

/* All is there. When it was purged meanwhile, those that read it already go on. */
static void finish(struct cache_reading *r)
{
    struct cache_share *s = r->share;
    struct exchange *x = s->exchange;
    bool has_begun = r->has_begun, is_in = object_store_put(cache_store_of(x), r->object);
    struct object *o = object_get(r->object);
    cache_reading_end(s);
    if (has_begun) {
        flight_land_stored(&x->caching.reader, o);
        object_put(o);
        if (x->is_orphan)
            exchange_wake(x);
        return;
    }
    if (!is_in) {
        object_put(o);
        look_again(s, SHARE_ABSENT);
        return;
    }
    cache_hold(&s->object, o);
    s->answer = SHARE_FOUND;
    cache_share_go_on(s);
}

/* Bytes of the body that are there. */
static size_t filled(const struct cache_reading *r)
{
    return r->mover.done < r->mover.n ? r->mover.done * ENTRY_PIECE : r->body_len;
}

static void advance(struct cache_reading *r, size_t before)
{
    struct cache_share *s = r->share;
    if (r->has_begun)
        flight_filled(&s->exchange->caching.reader, filled(r) - before);
    if (r->mover.done == r->mover.n) {
        finish(r);
        return;
    }
    if (r->streams && !r->has_begun && s->state == SHARE_READING) {
        s->answer = SHARE_STREAMS;
        cache_share_go_on(s);
    }
    piece_enter(&r->mover);
}

static void on_piece(struct redis_call *call, const struct redis_reply *reply)
{
    struct cache_reading *r =
        (struct cache_reading *)(void *)((struct piece_call *)(void *)call)->mover; /* its first member */
    struct cache_sharing *all = r->mover.sharing;
    size_t i = r->mover.done, before = filled(r);
    bool ok = reply && reply->kind == REDIS_TEXT &&
              entry_piece_decode(&r->pieces[i], i, reply->text, all->packer, r->object->body);
    piece_was_done(&r->mover);
    if (ok)
        advance(r, before);
    else
        lose(r, reply && reply->kind != REDIS_FAILED);
    piece_give_turns(all);
}

static bool send_piece(struct cache_reading *r)
{
    struct cache_sharing *all = r->mover.sharing;
    struct buf b = worker_scratch(all->worker);
    const struct slice key = cache_sharing_pieces_key(all, cached_of(r->head)->version, &b);
    size_t from = b.len;
    buf_add_u64(&b, r->mover.sent);
    const struct slice words[] = {SLICE("HGET"), key, {b.p + from, b.len - from}};
    struct redis_call *call = piece_call_of(&r->mover);
    call->done = on_piece;
    if (b.failed || !redis_send(all->redis, r->mover.node, call, &(struct redis_command){words, 3}))
        return false;
    piece_was_sent(&r->mover);
    return true;
}

static void send_next(struct piece_mover *m)
{
    struct cache_reading *r = (struct cache_reading *)(void *)m;
    if (!send_piece(r))
        lose(r, false);
}

static void on_count(struct redis_call *call, const struct redis_reply *reply)
{
    struct cache_reading *r =
        (struct cache_reading *)(void *)((char *)call - offsetof(struct cache_reading, count));
    bool ok = reply && reply->kind == REDIS_INTEGER && reply->integer == (int64_t)r->mover.n;
    if (!ok)
        lose(r, reply && reply->kind != REDIS_FAILED);
}

static bool send_count(struct cache_reading *r)
{
    struct cache_sharing *all = r->mover.sharing;
    struct buf b = worker_scratch(all->worker);
    const struct slice words[] = {SLICE("HLEN"),
                                  cache_sharing_pieces_key(all, cached_of(r->head)->version, &b)};
    r->count.done = on_count;
    return !b.failed && redis_send(all->redis, r->mover.node, &r->count, &(struct redis_command){words, 2});
}

/* ---- for the exchange ---- */

/* The object, and room for its body. */
static bool make_object(struct cache_reading *r)
{
    struct object_store *store = cache_store_of(r->share->exchange);
    struct object_body *body = object_body_new(store, &r->head->key, r->body_len);
    r->object = body ? cached_with_body(store, r->head, body) : NULL;
    object_body_put(body);
    return r->object != NULL;
}

bool cache_share_read(struct exchange *x, bool streams)
{
    struct cache_share *s = x->caching.share;
    struct cache_reading *r = s->reading;
    r->streams = streams;
    /* What fails at once is not to wake the exchange, which is not parked yet. */
    bool has_turn = r->mover.sharing->npieces < PIECES_MAX;
    if (!make_object(r) || !send_count(r) || (has_turn && !send_piece(r))) {
        cache_reading_end(s);
        return false;
    }
    s->state = SHARE_READING;
    if (!has_turn)
        piece_enter(&r->mover);
    return true;
}

void cache_share_stream(struct exchange *x)
{
    struct caching *c = &x->caching;
    struct cache_reading *r = c->share->reading;
    const struct flight_answer a = {.head = r->object,
                                    .body = object_body_get(r->object->body),
                                    .filled = filled(r),
                                    .has_length = true,
                                    .max = r->object->body->cap,
                                    .is_shared = true,
                                    .was_stored = true};
    r->has_begun = true;
    flight_begin_body(&c->reader, &a);
}

uint64_t cache_share_length(const struct exchange *x)
{
    return x->caching.share->reading->body_len;
}

bool cache_share_is_reading(const struct exchange *x)
{
    return x->caching.share && x->caching.share->reading && x->caching.share->reading->has_begun;
}
