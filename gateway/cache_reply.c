/*
 * cache_reply.c: the part of cache.h that makes replies of what is stored, and tells what became of each.
 *
 * Bodies are sent from where they are stored, which the exchange holds until its end; a reply of several
 * ranges is put together as it is read.
 */
#include "gateway/cache_internal.h"

#include <inttypes.h>

#include "gateway/cached.h"
#include "gateway/headers.h"
#include "lib/random.h"

/* A body of several parts: heads, slices of the stored body, and the end. */
struct cache_parts {
    struct slice pieces[HTTP_RANGES_MAX * 2 + 1];
    size_t n, at;
    size_t done; /* of the piece */
};

static int64_t now_s(const struct exchange *x)
{
    return x->caching.now_ms / 1000;
}

/* ---- fields ---- */

static bool add_age(struct exchange *x, const struct cached *c)
{
    char text[24];
    struct buf b;
    bool ok = true;
    buf_init(&b, text, sizeof(text));
    buf_add_u64(&b, (uint64_t)http_cache_age_ms(&c->life, x->caching.now_ms) / 1000);
    struct slice value = arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && reply_add(x, SLICE("Age"), value);
}

static bool add_own(struct exchange *x, const struct cached *c)
{
    return add_age(x, c) && reply_add(x, SLICE("Via"), SLICE("1.1 tollgate")) &&
           reply_add(x, SLICE("X-Request-Id"), x->record.request_id) && headers_edit_reply(x);
}

/* Fields that a 304 has: those that a 200 would have had of these (RFC 9110, 15.4.5), and what tells how it
 * may be stored. */
static bool is_of_304(struct slice name)
{
    static const char *const names[] = {
        "Cache-Control", "Content-Location",  "Date",          "ETag",     "Expires", "Vary",
        "Last-Modified", "CDN-Cache-Control", "Surrogate-Key", "Cache-Tag"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_eq_nocase(name, slice_of(names[i])))
            return true;
    return false;
}

static bool add_fields(struct exchange *x, const struct cached *c, struct slice but)
{
    for (size_t i = 0; i < c->fields.n; i++) {
        const struct http_field *f = &c->fields.at[i];
        if (!slice_eq_nocase(f->name, but) && !reply_add(x, f->name, f->value))
            return false;
    }
    return true;
}

bool cache_reply_not_modified(struct exchange *x, const struct cached *c, bool *made)
{
    *made = (c->status == 200 || c->total > 0) && x->ask.is_conditional &&
            http_not_modified(x->fields, &c->validators, now_s(x));
    if (!*made)
        return true;
    x->reply = (struct reply){.status = 304, .body = REPLY_EMPTY};
    for (size_t i = 0; i < c->fields.n; i++)
        if (is_of_304(c->fields.at[i].name) && !reply_add(x, c->fields.at[i].name, c->fields.at[i].value))
            return false;
    return add_own(x, c);
}

/* ---- ranges ---- */

static bool add_content_range(struct exchange *x, const struct http_range *r, uint64_t length)
{
    const char *text =
        r ? arena_printf(&x->arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, r->first, r->last, length)
          : arena_printf(&x->arena, "bytes */%" PRIu64, length);
    return text && reply_add(x, SLICE("Content-Range"), slice_of(text));
}

static bool reply_unsatisfiable(struct exchange *x, const struct cached *c, uint64_t length)
{
    x->reply = (struct reply){.status = 416, .body = REPLY_BYTES};
    return add_content_range(x, NULL, length) && add_own(x, c);
}

static bool reply_one_range(struct exchange *x, const struct cached *c, struct slice body,
                            const struct http_range *r)
{
    x->reply = (struct reply){.status = 206,
                              .body = REPLY_BYTES,
                              .bytes = {body.p + (r->first - c->first), (size_t)(r->last - r->first + 1)}};
    return add_fields(x, c, SLICE("")) && add_content_range(x, r, c->total ? c->total : body.len) &&
           add_own(x, c);
}

/* Of a part that has it: see cache_part.c. */
static bool reply_from_part(struct exchange *x, const struct cached *c, struct slice body)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    size_t n = 0;
    const struct http_field *range = http_find(x->fields, SLICE("Range"));
    return range && http_range_read(slice_trim(range->value), c->total, ranges, &n) == HTTP_RANGE_PARTS &&
           n == 1 && reply_one_range(x, c, body, &ranges[0]);
}

/* The head of a part, and its bytes. */
static bool add_part(struct exchange *x, struct cache_parts *p, const char *boundary, struct slice type,
                     struct slice body, const struct http_range *r)
{
    const char *head = arena_printf(
        &x->arena, "\r\n--%s\r\n%s%.*s%sContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%zu\r\n\r\n", boundary,
        type.len ? "Content-Type: " : "", SLICE_ARG(type), type.len ? "\r\n" : "", r->first, r->last,
        body.len);
    if (!head)
        return false;
    p->pieces[p->n++] = slice_of(head);
    p->pieces[p->n++] = (struct slice){body.p + r->first, (size_t)(r->last - r->first + 1)};
    x->reply.length += p->pieces[p->n - 2].len + p->pieces[p->n - 1].len;
    return true;
}

