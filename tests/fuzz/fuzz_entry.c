// needs: gateway/entry.c gateway/cached.c
// libs: -lzstd
/*
 * fuzz_entry.c: any bytes as an entry of the cache in Redis. Magic and checksum are mended, so that what lies
 * between them is looked at.
 *
 * What has to hold: nothing behind the bytes is read; what is accepted lies within them, is an answer or a
 * note as the cache stores them, and has a body of the length it says, whatever is packed in it, or a table
 * of its pieces; what is made of it is encoded to the same again. The bytes as a piece stay within its place.
 */
#include "gateway/entry.h"

#include <stdlib.h>

#include "gateway/cache_key.h"
#include "lib/hash.h"

#define NOW_MS   INT64_C(1795000000000)
#define BODY_MAX (256 << 10)
#define SUM      8

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct object_store *store;
static struct entry_packer *packer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err err = {0};
    (void)argc;
    (void)argv;
    store = object_store_new(&(struct object_store_setup){.size = 4 << 20, .secret = 3}, &err);
    packer = entry_packer_new();
    CHECK(store && packer);
    return 0;
}

static void check_inside(struct slice s, struct slice bytes)
{
    CHECK(s.p >= bytes.p && s.len <= bytes.len && (size_t)(s.p - bytes.p) <= bytes.len - s.len);
}

static void check_fields(struct http_fields fields, struct slice bytes)
{
    CHECK(fields.n <= CACHED_FIELDS_MAX);
    for (size_t i = 0; i < fields.n; i++) {
        check_inside(fields.at[i].name, bytes);
        check_inside(fields.at[i].value, bytes);
        CHECK(http_is_token(fields.at[i].name) && !http_is_hop_by_hop(fields.at[i].name));
        CHECK(!slice_eq_nocase(fields.at[i].name, SLICE("Content-Length")));
        for (size_t k = 0; k < fields.at[i].value.len; k++)
            CHECK(!memchr("\r\n", fields.at[i].value.p[k], 3)); /* nor NUL */
    }
}

static void check_entry(const struct entry *e, struct slice bytes)
{
    struct slice names = e->vary, name;
    size_t n = 0;
    check_inside(e->key.text, bytes);
    check_inside(e->vary, bytes);
    check_inside(e->variant, bytes);
    check_inside(e->body, bytes);
    CHECK(e->key.group_len <= e->key.text.len);
    check_fields(e->fields, bytes);
    for (; slice_next_token(&names, &name); n++)
        CHECK(http_is_token(name));
    CHECK(n <= CACHE_VARY_MAX && e->age_ms >= 0 && e->life.lifetime_ms >= 0);
    CHECK(e->is_packed || e->in_pieces || e->body_len == e->body.len);
    CHECK(!e->in_pieces || (entry_pieces(e->body_len) > 1 && e->kind == CACHED_ANSWER && !e->is_packed));
    for (size_t i = 0; e->in_pieces && i < entry_pieces(e->body_len); i++)
        CHECK(entry_piece_of(e, i).len > 0 && entry_piece_of(e, i).len <= ENTRY_PIECE);
    switch (e->kind) {
    case CACHED_ANSWER:
        CHECK(e->status >= 200 && e->status <= 599 && e->status != 206 && e->status != 304);
        break;
    case CACHED_VARY:
        CHECK(n > 0 && !e->has_body && e->fields.n == 0);
        break;
    default:
        CHECK(e->kind == CACHED_NOTHING && !e->has_body && e->fields.n == 0);
    }
}

static void check_same_fields(struct http_fields a, struct http_fields b)
{
    CHECK(a.n == b.n);
    for (size_t i = 0; i < a.n; i++)
        CHECK(slice_eq(a.at[i].name, b.at[i].name) && slice_eq(a.at[i].value, b.at[i].value));
}

