/*
 * cache_share_internal.h: what the parts of cache_share.h share: cache_sharing.c (what a worker has),
 * cache_share.c (asking), cache_share_read.c and cache_share_store.c (bodies in pieces, and storing). Nobody
 * else includes it.
 */
#ifndef GATEWAY_CACHE_SHARE_INTERNAL_H
#define GATEWAY_CACHE_SHARE_INTERNAL_H

#include "gateway/cache_internal.h"
#include "gateway/cached.h"
#include "gateway/entry.h"
#include "gateway/fleet.h"
#include "gateway/redis.h"
#include "lib/dlock.h"

#define MS UINT64_C(1000000)

/* ---- pieces, in turns ---- */

#define PIECE_WINDOW 4 /* of one body that are asked for at once */
#define PIECES_MAX   8 /* of all bodies of a worker */

struct piece_mover;

struct piece_call {
    struct redis_call call; /* first */
    struct piece_mover *mover;
};

/*
 * A body that is read or stored piece by piece. Whoever has pieces to send for stands in line, so that no
 * more than PIECES_MAX are under way on a worker's links: what is behind them, lookups too, waits no longer
 * than those take, and a deadline is met.
 */
struct piece_mover {
    struct cache_sharing *sharing;
    void (*send)(struct piece_mover *m); /* its next piece: piece_send, or it fails. It may not come back */
    size_t node, n;                      /* pieces in all */
    size_t sent, done;
    bool is_listed;
    struct piece_mover *next, *prev;
    struct piece_call calls[PIECE_WINDOW];
};

/* Stand in line, if there is a piece left that may be sent for; then those in front get their turns. */
void piece_enter(struct piece_mover *m);
void piece_give_turns(struct cache_sharing *all);

/* Where a piece's call goes, and that it was sent. */
struct redis_call *piece_call_of(struct piece_mover *m);
void piece_was_sent(struct piece_mover *m);

/* The oldest one that is under way was answered. */
void piece_was_done(struct piece_mover *m);

/* No more of it; the others get their turns. */
void piece_end(struct piece_mover *m);

/* ---- a worker's ---- */

#define SHARE_TABLE 512

/* Keys that are the same for all objects, what those of an object begin with, and texts that do not change.
 */
struct fixed_words {
    struct slice meta, prefixes, fence, recent, object, group, tag, lock, pieces, lock_ttl;
    char space[640];
};

struct storing;

struct cache_sharing {
    struct worker *worker;
    struct fleet *fleet;
    struct redis *redis;
    struct entry_packer *packer;
    struct fixed_words fixed;
    struct entry entry; /* of the reply that is being looked at */
    struct storing *storing;
    struct piece_mover *first_mover, *last_mover; /* in line */
    size_t npieces;                               /* under way */
    bool gives_turns;
    _Atomic uint32_t nlisted; /* in the table; written by the worker's thread */
    struct cache_share *table[SHARE_TABLE];
};

static inline struct cache_sharing *cache_sharing_of(const struct exchange *x)
{
    return x->worker->sharing;
}

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

/* BEGIN, one of the fixed words, and NAME, in B. */
struct slice cache_sharing_key(struct slice begin, struct slice name, struct buf *b);

/* Those of REDIS_CACHE_READ but the lock's, which whoever asks has; KEYS has KEY_FIXED places. */
void cache_sharing_keys(const struct cache_sharing *s, const struct object_key *key, struct buf *b,
                        struct slice *keys);

/* Of the pieces of VERSION. */
struct slice cache_sharing_pieces_key(const struct cache_sharing *s, uint64_t version, struct buf *b);

/* ---- an exchange's ---- */

enum share_state { SHARE_IDLE, SHARE_ASKING, SHARE_ANSWERED, SHARE_WAITING, SHARE_READING };

struct cache_reading;

struct cache_share {
    struct redis_call call; /* first */
    struct exchange *exchange;
    enum share_state state;
    enum cache_share_answer answer;
    bool locks, is_busy, has_news, was_asked;
    bool is_granted;
    bool was_repeated; /* the node did not have the script */
    bool has_lost;     /* an entry, or pieces, that were not what they ought to be, once */
    size_t node;
    uint32_t session;      /* with the node; or without any, when nobody was asked */
    struct object_key key; /* that was asked for, in the exchange's arena */
    struct slice lock_key;
    uint64_t since, store_since;
    uint64_t sent_ns, begun_ns;
    struct object *object;         /* SHARE_FOUND, SHARE_PIECES */
    struct cache_reading *reading; /* SHARE_PIECES, and while they come; in the arena */
    struct redis_call extension;
    struct wheel_entry timer; /* to look again, or to extend */
    uint64_t hash;
    bool is_listed;
    struct cache_share *next, *prev;
    uint64_t random[2]; /* of the token that the lock is asked for with */

    /* not cleared: made when the lock is granted */
    struct dlock lock;
    struct dlock_node lock_node;
};

/* It is answered: on with its exchange. */
void cache_share_go_on(struct cache_share *s);

/* Ask once more. From the loop. */
void cache_share_ask_again(struct cache_share *s);

/* Give back the lock of KEY. Nothing has to be done about it when its node is gone: the key expires. */
void cache_share_unlock(struct cache_sharing *all, size_t node, const struct object_key *key,
                        struct slice lock_key, struct slice token);

/* What lies under KEY, if it is VERSION, is no good: away with it. Best effort. */
void cache_share_drop(struct cache_sharing *all, size_t node, const struct object_key *key, uint64_t version);

/* Ask once more, after what was found was no good. False: that was done already. From the loop. */
MUST_USE bool cache_share_look_again(struct cache_share *s);

/* O, whose body is in pieces, was found: get ready to read them. False: memory is short. */
MUST_USE bool cache_reading_prepare(struct cache_share *s, const struct entry *e, struct object *o);
void cache_reading_end(struct cache_share *s);

/* What is being read: a reference. */
struct object *cache_reading_object(const struct cache_share *s);

/* What is left when the worker ends. */
void cache_storing_free(struct cache_sharing *s);

#endif
