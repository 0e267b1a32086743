/*
 * token_lease.c: see token_lease.h.
 *
 * A slot has two lots of tokens: the older is spent first, the newer came while there were still some. What
 * is left of a lot in the end goes back with the next ask. Gateways with little to do would lose most of what
 * they lease otherwise: the fleet of test_token_lease_fleet.c then stays 1.3 % below its limit.
 *
 * While an ask is under way, takes that find nothing wait for it, and their tokens are counted: the next ask
 * wants them all.
 */
#include "lib/token_lease.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/counter.h"

#define SLOTS      8                    /* in a set */
#define DEMAND_NS  UINT64_C(50000000)   /* over which demand is counted */
#define GRACE_NS   UINT64_C(10000000)   /* in which those that waited have to come for a token without life */
#define FULL_MAX   (UINT64_C(1) << 61)  /* ns; waits that are told are cut to it */
#define DEN_MAX    (UINT64_C(1) << 43)  /* so that parts in a microsecond are a whole number in a double */
#define ASK_MAX_NS UINT64_C(1000000000) /* an ask is answered or has failed by then */
#define STAMP_NONE (-1)                 /* of tokens that cannot be given back */
#define SPINS      64

/* Tokens of one lease. */
struct lot {
    uint64_t tokens, spent, until_ns;
    int64_t stamp; /* 0: no lease */
};

struct slot {
    struct bucket_key key;
    uint64_t used_ns; /* 0: never */
    struct lot old, new;
    struct lot rest;       /* of a lease that is over: to be told with the next ask */
    uint64_t asked_ns;     /* an ask is under way since; 0: none */
    uint64_t waiting;      /* tokens that are wanted by those that wait */
    uint64_t lanes;        /* to be told */
    uint64_t dry_until_ns; /* the bucket has said: fewer than dry_cost until then */
    uint64_t dry_cost;
    uint64_t failing_ns; /* since when asks fail; 0: they do not */
    uint64_t down_until_ns;
    uint64_t counted_ns;      /* since when demand is counted */
    uint64_t counted, before; /* tokens wanted since, and in the interval before */
    uint64_t remaining;       /* in the bucket when it answered last */
    uint64_t full_at_ns;
};

struct set {
    _Alignas(CACHE_LINE) _Atomic uint32_t lock;
    struct slot slots[SLOTS];
};

struct lease_table {
    struct set *sets;
    size_t nsets;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* From A to B; 0 when B is over. */
static uint64_t span(uint64_t a, uint64_t b)
{
    return b > a ? b - a : 0;
}

/* ---- rates ---- */

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The time in which the bucket gives N tokens. */
static uint64_t time_of(const struct token_rate *rate, uint64_t n)
{
    unsigned __int128 ns = (unsigned __int128)n * rate->num / rate->den;
    return ns > FULL_MAX ? FULL_MAX : (uint64_t)ns;
}

void lease_rate_init(struct lease_rate *r, const struct token_rate *rate, bool is_exact)
{
    uint64_t num = rate->num, den = rate->den;
    for (; den > DEN_MAX; den /= 2)
        num = num / 2 + 1; /* no rate that anybody means; never faster */
    uint64_t divisor = greatest_divisor(num, den * 1000);
    *r = (struct lease_rate){.parts = num / divisor, .refill = den * 1000 / divisor, .burst = rate->burst};
    uint64_t life = min_u64(LEASE_LIFE_MAX, time_of(rate, rate->burst - 1) / 5 * 2);
    if (is_exact || life < LEASE_LIFE_MIN || life < time_of(rate, 2))
        return;
    r->life_ns = life;
    r->pause_ns = min_u64(LEASE_LIFE_MAX, time_of(rate, rate->burst) / 2);
}

void lease_share(struct token_rate *share, const struct token_rate *whole, unsigned n, uint64_t cost)
{
    uint64_t burst = max_u64(max_u64(whole->burst / n, cost), 1);
    if (whole->num > UINT64_MAX / n || !token_rate_init(share, whole->den, whole->num * n, burst))
        *share = *whole; /* a token in years: there is nothing to divide */
}

uint64_t lease_tokens_in(const struct token_rate *rate, uint64_t ns)
{
    unsigned __int128 n = (unsigned __int128)ns * rate->den / rate->num;
    return n > rate->burst ? rate->burst : (uint64_t)n;
}

/* ---- the table ---- */

struct lease_table *lease_table_new(size_t max_entries)
{
    size_t nsets = max_entries / SLOTS + (max_entries % SLOTS != 0);
    if (nsets == 0 || nsets > SIZE_MAX / 2 / sizeof(struct set))
        return NULL;
    struct lease_table *t = malloc(sizeof(*t));
    if (!t)
        return NULL;
    /* Zeroed memory that takes no page before it is written to. */
    void *p = mmap(NULL, nsets * sizeof(struct set), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        free(t);
        return NULL;
    }
    *t = (struct lease_table){.sets = p, .nsets = nsets};
    return t;
}

void lease_table_free(struct lease_table *t)
{
    if (!t)
        return;
    munmap(t->sets, t->nsets * sizeof(struct set));
    free(t);
}

/* The set of KEY, locked. Acquire: partner is the release of unlock. */
static struct set *lock_set(const struct lease_table *t, struct bucket_key key)
{
    struct set *set = &t->sets[(size_t)(((unsigned __int128)key.place * t->nsets) >> 64)];
    for (unsigned i = 1; atomic_exchange_explicit(&set->lock, 1, memory_order_acquire); i++)
        if (i % SPINS == 0)
            sched_yield();
    return set;
}

static void unlock(struct set *set)
{
    atomic_store_explicit(&set->lock, 0, memory_order_release);
}

static struct slot *find(struct set *set, struct bucket_key key)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *s = &set->slots[i];
        if (s->used_ns && s->key.place == key.place && s->key.tag == key.tag)
            return s;
    }
    return NULL;
}

