/*
 * test_token_lease_fleet.c: gateways that share a limit by leases (lib/token_lease), all simulated: clocks,
 * network, bucket, clients.
 *
 * Three gateways are offered 5000 requests a second in 80, 15 and 5 parts of a hundred; arrivals are random,
 * with a fixed seed. A step is 50 us; an ask takes 500 us to the bucket, and as long back.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/random.h"
#include "lib/token_lease.h"
#include "tests/unit/lib/lease_fixture.h"
#include "tests/unit/unit.h"

#define STEP_NS  UINT64_C(50000)
#define MS       CLOCK_MILLISECOND_NS
#define SECOND   CLOCK_SECOND_NS
#define GATEWAYS 3
#define WAITERS  1024
#define TRIES    4
#define HOLD_NS  (50 * MS)
#define KEY                                                                                                  \
    (struct bucket_key)                                                                                      \
    {                                                                                                        \
        7, 9                                                                                                 \
    }

struct gateway {
    struct lease_table *table;
    struct token_bucket share;
    uint64_t offset_ns; /* of its clock */
    double per_step;    /* requests */
    int tries[WAITERS]; /* of those that wait */
    size_t nwaiting;
    bool asks, is_answered; /* an ask is on its way; the bucket has seen it */
    struct lease_ask ask;
    uint64_t owed, sent_at, calls, admitted, refused;
    struct lease_reply reply;
};

struct fleet {
    struct token_rate rate, share;
    struct lease_rate lease;
    struct fake_bucket bucket;
    struct gateway at[GATEWAYS];
    struct random random;
    bool is_down;
    uint64_t now;       /* true time */
    uint32_t *admitted; /* by millisecond */
    size_t ms;
};

struct offer {
    uint64_t count, period_ns, burst;
    double per_second;
    int parts[GATEWAYS];
    uint64_t seconds;
    uint64_t offset_ns; /* of the first gateway's clock */
    bool is_exact;
};

static void fleet_init(struct fleet *f, const struct offer *o)
{
    memset(f, 0, sizeof(*f));
    random_seed_with(&f->random, 20260101);
    ck_assert(token_rate_init(&f->rate, o->count, o->period_ns, o->burst));
    lease_rate_init(&f->lease, &f->rate, o->is_exact);
    lease_share(&f->share, &f->rate, GATEWAYS, 1);
    f->now = SECOND;
    f->ms = o->seconds * 1000;
    f->admitted = calloc(f->ms, sizeof(*f->admitted));
    ck_assert_ptr_nonnull(f->admitted);
    for (int i = 0; i < GATEWAYS; i++) {
        f->at[i].table = lease_table_new(64);
        ck_assert_ptr_nonnull(f->at[i].table);
        f->at[i].offset_ns = i == 0 ? o->offset_ns : 0;
        f->at[i].per_step = o->per_second * o->parts[i] / 100 * (double)STEP_NS / (double)SECOND;
    }
}

static void fleet_fini(struct fleet *f)
{
    for (int i = 0; i < GATEWAYS; i++)
        lease_table_free(f->at[i].table);
    free(f->admitted);
}

static uint64_t total(const struct fleet *f)
{
    uint64_t n = 0;
    for (size_t i = 0; i < f->ms; i++)
        n += f->admitted[i];
    return n;
}

static uint64_t calls(const struct fleet *f)
{
    return f->at[0].calls + f->at[1].calls + f->at[2].calls;
}

/* By how much the most crowded of all windows is above the limit. */
static double worst_window(const struct fleet *f, size_t from, size_t to)
{
    double per_ms = 1e6 * (double)f->rate.den / (double)f->rate.num, sum = 0, least = INFINITY, worst = -1e9;
    for (size_t i = from; i < to; i++) {
        least = fmin(least, sum - per_ms * (double)i);
        sum += f->admitted[i];
        worst = fmax(worst, sum - per_ms * (double)(i + 1) - least);
    }
    return worst - (double)f->rate.burst;
}

/* ---- a gateway ---- */

static void admit(struct fleet *f, struct gateway *g)
{
    g->admitted++;
    f->admitted[(f->now - SECOND) / MS]++;
}

static void wake(struct fleet *f, struct gateway *g, uint64_t lanes);

