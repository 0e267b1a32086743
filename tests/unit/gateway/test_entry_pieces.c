/* test_entry_pieces.c: entries whose body is in pieces (gateway/entry.h): they come back whole or not at all.
 */
#include "gateway/entry.h"

#include <stdio.h>
#include <zstd.h>

#include "lib/hash.h"
#include "lib/random.h"
#include "tests/unit/unit.h"

#define NOW_MS  INT64_C(1700000000000)
#define HEAD    92 /* bytes; see entry.c */
#define SUM     8
#define PIECES  4
#define BODY    (3 * ENTRY_PIECE + 1000)
#define MUTANTS 30000

static struct object_store *store;
static struct entry_packer *packer;
static char body[BODY], space[8192], piece_space[PIECES][ENTRY_PIECE];
static const struct object_key key = {SLICE("http://h/a\nroute"), 10};

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

static struct object_body *body_of(struct slice bytes)
{
    struct object_body *b = object_body_new(store, &key, bytes.len);
    ck_assert_ptr_nonnull(b);
    if (bytes.len > 0)
        memcpy(b->bytes, bytes.p, bytes.len);
    return b;
}

/* Text at first, then noise: the first pieces can be compressed, the last two not. */
static struct object *make(size_t len)
{
    struct random r;
    random_seed_with(&r, 5);
    for (size_t i = 0; i < BODY; i++)
        body[i] = i < 2 * ENTRY_PIECE ? (char)('a' + i / 700 % 26) : (char)random_next(&r);
    struct http_field at[] = {{SLICE("ETag"), SLICE("\"x\"")}};
    const struct cached_parts parts = {.kind = CACHED_ANSWER,
                                       .version = 7,
                                       .key = key,
                                       .status = 200,
                                       .life = {.born_ms = NOW_MS, .lifetime_ms = 60000},
                                       .answered_ms = NOW_MS,
                                       .fields = {at, 1},
                                       .body = body_of((struct slice){body, len})};
    struct object *o = cached_new(store, &parts);
    object_body_put(parts.body);
    ck_assert_ptr_nonnull(o);
    return o;
}

struct encoded {
    struct entry_piece pieces[PIECES];
    struct slice bytes[PIECES], entry; /* of the object that was encoded, in SPACE and PIECE_SPACE */
};

static void encode(const struct object *o, enum conf_cache_compress compress, struct encoded *e)
{
    struct buf b;
    struct entry_options opt = {
        .compress = compress, .packer = packer, .now_ms = NOW_MS, .pieces = e->pieces};
    size_t n = entry_pieces(o->body->cap);
    ck_assert_uint_le(n, PIECES);
    for (size_t i = 0; i < n; i++)
        e->bytes[i] = entry_piece_encode(o, i, &opt, piece_space[i], &e->pieces[i]);
    ck_assert_uint_le(entry_size_in_pieces(o), sizeof(space));
    buf_init(&b, space, entry_size_in_pieces(o));
    ck_assert(entry_encode(o, &opt, &b));
    e->entry = buf_slice(&b);
}

static struct entry_context context(void)
{
    return (struct entry_context){
        .store = store, .key = key, .now_ms = NOW_MS, .body_max = 1 << 20, .packer = packer};
}

START_TEST(how_many)
{
    ck_assert(entry_pieces(0) == 0 && entry_pieces(1) == 0 && entry_pieces(ENTRY_PIECE) == 0);
    ck_assert(entry_pieces(ENTRY_PIECE + 1) == 2 && entry_pieces(2 * ENTRY_PIECE) == 2);
    ck_assert(entry_pieces(2 * ENTRY_PIECE + 1) == 3 && entry_pieces(64 << 20) == 512);
    ck_assert(entry_pieces(UINT32_MAX) == 32768);
}
END_TEST

