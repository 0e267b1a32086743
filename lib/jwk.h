/*
 * jwk.h: one public key or shared secret, made ready to verify signatures with.
 *
 * A key knows the algorithms it may serve: those of its own kind, size and curve, and of these only the one
 * that its "alg" names. Nothing else can be asked of it, so that an RSA key is never the secret of an HMAC.
 *
 *     struct jwk key;
 *     enum jwk_fault fault = jwk_from_json(json, &key);
 *     if (fault) count(fault);
 *     ...
 *     if (key.algs & JWK_BIT(JWK_RS256)) good = jwk_verify(&key, JWK_RS256, signed_text, signature);
 *     jwk_fini(&key);
 *
 * Taken: RSA of 2048 to 8192 bits, EC on P-256, P-384 and P-521, OKP with Ed25519 and Ed448, secrets at least
 * as long as the hash they are for. Refused: a key for something else by its "use" or "key_ops", a key that
 * carries its private half (it has no business here), RSA with an exponent that is even or 1.
 *
 * Verification only reads the key: any number of threads may do it at once. Sources: RFC 7517, RFC 7518
 * sections 3 and 6, RFC 8037, RFC 9864.
 */
#ifndef LIB_JWK_H
#define LIB_JWK_H

#include "lib/json.h"

struct evp_pkey_st;
struct evp_mac_ctx_st;
struct evp_md_ctx_st;

enum jwk_alg {
    JWK_HS256,
    JWK_HS384,
    JWK_HS512,
    JWK_RS256,
    JWK_RS384,
    JWK_RS512,
    JWK_PS256,
    JWK_PS384,
    JWK_PS512,
    JWK_ES256,
    JWK_ES384,
    JWK_ES512,
    JWK_EDDSA,   /* either curve: the key decides */
    JWK_ED25519, /* RFC 9864: the algorithm says the curve */
    JWK_ED448,
    JWK_ALG_COUNT,
};

#define JWK_BIT(alg)    (1u << (alg))
#define JWK_HMAC_ALGS   (JWK_BIT(JWK_HS256) | JWK_BIT(JWK_HS384) | JWK_BIT(JWK_HS512))
#define JWK_PUBLIC_ALGS (JWK_BIT(JWK_ALG_COUNT) - 1 - JWK_HMAC_ALGS)
#define JWK_KID_MAX     256 /* bytes of a key's name */

enum jwk_fault {
    JWK_OK,
    JWK_NOT_A_KEY,   /* no object, or without "kty" */
    JWK_BAD_KIND,    /* a "kty" or "crv" not known here */
    JWK_BAD_PURPOSE, /* "use" or "key_ops" say that it is not for verifying */
    JWK_BAD_ALG,     /* "alg" is not known here, or not of this kind of key */
    JWK_PRIVATE,     /* the private half is in it */
    JWK_WEAK,        /* too short, or an exponent that protects nothing */
    JWK_MALFORMED,   /* members that are missing or no base64url, a point that is not on its curve */
    JWK_NO_MEMORY,
    JWK_FAULT_COUNT,
};

struct jwk {
    struct slice kid; /* empty: has no name */
    char *kid_text;   /* owns it */
    uint32_t algs;    /* JWK_BITs it may serve; never 0 */
    unsigned half;    /* EC: bytes of each half of a signature */
    struct evp_pkey_st *pkey;
    struct evp_mac_ctx_st
        *mac[3]; /* a secret: keyed for SHA-256, -384 and -512, each when it is long enough */
};

/* By its name; case matters, "none" is not there. */
MUST_USE bool jwk_alg_parse(struct slice name, enum jwk_alg *alg);
const char *jwk_alg_name(enum jwk_alg alg);

/* Words for a fault: "is too weak". */
const char *jwk_fault_text(enum jwk_fault f);

/* Nothing needs jwk_fini unless JWK_OK came. */
MUST_USE enum jwk_fault jwk_from_json(const struct json *json, struct jwk *k);

/* A shared secret without a name, as raw bytes. */
MUST_USE enum jwk_fault jwk_from_secret(struct slice secret, struct jwk *k);

/* Takes PKEY when JWK_OK comes. */
MUST_USE enum jwk_fault jwk_from_pkey(struct evp_pkey_st *pkey, struct jwk *k);
void jwk_fini(struct jwk *k);

/* Whether SIGNATURE (in the form of JWS: ECDSA is r and s side by side) is of TEXT. False too when the key
 * does not serve ALG or memory ran out. Leaves the thread's queue of OpenSSL errors as it was. */
MUST_USE bool jwk_verify(const struct jwk *k, enum jwk_alg alg, struct slice text, struct slice signature);

#endif
