/* test_jwt.c: tokens signed with fresh keys, those of the RFCs, the known attacks, and each check of a
 * policy. */
#include "lib/jwt.h"
#include "lib/random.h"
#include "tests/unit/sign.h"
#include "tests/unit/unit.h"

#define NOW  INT64_C(1800000000)
#define ALL  (JWK_HMAC_ALGS | JWK_PUBLIC_ALGS)
#define HEAD "{\"alg\":\"HS256\"}"

static struct arena arena;
static struct jwks *secret;
static char text[SIGN_TEXT_MAX];

static void setup(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
    secret = jwks_from_secret(SLICE(SIGN_SECRET), NULL);
}

static void teardown(void)
{
    jwks_put(secret);
    arena_fini(&arena);
}

static enum jwt_result verify(const struct jwt_policy *policy, const struct jwks *keys, struct slice token,
                              struct jwt *out)
{
    struct jwt_input in = {.token = token, .now_s = NOW, .arena = &arena};
    return jwt_verify(policy, keys, &in, out);
}

static struct slice hs256(const char *header, const char *claims)
{
    return sign_token(JWK_HS256, NULL, slice_of(header), slice_of(claims), text);
}

static struct jwks *keys_of(EVP_PKEY *pkey, const char *extra)
{
    char jwk[4096], set[4200];
    sign_jwk(pkey, extra, jwk);
    snprintf(set, sizeof(set), "{\"keys\":[%s]}", jwk);
    return jwks_parse(slice_of(set), NULL, NULL);
}

START_TEST(a_token_of_every_algorithm_is_verified)
{
    enum jwk_alg alg = (enum jwk_alg)_i;
    char header[64];
    EVP_PKEY *pkey = sign_key(alg);
    struct jwks *keys = pkey ? keys_of(pkey, ",\"kid\":\"k1\"") : jwks_get(secret);
    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k1\"}", jwk_alg_name(alg));
    struct slice token =
        sign_token(alg, pkey, slice_of(header), SLICE("{\"sub\":\"jane\",\"exp\":1800000060}"), text);
    struct jwt_policy policy = {.algs = JWK_BIT(alg)}, others = {.algs = ALL & ~JWK_BIT(alg)};
    struct jwt t;
    ck_assert_int_eq(verify(&policy, keys, token, &t), JWT_OK);
    ck_assert(t.alg == alg && slice_eq(t.sub, SLICE("jane")) && slice_eq(t.kid, SLICE("k1")));
    ck_assert(t.has_exp && t.exp_s == NOW + 60 && !t.has_iat && t.iss.len == 0);
    ck_assert_int_eq(verify(&others, keys, token, &t), JWT_ALGORITHM);
    jwks_put(keys);
    EVP_PKEY_free(pkey);
}
END_TEST

/* A byte changed, cut off, put in or taken twice: nothing of it may be good. */
static size_t mutate(struct random *r, char *s, size_t n)
{
    size_t at = random_below(random_next(r), n);
    char before = s[at];
    switch (random_next(r) % 4) {
    case 0:
        memmove(s + at, s + at + 1, n - at - 1);
        return n - 1;
    case 1:
        memmove(s + at + 1, s + at, n - at);
        s[at] = (char)(uint8_t)random_next(r);
        return n + 1;
    default:
        while (s[at] == before)
            s[at] = random_next(r) % 2 ? "AZaz09-_.="[random_next(r) % 10] : (char)(uint8_t)random_next(r);
        return n;
    }
}