/* As the gateway that reads it does. */
static void check_back(const struct object *o, const struct encoded *e)
{
    struct entry entry;
    struct entry_context ctx = context();
    ck_assert(entry_decode(e->entry, &entry) && entry.in_pieces && !entry.is_packed && entry.has_body);
    ck_assert_uint_eq(entry.body_len, o->body->cap);
    struct object *head = entry_to_object(&entry, &ctx);
    ck_assert(head && !head->body);
    struct object_body *back = object_body_new(store, &key, (size_t)entry.body_len);
    for (size_t i = 0; i < entry_pieces(entry.body_len); i++) {
        struct entry_piece piece = entry_piece_of(&entry, i);
        ck_assert(piece.len == e->bytes[i].len && piece.sum == e->pieces[i].sum);
        ck_assert(entry_piece_decode(&piece, i, e->bytes[i], packer, back));
    }
    object_set_note(head, 9);
    atomic_store(&head->is_stale, true);
    struct object *whole = cached_with_body(store, head, back);
    ck_assert(whole && object_note(whole) == 9 && object_is_stale(whole));
    ck_assert(
        slice_eq((struct slice){whole->body->bytes, whole->body->cap}, (struct slice){body, o->body->cap}));
    ck_assert(slice_eq(cached_of(whole)->validators.etag, SLICE("\"x\"")));
    ck_assert_int_eq(cached_of(whole)->validators.date_s, NOW_MS / 1000);
    ck_assert_int_eq(cached_of(whole)->life.lifetime_ms, 60000);
    object_body_put(back);
    object_put(head);
    object_put(whole);
}

START_TEST(a_body_comes_back)
{
    static const size_t lens[] = {ENTRY_PIECE + 1, 2 * ENTRY_PIECE, 2 * ENTRY_PIECE + 1, BODY};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
        for (int compress = 0; compress < 2; compress++) {
            struct object *o = make(lens[i]);
            struct encoded e;
            encode(o, compress ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF, &e);
            ck_assert(compress ? e.bytes[0].len < ENTRY_PIECE / 10 : e.bytes[0].len == ENTRY_PIECE);
            check_back(o, &e);
            object_put(o);
        }
}
END_TEST

START_TEST(what_cannot_be_compressed_lies_as_it_is)
{
    struct object *o = make(BODY);
    struct encoded e;
    encode(o, CACHE_COMPRESS_ZSTD, &e);
    ck_assert(e.bytes[1].len < ENTRY_PIECE / 10 && e.bytes[2].len == ENTRY_PIECE && e.bytes[3].len == 1000);
    ck_assert(e.bytes[2].p == o->body->bytes + 2 * ENTRY_PIECE); /* not copied */
    object_put(o);
}
END_TEST

START_TEST(a_small_body_goes_with_the_entry)
{
    struct object *o = make(1000);
    struct entry e;
    struct buf b;
    struct entry_piece none;
    buf_init(&b, space, sizeof(space));
    ck_assert(entry_encode(o, &(struct entry_options){.now_ms = NOW_MS, .pieces = &none}, &b));
    ck_assert(entry_decode(buf_slice(&b), &e) && !e.in_pieces && e.body.len == 1000);
    object_put(o);
}
END_TEST

/* ---- pieces that are something else ---- */

static bool fits(const struct entry_piece *p, size_t i, struct slice bytes, struct entry_packer *by)
{
    struct object_body *b = object_body_new(store, &key, BODY);
    char *copy = malloc(bytes.len + 1); /* what lies around it is out of bounds */
    ck_assert(b && copy);
    memcpy(copy + 1, bytes.p, bytes.len);
    memset(b->bytes, '#', BODY);
    bool ok = entry_piece_decode(p, i, (struct slice){copy + 1, bytes.len}, by, b);
    size_t end = (i + 1) * ENTRY_PIECE;
    for (size_t k = 0; k < i * ENTRY_PIECE; k += 97)
        ck_assert_int_eq(b->bytes[k], '#');
    for (size_t k = end; k < BODY; k += 97)
        ck_assert_int_eq(b->bytes[k], '#');
    free(copy);
    object_body_put(b);
    return ok;
}

