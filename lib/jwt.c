/*
 * jwt.c: the checks of a token; see jwt.h. The cryptography is jwk.c's, where it is told why it is OpenSSL's.
 *
 * The order matters and is jwt_verify's: split, header, algorithm, key, signature, and only then the claims.
 * A check is a function that gives the first reason to refuse or JWT_OK.
 *
 * Verdicts are not kept: a cache of tokens would save some 30 us of a request at the price of secrets in
 * memory and of a key's withdrawal not being felt at once.
 */
#include "lib/jwt.h"

#include "lib/base64.h"

struct parts {
    struct slice header, claims, signature; /* as in the token */
    struct slice signed_text;               /* header and claims with the dot between them */
};

static enum jwt_result split(struct slice token, struct parts *p)
{
    if (token.len > JWT_TOKEN_MAX)
        return JWT_TOO_LONG;
    ptrdiff_t first = slice_find(token, '.');
    if (first < 0)
        return JWT_MALFORMED;
    struct slice rest = slice_skip(token, (size_t)first + 1);
    ptrdiff_t second = slice_find(rest, '.');
    if (second < 0)
        return JWT_MALFORMED;
    p->header = (struct slice){token.p, (size_t)first};
    p->claims = (struct slice){rest.p, (size_t)second};
    p->signature = slice_skip(rest, (size_t)second + 1);
    p->signed_text = (struct slice){token.p, (size_t)first + 1 + (size_t)second};
    if (slice_find(p->signature, '.') >= 0) /* five parts: JWE */
        return JWT_UNSUPPORTED;
    return p->header.len > 0 && p->claims.len > 0 && p->signature.len > 0 ? JWT_OK : JWT_MALFORMED;
}

static enum jwt_result decode(struct slice text, struct arena *a, struct slice *bytes)
{
    char *out = arena_alloc(a, BASE64_DECODED_MAX(text.len));
    if (!out)
        return JWT_NO_MEMORY;
    bytes->p = out;
    return base64url_decode(text, out, &bytes->len) ? JWT_OK : JWT_MALFORMED;
}

static enum jwt_result decode_object(struct slice text, struct arena *a, const struct json **object)
{
    struct slice bytes;
    enum jwt_result result = decode(text, a, &bytes);
    if (result != JWT_OK)
        return result;
    enum json_fault fault = json_parse(bytes, a, object);
    if (fault != JSON_OK)
        return fault == JSON_NO_MEMORY ? JWT_NO_MEMORY : JWT_MALFORMED;
    return (*object)->type == JSON_OBJECT ? JWT_OK : JWT_MALFORMED;
}

/* ---- header ---- */

static struct slice without_application(struct slice type)
{
    struct slice prefix = SLICE("application/");
    struct slice head = {type.p, prefix.len};
    return type.len > prefix.len && slice_eq_nocase(head, prefix) ? slice_skip(type, prefix.len) : type;
}

static bool is_type(const struct json *header, struct slice wanted)
{
    struct slice typ = json_get_string(header, SLICE("typ"));
    return wanted.len == 0 || slice_eq_nocase(without_application(typ), without_application(wanted));
}

static enum jwt_result read_header(const struct jwt_policy *policy, struct jwt *t, struct jws *s)
{
    const struct json *kid = json_get(t->header, SLICE("kid"));
    struct slice alg = json_get_string(t->header, SLICE("alg"));
    if (alg.len == 0 || (kid && kid->type != JSON_STRING))
        return JWT_MALFORMED;
    if (!jwk_alg_parse(alg, &t->alg) || !(policy->algs & JWK_BIT(t->alg)))
        return JWT_ALGORITHM;
    if (json_get(t->header, SLICE("crit")) || json_get(t->header, SLICE("b64")))
        return JWT_UNSUPPORTED;
    if (!is_type(t->header, policy->typ))
        return JWT_TYPE;
    t->kid = kid ? kid->text : SLICE("");
    s->alg = t->alg;
    s->kid = t->kid;
    s->has_kid = kid != NULL;
    return JWT_OK;
}

static enum jwt_result check_signature(const struct jwks *keys, const struct jws *s)
{
    switch (jwks_verify(keys, s)) {
    case JWKS_VALID:
        return JWT_OK;
    case JWKS_NO_KEY:
        return JWT_NO_KEY;
    default:
        return JWT_SIGNATURE;
    }
}

/* ---- claims ---- */

/* A NumericDate that may be absent. */
static bool read_date(const struct jwt *t, struct slice name, int64_t *seconds, bool *is_there)
{
    const struct json *claim = json_get(t->claims, name);
    *is_there = claim != NULL;
    return !claim || json_to_i64(claim, seconds);
}

