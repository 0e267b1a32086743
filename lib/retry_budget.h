/*
 * retry_budget.h: how many requests may be sent again.
 *
 * Retries help against single failures and make an outage worse: when everything fails, three attempts each
 * are three times the load. So they are allowed as a share of the requests of the last seconds, plus a few
 * for those who have hardly any requests.
 *
 *     retry_budget_request(b, now_ns);                        // each request, once
 *     ...
 *     if (failed && may_be_repeated && retry_budget_take(b, now_ns))
 *         send it again;
 *
 * Never above, with any number of threads: in the window that ends at the moment of a take, retries are at
 * most share x requests + minimum. Over a long time that adds up to share x requests + minimum for every
 * window's length. When takes meet at the very edge all of them may be refused: the budget errs to that side.
 *
 * Any thread; lock-free. Times are monotonic ns; the window moves on by a tenth of itself.
 * Source: the idea is that of Finagle's RetryBudget.
 */
#ifndef LIB_RETRY_BUDGET_H
#define LIB_RETRY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

#define RETRY_BUDGET_SLICES 10
#define RETRY_BUDGET_RING   16 /* slices kept; more than the window has, see retry_budget.c */
#define RETRY_BUDGET_WHOLE  10000

struct retry_budget_policy {
    uint64_t window_ns;      /* at least 10 */
    uint32_t share;          /* of the requests, in 1/10000; may be above 10000 */
    uint32_t min_per_second; /* allowed whatever the requests; they may all come at once, a window's worth */
};

/* No field is for the user. */
struct retry_budget {
    uint64_t slice_ns;
    uint64_t minimum; /* in a window */
    uint32_t share;
    _Alignas(CACHE_LINE) _Atomic uint64_t newest; /* slice in which a retry was asked for */
    _Alignas(CACHE_LINE) struct {
        _Alignas(CACHE_LINE) _Atomic uint64_t requests;
        _Atomic uint64_t retries;
    } slices[RETRY_BUDGET_RING];
};

/* Of about one moment. */
struct retry_budget_view {
    uint64_t requests, retries; /* in the window */
    uint64_t left;              /* retries that would be allowed now */
};

void retry_budget_init(struct retry_budget *b, const struct retry_budget_policy *policy);

void retry_budget_request(struct retry_budget *b, uint64_t now_ns);

/* True: one retry is allowed and counted. There is no giving back. */
MUST_USE bool retry_budget_take(struct retry_budget *b, uint64_t now_ns);

struct retry_budget_view retry_budget_view(const struct retry_budget *b, uint64_t now_ns);

#endif
