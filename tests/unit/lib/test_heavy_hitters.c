/* test_heavy_hitters.c: the most frequent keys of a stream (lib/heavy_hitters), against exact counts. */
#include "lib/heavy_hitters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lib/hash.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define SIZE    100
#define KEYS    20000
#define STREAM  100000
#define HALVE   UINT64_C(1000)
#define READERS 2

static struct random rng;
static uint64_t exact[KEYS];
static struct heavy_hitter found[HEAVY_HITTERS_LIMIT];

/* The hash says which key it is, too. */
static void add(struct heavy_hitters *h, uint64_t key, uint64_t now)
{
    char name[32];
    int len = snprintf(name, sizeof(name), "key %llu", (unsigned long long)key);
    heavy_hitters_add(h, &(struct heavy_key){key * UINT64_C(0x9e3779b97f4a7c15), {name, (size_t)len}}, now);
}

static size_t key_of(const struct heavy_hitter *hit)
{
    char name[HEAVY_KEY_MAX + 1] = "";
    memcpy(name, hit->bytes, hit->len);
    ck_assert_int_eq(strncmp(name, "key ", 4), 0);
    size_t key = strtoul(name + 4, NULL, 10);
    ck_assert_uint_lt(key, KEYS);
    ck_assert_uint_eq(hit->hash, key * UINT64_C(0x9e3779b97f4a7c15));
    return key;
}

static const struct heavy_hitter *find(const struct heavy_hitter *hits, size_t n, size_t key)
{
    for (size_t i = 0; i < n; i++)
        if (key_of(&hits[i]) == key)
            return &hits[i];
    return NULL;
}

/* What the header promises of N additions. */
static void check_bounds(const struct heavy_hitters *h, uint64_t n)
{
    bool is_there[KEYS] = {false};
    size_t nfound = heavy_hitters_read(h, 0, found, HEAVY_HITTERS_LIMIT);
    uint64_t sum = 0;
    ck_assert_uint_eq(nfound, SIZE);
    for (size_t i = 0; i < nfound; i++) {
        size_t key = key_of(&found[i]);
        ck_assert(!is_there[key]);
        is_there[key] = true;
        ck_assert_uint_ge(found[i].count, exact[key]);
        ck_assert_uint_le(found[i].count - found[i].over, exact[key]);
        ck_assert_uint_le(found[i].over, n / SIZE);
        sum += found[i].count;
    }
    ck_assert_uint_eq(sum, n);
    for (size_t key = 0; key < KEYS; key++)
        ck_assert(is_there[key] || exact[key] <= n / SIZE);
}

typedef uint64_t next_key(uint64_t i);

/* Key k with a chance of about 1 / (k + 1): the logarithm of a uniform number is uniform. */
static uint64_t zipf(uint64_t i)
{
    (void)i;
    uint64_t top = UINT64_C(1) << random_next(&rng) % 14;
    return (top + random_next(&rng) % top - 1) % KEYS;
}

/* One more than there is room for, in turns: each evicts the next. */
static uint64_t in_turns(uint64_t i)
{
    return i % (SIZE + 1);
}

/* Most keys come once or a few times, and hardly ever those that were kept; key 7 comes in between. */
static uint64_t flood(uint64_t i)
{
    return i % 50 == 0 ? 7 : 100 + i % (KEYS - 100);
}

/* All the room is taken by frequent ones, then others come. */
static uint64_t late(uint64_t i)
{
    return i < STREAM / 2 ? i % SIZE : 1000 + i % 333;
}

static next_key *const streams[] = {zipf, in_turns, flood, late};

START_TEST(counts_are_within_their_bounds)
{
    struct heavy_hitters *h = heavy_hitters_new(SIZE, HALVE);
    ck_assert_ptr_nonnull(h);
    random_seed_with(&rng, 11);
    memset(exact, 0, sizeof(exact));
    for (uint64_t i = 0; i < STREAM; i++) {
        uint64_t key = streams[_i](i);
        exact[key]++;
        add(h, key, 0);
        if (i == STREAM / 3 || i == STREAM - 1)
            check_bounds(h, i + 1);
    }
    heavy_hitters_free(h);
}
END_TEST

