/*
 * object_store.c: what the store of the cache costs, and whether it stays within its memory.
 *
 *     cc -std=gnu11 -D_GNU_SOURCE -I. -O2 -o /tmp/object_store tests/bench/object_store.c \
 *         lib/object_*.c lib/region.c lib/err.c lib/slice.c lib/check.c lib/random.c lib/buf.c -lpthread -lm
 *     /tmp/object_store
 *
 * Prints what 10 million objects of mixed sizes, put into a store of 64 MB by two threads while both also
 * look things up, leave of the process's memory; nanoseconds for each put and each hit; how long a purge of a
 * tag of 100,000 objects takes, and what the slowest put beside it took; and hits on a Zipf trace with scans
 * beside LRU's. Exits with 1 when the memory is more than 64 MB and a tenth. Takes half a minute.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/object_store.h"
#include "lib/random.h"
#include "tests/trace.h"

#define SIZE    ((size_t)64 << 20)
#define INSERTS 10000000u
#define TAGGED  100000u
#define MB      (1024.0 * 1024.0)

static size_t resident(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct object_key key_of(char *text, size_t room, unsigned n)
{
    int len = snprintf(text, room, "http://example.com/objects/%u", n);
    return (struct object_key){{text, (size_t)len}, (size_t)len};
}

static bool put(struct object_store *s, unsigned n, size_t len, const struct slice *tag)
{
    char text[64];
    struct object_key key = key_of(text, sizeof(text), n);
    struct object_init init = {.key = key,
                               .meta_len = 300,
                               .tags = tag,
                               .ntags = tag ? 1 : 0,
                               .since = object_store_now(s, &key),
                               .body = object_body_new(s, &key, len)};
    if (!init.body)
        return false;
    memset(init.body->bytes, (int)n, len);
    struct object *o = object_new(s, &init);
    object_body_put(init.body);
    bool ok = o && object_store_put(s, o);
    object_put(o);
    return ok;
}

static bool get(struct object_store *s, unsigned n)
{
    char text[64];
    struct object_key key = key_of(text, sizeof(text), n);
    struct object *o = object_store_find(s, &key);
    object_put(o);
    return o != NULL;
}

/* ---- filling ---- */

struct filler {
    pthread_t thread;
    struct object_store *store;
    unsigned begin;
    uint64_t ns, refused;
};

/* From 16 bytes to 256 KB, small ones being the most. */
static size_t some_size(struct random *r)
{
    return 16 + random_below(random_next(r), UINT64_C(1) << (4 + random_below(random_next(r), 4) * 2)) +
           (random_below(random_next(r), 2000) == 0 ? random_below(random_next(r), 256 * 1024) : 0);
}

static void *fill(void *ctx)
{
    struct filler *f = ctx;
    struct random r;
    random_seed_with(&r, f->begin + 1);
    uint64_t begin = clock_now_ns();
    for (unsigned i = 0; i < INSERTS / 2; i++) {
        f->refused += !put(f->store, f->begin + i, some_size(&r), NULL);
        if (i % 4 == 0)
            get(f->store, f->begin + (unsigned)random_below(random_next(&r), i + 1));
    }
    f->ns = clock_now_ns() - begin;
    return NULL;
}

