/* test_token_bucket.c: limits that are exact over any time (lib/token_bucket). */
#include <pthread.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/random.h"
#include "lib/token_bucket.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

typedef unsigned __int128 wide;
typedef __int128 swide;

static const struct {
    uint64_t count, period_ns, burst;
} rates[] = {
    {10, SECOND, 20},          {1000, HOUR, 50},      {1, DAY, 1},           {1, 2 * SECOND, 3},
    {1000000, SECOND, 1000},   {3, SECOND, 1},        {7, DAY, 7},           {999999, SECOND, 5},
    {1000003, SECOND, 1},      {1, SECOND, 1},        {600, 60 * SECOND, 1}, {499999999, SECOND, 2},
    {333333331, SECOND, 1000}, {1000001, HOUR, 1000}, {97, 89 * SECOND, 13}, {500000000, SECOND, 1},
};
#define NRATES (sizeof(rates) / sizeof(rates[0]))

static struct token_rate rate_of(uint64_t count, uint64_t period_ns, uint64_t burst)
{
    struct token_rate r;
    ck_assert(token_rate_init(&r, count, period_ns, burst));
    return r;
}

static struct token_result take(struct token_bucket *b, const struct token_rate *r, uint64_t now,
                                uint64_t cost)
{
    return token_bucket_take(b, &(struct token_ask){.rate = r, .now_ns = now, .cost = cost});
}

START_TEST(senseless_rates_are_refused)
{
    struct token_rate r;
    ck_assert(!token_rate_init(&r, 0, SECOND, 1));
    ck_assert(!token_rate_init(&r, 1, 0, 1));
    ck_assert(!token_rate_init(&r, 1, SECOND, 0));
    ck_assert(!token_rate_init(&r, 500000001, SECOND, 1));
    ck_assert(!token_rate_init(&r, UINT64_MAX, SECOND, 1));
    ck_assert(!token_rate_init(&r, 1, TOKEN_WINDOW_MAX, 2));
    ck_assert(!token_rate_init(&r, 1, SECOND, UINT64_MAX));
    ck_assert(token_rate_init(&r, 1, TOKEN_WINDOW_MAX, 1));
    ck_assert(token_rate_init(&r, TOKEN_WINDOW_MAX / 2, TOKEN_WINDOW_MAX, 1));
    ck_assert(token_rate_init(&r, 10, 30, 4));
    ck_assert_uint_eq(r.num, 3);
    ck_assert_uint_eq(r.window_ns, 12);
}
END_TEST

START_TEST(a_bucket_empties_and_fills)
{
    struct token_rate r = rate_of(10, SECOND, 5);
    struct token_bucket b = {0};
    uint64_t now = 7 * DAY, interval = SECOND / 10;
    for (uint64_t i = 1; i <= 5; i++) {
        struct token_result t = take(&b, &r, now, 1);
        ck_assert(t.admitted);
        ck_assert_uint_eq(t.remaining, 5 - i);
        ck_assert_uint_eq(t.full_ns, i * interval);
        ck_assert_uint_eq(t.wait_ns + t.retry_ns, 0);
    }
    struct token_result t = take(&b, &r, now, 1);
    ck_assert(!t.admitted);
    ck_assert_uint_eq(t.retry_ns, interval);
    ck_assert_uint_eq(t.full_ns, 5 * interval);
    t = take(&b, &r, now, 3);
    ck_assert_uint_eq(t.retry_ns, 3 * interval);
    ck_assert(!take(&b, &r, now + interval - 1, 1).admitted);
    ck_assert(take(&b, &r, now + interval, 1).admitted);
    t = take(&b, &r, now + DAY, 5);
    ck_assert(t.admitted);
    ck_assert_uint_eq(t.remaining, 0);
    ck_assert_uint_eq(t.full_ns, 5 * interval);
}
END_TEST

START_TEST(more_than_the_burst_never_passes)
{
    struct token_rate r = rate_of(10, SECOND, 5);
    struct token_bucket b = {0};
    struct token_ask ask = {.rate = &r, .now_ns = DAY, .cost = 6, .max_wait_ns = UINT64_MAX};
    struct token_result t = token_bucket_take(&b, &ask);
    ck_assert(!t.admitted);
    ck_assert_uint_eq(t.retry_ns, TOKEN_NEVER);
    ck_assert_uint_eq(t.remaining, 5);
    ask.cost = UINT64_MAX;
    ck_assert(!token_bucket_take(&b, &ask).admitted);
    ask.cost = 0; /* as 1 */
    ck_assert_uint_eq(token_bucket_take(&b, &ask).remaining, 4);
}
END_TEST

