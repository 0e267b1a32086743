/*
 * breaker.c: see breaker.h.
 *
 * All that decides is in one atomic word, so that every change is one compare-and-swap and no two fields can
 * disagree:
 *
 *     bits  0-2    state
 *           3-7    level: openings in a row
 *           8-23   generation, raised by every change of state
 *           24-63  closed: tick of the closing; open: tick until which it is;
 *                  half-open: probes out (20 bits), probes that succeeded (20 bits)
 *
 * Taking and giving back a probe change the word but not the generation. A permit names the generation it
 * came from; who finds another one in the word has nothing to say any more. Whoever's swap changes the state
 * makes the change known; all others see their swap fail and look again.
 *
 * The window is a ring of slices. A count carries the generation and the slice's number next to itself in one
 * word, so a slice that has gone round begins anew by the same swap that counts the first outcome in it, and
 * an outcome that comes too late for its slice or generation cannot be added to another one. Slices are
 * numbered from the closing on.
 *
 * How long it is cautious is a word of its own that only grows; each judgement reads it once.
 *
 * Nothing but the words themselves is communicated, so relaxed order is enough for all of them, with one
 * exception: probed_ns, see let_probe.
 *
 * Counters of their own for each thread would make counting cheaper when many cores do it, and judging
 * dearer; against the cost of a request neither shows.
 */
#include "lib/breaker.h"

#include <stddef.h>

#include "lib/random.h"

#define TICK_SHIFT 20
#define TICK_NS    (UINT64_C(1) << TICK_SHIFT)
#define LEVEL_MAX  31u

#define COUNT_BITS 24 /* in a slice's count */
#define COUNT_MAX  ((UINT64_C(1) << COUNT_BITS) - 1)
#define EPOCH_MASK UINT32_C(0xffffff)

/* An outcome may be this many slices or generations late and still be known as late. What seems to be of a
 * further future is older than the numbers reach back. */
#define LATE_SLICES      64
#define LATE_GENERATIONS 1024

/* The word, unpacked. */
struct phase {
    unsigned state;
    unsigned level;
    uint16_t generation;
    uint64_t tick;              /* closed: since; open: until */
    unsigned probes, successes; /* half-open */
};

static struct phase unpack(uint64_t word)
{
    uint64_t payload = word >> 24;
    struct phase p = {.state = word & 7, .level = word >> 3 & LEVEL_MAX, .generation = (uint16_t)(word >> 8)};
    if (p.state == BREAKER_HALF_OPEN) {
        p.probes = payload & 0xfffff;
        p.successes = (unsigned)(payload >> 20);
    } else {
        p.tick = payload;
    }
    return p;
}

static uint64_t pack(const struct phase *p)
{
    uint64_t payload = p->tick;
    if (p->state == BREAKER_HALF_OPEN)
        payload = (uint64_t)p->successes << 20 | p->probes;
    return payload << 24 | (uint64_t)p->generation << 8 | (uint64_t)p->level << 3 | p->state;
}