static bool reply_ranges(struct exchange *x, const struct cached *c, struct slice body,
                         const struct http_range *ranges, size_t n)
{
    struct cache_parts *p = arena_alloc(&x->arena, sizeof(*p));
    const struct http_field *type = http_find(c->fields, SLICE("Content-Type"));
    const char *boundary =
        arena_printf(&x->arena, "%016" PRIx64 "%08" PRIx32, random_next(&x->worker->random),
                     (uint32_t)random_next(&x->worker->random));
    if (!p || !boundary)
        return false;
    p->n = p->at = p->done = 0;
    x->reply = (struct reply){.status = 206, .body = REPLY_STREAM};
    for (size_t i = 0; i < n; i++)
        if (!add_part(x, p, boundary, type ? type->value : (struct slice){"", 0}, body, &ranges[i]))
            return false;
    const char *end = arena_printf(&x->arena, "\r\n--%s--\r\n", boundary);
    const char *multi = arena_printf(&x->arena, "multipart/byteranges; boundary=%s", boundary);
    if (!end || !multi)
        return false;
    p->pieces[p->n++] = slice_of(end);
    x->reply.length += p->pieces[p->n - 1].len;
    x->caching.parts = p;
    return add_fields(x, c, SLICE("Content-Type")) && reply_add(x, SLICE("Content-Type"), slice_of(multi)) &&
           add_own(x, c);
}

ssize_t cache_read_parts(struct exchange *x, char *out, size_t max)
{
    struct cache_parts *p = x->caching.parts;
    while (p->at < p->n && p->done == p->pieces[p->at].len) {
        p->at++;
        p->done = 0;
    }
    if (p->at == p->n)
        return FORWARD_END;
    struct slice rest = slice_skip(p->pieces[p->at], p->done);
    size_t n = rest.len < max ? rest.len : max;
    memcpy(out, rest.p, n);
    p->done += n;
    return (ssize_t)n;
}

/* ---- the whole ---- */

/* A range of a whole that is here, or that there is none: *MADE. */
static bool reply_partly(struct exchange *x, const struct cached *c, struct slice body, bool *made)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    size_t n;
    const struct http_field *range = http_find(x->fields, SLICE("Range"));
    *made = false;
    if (!range || c->status != 200 || x->record.method_kind != HTTP_GET ||
        http_count(x->fields, SLICE("Range")) != 1 || !http_range_holds(x->fields, &c->validators, now_s(x)))
        return true;
    enum http_range_result result = http_range_read(slice_trim(range->value), body.len, ranges, &n);
    *made = result != HTTP_RANGE_WHOLE;
    if (result == HTTP_RANGE_UNSATISFIABLE)
        return reply_unsatisfiable(x, c, body.len);
    if (result == HTTP_RANGE_PARTS)
        return n == 1 ? reply_one_range(x, c, body, &ranges[0]) : reply_ranges(x, c, body, ranges, n);
    return true;
}

static bool has_no_body(const struct exchange *x, unsigned status)
{
    return x->record.method_kind == HTTP_HEAD || status == 204;
}

static bool reply_whole(struct exchange *x, const struct cached *c, struct slice body)
{
    x->reply = (struct reply){.status = c->status, .body = REPLY_BYTES, .bytes = body};
    if (has_no_body(x, c->status)) {
        x->reply.body = c->status == 204 ? REPLY_EMPTY : REPLY_LENGTH;
        x->reply.length = body.len > 0 ? body.len : x->caching.absent_len;
        x->reply.bytes.len = 0;
    }
    return add_fields(x, c, SLICE("")) && add_own(x, c);
}

static bool reply_streaming(struct exchange *x, const struct cached *c)
{
    x->reply = (struct reply){.status = c->status, .body = REPLY_STREAM};
    x->reply.length = flight_length(&x->caching.reader);
    x->caching.reads = true;
    return add_fields(x, c, SLICE("")) && add_own(x, c);
}

bool cache_reply(struct exchange *x, struct object *o, bool reads)
{
    const struct cached *c = cached_of(o);
    struct slice body = o->body ? (struct slice){o->body->bytes, o->body->cap} : (struct slice){"", 0};
    bool made;
    if (!cache_reply_not_modified(x, c, &made))
        return false;
    if (!made && reads)
        return reply_streaming(x, c);
    if (!made && c->total > 0)
        return reply_from_part(x, c, body);
    if (!made && !reply_partly(x, c, body, &made))
        return false;
    return made || reply_whole(x, c, body);
}

/* ---- what is told of it ---- */

static void add_text(struct buf *b, const char *name, const char *value)
{
    buf_add(b, slice_of(name));
    buf_add(b, slice_of(value));
}

/* Whole seconds; what is stale by less than one is stale by one. */
static void add_ttl(struct buf *b, int64_t ms)
{
    buf_add(b, ms < 0 ? SLICE("; hit; ttl=-") : SLICE("; hit; ttl="));
    buf_add_u64(b, (uint64_t)(ms < 0 ? (999 - ms) / 1000 : ms / 1000));
}

/* RFC 9211: a hit, or forwarded and why. */
static const char *status_text(struct exchange *x)
{
    const struct caching *c = &x->caching;
    char space[256];
    struct buf b;
    buf_init(&b, space, sizeof(space));
    buf_add(&b, SLICE("tollgate"));
    if (!c->forwarded)
        add_ttl(&b, c->ttl_ms);
    else
        add_text(&b, "; fwd=", c->forwarded);
    if (c->forwarded && x->record.upstream_status) {
        buf_add(&b, SLICE("; fwd-status="));
        buf_add_u64(&b, x->record.upstream_status);
    }
    if (c->is_stored)
        buf_add(&b, SLICE("; stored"));
    if (c->is_collapsed)
        buf_add(&b, SLICE("; collapsed"));
    if (c->detail)
        add_text(&b, "; detail=", c->detail);
    return b.failed ? NULL : arena_dup(&x->arena, buf_slice(&b));
}

void cache_decorate(struct exchange *x)
{
    const char *name = cache_status_name(x->caching.status);
    const char *text = name ? status_text(x) : NULL;
    if (!text)
        return;
    exchange_decorate(x, SLICE("Cache-Status"), slice_of(text));
    exchange_decorate(x, SLICE("X-Cache"), slice_of(name));
}
