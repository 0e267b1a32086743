/* http_cache.c: see http_cache.h. Section numbers are RFC 9111's. */
#include "lib/http_cache.h"

#include "lib/http_date.h"

#define HEURISTIC_PART   10                      /* of the age by Last-Modified (4.2.2) */
#define HEURISTIC_MAX_MS (INT64_C(86400) * 1000) /* more would need a warning once */

static int64_t to_ms(int64_t seconds)
{
    return seconds >= HTTP_CACHE_FOREVER_MS / 1000 ? HTTP_CACHE_FOREVER_MS : seconds * 1000;
}

/* Sum of two that are not negative. */
static int64_t add(int64_t a, int64_t b)
{
    return a >= HTTP_CACHE_FOREVER_MS - b ? HTTP_CACHE_FOREVER_MS : a + b;
}

static bool has(const struct cache_control *cc, uint32_t directives)
{
    return (cc->says & directives) != 0;
}

/* ---- requests ---- */

static bool is(struct slice name, const char *lower)
{
    return slice_eq_nocase(name, (struct slice){lower, name.len});
}

/* Each field is looked at once, by the length of its name first. */
void http_cache_ask(struct http_fields request, struct http_cache_ask *ask)
{
    bool has_control = false, has_pragma = false;
    *ask = (struct http_cache_ask){0};
    for (size_t i = 0; i < request.n; i++) {
        struct slice n = request.at[i].name;
        switch (n.len) {
        case 5:
            ask->has_range |= is(n, "range");
            break;
        case 6:
            has_pragma |= is(n, "pragma");
            break;
        case 8:
            ask->is_for_origin |= is(n, "if-match");
            break;
        case 13:
            has_control |= is(n, "cache-control");
            ask->has_authorization |= is(n, "authorization");
            ask->is_conditional |= is(n, "if-none-match");
            break;
        case 17:
            ask->is_conditional |= is(n, "if-modified-since");
            break;
        case 19:
            ask->is_for_origin |= is(n, "if-unmodified-since");
            break;
        default:
            break;
        }
    }
    if (has_control)
        cache_control_read(request, SLICE("Cache-Control"), &ask->cc);
    else if (has_pragma && http_lists_token(request, SLICE("Pragma"), SLICE("no-cache")))
        ask->cc.says |= CC_NO_CACHE;
}

/* ---- storing (3) ---- */

static bool is_among(unsigned status, const uint16_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == status)
            return true;
    return false;
}

/* Statuses whose meaning a cache knows, for must-understand (5.2.2.3). */
static bool is_understood(unsigned status)
{
    static const uint16_t known[] = {200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403,
                                     404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 417, 421,
                                     422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505};
    return is_among(status, known, sizeof(known) / sizeof(known[0]));
}

