/*
 * cache_part.c: the part of cache.h about partial answers (206).
 *
 * Of a URL of which no whole is stored, one part may be: an unbroken run of bytes, under the key of the whole
 * with "#part" behind it. A request for a range within it is answered from it; another range is fetched as it
 * was asked for, once for all who ask for the same, and joined with the part when both have the same strong
 * entity tag and touch each other. What has become the whole is stored as such. A request for the whole, when
 * a part from its beginning is stored, asks for the rest (If-Range).
 *
 * Source: RFC 9110, 15.3.7.3 (combining parts); RFC 9111, 3.3 and 3.4.
 */
#include "gateway/cache_internal.h"

#include "gateway/cache_key.h"
#include "gateway/cached.h"

#define PART SLICE("\n#part")

static size_t length_of(const struct object *o)
{
    return o->body ? o->body->cap : 0;
}

/* The one range of a request, unless it asks for several or with a condition. Of a length that is not known
 * yet only its form can be judged. */
static const struct http_field *only_range(const struct exchange *x)
{
    const struct http_field *range = http_find(x->fields, SLICE("Range"));
    struct http_range r[HTTP_RANGES_MAX];
    size_t n;
    bool is_one = range && http_count(x->fields, SLICE("Range")) == 1 &&
                  !http_find(x->fields, SLICE("If-Range")) && slice_find(range->value, ',') < 0 &&
                  http_range_read(slice_trim(range->value), INT64_MAX, r, &n) == HTTP_RANGE_PARTS;
    return is_one ? range : NULL;
}

struct object *cache_part_find(struct exchange *x)
{
    struct object_key key = cache_variant_key(x, &x->caching.full_key, PART);
    return key.text.len > 0 ? object_store_find(cache_store_of(x), &key) : NULL;
}

bool cache_part_has_range(const struct exchange *x, const struct object *part)
{
    const struct cached *c = cached_of(part);
    const struct http_field *range = only_range(x);
    struct http_range r[HTTP_RANGES_MAX];
    size_t n;
    return range && http_range_read(slice_trim(range->value), c->total, r, &n) == HTTP_RANGE_PARTS &&
           n == 1 && r[0].first >= c->first && r[0].last < c->first + length_of(part);
}

bool cache_part_begin(struct exchange *x)
{
    struct caching *c = &x->caching;
    const struct http_field *range = only_range(x);
    if (!range || x->record.method_kind != HTTP_GET)
        return false;
    const char *suffix = arena_printf(&x->arena, "\n#%.*s", SLICE_ARG(range->value));
    struct object_key key = {{"", 0}, 0};
    if (suffix)
        key = cache_variant_key(x, &c->full_key, slice_of(suffix));
    if (key.text.len == 0)
        return false;
    c->whole_key = c->full_key;
    c->full_key = key;
    c->is_part = true;
    return true;
}

static bool is_strong(struct slice etag)
{
    return etag.len > 0 && !slice_starts(etag, SLICE("W/"));
}

void cache_part_use_prefix(struct exchange *x)
{
    struct object *o = cache_part_find(x);
    bool fits = o && cached_of(o)->first == 0 && cached_of(o)->total <= cache_body_max(x) &&
                is_strong(cached_of(o)->validators.etag) &&
                http_cache_use(&cached_of(o)->life, &x->ask, x->caching.now_ms) == HTTP_CACHE_FRESH &&
                !object_is_stale(o);
    if (fits)
        cache_hold(&x->caching.prefix, o);
    else
        object_put(o);
}

void cache_part_add(const struct exchange *x, struct buf *b)
{
    const struct object *prefix = x->caching.prefix;
    buf_add(b, SLICE("Range: bytes="));
    buf_add_u64(b, length_of(prefix));
    buf_add(b, SLICE("-\r\nIf-Range: "));
    buf_add(b, cached_of(prefix)->validators.etag);
    buf_add(b, SLICE("\r\n"));
}

bool cache_part_read(const struct http1_response *answer, struct http_range *range, uint64_t *total)
{
    const struct http_field *f = http_find(answer->fields, SLICE("Content-Range"));
    return f && http_count(answer->fields, SLICE("Content-Range")) == 1 && answer->framing == HTTP1_LENGTH &&
           http_range_read_content(slice_trim(f->value), range, total) &&
           answer->length == range->last - range->first + 1;
}

bool cache_part_is_rest(const struct exchange *x, const struct http1_response *answer)
{
    const struct object *prefix = x->caching.prefix;
    const struct http_field *etag = http_find(answer->fields, SLICE("ETag"));
    struct http_range r;
    uint64_t total;
    return cache_part_read(answer, &r, &total) && r.first == length_of(prefix) && r.last == total - 1 &&
           total == cached_of(prefix)->total && etag &&
           http_etag_matches(slice_trim(etag->value), cached_of(prefix)->validators.etag, true);
}

/* A body of both, when OLD and the LEN bytes at FIRST touch. NULL: they do not, or there is no room. */
static struct object_body *join(struct exchange *x, const struct object *old, struct object_body *body,
                                struct cached_parts *parts)
{
    const struct cached *c = cached_of(old);
    uint64_t old_end = c->first + length_of(old), new_end = parts->first + body->cap;
    uint64_t first = c->first < parts->first ? c->first : parts->first;
    uint64_t end = old_end > new_end ? old_end : new_end;
    if (c->first > new_end || parts->first > old_end || end - first > cache_body_max(x))
        return NULL;
    struct object_body *both = object_body_new(cache_store_of(x), &parts->key, (size_t)(end - first));
    if (!both)
        return NULL;
    memcpy(both->bytes + (c->first - first), old->body->bytes, length_of(old));
    memcpy(both->bytes + (parts->first - first), body->bytes, body->cap);
    parts->first = first;
    return both;
}

static bool are_of_one(const struct cached *old, const struct cached_parts *parts)
{
    const struct http_field *etag = http_find(parts->fields, SLICE("ETag"));
    return old->total == parts->total && etag && is_strong(old->validators.etag) &&
           http_etag_matches(slice_trim(etag->value), old->validators.etag, true);
}

struct object *cache_part_store(struct exchange *x, struct cached_parts *parts)
{
    struct object_store *store = cache_store_of(x);
    struct http_field kept[CACHED_FIELDS_MAX];
    parts->key = cache_variant_key(x, &x->caching.whole_key, PART);
    parts->fields = cached_without(parts->fields, SLICE("Content-Range"), kept);
    struct object *old = parts->key.text.len > 0 ? object_store_find(store, &parts->key) : NULL;
    struct object_body *both =
        old && old->body && are_of_one(cached_of(old), parts) ? join(x, old, parts->body, parts) : NULL;
    if (both)
        parts->body = both;
    if (parts->first == 0 && parts->body->cap == parts->total) {
        parts->status = 200;
        parts->key = x->caching.whole_key;
        parts->total = 0;
    }
    struct object *o = parts->key.text.len > 0 ? cached_new(store, parts) : NULL;
    if (o)
        (void)cache_put(x, o);
    object_put(old);
    object_body_put(both);
    return o;
}