static enum jwt_result check_dates(const struct jwt_policy *policy, int64_t now_s, struct jwt *t)
{
    int64_t nbf_s, leeway_s = policy->leeway_s; /* dates are below 2^53: no sum here overflows */
    bool has_nbf;
    if (!read_date(t, SLICE("exp"), &t->exp_s, &t->has_exp) ||
        !read_date(t, SLICE("nbf"), &nbf_s, &has_nbf) || !read_date(t, SLICE("iat"), &t->iat_s, &t->has_iat))
        return JWT_CLAIM_MALFORMED;
    if ((policy->exp_required && !t->has_exp) || (policy->max_age_s > 0 && !t->has_iat))
        return JWT_CLAIM_MISSING;
    if (t->has_exp && now_s >= t->exp_s + leeway_s)
        return JWT_EXPIRED;
    if ((has_nbf && now_s < nbf_s - leeway_s) || (t->has_iat && now_s < t->iat_s - leeway_s))
        return JWT_NOT_YET;
    if (policy->max_age_s > 0 && now_s > t->iat_s + policy->max_age_s + leeway_s)
        return JWT_TOO_OLD;
    return JWT_OK;
}

static bool is_one_of(struct slice text, const struct slice *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(text, list[i]))
            return true;
    return false;
}

/* "iss" and "sub" are strings when they are there. */
static enum jwt_result check_names(const struct jwt_policy *policy, struct jwt *t)
{
    const struct json *iss = json_get(t->claims, SLICE("iss")), *sub = json_get(t->claims, SLICE("sub"));
    if ((iss && iss->type != JSON_STRING) || (sub && sub->type != JSON_STRING))
        return JWT_CLAIM_MALFORMED;
    t->iss = iss ? iss->text : SLICE("");
    t->sub = sub ? sub->text : SLICE("");
    if (policy->issuer_count > 0 && !(iss && is_one_of(iss->text, policy->issuers, policy->issuer_count)))
        return JWT_ISSUER;
    return JWT_OK;
}

static enum jwt_result check_audience(const struct jwt_policy *policy, const struct jwt *t)
{
    const struct json *aud = json_get(t->claims, SLICE("aud"));
    bool is_ours = policy->audience_count == 0;
    if (aud && aud->type == JSON_STRING)
        is_ours = is_ours || is_one_of(aud->text, policy->audiences, policy->audience_count);
    else if (aud && aud->type != JSON_ARRAY)
        return JWT_CLAIM_MALFORMED;
    else
        for (const struct json *a = aud ? aud->child : NULL; a; a = a->next) {
            if (a->type != JSON_STRING)
                return JWT_CLAIM_MALFORMED;
            is_ours = is_ours || is_one_of(a->text, policy->audiences, policy->audience_count);
        }
    return is_ours ? JWT_OK : JWT_AUDIENCE;
}

static enum jwt_result check_required(const struct jwt_policy *policy, const struct jwt *t)
{
    for (size_t i = 0; i < policy->required_count; i++) {
        const struct json *claim = jwt_claim_json(t, policy->required[i]);
        if (!claim || claim->type == JSON_NULL)
            return JWT_CLAIM_MISSING;
    }
    return JWT_OK;
}

static enum jwt_result check_claims(const struct jwt_policy *policy, int64_t now_s, struct jwt *t)
{
    enum jwt_result result = check_dates(policy, now_s, t);
    if (result == JWT_OK)
        result = check_names(policy, t);
    if (result == JWT_OK)
        result = check_audience(policy, t);
    return result == JWT_OK ? check_required(policy, t) : result;
}

enum jwt_result jwt_verify(const struct jwt_policy *policy, const struct jwks *keys,
                           const struct jwt_input *in, struct jwt *out)
{
    struct parts parts;
    struct jws s = {0};
    struct jwt t = {0};
    enum jwt_result result = split(in->token, &parts);
    if (result == JWT_OK)
        result = decode_object(parts.header, in->arena, &t.header);
    if (result == JWT_OK)
        result = read_header(policy, &t, &s);
    if (result == JWT_OK)
        result = decode(parts.signature, in->arena, &s.signature);
    s.text = parts.signed_text;
    if (result == JWT_OK)
        result = check_signature(keys, &s);
    if (result == JWT_OK)
        result = decode_object(parts.claims, in->arena, &t.claims);
    if (result == JWT_OK)
        result = check_claims(policy, in->now_s, &t);
    if (result == JWT_OK)
        *out = t;
    return result;
}

bool jwt_policy_is_sane(const struct jwt_policy *policy)
{
    uint32_t known = JWK_HMAC_ALGS | JWK_PUBLIC_ALGS;
    bool has_hmac = policy->algs & JWK_HMAC_ALGS, has_public = policy->algs & JWK_PUBLIC_ALGS;
    return !(policy->algs & ~known) && has_hmac != has_public;
}

