/*
 * token_bucket.c: the generic cell rate algorithm on one 64-bit word; see token_bucket.h.
 *
 * The word, TAT, is in nanoseconds. A token is worth num/den ns, which need not be whole: at 3 a second it is
 * 333,333,333 1/3 ns. Rounding every step would drift (at 999,999 a second by one part in a thousand), and a
 * finer unit only drifts more slowly. So the steps lie on a grid that is the same for ever: its point n is at
 * floor(n * num / den). A TAT that is r ns past point n goes to r ns past point n + cost, so the fractions
 * are never dropped, and the place on the grid is found from the TAT itself, without more state.
 *
 * Why it is exact: the gaps of the grid are floor(num/den) or one more, and a step of one token is a
 * monotonic function of the TAT. When r is as long as the next gap, the TAT lies on the next point, and from
 * there on all steps are on the grid. So after k tokens the TAT has moved by at least k * num / den - 1 ns
 * and at most k * num / den + 2 ns, whatever k is and whatever idle times lie between. The window is rounded
 * up, so that a full bucket really holds `burst` tokens: together a request is at most 2 ns early. When den
 * is 1, as with most rates that people write, the grid is not needed and the division is saved.
 *
 * Bounds: now <= 2^62 and window, wait <= 2^61, hence TAT <= 2^63, and one more step stays below 2^64.
 * Products are 128 bits wide. Since num/den >= 2, quotients fit 64 bits, and burst + 1 tokens never fit in a
 * window.
 *
 * Invariant: only token_give_back lowers the word, and never below now. Therefore a thread whose clock is
 * behind cannot bring tokens back. The word stands for itself and publishes nothing else, so relaxed order is
 * enough everywhere: all its changes are in the one order that every atomic object has.
 */
#include "lib/token_bucket.h"

typedef unsigned __int128 wide;

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool token_rate_init(struct token_rate *r, uint64_t count, uint64_t period_ns, uint64_t burst)
{
    if (count == 0 || period_ns == 0 || burst == 0 || period_ns / TOKEN_INTERVAL_MIN < count)
        return false;
    uint64_t divisor = greatest_divisor(period_ns, count);
    uint64_t num = period_ns / divisor, den = count / divisor;
    wide product = (wide)burst * num, window = product / den + (product % den != 0);
    if (window > TOKEN_WINDOW_MAX)
        return false;
    *r = (struct token_rate){.num = num, .den = den, .burst = burst, .window_ns = (uint64_t)window};
    return true;
}

/* When point N of the grid is. */
static uint64_t grid_time(const struct token_rate *r, uint64_t n)
{
    return (uint64_t)((wide)n * r->num / r->den);
}

/* The last point that is not after T: the greatest n with floor(n * num / den) <= T. */
static uint64_t grid_index(const struct token_rate *r, uint64_t t)
{
    return (uint64_t)((((wide)t + 1) * r->den - 1) / r->num);
}

/* T moved forward by COST <= burst tokens. */
static uint64_t forward(const struct token_rate *r, uint64_t t, uint64_t cost)
{
    if (r->den == 1)
        return t + cost * r->num;
    uint64_t n = grid_index(r, t);
    return t - grid_time(r, n) + grid_time(r, n + cost);
}

/* T moved back by COST <= burst tokens; not before 0. */
static uint64_t back(const struct token_rate *r, uint64_t t, uint64_t cost)
{
    if (r->den == 1)
        return t - min_u64(t, cost * r->num);
    uint64_t n = grid_index(r, t);
    return n < cost ? 0 : t - grid_time(r, n) + grid_time(r, n - cost);
}

/* How many tokens T can be moved forward by without passing LIMIT. */
static uint64_t tokens_between(const struct token_rate *r, uint64_t t, uint64_t limit)
{
    if (limit < t)
        return 0;
    if (r->den == 1)
        return (limit - t) / r->num;
    uint64_t n = grid_index(r, t);
    return grid_index(r, limit - (t - grid_time(r, n))) - n;
}

uint64_t token_take(uint64_t tat, const struct token_ask *ask, struct token_result *result)
{
    const struct token_rate *rate = ask->rate;
    uint64_t now = ask->now_ns, cost = max_u64(ask->cost, 1);
    CHECK(now <= TOKEN_NOW_MAX);
    uint64_t start = max_u64(tat, now), end = start, limit = now + rate->window_ns;
    *result = (struct token_result){.retry_ns = TOKEN_NEVER};
    if (cost <= rate->burst) {
        uint64_t next = forward(rate, start, cost), wait = next > limit ? next - limit : 0;
        result->admitted = wait <= min_u64(ask->max_wait_ns, TOKEN_WINDOW_MAX);
        result->wait_ns = result->admitted ? wait : 0;
        result->retry_ns = result->admitted ? 0 : wait;
        end = result->admitted ? next : start;
    }
    result->remaining = tokens_between(rate, end, limit);
    result->full_ns = end - now;
    return result->admitted ? end : tat;
}

struct token_result token_peek(uint64_t tat, const struct token_ask *ask)
{
    struct token_result result;
    uint64_t start = max_u64(tat, ask->now_ns), after = token_take(tat, ask, &result);
    CHECK(after == tat || result.admitted);
    result.remaining = tokens_between(ask->rate, start, ask->now_ns + ask->rate->window_ns);
    result.full_ns = start - ask->now_ns;
    return result;
}

uint64_t token_give_back(uint64_t tat, const struct token_ask *ask)
{
    if (tat <= ask->now_ns)
        return tat; /* full */
    uint64_t cost = min_u64(max_u64(ask->cost, 1), ask->rate->burst);
    return max_u64(back(ask->rate, tat, cost), ask->now_ns);
}

struct token_result token_bucket_take(struct token_bucket *b, const struct token_ask *ask)
{
    struct token_result result;
    uint64_t old = atomic_load_explicit(&b->tat, memory_order_relaxed), new;
    do {
        new = token_take(old, ask, &result);
    } while (result.admitted && !atomic_compare_exchange_weak_explicit(
                                    &b->tat, &old, new, memory_order_relaxed, memory_order_relaxed));
    return result;
}

struct token_result token_bucket_peek(const struct token_bucket *b, const struct token_ask *ask)
{
    return token_peek(atomic_load_explicit(&b->tat, memory_order_relaxed), ask);
}

void token_bucket_give_back(struct token_bucket *b, const struct token_ask *ask)
{
    uint64_t old = atomic_load_explicit(&b->tat, memory_order_relaxed), new;
    do {
        new = token_give_back(old, ask);
    } while (new != old && !atomic_compare_exchange_weak_explicit(&b->tat, &old, new, memory_order_relaxed,
                                                                  memory_order_relaxed));
}
