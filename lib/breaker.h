/*
 * breaker.h: stop asking a backend that keeps failing, and find out carefully when it is well again.
 *
 * Closed: every request passes and its outcome is counted in a rolling window. Too many failures, too many
 * slow answers or too many failures in a row open the breaker. Open: every request is refused, for a while.
 * Then half-open: a few requests at a time pass as probes; enough that succeed close the breaker, one that
 * fails opens it again, for twice as long.
 *
 *     struct breaker_permit permit;
 *     if (!breaker_admit(b, now_ns, &permit))
 *         refuse, Retry-After: permit.retry_after_ns;
 *     log(permit.change);                                     // this call may have begun the half-open phase
 *     ...
 *     log(breaker_report(b, &permit, &(struct breaker_result){
 *         .outcome = BREAKER_FAILURE, .now_ns = now_ns, .duration_ns = took_ns, .random = random_next(r)}));
 *     or, when the request ended without an outcome (its client left, another backend answered):
 *     breaker_cancel(b, &permit);
 *
 * A program that is one of several may hear that another one's breaker has opened, and either open its own
 * too, or be cautious: halve its thresholds for a while.
 *
 *     log(breaker_open_for(b, now_ns, heard.open_ns, random_next(r)));
 *     or:
 *     if (breaker_be_cautious(b, now_ns, heard.open_ns))
 *         log it;
 *
 * Whoever was admitted must report or cancel; a permit is spent by that, and spending it again does nothing.
 * So a request may be cancelled in its last unwinding without asking whether it has reported.
 *
 * What is exact, with any number of threads:
 *  - Each phase has a generation number. An outcome counts only in the generation that admitted its request,
 * so what began before the breaker opened can neither close nor open it later. (Generations are 16 bits: a
 * request that outlives 65,536 changes may be taken for a young one.)
 *  - At most `probes` permits of one half-open phase are out at once. As a last resort against a permit
 *    that was lost: when all of them are out and the youngest is older than probe_timeout_ns, they are
 * written off together, under a new generation, and a new set begins (BREAKER_DID_RENEW). So set it above the
 * longest time a request may take.
 *  - Every change is given to exactly one caller, in the return value of the call that made it. Their
 * generations count up by one, so they can be put in order.
 *  - An opening that was asked for from outside is an event of its own (BREAKER_DID_FOLLOW). So whoever tells
 *    others of BREAKER_DID_OPEN and BREAKER_DID_REOPEN tells each opening once, and never what it was told.
 *  - A backend that turns to failing sees, of requests admitted one after the other, no more than those that
 *    bring the window to its threshold; then only probes.
 *
 * Outcomes are judged when a failure or a slow answer comes in, never on a success: that path is one load and
 * one compare-and-swap (measured: 11 ns alone, 50 ns when two cores do nothing else). An open time is doubled
 * when the breaker opens again before it has been closed for a whole window.
 *
 * Any thread; lock-free. Times are monotonic ns, below 2^60; shares are in 1/10000. Open times are rounded up
 * to a tick of 2^20 ns (1.05 ms). Source: Michael Nygard, "Release It!", 2nd edition, chapter 5.
 */
#ifndef LIB_BREAKER_H
#define LIB_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/check.h"

#define BREAKER_SLICES     10                         /* the window moves on by a tenth of itself */
#define BREAKER_WHOLE      10000                      /* a share of 1 */
#define BREAKER_LONGEST_NS UINT64_C(1000000000000000) /* of any duration in a policy: 11 days */
#define BREAKER_MOST       65535                      /* of any number in a policy */

enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
    BREAKER_FORCED_OPEN,
    BREAKER_FORCED_CLOSED,
};

enum breaker_event {
    BREAKER_DID_NOTHING,
    BREAKER_DID_OPEN,
    BREAKER_DID_HALF_OPEN,
    BREAKER_DID_REOPEN, /* a probe failed */
    BREAKER_DID_CLOSE,
    BREAKER_DID_RENEW, /* lost probes were written off; still half-open */
    BREAKER_DID_FORCE_OPEN,
    BREAKER_DID_FORCE_CLOSED,
    BREAKER_DID_RELEASE, /* no longer forced */
    BREAKER_DID_FOLLOW,  /* opened, because breaker_open_for said so */
    BREAKER_NEVENTS,
};

struct breaker_change {
    enum breaker_event event;
    uint16_t generation;    /* that it began; meaningless when nothing was done */
    uint64_t open_until_ns; /* when probes will be admitted; 0: it is not open now */
};

enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE };

enum breaker_force { BREAKER_FORCE_NONE, BREAKER_FORCE_OPEN, BREAKER_FORCE_CLOSED };

