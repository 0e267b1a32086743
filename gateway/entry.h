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

/* The memory that compression works with; kept, so that none is asked for with each object. */
struct entry_packer;

/* NULL: no memory. */
MUST_USE struct entry_packer *entry_packer_new(void);
void entry_packer_free(struct entry_packer *p);

struct entry_options {
    enum conf_cache_compress compress; /* of bodies for which it pays */
    struct entry_packer *packer;       /* NULL: none is compressed */
    int64_t now_ms;                    /* the clock by which O was stored */
};

/* Bytes that O takes at most. */
size_t entry_size_max(const struct object *o);

/* Add O to OUT, which has entry_size_max(O) left. False, and nothing is added: it is not for others (a part,
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
    bool has_body, is_packed;
    struct slice body; /* as it lies there */
    uint64_t body_len; /* of the body itself, by what the entry says */
    struct http_field space[CACHED_FIELDS_MAX];
};

/* False: BYTES are no entry of this version. */
MUST_USE bool entry_decode(struct slice bytes, struct entry *out);

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
 * unpack to what it says, or there is no room. */
MUST_USE struct object *entry_to_object(const struct entry *e, const struct entry_context *ctx);

#endif
