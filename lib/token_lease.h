/*
 * token_lease.h: a limit that several processes share, at the cost of a local one: tokens are leased in
 * batches from a bucket that all of them ask, and spent here.
 *
 * A table of what is leased, for all threads of this process; no I/O and no clock of its own. Whoever wants a
 * token takes:
 *
 *     struct lease_answer a = lease_take(t, key, &(struct lease_take){&rate, now_ns, 1, lane, false});
 *     if (a.asks) ... send a.ask to the bucket; then lease_granted() or lease_failed()
 *     switch (a.verdict) {
 *     case LEASE_ADMITTED: ...                    // go on
 *     case LEASE_REFUSED: ...                     // come again after a.retry_ns
 *     case LEASE_WAIT: ...                        // until one of those two names this lane; then take again
 *     case LEASE_DOWN: ...                        // the bucket cannot be asked
 *     }
 *
 * At most one ask for a key is under way. Its size follows demand: what was wanted in the last 50 ms, for
 * as long as a lease is spent: three quarters of its life, the rest being for what comes back. What is low is
 * replenished before it is used up, so that hot keys do not wait. When less came than was asked for, there is
 * a pause; in it, refusals are local and cost nothing.
 *
 * THE BOUND. With B the burst, R the rate and L the life of a lease, as many as B + R * (b - a) are admitted
 * in any window [a, b], over all processes, and never more. Why:
 *  - A lease that the bucket granted at g is spent between g and g + L: its life is measured here from when
 *    the ask was SENT, which is no later than g. (No clocks are compared: only durations.)
 *  - The bucket keeps what it grants pending, and charges it to its GCRA at a time c >= g + L. Pending tokens
 *    are not refilled. It grants only while charged debt + pending <= B.
 *  - What is spent in [a, b] was granted at g <= b with g + L >= a. Let t be the last such grant, and look at
 *    that moment: P of these tokens are pending, the other N were charged in [a, t], so that the debt in
 *    tokens, (TAT - t) * R, is at least N - R * (t - a). The grant was made because debt + P <= B. Hence
 *    N + P <= B + R * (t - a).
 *  - Tokens that come back before they are charged leave pending as if they had never been granted. Those
 *    that come back later are forgotten. Tokens of which an ask says that they are spent are charged when it
 *    arrives: they were spent before, which is all that c >= g + L is for.
 * A reduced burst, B - R * L, would do too, but takes the burst from those who have been idle.
 *
 * Pending tokens cost throughput when there is little burst: the bucket must not run full between two asks.
 * So L = min(50 ms, 2/5 of (B - 1) / R), and a pause of min(50 ms, half of B / R). Where L is shorter than
 * LEASE_LIFE_MIN, or too short for two tokens, or the caller wants it exact, L is 0: tokens are asked for
 * those that wait, and charged at once; the bound then holds of the moments of the grants. Returned tokens
 * of age A are worth 1 - A * R each time at most, which is the most that can be missing in a bucket that
 * never granted them.
 *
 * When the bucket was away, an ask tells what is known of it: when it would have been full, and for how long
 * there was no answer.
 *
 * Memory is fixed: sets of eight slots; the one that was used longest ago goes. What it had leased is lost,
 * which is safe. Any thread; a lock for each set, held for a few loads and stores. Times are monotonic
 * nanoseconds, not 0.
 *
 * Source: ITU-T Recommendation I.371, annex A (GCRA).
 */
#ifndef LIB_TOKEN_LEASE_H
#define LIB_TOKEN_LEASE_H

#include "lib/bucket_table.h"

#define LEASE_LIFE_MAX UINT64_C(50000000) /* ns */
#define LEASE_LIFE_MIN UINT64_C(5000000)
#define LEASE_LANES    64 /* threads to be told; those beyond share a lane */

struct lease_table;

