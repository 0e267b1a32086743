/*
 * bucket_table.c: what the table of token buckets costs, and what a flood of new keys does to it.
 *
 *     cc -std=gnu11 -D_GNU_SOURCE -I. -O2 -o /tmp/bucket_table tests/bench/bucket_table.c \
 *         lib/bucket_table.c lib/token_bucket.c lib/counter.c lib/check.c lib/random.c -lpthread
 *     /tmp/bucket_table
 *
 * Prints bytes per live bucket with ten million of them, nanoseconds per take on buckets that are in the
 * processor's cache and on those that are not, and then, on a table for one million, what 100 million
 * different keys at a frozen clock (nothing ever becomes free) leave of 1000 keys that are at their limits.
 * One thread, then two on the same keys. Takes half a minute and 400 MB.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/bucket_table.h"
#include "lib/clock.h"
#include "lib/random.h"

#define LIVE  10000000u
#define FLOOD 100000000u
#define HOT   1000u
#define START (1000 * CLOCK_SECOND_NS)

static struct token_rate rate;

/* Distinct for distinct N, and cheap: the finisher of SplitMix64 twice. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct bucket_key key_of(uint64_t n)
{
    uint64_t place = mix(n + UINT64_C(0x9e3779b97f4a7c15));
    return (struct bucket_key){place, mix(place + UINT64_C(0x9e3779b97f4a7c15))};
}

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*u %lu", &pages) != 1)
        exit(1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool take(struct bucket_table *t, size_t thread, uint64_t n, uint64_t now_ns)
{
    struct token_ask ask = {.rate = &rate, .now_ns = now_ns, .cost = 1};
    return bucket_table_take(t, thread, key_of(n), &ask).admitted;
}

/* Nanoseconds per take of COUNT takes, spread over the first NKEYS keys. */
static double time_takes(struct bucket_table *t, size_t thread, uint64_t nkeys, uint64_t count)
{
    uint64_t begin = clock_now_ns(), admitted = 0;
    for (uint64_t i = 0; i < count; i++)
        admitted += take(t, thread, mix(i) % nkeys, START + i * 1000);
    uint64_t spent = clock_now_ns() - begin;
    printf("    (%.0f%% admitted) ", 100.0 * (double)admitted / (double)count);
    return (double)spent / (double)count;
}

static void fill(void)
{
    size_t before = resident_bytes();
    struct bucket_table *t = bucket_table_new(LIVE, 2);
    if (!t)
        exit(1);
    uint64_t begin = clock_now_ns();
    for (uint64_t n = 0; n < LIVE; n++)
        (void)take(t, 0, n, START);
    double first_ns = (double)(clock_now_ns() - begin) / LIVE;
    struct bucket_usage u = bucket_table_usage(t, START, SIZE_MAX);
    printf("%zu live of %u keys, %.1f bytes each (RSS), %lu had a full set\n", u.in_debt, LIVE,
           (double)(resident_bytes() - before) / (double)u.in_debt, u.evicted + u.overflowed);
    printf("first take of a key: %.0f ns (with the kernel's zeroing of pages)\n", first_ns);
    printf("%.0f ns per take, 1000 keys\n", time_takes(t, 0, 1000, 20000000));
    printf("%.0f ns per take, 10 million keys\n", time_takes(t, 0, LIVE, 20000000));
    bucket_table_free(t);
}

static void flood(void)
{
    size_t before = resident_bytes(), kept = 0;
    struct bucket_table *t = bucket_table_new(1000000, 2);
    if (!t)
        exit(1);
    for (uint64_t h = 0; h < HOT; h++)
        while (take(t, 0, h, START))
            continue;
    uint64_t begin = clock_now_ns(), admitted = 0, bypassed = 0;
    for (uint64_t i = 0; i < FLOOD; i++) {
        admitted += take(t, 0, HOT + i, START);
        if (i % 1000 == 0)
            bypassed += take(t, 0, i / 1000 % HOT, START);
    }
    double ns = (double)(clock_now_ns() - begin) / FLOOD;
    size_t grown = resident_bytes() - before;
    struct token_ask one = {.rate = &rate, .now_ns = START, .cost = 1};
    for (uint64_t h = 0; h < HOT; h++) {
        bucket_table_give_back(t, key_of(h), &one); /* has an effect on a key that has its slot only */
        kept += bucket_table_peek(t, key_of(h), &one).remaining == 1;
    }
    struct bucket_usage u = bucket_table_usage(t, START, SIZE_MAX);
    printf("flood: %.0f ns per new key, RSS +%.1f MB for %.1f MB reserved\n", ns, (double)grown / 1e6,
           (double)u.bytes / 1e6);
    printf("flood: %lu of %u new keys admitted, %lu evictions, %lu refused for inherited debt\n", admitted,
           FLOOD, u.evicted, u.overflowed);
    printf("flood: %zu of %u hot keys kept their slots, %lu requests got past them\n", kept, HOT, bypassed);
    bucket_table_free(t);
}

struct half {
    struct bucket_table *table;
    size_t thread;
};

static void *run_half(void *arg)
{
    struct half *h = arg;
    printf("%.0f ns per take, 1000 keys, thread %zu of 2\n", time_takes(h->table, h->thread, 1000, 10000000),
           h->thread + 1);
    return NULL;
}

static void two_threads(void)
{
    struct bucket_table *t = bucket_table_new(1000000, 2);
    if (!t)
        exit(1);
    struct half half[2] = {{t, 0}, {t, 1}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread[i], NULL, run_half, &half[i]) != 0)
            exit(1);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    bucket_table_free(t);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!token_rate_init(&rate, 10, CLOCK_SECOND_NS, 20))
        return 1;
    fill();
    two_threads();
    flood();
    return 0;
}
