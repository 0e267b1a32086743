/*
 * entry.c: see entry.h.
 *
 *     "tge" VERSION | kind, flags, status, counts, times, lengths | key | vary | variant
 *         | lengths of each field's name and value | names and values | body | checksum
 *
 * In the place of a body in pieces stand the size of a piece, and length and checksum of each. The last piece
 * is what is left.
 *
 * Everything in front of the body has a fixed place or a length in the head, so that it is known whether all
 * lies within the bytes before any of it is looked at. The texts of all fields lie together: that they hold
 * no control bytes is seen in one run over them.
 *
 * A new version of the form gets a new number, and is a miss for gateways that do not know it yet; unknown
 * flags are as well.
 */
#include "gateway/entry.h"

#include <endian.h>
#include <stdlib.h>
#include <zstd.h>

#include "gateway/cache_key.h"
#include "lib/hash.h"

#define MAGIC    "tge\x01" /* the last one is the version */
#define SUM_LEN  8
#define LENS_LEN 4 /* of a field */

#define PIECE_LEN 12 /* of one in the table */
#define TABLE_LEN 4  /* of what is in front of them */

/* Where things are in the head. */
enum {
    AT_MAGIC = 0,
    AT_KIND = 4,
    AT_FLAGS = 5,
    AT_STATUS = 6,
    AT_LIFE_FLAGS = 8,
    AT_NFIELDS = 12,
    AT_AGE = 16,
    AT_ANSWERED_AGO = 24,
    AT_LIFETIME = 32,
    AT_STALE_WHILE_REVALIDATE = 40,
    AT_STALE_IF_ERROR = 48,
    AT_STALE_IF_UNREACHABLE = 56,
    AT_KEY_LEN = 64,
    AT_GROUP_LEN = 68,
    AT_VARY_LEN = 72,
    AT_VARIANT_LEN = 76,
    AT_TEXT_LEN = 80,
    AT_STORED_LEN = 84,
    AT_BODY_LEN = 88,
    HEAD_LEN = 92
};

enum { HAS_BODY = 1, IS_PACKED = 2, IN_PIECES = 4 };

#define LIFE_FLAGS                                                                                           \
    (LIFE_VALIDATE | LIFE_NEVER_STALE | LIFE_ORIGIN_SWR | LIFE_ORIGIN_SIE | LIFE_MUST_REVALIDATE)

#define PACK_MIN      512 /* bytes of a body: below it saves too little */
#define PACK_PART     8   /* at least one such part has to be saved */
#define PACK_LEVEL    1
#define FRAME_MAGIC   0xFD2FB528u /* of Zstandard 0.8 and later; the library may read older ones, too */
#define HALF_OF_1_S   500
#define LEN_MAX       UINT32_MAX
#define FIELD_LEN_MAX UINT16_MAX

/* ---- numbers ---- */

static void put16(char *p, uint16_t n)
{
    n = htole16(n);
    memcpy(p, &n, sizeof(n));
}

static void put32(char *p, uint32_t n)
{
    n = htole32(n);
    memcpy(p, &n, sizeof(n));
}

static void put64(char *p, uint64_t n)
{
    n = htole64(n);
    memcpy(p, &n, sizeof(n));
}

static uint16_t get16(const char *p)
{
    uint16_t n;
    memcpy(&n, p, sizeof(n));
    return le16toh(n);
}

static uint32_t get32(const char *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof(n));
    return le32toh(n);
}

static uint64_t get64(const char *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof(n));
    return le64toh(n);
}

/* ---- compression ---- */

struct entry_packer {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
};

struct entry_packer *entry_packer_new(void)
{
    struct entry_packer *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->c = ZSTD_createCCtx();
    p->d = ZSTD_createDCtx();
    if (p->c && p->d)
        return p;
    entry_packer_free(p);
    return NULL;
}

void entry_packer_free(struct entry_packer *p)
{
    if (!p)
        return;
    ZSTD_freeCCtx(p->c);
    ZSTD_freeDCtx(p->d);
    free(p);
}

