/*
 * accept.h: the fields by which a client says what it prefers (RFC 9110, 12.4 and 12.5): Accept,
 * Accept-Encoding and their like.
 *
 *     struct accept_part part;
 *     while (accept_next(&field, &part))                        // "text/html;level=1;q=0.5, text/plain"
 *         if (slice_eq_nocase(part.name, SLICE("text/html")) && part.quality > best) ...
 *
 *     unsigned q = accept_quality(field, SLICE("gzip"), SLICE("*"));    // for one name
 *
 * Weights are thousandths: 1000 is q=1, which is also what holds when none is given. A weight that is not
 * understood counts as 0, so that it is not preferred. Pure functions over the caller's bytes, which may be
 * anything.
 */
#ifndef LIB_ACCEPT_H
#define LIB_ACCEPT_H

#include <stdbool.h>

#include "lib/check.h"
#include "lib/slice.h"

#define ACCEPT_FULL 1000 /* q=1 */

struct accept_part {
    struct slice name;       /* "text/html"; may be empty */
    struct slice parameters; /* what follows its first semicolon: "level=1;q=0.5" */
    unsigned quality;
};

/* Take the next part off *FIELD. False at the end. */
MUST_USE bool accept_next(struct slice *field, struct accept_part *part);

/* The value of the parameter NAME, without quotes around it; NULL in its p: there is none. */
struct slice accept_parameter(const struct accept_part *part, struct slice name);

/* The weight of NAME: what it is given itself, else what ANY ("*", or an empty slice for nothing) is given,
 * else 0. */
unsigned accept_quality(struct slice field, struct slice name, struct slice any);

#endif
