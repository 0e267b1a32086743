/*
 * test_breaker_model.c: the circuit breaker (lib/breaker) against a model of it, and under many threads.
 *
 * The model is the simplest program that does the same: a list of outcomes that is searched from its
 * beginning, and no atomics. Every sequence of operations up to some length is done to both, and all that can
 * be seen of them must agree after each.
 *
 * Under threads no order is known beforehand, so what is checked is what holds for any order: each generation
 * began by one change that was reported once, changes follow each other legally, requests pass only in the
 * generations of the right state, and no more probes than allowed are out in any.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "lib/breaker.h"
#include "lib/clock.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define TICK (UINT64_C(1) << 20)
#define UNIT (8 * TICK) /* a slice of the window */

#ifdef __SANITIZE_THREAD__
#define SLOWED(fast, slow) (slow)
#else
#define SLOWED(fast, slow) (fast)
#endif

static const struct breaker_policy policies[] = {
    {.window_ns = 10 * UNIT,
     .min_requests = 2,
     .failure_ratio = 6000,
     .open_for_ns = 3 * UNIT,
     .open_max_ns = 5 * UNIT,
     .probes = 2,
     .close_after = 2,
     .probe_timeout_ns = 10 * UNIT},
    {.window_ns = 10 * UNIT,
     .min_requests = 50,
     .consecutive = 2,
     .open_for_ns = UNIT,
     .open_max_ns = 100 * UNIT,
     .probes = 1,
     .close_after = 1,
     .probe_timeout_ns = 0},
    {.window_ns = 10 * UNIT,
     .min_requests = 2,
     .slow_ratio = 5000,
     .slow_ns = 5,
     .open_for_ns = 3 * UNIT,
     .open_max_ns = 3 * UNIT,
     .probes = 3,
     .close_after = 2,
     .probe_timeout_ns = 3 * UNIT},
};
#define NPOLICIES (sizeof(policies) / sizeof(policies[0]))

/* ---- the model ---- */

#define MAX_RECORDS 16
#define MAX_HELD    16

struct model {
    const struct breaker_policy *policy;
    enum breaker_state state;
    unsigned generation, openings, probes, successes, row, nrecords;
    uint64_t since_ns, until_ns, probed_ns, cautious_until_ns;
    unsigned cautions;
    struct {
        uint64_t at_ns;
        bool is_failure, is_slow;
    } records[MAX_RECORDS]; /* of this generation */
};

struct model_permit {
    bool is_admitted, is_probe;
    unsigned generation;
    uint64_t retry_after_ns;
    enum breaker_event event;
};

static enum breaker_event begin(struct model *m, enum breaker_state state, enum breaker_event event)
{
    m->state = state;
    m->generation++;
    m->probes = m->row = m->nrecords = 0;
    if (event != BREAKER_DID_RENEW)
        m->successes = 0;
    return event;
}

/* For FOR_NS; 0: for what the number of openings asks for. */
static enum breaker_event model_open(struct model *m, uint64_t now_ns, uint64_t for_ns,
                                     enum breaker_event event)
{
    bool was_well = m->state == BREAKER_CLOSED && now_ns >= m->since_ns + m->policy->window_ns;
    m->openings = was_well ? 1 : m->openings + 1;
    uint64_t open_ns = for_ns ? for_ns : m->policy->open_for_ns << (m->openings - 1);
    m->until_ns = now_ns + (open_ns < m->policy->open_max_ns ? open_ns : m->policy->open_max_ns);
    return begin(m, BREAKER_OPEN, event);
}

static enum breaker_event model_close(struct model *m, uint64_t now_ns, enum breaker_state state,
                                      enum breaker_event event)
{
    m->since_ns = now_ns;
    return begin(m, state, event);
}

static struct model_permit model_admit(struct model *m, uint64_t now_ns)
{
    struct model_permit p = {.is_admitted = true};
    if (m->state == BREAKER_FORCED_OPEN)
        return (struct model_permit){.retry_after_ns = m->policy->open_for_ns};
    if (m->state == BREAKER_OPEN && now_ns < m->until_ns)
        return (struct model_permit){.retry_after_ns = m->until_ns - now_ns};
    if (m->state == BREAKER_OPEN)
        p.event = begin(m, BREAKER_HALF_OPEN, BREAKER_DID_HALF_OPEN);
    if (m->state == BREAKER_HALF_OPEN) {
        bool is_lost = m->policy->probe_timeout_ns && now_ns >= m->probed_ns + m->policy->probe_timeout_ns;
        if (m->probes == m->policy->probes && !is_lost)
            return (struct model_permit){.retry_after_ns = m->policy->open_for_ns};
        if (m->probes == m->policy->probes)
            p.event = begin(m, BREAKER_HALF_OPEN, BREAKER_DID_RENEW);
        m->probes++;
        m->probed_ns = now_ns;
        p.is_probe = true;
    }
    p.generation = m->generation;
    return p;
}

