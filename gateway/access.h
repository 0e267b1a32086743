/*
 * access.h: may this client use this route?
 *
 * A step of the path, behind the route and before its limits. A route names the ways to say who one is (API
 * keys, users with passwords, JSON web tokens, a service that is asked); any of them suffices, and they are
 * tried in the order of the route. Who came is kept for what follows: limits by consumer, tiers by plan,
 * fields for the backend, the log.
 *
 *     from a network that is not let in  403
 *     no credential, or a wrong one      401, with a challenge for each way
 *     a good one without a scope         403
 *     nobody can tell now                503: keys of tokens that were never fetched, too many logins at once
 *
 * What cannot be decided never lets anybody in. No credential is written to a log.
 */
#ifndef GATEWAY_ACCESS_H
#define GATEWAY_ACCESS_H

#include "gateway/conf.h"
#include "lib/buf.h"
#include "lib/wheel.h"

struct exchange;
struct login;
struct subrequest;

/* What an exchange has to do with it. */
struct access {
    const struct conf_auth *by; /* that let it in; NULL: none was asked for */
    struct slice consumer;      /* who: id of an API key, user, subject of a token; may be empty */
    struct slice plan;          /* its tier of limits; may be empty */
    const struct api_key *key;  /* AUTH_KEYS */
    struct subrequest *asked;   /* AUTH_EXTERNAL; NULL: nobody was */
    struct jwt jwt;             /* AUTH_JWT */

    size_t next;         /* of the route's ways, the one to try */
    unsigned refusals;   /* enum refusal of access.c, or-ed */
    struct login *login; /* being checked; see logins.h */
    bool has_asked;      /* for the check of a login, or for keys to be fetched */
    bool login_is_right;
    uint32_t tries; /* fetches of the keys that had ended when it began to wait */
    struct wheel_entry timer;
};

/* A claim of its token, or an attribute of its API key, as text; false when it has none. The text lives as
 * long as the exchange. */
MUST_USE bool access_claim(struct exchange *x, struct slice name, struct slice *value);

/* Whether a field of the client's request stays here: a credential, or one that only the gateway may send. */
bool access_owns(const struct exchange *x, struct slice name);

/* Add the fields that tell the backend who came. */
void access_add(struct exchange *x, struct buf *b);

#endif
