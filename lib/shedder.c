/* shedder.c: see shedder.h. */
#include "lib/shedder.h"

#define HOLD_NS UINT64_C(1000000000)

void shedder_init(struct shedder *s, uint64_t threshold_ns)
{
    *s = (struct shedder){.threshold_ns = threshold_ns};
}

/* The lag from which LEVEL priorities are refused. */
static uint64_t bound(const struct shedder *s, unsigned level)
{
    return s->threshold_ns << (level - 1);
}

void shedder_observe(struct shedder *s, uint64_t now_ns, uint64_t lag_ns)
{
    unsigned level = s->level;
    if (s->threshold_ns == 0)
        return;
    s->lag_ns = s->lag_ns / 2 + lag_ns / 2;
    while (level < SHED_CRITICAL && s->lag_ns >= bound(s, level + 1))
        level++;
    if (level == s->level && level > 0 && s->lag_ns < bound(s, level) / 2 &&
        now_ns - s->changed_ns >= HOLD_NS)
        level--;
    if (level == s->level)
        return;
    s->level = level;
    s->changed_ns = now_ns;
}