/* As gateway/limit_shared.c. */
static void take_share(struct fleet *f, struct gateway *g, uint64_t full_ns)
{
    struct token_ask ask = {&f->share, f->now + g->offset_ns, 1, 0};
    struct token_result r = token_bucket_peek(&g->share, &ask);
    ask.cost = full_ns > r.full_ns ? lease_tokens_in(&f->share, full_ns - r.full_ns) : 0;
    if (ask.cost > 0)
        r = token_bucket_take(&g->share, &ask);
    ask.cost = 1;
    r = token_bucket_take(&g->share, &ask);
    if (r.admitted)
        admit(f, g);
    else
        g->refused++;
}

static void send_ask(struct fleet *f, struct gateway *g, const struct lease_ask *ask)
{
    uint64_t now = f->now + g->offset_ns;
    if (f->is_down) {
        wake(f, g, lease_failed(g->table, KEY, ask, now, HOLD_NS));
        return;
    }
    ck_assert(!g->asks);
    g->asks = true;
    g->is_answered = false;
    g->ask = *ask;
    g->sent_at = f->now;
    g->calls++;
    g->owed = 0;
    if (ask->down_ns) {
        struct token_ask peek = {&f->share, now, 1, 0};
        uint64_t full_ns = token_bucket_peek(&g->share, &peek).full_ns;
        if (full_ns > ask->full_in_ns) {
            g->owed = lease_tokens_in(&f->share, full_ns - ask->full_in_ns);
            g->ask.full_in_ns = full_ns;
        }
    }
}

static void request(struct fleet *f, struct gateway *g, int tries)
{
    struct lease_take take = {&f->lease, f->now + g->offset_ns, 1, 0, tries > 0};
    struct lease_answer a = lease_take(g->table, KEY, &take);
    if (a.verdict == LEASE_ADMITTED)
        admit(f, g);
    else if (a.verdict == LEASE_DOWN)
        take_share(f, g, a.full_ns);
    else if (a.verdict == LEASE_WAIT && tries < TRIES && g->nwaiting < WAITERS)
        g->tries[g->nwaiting++] = tries + 1;
    else
        g->refused++;
    if (a.asks)
        send_ask(f, g, &a.ask);
}

static void wake(struct fleet *f, struct gateway *g, uint64_t lanes)
{
    int tries[WAITERS];
    size_t n = lanes ? g->nwaiting : 0;
    memcpy(tries, g->tries, n * sizeof(tries[0]));
    g->nwaiting -= n;
    for (size_t i = 0; i < n; i++)
        request(f, g, tries[i]);
}

static void network(struct fleet *f, struct gateway *g)
{
    uint64_t age = f->now - g->sent_at, now = f->now + g->offset_ns;
    if (!g->asks)
        return;
    if (f->is_down) {
        g->asks = false;
        wake(f, g, lease_failed(g->table, KEY, &g->ask, now, HOLD_NS));
    } else if (!g->is_answered && age >= 500000) {
        g->is_answered = true;
        g->reply = fake_take(&f->bucket, &f->lease, &g->ask, g->owed, (int64_t)(f->now / 1000));
    } else if (age >= 1000000) {
        g->asks = false;
        wake(f, g, lease_granted(g->table, KEY, &f->lease, &g->ask, &g->reply, now));
    }
}

static void step(struct fleet *f)
{
    for (int i = 0; i < GATEWAYS; i++) {
        struct gateway *g = &f->at[i];
        network(f, g);
        double n = g->per_step;
        while (n > 0 && (double)(random_next(&f->random) >> 11) * 0x1p-53 < fmin(n, 1)) {
            request(f, g, 0);
            n -= 1;
        }
    }
    f->now += STEP_NS;
}

static void run_until(struct fleet *f, uint64_t ms)
{
    while (f->now < SECOND + ms * MS)
        step(f);
}

/* ---- tests ---- */

static const struct offer busy = {1000, SECOND, 100, 5000, {80, 15, 5}, 20, 0, false};

static void report(const char *what, const struct fleet *f)
{
    if (getenv("REPORT"))
        printf("%s: admitted %llu (%llu %llu %llu), calls %llu (%.4f each), window %+.2f, life %llu us\n",
               what, (unsigned long long)total(f), (unsigned long long)f->at[0].admitted,
               (unsigned long long)f->at[1].admitted, (unsigned long long)f->at[2].admitted,
               (unsigned long long)calls(f), (double)calls(f) / (double)total(f), worst_window(f, 0, f->ms),
               (unsigned long long)f->lease.life_ns / 1000);
}

