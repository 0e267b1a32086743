/*
 * http_cache.h: the rules of a shared HTTP cache: what it may store, for how long an answer is fresh, and
 * whether a stored one may be used for a request.
 *
 *     http_cache_ask(request_fields, &ask);
 *     if ((why = http_cache_judge(&policy, &question, &life)) != HTTP_CACHE_STORE) ...   // pass it on only
 *     ...
 *     switch (http_cache_use(&life, &ask, now_ms)) ...                                   // of a stored one
 *
 * Rules only: no memory, no clock, no sockets. Times are milliseconds since 1970, lifetimes and ages too, so
 * that an age that has a fraction is not rounded to where it is wrong; what protocols carry is seconds.
 *
 * Pure functions, any thread. Sources: RFC 9111; RFC 5861 (stale-while-revalidate, stale-if-error); RFC 8246
 * (immutable); RFC 9213 (targeted fields); RFC 9110, 8.8, 13 (validators).
 */
#ifndef LIB_HTTP_CACHE_H
#define LIB_HTTP_CACHE_H

#include "lib/cache_control.h"
#include "lib/check.h"
#include "lib/http.h"

#define HTTP_CACHE_FOREVER_MS (CC_FOREVER / 1000 * 1000) /* the longest lifetime or age */

/* ---- what a request says ---- */

struct http_cache_ask {
    struct cache_control cc; /* Pragma: no-cache counts where there is no Cache-Control */
    bool has_authorization;
    bool is_conditional; /* If-None-Match, If-Modified-Since */
    bool is_for_origin;  /* If-Match, If-Unmodified-Since: conditions that a cache cannot judge */
    bool has_range;
};

void http_cache_ask(struct http_fields request, struct http_cache_ask *ask);

/* ---- what an answer says ---- */

/* What the operator wants. Lifetimes are for answers that say nothing of their own. */
struct http_cache_policy {
    const struct slice *targeted; /* fields that go before Cache-Control, the first the first (RFC 9213) */
    size_t ntargeted;
    int64_t ttl_ms;          /* freshness of answers that state none; -1: not set */
    int64_t negative_ttl_ms; /* the same of 404, 405, 410, 414 and 501; -1: not set */
    bool heuristic;          /* a tenth of the age that Last-Modified tells, where neither applies */
    int64_t stale_while_revalidate_ms, stale_if_error_ms;
    int64_t stale_if_unreachable_ms; /* past its freshness, while the origin cannot be reached */
    bool share_cookies;              /* answers with Set-Cookie too, when they say public or s-maxage */
};

struct http_cache_question {
    enum http_method method;
    const struct http_cache_ask *ask;
    bool is_identified; /* the request was let in as someone's, as if by Authorization */
    unsigned status;
    struct http_fields answer;
    int64_t asked_ms, answered_ms; /* when the request was sent, when the head of its answer came */
};

enum http_cache_life_flag {
    LIFE_VALIDATE = 1 << 0,    /* never without asking the origin: no-cache */
    LIFE_NEVER_STALE = 1 << 1, /* must-revalidate, proxy-revalidate, s-maxage; see http_cache_use */
    LIFE_ORIGIN_SWR = 1 << 2,  /* the stale windows are the origin's own word */
    LIFE_ORIGIN_SIE = 1 << 3,
    LIFE_MUST_REVALIDATE = 1 << 4, /* must-revalidate or proxy-revalidate: not even then */
};

/* How an answer ages. */
struct http_cache_life {
    int64_t born_ms;     /* when its age was 0, by our clock */
    int64_t lifetime_ms; /* freshness */
    int64_t stale_while_revalidate_ms, stale_if_error_ms, stale_if_unreachable_ms; /* past the lifetime */
    uint32_t flags; /* enum http_cache_life_flag */
};

enum http_cache_verdict {
    HTTP_CACHE_STORE,
    HTTP_CACHE_METHOD, /* only answers to GET are stored */
    HTTP_CACHE_STATUS, /* 206, 304, or one that must-understand asks to understand */
    HTTP_CACHE_NO_STORE,
    HTTP_CACHE_ASKED_NOT_TO, /* the request said no-store */
    HTTP_CACHE_PRIVATE,
    HTTP_CACHE_AUTHORIZATION, /* nothing in the answer allows to share it */
    HTTP_CACHE_SET_COOKIE,
    HTTP_CACHE_VARY_STAR,
    HTTP_CACHE_USELESS, /* no lifetime and no validator: it could never be used */
};

/* Whether an answer may be stored; LIFE is set when it may, and CC always: what it said, by which names that
 * are not to be stored are told (CC_PRIVATE_FIELDS, CC_NO_CACHE_FIELDS). */
MUST_USE enum http_cache_verdict http_cache_judge(const struct http_cache_policy *policy,
                                                  const struct http_cache_question *q,
                                                  struct cache_control *cc, struct http_cache_life *life);

/* One lower-case word for each: "no-store". */
const char *http_cache_verdict_name(enum http_cache_verdict v);

/* ---- a stored answer and a request ---- */

enum http_cache_use {
    HTTP_CACHE_FRESH,   /* use it */
    HTTP_CACHE_ALLOWED, /* stale, but the request takes it so: max-stale */
    HTTP_CACHE_REFRESH, /* stale: use it, and ask the origin in the background */
    HTTP_CACHE_STALE,   /* ask the origin first */
    HTTP_CACHE_REFUSED, /* fresh, but the request wants it newer: ask the origin first */
};

MUST_USE enum http_cache_use http_cache_use(const struct http_cache_life *life,
                                            const struct http_cache_ask *ask, int64_t now_ms);

/* Whether it may be used although the origin was asked and gave an error (status 500, 502, 503, 504), or
 * cannot be reached (UNREACHABLE). */
MUST_USE bool http_cache_may_rescue(const struct http_cache_life *life, const struct http_cache_ask *ask,
                                    bool unreachable, int64_t now_ms);

/* Age, and what is left of the freshness (negative: stale for so long). */
int64_t http_cache_age_ms(const struct http_cache_life *life, int64_t now_ms);
int64_t http_cache_left_ms(const struct http_cache_life *life, int64_t now_ms);

/* ---- parts of the rules that are of use alone ---- */

/* Whether FIELD is stored at all: not fields of the connection, Age, nor what CC keeps from being stored. */
MUST_USE bool http_cache_keeps(const struct cache_control *cc, struct slice field);

/* Whether a 304 updates FIELD of the stored answer (RFC 9111, 3.2). */
MUST_USE bool http_cache_updates(struct slice field);

/* Success of an unsafe method on a resource: what is stored of it is invalid (RFC 9111, 4.4). */
MUST_USE bool http_cache_invalidates(enum http_method method, unsigned status);

#endif
