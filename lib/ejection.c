/*
 * ejection.c: see ejection.h.
 *
 * What is known passively of a server is one word, so that failures counted, ejections and returns cannot
 * contradict each other:
 *
 *     bit  0      ejected
 *          1-7    ejections in a row
 *          8-23   failures in a row
 *          24-63  ejected: tick until which it is; else: tick of its return, 0 when it was never ejected
 *
 * The pool counts places. A place is taken before a server's word says ejected and given back after it says
 * so no more, so there are never more ejected servers than places taken, and those are bounded by a
 * compare-and-swap.
 *
 * Relaxed, since the words are all that is shared, but for the two sides of a place: see take_place.
 */
#include "lib/ejection.h"

#define TICK_SHIFT   20
#define TICK_NS      (UINT64_C(1) << TICK_SHIFT)
#define TIMES_MAX    127u
#define FAILURES_MAX 65535u

struct passive {
    bool is_ejected;
    unsigned times, failures;
    uint64_t tick;
};

static struct passive unpack(uint64_t word)
{
    return (struct passive){
        .is_ejected = word & 1, .times = word >> 1 & 127, .failures = word >> 8 & 65535, .tick = word >> 24};
}

static uint64_t pack(struct passive p)
{
    return p.tick << 24 | (uint64_t)p.failures << 8 | (uint64_t)p.times << 1 | p.is_ejected;
}

static bool swap(struct ejection_server *s, uint64_t *word, struct passive to)
{
    return atomic_compare_exchange_weak_explicit(&s->word, word, pack(to), memory_order_release,
                                                 memory_order_relaxed);
}

/* ---- the pool ---- */

void ejection_pool_resize(struct ejection_pool *pool, uint32_t size)
{
    uint32_t cap = (uint32_t)((uint64_t)size * pool->policy.max_share / EJECTION_WHOLE);
    if (cap == 0 && size > 1 && pool->policy.max_share)
        cap = 1;
    atomic_store_explicit(&pool->size, size, memory_order_relaxed);
    atomic_store_explicit(&pool->cap, cap, memory_order_relaxed);
}

void ejection_pool_init(struct ejection_pool *pool, const struct ejection_policy *policy, uint32_t size)
{
    CHECK(policy->max_share <= EJECTION_WHOLE && policy->panic_share <= EJECTION_WHOLE);
    CHECK(policy->rise && policy->fall);
    CHECK(policy->base_ns <= policy->max_ns && policy->max_ns <= EJECTION_LONGEST_NS);
    CHECK(policy->slow_start_ns <= EJECTION_LONGEST_NS);
    pool->policy = *policy;
    atomic_init(&pool->size, 0);
    atomic_init(&pool->cap, 0);
    atomic_init(&pool->ejected, 0);
    ejection_pool_resize(pool, size);
}

uint32_t ejection_cap(const struct ejection_pool *pool)
{
    return atomic_load_explicit(&pool->cap, memory_order_relaxed);
}

uint32_t ejection_count(const struct ejection_pool *pool)
{
    return atomic_load_explicit(&pool->ejected, memory_order_relaxed);
}

/* Acquire: the word of the server that had the place before says "in" to whoever sees the next one ejected.
 * Partner: the release in give_place_back; and a server's word is released when it says "ejected". */