/* ---- words ---- */

static const struct {
    const char *name, *text;
} words[JWT_RESULT_COUNT] = {
    [JWT_OK] = {"ok", "The token is valid"},
    [JWT_TOO_LONG] = {"too_long", "The token is too long"},
    [JWT_MALFORMED] = {"malformed", "The token is malformed"},
    [JWT_UNSUPPORTED] = {"unsupported", "The token asks for what is not supported"},
    [JWT_ALGORITHM] = {"algorithm", "The algorithm of the token is not allowed"},
    [JWT_TYPE] = {"type", "The token is not of the type that is wanted"},
    [JWT_NO_KEY] = {"no_key", "The key of the token is not known"},
    [JWT_SIGNATURE] = {"signature", "The signature of the token is wrong"},
    [JWT_CLAIM_MALFORMED] = {"claim_malformed", "A claim of the token is malformed"},
    [JWT_EXPIRED] = {"expired", "The token has expired"},
    [JWT_NOT_YET] = {"not_yet", "The token is not valid yet"},
    [JWT_TOO_OLD] = {"too_old", "The token was issued too long ago"},
    [JWT_ISSUER] = {"issuer", "The token is from another issuer"},
    [JWT_AUDIENCE] = {"audience", "The token is for another audience"},
    [JWT_CLAIM_MISSING] = {"claim_missing", "The token lacks a claim that is required"},
    [JWT_NO_MEMORY] = {"no_memory", "The token could not be checked"},
};

const char *jwt_result_name(enum jwt_result r)
{
    return words[r].name;
}

const char *jwt_result_text(enum jwt_result r)
{
    return words[r].text;
}

/* ---- looking claims up ---- */

/*
 * Try the whole path as a name, then shorter and shorter heads that end before a dot, each with the rest
 * below it. The depth is bounded by that of the tree, and a path comes from the configuration.
 */
static const struct json *find(const struct json *object, struct slice path)
{
    const struct json *found = json_get(object, path);
    for (size_t dot = path.len; !found && dot-- > 0;) {
        if (path.p[dot] != '.')
            continue;
        const struct json *below = json_get(object, (struct slice){path.p, dot});
        if (below)
            found = find(below, slice_skip(path, dot + 1));
    }
    return found;
}

const struct json *jwt_claim_json(const struct jwt *t, struct slice path)
{
    return find(t->claims, path);
}

static bool is_scalar(const struct json *j)
{
    return j->type == JSON_STRING || j->type == JSON_NUMBER || j->type == JSON_TRUE || j->type == JSON_FALSE;
}

static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool join(const struct json *array, struct arena *a, struct slice *text)
{
    size_t len = 0;
    for (const struct json *e = array->child; e; e = e->next) {
        if (!is_scalar(e) || slice_find(e->text, ',') >= 0)
            return false;
        len += e->text.len + 1;
    }
    char *out = arena_alloc(a, len);
    if (!out)
        return false;
    struct buf b;
    buf_init(&b, out, len);
    for (const struct json *e = array->child; e; e = e->next) {
        if (e != array->child)
            buf_add_char(&b, ',');
        buf_add(&b, e->text);
    }
    *text = buf_slice(&b);
    return !b.failed;
}

bool jwt_claim(const struct jwt *t, struct slice path, struct arena *a, struct slice *text)
{
    const struct json *claim = jwt_claim_json(t, path);
    if (!claim)
        return false;
    if (claim->type == JSON_ARRAY) {
        if (!join(claim, a, text))
            return false;
    } else if (is_scalar(claim)) {
        *text = claim->text;
    } else {
        return false;
    }
    return is_printable(*text);
}

static bool has_word(struct slice list, struct slice word)
{
    for (size_t begin = 0, end; begin <= list.len; begin = end + 1) {
        for (end = begin; end < list.len && list.p[end] != ' '; end++)
            ;
        if (end > begin && slice_eq((struct slice){list.p + begin, end - begin}, word))
            return true;
    }
    return false;
}

bool jwt_claim_has(const struct jwt *t, struct slice path, struct slice value)
{
    const struct json *claim = jwt_claim_json(t, path);
    if (!claim)
        return false;
    if (claim->type == JSON_ARRAY) {
        for (const struct json *e = claim->child; e; e = e->next)
            if (is_scalar(e) && slice_eq(e->text, value))
                return true;
        return false;
    }
    bool is_list = slice_eq(path, SLICE("scope")) || slice_eq(path, SLICE("scp"));
    if (claim->type == JSON_STRING && is_list)
        return has_word(claim->text, value);
    return is_scalar(claim) && slice_eq(claim->text, value);
}
