/* test_entry.c: objects come back as they were, by another's clock; what is no entry of ours is refused. */
#include "gateway/entry.h"

#include <stdio.h>
#include <zstd.h>

#include "lib/hash.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define NOW_MS  INT64_C(1700000000000)
#define KEY     "http://h/a\nroute"
#define HEAD    92 /* bytes; see entry.c */
#define SUM     8
#define MUTANTS 30000

static struct object_store *store;
static struct entry_packer *packer;
static char space[1 << 20];

static void set_up(void)
{
    struct err err = {0};
    store = object_store_new(&(struct object_store_setup){.size = 16 << 20, .secret = 3}, &err);
    packer = entry_packer_new();
    ck_assert(store && packer);
}

static void tear_down(void)
{
    object_store_free(store);
    entry_packer_free(packer);
}

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){slice_of(name), slice_of(value)};
}

static struct object_key key_of(const char *text)
{
    return (struct object_key){slice_of(text), 10};
}

/* ---- there and back ---- */

static struct object_body *body_of(struct slice bytes)
{
    struct object_key key = key_of(KEY);
    struct object_body *b = object_body_new(store, &key, bytes.len);
    ck_assert_ptr_nonnull(b);
    if (bytes.len > 0)
        memcpy(b->bytes, bytes.p, bytes.len);
    return b;
}

static struct cached_parts parts_of(struct http_field *at, size_t n)
{
    return (struct cached_parts){.kind = CACHED_ANSWER,
                                 .key = key_of(KEY),
                                 .status = 203,
                                 .life = {.born_ms = NOW_MS - 5000,
                                          .lifetime_ms = 60001,
                                          .stale_while_revalidate_ms = 10002,
                                          .stale_if_error_ms = 20003,
                                          .stale_if_unreachable_ms = HTTP_CACHE_FOREVER_MS,
                                          .flags = LIFE_ORIGIN_SWR | LIFE_MUST_REVALIDATE},
                                 .answered_ms = NOW_MS - 4000,
                                 .fields = {at, n},
                                 .vary = SLICE("a,b"),
                                 .variant = SLICE("\na:1\nb")};
}

static struct object *make(struct cached_parts parts, struct object_body *body)
{
    parts.body = body;
    struct object *o = cached_new(store, &parts);
    object_body_put(body);
    ck_assert_ptr_nonnull(o);
    return o;
}

static struct slice encode(const struct object *o, enum conf_cache_compress compress)
{
    struct buf b;
    ck_assert_uint_le(entry_size_max(o), sizeof(space));
    buf_init(&b, space, entry_size_max(o));
    ck_assert(entry_encode(
        o, &(struct entry_options){.compress = compress, .packer = packer, .now_ms = NOW_MS}, &b));
    ck_assert(!b.failed && b.len <= b.cap);
    return buf_slice(&b);
}

static struct entry_context context(int64_t now_ms, int64_t elapsed_ms)
{
    return (struct entry_context){.store = store,
                                  .key = key_of(KEY),
                                  .since = 0,
                                  .now_ms = now_ms,
                                  .elapsed_ms = elapsed_ms,
                                  .body_max = 1 << 20,
                                  .packer = packer};
}

static struct object *decode(struct slice bytes, const struct entry_context *ctx)
{
    struct entry e;
    return entry_decode(bytes, &e) ? entry_to_object(&e, ctx) : NULL;
}