static struct breaker_counts model_window(const struct model *m, uint64_t now_ns)
{
    struct breaker_counts sum = {0};
    for (unsigned i = 0; i < m->nrecords; i++)
        if ((m->records[i].at_ns - m->since_ns) / UNIT + 10 > (now_ns - m->since_ns) / UNIT) {
            sum.total++;
            sum.failures += m->records[i].is_failure;
            sum.slow += m->records[i].is_slow;
        }
    return sum;
}

static enum breaker_event model_count(struct model *m, uint64_t now_ns, bool is_failure, bool is_slow)
{
    struct breaker_policy p = *m->policy;
    if (now_ns < m->cautious_until_ns) {
        p.min_requests = (p.min_requests + 1) / 2;
        p.failure_ratio = (p.failure_ratio + 1) / 2;
        p.consecutive = (p.consecutive + 1) / 2;
    }
    ck_assert_uint_lt(m->nrecords, MAX_RECORDS);
    m->records[m->nrecords].at_ns = now_ns;
    m->records[m->nrecords].is_failure = is_failure;
    m->records[m->nrecords++].is_slow = is_slow;
    m->row = is_failure ? m->row + 1 : 0;
    struct breaker_counts sum = model_window(m, now_ns);
    bool is_bad = p.consecutive && m->row >= p.consecutive;
    if (sum.total >= p.min_requests) {
        is_bad = is_bad || (p.failure_ratio && sum.failures * 10000 >= sum.total * p.failure_ratio);
        is_bad = is_bad || (p.slow_ratio && sum.slow * 10000 >= sum.total * p.slow_ratio);
    }
    if (m->state != BREAKER_CLOSED || !is_bad || (!is_failure && !is_slow))
        return BREAKER_DID_NOTHING;
    return model_open(m, now_ns, 0, BREAKER_DID_OPEN);
}

static enum breaker_event model_report(struct model *m, const struct model_permit *permit, uint64_t now_ns,
                                       bool is_failure, bool is_long)
{
    bool is_slow = is_long && m->policy->slow_ratio;
    if (permit->generation != m->generation)
        return BREAKER_DID_NOTHING;
    if (!permit->is_probe)
        return model_count(m, now_ns, is_failure, is_slow);
    if (is_failure || is_slow)
        return model_open(m, now_ns, 0, BREAKER_DID_REOPEN);
    m->probes--;
    if (++m->successes < m->policy->close_after)
        return BREAKER_DID_NOTHING;
    return model_close(m, now_ns, BREAKER_CLOSED, BREAKER_DID_CLOSE);
}

static void model_cancel(struct model *m, const struct model_permit *permit)
{
    if (permit->generation == m->generation && permit->is_probe)
        m->probes--;
}

static enum breaker_event model_force(struct model *m, enum breaker_force force, uint64_t now_ns)
{
    enum breaker_state was = m->state;
    if (force == BREAKER_FORCE_OPEN && was == BREAKER_FORCED_OPEN)
        return BREAKER_DID_NOTHING;
    if (force == BREAKER_FORCE_CLOSED && was == BREAKER_FORCED_CLOSED)
        return BREAKER_DID_NOTHING;
    if (force == BREAKER_FORCE_NONE && was != BREAKER_FORCED_OPEN && was != BREAKER_FORCED_CLOSED)
        return BREAKER_DID_NOTHING;
    m->openings = 0;
    if (force == BREAKER_FORCE_OPEN)
        return begin(m, BREAKER_FORCED_OPEN, BREAKER_DID_FORCE_OPEN);
    if (force == BREAKER_FORCE_CLOSED)
        return model_close(m, now_ns, BREAKER_FORCED_CLOSED, BREAKER_DID_FORCE_CLOSED);
    if (was == BREAKER_FORCED_OPEN)
        return begin(m, BREAKER_HALF_OPEN, BREAKER_DID_RELEASE);
    return model_close(m, now_ns, BREAKER_CLOSED, BREAKER_DID_RELEASE);
}

