/*
 * entry.c: what it costs to make an entry of an object of the cache, and an object of an entry.
 *
 *     make build
 *     gcc -std=gnu11 -D_GNU_SOURCE -I. -O2 -o build/bench_entry tests/bench/entry.c build/objects.a -lzstd
 * -lpthread -lm build/bench_entry [WHICH]        (a number: that line alone, for perf)
 *
 * Prints nanoseconds for entry_encode, and for entry_decode and entry_to_object together, which is what a hit
 * in Redis costs beside the network. An answer with 12 fields, among them two dates, and JSON for its body;
 * best of seven rounds. One thread. Takes some seconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/entry.h"
#include "lib/clock.h"

#define NOW_MS   INT64_C(1700000000000)
#define ROUNDS   7
#define ROUND_NS (CLOCK_SECOND_NS / 10)

static const struct {
    const char *name;
    size_t body_len;
    enum conf_cache_compress compress;
} cases[] = {
    {"1 KB", 1024, CACHE_COMPRESS_OFF},     {"1 KB zstd", 1024, CACHE_COMPRESS_ZSTD},
    {"64 KB", 65536, CACHE_COMPRESS_OFF},   {"64 KB zstd", 65536, CACHE_COMPRESS_ZSTD},
    {"256 KB", 262144, CACHE_COMPRESS_OFF}, {"256 KB zstd", 262144, CACHE_COMPRESS_ZSTD},
};

static struct http_field fields[] = {
    {SLICE("Content-Type"), SLICE("application/json; charset=utf-8")},
    {SLICE("Date"), SLICE("Tue, 14 Nov 2023 22:13:15 GMT")},
    {SLICE("Server"), SLICE("nginx/1.22.1")},
    {SLICE("Cache-Control"), SLICE("public, max-age=60, stale-while-revalidate=30")},
    {SLICE("ETag"), SLICE("\"5f3c-64a1b2c3d4e5f\"")},
    {SLICE("Last-Modified"), SLICE("Mon, 13 Nov 2023 08:00:00 GMT")},
    {SLICE("Vary"), SLICE("Accept-Encoding")},
    {SLICE("X-Content-Type-Options"), SLICE("nosniff")},
    {SLICE("X-Frame-Options"), SLICE("DENY")},
    {SLICE("Strict-Transport-Security"), SLICE("max-age=31536000; includeSubDomains")},
    {SLICE("Access-Control-Allow-Origin"), SLICE("*")},
    {SLICE("Content-Language"), SLICE("en")},
};

static struct object_store *store;
static struct entry_packer *packer;
static const struct object_key key = {
    SLICE("http://api.example.com/api/users/4711?fields=name,mail\nusers\naccept-encoding:gzip"), 54};
static char memory[1 << 20];

/* Of entries in MEMORY, another one each round: copying is slow on some processors (20 times, AMD with FSRM)
 * when the target lies a few bytes behind the source, modulo a page. */
static size_t offset;

static struct object *make(size_t body_len)
{
    struct object_body *body = object_body_new(store, &key, body_len);
    CHECK(body);
    for (size_t i = 0, n = 0; i < body_len; n++) {
        char line[128];
        size_t len =
            (size_t)snprintf(line, sizeof(line), "{\"id\":%zu,\"mail\":\"u%zu@example.com\",\"on\":%s},", n,
                             n * 7919 % 100003, n % 3 ? "true" : "false");
        len = len < body_len - i ? len : body_len - i;
        memcpy(body->bytes + i, line, len);
        i += len;
    }
    const struct cached_parts parts = {.kind = CACHED_ANSWER,
                                       .key = key,
                                       .status = 200,
                                       .life = {.born_ms = NOW_MS - 5000, .lifetime_ms = 60000},
                                       .answered_ms = NOW_MS,
                                       .fields = {fields, sizeof(fields) / sizeof(fields[0])},
                                       .vary = SLICE("accept-encoding"),
                                       .variant = SLICE("\naccept-encoding:gzip"),
                                       .body = body};
    struct object *o = cached_new(store, &parts);
    CHECK(o);
    object_body_put(body);
    return o;
}

static struct slice encode(const struct object *o, const struct entry_options *opt)
{
    struct buf b;
    buf_init(&b, memory + offset, sizeof(memory) - offset);
    CHECK(entry_encode(o, opt, &b));
    return buf_slice(&b);
}

static void decode(struct slice bytes)
{
    struct entry e;
    const struct entry_context ctx = {.store = store,
                                      .key = key,
                                      .now_ms = NOW_MS + 1000,
                                      .elapsed_ms = 1000,
                                      .body_max = sizeof(memory),
                                      .packer = packer};
    struct object *o = entry_decode(bytes, &e) ? entry_to_object(&e, &ctx) : NULL;
    CHECK(o);
    object_put(o);
}

/* Nanoseconds of one, in the best round. */
static double encode_ns(const struct object *o, const struct entry_options *opt)
{
    double best = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        offset = (size_t)i * 200;
        uint64_t begin = clock_now_ns(), n = 0;
        for (; clock_now_ns() - begin < ROUND_NS; n += 16)
            for (int k = 0; k < 16; k++)
                encode(o, opt);
        double ns = (double)(clock_now_ns() - begin) / (double)n;
        best = ns < best ? ns : best;
    }
    return best;
}

static double decode_ns(const struct object *o, const struct entry_options *opt)
{
    double best = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        offset = (size_t)i * 200;
        struct slice bytes = encode(o, opt);
        uint64_t begin = clock_now_ns(), n = 0;
        for (; clock_now_ns() - begin < ROUND_NS; n += 16)
            for (int k = 0; k < 16; k++)
                decode(bytes);
        double ns = (double)(clock_now_ns() - begin) / (double)n;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    store = object_store_new(&(struct object_store_setup){.size = 64 << 20, .secret = 3}, &err);
    packer = entry_packer_new();
    CHECK(store && packer);
    printf("%-12s %10s %12s %12s\n", "body", "bytes", "encode ns", "to object ns");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 1 && (size_t)atoi(argv[1]) != i)
            continue;
        const struct entry_options opt = {.compress = cases[i].compress, .packer = packer, .now_ms = NOW_MS};
        struct object *o = make(cases[i].body_len);
        double to = encode_ns(o, &opt);
        size_t len = encode(o, &opt).len;
        printf("%-12s %10zu %12.0f %12.0f\n", cases[i].name, len, to, decode_ns(o, &opt));
        object_put(o);
    }
    entry_packer_free(packer);
    object_store_free(store);
    return 0;
}
