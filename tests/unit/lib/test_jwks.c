/* test_jwks.c: which keys are taken into a set, what each may serve, and how one is chosen. */
#include "lib/jwks.h"
#include "tests/unit/sign.h"
#include "tests/unit/unit.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>

static EVP_PKEY *made[JWK_ALG_COUNT];
static char text[65536];

/* One key for each algorithm, made once: RSA takes a while. */
static EVP_PKEY *key_of(enum jwk_alg alg)
{
    if (alg > JWK_RS256 && alg <= JWK_PS512)
        alg = JWK_RS256;
    if (!made[alg])
        made[alg] = sign_key(alg);
    return made[alg];
}

static void free_keys(void)
{
    for (int i = 0; i < JWK_ALG_COUNT; i++) {
        EVP_PKEY_free(made[i]);
        made[i] = NULL;
    }
}

/* The set of one key of ALG with EXTRA members, and why it was not usable. */
static struct jwks *set_of(EVP_PKEY *pkey, const char *extra, enum jwk_fault *fault)
{
    char jwk[4096];
    struct jwks_report report;
    sign_jwk(pkey, extra, jwk);
    snprintf(text, sizeof(text), "{\"keys\":[%s]}", jwk);
    struct jwks *keys = jwks_parse(slice_of(text), &report, NULL);
    ck_assert_uint_eq(report.usable + report.passed_over, 1);
    *fault = JWK_OK;
    for (unsigned f = 1; f < JWK_FAULT_COUNT; f++)
        if (report.faults[f])
            *fault = (enum jwk_fault)f;
    ck_assert((keys != NULL) == (*fault == JWK_OK));
    return keys;
}

static enum jwks_verdict verdict_of(const struct jwks *keys, enum jwk_alg signer, enum jwk_alg claimed,
                                    const char *kid)
{
    unsigned char signature[1024];
    struct jws s = {
        .alg = claimed, .has_kid = kid != NULL, .kid = slice_of(kid), .text = SLICE("header.claims")};
    s.signature = (struct slice){(char *)signature,
                                 sign_bytes(signer, key_of(signer), SLICE(SIGN_SECRET), s.text, signature)};
    return jwks_verify(keys, &s);
}

static struct jwks *keys_of(enum jwk_alg alg)
{
    enum jwk_fault fault;
    return JWK_BIT(alg) & JWK_HMAC_ALGS ? jwks_from_secret(SLICE(SIGN_SECRET), NULL)
                                        : set_of(key_of(alg), "", &fault);
}

/* EdDSA and Ed25519 are two names for one signature. */
static bool is_same_signature(enum jwk_alg a, enum jwk_alg b)
{
    return a == b || (a >= JWK_EDDSA && a <= JWK_ED25519 && b >= JWK_EDDSA && b <= JWK_ED25519);
}

/* Every signature, taken for one of every algorithm, with the keys for every algorithm. */
START_TEST(a_signature_is_good_for_its_own_key_and_algorithm_only)
{
    enum jwk_alg signer = (enum jwk_alg)_i;
    for (unsigned k = 0; k < JWK_ALG_COUNT; k++) {
        struct jwks *keys = keys_of((enum jwk_alg)k);
        ck_assert(keys);
        for (unsigned claimed = 0; claimed < JWK_ALG_COUNT; claimed++) {
            bool want = is_same_signature(signer, (enum jwk_alg)claimed) ||
                        (signer == JWK_ED448 && claimed == JWK_EDDSA);
            enum jwks_verdict v = verdict_of(keys, signer, (enum jwk_alg)claimed, NULL);
            bool is_own_key =
                key_of(signer) ? key_of(signer) == key_of((enum jwk_alg)k) : !key_of((enum jwk_alg)k);
            ck_assert_msg((v == JWKS_VALID) == (want && is_own_key), "%s as %s with a key for %s: %d",
                          jwk_alg_name(signer), jwk_alg_name((enum jwk_alg)claimed),
                          jwk_alg_name((enum jwk_alg)k), (int)v);
        }
        jwks_put(keys);
    }
}
END_TEST

START_TEST(a_public_key_is_never_a_secret)
{
    enum jwk_alg alg = (enum jwk_alg)_i;
    struct jwks *keys = keys_of(alg);
    for (unsigned hmac = JWK_HS256; hmac <= JWK_HS512; hmac++)
        ck_assert(JWK_BIT(alg) & JWK_HMAC_ALGS ||
                  verdict_of(keys, (enum jwk_alg)hmac, (enum jwk_alg)hmac, NULL) == JWKS_NO_KEY);
    jwks_put(keys);
}
END_TEST