START_TEST(a_wait_instead_of_a_refusal)
{
    struct token_rate r = rate_of(10, SECOND, 1);
    struct token_bucket b = {0};
    struct token_ask ask = {.rate = &r, .now_ns = DAY, .cost = 1, .max_wait_ns = 2 * SECOND / 10};
    for (uint64_t i = 0; i < 3; i++) {
        struct token_result t = token_bucket_take(&b, &ask);
        ck_assert(t.admitted);
        ck_assert_uint_eq(t.wait_ns, i * SECOND / 10);
        ck_assert_uint_eq(t.remaining, 0);
    }
    struct token_result t = token_bucket_take(&b, &ask);
    ck_assert(!t.admitted);
    ck_assert_uint_eq(t.wait_ns, 0);
    ck_assert_uint_eq(t.retry_ns, 3 * SECOND / 10);
    ask.now_ns += SECOND / 10;
    t = token_bucket_take(&b, &ask);
    ck_assert(t.admitted);
    ck_assert_uint_eq(t.wait_ns, 2 * SECOND / 10);
}
END_TEST

START_TEST(tokens_are_given_back)
{
    for (size_t i = 0; i < NRATES; i++) {
        struct token_rate r = rate_of(rates[i].count, rates[i].period_ns, rates[i].burst);
        struct token_bucket b = {0};
        struct token_ask ask = {.rate = &r, .now_ns = 11 * DAY + 1234567, .cost = 1};
        token_bucket_give_back(&b, &ask); /* a full one stays full */
        ck_assert_uint_eq(token_bucket_peek(&b, &ask).remaining, r.burst);
        for (uint64_t n = 0; n < r.burst; n++)
            ck_assert(token_bucket_take(&b, &ask).admitted);
        ck_assert(!token_bucket_take(&b, &ask).admitted);
        token_bucket_give_back(&b, &ask);
        ask.now_ns += 2; /* the fractions of a rate that is not whole */
        ck_assert(token_bucket_take(&b, &ask).admitted);
        ck_assert(!token_bucket_take(&b, &ask).admitted || r.num / r.den <= 4);
        for (uint64_t n = 0; n < r.burst + 3; n++)
            token_bucket_give_back(&b, &ask);
        ask.cost = UINT64_MAX;
        token_bucket_give_back(&b, &ask);
        ck_assert_uint_eq(token_bucket_peek(&b, &ask).full_ns, 0);
        ck_assert_uint_ge(atomic_load(&b.tat), ask.now_ns);
        ask.cost = r.burst;
        ck_assert(token_bucket_take(&b, &ask).admitted);
        ck_assert_uint_le(token_bucket_peek(&b, &ask).remaining, 0);
    }
}
END_TEST

START_TEST(a_look_takes_nothing)
{
    struct token_rate r = rate_of(10, SECOND, 5);
    struct token_bucket b = {0};
    struct token_ask ask = {.rate = &r, .now_ns = DAY, .cost = 2};
    for (int i = 0; i < 3; i++) {
        struct token_result t = token_bucket_peek(&b, &ask);
        ck_assert(t.admitted);
        ck_assert_uint_eq(t.remaining, 5);
        ck_assert_uint_eq(t.full_ns, 0);
    }
    ck_assert(token_bucket_take(&b, &ask).admitted && token_bucket_take(&b, &ask).admitted);
    struct token_result t = token_bucket_peek(&b, &ask);
    ck_assert(!t.admitted);
    ck_assert_uint_eq(t.remaining, 1);
    ck_assert_uint_eq(t.retry_ns, SECOND / 10);
}
END_TEST

/* The times at the ends of what is allowed neither wrap nor lose a token. */
START_TEST(the_largest_numbers)
{
    uint64_t burst = UINT64_C(1) << 60;
    struct token_rate r = rate_of(1, 2, burst);
    struct token_bucket b = {0};
    struct token_ask ask = {.rate = &r, .now_ns = TOKEN_NOW_MAX, .cost = burst, .max_wait_ns = UINT64_MAX};
    ck_assert_uint_eq(token_bucket_peek(&b, &ask).remaining, burst);
    struct token_result t = token_bucket_take(&b, &ask);
    ck_assert(t.admitted);
    ck_assert_uint_eq(t.wait_ns, 0);
    t = token_bucket_take(&b, &ask);
    ck_assert(t.admitted);
    ck_assert_uint_eq(t.wait_ns, TOKEN_WINDOW_MAX);
    ck_assert(!token_bucket_take(&b, &ask).admitted);
    token_bucket_give_back(&b, &ask);
    token_bucket_give_back(&b, &ask);
    ck_assert_uint_eq(token_bucket_peek(&b, &ask).remaining, burst);

    uint64_t odd = (UINT64_C(1) << 58) - 1;
    r = rate_of(odd, TOKEN_WINDOW_MAX - 1, odd);
    b = (struct token_bucket){0};
    ask.cost = odd;
    ck_assert(token_bucket_take(&b, &ask).admitted && token_bucket_take(&b, &ask).admitted);
    t = token_bucket_take(&b, &ask);
    ck_assert(!t.admitted);
    ck_assert_uint_le(t.retry_ns, 2 * TOKEN_WINDOW_MAX + 2);
    ck_assert_uint_ge(t.retry_ns, 2 * TOKEN_WINDOW_MAX - 4);
}
END_TEST

