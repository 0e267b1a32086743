/* breaker_fixture.h: what the stories about the circuit breaker share: a usual policy, and requests as a
 * whole. */
#ifndef TESTS_BREAKER_FIXTURE_H
#define TESTS_BREAKER_FIXTURE_H

#include "lib/breaker.h"
#include "tests/unit/unit.h"

#define TICK   (UINT64_C(1) << 20) /* so that open times need no rounding */
#define SECOND (1000 * TICK)
#define START  (77 * SECOND)

static const struct breaker_policy usual = {
    .window_ns = 10 * SECOND,
    .min_requests = 10,
    .failure_ratio = 5000,
    .slow_ratio = 8000,
    .slow_ns = SECOND,
    .open_for_ns = 5 * SECOND,
    .open_max_ns = 15 * SECOND,
    .probes = 3,
    .close_after = 3,
    .probe_timeout_ns = 60 * SECOND,
};

static inline struct breaker_change tell(struct breaker *b, struct breaker_permit *p, uint64_t now_ns,
                                         enum breaker_outcome outcome)
{
    return breaker_report(
        b, p, &(struct breaker_result){.outcome = outcome, .now_ns = now_ns, .duration_ns = TICK});
}

/* One request from beginning to end; the change that it made by its outcome. */
static inline enum breaker_event ask(struct breaker *b, uint64_t now_ns, enum breaker_outcome outcome)
{
    struct breaker_permit p;
    ck_assert(breaker_admit(b, now_ns, &p));
    return tell(b, &p, now_ns, outcome).event;
}

static inline enum breaker_event ask_slowly(struct breaker *b, uint64_t now_ns, uint64_t duration_ns)
{
    struct breaker_permit p;
    ck_assert(breaker_admit(b, now_ns, &p));
    return breaker_report(b, &p,
                          &(struct breaker_result){
                              .outcome = BREAKER_SUCCESS, .now_ns = now_ns, .duration_ns = duration_ns})
        .event;
}

static inline void open_it(struct breaker *b, uint64_t now_ns)
{
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(ask(b, now_ns, BREAKER_FAILURE), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(b, now_ns, BREAKER_FAILURE), BREAKER_DID_OPEN);
}

/* By probes, one after the other. */
static inline void close_it(struct breaker *b, uint64_t now_ns)
{
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ask(b, now_ns, BREAKER_SUCCESS), BREAKER_DID_NOTHING);
    ck_assert_int_eq(ask(b, now_ns, BREAKER_SUCCESS), BREAKER_DID_CLOSE);
}

static inline uint64_t refused_for(struct breaker *b, uint64_t now_ns)
{
    struct breaker_permit p;
    ck_assert(!breaker_admit(b, now_ns, &p));
    ck_assert(!p.is_held);
    ck_assert_uint_gt(p.retry_after_ns, 0);
    return p.retry_after_ns;
}

#endif
