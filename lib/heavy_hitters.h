/*
 * heavy_hitters.h: the most frequent keys of a stream, in fixed memory.
 *
 *     struct heavy_hitters *h = heavy_hitters_new(256, 60 * CLOCK_SECOND_NS);
 *     struct heavy_key key = {keyed_hash(name), name};
 *     heavy_hitters_add(h, &key, now_ns);                       // each time it is seen; one thread
 *
 *     struct heavy_hitter found[256];                           // another thread, at any time
 *     size_t n = heavy_hitters_read(h, now_ns, found, 256);
 *
 * Of all keys, the table remembers SIZE. A key that is not among them takes the place of the least frequent
 * one and goes on from its count, so that a count may be too high, never too low: a key was seen at least
 * `count - over` times and at most `count` times. Of N additions, no `over` is above N / SIZE, and every key
 * that was seen more often than that is there.
 *
 * All counts are halved once in HALVE_NS of the time argument, so that what is told is about now: a key that
 * comes steadily counts for between one and two times what it adds in that time. Halves are rounded down,
 * which may make a count one too low in all.
 *
 * Keys are told apart by their hash alone; of the bytes, the first HEAVY_KEY_MAX are kept. Where clients
 * choose the keys, the hash must have a secret.
 *
 * One thread adds; any thread reads, without a lock, and no reader ever holds up the one that adds. An
 * addition is O(1), a halving O(SIZE). No memory is allocated after the start. Times are monotonic ns.
 *
 * Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
 * Streams", 2005 (Space-Saving and its Stream-Summary).
 */
#ifndef LIB_HEAVY_HITTERS_H
#define LIB_HEAVY_HITTERS_H

#include "lib/check.h"
#include "lib/slice.h"

#define HEAVY_KEY_MAX       64
#define HEAVY_HITTERS_LIMIT 4096 /* keys that a table may remember */

struct heavy_hitters;

struct heavy_key {
    uint64_t hash; /* of the whole key, uniform */
    struct slice bytes;
};

/* A key that is remembered. */
struct heavy_hitter {
    uint64_t hash;
    uint64_t count; /* how often it was seen, at most */
    uint64_t over;  /* by how much that may be too high */
    size_t len;     /* of the bytes that were kept */
    unsigned char bytes[HEAVY_KEY_MAX];
};

/* SIZE: 1 to HEAVY_HITTERS_LIMIT keys; HALVE_NS above 0. NULL: memory is short, or they are out of bounds. */
MUST_USE struct heavy_hitters *heavy_hitters_new(size_t size, uint64_t halve_ns);
void heavy_hitters_free(struct heavy_hitters *h);

/* KEY was seen once more. Always the same thread. A time before the last one counts as the last one. */
void heavy_hitters_add(struct heavy_hitters *h, const struct heavy_key *key, uint64_t now_ns);

/* The same for a key that is remembered; else false, and nothing is done. It saves to make the bytes, which
 * are wanted only when a key is new. */
MUST_USE bool heavy_hitters_raise(struct heavy_hitters *h, uint64_t hash, uint64_t now_ns);

/* Those that are remembered, in no order; at most MAX. Each is of one moment, all together are not. One that
 * changes all the time while it is looked at is left out. */
size_t heavy_hitters_read(const struct heavy_hitters *h, uint64_t now_ns, struct heavy_hitter *out,
                          size_t max);

#endif
