/* test_http_cache.c: the rules themselves: times that are exact here, and what the wire cannot show. */
#include "lib/http_cache.h"

#include <stdio.h>

#include "tests/unit/unit.h"

#define NOW     INT64_C(1700000000000) /* Tue, 14 Nov 2023 22:13:20 GMT */
#define FIELDS  12
#define SECONDS INT64_C(1000)

static const struct http_cache_policy plain = {.ttl_ms = -1, .negative_ttl_ms = -1, .heuristic = true};

/* "Name: value" lines. */
static struct http_fields fields_of(const char *lines, struct http_field *at)
{
    struct http_fields f = {at, 0};
    while (*lines) {
        const char *colon = strchr(lines, ':'), *end = strchr(lines, '\n');
        end = end ? end : lines + strlen(lines);
        at[f.n++] = (struct http_field){slice_between(lines, colon), slice_between(colon + 2, end)};
        lines = *end ? end + 1 : end;
    }
    return f;
}

static struct http_cache_ask ask_of(const char *lines)
{
    struct http_field at[FIELDS];
    struct http_cache_ask ask;
    http_cache_ask(fields_of(lines, at), &ask);
    return ask;
}

struct judged {
    enum http_cache_verdict verdict;
    struct http_cache_life life;
};

static struct judged judge_with(const struct http_cache_policy *policy, unsigned status, const char *request,
                                const char *answer, int64_t delay_ms)
{
    struct http_field at[FIELDS];
    struct http_cache_ask ask = ask_of(request);
    struct cache_control cc;
    struct judged j = {0};
    const struct http_cache_question q = {.method = HTTP_GET,
                                          .ask = &ask,
                                          .status = status,
                                          .answer = fields_of(answer, at),
                                          .asked_ms = NOW - delay_ms,
                                          .answered_ms = NOW};
    j.verdict = http_cache_judge(policy, &q, &cc, &j.life);
    return j;
}

static struct judged judge(const char *answer)
{
    return judge_with(&plain, 200, "", answer, 0);
}

static const struct {
    const char *answer;
    int64_t lifetime_s, age_s;
} lives[] = {
    {"Cache-Control: max-age=60", 60, 0},
    {"Cache-Control: max-age=60\nAge: 7", 60, 7},
    {"Cache-Control: max-age=60\nAge: 7, 9", 60, 7},
    {"Cache-Control: max-age=60\nAge: x", 60, 0},
    {"Cache-Control: max-age=60\nDate: Tue, 14 Nov 2023 22:13:10 GMT", 60, 10},
    {"Cache-Control: max-age=60\nDate: Tue, 14 Nov 2023 22:13:10 GMT\nAge: 30", 60, 30},
    {"Cache-Control: max-age=60\nDate: Tue, 14 Nov 2023 23:13:20 GMT", 60, 0},
    {"Cache-Control: max-age=60, s-maxage=9", 9, 0},
    {"Expires: Tue, 14 Nov 2023 22:14:20 GMT\nDate: Tue, 14 Nov 2023 22:13:20 GMT", 60, 0},
    {"Expires: Tue, 14 Nov 2023 22:14:20 GMT", 60, 0},
    {"Expires: Tue, 14 Nov 2023 22:14:20 GMT\nDate: Tue, 14 Nov 2023 22:13:50 GMT", 30, 0},
    {"Expires: 0", 0, 0},
    {"Last-Modified: Tue, 14 Nov 2023 22:03:20 GMT", 60, 0},
    {"Last-Modified: Tue, 14 Nov 2013 22:13:20 GMT", 86400, 0},
    {"Last-Modified: Wed, 15 Nov 2023 22:03:20 GMT", 0, 0},
    {"ETag: \"a\"", 0, 0},
};

START_TEST(lifetimes_and_ages)
{
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        struct judged j = judge(lives[i].answer);
        ck_assert_msg(j.verdict == HTTP_CACHE_STORE, "%s", lives[i].answer);
        ck_assert_msg(j.life.lifetime_ms == lives[i].lifetime_s * SECONDS, "%s: %lld", lives[i].answer,
                      (long long)j.life.lifetime_ms);
        ck_assert_msg(http_cache_age_ms(&j.life, NOW) == lives[i].age_s * SECONDS, "%s: %lld",
                      lives[i].answer, (long long)http_cache_age_ms(&j.life, NOW));
    }
}
END_TEST

START_TEST(the_delay_of_the_answer_is_age)
{
    struct judged j = judge_with(&plain, 200, "", "Cache-Control: max-age=60\nAge: 5", 2500);
    ck_assert_int_eq(http_cache_age_ms(&j.life, NOW), 7500);
    ck_assert_int_eq(http_cache_left_ms(&j.life, NOW + 1000), 51500);
}
END_TEST