START_TEST(other_pieces_are_refused)
{
    struct object *o = make(BODY);
    struct encoded e;
    encode(o, _i ? CACHE_COMPRESS_ZSTD : CACHE_COMPRESS_OFF, &e);
    for (size_t i = 0; i < PIECES; i++) {
        struct slice s = e.bytes[i];
        ck_assert(fits(&e.pieces[i], i, s, packer));
        ck_assert(!fits(&e.pieces[i], i, (struct slice){s.p, s.len - 1}, packer));
        ck_assert(!fits(&e.pieces[i], i, (struct slice){s.p, 0}, packer));
        for (size_t j = 0; j < PIECES; j++)
            ck_assert(i == j || !fits(&e.pieces[i], i, e.bytes[j], packer));
        static char copy[ENTRY_PIECE];
        memcpy(copy, s.p, s.len);
        for (size_t at = 0; at < s.len; at += 1 + s.len / 50) {
            copy[at] ^= 1;
            ck_assert(!fits(&e.pieces[i], i, (struct slice){copy, s.len}, packer));
            copy[at] ^= 1;
        }
    }
    ck_assert(fits(&e.pieces[0], 0, e.bytes[0], NULL) == (_i == 0)); /* nobody to unpack it */
    object_put(o);
}
END_TEST

static bool is_unpacked(const char *frame, size_t len, size_t i)
{
    const struct entry_piece p = {(uint32_t)len, hash_bytes(frame, len, 0)};
    return fits(&p, i, (struct slice){frame, len}, packer);
}

/* With sums that hold. */
START_TEST(a_frame_is_of_a_piece)
{
    static char frame[8192], text[2 * ENTRY_PIECE];
    memset(text, 'a', sizeof(text));
    static const size_t lens[] = {
        0, 1, 999, 1000, 1001, ENTRY_PIECE - 1, ENTRY_PIECE, ENTRY_PIECE + 1, 2 * ENTRY_PIECE};
    for (size_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
        size_t n = ZSTD_compress(frame, sizeof(frame), text, lens[k], 1);
        ck_assert(!ZSTD_isError(n));
        for (size_t i = 0; i < PIECES; i++)
            ck_assert(is_unpacked(frame, n, i) == (lens[k] == (i < 3 ? ENTRY_PIECE : 1000)));
        frame[n] = 'x';
        ck_assert(!is_unpacked(frame, n + 1, 0) && !is_unpacked(frame, n - 1, 0));
    }
    size_t n = ZSTD_compress(frame, sizeof(frame), text, ENTRY_PIECE - 4, 1);
    ck_assert_uint_eq((unsigned char)frame[4] & 0xe0, 0xa0); /* one segment, four bytes of length */
    for (int i = 0; i < 4; i++)
        frame[5 + i] = (char)(ENTRY_PIECE >> (8 * i));
    ck_assert(ZSTD_getFrameContentSize(frame, n) == ENTRY_PIECE && !is_unpacked(frame, n, 0));
    ck_assert(!is_unpacked(text, 500, 0));
}
END_TEST

/* ---- heads that are wrong ---- */

static bool is_entry(const char *p, size_t len)
{
    struct entry e;
    char *copy = malloc(len + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy + 1, p, len);
    uint64_t sum = hash_bytes(copy + 1, len - SUM, 0);
    for (size_t i = 0; i < SUM; i++)
        copy[1 + len - SUM + i] = (char)(sum >> (8 * i));
    bool ok = entry_decode((struct slice){copy + 1, len}, &e);
    free(copy);
    return ok;
}

/* LEN bytes at AT, little-endian. */
static bool is_entry_with(struct slice bytes, size_t at, size_t len, uint64_t value)
{
    char old[8];
    memcpy(old, bytes.p + at, len);
    for (size_t i = 0; i < len; i++)
        space[at + i] = (char)(value >> (8 * i));
    bool ok = is_entry(bytes.p, bytes.len);
    memcpy(space + at, old, len);
    return ok;
}