/* Asking as often as can be: burst + rate * T, neither more nor a token less, after very many tokens. */
START_TEST(no_drift)
{
    for (size_t i = 0; i < NRATES; i++) {
        struct token_rate r = rate_of(rates[i].count, rates[i].period_ns, rates[i].burst);
        struct token_bucket b = {0};
        uint64_t start = 3 * DAY + 17, now = start, admitted = 0;
        for (int n = 0; n < 300000 && now < TOKEN_NOW_MAX - HOUR * 24 * 100; n++) {
            struct token_result t = take(&b, &r, now, 1);
            admitted += t.admitted;
            now += t.retry_ns;
        }
        wide allowed = (wide)(now - start + 2) * rates[i].count / rates[i].period_ns + rates[i].burst;
        wide earned = (wide)(now - start) * rates[i].count / rates[i].period_ns + rates[i].burst;
        ck_assert_msg(admitted <= allowed, "rate %zu: %lu admitted", i, admitted);
        ck_assert_msg(admitted + 1 >= earned, "rate %zu: %lu admitted", i, admitted);
        if (r.den == 1)
            ck_assert_msg(admitted <= earned, "rate %zu: %lu admitted", i, admitted);
    }
}
END_TEST

/* The same algorithm on rationals of any precision: its time is in 1/den of a nanosecond. */
struct model {
    wide tat, num, den, burst;
};

static void model_take(struct model *m, uint64_t now, uint64_t cost)
{
    wide start = m->tat > now * m->den ? m->tat : now * m->den;
    m->tat = start + cost * m->num;
}

/* When the model would admit, in 1/den ns from now; negative: for so long already. */
static swide model_wait(const struct model *m, uint64_t now, uint64_t cost)
{
    wide start = m->tat > now * m->den ? m->tat : now * m->den;
    return (swide)(start + cost * m->num) - (swide)(now * m->den + m->burst * m->num);
}

static void against_the_model(struct random *random, size_t i)
{
    struct token_rate r = rate_of(rates[i].count, rates[i].period_ns, rates[i].burst);
    struct model m = {.num = rates[i].period_ns, .den = rates[i].count, .burst = rates[i].burst};
    struct token_bucket b = {0};
    swide den = (swide)m.den, slack = r.den == 1 ? 0 : 2;
    uint64_t now = 100 * DAY + random_below(random_next(random), 1000 * DAY),
             step = 2 * rates[i].period_ns / rates[i].count;
    for (int n = 0; n < 20000; n++) {
        uint64_t bits = random_next(random), cost = bits % 8 ? 1 : 1 + random_below(bits, r.burst);
        now += random_below(random_next(random), bits % 64 == 1 ? step * (r.burst + 2) : step + 1);
        uint64_t max_wait = bits & 256 ? 0 : random_below(random_next(random), 4 * step);
        struct token_ask ask = {.rate = &r, .now_ns = now, .cost = cost, .max_wait_ns = max_wait};
        if (bits & 1024)
            ask.now_ns -= random_below(bits, step / 2 + 1); /* this thread's clock is behind */
        struct token_result t = token_bucket_take(&b, &ask);
        swide wait = model_wait(&m, ask.now_ns, cost);
        uint64_t told = t.admitted ? t.wait_ns : t.retry_ns;
        ck_assert(told == 0 || (swide)told * den >= wait - slack * den);
        ck_assert((swide)told * den < (wait > 0 ? wait : 0) + (slack + 1) * den);
        ck_assert(told != 0 || wait <= slack * den);
        ck_assert(t.admitted == (told <= max_wait));
        if (t.admitted)
            model_take(&m, ask.now_ns, cost);
        swide room = (swide)(ask.now_ns * m.den + m.burst * m.num) -
                     (swide)(t.admitted || m.tat > ask.now_ns * m.den ? m.tat : ask.now_ns * m.den);
        swide left = room > 0 ? room / (swide)m.num : 0;
        swide off = (swide)t.remaining - left;
        ck_assert(off == 0 || (slack && off >= -1 && off <= 1));
        ck_assert((swide)(ask.now_ns + t.full_ns) * den > (swide)m.tat - den || t.full_ns == 0);
    }
}

