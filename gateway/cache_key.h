/*
 * cache_key.h: under which key the answer to a request lies.
 *
 * A key begins with its group, the URL: scheme, host in lower case, path in normal form, and of the query
 * what the route counts. Whatever else tells answers apart comes behind it: the route, the fields and
 * cookies that its conf names. Where answers vary by fields of the request (Vary), theirs lie under this key
 * and the variant: each of those fields with what the request has in it, in a normal form.
 *
 * Worker's thread only. Source: RFC 9111, 2 and 4.1.
 */
#ifndef GATEWAY_CACHE_KEY_H
#define GATEWAY_CACHE_KEY_H

#include "gateway/exchange.h"
#include "lib/object_store.h"

#define CACHE_VARY_MAX 16 /* names; an answer that varies by more is not kept */

/* What is said of a URL, from which its group follows. */
struct cache_url {
    struct slice scheme; /* "http" or "https" */
    struct slice authority;
    struct slice path; /* in normal form */
    struct slice query;
    bool has_query;
};

/* Add the group of URL to B, as CONF counts its query. */
void cache_key_add_group(const struct conf_cache *conf, const struct cache_url *url, struct buf *b);

/* The key of X's request, in its arena; an empty text: it does not fit. */
struct object_key cache_key_of(struct exchange *x);

/* The names that the Vary fields of ANSWER list, in lower case, in order, each once, apart by commas; with
 * those of MORE among them. In X's arena. False: too many, or "*", or a name that is none. */
MUST_USE bool cache_vary_names(struct exchange *x, struct http_fields answer, struct slice more,
                               struct slice *names);

/* What X's request has in the fields NAMES, in its arena; false when it does not fit. */
MUST_USE bool cache_variant(struct exchange *x, struct slice names, struct slice *variant);

/* KEY with VARIANT behind it, in X's arena. */
struct object_key cache_variant_key(struct exchange *x, const struct object_key *key, struct slice variant);

#endif
