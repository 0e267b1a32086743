/*
 * jwt.h: verification of JSON web tokens.
 *
 *     struct jwt_policy policy = {.algs = JWK_BIT(JWK_RS256) | JWK_BIT(JWK_ES256), .exp_required = true,
 *                                 .issuers = issuers, .issuer_count = 1, .leeway_s = 30};
 *     struct jwt_input in = {.token = bearer, .now_s = now_s, .arena = &request->arena};
 *     struct jwt token;
 *     enum jwt_result result = jwt_verify(&policy, keys, &in, &token);
 *     if (result != JWT_OK) refuse(jwt_result_text(result));
 *     if (jwt_claim(&token, SLICE("realm.team"), &request->arena, &team)) ...
 *
 * A token is text of at most JWT_TOKEN_MAX bytes in the compact form of JWS. It is taken when its algorithm
 * is one that the policy allows, a key of the set that serves this algorithm (and has the token's key name,
 * when both have one) verifies its signature, and every check of the policy holds. Nothing in a token chooses
 * a key but its name: "jku", "x5u", "jwk" and "x5c" are passed over, "crit" and "b64" are refused, "none" is
 * not an algorithm.
 *
 * The signature comes first: unless it is right, no claim is read, and no result says more than JWT_SIGNATURE
 * or JWT_NO_KEY. No result, name or text here holds a byte of the token or of a key.
 *
 * What comes out lives in the arena or in the token's text. Any number of threads may verify with the same
 * policy and keys, each with its own arena. Times are seconds since 1970 UTC.
 * Sources: RFC 7515, RFC 7519, RFC 8725, RFC 6750 for the words of refusals.
 */
#ifndef LIB_JWT_H
#define LIB_JWT_H

#include "lib/jwks.h"

#define JWT_TOKEN_MAX 8192

/* What a token has to be. Everything is lent and has to outlive what uses it; {0} allows no algorithm. */
struct jwt_policy {
    uint32_t algs;               /* JWK_BITs; HMAC and public-key algorithms may not be mixed */
    const struct slice *issuers; /* "iss" is one of these; none: not looked at */
    size_t issuer_count;
    const struct slice *audiences; /* "aud" has one of these; none: not looked at */
    size_t audience_count;
    const struct slice *required; /* claims that are there and not null: names or paths, as for jwt_claim */
    size_t required_count;
    struct slice
        typ; /* the header's "typ", in any case, with or without "application/"; empty: not looked at */
    bool exp_required;  /* a token that never expires is refused */
    uint32_t leeway_s;  /* what clocks may differ by */
    uint32_t max_age_s; /* "iat" is there and not older; 0: any age */
};

struct jwt_input {
    struct slice token;
    int64_t now_s;
    struct arena *arena;
};

enum jwt_result {
    JWT_OK,
    JWT_TOO_LONG,
    JWT_MALFORMED,   /* not three parts of canonical base64url with strict JSON */
    JWT_UNSUPPORTED, /* its header asks for what is not supported: "crit", "b64", encryption */
    JWT_ALGORITHM,   /* unknown or not allowed by the policy */
    JWT_TYPE,        /* not the "typ" that the policy wants */
    JWT_NO_KEY,      /* no key of this name and kind: the keys may be out of date */
    JWT_SIGNATURE,
    JWT_CLAIM_MALFORMED, /* a registered claim is of the wrong type */
    JWT_EXPIRED,
    JWT_NOT_YET, /* "nbf" or "iat" are in the future */
    JWT_TOO_OLD, /* issued longer ago than max_age_s */
    JWT_ISSUER,
    JWT_AUDIENCE,
    JWT_CLAIM_MISSING,
    JWT_NO_MEMORY, /* our fault, or a token that is built to need much of it */
    JWT_RESULT_COUNT,
};

struct jwt {
    enum jwk_alg alg;
    struct slice kid, iss, sub; /* empty when they are not there */
    bool has_exp, has_iat;
    int64_t exp_s, iat_s;
    const struct json *header, *claims; /* both objects */
};

/* *OUT is written only when JWT_OK comes. */
MUST_USE enum jwt_result jwt_verify(const struct jwt_policy *policy, const struct jwks *keys,
                                    const struct jwt_input *in, struct jwt *out);

/* Whether a policy can work at all: it allows some algorithm, and not both HMAC and public keys. */
MUST_USE bool jwt_policy_is_sane(const struct jwt_policy *policy);

/* A short fixed name for logs and metrics: "expired"; and a sentence for error_description, without quotes.
 */
const char *jwt_result_name(enum jwt_result r);
const char *jwt_result_text(enum jwt_result r);

/*
 * The claim at PATH: a name, or names joined by dots for objects within objects. A name that has dots itself
 * ("https://example.org/team") is found too; where both readings fit, the longer name wins.
 */
const struct json *jwt_claim_json(const struct jwt *t, struct slice path);

/*
 * A claim as text for a header, a limit's key or a log: a string as it is, a number or boolean as written, an
 * array of those joined by commas. False when it is not there, is null or an object, has control characters
 * (which would end a header), a comma inside of an array's element, or memory ran out.
 */
MUST_USE bool jwt_claim(const struct jwt *t, struct slice path, struct arena *a, struct slice *text);

/* Whether a claim is VALUE, or an array that has it, or (for "scope" and "scp" only) a list by spaces that
 * has it. */
bool jwt_claim_has(const struct jwt *t, struct slice path, struct slice value);

#endif
