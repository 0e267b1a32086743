/*
 * random.h: random numbers, fast and not secret.
 *
 * For request ids, jitter and choosing among servers; never for keys or tokens. One struct for each thread,
 * seeded by the kernel; tests seed it by hand to get the same numbers again.
 *
 * Source: xoshiro256**, Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018;
 * SplitMix64 spreads a small seed over its state.
 */
#ifndef LIB_RANDOM_H
#define LIB_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t s[4];
};

/* From the kernel. */
void random_seed(struct random *r);

/* The same numbers for the same SEED. */
void random_seed_with(struct random *r, uint64_t seed);

static inline uint64_t random_rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t random_next(struct random *r)
{
    uint64_t result = random_rotate(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = random_rotate(r->s[3], 45);
    return result;
}

/* RANDOM bits as a number below N (N > 0), by the upper half of their product. */
static inline uint64_t random_below(uint64_t bits, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)bits * n) >> 64);
}

#endif
