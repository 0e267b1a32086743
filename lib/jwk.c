/*
 * jwk.c: keys of JSON web signatures by OpenSSL 3; see jwk.h.
 *
 * Why OpenSSL's EVP and no JWT library. What Debian 12 and 13 have was weighed; of all these only OpenSSL and
 * GnuTLS are linked anyway, by libcurl and libmicrohttpd:
 *
 * - libjwt 1.x: no key sets, no EdDSA, no RSA-PSS in Debian 12; a key is parsed anew for each token; compared
 *   HMACs with strcmp (CVE-2024-25189). Its later version 3 took an RSA key for an empty HMAC secret
 *   (CVE-2026-44699), the very mix-up that this module is built to rule out.
 *
 * - rhonabwy 1.1: has every algorithm and key sets, but brings nettle, jansson, two more libraries and a
 *   second libcurl; compared HMACs with strcmp (CVE-2024-25714); imports the key for each token.
 *
 * - cjose 0.6: no EdDSA; a hole in its decryption (CVE-2023-37464); lives on as a fork.
 *
 * - GnuTLS could serve as well, and is the second choice; nettle would leave padding and DER to us.
 *
 * OpenSSL 3 has every algorithm, is kept in repair for as long as either release, and verifies with a key
 * that is made once and that threads share.
 *
 * Invariant: `algs` is decided once, from kind, size and curve, when the key is read; jwk_verify looks at
 * nothing else. An algorithm that is not in it is not tried, whatever a token says.
 */
#include "lib/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "lib/base64.h"

#define RSA_MIN_BITS   2048
#define RSA_MAX_BITS   8192 /* verifying takes the square of it */
#define RSA_MAX_E_BITS 64
#define BYTES_MAX      2048 /* of one member of a key */

static const struct alg {
    const char *name;
    const char *hash; /* NULL: the algorithm has its own */
    int hash_bytes;
    bool is_pss;
} algs[JWK_ALG_COUNT] = {
    [JWK_HS256] = {"HS256", "SHA256", 32, false}, [JWK_HS384] = {"HS384", "SHA384", 48, false},
    [JWK_HS512] = {"HS512", "SHA512", 64, false}, [JWK_RS256] = {"RS256", "SHA256", 32, false},
    [JWK_RS384] = {"RS384", "SHA384", 48, false}, [JWK_RS512] = {"RS512", "SHA512", 64, false},
    [JWK_PS256] = {"PS256", "SHA256", 32, true},  [JWK_PS384] = {"PS384", "SHA384", 48, true},
    [JWK_PS512] = {"PS512", "SHA512", 64, true},  [JWK_ES256] = {"ES256", "SHA256", 32, false},
    [JWK_ES384] = {"ES384", "SHA384", 48, false}, [JWK_ES512] = {"ES512", "SHA512", 64, false},
    [JWK_EDDSA] = {"EdDSA", NULL, 0, false},      [JWK_ED25519] = {"Ed25519", NULL, 0, false},
    [JWK_ED448] = {"Ed448", NULL, 0, false},
};

#define RSA_ALGS                                                                                             \
    (JWK_BIT(JWK_RS256) | JWK_BIT(JWK_RS384) | JWK_BIT(JWK_RS512) | JWK_BIT(JWK_PS256) |                     \
     JWK_BIT(JWK_PS384) | JWK_BIT(JWK_PS512))

static const struct curve {
    const char *crv;   /* in a JWK */
    const char *group; /* in OpenSSL */
    size_t bytes;      /* of a coordinate */
    uint32_t algs;
} curves[] = {
    {"P-256", "prime256v1", 32, JWK_BIT(JWK_ES256)},
    {"P-384", "secp384r1", 48, JWK_BIT(JWK_ES384)},
    {"P-521", "secp521r1", 66, JWK_BIT(JWK_ES512)},
};
#define CURVE_COUNT (sizeof(curves) / sizeof(curves[0]))

bool jwk_alg_parse(struct slice name, enum jwk_alg *alg)
{
    for (unsigned i = 0; i < JWK_ALG_COUNT; i++) {
        if (!slice_eq(name, slice_of(algs[i].name)))
            continue;
        *alg = (enum jwk_alg)i;
        return true;
    }
    return false;
}

const char *jwk_alg_name(enum jwk_alg alg)
{
    return algs[alg].name;
}