START_TEST(times_saturate)
{
    struct judged j = judge("Cache-Control: max-age=99999999999999999999\nAge: 99999999999999999999");
    ck_assert_int_eq(j.verdict, HTTP_CACHE_STORE);
    ck_assert_int_eq(http_cache_age_ms(&j.life, INT64_MAX / 2), HTTP_CACHE_FOREVER_MS);
    struct http_cache_ask all = ask_of("Cache-Control: max-stale, min-fresh=99999999999999999999, max-age=0");
    ck_assert_int_ne(http_cache_use(&j.life, &all, NOW), HTTP_CACHE_FRESH);
}
END_TEST

START_TEST(a_clock_that_goes_back_is_age_0)
{
    struct judged j = judge("Cache-Control: max-age=60");
    ck_assert_int_eq(http_cache_age_ms(&j.life, NOW - 100000), 0);
}
END_TEST

START_TEST(freshness_ends_to_the_millisecond)
{
    struct judged j = judge("Cache-Control: max-age=1\nETag: \"a\"");
    struct http_cache_ask ask = ask_of("");
    ck_assert_int_eq(http_cache_use(&j.life, &ask, NOW + 999), HTTP_CACHE_FRESH);
    ck_assert_int_eq(http_cache_use(&j.life, &ask, NOW + 1000), HTTP_CACHE_STALE);
}
END_TEST

START_TEST(stale_windows_end)
{
    struct judged j = judge("Cache-Control: max-age=1, stale-while-revalidate=2, stale-if-error=3");
    struct http_cache_ask ask = ask_of("");
    ck_assert_int_eq(http_cache_use(&j.life, &ask, NOW + 2999), HTTP_CACHE_REFRESH);
    ck_assert_int_eq(http_cache_use(&j.life, &ask, NOW + 3000), HTTP_CACHE_STALE);
    ck_assert(http_cache_may_rescue(&j.life, &ask, false, NOW + 3999));
    ck_assert(!http_cache_may_rescue(&j.life, &ask, false, NOW + 4000));
    ck_assert(!http_cache_may_rescue(&j.life, &ask, true, NOW + 4000));
}
END_TEST

START_TEST(the_unreachable_have_a_window_of_their_own)
{
    struct http_cache_policy policy = plain;
    policy.stale_if_unreachable_ms = 5000;
    struct judged j = judge_with(&policy, 200, "", "Cache-Control: max-age=1", 0);
    struct http_cache_ask ask = ask_of("");
    ck_assert(http_cache_may_rescue(&j.life, &ask, true, NOW + 5999));
    ck_assert(!http_cache_may_rescue(&j.life, &ask, true, NOW + 6000));
    ck_assert(!http_cache_may_rescue(&j.life, &ask, false, NOW + 1500));
}
END_TEST

START_TEST(who_is_known_is_as_if_authorized)
{
    struct http_field at[FIELDS];
    struct http_cache_ask ask = ask_of("");
    struct cache_control cc;
    struct http_cache_life life;
    struct http_cache_question q = {.method = HTTP_GET,
                                    .ask = &ask,
                                    .is_identified = true,
                                    .status = 200,
                                    .answer = fields_of("Cache-Control: max-age=60", at),
                                    .answered_ms = NOW};
    ck_assert_int_eq(http_cache_judge(&plain, &q, &cc, &life), HTTP_CACHE_AUTHORIZATION);
    q.answer = fields_of("Cache-Control: max-age=60, public", at);
    ck_assert_int_eq(http_cache_judge(&plain, &q, &cc, &life), HTTP_CACHE_STORE);
    q.method = HTTP_POST;
    ck_assert_int_eq(http_cache_judge(&plain, &q, &cc, &life), HTTP_CACHE_METHOD);
}
END_TEST

START_TEST(every_verdict_has_a_word)
{
    for (int v = HTTP_CACHE_STORE; v <= HTTP_CACHE_USELESS; v++)
        ck_assert_ptr_nonnull(http_cache_verdict_name((enum http_cache_verdict)v));
}
END_TEST

START_TEST(parts_of_the_rules)
{
    struct cache_control none = {0};
    ck_assert(http_cache_keeps(&none, SLICE("ETag")) && !http_cache_keeps(&none, SLICE("age")) &&
              !http_cache_keeps(&none, SLICE("Connection")));
    ck_assert(http_cache_updates(SLICE("ETag")) && !http_cache_updates(SLICE("content-length")));
    ck_assert(http_cache_invalidates(HTTP_POST, 201) && http_cache_invalidates(HTTP_OTHER, 303));
    ck_assert(!http_cache_invalidates(HTTP_POST, 404) && !http_cache_invalidates(HTTP_GET, 200));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http_cache");
    TCase *t = tcase_create("http_cache");
    tcase_add_test(t, lifetimes_and_ages);
    tcase_add_test(t, the_delay_of_the_answer_is_age);
    tcase_add_test(t, times_saturate);
    tcase_add_test(t, a_clock_that_goes_back_is_age_0);
    tcase_add_test(t, freshness_ends_to_the_millisecond);
    tcase_add_test(t, stale_windows_end);
    tcase_add_test(t, the_unreachable_have_a_window_of_their_own);
    tcase_add_test(t, who_is_known_is_as_if_authorized);
    tcase_add_test(t, every_verdict_has_a_word);
    tcase_add_test(t, parts_of_the_rules);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