static void check_fields(struct http_fields a, struct http_fields b)
{
    ck_assert_uint_eq(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        ck_assert(slice_eq(a.at[i].name, b.at[i].name) && slice_eq(a.at[i].value, b.at[i].value));
}

static void check_same(const struct object *a, const struct object *b)
{
    const struct cached *c = cached_of(a), *d = cached_of(b);
    ck_assert(slice_eq(a->key.text, b->key.text) && a->key.group_len == b->key.group_len);
    ck_assert(c->kind == d->kind && c->status == d->status && c->first == d->first && c->total == d->total);
    ck_assert(memcmp(&c->life, &d->life, sizeof(c->life)) == 0);
    ck_assert(slice_eq(c->vary, d->vary) && slice_eq(c->variant, d->variant));
    ck_assert(slice_eq(c->validators.etag, d->validators.etag));
    ck_assert(slice_eq(c->validators.last_modified, d->validators.last_modified));
    ck_assert_int_eq(c->validators.date_s, d->validators.date_s);
    check_fields(c->fields, d->fields);
    ck_assert(!a->body == !b->body && a->ntags == b->ntags);
    if (a->body)
        ck_assert(slice_eq((struct slice){a->body->bytes, a->body->cap},
                           (struct slice){b->body->bytes, b->body->cap}));
}

/* Gives back O; its length as an entry. */
static size_t round_trip(struct object *o, enum conf_cache_compress compress)
{
    struct slice bytes = encode(o, compress);
    struct entry_context ctx = context(NOW_MS, 0);
    struct object *back = decode(bytes, &ctx);
    ck_assert_ptr_nonnull(back);
    check_same(o, back);
    object_put(o);
    object_put(back);
    return bytes.len;
}

START_TEST(an_answer_comes_back)
{
    struct http_field at[] = {field("ETag", "\"x\""), field("X-A", "1"), field("x-a", "caf\xc3\xa9\tau lait"),
                              field("Last-Modified", "Tue, 14 Nov 2023 22:00:00 GMT"),
                              field("Surrogate-Key", "t u")};
    round_trip(make(parts_of(at, 5), body_of(SLICE("hello\0\r\nworld"))), CACHE_COMPRESS_OFF);
    round_trip(make(parts_of(at, 5), body_of(SLICE(""))), CACHE_COMPRESS_ZSTD);
    round_trip(make(parts_of(at, 5), NULL), CACHE_COMPRESS_ZSTD);
    round_trip(make(parts_of(at, 0), NULL), CACHE_COMPRESS_OFF);
}
END_TEST

START_TEST(notes_come_back)
{
    struct cached_parts vary = {.kind = CACHED_VARY, .key = key_of(KEY), .vary = SLICE("accept")};
    struct cached_parts nothing = {.kind = CACHED_NOTHING,
                                   .key = key_of(KEY),
                                   .status = 413,
                                   .life = {.born_ms = NOW_MS, .lifetime_ms = 10000}};
    round_trip(make(vary, NULL), CACHE_COMPRESS_ZSTD);
    round_trip(make(nothing, NULL), CACHE_COMPRESS_ZSTD);
    nothing.status = 206;
    round_trip(make(nothing, NULL), CACHE_COMPRESS_ZSTD);
}
END_TEST

START_TEST(many_fields_come_back)
{
    struct http_field at[CACHED_FIELDS_MAX];
    char names[CACHED_FIELDS_MAX][8];
    for (size_t i = 0; i < CACHED_FIELDS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "X-%zu", i);
        at[i] = field(names[i], names[(i * 7) % (i + 1)]);
    }
    at[9] = field("Date", "Tue, 14 Nov 2023 22:00:00 GMT");
    round_trip(make(parts_of(at, CACHED_FIELDS_MAX), NULL), CACHE_COMPRESS_OFF);
}
END_TEST

/* ---- compression ---- */

static char text[200000];

static void fill_text(size_t len)
{
    for (size_t i = 0, n = 0; i < len; n++)
        i += (size_t)snprintf(text + i, sizeof(text) - i, "{\"id\":%zu,\"name\":\"item %zu\"},", n, n * 7919);
}

START_TEST(large_bodies_are_compressed)
{
    struct http_field at[] = {field("Content-Type", "application/json"),
                              field("Content-Encoding", "identity")};
    fill_text(sizeof(text) - 64);
    struct slice body = {text, sizeof(text) - 64};
    ck_assert_uint_gt(round_trip(make(parts_of(at, 2), body_of(body)), CACHE_COMPRESS_OFF), body.len);
    ck_assert_uint_lt(round_trip(make(parts_of(at, 2), body_of(body)), CACHE_COMPRESS_ZSTD), body.len / 3);
    ck_assert_uint_lt(round_trip(make(parts_of(at, 0), body_of(body)), CACHE_COMPRESS_ZSTD), body.len / 3);
}
END_TEST

static bool is_compressed(struct http_field *at, size_t n, struct slice body)
{
    struct object *o = make(parts_of(at, n), body_of(body));
    bool is_smaller = encode(o, CACHE_COMPRESS_ZSTD).len < entry_size_max(o);
    round_trip(o, CACHE_COMPRESS_ZSTD);
    return is_smaller;
}