static enum breaker_event model_follow(struct model *m, uint64_t now_ns, uint64_t for_ns)
{
    return m->state == BREAKER_CLOSED ? model_open(m, now_ns, for_ns, BREAKER_DID_FOLLOW)
                                      : BREAKER_DID_NOTHING;
}

static bool model_be_cautious(struct model *m, uint64_t now_ns, uint64_t for_ns)
{
    bool was = now_ns < m->cautious_until_ns;
    uint64_t bounded_ns = for_ns < m->policy->open_max_ns ? for_ns : m->policy->open_max_ns;
    uint64_t until_ns = now_ns + bounded_ns + m->policy->window_ns;
    m->cautious_until_ns = until_ns > m->cautious_until_ns ? until_ns : m->cautious_until_ns;
    m->cautions += !was;
    return !was;
}

/* ---- both, side by side ---- */

struct world {
    struct breaker b;
    struct model m;
    uint64_t now_ns;
    unsigned nheld;
    struct breaker_permit held[MAX_HELD];
    struct model_permit held_m[MAX_HELD];
    unsigned events[BREAKER_NEVENTS];
};

enum op {
    ADMIT,
    OLDEST_WELL,
    OLDEST_FAILS,
    OLDEST_CANCELLED,
    NEWEST_WELL,
    NEWEST_FAILS,
    NEWEST_SLOW,
    NEWEST_CANCELLED,
    WAIT_SLICE,
    WAIT_OPEN,
    WAIT_WINDOW,
    FORCE_OPEN,
    FORCE_CLOSED,
    FORCE_NONE,
    FOLLOW,
    BE_CAUTIOUS,
    NOPS,
};

static bool is_possible(const struct world *w, enum op op)
{
    if (op == ADMIT)
        return w->nheld < MAX_HELD;
    if (op >= NEWEST_WELL && op <= NEWEST_CANCELLED && op != NEWEST_SLOW)
        return w->nheld > 1; /* else it is the oldest */
    return op > NEWEST_CANCELLED || w->nheld > 0;
}

/* False: they differ. */
static bool agree_on(struct world *w, struct breaker_change change, enum breaker_event event)
{
    uint64_t until_ns = event && w->m.state == BREAKER_OPEN ? w->m.until_ns : 0;
    w->events[event]++;
    return change.event == event && (!event || change.generation == w->m.generation) &&
           change.open_until_ns == until_ns;
}

static bool do_admit(struct world *w)
{
    struct breaker_permit *p = &w->held[w->nheld];
    bool is_admitted = breaker_admit(&w->b, w->now_ns, p);
    struct model_permit m = w->held_m[w->nheld] = model_admit(&w->m, w->now_ns);
    bool same = is_admitted == m.is_admitted && p->is_held == m.is_admitted && p->is_probe == m.is_probe &&
                p->retry_after_ns == m.retry_after_ns && (!is_admitted || p->generation == m.generation);
    w->nheld += is_admitted;
    return agree_on(w, p->change, m.event) && same;
}

static bool do_end(struct world *w, enum op op)
{
    bool is_oldest = op <= OLDEST_CANCELLED;
    unsigned i = is_oldest ? 0 : w->nheld - 1;
    struct breaker_permit p = w->held[i];
    struct model_permit m = w->held_m[i];
    w->nheld--;
    if (is_oldest) {
        memmove(w->held, w->held + 1, w->nheld * sizeof(w->held[0]));
        memmove(w->held_m, w->held_m + 1, w->nheld * sizeof(w->held_m[0]));
    }
    if (op == OLDEST_CANCELLED || op == NEWEST_CANCELLED) {
        breaker_cancel(&w->b, &p);
        model_cancel(&w->m, &m);
        return !p.is_held;
    }
    bool is_failure = op == OLDEST_FAILS || op == NEWEST_FAILS, is_long = op == NEWEST_SLOW;
    struct breaker_result r = {.outcome = is_failure ? BREAKER_FAILURE : BREAKER_SUCCESS,
                               .now_ns = w->now_ns,
                               .duration_ns = is_long ? 5 : 4,
                               .random = w->now_ns};
    return agree_on(w, breaker_report(&w->b, &p, &r),
                    model_report(&w->m, &m, w->now_ns, is_failure, is_long)) &&
           !p.is_held;
}