/* The slot of KEY, or that of the key that was used longest ago; those that wait for an answer go last. */
static struct slot *find_or_make(struct set *set, struct bucket_key key, uint64_t now_ns)
{
    struct slot *s = find(set, key);
    if (s)
        return s;
    s = &set->slots[0];
    for (size_t i = 1; i < SLOTS; i++) {
        struct slot *other = &set->slots[i];
        bool asks = other->asked_ns != 0;
        if (asks == (s->asked_ns != 0) ? other->used_ns < s->used_ns : !asks)
            s = other;
    }
    *s = (struct slot){.key = key, .counted_ns = now_ns};
    return s;
}

size_t lease_table_held(const struct lease_table *t)
{
    size_t looked = min_u64(t->nsets, 256), held = 0;
    for (size_t i = 0; i < looked; i++) {
        struct bucket_key any = {UINT64_MAX / looked * i, 0};
        struct set *set = lock_set(t, any);
        for (size_t k = 0; k < SLOTS; k++)
            held += set->slots[k].used_ns != 0;
        unlock(set);
    }
    return held * t->nsets / looked;
}

/* ---- what is there ---- */

/* To be told with the next ask, which speaks of one lease. */
static void put_back(struct slot *s, const struct lease_rate *rate, const struct lot *lot)
{
    struct lot *rest = &s->rest;
    if (lot->stamp <= 0)
        return;
    if (rest->stamp == 0 || (rest->stamp != lot->stamp && rate->life_ns != 0)) {
        *rest = *lot;
        return;
    }
    rest->tokens += lot->tokens;
    rest->spent += lot->spent;
    if (lot->stamp < rest->stamp)
        rest->stamp = lot->stamp; /* without a life, the age counts: of two, the greater */
}

static void end_lot(struct slot *s, const struct lease_rate *rate, struct lot *lot, uint64_t now_ns)
{
    if (lot->tokens > 0 && now_ns < lot->until_ns)
        return;
    if (lot->tokens > 0 || rate->life_ns != 0) {
        put_back(s, rate, lot);
        *lot = (struct lot){.tokens = 0};
    }
}

/* Tokens that can be spent. */
static uint64_t left_in(struct slot *s, const struct lease_rate *rate, uint64_t now_ns)
{
    end_lot(s, rate, &s->old, now_ns);
    end_lot(s, rate, &s->new, now_ns);
    return s->old.tokens + s->new.tokens;
}

/* COST tokens that are there; the stamp of their lot, or none when there are two. */
static int64_t spend(struct slot *s, uint64_t cost)
{
    uint64_t old = min_u64(cost, s->old.tokens), new = cost - old;
    s->old.tokens -= old;
    s->old.spent += old;
    s->new.tokens -= new;
    s->new.spent += new;
    return old == 0 ? s->new.stamp : new == 0 ? s->old.stamp : STAMP_NONE;
}

static void add_lot(struct slot *s, struct lot lot)
{
    if (s->old.tokens == 0)
        s->old = s->new;
    else if (s->new.tokens >
             0) { /* three: the two older become one, with the shorter life, told of no more */
        s->old.tokens += s->new.tokens;
        s->old.until_ns = min_u64(s->old.until_ns, s->new.until_ns);
        s->old.stamp = STAMP_NONE;
    }
    s->new = lot;
}

/* ---- demand ---- */

static void count_demand(struct slot *s, uint64_t now_ns, uint64_t cost)
{
    uint64_t age = span(s->counted_ns, now_ns);
    if (age >= DEMAND_NS) {
        s->before = age < 2 * DEMAND_NS ? s->counted : 0;
        s->counted = 0;
        s->counted_ns = now_ns;
    }
    s->counted += cost;
}