START_TEST(no_mutated_token_is_verified)
{
    static const enum jwk_alg some[] = {JWK_HS256, JWK_RS256, JWK_PS256, JWK_ES256, JWK_EDDSA};
    enum jwk_alg alg = some[_i];
    char header[64], copy[SIGN_TEXT_MAX];
    EVP_PKEY *pkey = sign_key(alg);
    struct jwks *keys = pkey ? keys_of(pkey, "") : jwks_get(secret);
    struct jwt_policy policy = {.algs = ALL};
    struct random r;
    random_seed(&r);
    uint64_t seed = random_next(&r);
    random_seed_with(&r, seed);
    snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", jwk_alg_name(alg));
    struct slice token = sign_token(alg, pkey, slice_of(header), SLICE("{\"sub\":\"jane\"}"), text);
    for (int i = 0; i < 2000; i++) {
        struct jwt t;
        size_t n = token.len;
        memcpy(copy, token.p, n);
        for (uint64_t k = random_next(&r) % 2 + 1; k > 0; k--)
            n = mutate(&r, copy, n);
        if (slice_eq((struct slice){copy, n}, token))
            continue;
        ck_assert_msg(verify(&policy, keys, (struct slice){copy, n}, &t) != JWT_OK, "seed %llu: %.*s",
                      (unsigned long long)seed, (int)n, copy);
        arena_reset(&arena);
    }
    jwks_put(keys);
    EVP_PKEY_free(pkey);
}
END_TEST

