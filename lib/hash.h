/*
 * hash.h: a 64-bit hash of bytes.
 *
 * xxHash (XXH3), the same on every machine, so that gateways agree on what it places. It is no defence
 * against chosen keys: use it where a collision costs balance only, as on a ring, not for tables that clients
 * fill.
 *
 * Pure functions, any thread. Source: the xxHash specification, XXH3_64bits_withSeed.
 */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const void *p, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, len, seed);
}

#endif