const char *jwk_fault_text(enum jwk_fault f)
{
    static const char *const texts[JWK_FAULT_COUNT] = {
        [JWK_OK] = "is usable",
        [JWK_NOT_A_KEY] = "is no key",
        [JWK_BAD_KIND] = "is of a kind or on a curve that is not known",
        [JWK_BAD_PURPOSE] = "is not for verifying signatures",
        [JWK_BAD_ALG] = "is for an algorithm that is not known or not of its kind",
        [JWK_PRIVATE] = "has its private half in it",
        [JWK_WEAK] = "is too weak",
        [JWK_MALFORMED] = "is malformed",
        [JWK_NO_MEMORY] = "found no memory",
    };
    return texts[f];
}

/* ---- parameters of keys ---- */

struct bytes {
    unsigned char p[BYTES_MAX];
    size_t len;
};

/* A member in base64url that is not empty. */
static bool get_bytes(const struct json *json, struct slice name, struct bytes *b)
{
    struct slice text = json_get_string(json, name);
    return text.len > 0 && BASE64_DECODED_MAX(text.len) <= sizeof(b->p) &&
           base64url_decode(text, (char *)b->p, &b->len) && b->len > 0;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static enum jwk_fault read_rsa(const struct json *json, EVP_PKEY **pkey)
{
    struct bytes n, e;
    if (!get_bytes(json, SLICE("n"), &n) || !get_bytes(json, SLICE("e"), &e))
        return JWK_MALFORMED;
    BIGNUM *modulus = BN_bin2bn(n.p, (int)n.len, NULL), *exponent = BN_bin2bn(e.p, (int)e.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (modulus && exponent && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        *pkey = pkey_from("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    return *pkey ? JWK_OK : JWK_MALFORMED;
}

static enum jwk_fault read_ec(const struct json *json, EVP_PKEY **pkey)
{
    struct slice crv = json_get_string(json, SLICE("crv"));
    const struct curve *c = curves;
    while (c < curves + CURVE_COUNT && !slice_eq(crv, slice_of(c->crv)))
        c++;
    if (c == curves + CURVE_COUNT)
        return JWK_BAD_KIND;
    struct bytes x, y;
    if (!get_bytes(json, SLICE("x"), &x) || !get_bytes(json, SLICE("y"), &y) || x.len != c->bytes ||
        y.len != c->bytes)
        return JWK_MALFORMED;
    unsigned char point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x.p, x.len);
    memcpy(point + 1 + x.len, y.p, y.len);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.len + y.len))
        *pkey = pkey_from("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return *pkey ? JWK_OK : JWK_MALFORMED;
}

static enum jwk_fault read_okp(const struct json *json, EVP_PKEY **pkey)
{
    struct slice crv = json_get_string(json, SLICE("crv"));
    bool is_25519 = slice_eq(crv, SLICE("Ed25519"));
    if (!is_25519 && !slice_eq(crv, SLICE("Ed448")))
        return JWK_BAD_KIND;
    struct bytes x;
    if (!get_bytes(json, SLICE("x"), &x))
        return JWK_MALFORMED;
    *pkey = EVP_PKEY_new_raw_public_key(is_25519 ? EVP_PKEY_ED25519 : EVP_PKEY_ED448, NULL, x.p, x.len);
    return *pkey ? JWK_OK : JWK_MALFORMED;
}

/* ---- what a key may serve ---- */

static enum jwk_fault judge_rsa(EVP_PKEY *pkey, struct jwk *k)
{
    BIGNUM *n = NULL, *e = NULL;
    enum jwk_fault fault = JWK_MALFORMED;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1) {
        bool is_sane = BN_num_bits(n) >= RSA_MIN_BITS && BN_num_bits(n) <= RSA_MAX_BITS && BN_is_odd(n) &&
                       BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= RSA_MAX_E_BITS;
        fault = is_sane ? JWK_OK : JWK_WEAK;
    }
    BN_free(n);
    BN_free(e);
    k->algs = RSA_ALGS;
    return fault;
}

static enum jwk_fault judge_ec(EVP_PKEY *pkey, struct jwk *k)
{
    char group[64];
    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return JWK_BAD_KIND;
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (strcmp(group, curves[i].group) != 0)
            continue;
        k->algs = curves[i].algs;
        k->half = (unsigned)curves[i].bytes;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        bool is_on_curve = ctx && EVP_PKEY_public_check(ctx) == 1;
        EVP_PKEY_CTX_free(ctx);
        return is_on_curve ? JWK_OK : JWK_MALFORMED;
    }
    return JWK_BAD_KIND;
}