/* The same as A, but for a Date that it may have been given. */
static void check_same(const struct entry *a, const struct entry *b)
{
    struct http_fields fields = b->fields;
    bool has_date = a->kind != CACHED_ANSWER || http_find(a->fields, SLICE("Date"));
    fields.n -= !has_date;
    check_same_fields(a->fields, fields);
    CHECK(a->kind == b->kind && a->status == b->status && a->age_ms == b->age_ms);
    CHECK(memcmp(&a->life, &b->life, sizeof(a->life)) == 0);
    CHECK(slice_eq(a->key.text, b->key.text) && a->key.group_len == b->key.group_len);
    CHECK(slice_eq(a->vary, b->vary) && slice_eq(a->variant, b->variant));
    CHECK(a->has_body == b->has_body && a->body_len == b->body_len);
}

static void check_same_pieces(const struct entry *a, const struct entry *b)
{
    CHECK(a->in_pieces == b->in_pieces);
    CHECK(!a->in_pieces || slice_eq(a->body, b->body));
}

static void check_object(const struct entry *e, const struct object *o, const struct entry_options *opt)
{
    struct entry again;
    struct buf b;
    CHECK(!o->body == !e->has_body && (!o->body || o->body->cap == e->body_len));
    size_t size = e->in_pieces ? entry_size_in_pieces(o) : entry_size_max(o);
    char *p = malloc(size);
    CHECK(p);
    buf_init(&b, p, size);
    if (entry_encode(o, opt, &b)) {
        CHECK(entry_decode(buf_slice(&b), &again));
        check_same(e, &again);
        check_same_pieces(e, &again);
    } else {
        CHECK(!b.failed && cached_of(o)->fields.n > CACHED_FIELDS_MAX);
    }
    free(p);
}

/* O, made of E, with a body that is what the table says as far as its length goes. */
static struct object *with_body(const struct entry *e, struct object *o, struct entry_piece *pieces)
{
    CHECK(!o->body);
    struct object_body *body = object_body_new(store, &o->key, (size_t)e->body_len);
    struct object *whole = body ? cached_with_body(store, o, body) : NULL;
    CHECK(whole);
    object_body_put(body);
    object_put(o);
    for (size_t i = 0; i < entry_pieces(e->body_len); i++)
        pieces[i] = entry_piece_of(e, i);
    return whole;
}

static void check_entry_again(const struct entry *e, struct object *o, bool compress)
{
    struct entry_piece pieces[BODY_MAX / ENTRY_PIECE + 1];
    struct entry_options opt = {
        .compress = compress ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF, .packer = packer, .now_ms = NOW_MS};
    if (e->in_pieces) {
        o = with_body(e, o, pieces);
        opt.pieces = pieces;
    }
    check_object(e, o, &opt);
    object_put(o);
}

/* The last piece, twice as long as these. */
static void check_piece(struct slice bytes)
{
    static const struct object_key key = {SLICE("k"), 1};
    size_t len = ENTRY_PIECE + bytes.len * 2 + 1;
    struct object_body *body = object_body_new(store, &key, len);
    const struct entry_piece piece = {(uint32_t)bytes.len, hash_bytes(bytes.p, bytes.len, 0)};
    CHECK(body);
    memset(body->bytes + ENTRY_PIECE - 8, '#', 8);
    (void)!entry_piece_decode(&piece, 1, bytes, packer, body);
    CHECK(memcmp(body->bytes + ENTRY_PIECE - 8, "########", 8) == 0);
    object_body_put(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entry e;
    char *p = malloc(size + SUM);
    CHECK(p);
    memcpy(p, data, size);
    memcpy(p, "tge\x01", size < 4 ? size : 4);
    uint64_t sum = hash_bytes(p, size, 0);
    for (size_t i = 0; i < SUM; i++)
        p[size + i] = (char)(sum >> (8 * i));
    struct slice bytes = {p, size + SUM};
    if (entry_decode(bytes, &e)) {
        check_entry(&e, bytes);
        const struct entry_context ctx = {
            .store = store, .key = e.key, .now_ms = NOW_MS, .body_max = BODY_MAX, .packer = packer};
        struct object *o = entry_to_object(&e, &ctx);
        CHECK(o || e.is_packed || e.body_len > BODY_MAX);
        if (o)
            check_entry_again(&e, o, size & 1);
    }
    check_piece((struct slice){(const char *)data, size});
    free(p);
    return 0;
}
