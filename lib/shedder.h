/*
 * shedder.h: which work to refuse when an event loop does not keep up.
 *
 *     shedder_init(&s, 50 * MS);
 *     shedder_observe(&s, now_ns, lag_ns);            // how late a timer of the loop was; at every tick
 *     if (!shedder_admits(&s, SHED_LOW)) refuse;
 *
 * The lag is smoothed over a few ticks. From the threshold on the lowest priority is refused, from twice and
 * four times of it the next two; critical work never is. Once raised, the level stays for a second at least,
 * and falls, one step at a time, when the lag is below half of what raised it: so that refusing, which makes
 * the lag go away, does not end at once.
 *
 * Owned by one thread. Times are monotonic ns.
 */
#ifndef LIB_SHEDDER_H
#define LIB_SHEDDER_H

#include <stdbool.h>
#include <stdint.h>

enum shed_priority { SHED_LOW, SHED_NORMAL, SHED_HIGH, SHED_CRITICAL };

struct shedder {
    uint64_t threshold_ns; /* 0: nothing is ever refused */
    uint64_t lag_ns;       /* smoothed */
    uint64_t changed_ns;   /* when the level was last changed */
    unsigned level;        /* priorities below it are refused */
};

void shedder_init(struct shedder *s, uint64_t threshold_ns);
void shedder_observe(struct shedder *s, uint64_t now_ns, uint64_t lag_ns);

static inline bool shedder_admits(const struct shedder *s, enum shed_priority p)
{
    return (unsigned)p >= s->level;
}

#endif
