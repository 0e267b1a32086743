/*
 * quantile.h: about which value so many of the last samples stay below, in one word.
 *
 *     struct quantile p95;
 *     quantile_init(&p95, 9500);                       // of 10000
 *     quantile_add(&p95, took_us);                     // each sample
 *     if (waited_us > quantile_get(&p95)) ...          // 0: there was no sample yet
 *
 * Each sample moves the estimate by a part of itself: up by share/16 when it is above, down by (1 - share)/16
 * when it is not, so that it comes to rest where as many samples are above as the share leaves. It follows a
 * change to higher values within some 50 samples, one to lower ones within some 1000, and is about 10 % off
 * at any time: good for deciding when a request is late, not for reports.
 *
 * Any thread; lock-free. Two samples at the same moment may count as one. Samples of any unit, up to 2^31.
 * Source: Ma, Muthukrishnan, Sandler, "Frugal Streaming for Estimating Quantiles", 2013; here with steps in
 * proportion to the estimate.
 */
#ifndef LIB_QUANTILE_H
#define LIB_QUANTILE_H

#include <stdatomic.h>
#include <stdint.h>

#define QUANTILE_WHOLE 10000

struct quantile {
    _Atomic uint64_t estimate; /* in 1/256 of the unit */
    uint32_t share;
};

/* SHARE: 1 to 9999. */
void quantile_init(struct quantile *q, uint32_t share);
void quantile_add(struct quantile *q, uint32_t sample);
uint32_t quantile_get(const struct quantile *q);

#endif
