/*
 * entry.h: an object of the response cache as it lies in Redis, and back.
 *
 *     buf_init(&b, memory, entry_size_max(o));
 *     if (entry_encode(o, &(struct entry_options){.packer = p, .now_ms = now_ms}, &b)) ...   // SET key b
 *     ...
 *     struct entry e;
 *     if (!entry_decode(bytes, &e)) ...                          // a miss
 *     o = entry_to_object(&e, &(struct entry_context){...});     // NULL: a miss, too
 *
 * All gateways of a fleet read it, of different machines and versions: numbers are little-endian, a version
 * stands in front and a checksum behind. What is not wholly in order is no entry. Whoever can write to Redis
 * can still put any answer there, but none that is no answer: kinds, statuses, names and values are those
 * that the cache itself stores.
 *
 * A body of more than ENTRY_PIECE bytes may lie apart, in pieces of that size, each with a checksum and
 * compressed by itself. The entry names them, and is written when they are there.
 *
 * Times are told as how long before the encoding they were, because the clocks of gateways differ: what
 * counts on the way back is the clock of who reads, and for how long the entry has lain there.
 *
 * Pure functions, any thread; a packer is used by one at a time.
 *
 * Sources: RFC 8878 (Zstandard); the xxHash specification (XXH3).
 */
#ifndef GATEWAY_ENTRY_H
#define GATEWAY_ENTRY_H

#include "gateway/cached.h"
#include "gateway/conf_cache.h"
#include "lib/buf.h"

/* Of larger bodies an entry has but a table of their pieces, which lie elsewhere. */
#define ENTRY_PIECE ((size_t)128 << 10)

/* The memory that compression works with; kept, so that none is asked for with each object. */
struct entry_packer;

/* NULL: no memory. */
MUST_USE struct entry_packer *entry_packer_new(void);
void entry_packer_free(struct entry_packer *p);

/* A piece of a body as it lies there. */
struct entry_piece {
    uint32_t len; /* bytes; fewer than of the body's: compressed */
    uint64_t sum;
};

struct entry_options {
    enum conf_cache_compress compress; /* of bodies for which it pays */
    struct entry_packer *packer;       /* NULL: none is compressed */
    int64_t now_ms;                    /* the clock by which O was stored */
    const struct entry_piece *pieces; /* of O's body, entry_pieces many; NULL: the body goes with the entry */
};

/* How many pieces a body of LEN bytes has. 0: it is not in pieces. */
size_t entry_pieces(uint64_t len);

/* Piece I of O's body as it is to lie there, and what OPT->pieces has to say of it. SPACE has ENTRY_PIECE
 * bytes, or is NULL: it is not compressed. What is given lies in the body or in SPACE. */
struct slice entry_piece_encode(const struct object *o, size_t i, const struct entry_options *opt,
                                char *space, struct entry_piece *piece);

/* Bytes that O takes at most, with its body and without. */
size_t entry_size_max(const struct object *o);
size_t entry_size_in_pieces(const struct object *o);

/* Add O to OUT, which has as much left. False, and nothing is added: it is not for others (a part,
 * a status that is none, a name or value of 64 KB), or OUT has not the room and has failed. */
MUST_USE bool entry_encode(const struct object *o, const struct entry_options *opt, struct buf *out);

/* What an entry says; slices of its bytes, which nothing is behind. Not to be copied: FIELDS lie in SPACE. */
struct entry {
    enum cached_kind kind;
    unsigned status;
    int64_t age_ms;              /* when it was encoded */
    int64_t answered_ago_ms;     /* before it was encoded */
    struct http_cache_life life; /* but for born_ms, which is 0 */
    struct object_key key;
    struct slice vary, variant;
    struct http_fields fields;
    bool has_body, is_packed, in_pieces;
    struct slice body; /* as it lies there; or the table of its pieces */
    uint64_t body_len; /* of the body itself, by what the entry says */
    struct http_field space[CACHED_FIELDS_MAX];
};

/* False: BYTES are no entry of this version. */
MUST_USE bool entry_decode(struct slice bytes, struct entry *out);

/* What E, whose body is in pieces, says of piece I < entry_pieces(E->body_len). */
struct entry_piece entry_piece_of(const struct entry *e, size_t i);

/* Put piece I of BODY, which lies there as BYTES, into its place. PACKER: NULL: compressed ones are refused.
 * False: it is not what PIECE says. */
MUST_USE bool entry_piece_decode(const struct entry_piece *piece, size_t i, struct slice bytes,
                                 struct entry_packer *packer, struct object_body *body);

struct entry_context {
    struct object_store *store;
    struct object_key key; /* what was asked for */
    uint64_t since;        /* object_store_now, before Redis was asked */
    int64_t now_ms;
    int64_t elapsed_ms;          /* for so long it has lain in Redis */
    size_t body_max;             /* bytes */
    struct entry_packer *packer; /* NULL: entries with compressed bodies are refused */
};

/* Gives a reference; not in the store yet. NULL: it is another key's, its body is too large or does not
 * unpack to what it says, or there is no room. Where the body is in pieces, the object is without it. */
MUST_USE struct object *entry_to_object(const struct entry *e, const struct entry_context *ctx);

#endif