#define A_CLAIMS                                                                                             \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static const struct {
    enum jwk_alg alg;
    const char *key, *token;
} rfc7515[] = {
    {JWK_HS256,
     "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
     "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
     "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." A_CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {JWK_RS256,
     "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
     "wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPC"
     "JrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
     "bSf63kpaSHSXndS5z5rexMdb"
     "BYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
     "DWNmoudF8NAco9_h9iaGNj"
     "8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}",
     "eyJhbGciOiJSUzI1NiJ9." A_CLAIMS
     ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF"
     "5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
     "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar"
     "ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
     "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
     "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
    {JWK_ES256,
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_"
     "FEzRu9m36HLN_tue659L"
     "NpXW6pCyStikYjKIWI5a0\"}",
     "eyJhbGciOiJFUzI1NiJ9." A_CLAIMS
     ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg"
     "6NU1Q"},
    {JWK_ES512,
     "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_"
     "NjFZ6OvLFV1jSfS9tsz4q"
     "UxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"
     "x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}",
     "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-"
     "KGDKB34XO0aw_"
     "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"},
    {JWK_EDDSA, /* RFC 8037, A.4 */
     "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
     "09PGcvMg3AIbQR6dWbhijcNR4ki4iyl"
     "Gjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

/* Those whose payload is no JSON get past the signature and stop there; the others had expired in 2011. */
START_TEST(the_examples_of_the_rfcs_are_verified)
{
    char set[4096];
    struct jwt t;
    snprintf(set, sizeof(set), "{\"keys\":[%s]}", rfc7515[_i].key);
    struct jwks *keys = jwks_parse(slice_of(set), NULL, NULL);
    ck_assert(keys);
    struct jwt_policy policy = {.algs = JWK_BIT(rfc7515[_i].alg)};
    struct jwt_input in = {.token = slice_of(rfc7515[_i].token), .now_s = 1300819379, .arena = &arena};
    bool is_json = strstr(rfc7515[_i].token, A_CLAIMS) != NULL;
    ck_assert_int_eq(jwt_verify(&policy, keys, &in, &t), is_json ? JWT_OK : JWT_MALFORMED);
    if (is_json) {
        ck_assert(slice_eq(t.iss, SLICE("joe")) &&
                  jwt_claim_has(&t, SLICE("http://example.com/is_root"), SLICE("true")));
        in.now_s++;
        ck_assert_int_eq(jwt_verify(&policy, keys, &in, &t), JWT_EXPIRED);
    }
    jwks_put(keys);
}
END_TEST

static const struct {
    const char *header;
    enum jwt_result want;
} headers[] = {
    {"{\"alg\":\"HS256\"}", JWT_OK},
    {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"jku\":\"https://"
     "evil.example\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}",
     JWT_OK},
    {"{\"alg\":\"HS256\",\"kid\":\"any: the key has no name\"}", JWT_OK},
    {"{\"alg\":\"none\"}", JWT_ALGORITHM},
    {"{\"alg\":\"None\"}", JWT_ALGORITHM},
    {"{\"alg\":\"hs256\"}", JWT_ALGORITHM},
    {"{\"alg\":\"HS256 \"}", JWT_ALGORITHM},
    {"{\"alg\":\"A128KW\"}", JWT_ALGORITHM},
    {"{\"alg\":\"HS384\"}", JWT_SIGNATURE},
    {"{\"alg\":\"RS256\"}", JWT_NO_KEY},
    {"{\"alg\":\"ES256\"}", JWT_NO_KEY},
    {"{\"alg\":\"EdDSA\"}", JWT_NO_KEY},
    {"{}", JWT_MALFORMED},
    {"{\"alg\":\"\"}", JWT_MALFORMED},
    {"{\"alg\":256}", JWT_MALFORMED},
    {"{\"alg\":[\"HS256\"]}", JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", JWT_MALFORMED},
    {"{\"alg\":\"HS256\\u0000\"}", JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"kid\":1}", JWT_MALFORMED},
    {"[\"alg\",\"HS256\"]", JWT_MALFORMED},
    {"{\"alg\":\"HS256\"} ", JWT_OK},
    {"{\"alg\":\"HS256\"}x", JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", JWT_MALFORMED},
    {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", JWT_UNSUPPORTED},
    {"{\"alg\":\"HS256\",\"crit\":[]}", JWT_UNSUPPORTED},
    {"{\"alg\":\"HS256\",\"b64\":false}", JWT_UNSUPPORTED},
};

START_TEST(headers_are_checked)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    ck_assert_msg(verify(&policy, secret, hs256(headers[_i].header, "{}"), &t) == headers[_i].want, "%s",
                  headers[_i].header);
}
END_TEST

static const struct {
    const char *wanted, *header;
    bool ok;
} types[] = {
    {"", HEAD, true},
    {"JWT", HEAD, false},
    {"JWT", "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", true},
    {"at+jwt", "{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", true},
    {"application/at+jwt", "{\"alg\":\"HS256\",\"typ\":\"AT+JWT\"}", true},
    {"at+jwt", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", false},
    {"at+jwt", "{\"alg\":\"HS256\",\"typ\":[\"at+jwt\"]}", false},
    {"at+jwt", "{\"alg\":\"HS256\",\"typ\":\"application/\"}", false},
};

START_TEST(the_type_is_checked_when_wanted)
{
    struct jwt_policy policy = {.algs = ALL, .typ = slice_of(types[_i].wanted)};
    struct jwt t;
    ck_assert_int_eq(verify(&policy, secret, hs256(types[_i].header, "{}"), &t),
                     types[_i].ok ? JWT_OK : JWT_TYPE);
}
END_TEST

/* What is signed with a public key's own bytes as a secret is the best known attack on tokens. */
START_TEST(a_public_key_is_no_secret_and_a_secret_no_public_key)
{
    EVP_PKEY *pkey = sign_key(JWK_ES256);
    struct jwks *keys = keys_of(pkey, "");
    struct jwt_policy policy = {.algs = ALL}, only_es = {.algs = JWK_BIT(JWK_ES256)};
    struct jwt t;
    struct slice token = hs256(HEAD, "{}");
    ck_assert_int_eq(verify(&policy, keys, token, &t), JWT_NO_KEY);
    ck_assert_int_eq(verify(&only_es, keys, token, &t), JWT_ALGORITHM);
    token = sign_token(JWK_ES256, pkey, SLICE("{\"alg\":\"ES256\"}"), SLICE("{}"), text);
    ck_assert_int_eq(verify(&policy, keys, token, &t), JWT_OK);
    ck_assert_int_eq(verify(&policy, secret, token, &t), JWT_NO_KEY);
    jwks_put(keys);
    EVP_PKEY_free(pkey);
    ck_assert(!jwt_policy_is_sane(&policy) && jwt_policy_is_sane(&only_es) &&
              !jwt_policy_is_sane(&(struct jwt_policy){0}));
    ck_assert(!jwt_policy_is_sane(&(struct jwt_policy){.algs = JWK_BIT(JWK_ALG_COUNT) | JWK_BIT(JWK_RS256)}));
}
END_TEST

/* Signatures of other lengths and of zeros (CVE-2022-21449 in another library). */
START_TEST(odd_ecdsa_signatures_are_refused)
{
    EVP_PKEY *pkey = sign_key(JWK_ES256);
    struct jwks *keys = keys_of(pkey, "");
    struct jwt_policy policy = {.algs = JWK_BIT(JWK_ES256)};
    struct jwt t;
    struct slice token = sign_token(JWK_ES256, pkey, SLICE("{\"alg\":\"ES256\"}"), SLICE("{}"), text);
    size_t begin = 0;
    for (size_t i = 0; i < token.len; i++)
        begin = token.p[i] == '.' ? i + 1 : begin;
    for (size_t len = 1; len <= 140; len++) {
        char zeros[140] = {0};
        size_t n = begin + base64url_encode((struct slice){zeros, len}, text + begin);
        ck_assert_int_eq(verify(&policy, keys, (struct slice){text, n}, &t), JWT_SIGNATURE);
    }
    unsigned char der[1024];
    size_t len = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL);
    ck_assert_int_eq(EVP_DigestSign(ctx, der, &len, (const unsigned char *)text, begin - 1), 1);
    EVP_MD_CTX_free(ctx);
    size_t n = begin + base64url_encode((struct slice){(char *)der, len}, text + begin);
    ck_assert_int_eq(verify(&policy, keys, (struct slice){text, n}, &t), JWT_SIGNATURE);
    jwks_put(keys);
    EVP_PKEY_free(pkey);
}
END_TEST

/* RFC 7518, 3.5 fixes the salt: as long as the hash. */
START_TEST(rsa_pss_with_another_salt_is_refused)
{
    EVP_PKEY *pkey = sign_key(JWK_PS256);
    struct jwks *keys = keys_of(pkey, "");
    struct jwt_policy policy = {.algs = JWK_BIT(JWK_PS256)};
    struct jwt t;
    for (int salt = 31; salt <= 33; salt++) {
        unsigned char signature[1024];
        size_t len = sizeof(signature);
        size_t n = base64url_encode(SLICE("{\"alg\":\"PS256\"}"), text);
        text[n++] = '.';
        n += base64url_encode(SLICE("{}"), text + n);
        EVP_PKEY_CTX *options;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_DigestSignInit_ex(ctx, &options, "SHA256", NULL, NULL, pkey, NULL);
        EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt);
        ck_assert_int_eq(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, n), 1);
        EVP_MD_CTX_free(ctx);
        text[n++] = '.';
        n += base64url_encode((struct slice){(char *)signature, len}, text + n);
        ck_assert_int_eq(verify(&policy, keys, (struct slice){text, n}, &t),
                         salt == 32 ? JWT_OK : JWT_SIGNATURE);
    }
    jwks_put(keys);
    EVP_PKEY_free(pkey);
}
END_TEST

static const char *const malformed[] = {
    "",
    ".",
    "..",
    "...",
    "a",
    "a.b",
    "e30.e30.",
    ".e30.AAAA",
    "e30..AAAA",
    "e30.e30.AAAA",
    "eyJhbGciOiJub25lIn0.e30.",
};

START_TEST(what_is_no_token_is_refused)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    enum jwt_result result = verify(&policy, secret, slice_of(malformed[_i]), &t);
    ck_assert(result == JWT_MALFORMED || result == JWT_UNSUPPORTED);
}
END_TEST

/* White space, padding, more parts, another alphabet: also where the signature would still be right. */
START_TEST(a_token_has_one_form)
{
    static const char *const after[] = {"", "=", "==", ".", " ", "\n", ".AAAA", ".AAAA.AAAA"};
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    struct slice token = hs256(HEAD, "{}");
    strcpy(text + token.len, after[_i]);
    token.len += strlen(after[_i]);
    enum jwt_result result = verify(&policy, secret, token, &t);
    ck_assert((result == JWT_OK) == (_i == 0));
}
END_TEST

START_TEST(the_last_bits_of_a_signature_are_zero)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    struct slice token = hs256(HEAD, "{}"); /* 32 bytes: the last character holds 4 bits */
    text[token.len - 1]++;
    ck_assert_int_eq(verify(&policy, secret, token, &t), JWT_MALFORMED);
}
END_TEST

START_TEST(a_token_has_so_many_bytes)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    static char claims[8000];
    bool saw_longest = false;
    for (size_t n = 6000; n < 6200; n++) {
        memset(claims, ' ', n);
        claims[0] = '{';
        claims[n - 1] = '}';
        struct slice token = sign_token(JWK_HS256, NULL, SLICE(HEAD), (struct slice){claims, n}, text);
        ck_assert_int_eq(verify(&policy, secret, token, &t),
                         token.len <= JWT_TOKEN_MAX ? JWT_OK : JWT_TOO_LONG);
        saw_longest = saw_longest || token.len == JWT_TOKEN_MAX + 1;
        arena_reset(&arena);
    }
    ck_assert(saw_longest);
}
END_TEST

START_TEST(claims_of_a_wrong_signature_are_not_looked_at)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    struct jwks *other = jwks_from_secret(SLICE("another secret of 32 bytes......"), NULL);
    ck_assert_int_eq(verify(&policy, other, hs256(HEAD, "{\"exp\":1}"), &t), JWT_SIGNATURE);
    ck_assert_int_eq(verify(&policy, other, hs256(HEAD, "no json"), &t), JWT_SIGNATURE);
    jwks_put(other);
}
END_TEST