/* Types whose contents are compressed already, by how they begin; the first that fits counts. */
static bool is_packed_type(struct slice type)
{
    static const struct {
        struct slice begin;
        bool is_packed;
    } types[] = {
        {{"image/svg", 9}, false},
        {{"image/bmp", 9}, false},
        {{"image/", 6}, true},
        {{"video/", 6}, true},
        {{"audio/", 6}, true},
        {{"font/woff", 9}, true},
        {{"application/font-woff", 21}, true},
        {{"application/zip", 15}, true},
        {{"application/gzip", 16}, true},
        {{"application/x-gzip", 18}, true},
        {{"application/zstd", 16}, true},
        {{"application/x-7z", 16}, true},
        {{"application/x-bzip", 18}, true},
        {{"application/x-xz", 16}, true},
        {{"application/x-rar", 17}, true},
        {{"application/vnd.rar", 19}, true},
        {{"application/java-archive", 24}, true},
        {{"application/vnd.openxmlformats", 30}, true},
        {{"application/epub+zip", 20}, true},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (type.len >= types[i].begin.len &&
            slice_eq_nocase((struct slice){type.p, types[i].begin.len}, types[i].begin))
            return types[i].is_packed;
    return false;
}

static bool may_pay(const struct cached *c, const struct object_body *body)
{
    if (body->cap < PACK_MIN)
        return false;
    const struct http_field *coding = http_find(c->fields, SLICE("Content-Encoding"));
    const struct http_field *type = http_find(c->fields, SLICE("Content-Type"));
    return (!coding || slice_eq_nocase(slice_trim(coding->value), SLICE("identity"))) &&
           (!type || !is_packed_type(slice_trim(type->value)));
}

/* The LEN bytes at P to AT, compressed, if that pays: less than LEN. 0: it does not. */
static size_t pack(char *at, const char *p, size_t len, const struct entry_options *opt)
{
    size_t n = ZSTD_compressCCtx(opt->packer->c, at, len - len / PACK_PART, p, len, PACK_LEVEL);
    return ZSTD_isError(n) ? 0 : n;
}

static bool is_to_be_packed(const struct object *o, const struct entry_options *opt)
{
    return opt->compress == CACHE_COMPRESS_ZSTD && opt->packer && may_pay(cached_of(o), o->body);
}

/* The body at AT, compressed if that pays; its length there. */
static size_t put_body(char *at, const struct object *o, const struct entry_options *opt, bool *is_packed)
{
    const struct object_body *body = o->body;
    *is_packed = false;
    if (!body || body->cap == 0)
        return 0;
    size_t n = is_to_be_packed(o, opt) ? pack(at, body->bytes, body->cap, opt) : 0;
    *is_packed = n > 0;
    if (*is_packed)
        return n;
    memcpy(at, body->bytes, body->cap);
    return body->cap;
}

/* OUT has room for the LEN bytes that S is said to be. False: it is not that. */
static bool unpack(struct slice s, ZSTD_DCtx *d, char *out, size_t len)
{
    return ZSTD_decompressDCtx(d, out, len, s.p, s.len) == len;
}

/* One frame, of what length it says itself. */
static bool is_frame(struct slice s, uint64_t len)
{
    return s.len >= 4 && get32(s.p) == FRAME_MAGIC && ZSTD_getFrameContentSize(s.p, s.len) == len &&
           ZSTD_findFrameCompressedSize(s.p, s.len) == s.len;
}

/* ---- pieces ---- */

size_t entry_pieces(uint64_t len)
{
    return len > ENTRY_PIECE ? (size_t)((len + ENTRY_PIECE - 1) / ENTRY_PIECE) : 0;
}

/* Of piece I of a body of LEN bytes. */
static size_t piece_len(uint64_t len, size_t i)
{
    uint64_t left = len - (uint64_t)i * ENTRY_PIECE;
    return left < ENTRY_PIECE ? (size_t)left : ENTRY_PIECE;
}

struct slice entry_piece_encode(const struct object *o, size_t i, const struct entry_options *opt,
                                char *space, struct entry_piece *piece)
{
    struct slice s = {o->body->bytes + i * ENTRY_PIECE, piece_len(o->body->cap, i)};
    size_t n = space && is_to_be_packed(o, opt) ? pack(space, s.p, s.len, opt) : 0;
    if (n > 0)
        s = (struct slice){space, n};
    *piece = (struct entry_piece){(uint32_t)s.len, hash_bytes(s.p, s.len, 0)};
    return s;
}

bool entry_piece_decode(const struct entry_piece *piece, size_t i, struct slice bytes,
                        struct entry_packer *packer, struct object_body *body)
{
    size_t len = piece_len(body->cap, i);
    char *at = body->bytes + i * ENTRY_PIECE;
    if (bytes.len != piece->len || hash_bytes(bytes.p, bytes.len, 0) != piece->sum)
        return false;
    if (bytes.len < len)
        return packer && is_frame(bytes, len) && unpack(bytes, packer->d, at, len);
    memcpy(at, bytes.p, len);
    return true;
}

static size_t put_table(char *at, const struct object *o, const struct entry_piece *pieces)
{
    size_t n = entry_pieces(o->body->cap);
    put32(at, ENTRY_PIECE);
    at += TABLE_LEN;
    for (size_t i = 0; i < n; i++, at += PIECE_LEN) {
        put32(at, pieces[i].len);
        put64(at + 4, pieces[i].sum);
    }
    return TABLE_LEN + n * PIECE_LEN;
}

struct entry_piece entry_piece_of(const struct entry *e, size_t i)
{
    const char *at = e->body.p + TABLE_LEN + i * PIECE_LEN;
    return (struct entry_piece){get32(at), get64(at + 4)};
}

/* A piece for all of the body, none longer than what it is of. */
static bool is_table(const struct entry *e)
{
    size_t n = entry_pieces(e->body_len);
    if (n == 0 || e->body.len != TABLE_LEN + n * PIECE_LEN || get32(e->body.p) != ENTRY_PIECE)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t len = entry_piece_of(e, i).len;
        if (len == 0 || len > piece_len(e->body_len, i))
            return false;
    }
    return true;
}

