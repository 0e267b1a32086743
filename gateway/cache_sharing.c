/*
 * cache_sharing.c: the part of cache_share.h that a worker has once: the keys, and the line of those that
 * move pieces. See cache_share_internal.h.
 */
#include "gateway/cache_share_internal.h"

#include <stdlib.h>

/* ---- keys ---- */

struct slice cache_sharing_key(struct slice begin, struct slice name, struct buf *b)
{
    size_t from = b->len;
    buf_add(b, begin);
    buf_add(b, name);
    return b->failed ? (struct slice){"", 0} : (struct slice){b->p + from, b->len - from};
}

void cache_sharing_keys(const struct cache_sharing *s, const struct object_key *key, struct buf *b,
                        struct slice *keys)
{
    keys[KEY_OBJECT] = cache_sharing_key(s->fixed.object, key->text, b);
    keys[KEY_META] = s->fixed.meta;
    keys[KEY_GROUP] = cache_sharing_key(s->fixed.group, (struct slice){key->text.p, key->group_len}, b);
    keys[KEY_PREFIXES] = s->fixed.prefixes;
    keys[KEY_FENCE] = s->fixed.fence;
}

/* The digits of its bytes as they lie there, which are those that scripts see. */
struct slice cache_sharing_pieces_key(const struct cache_sharing *s, uint64_t version, struct buf *b)
{
    unsigned char bytes[sizeof(version)];
    size_t from = b->len;
    memcpy(bytes, &version, sizeof(version));
    buf_add(b, s->fixed.pieces);
    for (size_t i = 0; i < sizeof(bytes); i++)
        buf_add_hex(b, bytes[i], 2);
    return b->failed ? (struct slice){"", 0} : (struct slice){b->p + from, b->len - from};
}

static void make_fixed(struct cache_sharing *s)
{
    struct fixed_words *f = &s->fixed;
    struct slice prefix = slice_of(fleet_conf(s->fleet)->prefix);
    struct buf b;
    buf_init(&b, f->space, sizeof(f->space));
    f->meta = cache_sharing_key(prefix, SLICE(":meta"), &b);
    f->prefixes = cache_sharing_key(prefix, SLICE(":prefixes"), &b);
    f->fence = cache_sharing_key(prefix, SLICE(":fence"), &b);
    f->recent = cache_sharing_key(prefix, SLICE(":recent"), &b);
    f->object = cache_sharing_key(prefix, SLICE(":o:"), &b);
    f->group = cache_sharing_key(prefix, SLICE(":g:"), &b);
    f->tag = cache_sharing_key(prefix, SLICE(":t:"), &b);
    f->lock = cache_sharing_key(prefix, SLICE(":lock:"), &b);
    f->pieces = cache_sharing_key(prefix, SLICE(":p:"), &b);
    size_t from = b.len;
    buf_add_u64(&b, fleet_conf(s->fleet)->lock_ms);
    f->lock_ttl = (struct slice){b.p + from, b.len - from};
    CHECK(!b.failed); /* a prefix has 64 bytes at most */
}

/* ---- life ---- */

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
    cache_storing_free(s);
    entry_packer_free(s->packer);
    free(s);
}

/* ---- the line ---- */

static void leave(struct piece_mover *m)
{
    struct cache_sharing *all = m->sharing;
    if (!m->is_listed)
        return;
    m->is_listed = false;
    if (m->prev)
        m->prev->next = m->next;
    else
        all->first_mover = m->next;
    if (m->next)
        m->next->prev = m->prev;
    else
        all->last_mover = m->prev;
}

static void enter(struct piece_mover *m)
{
    struct cache_sharing *all = m->sharing;
    if (m->is_listed || m->sent == m->n || m->sent - m->done == PIECE_WINDOW)
        return;
    m->is_listed = true;
    m->next = NULL;
    m->prev = all->last_mover;
    if (m->prev)
        m->prev->next = m;
    else
        all->first_mover = m;
    all->last_mover = m;
}

/* Whose turn fails may end others', or be the reason for this to be called again: the outermost goes on. */
void piece_give_turns(struct cache_sharing *all)
{
    if (all->gives_turns)
        return;
    all->gives_turns = true;
    while (all->first_mover && all->npieces < PIECES_MAX) {
        struct piece_mover *m = all->first_mover;
        leave(m);
        m->send(m);
    }
    all->gives_turns = false;
}

void piece_enter(struct piece_mover *m)
{
    struct cache_sharing *all = m->sharing;
    enter(m);
    piece_give_turns(all);
}

struct redis_call *piece_call_of(struct piece_mover *m)
{
    struct piece_call *c = &m->calls[m->sent % PIECE_WINDOW];
    c->mover = m;
    return &c->call;
}

void piece_was_sent(struct piece_mover *m)
{
    m->sent++;
    m->sharing->npieces++;
    enter(m);
}

void piece_was_done(struct piece_mover *m)
{
    m->done++;
    m->sharing->npieces--;
}

void piece_end(struct piece_mover *m)
{
    struct cache_sharing *all = m->sharing;
    leave(m);
    all->npieces -= m->sent - m->done;
    m->sent = m->done = m->n;
    for (size_t i = 0; i < PIECE_WINDOW; i++)
        redis_call_cancel(&m->calls[i].call);
    piece_give_turns(all);
}