START_TEST(memory_may_run_out)
{
    struct jwt_policy policy = {.algs = ALL};
    struct slice token = hs256(HEAD, "{\"a\":[1,2,3]}");
    static max_align_t first[100];
    bool was_ok = false;
    for (size_t size = 0; size <= sizeof(first); size += sizeof(first[0])) {
        struct arena small;
        struct jwt t;
        arena_init(&small, first, size, 0);
        struct jwt_input in = {.token = token, .now_s = NOW, .arena = &small};
        enum jwt_result result = jwt_verify(&policy, secret, &in, &t);
        ck_assert(result == JWT_OK || (result == JWT_NO_MEMORY && !was_ok));
        was_ok = result == JWT_OK;
        arena_fini(&small);
    }
    ck_assert(was_ok);
}
END_TEST

/* They stand in quoted strings of WWW-Authenticate. */
START_TEST(every_result_has_words)
{
    for (unsigned r = 0; r < JWT_RESULT_COUNT; r++) {
        ck_assert(jwt_result_name((enum jwt_result)r) && jwt_result_text((enum jwt_result)r));
        ck_assert(!strpbrk(jwt_result_text((enum jwt_result)r), "\"\\\r\n"));
    }
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *suite(void)
{
    Suite *s = suite_create("jwt");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, a_token_of_every_algorithm_is_verified, 0, JWK_ALG_COUNT);
    tcase_add_loop_test(t, no_mutated_token_is_verified, 0, 5);
    tcase_add_loop_test(t, the_examples_of_the_rfcs_are_verified, 0, COUNT(rfc7515));
    tcase_add_loop_test(t, headers_are_checked, 0, COUNT(headers));
    tcase_add_loop_test(t, the_type_is_checked_when_wanted, 0, COUNT(types));
    tcase_add_test(t, a_public_key_is_no_secret_and_a_secret_no_public_key);
    tcase_add_test(t, odd_ecdsa_signatures_are_refused);
    tcase_add_test(t, rsa_pss_with_another_salt_is_refused);
    tcase_add_loop_test(t, what_is_no_token_is_refused, 0, COUNT(malformed));
    tcase_add_loop_test(t, a_token_has_one_form, 0, 8);
    tcase_add_test(t, the_last_bits_of_a_signature_are_zero);
    tcase_add_test(t, a_token_has_so_many_bytes);
    tcase_add_test(t, claims_of_a_wrong_signature_are_not_looked_at);
    tcase_add_test(t, memory_may_run_out);
    tcase_add_test(t, every_result_has_words);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