/* A key by itself, asked for what it does not serve, and with signatures that are a byte too long or short:
 * what lies behind a short one in memory is the byte that it lacks. */
START_TEST(a_key_serves_its_algorithms_and_lengths_only)
{
    enum jwk_alg alg = (enum jwk_alg)_i;
    char json[4096];
    unsigned char signature[1024] = {0};
    struct jwk k;
    struct arena arena;
    const struct json *root;
    arena_init(&arena, NULL, 0, 1 << 20);
    if (key_of(alg)) {
        sign_jwk(key_of(alg), "", json);
        ck_assert(json_parse(slice_of(json), &arena, &root) == JSON_OK && jwk_from_json(root, &k) == JWK_OK);
    } else {
        ck_assert(jwk_from_secret((struct slice){SIGN_SECRET, 32}, &k) == JWK_OK);
    }
    struct slice secret = {SIGN_SECRET, 32}, x = SLICE("x");
    size_t len = sign_bytes(alg, key_of(alg), secret, x, signature);
    bool is_served = k.algs & JWK_BIT(alg);
    ck_assert(is_served == (alg != JWK_HS384 && alg != JWK_HS512));
    for (size_t n = len - 1; n <= len + 1; n++)
        ck_assert(jwk_verify(&k, alg, x, (struct slice){(char *)signature, n}) == (is_served && n == len));
    for (unsigned other = 0; other < JWK_ALG_COUNT; other++)
        if (!(k.algs & JWK_BIT(other)))
            ck_assert(!jwk_verify(&k, (enum jwk_alg)other, x, (struct slice){(char *)signature, len}));
    jwk_fini(&k);
    arena_fini(&arena);
}
END_TEST

/* An RSA signature is as long as the key, also when it begins with a zero. */
START_TEST(a_leading_zero_is_not_left_out)
{
    struct jwk k;
    unsigned char signature[1024];
    size_t len = 0;
    EVP_PKEY_up_ref(key_of(JWK_PS256));
    ck_assert(jwk_from_pkey(key_of(JWK_PS256), &k) == JWK_OK);
    signature[0] = 1;
    for (int i = 0; i < 10000 && signature[0] != 0; i++)
        len = sign_bytes(JWK_PS256, key_of(JWK_PS256), SLICE(""), SLICE("x"), signature);
    ck_assert_uint_eq(signature[0], 0);
    ck_assert(jwk_verify(&k, JWK_PS256, SLICE("x"), (struct slice){(char *)signature, len}));
    ck_assert(!jwk_verify(&k, JWK_PS256, SLICE("x"), (struct slice){(char *)signature + 1, len - 1}));
    jwk_fini(&k);
}
END_TEST

static const struct {
    enum jwk_alg alg;
    const char *extra;
    enum jwk_fault fault;
} members[] = {
    {JWK_RS256, "", JWK_OK},
    {JWK_RS256, ",\"use\":\"sig\"", JWK_OK},
    {JWK_RS256, ",\"use\":\"enc\"", JWK_BAD_PURPOSE},
    {JWK_RS256, ",\"use\":1", JWK_BAD_PURPOSE},
    {JWK_RS256, ",\"key_ops\":[\"verify\"]", JWK_OK},
    {JWK_RS256, ",\"key_ops\":[\"sign\",\"verify\"]", JWK_OK},
    {JWK_RS256, ",\"key_ops\":[\"encrypt\"]", JWK_BAD_PURPOSE},
    {JWK_RS256, ",\"key_ops\":\"verify\"", JWK_BAD_PURPOSE},
    {JWK_RS256, ",\"alg\":\"RS512\"", JWK_OK},
    {JWK_RS256, ",\"alg\":\"PS256\"", JWK_OK},
    {JWK_RS256, ",\"alg\":\"HS256\"", JWK_BAD_ALG},
    {JWK_RS256, ",\"alg\":\"ES256\"", JWK_BAD_ALG},
    {JWK_RS256, ",\"alg\":\"none\"", JWK_BAD_ALG},
    {JWK_RS256, ",\"alg\":\"RSA-OAEP\"", JWK_BAD_ALG},
    {JWK_RS256, ",\"alg\":\"rs256\"", JWK_BAD_ALG},
    {JWK_RS256, ",\"alg\":null", JWK_BAD_ALG},
    {JWK_RS256, ",\"d\":\"AQAB\"", JWK_PRIVATE},
    {JWK_ES256, ",\"alg\":\"ES256\"", JWK_OK},
    {JWK_ES256, ",\"alg\":\"ES384\"", JWK_BAD_ALG},
    {JWK_EDDSA, ",\"alg\":\"EdDSA\"", JWK_OK},
    {JWK_EDDSA, ",\"alg\":\"Ed25519\"", JWK_OK},
    {JWK_EDDSA, ",\"alg\":\"Ed448\"", JWK_BAD_ALG},
    {JWK_ED448, ",\"alg\":\"Ed448\"", JWK_OK},
};

