/*
 * http_conditions.h: conditional requests, answered by someone who has the representation.
 *
 *     struct http_validators v = http_validators_of(answer_fields, answered_s);
 *     if (http_not_modified(request_fields, &v, now_s)) ...            // 304
 *     if (range && http_range_holds(request_fields, &v, now_s)) ...    // 206, not 200
 *
 * If-None-Match goes before If-Modified-Since and compares weakly; "*" matches whatever there is. Without a
 * Last-Modified the date counts at which the answer was made. If-Match and If-Unmodified-Since are for
 * origins: a cache passes on requests that have them.
 *
 * Pure functions, any thread. Sources: RFC 9110, 8.8 and 13; RFC 9111, 4.3.2.
 */
#ifndef LIB_HTTP_CONDITIONS_H
#define LIB_HTTP_CONDITIONS_H

#include "lib/check.h"
#include "lib/http.h"

struct http_validators {
    struct slice etag;          /* empty: none */
    struct slice last_modified; /* as it was written; empty: none */
    int64_t date_s;             /* when the answer was made */
};

/* ANSWERED_S stands in where there is no Date. Slices of ANSWER. */
struct http_validators http_validators_of(struct http_fields answer, int64_t answered_s);

/* Whether the request says that its client has it already. */
MUST_USE bool http_not_modified(struct http_fields request, const struct http_validators *v, int64_t now_s);

/* Whether a Range may be answered: there is no If-Range, or it names this very representation. */
MUST_USE bool http_range_holds(struct http_fields request, const struct http_validators *v, int64_t now_s);

/* Entity tags; STRONG: both must be strong. */
MUST_USE bool http_etag_matches(struct slice a, struct slice b, bool strong);

#endif