/* The only place where the state changes. False: *WORD was not it any more, and now is. */
static bool change_state(struct breaker *b, uint64_t *word, struct phase to, struct breaker_change *change)
{
    enum breaker_event event = change->event;
    to.generation = (uint16_t)((*word >> 8) + 1);
    change->event = BREAKER_DID_NOTHING;
    /* Release: probed_ns; partner: the load in breaker_admit. The failure order is that load's too. */
    if (!atomic_compare_exchange_strong_explicit(&b->word, word, pack(&to), memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    *change =
        (struct breaker_change){event, to.generation, to.state == BREAKER_OPEN ? to.tick << TICK_SHIFT : 0};
    atomic_fetch_add_explicit(&b->events[event], 1, memory_order_relaxed);
    return true;
}

/* ---- counting ---- */

/* True when the count at TAG belongs to an older slice or generation than the one in WORD. */
static bool is_late(uint64_t tag, uint64_t word)
{
    uint64_t have = word >> COUNT_BITS;
    uint16_t generations = (uint16_t)((have >> 24) - (tag >> 24));
    uint32_t slices = (uint32_t)(have - tag) & EPOCH_MASK;
    if (generations)
        return generations <= LATE_GENERATIONS;
    return slices - 1 < LATE_SLICES;
}

/* One more in the slice that TAG names. */
static void count_one(_Atomic uint64_t *count, uint64_t tag)
{
    uint64_t word = atomic_load_explicit(count, memory_order_relaxed), next;
    do {
        next = tag << COUNT_BITS | 1;
        if (word >> COUNT_BITS == tag) {
            if ((word & COUNT_MAX) == COUNT_MAX)
                return;
            next = word + 1;
        } else if (is_late(tag, word)) {
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(count, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

/* What COUNT holds, if it is in the window that ends with the slice TAG. */
static uint64_t count_in_window(const _Atomic uint64_t *count, uint64_t tag)
{
    uint64_t word = atomic_load_explicit(count, memory_order_relaxed), have = word >> COUNT_BITS;
    if (have >> 24 != tag >> 24)
        return 0;
    uint32_t age = (uint32_t)(tag - have) & EPOCH_MASK;
    /* A younger slice counts as well: another thread's clock may be a little ahead. */
    return age < BREAKER_SLICES || EPOCH_MASK - age < BREAKER_SLICES ? word & COUNT_MAX : 0;
}

static struct breaker_counts sum_window(const struct breaker *b, uint64_t tag)
{
    struct breaker_counts sum = {0};
    for (int i = 0; i < BREAKER_SLICES; i++) {
        sum.failures += count_in_window(&b->slices[i].failures, tag);
        sum.slow += count_in_window(&b->slices[i].slow, tag);
        sum.total += count_in_window(&b->slices[i].total, tag);
    }
    return sum;
}

/* The number of the slice of NOW_NS, counted from when P began. */
static uint64_t slice_number(const struct breaker *b, const struct phase *p, uint64_t now_ns)
{
    uint64_t since_ns = p->tick << TICK_SHIFT;
    return now_ns > since_ns ? (now_ns - since_ns) / (b->policy.window_ns / BREAKER_SLICES) : 0;
}

static uint64_t tag_of(uint16_t generation, uint64_t slice)
{
    return (uint64_t)generation << 24 | (slice & EPOCH_MASK);
}

/* One more failure in a row; how many there are now. */
static uint64_t lengthen_row(struct breaker *b, uint16_t generation)
{
    uint64_t word = atomic_load_explicit(&b->in_a_row, memory_order_relaxed), next;
    do {
        uint16_t ahead = (uint16_t)((word >> 48) - generation);
        if (ahead && ahead <= LATE_GENERATIONS)
            return 0;
        next = ahead ? (uint64_t)generation << 48 | 1 : word + 1;
    } while (!atomic_compare_exchange_weak_explicit(&b->in_a_row, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return next & (UINT64_MAX >> 16);
}

static void end_row(struct breaker *b, uint16_t generation)
{
    uint64_t none = (uint64_t)generation << 48;
    uint64_t word = atomic_load_explicit(&b->in_a_row, memory_order_relaxed);
    while (word >> 48 == generation && word != none)
        if (atomic_compare_exchange_weak_explicit(&b->in_a_row, &word, none, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
}

/* ---- opening ---- */

static uint64_t bounded(const struct breaker *b, uint64_t open_ns)
{
    return open_ns < b->policy.open_max_ns ? open_ns : b->policy.open_max_ns;
}

/* Open at LEVEL for OPEN_NS, within its bound and with jitter; of R, the time and what is random. */
static struct phase open_phase(const struct breaker *b, unsigned level, uint64_t open_ns,
                               const struct breaker_result *r)
{
    open_ns = bounded(b, open_ns);
    uint64_t jitter_ns = open_ns / BREAKER_WHOLE * b->policy.jitter;
    open_ns = open_ns - jitter_ns + random_below(r->random, 2 * jitter_ns + 1);
    return (struct phase){
        .state = BREAKER_OPEN, .level = level, .tick = (r->now_ns + open_ns + TICK_NS - 1) >> TICK_SHIFT};
}

static struct phase opened(const struct breaker *b, unsigned level, const struct breaker_result *r)
{
    uint64_t open_ns = b->policy.open_for_ns;
    for (unsigned i = 1; i < level && open_ns < b->policy.open_max_ns; i++)
        open_ns *= 2;
    return open_phase(b, level, open_ns, r);
}

static unsigned raise_level(unsigned level)
{
    return level < LEVEL_MAX ? level + 1 : LEVEL_MAX;
}

/* The level of an opening at NOW_NS that ends the closed phase P. */
static unsigned next_level(const struct breaker *b, const struct phase *p, uint64_t now_ns)
{
    bool has_recovered = now_ns >= (p->tick << TICK_SHIFT) + b->policy.window_ns;
    return has_recovered ? 1 : raise_level(p->level);
}

static void note_tripped(struct breaker *b, const struct breaker_counts *sum)
{
    atomic_store_explicit(&b->tripped[0], sum->total, memory_order_relaxed);
    atomic_store_explicit(&b->tripped[1], sum->failures, memory_order_relaxed);
    atomic_store_explicit(&b->tripped[2], sum->slow, memory_order_relaxed);
}

/* What is counted in the closed phase P. */
static struct breaker_counts window_of(const struct breaker *b, const struct phase *p, uint64_t now_ns)
{
    return sum_window(b, tag_of(p->generation, slice_number(b, p, now_ns)));
}

/* Rounded up: what is on stays on. */
static uint32_t half(uint32_t n)
{
    return n - n / 2;
}

static struct breaker_policy policy_at(const struct breaker *b, uint64_t now_ns)
{
    struct breaker_policy p = b->policy;
    if (now_ns < atomic_load_explicit(&b->cautious_until_ns, memory_order_relaxed)) {
        p.min_requests = half(p.min_requests);
        p.failure_ratio = half(p.failure_ratio);
        p.consecutive = half(p.consecutive);
    }
    return p;
}

static bool reaches(uint64_t part, uint64_t total, uint32_t ratio)
{
    return ratio && part * BREAKER_WHOLE >= total * ratio;
}

/* Open, if what has been counted asks for it. WORD is closed. */
static struct breaker_change judge(struct breaker *b, uint64_t word, uint64_t row,
                                   const struct breaker_result *r)
{
    struct breaker_change change = {.event = BREAKER_DID_OPEN};
    struct phase p = unpack(word);
    const struct breaker_policy policy = policy_at(b, r->now_ns);
    struct breaker_counts sum = window_of(b, &p, r->now_ns);
    bool is_too_long = policy.consecutive && row >= policy.consecutive;
    bool is_too_often =
        sum.total >= policy.min_requests && (reaches(sum.failures, sum.total, policy.failure_ratio) ||
                                             reaches(sum.slow, sum.total, policy.slow_ratio));
    if (!is_too_long && !is_too_often)
        return (struct breaker_change){0};
    /* One attempt: while it is closed the word changes only by ceasing to be closed. */
    if (change_state(b, &word, opened(b, next_level(b, &p, r->now_ns), r), &change))
        note_tripped(b, &sum);
    return change;
}

/* ---- the outcome of a request ---- */

static struct breaker_change end_ordinary(struct breaker *b, uint64_t word, const struct breaker_result *r)
{
    const struct breaker_policy *policy = &b->policy;
    struct phase p = unpack(word);
    uint64_t number = slice_number(b, &p, r->now_ns), tag = tag_of(p.generation, number);
    struct breaker_slice *slice = &b->slices[number % BREAKER_SLICES];
    bool is_failure = r->outcome == BREAKER_FAILURE;
    bool is_slow = policy->slow_ratio && r->duration_ns >= policy->slow_ns;
    uint64_t row = 0;

    count_one(&slice->total, tag);
    if (is_failure) {
        count_one(&slice->failures, tag);
        row = lengthen_row(b, p.generation);
    } else {
        end_row(b, p.generation);
    }
    if (is_slow)
        count_one(&slice->slow, tag);
    if (LIKELY(!is_failure && !is_slow) || p.state != BREAKER_CLOSED)
        return (struct breaker_change){0};
    return judge(b, word, row, r);
}

/* Leave the half-open phase of WORD, or give the probe's place back. False: look again. */
static bool end_probe(struct breaker *b, uint64_t *word, const struct breaker_result *r,
                      struct breaker_change *change)
{
    struct phase p = unpack(*word);
    bool is_slow = r && b->policy.slow_ratio && r->duration_ns >= b->policy.slow_ns;
    if (r && (r->outcome == BREAKER_FAILURE || is_slow)) {
        change->event = BREAKER_DID_REOPEN;
        return change_state(b, word, opened(b, raise_level(p.level), r), change);
    }
    if (r && ++p.successes >= b->policy.close_after) {
        change->event = BREAKER_DID_CLOSE;
        p.state = BREAKER_CLOSED;
        p.tick = r->now_ns >> TICK_SHIFT;
        return change_state(b, word, p, change);
    }
    CHECK(p.probes > 0);
    p.probes--;
    /* Acquire on failure as in change_state; the word alone matters otherwise. */
    return atomic_compare_exchange_weak_explicit(&b->word, word, pack(&p), memory_order_release,
                                                 memory_order_acquire);
}

static bool is_of(const struct breaker_permit *permit, uint64_t word)
{
    return (uint16_t)(word >> 8) == permit->generation;
}

struct breaker_change breaker_report(struct breaker *b, struct breaker_permit *permit,
                                     const struct breaker_result *result)
{
    struct breaker_change change = {0};
    bool is_held = permit->is_held;
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    permit->is_held = false;
    if (!is_held || !is_of(permit, word))
        return change;
    if (LIKELY(!permit->is_probe))
        return end_ordinary(b, word, result);
    while (is_of(permit, word) && !end_probe(b, &word, result, &change))
        ;
    return change;
}

void breaker_cancel(struct breaker *b, struct breaker_permit *permit)
{
    struct breaker_change none = {0};
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    if (permit->is_held && permit->is_probe)
        while (is_of(permit, word) && !end_probe(b, &word, NULL, &none))
            ;
    permit->is_held = false;
}

/* ---- admitting ---- */

static bool admit(struct breaker_permit *permit, uint64_t word, bool is_probe)
{
    permit->generation = (uint16_t)(word >> 8);
    permit->is_held = true;
    permit->is_probe = is_probe;
    return true;
}

static bool refuse(struct breaker_permit *permit, uint64_t retry_after_ns)
{
    permit->retry_after_ns = retry_after_ns ? retry_after_ns : 1;
    return false;
}

/*
 * Try to take a probe's place as of NOW_NS by making *WORD into TO. The time is noted before the place is
 * taken: whoever acquires a word in which all places are taken also sees a time no earlier than that of the
 * last taker.
 */
static bool let_probe(struct breaker *b, uint64_t *word, const struct phase *to, uint64_t now_ns,
                      struct breaker_change *change)
{
    uint64_t noted = atomic_load_explicit(&b->probed_ns, memory_order_relaxed);
    while (noted < now_ns && !atomic_compare_exchange_weak_explicit(
                                 &b->probed_ns, &noted, now_ns, memory_order_relaxed, memory_order_relaxed))
        ;
    if (change->event != BREAKER_DID_NOTHING)
        return change_state(b, word, *to, change);
    /* Release: probed_ns; partner: the load in breaker_admit. */
    return atomic_compare_exchange_weak_explicit(&b->word, word, pack(to), memory_order_acq_rel,
                                                 memory_order_acquire);
}

enum verdict { ADMITTED, REFUSED, AGAIN };

static enum verdict ask_half_open(struct breaker *b, uint64_t *word, uint64_t now_ns,
                                  struct breaker_permit *permit)
{
    const struct breaker_policy *policy = &b->policy;
    struct phase p = unpack(*word);
    p.probes++;
    if (p.probes > policy->probes) {
        uint64_t lost_ns =
            atomic_load_explicit(&b->probed_ns, memory_order_relaxed) + policy->probe_timeout_ns;
        if (!policy->probe_timeout_ns || now_ns < lost_ns) {
            (void)refuse(permit, policy->open_for_ns);
            return REFUSED;
        }
        permit->change.event = BREAKER_DID_RENEW;
        p.probes = 1;
    }
    if (!let_probe(b, word, &p, now_ns, &permit->change))
        return AGAIN;
    if (permit->change.event == BREAKER_DID_RENEW)
        p.generation = permit->change.generation;
    (void)admit(permit, pack(&p), true);
    return ADMITTED;
}

static enum verdict ask_open(struct breaker *b, uint64_t *word, uint64_t now_ns,
                             struct breaker_permit *permit)
{
    struct phase p = unpack(*word);
    uint64_t until_ns = p.tick << TICK_SHIFT;
    if (now_ns < until_ns) {
        (void)refuse(permit, until_ns - now_ns);
        return REFUSED;
    }
    permit->change.event = BREAKER_DID_HALF_OPEN;
    p = (struct phase){.state = BREAKER_HALF_OPEN, .level = p.level, .probes = 1};
    if (!let_probe(b, word, &p, now_ns, &permit->change))
        return AGAIN;
    p.generation = permit->change.generation;
    (void)admit(permit, pack(&p), true);
    return ADMITTED;
}

bool breaker_admit(struct breaker *b, uint64_t now_ns, struct breaker_permit *permit)
{
    enum verdict verdict;
    /* Acquire: probed_ns. Partner: let_probe. */
    uint64_t word = atomic_load_explicit(&b->word, memory_order_acquire);
    *permit = (struct breaker_permit){0};
    do {
        switch ((enum breaker_state)(word & 7)) {
        case BREAKER_OPEN:
            verdict = ask_open(b, &word, now_ns, permit);
            break;
        case BREAKER_HALF_OPEN:
            verdict = ask_half_open(b, &word, now_ns, permit);
            break;
        case BREAKER_FORCED_OPEN:
            return refuse(permit, b->policy.open_for_ns);
        case BREAKER_CLOSED:
        case BREAKER_FORCED_CLOSED:
        default:
            return admit(permit, word, false);
        }
    } while (verdict == AGAIN);
    return verdict == ADMITTED;
}

/* ---- what others say ---- */

struct breaker_change breaker_open_for(struct breaker *b, uint64_t now_ns, uint64_t for_ns, uint64_t random)
{
    const struct breaker_result r = {.now_ns = now_ns, .random = random};
    struct breaker_change change = {.event = BREAKER_DID_FOLLOW};
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    struct phase p = unpack(word);
    if (p.state != BREAKER_CLOSED || for_ns == 0)
        return (struct breaker_change){0};
    struct breaker_counts sum = window_of(b, &p, now_ns);
    /* One attempt, as in judge: who has changed it meanwhile knows more. */
    if (change_state(b, &word, open_phase(b, next_level(b, &p, now_ns), for_ns, &r), &change))
        note_tripped(b, &sum);
    return change;
}

bool breaker_be_cautious(struct breaker *b, uint64_t now_ns, uint64_t for_ns)
{
    uint64_t until_ns = now_ns + bounded(b, for_ns) + b->policy.window_ns;
    uint64_t old_ns = atomic_load_explicit(&b->cautious_until_ns, memory_order_relaxed);
    if (for_ns == 0)
        return false;
    while (old_ns < until_ns &&
           !atomic_compare_exchange_weak_explicit(&b->cautious_until_ns, &old_ns, until_ns,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    if (old_ns > now_ns)
        return false;
    atomic_fetch_add_explicit(&b->cautions, 1, memory_order_relaxed);
    return true;
}

/* ---- by hand, and to look at ---- */

struct breaker_change breaker_force(struct breaker *b, enum breaker_force force, uint64_t now_ns)
{
    static const struct {
        unsigned char state, event;
    } aims[] = {
        [BREAKER_FORCE_NONE] = {BREAKER_CLOSED, BREAKER_DID_RELEASE},
        [BREAKER_FORCE_OPEN] = {BREAKER_FORCED_OPEN, BREAKER_DID_FORCE_OPEN},
        [BREAKER_FORCE_CLOSED] = {BREAKER_FORCED_CLOSED, BREAKER_DID_FORCE_CLOSED},
    };
    struct breaker_change change = {0};
    uint64_t word = atomic_load_explicit(&b->word, memory_order_acquire);
    do {
        unsigned state = word & 7;
        bool is_forced = state == BREAKER_FORCED_OPEN || state == BREAKER_FORCED_CLOSED;
        if (state == aims[force].state || (force == BREAKER_FORCE_NONE && !is_forced))
            return (struct breaker_change){0};
        struct phase to = {.state = aims[force].state, .tick = now_ns >> TICK_SHIFT};
        if (force == BREAKER_FORCE_NONE && state == BREAKER_FORCED_OPEN)
            to = (struct phase){.state = BREAKER_HALF_OPEN};
        change.event = aims[force].event;
        if (change_state(b, &word, to, &change))
            return change;
    } while (true);
}

struct breaker_view breaker_view(const struct breaker *b, uint64_t now_ns)
{
    struct phase p = unpack(atomic_load_explicit(&b->word, memory_order_acquire));
    struct breaker_view v = {.state = p.state,
                             .generation = p.generation,
                             .openings = p.level,
                             .probes_out = p.probes,
                             .probe_successes = p.successes};
    if (p.state == BREAKER_OPEN && p.tick << TICK_SHIFT > now_ns)
        v.time_left_ns = (p.tick << TICK_SHIFT) - now_ns;
    if (p.state == BREAKER_CLOSED || p.state == BREAKER_FORCED_CLOSED)
        v.window = window_of(b, &p, now_ns);
    uint64_t cautious_until_ns = atomic_load_explicit(&b->cautious_until_ns, memory_order_relaxed);
    v.cautious_left_ns = cautious_until_ns > now_ns ? cautious_until_ns - now_ns : 0;
    v.cautions = atomic_load_explicit(&b->cautions, memory_order_relaxed);
    v.tripped.total = atomic_load_explicit(&b->tripped[0], memory_order_relaxed);
    v.tripped.failures = atomic_load_explicit(&b->tripped[1], memory_order_relaxed);
    v.tripped.slow = atomic_load_explicit(&b->tripped[2], memory_order_relaxed);
    uint64_t row = atomic_load_explicit(&b->in_a_row, memory_order_relaxed);
    v.in_a_row = row >> 48 == p.generation ? (unsigned)row : 0;
    for (int i = 0; i < BREAKER_NEVENTS; i++)
        v.events[i] = atomic_load_explicit(&b->events[i], memory_order_relaxed);
    return v;
}

const char *breaker_policy_fault(const struct breaker_policy *p)
{
    if (p->window_ns < BREAKER_SLICES || p->window_ns > BREAKER_LONGEST_NS)
        return "the window is too short or too long";
    if (p->min_requests < 1 || p->min_requests > BREAKER_MOST)
        return "the minimum of requests is not between 1 and 65535";
    if (p->failure_ratio > BREAKER_WHOLE || p->slow_ratio > BREAKER_WHOLE)
        return "a ratio is more than the whole";
    if (p->consecutive > BREAKER_MOST)
        return "the number of failures in a row is above 65535";
    if (p->slow_ratio && !p->slow_ns)
        return "a ratio of slow calls needs the duration that is slow";
    if (p->open_for_ns < 1 || p->open_for_ns > p->open_max_ns || p->open_max_ns > BREAKER_LONGEST_NS)
        return "the open time is 0, above its maximum, or too long";
    if (p->jitter >= BREAKER_WHOLE)
        return "the jitter is the whole open time or more";
    if (p->probes < 1 || p->probes > BREAKER_MOST || p->close_after < 1 || p->close_after > BREAKER_MOST)
        return "the number of probes is not between 1 and 65535";
    if (p->probe_timeout_ns > BREAKER_LONGEST_NS)
        return "the probes' timeout is too long";
    return NULL;
}

void breaker_init(struct breaker *b, const struct breaker_policy *policy, uint64_t now_ns)
{
    CHECK(!breaker_policy_fault(policy));
    struct phase closed = {.state = BREAKER_CLOSED, .generation = 1, .tick = now_ns >> TICK_SHIFT};
    b->policy = *policy;
    atomic_init(&b->word, pack(&closed));
    atomic_init(&b->cautious_until_ns, 0);
    atomic_init(&b->cautions, 0);
    atomic_init(&b->in_a_row, 0);
    atomic_init(&b->probed_ns, 0);
    for (int i = 0; i < 3; i++)
        atomic_init(&b->tripped[i], 0);
    for (int i = 0; i < BREAKER_NEVENTS; i++)
        atomic_init(&b->events[i], 0);
    for (int i = 0; i < BREAKER_SLICES; i++) {
        atomic_init(&b->slices[i].total, 0);
        atomic_init(&b->slices[i].failures, 0);
        atomic_init(&b->slices[i].slow, 0);
    }
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half-open", "forced open", "forced closed"};
    return names[state];
}

const char *breaker_event_name(enum breaker_event event)
{
    static const char *const names[] = {"nothing", "opened",      "half-opened",   "reopened", "closed",
                                        "renewed", "forced open", "forced closed", "released", "followed"};
    return names[event];
}