START_TEST(saturated_limit_is_met_and_not_passed)
{
    struct fleet f;
    fleet_init(&f, &busy);
    run_until(&f, 20000);
    report("saturated", &f);
    ck_assert_uint_le(total(&f), 20100);
    ck_assert_uint_ge(total(&f), 19900);
    ck_assert_double_le(worst_window(&f, 0, f.ms), 0);
    ck_assert_uint_lt(calls(&f) * 10, total(&f));
    fleet_fini(&f);
}
END_TEST

START_TEST(clock_that_is_off_changes_nothing)
{
    struct fleet f, g;
    struct offer offer = busy;
    fleet_init(&f, &offer);
    offer.offset_ns = 30 * SECOND;
    fleet_init(&g, &offer);
    run_until(&f, 20000);
    run_until(&g, 20000);
    ck_assert_uint_eq(total(&f), total(&g));
    ck_assert_uint_eq(calls(&f), calls(&g));
    fleet_fini(&f);
    fleet_fini(&g);
}
END_TEST

static uint64_t between(const struct fleet *f, size_t from, size_t to)
{
    uint64_t n = 0;
    for (size_t i = from; i < to; i++)
        n += f->admitted[i];
    return n;
}

START_TEST(outage_leaves_each_gateway_its_share)
{
    struct fleet f;
    struct offer offer = busy;
    offer.parts[1] = 34;
    offer.parts[2] = 33;
    offer.parts[0] = 33;
    offer.seconds = 30;
    fleet_init(&f, &offer);
    run_until(&f, 10000);
    f.is_down = true;
    run_until(&f, 20000);
    memset(&f.bucket, 0, sizeof(f.bucket));
    f.is_down = false;
    run_until(&f, 30000);
    report("outage", &f);
    uint64_t during = between(&f, 10000, 20000);
    ck_assert_uint_ge(during, 9000);
    ck_assert_uint_le(during, 10100);
    ck_assert_double_le(worst_window(&f, 0, 10000), 0);
    ck_assert_double_le(worst_window(&f, 20100, 30000), 0);
    ck_assert_uint_le(between(&f, 20000, 21000), 1100);
    ck_assert_uint_ge(between(&f, 20000, 21000), 850);
    ck_assert_uint_ge(between(&f, 21000, 30000), 8900);
    ck_assert_double_le(worst_window(&f, 0, f.ms), 35); /* the share's burst, once */
    fleet_fini(&f);
}
END_TEST

/* Offered OF a second in all: what was admitted of it, a part of what could be. */
static void check_offer(const char *what, struct offer offer, double at_least, double calls_each)
{
    struct fleet f;
    fleet_init(&f, &offer);
    run_until(&f, offer.seconds * 1000);
    report(what, &f);
    double rate = (double)offer.count * (double)SECOND / (double)offer.period_ns;
    double possible = fmin(rate, offer.per_second) * (double)offer.seconds;
    ck_assert_double_le(worst_window(&f, 0, f.ms), 0);
    ck_assert_msg((double)total(&f) >= at_least * possible, "%s: %llu of %g", what,
                  (unsigned long long)total(&f), possible);
    ck_assert_msg((double)calls(&f) <= calls_each * (double)total(&f), "%s: %llu calls", what,
                  (unsigned long long)calls(&f));
    fleet_fini(&f);
}

START_TEST(limits_of_all_kinds_are_met)
{
    check_offer("below", (struct offer){1000, SECOND, 100, 900, {80, 15, 5}, 20, 0, false}, 0.97, 0.2);
    check_offer("just below", (struct offer){1000, SECOND, 100, 980, {80, 15, 5}, 20, 0, false}, 0.98, 0.2);
    check_offer("even", (struct offer){1000, SECOND, 100, 3000, {34, 33, 33}, 20, 0, false}, 0.99, 0.1);
    check_offer("large burst", (struct offer){1000, SECOND, 1000, 5000, {80, 15, 5}, 20, 0, false}, 0.99,
                0.1);
    check_offer("fast", (struct offer){100000, SECOND, 10000, 150000, {80, 15, 5}, 5, 0, false}, 0.98, 0.01);
    check_offer("small burst", (struct offer){1000, SECOND, 20, 5000, {80, 15, 5}, 10, 0, false}, 0.97, 1.5);
    check_offer("one at a time", (struct offer){100, SECOND, 1, 500, {80, 15, 5}, 20, 0, false}, 0.75, 3);
    check_offer("slow", (struct offer){10, SECOND, 20, 100, {80, 15, 5}, 60, 0, false}, 0.99, 2.5);
    check_offer("third", (struct offer){1000, 3 * SECOND, 50, 2000, {80, 15, 5}, 20, 0, false}, 0.98, 0.4);
}
END_TEST

