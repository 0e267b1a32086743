/*
 * bucket_table.h: a token bucket for each client, for any number of clients, in memory that never grows.
 *
 * Shared by all threads without a lock. A bucket comes into being by being taken from, and goes when its slot
 * is wanted by another and it is full again: there is no expiry and no sweeper. The caller makes the key: 128
 * bits of a hash, seeded anew in each process, over the limit's id and the client's key.
 *
 *     struct bucket_table *t = bucket_table_new(1000000, nthreads);
 *     struct bucket_key key = {hash.high64, hash.low64};
 *     struct token_ask ask = {.rate = &limit->rate, .now_ns = now_ns, .cost = 1};
 *     struct token_result r = bucket_table_take(t, thread, key, &ask);
 *     ...
 *     bucket_table_give_back(t, key, &ask);      // a second limit refused the request
 *
 * What happens when there are more clients in debt than slots (a flood of new keys): a newcomer takes over
 * the slot with the least debt of its set AND that debt. So
 *  - no key is ever admitted above its limit, forgotten or not, whatever others send;
 *  - a refused request changes nothing, and a newcomer that is admitted has only displaced a bucket with less
 *    debt than its own window: a key that is at its limit keeps its slot against newcomers of the same limit
 *    until it has a token again;
 *  - a newcomer may be told less than its limit; in the worst case, a flooded set in which all are at their
 *    limits, nothing until one of the sixteen has a token.
 *
 * Since debt is time, a table full of slow limits (1 a day) leaves nothing to newcomers of fast ones (10 a
 * second). Limits whose windows differ by orders of magnitude should have tables of their own: untouched
 * memory costs nothing.
 *
 * One exception: in a set where all sixteen are in debt, tokens given back may benefit a key that was
 * displaced at the same instant, by one burst at most.
 *
 * Memory: 32 bytes for each of MAX_ENTRIES, reserved at once, used by the page as keys come; less than one
 * key in a thousand then finds its set full. Same rules for times and rates as token_bucket.h.
 *
 * Source of the rule for newcomers: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and
 * Top-k Elements in Data Streams" (Space-Saving), 2005.
 */
#ifndef LIB_BUCKET_TABLE_H
#define LIB_BUCKET_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/check.h"
#include "lib/token_bucket.h"

struct bucket_table;

/* Both parts uniformly random and not to be foreseen by a client. */
struct bucket_key {
    uint64_t place, tag;
};

/* Room for MAX_ENTRIES buckets (at least 1), called by threads 0 .. NTHREADS - 1. NULL: out of memory. */
MUST_USE struct bucket_table *bucket_table_new(size_t max_entries, size_t nthreads);
void bucket_table_free(struct bucket_table *t);

/* As token_bucket_take, on the bucket of KEY. THREAD is the caller's number, for the counts only. */
MUST_USE struct token_result bucket_table_take(struct bucket_table *t, size_t thread, struct bucket_key key,
                                               const struct token_ask *ask);

/* As token_bucket_peek: what a take would be told now, also for a key that has no bucket. Any thread. */
MUST_USE struct token_result bucket_table_peek(const struct bucket_table *t, struct bucket_key key,
                                               const struct token_ask *ask);

/* As token_bucket_give_back; nothing when the key has no bucket any more. Any thread. */
void bucket_table_give_back(struct bucket_table *t, struct bucket_key key, const struct token_ask *ask);

struct bucket_usage {
    size_t slots;        /* in the table */
    size_t bytes;        /* reserved */
    size_t held;         /* slots with a key, full again or not (estimate) */
    size_t in_debt;      /* slots with a key that is not full: buckets in use (estimate) */
    uint64_t recycled;   /* slots taken from a bucket that was full again */
    uint64_t evicted;    /* slots taken from a bucket in debt, with the debt */
    uint64_t overflowed; /* newcomers refused because of the debt they would have had to take over */
};

/*
 * For gauges; any thread. Looks at MAX_SETS sets of 16 slots at most, spread evenly, and scales up; SIZE_MAX
 * looks at all.
 */
struct bucket_usage bucket_table_usage(const struct bucket_table *t, uint64_t now_ns, size_t max_sets);

#endif