START_TEST(what_a_key_says_of_itself_is_honoured)
{
    enum jwk_fault fault;
    struct jwks *keys = set_of(key_of(members[_i].alg), members[_i].extra, &fault);
    ck_assert_msg(fault == members[_i].fault, "%s: %s", members[_i].extra, jwk_fault_text(fault));
    jwks_put(keys);
}
END_TEST

START_TEST(a_key_for_one_algorithm_serves_no_other)
{
    enum jwk_fault fault;
    struct jwks *keys = set_of(key_of(JWK_RS256), ",\"alg\":\"RS512\"", &fault);
    ck_assert(verdict_of(keys, JWK_RS512, JWK_RS512, NULL) == JWKS_VALID);
    ck_assert(verdict_of(keys, JWK_RS256, JWK_RS256, NULL) == JWKS_NO_KEY);
    jwks_put(keys);
}
END_TEST

START_TEST(short_rsa_keys_are_refused)
{
    enum jwk_fault fault;
    EVP_PKEY *pkey = EVP_RSA_gen(1024);
    ck_assert(!set_of(pkey, "", &fault) && fault == JWK_WEAK);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, pkey);
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    ck_assert(!jwks_from_pem((struct slice){p, (size_t)n}, NULL));
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}
END_TEST

#define F43 "___________________________________________"
#define N2048                                                                                                \
    "v" F43 F43 F43 F43 F43 F43 F43 F43 /* odd, but some 2072 bits: 1 + 8 * 43 = 345 is no length            \
                                         */
static const struct {
    const char *json;
    enum jwk_fault fault;
} broken[] = {
    {"1", JWK_NOT_A_KEY},
    {"{}", JWK_NOT_A_KEY},
    {"{\"kty\":7}", JWK_NOT_A_KEY},
    {"{\"kty\":\"DSA\"}", JWK_BAD_KIND},
    {"{\"kty\":\"RSA\"}", JWK_MALFORMED},
    {"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", JWK_MALFORMED},
    {"{\"kty\":\"RSA\",\"n\":\"" N2048 "\",\"e\":\"AQAB\"}", JWK_MALFORMED},
    {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", JWK_WEAK},
    {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", JWK_BAD_KIND},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}", JWK_MALFORMED},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}",
     JWK_MALFORMED}, /* not canonical */
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw\"}",
     JWK_MALFORMED}, /* not on the curve */
    {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     JWK_BAD_KIND},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
     JWK_MALFORMED},
    {"{\"kty\":\"oct\"}", JWK_MALFORMED},
    {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ\"}", JWK_WEAK}, /* 31 bytes */
    {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\",\"alg\":\"HS512\"}",
     JWK_BAD_ALG},
    {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\",\"alg\":\"RS256\"}",
     JWK_BAD_ALG},
};

START_TEST(broken_keys_are_passed_over)
{
    struct jwks_report report;
    struct err e = {0};
    snprintf(text, sizeof(text), "{\"keys\":[%s]}", broken[_i].json);
    ck_assert(!jwks_parse(slice_of(text), &report, &e));
    ck_assert(err_is_set(&e));
    ck_assert_msg(report.faults[broken[_i].fault] == 1, "%s", broken[_i].json);
    ck_assert_uint_eq(report.passed_over, 1);
    /* beside a good one they do no harm */
    snprintf(text, sizeof(text),
             "{\"keys\":[%s,{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}",
             broken[_i].json);
    struct jwks *keys = jwks_parse(slice_of(text), &report, NULL);
    ck_assert(keys && report.usable == 1 && report.passed_over == 1 && report.algs == JWK_BIT(JWK_HS256));
    jwks_put(keys);
}
END_TEST

