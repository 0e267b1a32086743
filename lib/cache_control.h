/*
 * cache_control.h: what Cache-Control says, in a request or an answer.
 *
 *     struct cache_control cc;
 *     cache_control_read(fields, SLICE("Cache-Control"), &cc);
 *     if (cc.says & CC_NO_STORE) ...
 *     if (cc.says & CC_MAX_AGE) lifetime = cc.max_age_s;
 *
 * Read to be safe rather than kind, for a cache that errs must err to asking the origin:
 *   - names in any case, values as a token or in quotes, white space where lists have it; all fields of the
 *     name together; unknown directives are passed over, with their values;
 *   - an element that is broken ("max-age=1 0", "no-store=x y") says what its name says, as far as that
 *     restricts; a broken time counts as 0;
 *   - of several values of one directive the most restrictive counts: the shortest time that the directive
 *     allows;
 *   - times are whole seconds, as large as may be (CC_FOREVER at most); max-stale without a value is
 *     CC_FOREVER;
 *   - private and no-cache with names of fields are told apart from those without, and the latter win. When
 *     there are more names than fit, or one that is none, they count as those without.
 *
 * Names are slices of the fields. Pure functions, any thread. Sources: RFC 9111, 5.2 and 4.2.1; RFC 5861; RFC
 * 8246; RFC 9213.
 */
#ifndef LIB_CACHE_CONTROL_H
#define LIB_CACHE_CONTROL_H

#include "lib/check.h"
#include "lib/http.h"

#define CC_FOREVER   (INT64_MAX / 4) /* seconds: sums of a few of them do not overflow */
#define CC_NAMES_MAX 16

enum cc_directive {
    CC_MAX_AGE = 1 << 0,
    CC_S_MAXAGE = 1 << 1,
    CC_NO_STORE = 1 << 2,
    CC_NO_CACHE = 1 << 3,        /* without names */
    CC_NO_CACHE_FIELDS = 1 << 4, /* with names, and not CC_NO_CACHE */
    CC_PRIVATE = 1 << 5,         /* without names */
    CC_PRIVATE_FIELDS = 1 << 6,  /* with names, and not CC_PRIVATE */
    CC_PUBLIC = 1 << 7,
    CC_MUST_REVALIDATE = 1 << 8,
    CC_PROXY_REVALIDATE = 1 << 9,
    CC_MUST_UNDERSTAND = 1 << 10,
    CC_NO_TRANSFORM = 1 << 11,
    CC_IMMUTABLE = 1 << 12,
    CC_STALE_WHILE_REVALIDATE = 1 << 13,
    CC_STALE_IF_ERROR = 1 << 14,
    CC_ONLY_IF_CACHED = 1 << 15,
    CC_MAX_STALE = 1 << 16,
    CC_MIN_FRESH = 1 << 17,
};

struct cache_control {
    uint32_t says;                                           /* enum cc_directive, or-ed */
    bool is_there;                                           /* the field was, whatever it said */
    int64_t max_age_s, s_maxage_s, max_stale_s, min_fresh_s; /* each with its CC_ only */
    int64_t stale_while_revalidate_s, stale_if_error_s;
    struct slice names[CC_NAMES_MAX]; /* of CC_NO_CACHE_FIELDS and CC_PRIVATE_FIELDS together */
    size_t nnames;
};

/* NAME is Cache-Control. */
void cache_control_read(struct http_fields fields, struct slice name, struct cache_control *out);

/*
 * The same from a targeted field (RFC 9213: CDN-Cache-Control and its like), which is a dictionary of
 * structured fields: it says something as a whole or not at all. False: it is not there, empty or malformed;
 * then *OUT says nothing. Directives whose value has the wrong type are passed over.
 */
MUST_USE bool cache_control_read_targeted(struct http_fields fields, struct slice name,
                                          struct cache_control *out);

/* Whether FIELD is among the names. */
bool cache_control_names(const struct cache_control *cc, struct slice field);

/* Whole seconds of digits alone, saturating at CC_FOREVER; false for anything else. */
MUST_USE bool cache_control_seconds(struct slice text, int64_t *seconds);

#endif
