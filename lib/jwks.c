/*
 * jwks.c: see jwks.h.
 *
 * The keys lie in one array; a set has a handful, so finding one is a walk over names. How many signatures
 * are checked for one token is bounded, because a token without a name costs as many as there are keys of its
 * kind.
 */
#include "lib/jwks.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PARSE_MEMORY ((size_t)16 << 20) /* bytes the tree of a set's text may take */

struct jwks {
    _Atomic uint32_t refs;
    unsigned n;
    struct jwk keys[JWKS_KEYS_MAX];
};

static struct jwks *jwks_new(struct err *e)
{
    struct jwks *keys = calloc(1, sizeof(*keys));
    if (!keys) {
        err_set(e, ERR_SELF, "no memory for keys");
        return NULL;
    }
    atomic_init(&keys->refs, 1);
    return keys;
}

struct jwks *jwks_get(struct jwks *keys)
{
    /* Relaxed: who has a reference to give away keeps the set alive. */
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void jwks_put(struct jwks *keys)
{
    /* Release: what was read is read before the count falls; acquire: whoever frees comes after all others.
     */
    if (!keys || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (unsigned i = 0; i < keys->n; i++)
        jwk_fini(&keys->keys[i]);
    free(keys);
}

unsigned jwks_count(const struct jwks *keys)
{
    return keys->n;
}

/* ---- reading ---- */

static void read_keys(const struct json *array, struct jwks *keys, struct jwks_report *report)
{
    for (const struct json *key = array->child; key; key = key->next) {
        enum jwk_fault fault = JWK_OK;
        bool is_full = keys->n == JWKS_KEYS_MAX;
        if (!is_full)
            fault = jwk_from_json(key, &keys->keys[keys->n]);
        if (is_full || fault != JWK_OK) {
            report->passed_over++;
            report->faults[fault]++;
            continue;
        }
        report->algs |= keys->keys[keys->n].algs;
        keys->n++;
    }
    report->usable = keys->n;
}

/* Why there is no usable key: the reason most keys have. */
static void explain(const struct jwks_report *report, struct err *e)
{
    unsigned most = 0;
    for (unsigned f = 1; f < JWK_FAULT_COUNT; f++)
        if (report->faults[f] > report->faults[most])
            most = f;
    if (report->passed_over == 0)
        err_set(e, ERR_UPSTREAM, "key set: has no keys");
    else
        err_set(e, ERR_UPSTREAM, "key set: none of %u keys is usable: a key %s", report->passed_over,
                jwk_fault_text((enum jwk_fault)most));
}

static struct jwks *from_tree(const struct json *root, struct jwks_report *report, struct err *e)
{
    const struct json *array = json_get(root, SLICE("keys"));
    if (!array || array->type != JSON_ARRAY) {
        err_set(e, ERR_UPSTREAM, "key set: has no array \"keys\"");
        return NULL;
    }
    struct jwks *keys = jwks_new(e);
    if (!keys)
        return NULL;
    read_keys(array, keys, report);
    if (keys->n > 0)
        return keys;
    explain(report, e);
    jwks_put(keys);
    return NULL;
}

struct jwks *jwks_parse(struct slice json, struct jwks_report *report, struct err *e)
{
    struct jwks_report unwanted;
    struct jwks *keys = NULL;
    const struct json *root;
    struct arena arena;
    if (!report)
        report = &unwanted;
    *report = (struct jwks_report){0};
    if (json.len > JWKS_TEXT_MAX) {
        err_set(e, ERR_UPSTREAM, "key set: is longer than %zu bytes", JWKS_TEXT_MAX);
        return NULL;
    }
    arena_init(&arena, NULL, 0, PARSE_MEMORY);
    if (json_parse(json, &arena, &root) == JSON_OK)
        keys = from_tree(root, report, e);
    else
        err_set(e, ERR_UPSTREAM, "key set: is not strict JSON");
    arena_fini(&arena);
    return keys;
}

/* Without PEM_read_bio_PUBKEY, which would ask a terminal for pass phrases, and passes other blocks over. */
static bool add_block(struct jwks *keys, const char *name, const unsigned char *der, long len, struct err *e)
{
    struct jwk *k = &keys->keys[keys->n];
    EVP_PKEY *pkey = strcmp(name, PEM_STRING_PUBLIC) == 0 ? d2i_PUBKEY(NULL, &der, len) : NULL;
    enum jwk_fault fault = pkey ? jwk_from_pkey(pkey, k) : JWK_MALFORMED;
    if (fault == JWK_OK) {
        keys->n++;
        return true;
    }
    EVP_PKEY_free(pkey);
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        err_set(e, ERR_SELF, "PEM: key %u %s", keys->n + 1, jwk_fault_text(fault));
    else
        err_set(e, ERR_SELF, "PEM: block %u is no \"PUBLIC KEY\"", keys->n + 1);
    return false;
}

static bool read_pem(BIO *bio, struct jwks *keys, struct err *e)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len;
    bool ok = true;
    while (ok && keys->n < JWKS_KEYS_MAX && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        ok = add_block(keys, name, der, len, e);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len); /* it may have been a private key */
    }
    if (!ok)
        return false;
    if (keys->n == JWKS_KEYS_MAX)
        err_set(e, ERR_SELF, "PEM: has more keys than %d", JWKS_KEYS_MAX - 1);
    else if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        err_set(e, ERR_SELF, "PEM: block %u is malformed", keys->n + 1);
    else if (keys->n == 0)
        err_set(e, ERR_SELF, "PEM: has no public key");
    else
        return true;
    return false;
}

struct jwks *jwks_from_pem(struct slice pem, struct err *e)
{
    struct jwks *keys = jwks_new(e);
    if (!keys)
        return NULL;
    ERR_set_mark();
    BIO *bio = pem.len <= JWKS_TEXT_MAX ? BIO_new_mem_buf(pem.len > 0 ? pem.p : "", (int)pem.len) : NULL;
    bool ok = bio && read_pem(bio, keys, e);
    if (!bio)
        err_set(e, ERR_SELF, "PEM: is too long, or found no memory");
    BIO_free(bio);
    ERR_pop_to_mark();
    if (ok)
        return keys;
    jwks_put(keys);
    return NULL;
}

struct jwks *jwks_from_secret(struct slice secret, struct err *e)
{
    struct jwks *keys = jwks_new(e);
    if (!keys)
        return NULL;
    enum jwk_fault fault = jwk_from_secret(secret, &keys->keys[0]);
    if (fault == JWK_OK) {
        keys->n = 1;
        return keys;
    }
    err_set(e, ERR_SELF, "secret %s%s", jwk_fault_text(fault),
            fault == JWK_WEAK ? ": it needs 32 bytes" : "");
    jwks_put(keys);
    return NULL;
}

/* ---- verifying ---- */

static bool is_candidate(const struct jwk *k, const struct jws *s)
{
    return (k->algs & JWK_BIT(s->alg)) && (!s->has_kid || k->kid.len == 0 || slice_eq(k->kid, s->kid));
}

enum jwks_verdict jwks_verify(const struct jwks *keys, const struct jws *s)
{
    unsigned tries = 0;
    for (unsigned i = 0; i < keys->n && tries < JWKS_TRIES_MAX; i++) {
        if (!is_candidate(&keys->keys[i], s))
            continue;
        tries++;
        if (jwk_verify(&keys->keys[i], s->alg, s->text, s->signature))
            return JWKS_VALID;
    }
    return tries > 0 ? JWKS_INVALID : JWKS_NO_KEY;
}
