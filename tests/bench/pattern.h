/*
 * pattern.h: the body bytes both ends of the bench agree on.
 *
 * A body is a repeating block of pseudo-random bytes whose length is a prime, so a byte that is lost, doubled
 * or moved by a power of two shows at once. The block lies twice in a row, so that up to PATTERN_PERIOD bytes
 * from any offset are contiguous: they are sent and compared in place.
 *
 *     struct pattern p;
 *     pattern_init(&p);
 *     write(fd, pattern_at(&p, offset), n);                 n <= PATTERN_PERIOD
 *     bool same = !memcmp(got, pattern_at(&p, offset), n);
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdint.h>
#include <string.h>

#define PATTERN_PERIOD 65521u

struct pattern {
    unsigned char bytes[2 * PATTERN_PERIOD];
};

static inline void pattern_init(struct pattern *p)
{
    uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < PATTERN_PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p->bytes[i] = (unsigned char)(x >> 32);
    }
    memcpy(p->bytes + PATTERN_PERIOD, p->bytes, PATTERN_PERIOD);
}

static inline const unsigned char *pattern_at(const struct pattern *p, uint64_t offset)
{
    return p->bytes + offset % PATTERN_PERIOD;
}

#endif