static bool take_place(struct ejection_pool *pool)
{
    uint32_t ejected = atomic_load_explicit(&pool->ejected, memory_order_relaxed);
    do {
        if (ejected >= ejection_cap(pool))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&pool->ejected, &ejected, ejected + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

static void give_place_back(struct ejection_pool *pool)
{
    /* Release: the word that says "in". Partner: take_place. */
    uint32_t was = atomic_fetch_sub_explicit(&pool->ejected, 1, memory_order_release);
    CHECK(was > 0);
}

bool ejection_is_panic(const struct ejection_pool *pool, uint32_t usable)
{
    uint64_t size = atomic_load_explicit(&pool->size, memory_order_relaxed);
    return (uint64_t)usable * EJECTION_WHOLE < size * pool->policy.panic_share;
}

/* ---- passively ---- */

void ejection_init(struct ejection_server *s)
{
    atomic_init(&s->word, 0);
    atomic_init(&s->health, 0);
    atomic_init(&s->back_ns, 0);
}

void ejection_begin(struct ejection_server *s, uint64_t now_ns)
{
    atomic_store_explicit(&s->back_ns, now_ns ? now_ns : 1, memory_order_relaxed);
}

void ejection_forget(struct ejection_pool *pool, struct ejection_server *s)
{
    if (unpack(atomic_exchange_explicit(&s->word, 0, memory_order_relaxed)).is_ejected)
        give_place_back(pool);
}

/* P, ejected at NOW_NS. */
static struct passive ejected(const struct ejection_policy *policy, struct passive p, uint64_t now_ns)
{
    uint64_t back_ns = p.tick << TICK_SHIFT;
    if (now_ns >= back_ns + policy->max_ns)
        p.times = 0;
    p.times += p.times < TIMES_MAX;
    uint64_t for_ns = policy->max_ns;
    if (policy->base_ns < policy->max_ns / p.times)
        for_ns = policy->base_ns * p.times;
    p.tick = (now_ns + for_ns + TICK_NS - 1) >> TICK_SHIFT;
    p.is_ejected = true;
    p.failures = 0;
    return p;
}

static enum ejection_event count_failure(struct ejection_pool *pool, struct ejection_server *s,
                                         uint64_t now_ns)
{
    uint64_t word = atomic_load_explicit(&s->word, memory_order_relaxed);
    for (;;) {
        struct passive p = unpack(word);
        if (p.is_ejected) /* a request from before */
            return EJECTION_NOTHING;
        p.failures += p.failures < FAILURES_MAX;
        if (p.failures < pool->policy.consecutive || !take_place(pool)) {
            if (swap(s, &word, p))
                return EJECTION_NOTHING;
        } else {
            if (swap(s, &word, ejected(&pool->policy, p, now_ns)))
                return EJECTION_EJECTED;
            give_place_back(pool);
        }
    }
}

enum ejection_event ejection_report(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                                    bool has_failed)
{
    if (!pool->policy.consecutive)
        return EJECTION_NOTHING;
    if (has_failed)
        return count_failure(pool, s, now_ns);
    uint64_t word = atomic_load_explicit(&s->word, memory_order_relaxed);
    struct passive p = unpack(word);
    while (UNLIKELY(p.failures)) { /* none while ejected */
        p.failures = 0;
        if (swap(s, &word, p))
            break;
        p = unpack(word);
    }
    return EJECTION_NOTHING;
}

bool ejection_admits(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                     enum ejection_event *event)
{
    uint64_t word = atomic_load_explicit(&s->word, memory_order_relaxed);
    struct passive p = unpack(word);
    *event = EJECTION_NOTHING;
    while (UNLIKELY(p.is_ejected)) {
        if (now_ns < p.tick << TICK_SHIFT)
            return false;
        p.is_ejected = false;
        p.tick = (now_ns + TICK_NS - 1) >> TICK_SHIFT;
        if (swap(s, &word, p)) {
            ejection_begin(s, now_ns);
            give_place_back(pool);
            *event = EJECTION_RETURNED;
            break;
        }
        p = unpack(word);
    }
    return !(atomic_load_explicit(&s->health, memory_order_relaxed) & 1);
}

/* ---- actively: bit 0 of `health` is down; above it, checks in a row that say otherwise ---- */

enum ejection_event ejection_probe(struct ejection_pool *pool, struct ejection_server *s, uint64_t now_ns,
                                   bool is_well)
{
    uint32_t word = atomic_load_explicit(&s->health, memory_order_relaxed), next;
    bool turns;
    do {
        bool is_down = word & 1;
        uint32_t contrary = is_well == is_down ? (word >> 1) + 1 : 0;
        turns = contrary >= (is_down ? pool->policy.rise : pool->policy.fall);
        next = turns ? !is_down : contrary << 1 | is_down;
    } while (!atomic_compare_exchange_weak_explicit(&s->health, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (!turns)
        return EJECTION_NOTHING;
    if (is_well)
        ejection_begin(s, now_ns);
    return is_well ? EJECTION_UP : EJECTION_DOWN;
}

/* ---- to look at ---- */

uint32_t ejection_weight(const struct ejection_pool *pool, const struct ejection_server *s, uint64_t now_ns)
{
    uint64_t back_ns = atomic_load_explicit(&s->back_ns, memory_order_relaxed);
    uint64_t slow_ns = pool->policy.slow_start_ns, since_ns = now_ns > back_ns ? now_ns - back_ns : 0;
    if (LIKELY(!back_ns || since_ns >= slow_ns))
        return EJECTION_WHOLE;
    uint64_t part = (uint64_t)((unsigned __int128)since_ns * EJECTION_WHOLE / slow_ns);
    return part > EJECTION_WEIGHT_MIN ? (uint32_t)part : EJECTION_WEIGHT_MIN;
}

struct ejection_view ejection_view(const struct ejection_server *s, uint64_t now_ns)
{
    struct passive p = unpack(atomic_load_explicit(&s->word, memory_order_relaxed));
    struct ejection_view v = {.is_ejected = p.is_ejected,
                              .is_down = atomic_load_explicit(&s->health, memory_order_relaxed) & 1,
                              .failures = p.failures,
                              .ejections = p.times};
    if (p.is_ejected && p.tick << TICK_SHIFT > now_ns)
        v.time_left_ns = (p.tick << TICK_SHIFT) - now_ns;
    return v;
}

const char *ejection_event_name(enum ejection_event event)
{
    static const char *const names[] = {"nothing", "ejected", "returned", "down", "up"};
    return names[event];
}