/* A rate as the bucket is told it: integers, so that its arithmetic is exact. */
struct lease_rate {
    uint64_t parts;   /* that a token consists of */
    uint64_t refill;  /* parts in a microsecond */
    uint64_t burst;   /* tokens */
    uint64_t life_ns; /* of a lease; 0: tokens are for those that wait */
    uint64_t pause_ns;
};

/* IS_EXACT: one ask for each take, none for later. */
void lease_rate_init(struct lease_rate *r, const struct token_rate *rate, bool is_exact);

/* Room for MAX_ENTRIES keys (at least 1). NULL: out of memory. */
MUST_USE struct lease_table *lease_table_new(size_t max_entries);
void lease_table_free(struct lease_table *t);

struct lease_take {
    const struct lease_rate *rate;
    uint64_t now_ns;
    uint64_t cost; /* 1 .. burst */
    unsigned lane; /* of the caller */
    bool is_again; /* it was told to wait before */
};

enum lease_verdict {
    LEASE_ADMITTED,
    LEASE_REFUSED, /* the bucket has said that there is none */
    LEASE_WAIT,    /* an ask is under way, maybe the caller's */
    LEASE_DOWN,    /* the last ask has failed */
};

/* To be sent to the bucket. */
struct lease_ask {
    uint64_t sent_ns;  /* also tells asks for a key apart */
    uint64_t want;     /* tokens */
    uint64_t at_least; /* fewer are of no use */
    uint64_t back;     /* tokens that were not used, of the lease STAMP */
    uint64_t spent;    /* tokens of it that were */
    int64_t stamp;
    uint64_t full_in_ns; /* when the bucket will be full, as far as is known; 0: it is */
    uint64_t down_ns;    /* how long asks have failed; 0: the last was answered */
};

struct lease_answer {
    enum lease_verdict verdict;
    bool asks; /* the caller has to send ASK; whatever the verdict */
    struct lease_ask ask;
    int64_t stamp;      /* admitted: of the lease, for lease_give_back */
    uint64_t remaining; /* whole tokens, about */
    uint64_t retry_ns;  /* refused: come again after this */
    uint64_t full_ns;   /* until the bucket is full, as far as is known */
};

MUST_USE struct lease_answer lease_take(struct lease_table *t, struct bucket_key key,
                                        const struct lease_take *take);

/* What the bucket has answered. */
struct lease_reply {
    uint64_t granted, remaining;
    uint64_t retry_us; /* until there are at_least tokens; after a grant, until there is one */
    uint64_t full_us;
    int64_t stamp; /* of the lease */
};

/* The answer to ASK. The lanes (bits) that wait for it. */
MUST_USE uint64_t lease_granted(struct lease_table *t, struct bucket_key key, const struct lease_rate *rate,
                                const struct lease_ask *ask, const struct lease_reply *reply,
                                uint64_t now_ns);

/* There is none. The next ask is HOLD_NS from now; until then takes are told LEASE_DOWN. The lanes to wake.
 */
MUST_USE uint64_t lease_failed(struct lease_table *t, struct bucket_key key, const struct lease_ask *ask,
                               uint64_t now_ns, uint64_t hold_ns);

/* One that was told to wait does not come again. */
void lease_leave(struct lease_table *t, struct bucket_key key, uint64_t cost);

/* For a request that was admitted by lease STAMP and did not happen. */
void lease_give_back(struct lease_table *t, struct bucket_key key, const struct lease_take *take,
                     int64_t stamp);

/*
 * While the bucket is away, each of N processes has its share of the limit, in a bucket of its own. The share
 * holds at least COST tokens.
 */
void lease_share(struct token_rate *share, const struct token_rate *whole, unsigned n, uint64_t cost);

/* The tokens that come in NS; no more than the burst. */
uint64_t lease_tokens_in(const struct token_rate *rate, uint64_t ns);

/* Keys with a slot, about; for gauges. */
size_t lease_table_held(const struct lease_table *t);

#endif