static enum jwk_fault judge(EVP_PKEY *pkey, struct jwk *k)
{
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
        return judge_rsa(pkey, k);
    case EVP_PKEY_EC:
        return judge_ec(pkey, k);
    case EVP_PKEY_ED25519:
        k->algs = JWK_BIT(JWK_EDDSA) | JWK_BIT(JWK_ED25519);
        return JWK_OK;
    case EVP_PKEY_ED448:
        k->algs = JWK_BIT(JWK_EDDSA) | JWK_BIT(JWK_ED448);
        return JWK_OK;
    default:
        return JWK_BAD_KIND;
    }
}

enum jwk_fault jwk_from_pkey(EVP_PKEY *pkey, struct jwk *k)
{
    *k = (struct jwk){.pkey = pkey};
    ERR_set_mark();
    enum jwk_fault fault = judge(pkey, k);
    ERR_pop_to_mark();
    return fault;
}

static EVP_MAC_CTX *keyed_mac(const struct alg *alg, struct slice secret)
{
    union {
        const char *in;
        char *out;
    } hash = {.in = alg->hash}; /* OSSL_PARAM has no const, but only reads */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash.out, 0),
                           OSSL_PARAM_END};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (ctx && EVP_MAC_init(ctx, (const unsigned char *)secret.p, secret.len, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

enum jwk_fault jwk_from_secret(struct slice secret, struct jwk *k)
{
    *k = (struct jwk){0};
    for (unsigned i = 0; i < 3; i++) {
        const struct alg *alg = &algs[JWK_HS256 + i];
        if (secret.len < (size_t)alg->hash_bytes)
            break;
        k->mac[i] = keyed_mac(alg, secret);
        if (!k->mac[i]) {
            jwk_fini(k);
            return JWK_NO_MEMORY;
        }
        k->algs |= JWK_BIT(JWK_HS256 + i);
    }
    return k->algs ? JWK_OK : JWK_WEAK;
}

/* ---- JSON ---- */

static bool array_has(const struct json *array, struct slice text)
{
    if (array->type == JSON_ARRAY)
        for (const struct json *e = array->child; e; e = e->next)
            if (e->type == JSON_STRING && slice_eq(e->text, text))
                return true;
    return false;
}

static bool is_for_verifying(const struct json *json)
{
    const struct json *use = json_get(json, SLICE("use")), *ops = json_get(json, SLICE("key_ops"));
    return (!use || (use->type == JSON_STRING && slice_eq(use->text, SLICE("sig")))) &&
           (!ops || array_has(ops, SLICE("verify")));
}

/* Leave only what "alg" names. */
static bool restrict_algs(const struct json *json, struct jwk *k)
{
    const struct json *member = json_get(json, SLICE("alg"));
    enum jwk_alg alg;
    if (!member)
        return true;
    if (member->type != JSON_STRING || !jwk_alg_parse(member->text, &alg))
        return false;
    k->algs &= JWK_BIT(alg);
    return k->algs != 0;
}

static bool copy_kid(const struct json *json, struct jwk *k)
{
    struct slice kid = json_get_string(json, SLICE("kid"));
    k->kid_text = malloc(kid.len + 1);
    if (!k->kid_text)
        return false;
    memcpy(k->kid_text, kid.p, kid.len);
    k->kid = (struct slice){k->kid_text, kid.len};
    return true;
}

static enum jwk_fault read_secret(const struct json *json, struct jwk *k)
{
    struct bytes secret;
    enum jwk_fault fault = JWK_MALFORMED;
    if (get_bytes(json, SLICE("k"), &secret))
        fault = jwk_from_secret((struct slice){(const char *)secret.p, secret.len}, k);
    OPENSSL_cleanse(&secret, sizeof(secret));
    return fault;
}

static enum jwk_fault read_public(const struct json *json, struct slice kty, struct jwk *k)
{
    EVP_PKEY *pkey = NULL;
    enum jwk_fault fault = JWK_BAD_KIND;
    if (json_get(json, SLICE("d")))
        return JWK_PRIVATE;
    ERR_set_mark();
    if (slice_eq(kty, SLICE("RSA")))
        fault = read_rsa(json, &pkey);
    else if (slice_eq(kty, SLICE("EC")))
        fault = read_ec(json, &pkey);
    else if (slice_eq(kty, SLICE("OKP")))
        fault = read_okp(json, &pkey);
    ERR_pop_to_mark();
    if (fault == JWK_OK)
        fault = jwk_from_pkey(pkey, k);
    if (fault != JWK_OK) {
        EVP_PKEY_free(pkey);
        k->pkey = NULL;
    }
    return fault;
}

enum jwk_fault jwk_from_json(const struct json *json, struct jwk *k)
{
    *k = (struct jwk){0};
    struct slice kty = json_get_string(json, SLICE("kty"));
    if (kty.len == 0)
        return JWK_NOT_A_KEY;
    if (!is_for_verifying(json))
        return JWK_BAD_PURPOSE;
    if (json_get_string(json, SLICE("kid")).len > JWK_KID_MAX)
        return JWK_MALFORMED;
    enum jwk_fault fault = slice_eq(kty, SLICE("oct")) ? read_secret(json, k) : read_public(json, kty, k);
    if (fault == JWK_OK && !restrict_algs(json, k))
        fault = JWK_BAD_ALG;
    if (fault == JWK_OK && !copy_kid(json, k))
        fault = JWK_NO_MEMORY;
    if (fault != JWK_OK)
        jwk_fini(k);
    return fault;
}

void jwk_fini(struct jwk *k)
{
    EVP_PKEY_free(k->pkey);
    for (unsigned i = 0; i < 3; i++)
        EVP_MAC_CTX_free(k->mac[i]);
    free(k->kid_text);
    *k = (struct jwk){0};
}

/* ---- verifying ---- */

static bool verify_mac(const EVP_MAC_CTX *keyed, struct slice text, struct slice signature)
{
    unsigned char want[EVP_MAX_MD_SIZE];
    size_t len = 0;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(keyed);
    bool ok = ctx && EVP_MAC_update(ctx, (const unsigned char *)text.p, text.len) == 1 &&
              EVP_MAC_final(ctx, want, &len, sizeof(want)) == 1 && len == signature.len &&
              CRYPTO_memcmp(want, signature.p, len) == 0;
    EVP_MAC_CTX_free(ctx);
    return ok;
}

static bool verify_public(const struct jwk *k, const struct alg *alg, struct slice text,
                          struct slice signature)
{
    EVP_PKEY_CTX *options = NULL; /* belongs to ctx */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit_ex(ctx, &options, alg->hash, NULL, NULL, k->pkey, NULL) == 1;
    if (ok && alg->is_pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.len,
                                (const unsigned char *)text.p, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* r and s side by side become the DER that OpenSSL wants; there is one such pair for each text. */
static bool verify_ec(const struct jwk *k, const struct alg *alg, struct slice text, struct slice signature)
{
    if (signature.len != 2 * (size_t)k->half)
        return false;
    const unsigned char *raw = (const unsigned char *)signature.p;
    BIGNUM *r = BN_bin2bn(raw, (int)k->half, NULL), *s = BN_bin2bn(raw + k->half, (int)k->half, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    bool ok = false;
    if (r && s && pair && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* the pair has them */
        unsigned char *der = NULL;
        int len = i2d_ECDSA_SIG(pair, &der);
        ok = len > 0 && verify_public(k, alg, text, (struct slice){(const char *)der, (size_t)len});
        OPENSSL_free(der);
    }
    ECDSA_SIG_free(pair);
    BN_free(r);
    BN_free(s);
    return ok;
}

bool jwk_verify(const struct jwk *k, enum jwk_alg alg, struct slice text, struct slice signature)
{
    if (!(k->algs & JWK_BIT(alg)))
        return false;
    bool ok;
    ERR_set_mark();
    if (!k->pkey)
        ok = verify_mac(k->mac[alg - JWK_HS256], text, signature);
    else if (k->half > 0)
        ok = verify_ec(k, &algs[alg], text, signature);
    else
        ok = signature.len == (size_t)EVP_PKEY_get_size(k->pkey) &&
             verify_public(k, &algs[alg], text, signature);
    ERR_pop_to_mark();
    return ok;
}
