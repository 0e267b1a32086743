/* test_jwt_claims.c: each check that a policy makes of a token's claims, and claims as text. */
#include "lib/jwt.h"
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

static const struct slice issuers[] = {{"https://a", 9}, {"https://b", 9}};
static const struct slice audiences[] = {{"api", 3}, {"web", 3}};
static const struct slice required[] = {{"sub", 3}, {"realm.team", 10}};

enum { EXP = 1, ISS = 2, AUD = 4, REQUIRED = 8, LEEWAY = 16, AGE = 32 };

/* Now is 1800000000; the leeway is 10 s and the greatest age 100 s. */
static const struct {
    unsigned checks;
    const char *claims;
    enum jwt_result want;
} claims_cases[] = {
    {0, "{}", JWT_OK},
    {0, "[]", JWT_MALFORMED},
    {0, "{\"a\":1,\"a\":1}", JWT_MALFORMED},
    {0, "{\"sub\":\"admin\\u0000x\"}", JWT_MALFORMED},
    {EXP, "{}", JWT_CLAIM_MISSING},
    {EXP, "{\"exp\":1800000001}", JWT_OK},
    {EXP, "{\"exp\":1800000000}", JWT_EXPIRED},
    {0, "{\"exp\":1800000000}", JWT_EXPIRED},
    {LEEWAY, "{\"exp\":1799999991}", JWT_OK},
    {LEEWAY, "{\"exp\":1799999990}", JWT_EXPIRED},
    {0, "{\"exp\":\"1900000000\"}", JWT_CLAIM_MALFORMED},
    {0, "{\"exp\":null}", JWT_CLAIM_MALFORMED},
    {0, "{\"exp\":1e300}", JWT_CLAIM_MALFORMED},
    {0, "{\"exp\":-1}", JWT_EXPIRED},
    {0, "{\"exp\":1.9e9}", JWT_OK},
    {0, "{\"Exp\":1}", JWT_OK},
    {0, "{\"nbf\":1800000000}", JWT_OK},
    {0, "{\"nbf\":1800000001}", JWT_NOT_YET},
    {LEEWAY, "{\"nbf\":1800000010}", JWT_OK},
    {LEEWAY, "{\"nbf\":1800000011}", JWT_NOT_YET},
    {0, "{\"nbf\":true}", JWT_CLAIM_MALFORMED},
    {0, "{\"iat\":1800000001}", JWT_NOT_YET},
    {LEEWAY, "{\"iat\":1800000010}", JWT_OK},
    {0, "{\"iat\":[]}", JWT_CLAIM_MALFORMED},
    {AGE, "{}", JWT_CLAIM_MISSING},
    {AGE, "{\"iat\":1799999900}", JWT_OK},
    {AGE, "{\"iat\":1799999899}", JWT_TOO_OLD},
    {AGE | LEEWAY, "{\"iat\":1799999890}", JWT_OK},
    {AGE | LEEWAY, "{\"iat\":1799999889}", JWT_TOO_OLD},
    {ISS, "{\"iss\":\"https://b\"}", JWT_OK},
    {ISS, "{\"iss\":\"https://b/\"}", JWT_ISSUER},
    {ISS, "{\"iss\":\"https://\"}", JWT_ISSUER},
    {ISS, "{\"iss\":\"HTTPS://a\"}", JWT_ISSUER},
    {ISS, "{}", JWT_ISSUER},
    {ISS, "{\"iss\":[\"https://a\"]}", JWT_CLAIM_MALFORMED},
    {0, "{\"iss\":\"anyone\"}", JWT_OK},
    {0, "{\"sub\":1}", JWT_CLAIM_MALFORMED},
    {AUD, "{\"aud\":\"web\"}", JWT_OK},
    {AUD, "{\"aud\":[\"x\",\"api\"]}", JWT_OK},
    {AUD, "{\"aud\":[]}", JWT_AUDIENCE},
    {AUD, "{\"aud\":[\"x\"]}", JWT_AUDIENCE},
    {AUD, "{\"aud\":\"apiweb\"}", JWT_AUDIENCE},
    {AUD, "{\"aud\":\"ap\"}", JWT_AUDIENCE},
    {AUD, "{}", JWT_AUDIENCE},
    {AUD, "{\"aud\":{\"api\":1}}", JWT_CLAIM_MALFORMED},
    {AUD, "{\"aud\":[\"api\",1]}", JWT_CLAIM_MALFORMED},
    {0, "{\"aud\":7}", JWT_CLAIM_MALFORMED},
    {REQUIRED, "{\"sub\":\"x\",\"realm\":{\"team\":\"y\"}}", JWT_OK},
    {REQUIRED, "{\"sub\":\"x\",\"realm\":{\"team\":null}}", JWT_CLAIM_MISSING},
    {REQUIRED, "{\"sub\":\"x\",\"realm\":\"team\"}", JWT_CLAIM_MISSING},
    {REQUIRED, "{\"realm\":{\"team\":\"y\"}}", JWT_CLAIM_MISSING},
    {REQUIRED, "{\"sub\":\"x\",\"realm.team\":[]}", JWT_OK},
};