START_TEST(what_does_not_pay_is_not_compressed)
{
    static const char *const packed[] = {"image/png",       "Video/mp4",           "font/woff2",
                                         "application/zip", " application/GZIP;a", "audio/ogg"},
                             *const plain[] = {"image/svg+xml", "text/html", "application/wasm", "imag", ""};
    fill_text(4096);
    for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
        struct http_field type = field("content-type", packed[i]);
        ck_assert_msg(!is_compressed(&type, 1, (struct slice){text, 4096}), "%s", packed[i]);
    }
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        struct http_field type = field("content-type", plain[i]);
        ck_assert_msg(is_compressed(&type, 1, (struct slice){text, 4096}), "%s", plain[i]);
    }
    struct http_field gzip = field("Content-Encoding", "gzip");
    ck_assert(!is_compressed(&gzip, 1, (struct slice){text, 4096}));
    ck_assert(!is_compressed(NULL, 0, (struct slice){text, 511}));
    ck_assert(is_compressed(NULL, 0, (struct slice){text, 512}));
    struct random r;
    random_seed_with(&r, 5);
    for (size_t i = 0; i < 4096; i++)
        text[i] = (char)random_next(&r);
    ck_assert(!is_compressed(NULL, 0, (struct slice){text, 4096}));
}
END_TEST

START_TEST(an_eighth_has_to_be_saved)
{
    struct random r;
    random_seed_with(&r, 5);
    for (size_t i = 0; i < 8192; i++)
        text[i] = (char)random_next(&r);
    memset(text, 'a', 900); /* 900 of 8192 is less than an eighth, 1200 is more */
    ck_assert(!is_compressed(NULL, 0, (struct slice){text, 8192}));
    memset(text, 'a', 1200);
    ck_assert(is_compressed(NULL, 0, (struct slice){text, 8192}));
}
END_TEST

START_TEST(without_a_packer_nothing_is_compressed)
{
    fill_text(4096);
    struct object *o = make(parts_of(NULL, 0), body_of((struct slice){text, 4096}));
    struct buf b;
    buf_init(&b, space, sizeof(space));
    ck_assert(
        entry_encode(o, &(struct entry_options){.compress = CACHE_COMPRESS_ZSTD, .now_ms = NOW_MS}, &b));
    ck_assert_uint_eq(b.len, entry_size_max(o));
    struct entry_context ctx = context(NOW_MS, 0);
    ctx.packer = NULL;
    struct object *back = decode(buf_slice(&b), &ctx);
    ck_assert_ptr_nonnull(back);
    object_put(back);
    ck_assert_ptr_null(decode(encode(o, CACHE_COMPRESS_ZSTD), &ctx));
    object_put(o);
}
END_TEST

/* ---- what is not encoded ---- */

static void check_refused(struct cached_parts parts)
{
    struct buf b;
    struct object *o = cached_new(store, &parts);
    ck_assert_ptr_nonnull(o);
    buf_init(&b, space, sizeof(space));
    ck_assert(!entry_encode(o, &(struct entry_options){.now_ms = NOW_MS}, &b));
    ck_assert(!b.failed && b.len == 0);
    object_put(o);
}

START_TEST(parts_and_oddities_are_not_for_others)
{
    static const unsigned statuses[] = {0, 100, 199, 206, 304, 600, 999};
    struct http_field at[CACHED_FIELDS_MAX];
    for (size_t i = 0; i < CACHED_FIELDS_MAX; i++)
        at[i] = field("X-A", "1");
    struct cached_parts parts = parts_of(at, 1);
    parts.total = 1;
    check_refused(parts);
    parts.total = 0, parts.first = 1;
    check_refused(parts);
    parts.first = 0;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        parts.status = statuses[i];
        check_refused(parts);
    }
    parts.status = 200, parts.kind = CACHED_VARY;
    check_refused(parts);
    check_refused(parts_of(at, CACHED_FIELDS_MAX)); /* and a Date */
    memset(text, 'a', 65536);
    at[0].value = (struct slice){text, 65536};
    check_refused(parts_of(at, 1));
    at[0] = (struct http_field){{text, 65536}, SLICE("1")};
    check_refused(parts_of(at, 1));
}
END_TEST

START_TEST(an_entry_is_whole_or_not_there)
{
    struct object *o = make(parts_of(NULL, 0), body_of(SLICE("hello")));
    struct entry_options opt = {.now_ms = NOW_MS};
    struct buf b;
    buf_init(&b, space, entry_size_max(o) - 1);
    ck_assert(!entry_encode(o, &opt, &b) && b.failed && b.len == 0);
    buf_init(&b, space, entry_size_max(o) + 3);
    buf_add(&b, SLICE("abc"));
    ck_assert(entry_encode(o, &opt, &b) && b.len == b.cap && memcmp(space, "abctge", 6) == 0);
    struct entry_context ctx = context(NOW_MS, 0);
    struct object *back = decode(slice_skip(buf_slice(&b), 3), &ctx);
    ck_assert_ptr_nonnull(back);
    object_put(back);
    object_put(o);
}
END_TEST