static bool do_op(struct world *w, enum op op)
{
    if (op == ADMIT)
        return do_admit(w);
    if (op <= NEWEST_CANCELLED)
        return do_end(w, op);
    if (op <= WAIT_WINDOW) {
        w->now_ns += op == WAIT_SLICE ? UNIT : op == WAIT_OPEN ? 3 * UNIT : 10 * UNIT;
        return true;
    }
    if (op == FOLLOW)
        return agree_on(w, breaker_open_for(&w->b, w->now_ns, 4 * UNIT, 0),
                        model_follow(&w->m, w->now_ns, 4 * UNIT));
    if (op == BE_CAUTIOUS)
        return breaker_be_cautious(&w->b, w->now_ns, 4 * UNIT) ==
               model_be_cautious(&w->m, w->now_ns, 4 * UNIT);
    enum breaker_force force = op == FORCE_OPEN     ? BREAKER_FORCE_OPEN
                               : op == FORCE_CLOSED ? BREAKER_FORCE_CLOSED
                                                    : BREAKER_FORCE_NONE;
    return agree_on(w, breaker_force(&w->b, force, w->now_ns), model_force(&w->m, force, w->now_ns));
}

static bool look_alike(const struct world *w)
{
    struct breaker_view v = breaker_view(&w->b, w->now_ns);
    const struct model *m = &w->m;
    struct breaker_counts sum = model_window(m, w->now_ns);
    bool is_open = m->state == BREAKER_OPEN && m->until_ns > w->now_ns;
    if (v.state != m->state || v.generation != m->generation || v.openings != m->openings ||
        v.in_a_row != m->row || v.time_left_ns != (is_open ? m->until_ns - w->now_ns : 0))
        return false;
    bool is_cautious = w->now_ns < m->cautious_until_ns;
    if (v.cautions != m->cautions ||
        v.cautious_left_ns != (is_cautious ? m->cautious_until_ns - w->now_ns : 0))
        return false;
    if (m->state == BREAKER_HALF_OPEN && (v.probes_out != m->probes || v.probe_successes != m->successes))
        return false;
    for (int i = 1; i < BREAKER_NEVENTS; i++)
        if (v.events[i] != w->events[i])
            return false;
    return v.window.total == sum.total && v.window.failures == sum.failures && v.window.slow == sum.slow;
}

struct path {
    unsigned length;
    enum op ops[32];
    uint64_t steps;
};

/* All continuations of PATH by up to DEPTH operations. */
static bool explore(const struct world *from, struct path *path, unsigned depth)
{
    struct world w;
    if (!depth)
        return true;
    for (enum op op = 0; op < NOPS; op++) {
        if (!is_possible(from, op))
            continue;
        w = *from;
        path->ops[path->length++] = op;
        path->steps++;
        if (!do_op(&w, op) || !look_alike(&w) || !explore(&w, path, depth - 1))
            return false;
        path->length--;
    }
    return true;
}

/* Where to begin: closed; open; half-open with a probe out; closed with an old request and a failure. */
static const enum op preludes[][5] = {
    {NOPS},
    {ADMIT, ADMIT, OLDEST_FAILS, OLDEST_FAILS, NOPS},
    {FORCE_OPEN, FORCE_NONE, ADMIT, NOPS},
    {ADMIT, WAIT_SLICE, ADMIT, NEWEST_FAILS, NOPS},
};
#define NPRELUDES (sizeof(preludes) / sizeof(preludes[0]))

START_TEST(the_model_agrees_on_every_sequence)
{
    const struct breaker_policy *policy = &policies[(unsigned)_i % NPOLICIES];
    const enum op *prelude = preludes[(unsigned)_i / NPOLICIES];
    struct world w = {.now_ns = 1000 * UNIT};
    struct path path = {0};
    breaker_init(&w.b, policy, w.now_ns);
    w.m = (struct model){.policy = policy, .generation = 1, .since_ns = w.now_ns};
    for (; *prelude != NOPS; prelude++) {
        ck_assert(do_op(&w, *prelude));
        ck_assert(look_alike(&w));
    }
    unsigned depth = _i == 0 ? SLOWED(7, 5) : SLOWED(6, 5);
    bool agree = explore(&w, &path, depth);
    for (unsigned i = 0; !agree && i < path.length; i++)
        printf("operation %u\n", path.ops[i]);
    ck_assert(agree);
    ck_assert_uint_gt(path.steps, SLOWED(100000, 10000));
}
END_TEST