START_TEST(claims_are_checked)
{
    unsigned checks = claims_cases[_i].checks;
    struct jwt_policy policy = {.algs = ALL, .exp_required = checks & EXP};
    policy.issuers = issuers;
    policy.issuer_count = checks & ISS ? 2 : 0;
    policy.audiences = audiences;
    policy.audience_count = checks & AUD ? 2 : 0;
    policy.required = required;
    policy.required_count = checks & REQUIRED ? 2 : 0;
    policy.leeway_s = checks & LEEWAY ? 10 : 0;
    policy.max_age_s = checks & AGE ? 100 : 0;
    struct jwt t = {.exp_s = 42};
    enum jwt_result result = verify(&policy, secret, hs256(HEAD, claims_cases[_i].claims), &t);
    ck_assert_msg(result == claims_cases[_i].want, "%s: %s", claims_cases[_i].claims,
                  jwt_result_name(result));
    if (result != JWT_OK)
        ck_assert_int_eq(t.exp_s, 42); /* nothing of a refused token comes out */
}
END_TEST

static const struct {
    const char *path, *text; /* NULL: refused */
} lookups[] = {
    {"name", "jane"},
    {"age", "42"},
    {"big", "12345678901234567890"},
    {"ok", "true"},
    {"roles", "a,b"},
    {"mixed", "1,x"},
    {"none", NULL},
    {"null", NULL},
    {"realm", NULL},
    {"realm.team", "t"},
    {"realm.deep.x", "y"},
    {"realm.team.x", NULL},
    {"https://e.org/t", "q"},
    {"https://e.org/o.k", "v"},
    {"a.b", "long"},
    {"line", NULL},
    {"comma", NULL},
    {"nested", NULL},
    {"empty", ""},
    {"", NULL},
    {".", NULL},
    {"del", NULL},
    {"inner", NULL},
    {"utf8", "\xc3\xa9"},
    {"realm.", NULL},
};

START_TEST(claims_are_found_as_text)
{
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    struct slice found;
    struct slice token = hs256(
        HEAD,
        "{\"name\":\"jane\",\"age\":42,\"big\":12345678901234567890,\"ok\":true,\"roles\":[\"a\",\"b\"],"
        "\"mixed\":[1,\"x\"],\"null\":null,\"realm\":{\"team\":\"t\",\"deep\":{\"x\":\"y\"}},"
        "\"https://e.org/t\":\"q\",\"https://e.org/"
        "o\":{\"k\":\"v\"},\"a.b\":\"long\",\"a\":{\"b\":\"short\"},"
        "\"line\":\"x\\r\\nSet-Cookie: "
        "y\",\"comma\":[\"a,b\"],\"nested\":[[1]],\"empty\":[],\"del\":\"\\u007f\","
        "\"inner\":[\"a\",\"\\n\"],\"utf8\":\"\\u00e9\"}");
    ck_assert_int_eq(verify(&policy, secret, token, &t), JWT_OK);
    bool ok = jwt_claim(&t, slice_of(lookups[_i].path), &arena, &found);
    ck_assert_msg(ok == (lookups[_i].text != NULL), "%s", lookups[_i].path);
    if (ok)
        ck_assert_msg(slice_eq(found, slice_of(lookups[_i].text)), "%s: %.*s", lookups[_i].path,
                      SLICE_ARG(found));
}
END_TEST

START_TEST(claims_have_values)
{
    static const struct {
        const char *path, *value;
        bool has;
    } cases[] = {
        {"scope", "read", true},  {"scope", "write", true},
        {"scope", "rea", false},  {"scope", "read write", false},
        {"scope", "", false},     {"roles", "admin", true},
        {"roles", "adm", false},  {"name", "jane admin", true},
        {"name", "admin", false}, {"n", "7", true},
        {"none", "x", false},     {"o", "x", false},
    };
    struct jwt_policy policy = {.algs = ALL};
    struct jwt t;
    struct slice token =
        hs256(HEAD, "{\"scope\":\"read  write\",\"roles\":[\"user\",\"admin\"],\"name\":\"jane "
                    "admin\",\"n\":7,\"o\":{\"x\":1}}");
    ck_assert_int_eq(verify(&policy, secret, token, &t), JWT_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(jwt_claim_has(&t, slice_of(cases[i].path), slice_of(cases[i].value)) == cases[i].has,
                      "%s %s", cases[i].path, cases[i].value);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static Suite *suite(void)
{
    Suite *s = suite_create("jwt_claims");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, claims_are_checked, 0, COUNT(claims_cases));
    tcase_add_loop_test(t, claims_are_found_as_text, 0, COUNT(lookups));
    tcase_add_test(t, claims_have_values);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