/* ---- encoding ---- */

static bool is_status(enum cached_kind kind, uint64_t status)
{
    if (kind != CACHED_ANSWER && status == 0)
        return true;
    return status >= 200 && status <= 599 && (kind != CACHED_ANSWER || (status != 206 && status != 304));
}

static size_t text_len(struct http_fields fields)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++)
        n += fields.at[i].name.len + fields.at[i].value.len;
    return n;
}

/* Beside the body. */
static size_t size_of_rest(const struct object *o)
{
    const struct cached *c = cached_of(o);
    return HEAD_LEN + o->key.text.len + c->vary.len + c->variant.len + c->fields.n * LENS_LEN +
           text_len(c->fields) + SUM_LEN;
}

size_t entry_size_max(const struct object *o)
{
    return size_of_rest(o) + (o->body ? o->body->cap : 0);
}

size_t entry_size_in_pieces(const struct object *o)
{
    return size_of_rest(o) + TABLE_LEN + (o->body ? entry_pieces(o->body->cap) : 0) * PIECE_LEN;
}

static bool is_for_others(const struct object *o)
{
    const struct cached *c = cached_of(o);
    if (c->first > 0 || c->total > 0 || !is_status(c->kind, c->status) || c->fields.n > CACHED_FIELDS_MAX ||
        entry_size_max(o) > LEN_MAX)
        return false;
    if (c->kind != CACHED_ANSWER && (c->fields.n > 0 || o->body))
        return false;
    for (size_t i = 0; i < c->fields.n; i++)
        if (c->fields.at[i].name.len > FIELD_LEN_MAX || c->fields.at[i].value.len > FIELD_LEN_MAX)
            return false;
    return true;
}

/* How long before NOW_MS; what is ahead of it is now. */
static uint64_t ago(int64_t now_ms, int64_t then_ms)
{
    const struct http_cache_life life = {.born_ms = then_ms};
    return (uint64_t)http_cache_age_ms(&life, now_ms);
}

static char *put(char *at, struct slice s)
{
    if (s.len > 0)
        memcpy(at, s.p, s.len);
    return at + s.len;
}

static char *put_fields(char *at, struct http_fields fields)
{
    char *text = at + fields.n * LENS_LEN;
    for (size_t i = 0; i < fields.n; i++, at += LENS_LEN) {
        put16(at, (uint16_t)fields.at[i].name.len);
        put16(at + 2, (uint16_t)fields.at[i].value.len);
        text = put(put(text, fields.at[i].name), fields.at[i].value);
    }
    return text;
}

static void put_times(char *head, const struct cached *c, int64_t now_ms)
{
    /* The second in which it was answered is known, so the middle of it is what is off least. */
    int64_t answered_ms = c->validators.date_s * 1000 + HALF_OF_1_S;
    put32(head + AT_LIFE_FLAGS, c->life.flags);
    put64(head + AT_AGE, ago(now_ms, c->life.born_ms));
    put64(head + AT_ANSWERED_AGO, ago(now_ms, answered_ms));
    put64(head + AT_LIFETIME, (uint64_t)c->life.lifetime_ms);
    put64(head + AT_STALE_WHILE_REVALIDATE, (uint64_t)c->life.stale_while_revalidate_ms);
    put64(head + AT_STALE_IF_ERROR, (uint64_t)c->life.stale_if_error_ms);
    put64(head + AT_STALE_IF_UNREACHABLE, (uint64_t)c->life.stale_if_unreachable_ms);
}

