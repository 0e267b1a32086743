/*
 * gradient.c: see gradient.h.
 *
 * For each window, with L the limit: gradient = tolerance x long-term / short-term, within 1/2 and 1; L moves
 * towards gradient x L + sqrt(L). A saturated server answers within L / capacity, so L comes to rest at
 * tolerance x capacity x base latency + sqrt(L).
 *
 * Calm times come by themselves (NORMAL with at most half in flight) or are made: SETTLING lowers the limit
 * and waits until what was in flight is through, MEASURING takes the next window as the long term. A window
 * that is faster than the long term lowers it at any time, by a quarter of the difference.
 *
 * Letting the long term follow the short term slowly, which needs no calm windows, was considered: under
 * steady overload it follows the queue that it allows, and never comes back.
 */
#include "lib/gradient.h"

#include <math.h>

#define COUNT_BITS 20
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define COUNT_FULL (UINT64_C(1) << 19) /* samples beyond are not needed; leaves room for as many threads */
#define LATENCY_US ((UINT64_C(1) << 24) - 1)
#define WEIGHT     0.25 /* of a window, in the long term */
#define SETTLE_MAX 10   /* windows; then what is in flight hangs, and is not waited for */

enum { NORMAL, SETTLING, MEASURING };

void gradient_init(struct gradient *g, const struct gradient_policy *policy, uint64_t now_ns)
{
    const struct gradient_policy *p = policy;
    CHECK(p->min >= 1 && p->min <= p->initial && p->initial <= p->max);
    CHECK(p->window_ns && p->min_samples && p->min_samples <= COUNT_FULL && p->calm_every);
    CHECK(p->tolerance >= GRADIENT_WHOLE && p->smoothing && p->smoothing <= GRADIENT_WHOLE);
    g->policy = *p;
    atomic_init(&g->limit, p->initial);
    atomic_init(&g->ends_ns, now_ns + p->window_ns);
    atomic_init(&g->long_us, 0);
    atomic_init(&g->short_us, 0);
    atomic_init(&g->samples, 0);
    atomic_init(&g->peak, 0);
    atomic_flag_clear(&g->is_busy);
    g->phase = NORMAL;
    g->since_calm = g->settling = 0;
    g->exact = p->initial;
    g->long_term = 0;
}

/* ---- the update, by whoever has set is_busy ---- */

static uint32_t calm_limit(const struct gradient *g)
{
    double half = g->exact / 2 * GRADIENT_WHOLE / g->policy.tolerance;
    return half > g->policy.min ? (uint32_t)half : g->policy.min;
}

/* Move the limit as the short term asks. */
static void move_limit(struct gradient *g, double short_term, uint32_t peak)
{
    const struct gradient_policy *p = &g->policy;
    double gradient = g->long_term / short_term * p->tolerance / GRADIENT_WHOLE;
    gradient = gradient > 1 ? 1 : gradient < 0.5 ? 0.5 : gradient;
    double aim = g->exact * gradient + sqrt(g->exact);
    bool is_near = peak >= g->exact * 0.8;
    if (aim > g->exact && !is_near)
        return;
    g->exact += (aim - g->exact) * p->smoothing / GRADIENT_WHOLE;
    g->exact = g->exact > p->max ? p->max : g->exact < p->min ? p->min : g->exact;
}

static void end_normal(struct gradient *g, double short_term, uint32_t peak)
{
    bool is_calm = peak * 2.0 <= g->exact;
    if (g->long_term <= 0)
        g->long_term = short_term;
    else if (is_calm || short_term < g->long_term)
        g->long_term += (short_term - g->long_term) * WEIGHT;
    g->since_calm = is_calm ? 0 : g->since_calm + 1;
    if (!is_calm)
        move_limit(g, short_term, peak);
    if (g->since_calm >= g->policy.calm_every) {
        g->phase = SETTLING;
        g->settling = 0;
    }
}