/* Long random walks, for what short sequences do not reach. */
START_TEST(the_model_agrees_on_long_walks)
{
    struct random r;
    random_seed(&r);
    uint64_t seed = r.s[0];
    random_seed_with(&r, seed);
    for (int walk = 0; walk < SLOWED(20000, 1000); walk++) {
        const struct breaker_policy *policy = &policies[(unsigned)walk % NPOLICIES];
        struct world w = {.now_ns = 1000 * UNIT};
        breaker_init(&w.b, policy, w.now_ns);
        w.m = (struct model){.policy = policy, .generation = 1, .since_ns = w.now_ns};
        for (int i = 0; i < 60 && w.m.nrecords < MAX_RECORDS; i++) {
            enum op op = (enum op)random_below(random_next(&r), NOPS + 6);
            op = op < NOPS ? op : ADMIT;
            if (op >= FORCE_OPEN && random_below(random_next(&r), 8))
                continue;
            if (is_possible(&w, op) && (!do_op(&w, op) || !look_alike(&w)))
                ck_abort_msg("seed %llu, walk %d, step %d, operation %u", (unsigned long long)seed, walk, i,
                             op);
        }
    }
}
END_TEST

/* ---- threads ---- */

#define NTHREADS   6
#define HELD       4
#define ITERATIONS SLOWED(150000, 20000)
#define GIVE_UP    (20 * CLOCK_SECOND_NS)

enum weather { FAIR, FOUL, MIXED };
enum meddler { NOBODY, OPERATOR, OTHERS }; /* who changes the breaker beside its requests */

struct storm {
    struct breaker b;
    struct breaker_policy policy;
    _Atomic uint64_t now_ns;
    _Atomic bool is_over;
    enum weather weather;
    enum meddler meddler;
    uint64_t seed, give_up_ns;
    _Atomic unsigned char log[65536];  /* the event that began each generation */
    _Atomic unsigned char used[65536]; /* 1: ordinary requests were admitted, 2: probes */
    _Atomic int out[65536];            /* probes of each generation */
    _Atomic unsigned twice, too_many;  /* generations begun twice; times more probes were out than allowed */
    _Atomic unsigned cautions;         /* that somebody was told of */
};

static void note(struct storm *s, struct breaker_change change)
{
    if (change.event && atomic_exchange(&s->log[change.generation], (unsigned char)change.event))
        atomic_fetch_add(&s->twice, 1);
}

static bool try_admit(struct storm *s, struct breaker_permit *p)
{
    bool is_admitted = breaker_admit(&s->b, atomic_load(&s->now_ns), p);
    note(s, p->change);
    if (!is_admitted)
        return false;
    atomic_fetch_or(&s->used[p->generation], p->is_probe ? 2 : 1);
    if (p->is_probe && atomic_fetch_add(&s->out[p->generation], 1) + 1 > (int)s->policy.probes)
        atomic_fetch_add(&s->too_many, 1);
    return true;
}

static void end_somehow(struct storm *s, struct breaker_permit *p, uint64_t random)
{
    if (p->is_probe)
        atomic_fetch_sub(&s->out[p->generation], 1); /* before it is given back */
    if (random % 5 == 0) {
        breaker_cancel(&s->b, p);
        return;
    }
    /* Mixed: mostly bad for a while, then mostly good. */
    uint64_t now_ns = atomic_load(&s->now_ns);
    bool is_bad_time = now_ns / (64 * UNIT) % 2;
    bool fails = s->weather == FOUL || (s->weather == MIXED && random / 5 % 100 < (is_bad_time ? 80 : 2));
    struct breaker_result r = {.outcome = fails ? BREAKER_FAILURE : BREAKER_SUCCESS,
                               .now_ns = now_ns,
                               .duration_ns = 1,
                               .random = random};
    note(s, breaker_report(&s->b, p, &r));
}

static void meddle(struct storm *s, uint64_t random)
{
    uint64_t now_ns = atomic_load(&s->now_ns);
    if (s->meddler == OPERATOR)
        note(s, breaker_force(&s->b, (enum breaker_force)(random / 16 % 3), now_ns));
    if (s->meddler != OTHERS)
        return;
    note(s, breaker_open_for(&s->b, now_ns, 2 * UNIT, random));
    atomic_fetch_add(&s->cautions, breaker_be_cautious(&s->b, now_ns, UNIT));
}

