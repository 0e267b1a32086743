/*
 * jwks_source.h: sets of keys that are fetched by URL, and kept fresh.
 *
 * One thread (an actor) fetches them through libcurl; a worker only ever reads what is there. A source is
 * fetched when it is first wanted, again each `refresh`, and sooner when a token names a key that the set
 * does not have: at most once in `refetch`, so that made-up names cost the provider nothing. A fetch that
 * fails is tried again after 1 s, 2 s ... 1 min; the keys that were there stay in use.
 *
 *     source = jwks_source_open(fetcher, auth);                        // a snapshot, for as long as it lives
 *     keys = jwks_source_keys(source, worker);                         // NULL: not fetched yet, answer 503
 *     if (unknown key && jwks_source_refetch(source, now)) park until jwks_source_tries() changes
 *
 * Workers share a source without waiting for each other: each has a reference of its own to the newest set
 * and takes the lock only when there is a newer one.
 */
#ifndef GATEWAY_JWKS_SOURCE_H
#define GATEWAY_JWKS_SOURCE_H

#include "gateway/conf.h"
#include "gateway/log.h"
#include "lib/jwks.h"

struct jwks_fetcher;
struct jwks_source;

/* LOG outlives it. The thread begins with the first source. NULL when memory is short. */
MUST_USE struct jwks_fetcher *jwks_fetcher_new(unsigned nworkers, struct log *log);

/* When nobody uses a source any more. Waits for a fetch under way, which takes JWKS_FETCH_MS at most. */
void jwks_fetcher_free(struct jwks_fetcher *f);

#define JWKS_FETCH_MS 5000

/* The source that AUTH (of kind AUTH_JWT, with jwks_url) names: the same one for the same URL. NULL when
 * memory is short. Any thread. */
MUST_USE struct jwks_source *jwks_source_open(struct jwks_fetcher *f, const struct conf_auth *auth);

/* Lets go; NULL is allowed. Any thread. */
void jwks_source_close(struct jwks_source *s);

/* Good until the same worker asks again. NULL: no set was ever fetched. */
const struct jwks *jwks_source_keys(struct jwks_source *s, unsigned worker);

/* Ask for a fetch before its time. False: there was one just now. Any thread; never waits. */
bool jwks_source_refetch(struct jwks_source *s, uint64_t now_ns);

/* Fetches that have ended, well or not. Any thread. */
uint32_t jwks_source_tries(const struct jwks_source *s);

#endif