static bool fill_all(void)
{
    struct err err = {0};
    size_t before = resident();
    struct object_store *s = object_store_new(&(struct object_store_setup){.size = SIZE, .secret = 1}, &err);
    struct filler f[2] = {{.store = s}, {.store = s, .begin = INSERTS / 2}};
    struct object_store_stats stats;
    for (int i = 0; i < 2; i++)
        pthread_create(&f[i].thread, NULL, fill, &f[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(f[i].thread, NULL);
    size_t all = resident();
    object_store_stats(s, &stats);
    printf(
        "memory: %.1f MB of the process after %u puts into 64 MB (%.1f MB more than before); %.1f MB used, "
        "%llu objects, %llu refused\n",
        (double)all / MB, INSERTS, (double)(all - before) / MB, (double)stats.used / MB,
        (unsigned long long)stats.objects, (unsigned long long)(f[0].refused + f[1].refused));
    printf("put: %.0f ns each, with a quarter of a lookup, two threads\n", (double)f[0].ns / (INSERTS / 2));
    object_store_free(s);
    return all <= SIZE + SIZE / 10;
}

/* ---- hits, purges ---- */

static void time_hits(void)
{
    struct err err = {0};
    struct object_store *s = object_store_new(&(struct object_store_setup){.size = SIZE, .secret = 1}, &err);
    struct random r;
    random_seed_with(&r, 9);
    for (unsigned i = 0; i < 10000; i++)
        put(s, i, 1000, NULL);
    uint64_t begin = clock_now_ns(), hits = 0;
    for (unsigned i = 0; i < 5000000; i++)
        hits += get(s, (unsigned)random_below(random_next(&r), 10000));
    printf("hit: %.0f ns each (%llu of 5000000)\n", (double)(clock_now_ns() - begin) / 5e6,
           (unsigned long long)hits);
    object_store_free(s);
}

struct purger {
    struct object_store *store;
    _Atomic bool done;
    size_t n;
    uint64_t ns;
};

static void *purge(void *ctx)
{
    struct purger *p = ctx;
    uint64_t begin = clock_now_ns();
    p->n = object_store_purge(p->store, OBJECT_TAG, SLICE("tag"), false);
    p->ns = clock_now_ns() - begin;
    p->done = true;
    return NULL;
}

static void time_purge(void)
{
    struct err err = {0};
    struct slice tag = SLICE("tag");
    struct purger p = {
        .store = object_store_new(&(struct object_store_setup){.size = SIZE * 4, .secret = 1}, &err)};
    pthread_t thread;
    uint64_t slowest = 0;
    unsigned n = TAGGED;
    for (unsigned i = 0; i < TAGGED; i++)
        put(p.store, i, 500, &tag);
    pthread_create(&thread, NULL, purge, &p);
    do {
        uint64_t begin = clock_now_ns();
        put(p.store, n++, 500, NULL);
        uint64_t ns = clock_now_ns() - begin;
        slowest = ns > slowest ? ns : slowest;
    } while (!p.done || n < TAGGED + 100000);
    pthread_join(thread, NULL);
    printf("purge: a tag of %zu objects in %.0f us; the slowest of the %u puts then and after it %.2f ms\n",
           p.n, (double)p.ns / 1000, n - TAGGED, (double)slowest / 1e6);
    object_store_free(p.store);
}

/* ---- a trace ---- */

#define UNIVERSE 200000
#define REQUESTS 2000000
#define PERIOD   100000

static void compare(double exponent)
{
    struct err err = {0};
    struct object_store *s =
        object_store_new(&(struct object_store_setup){.size = (size_t)16 << 20, .secret = 1}, &err);
    struct trace *t = trace_new(UNIVERSE, PERIOD, exponent);
    struct object_store_stats stats;
    int hits = 0;
    for (int n = 0; n < REQUESTS; n++) {
        unsigned i = (unsigned)trace_next(t);
        if (get(s, i))
            hits++;
        else
            put(s, i, 400, NULL);
    }
    object_store_stats(s, &stats);
    double own = 100.0 * hits / REQUESTS,
           lru = 100.0 * trace_lru_hits(trace_new(UNIVERSE, PERIOD, exponent), REQUESTS, stats.objects) /
                 REQUESTS;
    printf("trace: Zipf %.1f, a fifth scanned, room for %llu of %d: %.1f %% hits, LRU %.1f %%: %+.1f\n",
           exponent, (unsigned long long)stats.objects, UNIVERSE, own, lru, own - lru);
    free(t);
    object_store_free(s);
}

int main(void)
{
    bool ok = fill_all();
    time_hits();
    time_purge();
    compare(0.7);
    compare(0.9);
    compare(1.1);
    return ok ? 0 : 1;
}