/* A lease is spent in this time: the last quarter of its life is left for its rest to come back in. */
static uint64_t spending_of(const struct lease_rate *rate)
{
    return rate->life_ns - rate->life_ns / 4;
}

/* Tokens that are wanted while a lease is spent. What was wanted just now may be the beginning of more. */
static uint64_t demand_of(const struct slot *s, const struct lease_rate *rate)
{
    unsigned __int128 tokens = (unsigned __int128)max_u64(s->before, s->counted / 2) * spending_of(rate);
    return min_u64((uint64_t)(tokens / DEMAND_NS), rate->burst);
}

/* The time in which LOT can be spent is nearly over. */
static bool is_ending(const struct lot *lot, const struct lease_rate *rate, uint64_t now_ns)
{
    return span(now_ns, lot->until_ns) < rate->life_ns / 4;
}

/* What is left will not last until an answer comes, be it that it is spent or that its life ends. */
static bool is_low(const struct slot *s, const struct lease_rate *rate, uint64_t left, uint64_t now_ns)
{
    uint64_t demand = demand_of(s, rate);
    if (demand < 2)
        return false;
    return left <= demand / 8 || is_ending(&s->new, rate, now_ns);
}

/* Then all goes back but what is wanted before the answer comes; later may be too late. */
static uint64_t return_rest(struct slot *s, const struct lease_rate *rate, uint64_t left, uint64_t now_ns)
{
    uint64_t keep = demand_of(s, rate) / 8;
    if (s->old.tokens > 0 || left <= keep || !is_ending(&s->new, rate, now_ns))
        return left;
    put_back(s, rate, &(struct lot){.tokens = left - keep, .stamp = s->new.stamp});
    s->new.tokens = keep;
    return keep;
}

/* ---- asking ---- */

static void begin_ask(struct slot *s, const struct lease_take *take, uint64_t at_least, uint64_t left,
                      struct lease_answer *a)
{
    uint64_t wanted = max_u64(s->waiting, span(left, demand_of(s, take->rate)));
    a->asks = true;
    a->ask = (struct lease_ask){
        .sent_ns = take->now_ns,
        .want = min_u64(max_u64(wanted, at_least), take->rate->burst),
        .at_least = at_least,
        .back = s->rest.tokens,
        .spent = take->rate->life_ns ? s->rest.spent : 0,
        .stamp = s->rest.stamp,
        .full_in_ns = span(take->now_ns, s->full_at_ns),
        .down_ns = s->failing_ns ? max_u64(span(s->failing_ns, take->now_ns), 1) : 0,
    };
    s->asked_ns = take->now_ns;
    s->rest = (struct lot){.tokens = 0};
}

static bool is_dry(const struct slot *s, const struct lease_take *take)
{
    return take->now_ns < s->dry_until_ns && take->cost >= s->dry_cost;
}

static void wait_for_answer(struct slot *s, const struct lease_take *take, struct lease_answer *a)
{
    s->lanes |= UINT64_C(1) << take->lane % LEASE_LANES;
    a->verdict = LEASE_WAIT;
}

static void decide(struct slot *s, const struct lease_take *take, struct lease_answer *a)
{
    const struct lease_rate *rate = take->rate;
    uint64_t now = take->now_ns, left = left_in(s, rate, now);
    if (span(s->asked_ns, now) > ASK_MAX_NS)
        s->asked_ns = 0; /* nobody will say what became of it */
    if (left >= take->cost) {
        a->verdict = LEASE_ADMITTED;
        a->stamp = spend(s, take->cost);
        left = left_in(s, rate, now);
        if (!s->asked_ns && now >= s->dry_until_ns && now >= s->down_until_ns && is_low(s, rate, left, now)) {
            left = return_rest(s, rate, left, now);
            begin_ask(s, take, 1, left, a);
        }
    } else if (now < s->down_until_ns) {
        a->verdict = LEASE_DOWN;
    } else if (s->asked_ns) {
        s->waiting += take->cost;
        wait_for_answer(s, take, a);
    } else if (is_dry(s, take)) {
        a->verdict = LEASE_REFUSED;
        a->retry_ns = s->dry_until_ns - now;
    } else {
        s->waiting += take->cost;
        begin_ask(s, take, take->cost, left, a);
        wait_for_answer(s, take, a);
    }
    a->remaining = min_u64(s->remaining + left, rate->burst);
    a->full_ns = span(now, s->full_at_ns);
}

