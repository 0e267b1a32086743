/* sign.h: fresh keys, their JSON, and tokens signed with them, for the tests of keys and tokens. */
#ifndef TESTS_UNIT_SIGN_H
#define TESTS_UNIT_SIGN_H

#include "lib/base64.h"
#include "lib/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>

#define SIGN_TEXT_MAX 16384
#define SIGN_SECRET                                                                                          \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" /* serves every HMAC                  \
                                                                        */

/* A new pair of keys for ALG; NULL for HMAC. */
static inline EVP_PKEY *sign_key(enum jwk_alg alg)
{
    switch (alg) {
    case JWK_ES256:
        return EVP_EC_gen("P-256");
    case JWK_ES384:
        return EVP_EC_gen("P-384");
    case JWK_ES512:
        return EVP_EC_gen("P-521");
    case JWK_EDDSA:
    case JWK_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case JWK_ED448:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    default:
        return JWK_BIT(alg) & JWK_HMAC_ALGS ? NULL : EVP_RSA_gen(2048);
    }
}

static inline const char *sign_hash(enum jwk_alg alg)
{
    const char *name = jwk_alg_name(alg);
    size_t n = strlen(name);
    if (alg >= JWK_EDDSA)
        return NULL;
    return strcmp(name + n - 3, "256") == 0   ? "SHA256"
           : strcmp(name + n - 3, "384") == 0 ? "SHA384"
                                              : "SHA512";
}

/* DER becomes r and s side by side. */
static inline size_t sign_raw(const unsigned char *der, size_t len, size_t half, unsigned char *out)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    CHECK(pair);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, (int)half) == (int)half);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + half, (int)half) == (int)half);
    ECDSA_SIG_free(pair);
    return 2 * half;
}

/* The signature of TEXT in the form of JWS; PKEY is not looked at for HMAC, SECRET only there. */
static inline size_t sign_bytes(enum jwk_alg alg, EVP_PKEY *pkey, struct slice secret, struct slice text,
                                unsigned char out[1024])
{
    size_t len = 1024;
    const unsigned char *p = (const unsigned char *)text.p;
    if (JWK_BIT(alg) & JWK_HMAC_ALGS) {
        CHECK(EVP_Q_mac(NULL, "HMAC", NULL, sign_hash(alg), NULL, secret.p, secret.len, p, text.len, out,
                        1024, &len));
        return len;
    }
    EVP_PKEY_CTX *options;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit_ex(ctx, &options, sign_hash(alg), NULL, NULL, pkey, NULL) == 1);
    if (alg >= JWK_PS256 && alg <= JWK_PS512)
        CHECK(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1);
    unsigned char der[1024];
    CHECK(EVP_DigestSign(ctx, der, &len, p, text.len) == 1);
    EVP_MD_CTX_free(ctx);
    if (alg >= JWK_ES256 && alg <= JWK_ES512)
        return sign_raw(der, len, (size_t)(EVP_PKEY_get_bits(pkey) + 7) / 8, out);
    memcpy(out, der, len);
    return len;
}

/* A token of HEADER and CLAIMS as they are, into OUT (SIGN_TEXT_MAX bytes). */
static inline struct slice sign_token(enum jwk_alg alg, EVP_PKEY *pkey, struct slice header,
                                      struct slice claims, char *out)
{
    unsigned char signature[1024];
    CHECK(header.len + claims.len < 11000);
    size_t n = base64url_encode(header, out);
    out[n++] = '.';
    n += base64url_encode(claims, out + n);
    size_t len = sign_bytes(alg, pkey, SLICE(SIGN_SECRET), (struct slice){out, n}, signature);
    out[n++] = '.';
    n += base64url_encode((struct slice){(char *)signature, len}, out + n);
    return (struct slice){out, n};
}

static inline void sign_add_bn(EVP_PKEY *pkey, const char *param, int width, char *out)
{
    BIGNUM *n = NULL;
    unsigned char bytes[1024];
    CHECK(EVP_PKEY_get_bn_param(pkey, param, &n) == 1);
    int len = BN_bn2binpad(n, bytes, width > 0 ? width : BN_num_bytes(n));
    CHECK(len > 0);
    out[base64url_encode((struct slice){(char *)bytes, (size_t)len}, out)] = '\0';
    BN_free(n);
}

/* The public half as a JWK; EXTRA is more members, each with its comma before it: ",\"kid\":\"a\"". */
static inline void sign_jwk(EVP_PKEY *pkey, const char *extra, char out[4096])
{
    char a[1600], b[1600];
    unsigned char raw[64];
    size_t len = sizeof(raw);
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
        sign_add_bn(pkey, OSSL_PKEY_PARAM_RSA_N, 0, a);
        sign_add_bn(pkey, OSSL_PKEY_PARAM_RSA_E, 0, b);
        snprintf(out, 4096, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", a, b, extra);
        return;
    case EVP_PKEY_EC: {
        int bits = EVP_PKEY_get_bits(pkey), width = (bits + 7) / 8;
        sign_add_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_X, width, a);
        sign_add_bn(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, width, b);
        snprintf(out, 4096, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"%s}", bits, a, b,
                 extra);
        return;
    }
    default:
        CHECK(EVP_PKEY_get_raw_public_key(pkey, raw, &len) == 1);
        a[base64url_encode((struct slice){(char *)raw, len}, a)] = '\0';
        snprintf(out, 4096, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"%s}",
                 len == 32 ? "Ed25519" : "Ed448", a, extra);
        return;
    }
}

#endif