/* ---- times ---- */

/* What was encoded at NOW_MS, read by a clock that is SKEW_MS ahead, ELAPSED_MS later. */
static void check_times(struct slice bytes, int64_t skew_ms, int64_t elapsed_ms)
{
    int64_t now_ms = NOW_MS + elapsed_ms + skew_ms;
    struct entry_context ctx = context(now_ms, elapsed_ms);
    struct object *back = decode(bytes, &ctx);
    ck_assert_ptr_nonnull(back);
    const struct cached *c = cached_of(back);
    ck_assert_int_eq(http_cache_age_ms(&c->life, now_ms), 5000 + elapsed_ms);
    ck_assert_int_eq(http_cache_left_ms(&c->life, now_ms), 60001 - 5000 - elapsed_ms);
    ck_assert(c->life.stale_while_revalidate_ms == 10002 && c->life.stale_if_error_ms == 20003);
    ck_assert_int_eq(c->validators.date_s, (NOW_MS - 4000 + skew_ms) / 1000);
    object_put(back);
}

START_TEST(clocks_may_differ)
{
    struct http_field broken = field("Date", "yesterday");
    struct object *o = make(parts_of(&broken, 1), NULL);
    struct slice bytes = encode(o, CACHE_COMPRESS_OFF);
    static const int64_t skews[] = {0, 1000, -1000, 86400000, -86400000, -1699999000000},
                         elapsed[] = {0, 1, 499, 7000, 86400000};
    for (size_t i = 0; i < sizeof(skews) / sizeof(skews[0]); i++)
        for (size_t j = 0; j < sizeof(elapsed) / sizeof(elapsed[0]); j++)
            check_times(bytes, skews[i], elapsed[j]);
    object_put(o);
}
END_TEST

START_TEST(a_few_ms_do_not_change_the_second)
{
    struct http_field broken = field("Date", "yesterday");
    struct object *o = make(parts_of(&broken, 1), NULL);
    struct entry_context ctx = context(NOW_MS + 7000, 7400);
    struct object *back = decode(encode(o, CACHE_COMPRESS_OFF), &ctx);
    ck_assert_ptr_nonnull(back);
    ck_assert_int_eq(cached_of(back)->validators.date_s, NOW_MS / 1000 - 4);
    object_put(back);
    object_put(o);
}
END_TEST

START_TEST(an_origins_date_stays)
{
    struct http_field date = field("Date", "Tue, 14 Nov 2023 22:00:00 GMT");
    struct object *o = make(parts_of(&date, 1), NULL);
    struct entry_context ctx = context(NOW_MS + 86400000, 1000);
    struct object *back = decode(encode(o, CACHE_COMPRESS_OFF), &ctx);
    ck_assert_ptr_nonnull(back);
    ck_assert_int_eq(cached_of(back)->validators.date_s, NOW_MS / 1000 - 800);
    object_put(back);
    object_put(o);
}
END_TEST

static int64_t age_of(int64_t born_ms, int64_t elapsed_ms)
{
    struct cached_parts parts = parts_of(NULL, 0);
    parts.life.born_ms = born_ms;
    struct object *o = make(parts, NULL);
    struct entry_context ctx = context(NOW_MS, elapsed_ms);
    struct object *back = decode(encode(o, CACHE_COMPRESS_OFF), &ctx);
    ck_assert_ptr_nonnull(back);
    int64_t age_ms = http_cache_age_ms(&cached_of(back)->life, NOW_MS);
    object_put(back);
    object_put(o);
    return age_ms;
}

START_TEST(ages_have_bounds)
{
    ck_assert_int_eq(age_of(NOW_MS - HTTP_CACHE_FOREVER_MS, 5), HTTP_CACHE_FOREVER_MS);
    ck_assert_int_eq(age_of(NOW_MS, INT64_MAX), HTTP_CACHE_FOREVER_MS);
    ck_assert_int_eq(age_of(0, 0), NOW_MS);
    ck_assert_int_eq(age_of(NOW_MS + 1000, 0), 0); /* a clock was put back: it ages from now on */
    ck_assert_int_eq(age_of(NOW_MS + 1000, 300), 300);
    ck_assert_int_eq(age_of(NOW_MS - 7, -300), 7);
}
END_TEST

/* ---- what is refused ---- */

