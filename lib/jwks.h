/*
 * jwks.h: a set of keys that signatures are verified with.
 *
 * Made once from a JSON Web Key Set, from PEM or from a shared secret; never changed afterwards, counted, and
 * shared by all threads. To replace the keys, make a new set and let the old one go.
 *
 *     struct jwks_report report;
 *     struct jwks *keys = jwks_parse(json, &report, &e);       // NULL: no key in it is usable
 *     log("%u keys, %u passed over", report.usable, report.passed_over);
 *     enum jwks_verdict v = jwks_verify(keys, &signature);
 *     jwks_put(keys);
 *
 * A key that cannot be used is passed over and counted, as RFC 7517, section 5 asks. Several keys may have
 * the same name; each is tried. A key without a name (PEM, a secret) serves every name.
 *
 * Every function may be called from any thread. Sources: RFC 7517, RFC 7515.
 */
#ifndef LIB_JWKS_H
#define LIB_JWKS_H

#include "lib/err.h"
#include "lib/jwk.h"

#define JWKS_TEXT_MAX  ((size_t)1 << 20) /* bytes of a set's text */
#define JWKS_KEYS_MAX  256               /* further ones are passed over */
#define JWKS_TRIES_MAX 8                 /* keys tried for one signature */

struct jwks;

struct jwks_report {
    unsigned usable;
    unsigned passed_over;
    unsigned faults[JWK_FAULT_COUNT]; /* how many had which; past JWKS_KEYS_MAX: JWK_OK */
    uint32_t algs;                    /* JWK_BITs that some key serves */
};

/* What is to be verified. */
struct jws {
    enum jwk_alg alg;
    bool has_kid;
    struct slice kid;
    struct slice text;      /* what was signed */
    struct slice signature; /* decoded */
};

enum jwks_verdict {
    JWKS_VALID,
    JWKS_INVALID,
    JWKS_NO_KEY, /* none with this name that serves the algorithm: the set may be out of date */
};

/* REPORT and E may be NULL. Gives a reference. */
MUST_USE struct jwks *jwks_parse(struct slice json, struct jwks_report *report, struct err *e);

/* One public key or several in PEM ("BEGIN PUBLIC KEY"); every one has to be usable. */
MUST_USE struct jwks *jwks_from_pem(struct slice pem, struct err *e);
MUST_USE struct jwks *jwks_from_secret(struct slice secret, struct err *e);
struct jwks *jwks_get(struct jwks *keys);

/* NULL is allowed. */
void jwks_put(struct jwks *keys);
unsigned jwks_count(const struct jwks *keys);

MUST_USE enum jwks_verdict jwks_verify(const struct jwks *keys, const struct jws *signature);

#endif