START_TEST(a_head_that_is_wrong_is_refused)
{
    struct object *o = make(BODY);
    struct encoded e;
    encode(o, CACHE_COMPRESS_OFF, &e);
    struct slice s = e.entry;
    size_t table = s.len - SUM - (4 + 12 * PIECES);
    ck_assert(is_entry(s.p, s.len));
    for (unsigned flags = 0; flags < 256; flags++)
        ck_assert(is_entry_with(s, 5, 1, flags) == (flags == 5));
    for (size_t i = 0; i < 4; i++) /* the size of a piece */
        ck_assert(!is_entry_with(s, table + i, 1, 0xff));
    ck_assert(!is_entry_with(s, 88, 4, BODY - 1) &&
              !is_entry_with(s, 88, 4, BODY + ENTRY_PIECE)); /* the body's length */
    ck_assert(!is_entry_with(s, 88, 4, 0) && !is_entry_with(s, 88, 4, ENTRY_PIECE));
    ck_assert(!is_entry_with(s, 88, 4, UINT32_MAX) && is_entry_with(s, 88, 4, BODY + 1));
    ck_assert(is_entry_with(s, table + 4, 4, 1) && !is_entry_with(s, table + 4, 4, 0));
    ck_assert(!is_entry_with(s, table + 4, 4, ENTRY_PIECE + 1));
    ck_assert(!is_entry_with(s, table + 4 + 36, 4, 1001) && is_entry_with(s, table + 4 + 36, 4, 999));
    ck_assert(!is_entry_with(s, 4, 1, CACHED_NOTHING) && !is_entry_with(s, 84, 4, 4 + 12 * PIECES + 12));
    ck_assert(is_entry_with(s, 6, 2, 404)); /* the test tests something */
    for (size_t len = SUM; len < s.len; len++)
        ck_assert(!is_entry(s.p, len));
    object_put(o);
}
END_TEST

START_TEST(bodies_have_a_bound)
{
    struct object *o = make(BODY);
    struct encoded e;
    struct entry entry;
    struct entry_context ctx = context();
    encode(o, CACHE_COMPRESS_OFF, &e);
    ck_assert(entry_decode(e.entry, &entry));
    ctx.body_max = BODY - 1;
    ck_assert_ptr_null(entry_to_object(&entry, &ctx));
    object_put(o);
}
END_TEST

static void check_sound(const struct entry *e, struct slice bytes)
{
    size_t n = entry_pieces(e->body_len);
    ck_assert(e->body.p >= bytes.p && e->body.p + e->body.len <= bytes.p + bytes.len);
    for (size_t i = 0; e->in_pieces && i < n; i++) {
        struct entry_piece p = entry_piece_of(e, i);
        ck_assert(p.len > 0 && p.len <= ENTRY_PIECE);
    }
    ck_assert(!e->in_pieces || (n >= 2 && e->body.len == 4 + 12 * n && e->kind == CACHED_ANSWER));
}

START_TEST(mutants_are_sound_or_refused)
{
    struct object *o = make(BODY);
    struct encoded e;
    struct random r;
    size_t accepted = 0;
    encode(o, CACHE_COMPRESS_OFF, &e);
    random_seed_with(&r, 17);
    for (size_t i = 0; i < MUTANTS; i++) {
        struct entry entry;
        size_t len = e.entry.len;
        char *copy = malloc(len);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, e.entry.p, len);
        for (uint64_t k = 0; k <= random_below(random_next(&r), 2); k++)
            copy[4 + random_below(random_next(&r), len - 4)] = (char)random_next(&r);
        uint64_t sum = hash_bytes(copy, len - SUM, 0);
        memcpy(copy + len - SUM, &sum, SUM);
        if (entry_decode((struct slice){copy, len}, &entry)) {
            accepted++;
            check_sound(&entry, (struct slice){copy, len});
        }
        free(copy);
    }
    ck_assert(accepted > MUTANTS / 100 && accepted < MUTANTS * 3 / 4);
    object_put(o);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("entry_pieces");
    TCase *t = tcase_create("entry_pieces");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, how_many);
    tcase_add_test(t, a_body_comes_back);
    tcase_add_test(t, what_cannot_be_compressed_lies_as_it_is);
    tcase_add_test(t, a_small_body_goes_with_the_entry);
    tcase_add_loop_test(t, other_pieces_are_refused, 0, 2);
    tcase_add_test(t, a_frame_is_of_a_piece);
    tcase_add_test(t, a_head_that_is_wrong_is_refused);
    tcase_add_test(t, bodies_have_a_bound);
    tcase_add_test(t, mutants_are_sound_or_refused);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