static void put_head(char *head, const struct object *o, int64_t now_ms)
{
    const struct cached *c = cached_of(o);
    memcpy(head + AT_MAGIC, MAGIC, 4);
    head[AT_KIND] = (char)c->kind;
    put16(head + AT_STATUS, (uint16_t)c->status);
    put32(head + AT_NFIELDS, (uint32_t)c->fields.n);
    put_times(head, c, now_ms);
    put32(head + AT_KEY_LEN, (uint32_t)o->key.text.len);
    put32(head + AT_GROUP_LEN, (uint32_t)o->key.group_len);
    put32(head + AT_VARY_LEN, (uint32_t)c->vary.len);
    put32(head + AT_VARIANT_LEN, (uint32_t)c->variant.len);
    put32(head + AT_TEXT_LEN, (uint32_t)text_len(c->fields));
    put32(head + AT_BODY_LEN, o->body ? (uint32_t)o->body->cap : 0);
}

bool entry_encode(const struct object *o, const struct entry_options *opt, struct buf *out)
{
    const struct cached *c = cached_of(o);
    bool is_packed = false, in_pieces = opt->pieces && o->body && entry_pieces(o->body->cap) > 0;
    if (!is_for_others(o))
        return false;
    out->failed |= (in_pieces ? entry_size_in_pieces(o) : entry_size_max(o)) > out->cap - out->len;
    if (out->failed)
        return false;
    char *head = out->p + out->len;
    put_head(head, o, opt->now_ms);
    char *at = put(put(put(head + HEAD_LEN, o->key.text), c->vary), c->variant);
    at = put_fields(at, c->fields);
    size_t stored = in_pieces ? put_table(at, o, opt->pieces) : put_body(at, o, opt, &is_packed);
    head[AT_FLAGS] =
        (char)((o->body ? HAS_BODY : 0) | (is_packed ? IS_PACKED : 0) | (in_pieces ? IN_PIECES : 0));
    put32(head + AT_STORED_LEN, (uint32_t)stored);
    at += stored;
    put64(at, hash_bytes(head, (size_t)(at - head), 0));
    out->len += (size_t)(at - head) + SUM_LEN;
    return true;
}

/* ---- decoding ---- */

static bool is_whole(struct slice bytes)
{
    if (bytes.len < HEAD_LEN + SUM_LEN || memcmp(bytes.p, MAGIC, 4) != 0)
        return false;
    size_t len = bytes.len - SUM_LEN;
    return get64(bytes.p + len) == hash_bytes(bytes.p, len, 0);
}

/* No time is longer than for ever, so sums of a few do not overflow. */
static bool get_time(const char *p, int64_t *ms)
{
    uint64_t n = get64(p);
    *ms = (int64_t)n;
    return n <= HTTP_CACHE_FOREVER_MS;
}

static bool get_times(const char *head, struct entry *e)
{
    e->life = (struct http_cache_life){.flags = get32(head + AT_LIFE_FLAGS)};
    return (e->life.flags & ~(uint32_t)LIFE_FLAGS) == 0 && get_time(head + AT_AGE, &e->age_ms) &&
           get_time(head + AT_ANSWERED_AGO, &e->answered_ago_ms) &&
           get_time(head + AT_LIFETIME, &e->life.lifetime_ms) &&
           get_time(head + AT_STALE_WHILE_REVALIDATE, &e->life.stale_while_revalidate_ms) &&
           get_time(head + AT_STALE_IF_ERROR, &e->life.stale_if_error_ms) &&
           get_time(head + AT_STALE_IF_UNREACHABLE, &e->life.stale_if_unreachable_ms);
}

static struct slice take(const char **at, size_t len)
{
    struct slice s = {*at, len};
    *at += len;
    return s;
}

/* Framing is not the stored answer's (headers_to_keep). */
static bool is_name(struct slice name)
{
    return http_is_token(name) && !http_is_hop_by_hop(name) &&
           !(name.len == 14 && slice_eq_nocase(name, SLICE("Content-Length")));
}

/* LENS are those of the N fields, all of them within TEXT if they are what it consists of. */
static bool get_fields(const char *lens, size_t n, struct slice text, struct entry *e)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)get16(lens + i * LENS_LEN) + get16(lens + i * LENS_LEN + 2);
    if (sum != text.len || !http_is_field_value(text))
        return false;
    for (size_t i = 0; i < n; i++, lens += LENS_LEN) {
        e->space[i].name = take(&text.p, get16(lens));
        e->space[i].value = take(&text.p, get16(lens + 2));
        if (!is_name(e->space[i].name))
            return false;
    }
    e->fields = (struct http_fields){e->space, n};
    return true;
}

