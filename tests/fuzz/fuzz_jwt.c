/*
 * fuzz_jwt.c: any bytes as a token, as signed claims, as JSON, as a key set and as PEM.
 *
 * What has to hold: a token that was not signed here is never verified; claims that are signed are read or
 * refused, and every one of them can be asked for; JSON that is taken has no name twice; a set of keys has a
 * usable one.
 */
// libs: -lcrypto
#include "tests/unit/sign.h"

#include "lib/jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define POLICY                                                                                               \
    {                                                                                                        \
        .algs = JWK_BIT(JWK_HS256)                                                                           \
    }

static void check_tree(const struct json *j, unsigned depth)
{
    CHECK(depth <= JSON_DEPTH_MAX + 1);
    for (const struct json *c = j->child; c; c = c->next) {
        if (j->type == JSON_OBJECT)
            CHECK(json_get(j, c->name) == c);
        CHECK(!memchr(c->text.p ? c->text.p : "", '\0', c->text.len) || c->type != JSON_STRING);
        check_tree(c, depth + 1);
    }
}

static void check_json(struct slice input, struct arena *a)
{
    const struct json *root;
    if (json_parse(input, a, &root) == JSON_OK)
        check_tree(root, 1);
    arena_reset(a);
}

/* The input is taken for a token: its signature is wrong, unless the fuzzer knows the secret. */
static void check_token(struct slice input, const struct jwks *keys, struct arena *a)
{
    struct jwt_policy policy = POLICY;
    struct jwt_input in = {.token = input, .now_s = 1800000000, .arena = a};
    struct jwt t;
    CHECK(jwt_verify(&policy, keys, &in, &t) != JWT_OK);
    arena_reset(a);
}

static void check_claims(struct slice claims, const struct jwks *keys, struct arena *a)
{
    static char token[SIGN_TEXT_MAX];
    struct jwt_policy policy = POLICY;
    struct jwt t;
    struct slice found;
    if (claims.len > 6000)
        return;
    struct jwt_input in = {.now_s = 1800000000, .arena = a};
    in.token = sign_token(JWK_HS256, NULL, SLICE("{\"alg\":\"HS256\"}"), claims, token);
    enum jwt_result result = jwt_verify(&policy, keys, &in, &t);
    CHECK(result != JWT_SIGNATURE && result != JWT_NO_KEY && result != JWT_ALGORITHM);
    if (result == JWT_OK)
        for (const struct json *c = t.claims->child; c; c = c->next)
            if (jwt_claim(&t, c->name, a, &found))
                CHECK(!memchr(found.p ? found.p : "", '\n', found.len));
    arena_reset(a);
}

static void check_keys(struct slice input)
{
    struct jwks_report report;
    struct err e = {0};
    struct jwks *keys = jwks_parse(input, &report, &e);
    CHECK(keys ? report.usable > 0 && report.algs != 0 : err_is_set(&e));
    jwks_put(keys);
    keys = jwks_from_pem(input, NULL);
    CHECK(!keys || jwks_count(keys) > 0);
    jwks_put(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwks *keys;
    struct slice input = {(const char *)data, size};
    struct arena a;
    if (!keys)
        keys = jwks_from_secret(SLICE(SIGN_SECRET), NULL);
    arena_init(&a, NULL, 0, 1 << 20);
    check_json(input, &a);
    check_token(input, keys, &a);
    check_claims(input, keys, &a);
    check_keys(input);
    arena_fini(&a);
    return 0;
}