START_TEST(few_keys_are_counted_exactly)
{
    struct heavy_hitters *h = heavy_hitters_new(4, HALVE);
    ck_assert_uint_eq(heavy_hitters_read(h, 0, found, 4), 0);
    for (uint64_t i = 0; i < 10; i++)
        add(h, i % 4 ? i % 4 : 3, 0);
    size_t n = heavy_hitters_read(h, 0, found, HEAVY_HITTERS_LIMIT);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(find(found, n, 1)->count, 3);
    ck_assert_uint_eq(find(found, n, 2)->count, 2);
    ck_assert_uint_eq(find(found, n, 3)->count, 5);
    ck_assert_uint_eq(find(found, n, 3)->over, 0);
    ck_assert_uint_eq(heavy_hitters_read(h, 0, found, 2), 2);

    uint64_t hash = found[0].hash, count = found[0].count;
    ck_assert(!heavy_hitters_raise(h, hash + 1, 0));
    ck_assert(heavy_hitters_raise(h, hash, 0));
    ck_assert_uint_eq(heavy_hitters_read(h, 0, found, HEAVY_HITTERS_LIMIT), 3);
    ck_assert_uint_eq(find(found, 3, key_of(&found[0]))->count, count + 1);
    ck_assert(heavy_hitters_raise(h, hash, HALVE));
    n = heavy_hitters_read(h, HALVE, found, HEAVY_HITTERS_LIMIT);
    ck_assert_uint_eq(found[0].hash, hash);
    ck_assert_uint_eq(found[0].count, (count + 1) / 2 + 1);
    heavy_hitters_free(h);
}
END_TEST

START_TEST(counts_are_halved_by_the_clock)
{
    struct heavy_hitters *h = heavy_hitters_new(3, HALVE);
    for (int i = 0; i < 9; i++)
        add(h, 1, HALVE - 1);
    for (int i = 0; i < 8; i++)
        add(h, 2, HALVE - 1);
    add(h, 3, HALVE - 1);

    /* A reader halves by itself; the two highest are of one count then, and the lowest is gone. */
    size_t n = heavy_hitters_read(h, HALVE, found, 3);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(find(found, n, 1)->count, 4);
    ck_assert_uint_eq(find(found, n, 2)->count, 4);
    ck_assert_uint_eq(heavy_hitters_read(h, HALVE - 1, found, 3), 3);

    /* So does the next addition, which finds room without evicting anybody; a time that has gone back does
     * nothing. */
    add(h, 4, 2 * HALVE);
    add(h, 2, HALVE);
    n = heavy_hitters_read(h, 2 * HALVE, found, 3);
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq(find(found, n, 1)->count, 2);
    ck_assert_uint_eq(find(found, n, 2)->count, 3);
    ck_assert_uint_eq(find(found, n, 4)->count, 1);
    ck_assert_uint_eq(find(found, n, 4)->over, 0);

    ck_assert_uint_eq(heavy_hitters_read(h, 4 * HALVE, found, 3), 0);
    add(h, 5, 100 * HALVE);
    n = heavy_hitters_read(h, 100 * HALVE, found, 3);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(key_of(&found[0]), 5);
    heavy_hitters_free(h);
}
END_TEST

/* Counts that have become equal are one group again, or the wrong one would be evicted. */
START_TEST(halved_counts_keep_their_order)
{
    struct heavy_hitters *h = heavy_hitters_new(2, HALVE);
    for (int i = 0; i < 9; i++)
        add(h, i < 5 ? 2 : 1, 0);
    add(h, 1, HALVE);
    add(h, 3, HALVE);
    ck_assert_uint_eq(heavy_hitters_read(h, HALVE, found, 2), 2);
    ck_assert_uint_eq(find(found, 2, 1)->count, 3);
    ck_assert_uint_eq(find(found, 2, 3)->count, 3);
    ck_assert_uint_eq(find(found, 2, 3)->over, 2);
    heavy_hitters_free(h);
}
END_TEST

/* Seen once before: a half now, of which nothing is sure. */
START_TEST(halves_promise_no_more_than_was_seen)
{
    struct heavy_hitters *h = heavy_hitters_new(1, HALVE);
    add(h, 1, 0);
    add(h, 2, 0);
    ck_assert_uint_eq(heavy_hitters_read(h, HALVE, found, 1), 1);
    ck_assert_uint_eq(found[0].count, 1);
    ck_assert_uint_eq(found[0].over, 1);
    heavy_hitters_free(h);
}
END_TEST

/* Halved exactly, with fractions: the count may be one too low, and the part that is sure never too high. */
START_TEST(halved_counts_are_within_their_bounds)
{
    static double halved[KEYS];
    struct heavy_hitters *h = heavy_hitters_new(SIZE, HALVE);
    random_seed_with(&rng, 3);
    memset(halved, 0, sizeof(halved));
    for (uint64_t i = 0; i < STREAM; i++) {
        uint64_t now = i / 4, key = zipf(i);
        for (size_t k = 0; i > 0 && i % (4 * HALVE) == 0 && k < KEYS; k++)
            halved[k] /= 2;
        halved[key]++;
        add(h, key, now);
    }
    size_t n = heavy_hitters_read(h, (STREAM - 1) / 4, found, SIZE);
    ck_assert_uint_ge(n, SIZE / 2);
    for (size_t i = 0; i < n; i++) {
        double seen = halved[key_of(&found[i])];
        ck_assert_double_le(seen, (double)found[i].count + 1);
        ck_assert_double_ge(seen, (double)(found[i].count - found[i].over));
    }
    ck_assert_ptr_nonnull(find(found, n, 0));
    ck_assert_double_ge(halved[0], HALVE / 14.0);
    heavy_hitters_free(h);
}
END_TEST