/* A list of at least LEAST tokens, and no more than any answer is kept with. */
static bool is_vary(struct slice names, size_t least)
{
    struct slice name;
    size_t n = 0;
    while (n <= CACHE_VARY_MAX && slice_next_token(&names, &name)) {
        if (!http_is_token(name))
            return false;
        n++;
    }
    return n >= least && n <= CACHE_VARY_MAX;
}

/* What an entry of its kind may not be without, or with. */
static bool is_sound(const struct entry *e)
{
    if (!is_status(e->kind, e->status) || e->key.group_len > e->key.text.len ||
        !is_vary(e->vary, e->kind == CACHED_VARY))
        return false;
    if (e->kind != CACHED_ANSWER && (e->has_body || e->fields.n > 0))
        return false;
    if (e->in_pieces)
        return e->has_body && !e->is_packed && is_table(e);
    if (e->is_packed)
        return e->has_body && is_frame(e->body, e->body_len);
    return e->body.len == e->body_len && (e->has_body || e->body_len == 0);
}

bool entry_decode(struct slice bytes, struct entry *out)
{
    const char *head = bytes.p;
    if (!is_whole(bytes))
        return false;
    uint8_t kind = (uint8_t)head[AT_KIND], flags = (uint8_t)head[AT_FLAGS];
    uint32_t key = get32(head + AT_KEY_LEN), vary = get32(head + AT_VARY_LEN),
             variant = get32(head + AT_VARIANT_LEN), nfields = get32(head + AT_NFIELDS),
             text = get32(head + AT_TEXT_LEN), stored = get32(head + AT_STORED_LEN);
    if (kind > CACHED_NOTHING || (flags & ~(HAS_BODY | IS_PACKED | IN_PIECES)) ||
        nfields > CACHED_FIELDS_MAX ||
        (uint64_t)HEAD_LEN + key + vary + variant + (uint64_t)nfields * LENS_LEN + text + stored + SUM_LEN !=
            bytes.len)
        return false;
    const char *at = head + HEAD_LEN;
    out->kind = (enum cached_kind)kind;
    out->status = get16(head + AT_STATUS);
    out->key = (struct object_key){take(&at, key), get32(head + AT_GROUP_LEN)};
    out->vary = take(&at, vary);
    out->variant = take(&at, variant);
    const char *lens = take(&at, nfields * LENS_LEN).p;
    struct slice fields = take(&at, text);
    out->body = take(&at, stored);
    out->body_len = get32(head + AT_BODY_LEN);
    out->has_body = flags & HAS_BODY;
    out->is_packed = flags & IS_PACKED;
    out->in_pieces = flags & IN_PIECES;
    return get_times(head, out) && get_fields(lens, nfields, fields, out) && is_sound(out);
}

/* ---- to an object ---- */

static struct object_body *body_of(const struct entry *e, const struct entry_context *ctx)
{
    struct object_body *body = object_body_new(ctx->store, &ctx->key, (size_t)e->body_len);
    if (!body)
        return NULL;
    if (!e->is_packed && e->body.len > 0)
        memcpy(body->bytes, e->body.p, e->body.len);
    if (!e->is_packed || unpack(e->body, ctx->packer->d, body->bytes, (size_t)e->body_len))
        return body;
    object_body_put(body);
    return NULL;
}

/* By the clock of who reads. */
static int64_t then(const struct entry_context *ctx, int64_t ago_ms)
{
    int64_t elapsed_ms = ctx->elapsed_ms > 0 ? ctx->elapsed_ms : 0;
    bool is_forever = elapsed_ms >= HTTP_CACHE_FOREVER_MS - ago_ms;
    return ctx->now_ms - (is_forever ? HTTP_CACHE_FOREVER_MS : ago_ms + elapsed_ms);
}

struct object *entry_to_object(const struct entry *e, const struct entry_context *ctx)
{
    struct object_body *body = NULL;
    if (e->key.group_len != ctx->key.group_len || !slice_eq(e->key.text, ctx->key.text) ||
        e->body_len > ctx->body_max || (e->is_packed && !ctx->packer) ||
        (e->has_body && !e->in_pieces && !(body = body_of(e, ctx))))
        return NULL;
    struct cached_parts parts = {.kind = e->kind,
                                 .key = ctx->key,
                                 .status = e->status,
                                 .life = e->life,
                                 .answered_ms = then(ctx, e->answered_ago_ms),
                                 .fields = e->fields,
                                 .vary = e->vary,
                                 .variant = e->variant,
                                 .body = body,
                                 .since = ctx->since};
    parts.life.born_ms = then(ctx, e->age_ms);
    struct object *o = cached_new(ctx->store, &parts);
    object_body_put(body);
    return o;
}
