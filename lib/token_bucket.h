/*
 * token_bucket.h: a limit of so many requests in so much time, with a burst; one bucket is one atomic word.
 *
 * The generic cell rate algorithm: a bucket is the time at which it will be full again (the theoretical
 * arrival time, TAT). A token moves that time forward by one interval (period / count); a request is admitted
 * when the time stays within `burst` intervals of now. Nothing refills a bucket but the clock.
 *
 *     struct token_rate rate;
 *     if (!token_rate_init(&rate, 1000, 3600 * CLOCK_SECOND_NS, 50)) ...      // 1000 an hour, 50 at once
 *     struct token_bucket b = {0};                                            // full
 *     struct token_ask ask = {.rate = &rate, .now_ns = now_ns, .cost = 1};
 *     struct token_result r = token_bucket_take(&b, &ask);
 *     if (!r.admitted) ... 429, Retry-After: r.retry_ns
 *     else if (r.wait_ns) ... admitted, to be sent on after that time (only when ask.max_wait_ns > 0)
 *
 * Exact: with T the time since any moment, at most burst + rate * T is admitted, and all of that when more is
 * asked for. When period / count is a whole number of nanoseconds there is no error; otherwise requests may
 * pass up to 2 ns early, and that error does not grow with time or with the number of requests.
 *
 * Times are monotonic nanoseconds. Any thread may call with its own idea of now: a clock that is behind gets
 * fewer tokens, never more. A bucket must be used with one rate; after a change of rate it is best begun
 * anew.
 *
 * Source: ITU-T Recommendation I.371, annex A (GCRA, virtual scheduling).
 */
#ifndef LIB_TOKEN_BUCKET_H
#define LIB_TOKEN_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

/* `now_ns` may be at most this: 146 years of uptime. */
#define TOKEN_NOW_MAX (UINT64_C(1) << 62)
/* A bucket takes at most this long to fill: 73 years. Waits are cut to it as well. */
#define TOKEN_WINDOW_MAX (UINT64_C(1) << 61)
/* One token every two nanoseconds at most. */
#define TOKEN_INTERVAL_MIN 2
/* retry_ns of what will never be admitted. */
#define TOKEN_NEVER UINT64_MAX

struct token_rate {
    uint64_t num, den;  /* a token is worth num / den nanoseconds, in lowest terms */
    uint64_t burst;     /* tokens in a full bucket */
    uint64_t window_ns; /* time in which an empty bucket fills, rounded up */
};

struct token_bucket {
    _Atomic uint64_t tat; /* when it will be full again; 0 in a new bucket */
};

struct token_ask {
    const struct token_rate *rate;
    uint64_t now_ns;
    uint64_t cost;        /* tokens; 0 counts as 1 */
    uint64_t max_wait_ns; /* admit what must wait so long at most; 0: refuse instead */
};

struct token_result {
    bool admitted;
    uint64_t remaining; /* whole tokens left */
    uint64_t wait_ns;   /* admitted: how long the request must be held before it goes on; else 0 */
    uint64_t retry_ns;  /* refused: when the same would be admitted without a wait, or TOKEN_NEVER; else 0 */
    uint64_t full_ns;   /* until the bucket is full again */
};

/*
 * COUNT tokens in PERIOD_NS, BURST at once; half a request a second is 1 in 2 s. False when one of them is 0,
 * when tokens come faster than one in TOKEN_INTERVAL_MIN ns, or when a bucket takes longer to fill than
 * TOKEN_WINDOW_MAX.
 */
MUST_USE bool token_rate_init(struct token_rate *r, uint64_t count, uint64_t period_ns, uint64_t burst);

/* Takes ask->cost tokens or none. More than the burst is never admitted. Any thread, lock-free. */
MUST_USE struct token_result token_bucket_take(struct token_bucket *b, const struct token_ask *ask);

/* What a take would be told about admission, with the tokens and the time to full as they are now. */
MUST_USE struct token_result token_bucket_peek(const struct token_bucket *b, const struct token_ask *ask);

/* Return ask->cost tokens, for a request that did not happen after all. Never fills beyond full. */
void token_bucket_give_back(struct token_bucket *b, const struct token_ask *ask);

/*
 * The arithmetic alone, for those who keep the word themselves: the word after a take (unchanged when
 * refused), and after tokens were returned. Pure.
 */
MUST_USE uint64_t token_take(uint64_t tat, const struct token_ask *ask, struct token_result *result);
MUST_USE uint64_t token_give_back(uint64_t tat, const struct token_ask *ask);
MUST_USE struct token_result token_peek(uint64_t tat, const struct token_ask *ask);

#endif