START_TEST(random_requests_agree_with_the_model)
{
    struct random random;
    random_seed(&random);
    uint64_t seed = random_next(&random);
    printf("seed %lu\n", seed);
    random_seed_with(&random, seed);
    for (size_t i = 0; i < NRATES; i++)
        against_the_model(&random, i);
}
END_TEST

START_TEST(a_clock_that_goes_back_gives_nothing)
{
    struct token_rate r = rate_of(10, SECOND, 5);
    struct token_bucket b = {0};
    ck_assert(take(&b, &r, DAY, 5).admitted);
    for (uint64_t k = 1; k < 1000; k++)
        ck_assert(!take(&b, &r, DAY - k * SECOND / 100, 1).admitted);
    ck_assert(!take(&b, &r, DAY + SECOND / 10 - 1, 1).admitted);
    ck_assert(take(&b, &r, DAY + SECOND / 10, 1).admitted);
    ck_assert(!take(&b, &r, DAY + SECOND / 10 - 1, 1).admitted);
    struct token_ask ask = {.rate = &r, .now_ns = DAY - SECOND, .cost = 1};
    token_bucket_give_back(&b, &ask); /* one token, and no more, whatever that thread's clock says */
    ck_assert(take(&b, &r, DAY + SECOND / 10, 1).admitted);
    ck_assert(!take(&b, &r, DAY + SECOND / 10, 1).admitted);
}
END_TEST

struct crowd {
    struct token_bucket bucket;
    struct token_rate rate;
    _Atomic uint64_t now, admitted, returned;
};

/* Each thread moves the common clock now and then, and asks with times that are a little behind. */
static void *hammer(void *arg)
{
    struct crowd *c = arg;
    uint64_t admitted = 0;
    for (int i = 0; i < 200000; i++) {
        uint64_t now = i % 16 ? atomic_load(&c->now) : atomic_fetch_add(&c->now, 1237);
        struct token_ask ask = {.rate = &c->rate, .now_ns = now, .cost = 1 + (i % 3 == 0)};
        if (token_bucket_take(&c->bucket, &ask).admitted) {
            admitted += ask.cost;
            if (i % 7 == 0) {
                token_bucket_give_back(&c->bucket, &ask);
                admitted -= ask.cost;
            }
        }
    }
    atomic_fetch_add(&c->admitted, admitted);
    return NULL;
}

START_TEST(threads_get_exactly_the_limit_together)
{
    static const uint64_t counts[] = {1000000, 999999, 123457};
    for (size_t k = 0; k < 3; k++) {
        struct crowd c = {.rate = rate_of(counts[k], SECOND, 100), .now = DAY};
        ck_assert(take(&c.bucket, &c.rate, DAY, 100).admitted);
        pthread_t thread[4];
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, hammer, &c), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(thread[i], NULL);
        uint64_t end = atomic_load(&c.now), admitted = atomic_load(&c.admitted) + 100;
        struct token_result t;
        do {
            t = take(&c.bucket, &c.rate, end, 1);
            admitted += t.admitted;
        } while (t.admitted);
        uint64_t earned = (uint64_t)((wide)(end - DAY) * counts[k] / SECOND) + 100;
        ck_assert_uint_le(admitted, (uint64_t)((wide)(end - DAY + 2) * counts[k] / SECOND) + 100);
        ck_assert_uint_ge(admitted + (k ? 2 : 0), earned);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("token_bucket");
    TCase *t = tcase_create("token_bucket");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, senseless_rates_are_refused);
    tcase_add_test(t, a_bucket_empties_and_fills);
    tcase_add_test(t, more_than_the_burst_never_passes);
    tcase_add_test(t, a_wait_instead_of_a_refusal);
    tcase_add_test(t, tokens_are_given_back);
    tcase_add_test(t, a_look_takes_nothing);
    tcase_add_test(t, the_largest_numbers);
    tcase_add_test(t, no_drift);
    tcase_add_test(t, random_requests_agree_with_the_model);
    tcase_add_test(t, a_clock_that_goes_back_gives_nothing);
    tcase_add_test(t, threads_get_exactly_the_limit_together);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