struct breaker_policy {
    uint64_t window_ns;
    uint32_t min_requests;     /* in the window, before a ratio means anything; at least 1 */
    uint32_t failure_ratio;    /* 1 to 10000; 0: off */
    uint32_t consecutive;      /* failures in a row, whatever the window; 0: off */
    uint32_t slow_ratio;       /* 1 to 10000; 0: off, and probes are not judged by their duration */
    uint64_t slow_ns;          /* a call is slow from this duration on; a slow probe has failed */
    uint64_t open_for_ns;      /* the first time */
    uint64_t open_max_ns;      /* where doubling ends, before jitter; at least open_for_ns */
    uint32_t jitter;           /* the open time is at most this share longer or shorter */
    uint32_t probes;           /* at once, half-open; at least 1 */
    uint32_t close_after;      /* successful probes; at least 1 */
    uint64_t probe_timeout_ns; /* see above; 0: a lost probe is never written off */
};

/* No field is for the user; on cache lines of its own. */
struct breaker_slice {
    _Atomic uint64_t total, failures, slow; /* each: generation, number of the slice, count */
};

struct breaker {
    _Alignas(CACHE_LINE) struct breaker_policy policy;
    _Atomic uint64_t cautious_until_ns, cautions;    /* written seldom, as the policy is */
    _Alignas(CACHE_LINE) _Atomic uint64_t word;      /* state, level, generation and what the state needs */
    _Alignas(CACHE_LINE) _Atomic uint64_t in_a_row;  /* generation, failures since the last success */
    _Alignas(CACHE_LINE) _Atomic uint64_t probed_ns; /* when the youngest probe left */
    _Atomic uint64_t tripped[3];                     /* total, failures, slow when it last opened */
    _Atomic uint64_t events[BREAKER_NEVENTS];
    _Alignas(CACHE_LINE) struct breaker_slice slices[BREAKER_SLICES];
};

/* Filled by breaker_admit; the owner of the request keeps it. One of zero bytes is spent. */
struct breaker_permit {
    uint64_t retry_after_ns;      /* when refused: a guess of when asking again makes sense, never 0 */
    struct breaker_change change; /* that admitting made */
    uint16_t generation;
    bool is_held; /* not spent */
    bool is_probe;
};

struct breaker_result {
    enum breaker_outcome outcome;
    uint64_t now_ns;
    uint64_t duration_ns;
    uint64_t random; /* any 64 bits, for the jitter */
};

struct breaker_counts {
    uint64_t total, failures, slow;
};

/* Of about one moment: `state` to `probe_successes` are read at once, the counts one by one. */
struct breaker_view {
    enum breaker_state state;
    uint16_t generation;
    unsigned openings;     /* in a row; what the doubling follows */
    uint64_t time_left_ns; /* open: until probes are admitted */
    unsigned probes_out, probe_successes;
    struct breaker_counts window;  /* of this generation; all 0 while open and half-open */
    struct breaker_counts tripped; /* what the window held when it last opened */
    unsigned in_a_row;
    uint64_t cautious_left_ns;        /* until the thresholds are as configured again */
    uint64_t cautions;                /* how often it became cautious, since the beginning */
    uint64_t events[BREAKER_NEVENTS]; /* since the beginning, by kind */
};

/* What is wrong with a policy, in words for its author; NULL: nothing. */
MUST_USE const char *breaker_policy_fault(const struct breaker_policy *policy);

/* Closed. POLICY is copied and must be without fault. */
void breaker_init(struct breaker *b, const struct breaker_policy *policy, uint64_t now_ns);

/* True: admitted, PERMIT is held and must be reported or cancelled. False: refused, nothing to give back.
 * Look at permit->change in both cases. */
MUST_USE bool breaker_admit(struct breaker *b, uint64_t now_ns, struct breaker_permit *permit);

/* Spends PERMIT, held or not. */
struct breaker_change breaker_report(struct breaker *b, struct breaker_permit *permit,
                                     const struct breaker_result *result);

/* Spends PERMIT without an outcome: a probe's place is free again. */
void breaker_cancel(struct breaker *b, struct breaker_permit *permit);

/*
 * Another breaker of the same backend has opened, for FOR_NS: if this one is closed it opens for as long,
 * within its own open_max_ns and with its own jitter (RANDOM is any 64 bits), and then probes as usual. One
 * that is open, half-open or forced stays as it is, and a FOR_NS of 0 does nothing. It counts as an opening
 * in a row.
 */
struct breaker_change breaker_open_for(struct breaker *b, uint64_t now_ns, uint64_t for_ns, uint64_t random);

/*
 * The same, but only halve (rounded up) min_requests, failure_ratio and consecutive for FOR_NS, within
 * open_max_ns, and one window more; never for less than was left. What was counted before is judged by that
 * when the next failure comes in. True for exactly one caller: it was not cautious until now.
 */
bool breaker_be_cautious(struct breaker *b, uint64_t now_ns, uint64_t for_ns);

/* By hand. Forced closed, outcomes are counted and shown but open nothing. NONE lets it work again: from
 * forced open by probes, from forced closed with an empty window. */
struct breaker_change breaker_force(struct breaker *b, enum breaker_force force, uint64_t now_ns);

struct breaker_view breaker_view(const struct breaker *b, uint64_t now_ns);

/* For logs and labels: "half-open", "opened". Static. */
const char *breaker_state_name(enum breaker_state state);
const char *breaker_event_name(enum breaker_event event);

#endif