START_TEST(exact_limit_is_met)
{
    struct offer offer = busy;
    offer.is_exact = true;
    check_offer("exact", offer, 0.99, 2);
    offer.per_second = 500;
    check_offer("exact, below", offer, 0.999, 1);
}
END_TEST

START_TEST(burst_after_rest_is_whole)
{
    struct fleet f;
    struct offer offer = busy;
    offer.per_second = 20000;
    offer.parts[0] = 100;
    offer.parts[1] = offer.parts[2] = 0;
    fleet_init(&f, &offer);
    run_until(&f, 40);
    ck_assert_uint_ge(total(&f), 99);
    ck_assert_uint_le(total(&f), 140);
    fleet_fini(&f);
}
END_TEST

/* ---- the bucket alone ---- */

#define HOARDS    64
#define HOARD_MS  4000
#define HOARD_RUN 30

struct hoard {
    uint64_t tokens, end_us;
    int64_t stamp;
};

/* What the worst of clients can make of leases: hold them, and spend them in the last moment, all at once. */
static double spend_hoards(const struct lease_rate *r, uint64_t seed)
{
    struct random random;
    struct fake_bucket bucket = {0};
    struct hoard hoards[HOARDS] = {{0, 0, 0}};
    double per_us = (double)r->refill / (double)r->parts, sum = 0, least = 0, worst = -1e9;
    uint64_t begin = 1000000;
    random_seed_with(&random, seed);
    for (uint64_t t = begin; t < begin + HOARD_MS * 1000; t += 100) {
        struct hoard *h = &hoards[random_below(random_next(&random), HOARDS)];
        bool spends_all = random_next(&random) % 400 == 0, asks = random_next(&random) % 20 == 0;
        struct lease_ask ask = {.want = 1 + random_next(&random) % 40, .at_least = 1};
        double before = sum;
        if (asks && h->tokens > 0) { /* some of it comes back, some was spent */
            ask.back = h->tokens / 2;
            ask.spent = h->tokens - ask.back;
            ask.stamp = h->stamp;
            sum += (double)ask.spent;
            h->tokens = 0;
        }
        if (asks) {
            struct lease_reply reply = fake_take(&bucket, r, &ask, 0, (int64_t)t);
            *h = (struct hoard){reply.granted, t + r->life_ns / 1000, reply.stamp};
        }
        for (size_t i = 0; i < HOARDS; i++)
            if (hoards[i].tokens > 0 && (spends_all || hoards[i].end_us <= t)) {
                sum += (double)hoards[i].tokens;
                hoards[i].tokens = 0;
            }
        least = fmin(least, before - per_us * (double)(t - begin));
        worst = fmax(worst, sum - per_us * (double)(t - begin) - least);
    }
    return worst - (double)r->burst;
}

START_TEST(leases_that_are_spent_at_once_stay_within_the_limit)
{
    const uint64_t rates[][2] = {{1000, 100}, {1000, 1000}, {300, 40}, {100000, 5000}};
    for (uint64_t seed = 0; seed < HOARD_RUN; seed++)
        for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
            struct token_rate rate;
            struct lease_rate lease;
            ck_assert(token_rate_init(&rate, rates[i][0], SECOND, rates[i][1]));
            lease_rate_init(&lease, &rate, false);
            ck_assert_uint_gt(lease.life_ns, 0);
            double above = spend_hoards(&lease, seed);
            ck_assert_msg(above <= 1e-6, "rate %zu, seed %d: %g above", i, (int)seed, above);
        }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("token_lease_fleet");
    TCase *c = tcase_create("fleet");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, saturated_limit_is_met_and_not_passed);
    tcase_add_test(c, clock_that_is_off_changes_nothing);
    tcase_add_test(c, outage_leaves_each_gateway_its_share);
    tcase_add_test(c, limits_of_all_kinds_are_met);
    tcase_add_test(c, exact_limit_is_met);
    tcase_add_test(c, burst_after_rest_is_whole);
    tcase_add_test(c, leases_that_are_spent_at_once_stay_within_the_limit);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