/* RFC 9110, 15.1. */
static bool is_heuristically_cacheable(unsigned status)
{
    static const uint16_t known[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    return is_among(status, known, sizeof(known) / sizeof(known[0]));
}

static bool is_negative(unsigned status)
{
    return status >= 400 && is_heuristically_cacheable(status);
}

/* The first targeted field that says anything well goes before Cache-Control, and before Expires (RFC 9213,
 * 2.2). True: one did. */
static bool read_control(const struct http_cache_policy *policy, struct http_fields answer,
                         struct cache_control *cc)
{
    for (size_t i = 0; i < policy->ntargeted; i++)
        if (cache_control_read_targeted(answer, policy->targeted[i], cc))
            return true;
    cache_control_read(answer, SLICE("Cache-Control"), cc);
    return false;
}

/* The earliest date of all fields of that name; false when there is none. A broken one is at 0, long ago. */
static bool earliest(struct http_fields fields, struct slice name, int64_t now_s, int64_t *seconds)
{
    bool found = false;
    for (size_t i = 0; i < fields.n; i++) {
        int64_t t = 0;
        if (!slice_eq_nocase(fields.at[i].name, name))
            continue;
        if (!http_date_parse(slice_trim(fields.at[i].value), now_s, &t))
            t = 0;
        if (!found || t < *seconds)
            *seconds = t;
        found = true;
    }
    return found;
}

/* When the origin made it: Date, or when it came here. */
static int64_t date_s(const struct http_cache_question *q)
{
    const struct http_field *f = http_find(q->answer, SLICE("Date"));
    int64_t t, now_s = q->answered_ms / 1000;
    return f && http_date_parse(slice_trim(f->value), now_s, &t) ? t : now_s;
}

static bool has_validator(struct http_fields answer)
{
    const struct http_field *etag = http_find(answer, SLICE("ETag"));
    return (etag && etag->value.len > 0) || http_find(answer, SLICE("Last-Modified"));
}

/* 4.2.2 */
static int64_t heuristic_ms(const struct http_cache_question *q)
{
    int64_t modified_s, made_s = date_s(q);
    const struct http_field *f = http_find(q->answer, SLICE("Last-Modified"));
    if (!f || !http_date_parse(slice_trim(f->value), made_s, &modified_s) || modified_s >= made_s)
        return 0;
    int64_t ms = to_ms(made_s - modified_s) / HEURISTIC_PART;
    return ms < HEURISTIC_MAX_MS ? ms : HEURISTIC_MAX_MS;
}

/* 4.2.1. False: the answer states no lifetime. */
static bool stated_lifetime(const struct http_cache_question *q, const struct cache_control *cc,
                            bool is_targeted, int64_t *ms)
{
    int64_t expires_s;
    if (has(cc, CC_S_MAXAGE)) {
        *ms = to_ms(cc->s_maxage_s);
    } else if (has(cc, CC_MAX_AGE)) {
        *ms = to_ms(cc->max_age_s);
    } else if (!is_targeted && earliest(q->answer, SLICE("Expires"), q->answered_ms / 1000, &expires_s)) {
        *ms = expires_s > date_s(q) ? to_ms(expires_s - date_s(q)) : 0;
    } else {
        return false;
    }
    return true;
}

/* The lifetime of an answer that states none; false when there is nothing to go by. */
static bool assumed_lifetime(const struct http_cache_policy *policy, const struct http_cache_question *q,
                             const struct cache_control *cc, int64_t *ms)
{
    if (!is_heuristically_cacheable(q->status) && !has(cc, CC_PUBLIC))
        return false;
    int64_t ttl_ms = is_negative(q->status) ? policy->negative_ttl_ms : policy->ttl_ms;
    *ms = ttl_ms >= 0 ? ttl_ms : policy->heuristic ? heuristic_ms(q) : 0;
    return true;
}

/* 4.2.3: the first member of Age counts, and none when it is broken (5.1). */
static int64_t initial_age_ms(const struct http_cache_question *q)
{
    const struct http_field *f = http_find(q->answer, SLICE("Age"));
    int64_t stated_s = 0, apparent_s = q->answered_ms / 1000 - date_s(q);
    struct slice rest = f ? f->value : (struct slice){"", 0}, first;
    if (!slice_next_token(&rest, &first) || !cache_control_seconds(first, &stated_s))
        stated_s = 0;
    int64_t delay_ms = q->answered_ms > q->asked_ms ? q->answered_ms - q->asked_ms : 0;
    int64_t corrected_ms = add(to_ms(stated_s), delay_ms);
    int64_t apparent_ms = apparent_s > 0 ? to_ms(apparent_s) : 0;
    return apparent_ms > corrected_ms ? apparent_ms : corrected_ms;
}

static int64_t window(const struct cache_control *cc, enum cc_directive d, int64_t seconds, int64_t by_conf)
{
    return has(cc, (uint32_t)d) ? to_ms(seconds) : by_conf;
}

static void set_life(const struct http_cache_policy *policy, const struct http_cache_question *q,
                     const struct cache_control *cc, struct http_cache_life *life)
{
    life->born_ms = q->answered_ms - initial_age_ms(q);
    life->stale_while_revalidate_ms = window(cc, CC_STALE_WHILE_REVALIDATE, cc->stale_while_revalidate_s,
                                             policy->stale_while_revalidate_ms);
    life->stale_if_error_ms = window(cc, CC_STALE_IF_ERROR, cc->stale_if_error_s, policy->stale_if_error_ms);
    life->stale_if_unreachable_ms = policy->stale_if_unreachable_ms;
    life->flags = 0;
    if (has(cc, CC_NO_CACHE))
        life->flags |= LIFE_VALIDATE;
    if (has(cc, CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE | CC_S_MAXAGE))
        life->flags |= LIFE_NEVER_STALE;
    if (has(cc, CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE))
        life->flags |= LIFE_MUST_REVALIDATE;
    if (has(cc, CC_STALE_WHILE_REVALIDATE))
        life->flags |= LIFE_ORIGIN_SWR;
    if (has(cc, CC_STALE_IF_ERROR))
        life->flags |= LIFE_ORIGIN_SIE;
}

/* What forbids it, apart from its lifetime. */
static enum http_cache_verdict forbidden(const struct http_cache_policy *policy,
                                         const struct http_cache_question *q, const struct cache_control *cc)
{
    bool shared_by_word = has(cc, CC_PUBLIC | CC_S_MAXAGE);
    bool must_understand = has(cc, CC_MUST_UNDERSTAND);
    if (q->method != HTTP_GET)
        return HTTP_CACHE_METHOD;
    if (q->status == 206 || q->status == 304 || q->status < 200 ||
        (must_understand && !is_understood(q->status)))
        return HTTP_CACHE_STATUS;
    if (has(cc, CC_NO_STORE) && !must_understand)
        return HTTP_CACHE_NO_STORE;
    if (has(&q->ask->cc, CC_NO_STORE))
        return HTTP_CACHE_ASKED_NOT_TO;
    if (has(cc, CC_PRIVATE))
        return HTTP_CACHE_PRIVATE;
    if ((q->ask->has_authorization || q->is_identified) && !shared_by_word && !has(cc, CC_MUST_REVALIDATE))
        return HTTP_CACHE_AUTHORIZATION;
    if (http_find(q->answer, SLICE("Set-Cookie")) && !cache_control_names(cc, SLICE("Set-Cookie")) &&
        !(policy->share_cookies && shared_by_word))
        return HTTP_CACHE_SET_COOKIE;
    if (http_lists_token(q->answer, SLICE("Vary"), SLICE("*")))
        return HTTP_CACHE_VARY_STAR;
    return HTTP_CACHE_STORE;
}

enum http_cache_verdict http_cache_judge(const struct http_cache_policy *policy,
                                         const struct http_cache_question *q, struct cache_control *cc,
                                         struct http_cache_life *life)
{
    bool is_targeted = read_control(policy, q->answer, cc);
    enum http_cache_verdict verdict = forbidden(policy, q, cc);
    if (verdict != HTTP_CACHE_STORE)
        return verdict;
    bool is_stated = stated_lifetime(q, cc, is_targeted, &life->lifetime_ms);
    if (!is_stated && !assumed_lifetime(policy, q, cc, &life->lifetime_ms))
        return HTTP_CACHE_USELESS;
    set_life(policy, q, cc, life);
    bool needs_validator = (life->flags & LIFE_VALIDATE) || (!is_stated && life->lifetime_ms == 0);
    return needs_validator && !has_validator(q->answer) ? HTTP_CACHE_USELESS : HTTP_CACHE_STORE;
}

const char *http_cache_verdict_name(enum http_cache_verdict v)
{
    static const char *const names[] = {
        [HTTP_CACHE_STORE] = "stored",
        [HTTP_CACHE_METHOD] = "method",
        [HTTP_CACHE_STATUS] = "status",
        [HTTP_CACHE_NO_STORE] = "no-store",
        [HTTP_CACHE_ASKED_NOT_TO] = "request-no-store",
        [HTTP_CACHE_PRIVATE] = "private",
        [HTTP_CACHE_AUTHORIZATION] = "authorization",
        [HTTP_CACHE_SET_COOKIE] = "set-cookie",
        [HTTP_CACHE_VARY_STAR] = "vary",
        [HTTP_CACHE_USELESS] = "no-lifetime",
    };
    return names[v];
}

/* ---- using (4) ---- */

int64_t http_cache_age_ms(const struct http_cache_life *life, int64_t now_ms)
{
    if (now_ms <= life->born_ms)
        return 0;
    return life->born_ms < 0 && now_ms > HTTP_CACHE_FOREVER_MS + life->born_ms ? HTTP_CACHE_FOREVER_MS
                                                                               : now_ms - life->born_ms;
}

int64_t http_cache_left_ms(const struct http_cache_life *life, int64_t now_ms)
{
    return life->lifetime_ms - http_cache_age_ms(life, now_ms);
}

/* For how long past its freshness the request takes it (5.2.1.2), as far as the answer allows that (4.2.4).
 */
static int64_t stale_taken_ms(const struct http_cache_life *life, const struct http_cache_ask *ask)
{
    return has(&ask->cc, CC_MAX_STALE) && !(life->flags & LIFE_NEVER_STALE) ? to_ms(ask->cc.max_stale_s) : 0;
}

/* Whether the request wants something newer than what is fresh (5.2.1). */
static bool is_too_old(const struct http_cache_ask *ask, int64_t age_ms, int64_t left_ms, int64_t taken_ms)
{
    const struct cache_control *cc = &ask->cc;
    return has(cc, CC_NO_CACHE) || (has(cc, CC_MAX_AGE) && age_ms > add(to_ms(cc->max_age_s), taken_ms)) ||
           (has(cc, CC_MIN_FRESH) && left_ms < to_ms(cc->min_fresh_s));
}

enum http_cache_use http_cache_use(const struct http_cache_life *life, const struct http_cache_ask *ask,
                                   int64_t now_ms)
{
    int64_t age_ms = http_cache_age_ms(life, now_ms), left_ms = life->lifetime_ms - age_ms;
    int64_t taken_ms = stale_taken_ms(life, ask);
    if (life->flags & LIFE_VALIDATE)
        return HTTP_CACHE_STALE;
    if (is_too_old(ask, age_ms, left_ms, taken_ms))
        return left_ms > 0 ? HTTP_CACHE_REFUSED : HTTP_CACHE_STALE;
    if (left_ms > 0)
        return HTTP_CACHE_FRESH;
    if (taken_ms > 0 && -left_ms <= taken_ms)
        return HTTP_CACHE_ALLOWED;
    /* s-maxage alone forbids stale use, unless the origin itself asks for it beside. */
    uint32_t forbids = life->flags & LIFE_ORIGIN_SWR ? LIFE_MUST_REVALIDATE : LIFE_NEVER_STALE;
    bool wants_now = has(&ask->cc, CC_MAX_AGE | CC_MIN_FRESH);
    if (!(life->flags & forbids) && !wants_now && -left_ms < life->stale_while_revalidate_ms)
        return HTTP_CACHE_REFRESH;
    return HTTP_CACHE_STALE;
}

bool http_cache_may_rescue(const struct http_cache_life *life, const struct http_cache_ask *ask,
                           bool unreachable, int64_t now_ms)
{
    int64_t stale_ms = -http_cache_left_ms(life, now_ms);
    uint32_t forbids = life->flags & LIFE_ORIGIN_SIE ? LIFE_MUST_REVALIDATE : LIFE_NEVER_STALE;
    int64_t allowed_ms = life->stale_if_error_ms;
    if (unreachable && life->stale_if_unreachable_ms > allowed_ms)
        allowed_ms = life->stale_if_unreachable_ms;
    if (has(&ask->cc, CC_STALE_IF_ERROR) && to_ms(ask->cc.stale_if_error_s) > allowed_ms)
        allowed_ms = to_ms(ask->cc.stale_if_error_s);
    if ((life->flags & (LIFE_VALIDATE | forbids)) || has(&ask->cc, CC_NO_CACHE))
        return false;
    return stale_ms <= 0 || stale_ms < allowed_ms;
}

/* ---- parts ---- */

bool http_cache_keeps(const struct cache_control *cc, struct slice field)
{
    return !http_is_hop_by_hop(field) && !slice_eq_nocase(field, SLICE("Age")) &&
           !slice_eq_nocase(field, SLICE("Proxy-Authentication-Info")) &&
           (cc->nnames == 0 || !cache_control_names(cc, field));
}

bool http_cache_updates(struct slice field)
{
    return !slice_eq_nocase(field, SLICE("Content-Length")) &&
           !slice_eq_nocase(field, SLICE("Content-Encoding")) &&
           !slice_eq_nocase(field, SLICE("Content-Range"));
}

bool http_cache_invalidates(enum http_method method, unsigned status)
{
    bool is_safe =
        method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS || method == HTTP_TRACE;
    return !is_safe && status >= 200 && status < 400;
}