/* An answer whose entry lies in SPACE. */
static struct slice sample(enum conf_cache_compress compress)
{
    struct http_field at[] = {field("ETag", "\"x\""), field("X-A", "1"),
                              field("Date", "Tue, 14 Nov 2023 22:00:00 GMT")};
    fill_text(600);
    struct object *o = make(parts_of(at, 3), body_of((struct slice){text, 600}));
    struct slice bytes = encode(o, compress);
    object_put(o);
    return bytes;
}

static void set_sum(char *p, size_t len)
{
    uint64_t sum = hash_bytes(p, len - SUM, 0);
    for (size_t i = 0; i < SUM; i++)
        p[len - SUM + i] = (char)(sum >> (8 * i));
}

START_TEST(every_changed_byte_is_noticed)
{
    struct slice bytes = sample(_i ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF);
    struct entry e;
    ck_assert(entry_decode(bytes, &e) && e.is_packed == (_i == 1));
    for (size_t i = 0; i < bytes.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            space[i] = (char)(space[i] ^ 1 << bit);
            ck_assert_msg(!entry_decode(bytes, &e), "bit %u of byte %zu", bit, i);
            space[i] = (char)(space[i] ^ 1 << bit);
        }
    ck_assert(entry_decode(bytes, &e));
}
END_TEST

/* In a piece of memory of its own, so that what lies behind it is out of bounds. */
static bool is_entry(const char *p, size_t len, bool with_sum)
{
    struct entry e;
    char *copy = malloc(len + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy + 1, p, len);
    if (with_sum && len >= SUM)
        set_sum(copy + 1, len);
    bool ok = entry_decode((struct slice){copy + 1, len}, &e);
    free(copy);
    return ok;
}

START_TEST(every_other_length_is_refused)
{
    struct slice bytes = sample(CACHE_COMPRESS_OFF);
    struct entry e;
    ck_assert(!entry_decode((struct slice){NULL, 0}, &e));
    for (size_t len = 0; len < bytes.len; len++)
        ck_assert(!is_entry(bytes.p, len, false) && !is_entry(bytes.p, len, true));
    space[bytes.len] = '\0';
    ck_assert(!is_entry(bytes.p, bytes.len + 1, false) && !is_entry(bytes.p, bytes.len + 1, true));
    ck_assert(is_entry(bytes.p, bytes.len, true));
}
END_TEST

/* LEN bytes at AT, little-endian, with a sum that holds. */
static bool is_entry_with(struct slice bytes, size_t at, size_t len, uint64_t value)
{
    char *copy = malloc(bytes.len);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes.p, bytes.len);
    for (size_t i = 0; i < len; i++)
        copy[at + i] = (char)(value >> (8 * i));
    bool ok = is_entry(copy, bytes.len, true);
    free(copy);
    return ok;
}

START_TEST(other_versions_are_refused)
{
    struct slice bytes = sample(CACHE_COMPRESS_OFF);
    for (unsigned version = 0; version < 256; version++)
        ck_assert(is_entry_with(bytes, 3, 1, version) == (version == 1));
    for (size_t i = 0; i < 3; i++)
        ck_assert(!is_entry_with(bytes, i, 1, 'x'));
}
END_TEST

static const struct {
    const char *what;
    size_t at, len;
    uint64_t good, bad;
} heads[] = {
    {"kind", 4, 1, CACHED_ANSWER, 3},
    {"kind of a note with a body", 4, 1, CACHED_ANSWER, CACHED_NOTHING},
    {"flag", 5, 1, 1, 9},
    {"in pieces", 5, 1, 1, 5},
    {"no body", 5, 1, 1, 0},
    {"packed", 5, 1, 1, 3},
    {"status below", 6, 2, 599, 199},
    {"status above", 6, 2, 200, 600},
    {"status of a part", 6, 2, 205, 206},
    {"status of no change", 6, 2, 303, 304},
    {"status of nothing", 6, 2, 204, 0},
    {"flag of a life", 8, 4, 31, 32},
    {"fields", 12, 4, 3, 2},
    {"very many fields", 12, 4, 3, UINT32_MAX},
    {"age", 16, 8, HTTP_CACHE_FOREVER_MS, HTTP_CACHE_FOREVER_MS + 1},
    {"answered", 24, 8, HTTP_CACHE_FOREVER_MS, UINT64_MAX},
    {"lifetime", 32, 8, HTTP_CACHE_FOREVER_MS, UINT64_MAX},
    {"stale-while-revalidate", 40, 8, 0, (uint64_t)INT64_MAX + 1},
    {"stale-if-error", 48, 8, 0, UINT64_MAX},
    {"stale-if-unreachable", 56, 8, 0, UINT64_MAX},
    {"key", 64, 4, sizeof(KEY) - 1, UINT32_MAX},
    {"group", 68, 4, sizeof(KEY) - 1, sizeof(KEY)},
    {"vary", 72, 4, 3, UINT32_MAX},
    {"variant", 76, 4, 6, 5},
    {"text", 80, 4, 44, UINT32_MAX - 1},
    {"stored", 84, 4, 600, UINT32_MAX},
    {"body", 88, 4, 600, 601},
};