/* Holds some permits at a time, and ends them in any order. */
static void *live(void *arg)
{
    struct storm *s = arg;
    struct random r;
    struct breaker_permit held[HELD] = {{0}};
    random_seed_with(&r, s->seed ^ (uint64_t)(uintptr_t)&r);
    for (int i = 0; i < ITERATIONS; i++) {
        uint64_t random = random_next(&r);
        struct breaker_permit *p = &held[random % HELD];
        if (p->is_held)
            end_somehow(s, p, random / HELD);
        else
            (void)try_admit(s, p);
        if (random >> 52 == 0)
            meddle(s, random);
        if (random >> 58 == 0) { /* time goes by even where a busy machine forgets the clock's thread */
            atomic_fetch_add(&s->now_ns, UNIT / 4);
            sched_yield();
        }
    }
    for (int i = 0; i < HELD; i++)
        if (held[i].is_held)
            end_somehow(s, &held[i], random_next(&r));
    return NULL;
}

static void *tick(void *arg)
{
    struct storm *s = arg;
    for (unsigned i = 0; !atomic_load(&s->is_over); i++) {
        atomic_fetch_add(&s->now_ns, i % 16 ? UNIT / 8 : UNIT);
        sched_yield();
    }
    return NULL;
}

static void blow(struct storm *s, enum weather weather, enum meddler meddler)
{
    pthread_t threads[NTHREADS + 1];
    s->weather = weather;
    s->meddler = meddler;
    s->seed++;
    atomic_store(&s->is_over, false);
    for (int i = 0; i <= NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < NTHREADS ? live : tick, s), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&s->is_over, true);
    pthread_join(threads[NTHREADS], NULL);
    ck_assert_uint_eq(breaker_view(&s->b, s->now_ns).probes_out, 0);
}

static enum breaker_state state_after(enum breaker_state before, enum breaker_event event)
{
    switch (event) {
    case BREAKER_DID_OPEN:
        ck_assert_int_eq(before, BREAKER_CLOSED);
        return BREAKER_OPEN;
    case BREAKER_DID_HALF_OPEN:
        ck_assert_int_eq(before, BREAKER_OPEN);
        return BREAKER_HALF_OPEN;
    case BREAKER_DID_REOPEN:
        ck_assert_int_eq(before, BREAKER_HALF_OPEN);
        return BREAKER_OPEN;
    case BREAKER_DID_CLOSE:
        ck_assert_int_eq(before, BREAKER_HALF_OPEN);
        return BREAKER_CLOSED;
    case BREAKER_DID_RENEW:
        ck_assert_int_eq(before, BREAKER_HALF_OPEN);
        return BREAKER_HALF_OPEN;
    case BREAKER_DID_FORCE_OPEN:
        ck_assert_int_ne(before, BREAKER_FORCED_OPEN);
        return BREAKER_FORCED_OPEN;
    case BREAKER_DID_FORCE_CLOSED:
        ck_assert_int_ne(before, BREAKER_FORCED_CLOSED);
        return BREAKER_FORCED_CLOSED;
    case BREAKER_DID_RELEASE:
        ck_assert(before == BREAKER_FORCED_OPEN || before == BREAKER_FORCED_CLOSED);
        return before == BREAKER_FORCED_OPEN ? BREAKER_HALF_OPEN : BREAKER_CLOSED;
    case BREAKER_DID_FOLLOW:
        ck_assert_int_eq(before, BREAKER_CLOSED);
        return BREAKER_OPEN;
    default:
        ck_abort_msg("a generation that no change began");
    }
}

static void check_story(struct storm *s)
{
    static const int usable_by[] = {[BREAKER_CLOSED] = 1,
                                    [BREAKER_FORCED_CLOSED] = 1,
                                    [BREAKER_HALF_OPEN] = 2,
                                    [BREAKER_OPEN] = 0,
                                    [BREAKER_FORCED_OPEN] = 0};
    struct breaker_view v = breaker_view(&s->b, s->now_ns);
    enum breaker_state state = BREAKER_CLOSED;
    uint64_t events[BREAKER_NEVENTS] = {0};
    ck_assert_uint_eq(s->twice, 0);
    ck_assert_uint_eq(s->too_many, 0);
    ck_assert_uint_lt(v.generation, 65000);
    for (unsigned g = 1; g <= v.generation; g++) {
        if (g > 1)
            state = state_after(state, s->log[g]);
        events[s->log[g]]++;
        ck_assert_int_eq(s->used[g] & ~usable_by[state], 0);
        ck_assert_int_eq(s->out[g], 0);
    }
    ck_assert_int_eq(state, v.state);
    for (int i = 1; i < BREAKER_NEVENTS; i++)
        ck_assert_uint_eq(v.events[i], events[i]);
    ck_assert_uint_eq(v.cautions, s->cautions);
}