/* An exponent of 1 makes everybody a signer: the signature is the padded hash itself. */
START_TEST(exponents_that_protect_nothing_are_refused)
{
    static const char *const exponents[] = {"AQ", "Ag", "AQABAQABAQABAQ"};
    char jwk[4096];
    sign_jwk(key_of(JWK_RS256), "", jwk);
    char *e = strstr(jwk, "\"e\":");
    ck_assert(e);
    struct jwks_report report;
    snprintf(e, 200, "\"e\":\"%s\"}", exponents[_i]);
    snprintf(text, sizeof(text), "{\"keys\":[%s]}", jwk);
    ck_assert(!jwks_parse(slice_of(text), &report, NULL));
    ck_assert_uint_eq(report.faults[JWK_WEAK], 1);
}
END_TEST

static const char *const no_sets[] = {
    "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[{]}", "null",
};

START_TEST(what_is_no_set_is_refused)
{
    struct err e = {0};
    ck_assert(!jwks_parse(slice_of(no_sets[_i]), NULL, &e));
    ck_assert(err_is_set(&e));
}
END_TEST

START_TEST(secrets_are_as_long_as_the_hash)
{
    static const struct {
        size_t len;
        enum jwks_verdict want[3];
    } cases[] = {{32, {JWKS_INVALID, JWKS_NO_KEY, JWKS_NO_KEY}},
                 {47, {JWKS_INVALID, JWKS_NO_KEY, JWKS_NO_KEY}},
                 {48, {JWKS_INVALID, JWKS_INVALID, JWKS_NO_KEY}},
                 {63, {JWKS_INVALID, JWKS_INVALID, JWKS_NO_KEY}}};
    struct err e = {0};
    ck_assert(!jwks_from_secret((struct slice){SIGN_SECRET, 31}, &e) && err_is_set(&e));
    ck_assert(!strstr(e.link[0], "0123"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jwks *keys = jwks_from_secret((struct slice){SIGN_SECRET, cases[i].len}, NULL);
        for (unsigned h = 0; h < 3; h++)
            ck_assert(verdict_of(keys, (enum jwk_alg)(JWK_HS256 + h), (enum jwk_alg)(JWK_HS256 + h), NULL) ==
                      cases[i].want[h]);
        jwks_put(keys);
    }
}
END_TEST

/* Keys named a, a and b of one kind: a name chooses among them, and both of an equal name are tried. */
START_TEST(a_name_chooses_and_equal_names_are_all_tried)
{
    char one[4096], two[4096], three[4096];
    EVP_PKEY *other = sign_key(JWK_ES256);
    sign_jwk(other, ",\"kid\":\"a\"", one);
    sign_jwk(key_of(JWK_ES256), ",\"kid\":\"a\"", two);
    sign_jwk(other, ",\"kid\":\"b\"", three);
    snprintf(text, sizeof(text), "{\"keys\":[%s,%s,%s]}", one, two, three);
    struct jwks *keys = jwks_parse(slice_of(text), NULL, NULL);
    ck_assert_uint_eq(jwks_count(keys), 3);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, "a") == JWKS_VALID);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, "b") == JWKS_INVALID);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, "c") == JWKS_NO_KEY);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, "") == JWKS_NO_KEY);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, NULL) == JWKS_VALID);
    jwks_put(keys);
    EVP_PKEY_free(other);
}
END_TEST

/* The right key stands at place _i + 1 among those without a name. */
START_TEST(so_many_keys_are_tried)
{
    char jwk[4096];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"keys\":[");
    for (int i = 0; i <= _i; i++) {
        EVP_PKEY *pkey = i < _i ? sign_key(JWK_ES256) : key_of(JWK_ES256);
        sign_jwk(pkey, "", jwk);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? "," : "", jwk);
        if (i < _i)
            EVP_PKEY_free(pkey);
    }
    snprintf(text + n, sizeof(text) - n, "]}");
    struct jwks *keys = jwks_parse(slice_of(text), NULL, NULL);
    ck_assert(verdict_of(keys, JWK_ES256, JWK_ES256, "any") ==
              (_i < JWKS_TRIES_MAX ? JWKS_VALID : JWKS_INVALID));
    jwks_put(keys);
}
END_TEST

START_TEST(a_set_has_so_many_keys)
{
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"keys\":[");
    for (int i = 0; i < JWKS_KEYS_MAX + 3; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
                              "%s{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}",
                              i > 0 ? "," : "");
    snprintf(text + n, sizeof(text) - n, "]}");
    struct jwks_report report;
    struct jwks *keys = jwks_parse(slice_of(text), &report, NULL);
    ck_assert(keys && report.usable == JWKS_KEYS_MAX && report.passed_over == 3);
    jwks_put(keys);
}
END_TEST