START_TEST(a_head_that_is_wrong_is_refused)
{
    struct slice bytes = sample(CACHE_COMPRESS_OFF);
    ck_assert_msg(is_entry_with(bytes, heads[_i].at, heads[_i].len, heads[_i].good), "%s", heads[_i].what);
    ck_assert_msg(!is_entry_with(bytes, heads[_i].at, heads[_i].len, heads[_i].bad), "%s", heads[_i].what);
}
END_TEST

static bool is_entry_of(struct http_field f, struct slice vary)
{
    struct cached_parts parts = parts_of(&f, 1);
    parts.vary = vary;
    struct object *o = make(parts, NULL);
    struct slice bytes = encode(o, CACHE_COMPRESS_OFF);
    object_put(o);
    return is_entry(bytes.p, bytes.len, false);
}

START_TEST(fields_that_are_none_are_refused)
{
    static const char *const names[] = {
        "", "a b", "a:", "a\n", "caf\xc3\xa9", "Connection", "tE", "content-length", "Transfer-Encoding"};
    struct http_field bad[] = {{SLICE("a"), SLICE("1\r\n2")},
                               {SLICE("a"), SLICE("1\n")},
                               {SLICE("a"), SLICE("1\0002")},
                               {SLICE("a"), SLICE("\x7f")},
                               {SLICE("a\0b"), SLICE("1")}};
    ck_assert(is_entry_of(field("a", "\t b \xff"), SLICE("")));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(!is_entry_of(field(names[i], "1"), SLICE("")), "%s", names[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!is_entry_of(bad[i], SLICE("")), "%zu", i);
    ck_assert(is_entry_of(field("a", "b"), SLICE("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16")));
    ck_assert(!is_entry_of(field("a", "b"), SLICE("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17")));
    ck_assert(!is_entry_of(field("a", "b"), SLICE("a b")) && !is_entry_of(field("a", "b"), SLICE("\n")));
}
END_TEST

START_TEST(a_field_too_many_is_refused)
{
    struct http_field at[CACHED_FIELDS_MAX];
    for (size_t i = 0; i < CACHED_FIELDS_MAX; i++)
        at[i] = field("Date", "1");
    struct object *o = make(parts_of(at, CACHED_FIELDS_MAX), NULL);
    struct slice bytes = encode(o, CACHE_COMPRESS_OFF);
    ck_assert(is_entry(bytes.p, bytes.len, false));
    /* The lengths of "a" and "" behind those of the others, and the "a" behind their texts. */
    size_t lens = HEAD + sizeof(KEY) - 1 + 3 + 6 + CACHED_FIELDS_MAX * 4;
    char *p = space + lens;
    memmove(p + 4, p, bytes.len - lens);
    memcpy(p, "\1\0\0", 4);
    space[bytes.len + 4 - SUM] = 'a';
    space[12]++;
    space[80]++;
    ck_assert(!is_entry(space, bytes.len + 5, true));
    object_put(o);
}
END_TEST

START_TEST(a_note_names_what_answers_vary_by)
{
    struct cached_parts parts = {.kind = CACHED_VARY, .key = key_of(KEY), .vary = SLICE(" ,,")};
    struct object *o = make(parts, NULL);
    struct slice bytes = encode(o, CACHE_COMPRESS_OFF);
    ck_assert(!is_entry(bytes.p, bytes.len, false));
    object_put(o);
    parts.vary = SLICE("a");
    o = make(parts, NULL);
    bytes = encode(o, CACHE_COMPRESS_OFF);
    ck_assert(is_entry(bytes.p, bytes.len, false) && is_entry_with(bytes, 4, 1, CACHED_VARY));
    ck_assert(!is_entry_with(bytes, 4, 1, CACHED_NOTHING + 1) && !is_entry_with(bytes, 4, 1, 255));
    object_put(o);
}
END_TEST

START_TEST(another_key_is_refused)
{
    struct slice bytes = sample(CACHE_COMPRESS_OFF);
    struct entry_context ctx = context(NOW_MS, 0);
    ctx.key = key_of("http://h/a\nroutf");
    ck_assert_ptr_null(decode(bytes, &ctx));
    ctx.key = key_of("http://h/a\nroute2");
    ck_assert_ptr_null(decode(bytes, &ctx));
    ctx.key = key_of(KEY);
    ctx.key.group_len--;
    ck_assert_ptr_null(decode(bytes, &ctx));
}
END_TEST

START_TEST(bodies_have_a_bound)
{
    for (int i = 0; i < 2; i++) {
        struct slice bytes = sample(i ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF);
        struct entry_context ctx = context(NOW_MS, 0);
        ctx.body_max = 599;
        ck_assert_ptr_null(decode(bytes, &ctx));
        ctx.body_max = 600;
        struct object *o = decode(bytes, &ctx);
        ck_assert_ptr_nonnull(o);
        object_put(o);
    }
}
END_TEST

/* ---- what is not what it says it unpacks to ---- */

/* The sample's entry with the LEN bytes at P for a body, which is said to unpack to BODY_LEN. */
static struct object *decode_packed(const char *p, size_t len, uint32_t body_len)
{
    struct slice bytes = sample(CACHE_COMPRESS_OFF);
    size_t front = bytes.len - SUM - 600, total = front + len + SUM;
    char *copy = malloc(total);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes.p, front);
    memcpy(copy + front, p, len);
    copy[5] = 3;
    for (int i = 0; i < 4; i++) {
        copy[84 + i] = (char)(len >> (8 * i));
        copy[88 + i] = (char)(body_len >> (8 * i));
    }
    set_sum(copy, total);
    struct entry_context ctx = context(NOW_MS, 0);
    struct entry e;
    bool is_one = entry_decode((struct slice){copy, total}, &e);
    ck_assert(!is_one || ZSTD_getFrameContentSize(p, len) == body_len); /* before memory is asked for */
    struct object *o = is_one ? entry_to_object(&e, &ctx) : NULL;
    free(copy);
    return o;
}