static void end_window(struct gradient *g, double short_term, uint32_t peak)
{
    switch (g->phase) {
    case SETTLING:
        if (peak <= calm_limit(g) || ++g->settling >= SETTLE_MAX)
            g->phase = MEASURING;
        break;
    case MEASURING:
        g->long_term = short_term;
        g->since_calm = 0;
        g->phase = NORMAL;
        break;
    default:
        end_normal(g, short_term, peak);
    }
}

/* True: the limit is another one now. */
static bool update(struct gradient *g, uint64_t now_ns)
{
    /* Relaxed: the numbers are all that is shared; is_busy orders the rest. */
    uint64_t samples = atomic_exchange_explicit(&g->samples, 0, memory_order_relaxed);
    uint32_t peak = atomic_exchange_explicit(&g->peak, 0, memory_order_relaxed);
    uint64_t n = samples & COUNT_MASK, sum_us = samples >> COUNT_BITS;
    double short_term = (double)(sum_us > n ? sum_us : n) / (double)n; /* at least 1 us */
    end_window(g, short_term, peak);
    uint32_t limit = g->phase == NORMAL ? (uint32_t)g->exact : calm_limit(g);
    atomic_store_explicit(&g->long_us, (uint64_t)g->long_term, memory_order_relaxed);
    atomic_store_explicit(&g->short_us, (uint64_t)short_term, memory_order_relaxed);
    atomic_store_explicit(&g->ends_ns, now_ns + g->policy.window_ns, memory_order_relaxed);
    return atomic_exchange_explicit(&g->limit, limit, memory_order_relaxed) != limit;
}

/* ---- for all ---- */

static bool is_over(const struct gradient *g, uint64_t now_ns)
{
    uint64_t n = atomic_load_explicit(&g->samples, memory_order_relaxed) & COUNT_MASK;
    return now_ns >= atomic_load_explicit(&g->ends_ns, memory_order_relaxed) && n >= g->policy.min_samples;
}

static void add_sample(struct gradient *g, uint64_t latency_ns, uint32_t in_flight)
{
    uint64_t us = latency_ns / 1000 < LATENCY_US ? latency_ns / 1000 : LATENCY_US;
    uint32_t peak = atomic_load_explicit(&g->peak, memory_order_relaxed);
    while (peak < in_flight && !atomic_compare_exchange_weak_explicit(
                                   &g->peak, &peak, in_flight, memory_order_relaxed, memory_order_relaxed))
        ;
    if ((atomic_load_explicit(&g->samples, memory_order_relaxed) & COUNT_MASK) < COUNT_FULL)
        atomic_fetch_add_explicit(&g->samples, us << COUNT_BITS | 1, memory_order_relaxed);
}

bool gradient_sample(struct gradient *g, uint64_t now_ns, uint64_t latency_ns, uint32_t in_flight)
{
    bool has_changed = false;
    add_sample(g, latency_ns, in_flight);
    if (LIKELY(!is_over(g, now_ns)))
        return false;
    /* Acquire: the fields that is_busy guards. Partner: the clear below. */
    if (atomic_flag_test_and_set_explicit(&g->is_busy, memory_order_acquire))
        return false;
    if (is_over(g, now_ns)) /* still, now that nobody else is at it */
        has_changed = update(g, now_ns);
    atomic_flag_clear_explicit(&g->is_busy, memory_order_release);
    return has_changed;
}

uint32_t gradient_limit(const struct gradient *g)
{
    return atomic_load_explicit(&g->limit, memory_order_relaxed);
}

struct gradient_view gradient_view(const struct gradient *g)
{
    return (struct gradient_view){
        .limit = gradient_limit(g),
        .long_ns = atomic_load_explicit(&g->long_us, memory_order_relaxed) * 1000,
        .short_ns = atomic_load_explicit(&g->short_us, memory_order_relaxed) * 1000,
    };
}