struct lease_answer lease_take(struct lease_table *t, struct bucket_key key, const struct lease_take *take)
{
    struct lease_answer a = {.verdict = LEASE_REFUSED};
    struct set *set = lock_set(t, key);
    struct slot *s = find_or_make(set, key, take->now_ns);
    s->used_ns = take->now_ns;
    if (take->is_again)
        s->waiting -= min_u64(s->waiting, take->cost);
    else
        count_demand(s, take->now_ns, take->cost);
    decide(s, take, &a);
    unlock(set);
    return a;
}

/* ---- answers ---- */

/* The lanes that wait for ASK; all, when its slot has become another's meanwhile. */
static uint64_t end_ask(struct slot *s, const struct lease_ask *ask)
{
    if (!s || s->asked_ns != ask->sent_ns)
        return UINT64_MAX;
    uint64_t lanes = s->lanes;
    s->lanes = s->asked_ns = 0;
    return lanes;
}

/* No bucket takes longer to be full: its debt is a burst at most, and so is what is pending, which is charged
 * within two lives. */
static uint64_t longest_us(const struct lease_rate *rate)
{
    unsigned __int128 us = 2 * ((unsigned __int128)rate->burst * rate->parts / rate->refill + 1) +
                           2 * (unsigned __int128)(rate->life_ns / 1000);
    return us > FULL_MAX / 1000 ? FULL_MAX / 1000 : (uint64_t)us;
}

/* A wait that cannot be is not believed: in the end it is asked again. */
static void learn(struct slot *s, const struct lease_rate *rate, const struct lease_ask *ask,
                  const struct lease_reply *reply, uint64_t now_ns)
{
    uint64_t max_us = longest_us(rate), retry_ns = min_u64(reply->retry_us, max_us) * 1000;
    s->failing_ns = s->down_until_ns = s->dry_until_ns = 0;
    s->remaining = reply->remaining;
    s->full_at_ns = now_ns + min_u64(reply->full_us, max_us) * 1000;
    s->dry_cost = reply->granted ? 1 : ask->at_least;
    if (reply->granted < ask->want)
        s->dry_until_ns = max_u64(now_ns + retry_ns, ask->sent_ns + rate->pause_ns);
    else if (reply->remaining == 0)
        s->dry_until_ns = now_ns + retry_ns;
    if (reply->granted == 0)
        return;
    uint64_t until = rate->life_ns ? ask->sent_ns + spending_of(rate) : now_ns + GRACE_NS;
    add_lot(s, (struct lot){.tokens = reply->granted, .until_ns = until, .stamp = reply->stamp});
}

uint64_t lease_granted(struct lease_table *t, struct bucket_key key, const struct lease_rate *rate,
                       const struct lease_ask *ask, const struct lease_reply *reply, uint64_t now_ns)
{
    struct set *set = lock_set(t, key);
    struct slot *s = find(set, key);
    bool is_ours = s && s->asked_ns == ask->sent_ns;
    uint64_t lanes = end_ask(s, ask);
    if (is_ours)
        learn(s, rate, ask, reply, now_ns);
    unlock(set);
    return lanes;
}

uint64_t lease_failed(struct lease_table *t, struct bucket_key key, const struct lease_ask *ask,
                      uint64_t now_ns, uint64_t hold_ns)
{
    struct set *set = lock_set(t, key);
    struct slot *s = find(set, key);
    bool is_ours = s && s->asked_ns == ask->sent_ns;
    uint64_t lanes = end_ask(s, ask);
    if (is_ours) {
        s->down_until_ns = now_ns + hold_ns;
        if (!s->failing_ns)
            s->failing_ns = ask->sent_ns;
    }
    unlock(set);
    return lanes;
}

void lease_leave(struct lease_table *t, struct bucket_key key, uint64_t cost)
{
    struct set *set = lock_set(t, key);
    struct slot *s = find(set, key);
    if (s)
        s->waiting -= min_u64(s->waiting, cost);
    unlock(set);
}

static void unspend(struct lot *lot, uint64_t cost)
{
    lot->tokens += cost;
    lot->spent -= min_u64(lot->spent, cost);
}

void lease_give_back(struct lease_table *t, struct bucket_key key, const struct lease_take *take,
                     int64_t stamp)
{
    if (stamp <= 0)
        return;
    struct set *set = lock_set(t, key);
    struct slot *s = find(set, key);
    struct lot *lot = s && s->old.stamp == stamp ? &s->old : s ? &s->new : NULL;
    if (lot && lot->stamp == stamp && take->now_ns < lot->until_ns)
        unspend(lot, take->cost);
    else if (s && s->rest.stamp == stamp)
        unspend(&s->rest, take->cost);
    else if (s && take->rate->life_ns == 0) /* with a life, the bucket may know that it was spent */
        put_back(s, take->rate, &(struct lot){.tokens = take->cost, .stamp = stamp});
    unlock(set);
}
