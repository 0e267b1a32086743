/*
 * cached.h: what is kept of an answer, in the meta bytes of an object of the store (lib/object_store.h).
 *
 *     struct object *o = cached_new(store, &(struct cached_parts){...});     // NULL: no room
 *     const struct cached *c = cached_of(o);
 *
 * Under the key of a request lies one of three: an answer; the names of the fields by which answers for it
 * vary, and then the answers lie under longer keys (cache_key.h); or a note that its answers are not kept,
 * so that nobody waits for another's. Immutable. Names and values of fields have a NUL behind them.
 *
 * Any thread.
 */
#ifndef GATEWAY_CACHED_H
#define GATEWAY_CACHED_H

#include "lib/http_cache.h"
#include "lib/http_conditions.h"
#include "lib/object_store.h"

#define CACHED_FIELDS_MAX 160

enum cached_kind { CACHED_ANSWER, CACHED_VARY, CACHED_NOTHING };

struct cached {
    enum cached_kind kind;
    unsigned status;
    uint64_t version;      /* tells it from others under its key, on all gateways */
    uint64_t first, total; /* of a part (206): where it begins, and the length of the whole; 0: a whole */
    struct http_cache_life life;
    struct http_fields fields;
    struct http_validators validators; /* slices of FIELDS */
    struct slice vary;                 /* names, as cache_vary_names gives them; may be empty */
    struct slice variant;              /* what the request for it said of them */
};

struct cached_parts {
    enum cached_kind kind;
    struct object_key key;
    unsigned status;
    uint64_t version;
    uint64_t first, total;
    struct http_cache_life life;
    int64_t answered_ms;
    struct http_fields fields; /* those to be kept; Date is added when it is not there */
    struct slice vary, variant;
    struct object_body *body; /* or NULL */
    uint64_t since;           /* object_store_now, before the backend was asked */
};

MUST_USE struct object *cached_new(struct object_store *store, const struct cached_parts *parts);

/* O, of which only this is known, with BODY. As cached_new; its mark is O's, too. */
MUST_USE struct object *cached_with_body(struct object_store *store, const struct object *o,
                                         struct object_body *body);

/* The tags that FIELDS name, each once; TAGS has OBJECT_TAGS_MAX places. How many. */
size_t cached_tags(struct http_fields fields, struct slice *tags);

static inline const struct cached *cached_of(const struct object *o)
{
    return o->meta;
}

/* Those of FIELDS that are not called NAME; OUT has CACHED_FIELDS_MAX places, and may be theirs. */
struct http_fields cached_without(struct http_fields fields, struct slice name, struct http_field *out);

/* The fields of OLD but Date, with those of a 304 in their place (RFC 9111, 3.2). OUT has CACHED_FIELDS_MAX
 * places. NEW is what may be kept of the 304's. */
MUST_USE struct http_fields cached_merge(struct http_fields old, struct http_fields new,
                                         struct http_field *out);

#endif