START_TEST(long_keys_are_cut_but_told_apart)
{
    char text[200];
    struct heavy_hitters *h = heavy_hitters_new(8, HALVE);
    memset(text, 'a', sizeof(text));
    for (uint64_t hash = 1; hash <= 2; hash++)
        heavy_hitters_add(h, &(struct heavy_key){hash, {text, sizeof(text)}}, 0);
    heavy_hitters_add(h, &(struct heavy_key){3, {NULL, 0}}, 0);
    size_t n = heavy_hitters_read(h, 0, found, 8);
    ck_assert_uint_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(found[i].count, 1);
        ck_assert_uint_eq(found[i].len, found[i].hash == 3 ? 0 : HEAVY_KEY_MAX);
        ck_assert_mem_eq(found[i].bytes, text, found[i].len);
    }
    heavy_hitters_free(h);
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    ck_assert_ptr_null(heavy_hitters_new(0, HALVE));
    ck_assert_ptr_null(heavy_hitters_new(HEAVY_HITTERS_LIMIT + 1, HALVE));
    ck_assert_ptr_null(heavy_hitters_new(SIZE, 0));
    struct heavy_hitters *one = heavy_hitters_new(1, HALVE);
    for (uint64_t i = 0; i < 10; i++)
        add(one, i, 0);
    ck_assert_uint_eq(heavy_hitters_read(one, 0, found, 1), 1);
    ck_assert_uint_eq(key_of(&found[0]), 9);
    ck_assert_uint_eq(found[0].count, 10);
    ck_assert_uint_eq(found[0].over, 9);
    heavy_hitters_free(one);
}
END_TEST

/* ---- readers beside the one that adds ---- */

struct beside {
    struct heavy_hitters *h;
    _Atomic bool is_over;
    _Atomic uint64_t looks, torn;
};

/* Every word of a key is its hash, so that bytes of two keys show. */
static bool is_torn(const struct heavy_hitter *hit)
{
    for (size_t at = 0; at < HEAVY_KEY_MAX; at += sizeof(hit->hash))
        if (memcmp(hit->bytes + at, &hit->hash, sizeof(hit->hash)) != 0)
            return true;
    return hit->len != HEAVY_KEY_MAX || hit->over > hit->count;
}

static void *look(void *arg)
{
    struct beside *b = arg;
    struct heavy_hitter hits[16];
    while (!atomic_load(&b->is_over)) {
        size_t n = heavy_hitters_read(b->h, 0, hits, 16);
        for (size_t i = 0; i < n; i++)
            atomic_fetch_add(&b->torn, is_torn(&hits[i]));
        atomic_fetch_add(&b->looks, n > 0);
    }
    return NULL;
}

/* Each is new, so that cells change all the time; and halved now and then. */
START_TEST(readers_see_whole_keys)
{
    struct beside b = {.h = heavy_hitters_new(16, HALVE)};
    pthread_t readers[READERS];
    for (size_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, look, &b), 0);
    uint64_t hash = 0;
    while (hash < STREAM || atomic_load(&b.looks) < 1000) {
        uint64_t words[HEAVY_KEY_MAX / sizeof(uint64_t)];
        hash++;
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
            words[w] = hash;
        heavy_hitters_add(b.h, &(struct heavy_key){hash, {(const char *)words, sizeof(words)}}, hash);
    }
    atomic_store(&b.is_over, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    ck_assert_uint_eq(atomic_load(&b.torn), 0);
    heavy_hitters_free(b.h);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("heavy_hitters");
    TCase *tc = tcase_create("heavy_hitters");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, counts_are_within_their_bounds, 0, sizeof(streams) / sizeof(streams[0]));
    tcase_add_test(tc, few_keys_are_counted_exactly);
    tcase_add_test(tc, counts_are_halved_by_the_clock);
    tcase_add_test(tc, halved_counts_keep_their_order);
    tcase_add_test(tc, halves_promise_no_more_than_was_seen);
    tcase_add_test(tc, halved_counts_are_within_their_bounds);
    tcase_add_test(tc, long_keys_are_cut_but_told_apart);
    tcase_add_test(tc, absurd_sizes_are_refused);
    tcase_add_test(tc, readers_see_whole_keys);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(make_suite)
