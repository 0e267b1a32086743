/*
 * retry_budget.c: see retry_budget.h.
 *
 * Requests and retries are counted in a ring of slices of time; a count carries the number of its slice in
 * its upper bits, so that a slice that has gone round begins anew by the swap that counts the first in it.
 *
 * A take reserves first and asks afterwards: it raises the retries of the current slice, then sums up what is
 * in the window, and takes its raise back when the sum is too high. All of that is sequentially consistent:
 * of two takes at least the one whose raise is second sees both raises, so no two can share the last place. A
 * take is never recorded in a slice older than that of a take before it (`newest`): a retry must not be
 * forgotten before the requests that allowed it. For the same reason requests of younger slices are not
 * counted for it, but retries are.
 *
 * The ring has more slices than the window, so that none is overwritten while it is being summed, unless a
 * thread sleeps between two instructions for as long as the difference; it notices and gives up.
 */
#include "lib/retry_budget.h"

#include "lib/clock.h"

#define COUNT_BITS 24
#define COUNT_MAX  ((UINT64_C(1) << COUNT_BITS) - 1)
#define SLICE_MASK (UINT64_MAX >> COUNT_BITS)

/* One more in SLICE. False: the count is full or that of a younger slice. */
static bool add_one(_Atomic uint64_t *count, uint64_t slice)
{
    uint64_t word = atomic_load_explicit(count, memory_order_relaxed), next;
    do {
        uint64_t have = word >> COUNT_BITS;
        if (have > slice || (have == slice && (word & COUNT_MAX) == COUNT_MAX))
            return false;
        next = have == slice ? word + 1 : slice << COUNT_BITS | 1;
        /* seq_cst: partner: the loads of other takes in sum. */
    } while (!atomic_compare_exchange_weak_explicit(count, &word, next, memory_order_seq_cst,
                                                    memory_order_relaxed));
    return true;
}

static void take_one_back(_Atomic uint64_t *count, uint64_t slice)
{
    uint64_t word = atomic_load_explicit(count, memory_order_relaxed);
    while (word >> COUNT_BITS == slice)
        /* Relaxed: to be seen late means to be counted for longer. */
        if (atomic_compare_exchange_weak_explicit(count, &word, word - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
}

/* What is in the window that ends with SLICE, and how many retries that allows. */
static struct retry_budget_view sum(const struct retry_budget *b, uint64_t slice, uint64_t *allowed)
{
    struct retry_budget_view v = {0};
    for (int i = 0; i < RETRY_BUDGET_RING; i++) {
        /* seq_cst: partner: add_one. */
        uint64_t requests = atomic_load_explicit(&b->slices[i].requests, memory_order_seq_cst);
        uint64_t retries = atomic_load_explicit(&b->slices[i].retries, memory_order_seq_cst);
        uint64_t of = requests >> COUNT_BITS;
        if (of <= slice && of + RETRY_BUDGET_SLICES > slice)
            v.requests += requests & COUNT_MAX;
        if ((retries >> COUNT_BITS) + RETRY_BUDGET_SLICES > slice)
            v.retries += retries & COUNT_MAX;
    }
    *allowed = b->minimum + v.requests * b->share / RETRY_BUDGET_WHOLE;
    v.left = *allowed > v.retries ? *allowed - v.retries : 0;
    return v;
}

/* The slice of NOW_NS, counted from 1 so that a count of zero bits is of none; not older than that of any
 * take. */
static uint64_t current_slice(struct retry_budget *b, uint64_t now_ns)
{
    uint64_t slice = (now_ns / b->slice_ns + 1) & SLICE_MASK;
    /* seq_cst: partner: the second look in retry_budget_take. */
    uint64_t newest = atomic_load_explicit(&b->newest, memory_order_seq_cst);
    while (newest < slice)
        if (atomic_compare_exchange_weak_explicit(&b->newest, &newest, slice, memory_order_seq_cst,
                                                  memory_order_seq_cst))
            return slice;
    return newest;
}

void retry_budget_init(struct retry_budget *b, const struct retry_budget_policy *policy)
{
    CHECK(policy->window_ns >= RETRY_BUDGET_SLICES);
    b->slice_ns = policy->window_ns / RETRY_BUDGET_SLICES;
    b->minimum = (uint64_t)((unsigned __int128)policy->window_ns * policy->min_per_second / CLOCK_SECOND_NS);
    b->share = policy->share;
    atomic_init(&b->newest, 0);
    for (int i = 0; i < RETRY_BUDGET_RING; i++) {
        atomic_init(&b->slices[i].requests, 0);
        atomic_init(&b->slices[i].retries, 0);
    }
}

void retry_budget_request(struct retry_budget *b, uint64_t now_ns)
{
    uint64_t slice = (now_ns / b->slice_ns + 1) & SLICE_MASK;
    (void)add_one(&b->slices[slice % RETRY_BUDGET_RING].requests, slice);
}

bool retry_budget_take(struct retry_budget *b, uint64_t now_ns)
{
    for (;;) {
        uint64_t allowed, slice = current_slice(b, now_ns);
        _Atomic uint64_t *retries = &b->slices[slice % RETRY_BUDGET_RING].retries;
        /* A look first, so that a refused crowd writes nothing. */
        if (sum(b, slice, &allowed).left == 0 || !add_one(retries, slice))
            return false;
        /* seq_cst: partner: the swap in current_slice. Whoever goes on to a younger slice is seen here, or
         * sees the raise. */
        bool is_newest = atomic_load_explicit(&b->newest, memory_order_seq_cst) == slice;
        if (is_newest && sum(b, slice, &allowed).retries <= allowed &&
            atomic_load_explicit(&b->newest, memory_order_seq_cst) <
                slice + RETRY_BUDGET_RING - RETRY_BUDGET_SLICES)
            return true;
        take_one_back(retries, slice);
        if (is_newest)
            return false;
    }
}

struct retry_budget_view retry_budget_view(const struct retry_budget *b, uint64_t now_ns)
{
    uint64_t allowed;
    return sum(b, now_ns / b->slice_ns + 1, &allowed);
}
