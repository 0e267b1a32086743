/*
 * admin_query.h: the path and the query of a request to the admin port.
 *
 *     struct admin_query q;
 *     if (!admin_query_parse(&q, text, &why) || !admin_query_check(&q, "backend state", &why)) ... // 400
 *     const char *state = admin_query_get(&q, "state");
 *
 * Strict, because a parameter that is passed over silently is an order that was not followed: a name that the
 * page does not know, one that is given twice, a bad escape and %00 are refused, each by a sentence that says
 * what it is about. "+" is a space and "a" is "a=", as in forms.
 *
 * Owned by one thread. Source: WHATWG URL, 5.1 (application/x-www-form-urlencoded), but for the strictness.
 */
#ifndef GATEWAY_ADMIN_QUERY_H
#define GATEWAY_ADMIN_QUERY_H

#include "lib/buf.h"

#define ADMIN_QUERY_MAX 16  /* parameters */
#define ADMIN_WHY_MAX   512 /* bytes that a sentence takes at most */

struct admin_query {
    size_t n;
    struct {
        const char *name, *value; /* without escapes */
    } at[ADMIN_QUERY_MAX];
};

/* TEXT is what follows the '?', NUL-terminated; it is changed and has to live as long as Q. False with the
 * reason in WHY. */
MUST_USE bool admin_query_parse(struct admin_query *q, char *text, struct buf *why);

/* Whether all names are among KNOWN, names with a space in between. False with the reason in WHY. */
MUST_USE bool admin_query_check(const struct admin_query *q, const char *known, struct buf *why);

/* Whether PATH is PATTERN, whose last segment "{...}" stands for any that is not empty. */
MUST_USE bool admin_path_matches(const char *pattern, const char *path);

/* NULL: it is not there. */
const char *admin_query_get(const struct admin_query *q, const char *name);

#endif
