/*
 * fuzz_http_cache.c: any fields of a request and an answer, and a time, through all rules of the cache.
 *
 * The input is a time (8 bytes), a status, and lines "Name: value" of the request, an empty line, and those
 * of the answer. What has to hold: nothing that says no-store or private is stored, but by must-understand or
 * a targeted field; no age is negative; what is used without asking is fresh, or stale within a window; of
 * the same answer at a later time never more may be used; a date is read again as it was written; ranges lie
 * within the length and are no more than it together.
 */
#include "lib/http_cache.h"
#include "lib/http_conditions.h"
#include "lib/http_date.h"
#include "lib/http_range.h"
#include "tests/fuzz/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_dates(struct http_fields f, int64_t now_s)
{
    for (size_t i = 0; i < f.n; i++) {
        char text[HTTP_DATE_LEN + 1];
        int64_t t, again;
        if (!http_date_parse(f.at[i].value, now_s, &t))
            continue;
        http_date_format(t, text);
        CHECK(http_date_parse((struct slice){text, HTTP_DATE_LEN}, now_s, &again) && again == t);
    }
}

static void check_ranges(struct http_fields f, uint64_t length)
{
    struct http_range r[HTTP_RANGES_MAX];
    size_t n;
    for (size_t i = 0; i < f.n; i++) {
        uint64_t sum = 0, whole;
        bool parts = http_range_read(f.at[i].value, length, r, &n) == HTTP_RANGE_PARTS;
        CHECK(!parts || (n > 0 && n <= HTTP_RANGES_MAX));
        for (size_t j = 0; parts && j < n; j++) {
            CHECK(r[j].first <= r[j].last && r[j].last < length);
            sum += r[j].last - r[j].first + 1;
        }
        CHECK(sum <= length);
        if (http_range_read_content(f.at[i].value, &r[0], &whole))
            CHECK(r[0].first <= r[0].last && r[0].last < whole);
    }
}

static void check_life(const struct http_cache_life *life, const struct http_cache_ask *ask, int64_t now_ms)
{
    enum http_cache_use use = http_cache_use(life, ask, now_ms);
    int64_t left = http_cache_left_ms(life, now_ms);
    CHECK(http_cache_age_ms(life, now_ms) >= 0 && life->lifetime_ms >= 0);
    if (use == HTTP_CACHE_FRESH)
        CHECK(left > 0 && !(life->flags & LIFE_VALIDATE));
    if (use == HTTP_CACHE_ALLOWED)
        CHECK(left <= 0 && !(life->flags & LIFE_NEVER_STALE) && (ask->cc.says & CC_MAX_STALE));
    if (use == HTTP_CACHE_REFRESH)
        CHECK(left <= 0 && -left < life->stale_while_revalidate_ms && !(life->flags & LIFE_MUST_REVALIDATE));
    if (http_cache_may_rescue(life, ask, true, now_ms))
        CHECK(!(life->flags & LIFE_VALIDATE));
    else
        CHECK(!http_cache_may_rescue(life, ask, false, now_ms));
    enum http_cache_use later = http_cache_use(life, ask, now_ms + 1000);
    if (use != HTTP_CACHE_FRESH)
        CHECK(later != HTTP_CACHE_FRESH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice targeted[] = {{"CDN-Cache-Control", 17}};
    struct http_cache_policy policy = {.targeted = targeted,
                                       .ntargeted = 1,
                                       .ttl_ms = -1,
                                       .negative_ttl_ms = 5000,
                                       .heuristic = true,
                                       .stale_while_revalidate_ms = 10000,
                                       .stale_if_error_ms = 20000,
                                       .stale_if_unreachable_ms = 30000};
    struct http_field request_at[FIELDS], answer_at[FIELDS];
    struct http_cache_ask ask;
    struct cache_control cc, plain;
    struct http_cache_life life;
    uint32_t when;
    if (size < 6)
        return 0;
    memcpy(&when, data, sizeof(when));
    int64_t now_ms = (int64_t)when * 1000;
    struct slice rest = {(const char *)data + 6, size - 6};
    struct http_fields request = take_fields(&rest, request_at), answer = take_fields(&rest, answer_at);
    http_cache_ask(request, &ask);
    const struct http_cache_question q = {.method = HTTP_GET,
                                          .ask = &ask,
                                          .status = 100 + (unsigned)(data[4] << 8 | data[5]) % 500,
                                          .answer = answer,
                                          .asked_ms = now_ms - data[4] * 100,
                                          .answered_ms = now_ms};
    enum http_cache_verdict verdict = http_cache_judge(&policy, &q, &cc, &life);
    cache_control_read(answer, SLICE("Cache-Control"), &plain);
    if (verdict == HTTP_CACHE_STORE) {
        CHECK(!(cc.says & CC_PRIVATE) && (!(cc.says & CC_NO_STORE) || (cc.says & CC_MUST_UNDERSTAND)));
        CHECK(!http_find(answer, SLICE("CDN-Cache-Control")) ? cc.says == plain.says : true);
        check_life(&life, &ask, now_ms);
        check_life(&life, &ask, now_ms + data[5] * 1000);
    }
    struct http_validators v = http_validators_of(answer, now_ms / 1000);
    (void)!http_not_modified(request, &v, now_ms / 1000);
    (void)!http_range_holds(request, &v, now_ms / 1000);
    check_dates(request, now_ms / 1000);
    check_dates(answer, now_ms / 1000);
    check_ranges(request, data[4] + 1);
    return 0;
}