static bool is_unpacked(const char *p, size_t len, uint32_t body_len)
{
    struct object *o = decode_packed(p, len, body_len);
    if (o)
        ck_assert_uint_eq(o->body->cap, body_len);
    object_put(o);
    return o != NULL;
}

START_TEST(a_frame_is_what_it_says)
{
    static char frame[4096], two[8192];
    memset(text, 'a', 100000);
    size_t n = ZSTD_compress(frame, sizeof(frame), text, 100000, 1);
    ck_assert(!ZSTD_isError(n));
    ck_assert(is_unpacked(frame, n, 100000));
    ck_assert(!is_unpacked(frame, n, 99999) && !is_unpacked(frame, n, 100001) && !is_unpacked(frame, n, 0));
    ck_assert(!is_unpacked(frame, n - 1, 100000) && !is_unpacked(frame, 0, 100000));
    for (size_t i = 0; i < n; i++) { /* a frame may well unpack to something else, but never to more */
        frame[i] ^= 1;
        is_unpacked(frame, n, 100000);
        frame[i] ^= 1;
    }
    memcpy(two, frame, n);
    memcpy(two + n, frame, n);
    ck_assert(!is_unpacked(two, 2 * n, 200000) && !is_unpacked(two, 2 * n, 100000));
    static const char skipped[] = "\x50\x2a\x4d\x18\0\0\0";
    ck_assert(!is_unpacked(skipped, sizeof(skipped), 0));
    memcpy(two + n, skipped, sizeof(skipped));
    ck_assert(!is_unpacked(two, n + sizeof(skipped), 100000));
}
END_TEST

/* The length in its head is a lie, so that the frame itself goes on. */
START_TEST(a_bomb_has_no_more_than_it_says)
{
    static char frame[4096];
    memset(text, 'a', 100000);
    size_t n = ZSTD_compress(frame, sizeof(frame), text, 100000, 1);
    ck_assert(!ZSTD_isError(n) && ZSTD_getFrameContentSize(frame, n) == 100000);
    ck_assert_uint_eq((unsigned char)frame[4] & 0xe0, 0xa0); /* one segment, four bytes of length */
    for (uint32_t lie = 0; lie < 200000; lie += 1000) {
        for (int i = 0; i < 4; i++)
            frame[5 + i] = (char)(lie >> (8 * i));
        ck_assert(is_unpacked(frame, n, lie) == (lie == 100000));
    }
}
END_TEST