START_TEST(pem_has_one_key_or_several)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_of(JWK_RS256));
    PEM_write_bio_PUBKEY(bio, key_of(JWK_ES384));
    PEM_write_bio_PUBKEY(bio, key_of(JWK_EDDSA));
    char *p;
    size_t n = (size_t)BIO_get_mem_data(bio, &p);
    struct jwks *keys = jwks_from_pem((struct slice){p, n}, NULL);
    ck_assert(keys && jwks_count(keys) == 3);
    ck_assert(verdict_of(keys, JWK_PS384, JWK_PS384, "named") == JWKS_VALID);
    ck_assert(verdict_of(keys, JWK_ES384, JWK_ES384, NULL) == JWKS_VALID);
    ck_assert(verdict_of(keys, JWK_EDDSA, JWK_EDDSA, NULL) == JWKS_VALID);
    jwks_put(keys);
    p[n - 60] = '!'; /* within the last key */
    struct err e = {0};
    ck_assert(!jwks_from_pem((struct slice){p, n}, &e) && err_is_set(&e));
    ck_assert(!jwks_from_pem(SLICE(""), NULL) && !jwks_from_pem(SLICE("hello"), NULL));
    BIO_free(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key_of(JWK_ES256), NULL, NULL, 0, NULL, NULL);
    n = (size_t)BIO_get_mem_data(bio, &p);
    ck_assert(!jwks_from_pem((struct slice){p, n}, NULL));
    BIO_free(bio);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

struct user {
    struct jwks *keys;
    struct jws signature;
    unsigned good;
};

static void *use(void *arg)
{
    struct user *u = arg;
    for (int i = 0; i < 200; i++) {
        struct jwks *mine = jwks_get(u->keys);
        u->good += jwks_verify(mine, &u->signature) == JWKS_VALID;
        jwks_put(mine);
    }
    jwks_put(u->keys);
    return NULL;
}

/* Each thread has a reference; the last to end frees the set. */
START_TEST(threads_share_a_set)
{
    enum jwk_alg alg = _i == 0 ? JWK_HS256 : JWK_RS256;
    unsigned char signature[1024];
    struct jws s = {.alg = alg, .text = SLICE("x")};
    s.signature = (struct slice){(char *)signature,
                                 sign_bytes(alg, key_of(alg), SLICE(SIGN_SECRET), s.text, signature)};
    struct jwks *keys = keys_of(alg);
    pthread_t threads[4];
    struct user users[4];
    for (int i = 0; i < 4; i++) {
        users[i] = (struct user){.keys = jwks_get(keys), .signature = s};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    jwks_put(keys);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(users[i].good, 200);
    }
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *suite(void)
{
    Suite *s = suite_create("jwks");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_unchecked_fixture(t, NULL, free_keys);
    tcase_add_loop_test(t, a_signature_is_good_for_its_own_key_and_algorithm_only, 0, JWK_ALG_COUNT);
    tcase_add_loop_test(t, a_public_key_is_never_a_secret, 0, JWK_ALG_COUNT);
    tcase_add_loop_test(t, a_key_serves_its_algorithms_and_lengths_only, 0, JWK_ALG_COUNT);
    tcase_add_test(t, a_leading_zero_is_not_left_out);
    tcase_add_loop_test(t, what_a_key_says_of_itself_is_honoured, 0, COUNT(members));
    tcase_add_test(t, a_key_for_one_algorithm_serves_no_other);
    tcase_add_test(t, short_rsa_keys_are_refused);
    tcase_add_loop_test(t, broken_keys_are_passed_over, 0, COUNT(broken));
    tcase_add_loop_test(t, exponents_that_protect_nothing_are_refused, 0, 3);
    tcase_add_loop_test(t, what_is_no_set_is_refused, 0, COUNT(no_sets));
    tcase_add_test(t, secrets_are_as_long_as_the_hash);
    tcase_add_test(t, a_name_chooses_and_equal_names_are_all_tried);
    tcase_add_loop_test(t, so_many_keys_are_tried, JWKS_TRIES_MAX - 1, JWKS_TRIES_MAX + 1);
    tcase_add_test(t, a_set_has_so_many_keys);
    tcase_add_test(t, pem_has_one_key_or_several);
    tcase_add_loop_test(t, threads_share_a_set, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