static const struct breaker_policy stormy[] = {
    {.window_ns = 10 * UNIT,
     .min_requests = 20,
     .failure_ratio = 5000,
     .open_for_ns = 3 * UNIT,
     .open_max_ns = 12 * UNIT,
     .jitter = 1000,
     .probes = 3,
     .close_after = 5,
     .probe_timeout_ns = 0},
    {.window_ns = 20 * UNIT,
     .min_requests = 10,
     .consecutive = 4,
     .open_for_ns = UNIT,
     .open_max_ns = 2 * UNIT,
     .probes = 1,
     .close_after = 2,
     .probe_timeout_ns = 40 * UNIT},
    {.window_ns = 10 * UNIT,
     .min_requests = 5,
     .failure_ratio = 3000,
     .consecutive = 8,
     .open_for_ns = UNIT,
     .open_max_ns = UNIT,
     .probes = 2,
     .close_after = 20,
     .probe_timeout_ns = 2 * UNIT},
};
#define NSTORMY ((int)(sizeof(stormy) / sizeof(stormy[0])))

START_TEST(threads_agree_on_one_story)
{
    size_t size = (sizeof(struct storm) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct storm *s = aligned_alloc(CACHE_LINE, size);
    ck_assert_ptr_nonnull(s);
    memset((void *)s, 0, size);
    s->seed = clock_now_ns();
    printf("seed %llu\n", (unsigned long long)s->seed);
    s->policy = stormy[_i];
    s->now_ns = 100 * UNIT;
    breaker_init(&s->b, &s->policy, s->now_ns);

    blow(s, MIXED, NOBODY);
    struct breaker_view v = breaker_view(&s->b, s->now_ns);
    ck_assert_uint_gt(v.events[BREAKER_DID_OPEN], 0); /* there was a story */
    ck_assert_uint_gt(v.events[BREAKER_DID_REOPEN], 0);
    ck_assert_uint_gt(v.events[BREAKER_DID_CLOSE], 0);
    blow(s, FAIR, NOBODY);
    ck_assert_int_eq(breaker_view(&s->b, s->now_ns).state, BREAKER_CLOSED);
    blow(s, FAIR, OTHERS);
    ck_assert_uint_gt(breaker_view(&s->b, s->now_ns).events[BREAKER_DID_FOLLOW], 0);
    blow(s, MIXED, OTHERS);
    blow(s, FOUL, NOBODY);
    ck_assert_int_ne(breaker_view(&s->b, s->now_ns).state, BREAKER_CLOSED);
    check_story(s);
    blow(s, MIXED, OPERATOR);
    note(s, breaker_force(&s->b, BREAKER_FORCE_NONE, s->now_ns));
    blow(s, FAIR, NOBODY);
    ck_assert_int_eq(breaker_view(&s->b, s->now_ns).state, BREAKER_CLOSED);
    check_story(s);
    free(s);
}
END_TEST

/* Outcomes that are counted at once by all are all counted, and exactly one opens. */
struct crowd {
    struct breaker b;
    _Atomic unsigned opened;
    bool fails;
};

#define EACH 2000

static void *count_many(void *arg)
{
    struct crowd *c = arg;
    for (uint64_t i = 0; i < EACH; i++) {
        struct breaker_permit p;
        struct breaker_result r = {.outcome = c->fails ? BREAKER_FAILURE : BREAKER_SUCCESS,
                                   .now_ns = i * UNIT / EACH,
                                   .duration_ns = 1};
        if (breaker_admit(&c->b, r.now_ns, &p) && breaker_report(&c->b, &p, &r).event == BREAKER_DID_OPEN)
            atomic_fetch_add(&c->opened, 1);
    }
    return NULL;
}

START_TEST(no_outcome_is_lost)
{
    struct crowd c = {.fails = _i == 1};
    struct breaker_policy policy = stormy[0];
    policy.min_requests = c.fails ? NTHREADS * EACH / 2 : BREAKER_MOST;
    policy.window_ns = 10 * UNIT;
    pthread_t threads[NTHREADS];
    breaker_init(&c.b, &policy, 0);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, &c), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    struct breaker_view v = breaker_view(&c.b, UNIT);
    ck_assert_uint_eq(c.opened, c.fails);
    if (!c.fails)
        ck_assert_uint_eq(v.window.total, NTHREADS * EACH);
    else
        ck_assert_uint_le(v.tripped.failures, policy.min_requests + NTHREADS);
}
END_TEST