/* ---- mutations ---- */

static void check_inside(struct slice s, struct slice bytes)
{
    ck_assert(s.p >= bytes.p && s.len <= bytes.len && (size_t)(s.p - bytes.p) <= bytes.len - s.len);
}

static void check_sound(const struct entry *e, struct slice bytes)
{
    ck_assert(e->kind <= CACHED_NOTHING && e->fields.n <= CACHED_FIELDS_MAX);
    ck_assert((e->status >= 200 && e->status <= 599) || (e->status == 0 && e->kind != CACHED_ANSWER));
    check_inside(e->key.text, bytes);
    check_inside(e->vary, bytes);
    check_inside(e->variant, bytes);
    check_inside(e->body, bytes);
    for (size_t i = 0; i < e->fields.n; i++) {
        check_inside(e->fields.at[i].name, bytes);
        check_inside(e->fields.at[i].value, bytes);
        ck_assert(http_is_token(e->fields.at[i].name) && http_is_field_value(e->fields.at[i].value));
    }
}

/* Most of them in the head and the lengths of fields, where they do something. */
static void mutate(struct random *r, char *p, size_t len)
{
    static const char odd[] = {0, 1, -1, 127, -128, 2, 3, '\n', ':', ','};
    for (uint64_t i = 0; i <= random_below(random_next(r), 3); i++) {
        size_t range = random_below(random_next(r), 4) ? HEAD + 48 : len;
        size_t at = random_below(random_next(r), range < len ? range : len);
        p[at] = random_below(random_next(r), 2) ? odd[random_below(random_next(r), sizeof(odd))]
                                                : (char)random_next(r);
    }
    memcpy(p, "tge\x01", 4);
}

START_TEST(mutants_are_sound_or_refused)
{
    struct slice bytes = sample(_i ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF);
    struct random r;
    size_t accepted = 0;
    random_seed_with(&r, 17 + (uint64_t)_i);
    for (size_t i = 0; i < MUTANTS; i++) {
        size_t len = random_below(random_next(&r), 8) ? bytes.len : random_below(random_next(&r), bytes.len);
        char *copy = malloc(len + 1);
        struct entry e;
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes.p, len);
        if (len > SUM) {
            mutate(&r, copy, len);
            set_sum(copy, len);
        }
        if (entry_decode((struct slice){copy, len}, &e)) {
            struct entry_context ctx = context(NOW_MS, 5);
            accepted++;
            check_sound(&e, (struct slice){copy, len});
            ctx.key = e.key;
            object_put(entry_to_object(&e, &ctx));
        }
        free(copy);
    }
    ck_assert_uint_gt(accepted, MUTANTS / 100); /* the test tests something */
    ck_assert_uint_lt(accepted, MUTANTS / 2);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("entry");
    TCase *t = tcase_create("entry");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, an_answer_comes_back);
    tcase_add_test(t, notes_come_back);
    tcase_add_test(t, many_fields_come_back);
    tcase_add_test(t, large_bodies_are_compressed);
    tcase_add_test(t, what_does_not_pay_is_not_compressed);
    tcase_add_test(t, an_eighth_has_to_be_saved);
    tcase_add_test(t, without_a_packer_nothing_is_compressed);
    tcase_add_test(t, parts_and_oddities_are_not_for_others);
    tcase_add_test(t, an_entry_is_whole_or_not_there);
    tcase_add_test(t, clocks_may_differ);
    tcase_add_test(t, a_few_ms_do_not_change_the_second);
    tcase_add_test(t, an_origins_date_stays);
    tcase_add_test(t, ages_have_bounds);
    tcase_add_loop_test(t, every_changed_byte_is_noticed, 0, 2);
    tcase_add_test(t, every_other_length_is_refused);
    tcase_add_test(t, other_versions_are_refused);
    tcase_add_loop_test(t, a_head_that_is_wrong_is_refused, 0, (int)(sizeof(heads) / sizeof(heads[0])));
    tcase_add_test(t, fields_that_are_none_are_refused);
    tcase_add_test(t, a_field_too_many_is_refused);
    tcase_add_test(t, a_note_names_what_answers_vary_by);
    tcase_add_test(t, another_key_is_refused);
    tcase_add_test(t, bodies_have_a_bound);
    tcase_add_test(t, a_frame_is_what_it_says);
    tcase_add_test(t, a_bomb_has_no_more_than_it_says);
    tcase_add_loop_test(t, mutants_are_sound_or_refused, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