static void *probe_many(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 4 * EACH; i++) {
        struct breaker_permit p;
        struct breaker_result r = {.outcome = BREAKER_SUCCESS, .now_ns = UNIT, .duration_ns = 1};
        if (!breaker_admit(&c->b, UNIT, &p))
            continue;
        if (i % 2)
            breaker_cancel(&c->b, &p);
        else
            (void)breaker_report(&c->b, &p, &r);
    }
    return NULL;
}

START_TEST(no_probe_is_lost)
{
    struct crowd c = {.fails = false};
    struct breaker_policy policy = stormy[0];
    policy.probes = NTHREADS;
    policy.close_after = BREAKER_MOST;
    pthread_t threads[NTHREADS];
    breaker_init(&c.b, &policy, 0);
    (void)breaker_force(&c.b, BREAKER_FORCE_OPEN, 0);
    (void)breaker_force(&c.b, BREAKER_FORCE_NONE, 0);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, probe_many, &c), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(breaker_view(&c.b, UNIT).probes_out, 0);
    ck_assert_uint_eq(breaker_view(&c.b, UNIT).probe_successes, NTHREADS * 2 * EACH);
}
END_TEST

/* News that many hear at once, while one request fails: each breaker opens once, becomes cautious once, and
 * one thread is told so. */
struct choir {
    struct breaker *breakers;
    _Atomic unsigned opened, cautious, arrived;
};

static void *sing(void *arg)
{
    struct choir *c = arg;
    bool is_first = atomic_fetch_add(&c->arrived, 1) == 0;
    while (atomic_load(&c->arrived) < NTHREADS)
        sched_yield();
    for (int i = 0; i < EACH; i++) {
        struct breaker *b = &c->breakers[i];
        struct breaker_permit p;
        struct breaker_result r = {.outcome = BREAKER_FAILURE, .now_ns = UNIT, .duration_ns = 1};
        struct breaker_change change = {0};
        if (!is_first)
            change = breaker_open_for(b, UNIT, UNIT, 0);
        else if (breaker_admit(b, UNIT, &p))
            change = breaker_report(b, &p, &r);
        atomic_fetch_add(&c->opened, change.event != BREAKER_DID_NOTHING);
        atomic_fetch_add(&c->cautious, breaker_be_cautious(b, UNIT, UNIT));
    }
    return NULL;
}

START_TEST(one_of_many_opens_it)
{
    struct breaker_policy policy = stormy[0];
    struct choir c = {.breakers = aligned_alloc(CACHE_LINE, EACH * sizeof(*c.breakers))};
    pthread_t threads[NTHREADS];
    ck_assert_ptr_nonnull(c.breakers);
    policy.consecutive = 1;
    for (int i = 0; i < EACH; i++)
        breaker_init(&c.breakers[i], &policy, 0);
    for (int i = 0; i < NTHREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, sing, &c), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(c.opened, EACH);
    ck_assert_uint_eq(c.cautious, EACH);
    for (int i = 0; i < EACH; i++) {
        struct breaker_view v = breaker_view(&c.breakers[i], UNIT);
        ck_assert_int_eq(v.state, BREAKER_OPEN);
        ck_assert_uint_eq(v.events[BREAKER_DID_OPEN] + v.events[BREAKER_DID_FOLLOW], 1);
    }
    free(c.breakers);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("breaker_model");
    TCase *t = tcase_create("breaker_model");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, the_model_agrees_on_every_sequence, 0, (int)(NPOLICIES * NPRELUDES));
    tcase_add_test(t, the_model_agrees_on_long_walks);
    tcase_add_loop_test(t, threads_agree_on_one_story, 0, NSTORMY);
    tcase_add_loop_test(t, no_outcome_is_lost, 0, 2);
    tcase_add_test(t, no_probe_is_lost);
    tcase_add_test(t, one_of_many_opens_it);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
