/*
 * cache_request.c: the part of cache.h about the request that the backend gets: it asks for what is to be
 * stored, whatever the client asks for, and may outlive it.
 */
#include "gateway/cache_internal.h"

#include "gateway/cached.h"
#include "gateway/headers.h"

static void rebase(struct slice *s, struct slice old, const char *new)
{
    if (s->p >= old.p && s->p + s->len <= old.p + old.len)
        s->p = new + (s->p - old.p);
}

/* An exchange that may outlive its client has a copy of what it needs of the request. */
bool cache_own_request(struct exchange *x)
{
    if (x->caching.owns_request)
        return true;
    struct http_field *at = arena_alloc(&x->arena, (x->fields.n + 1) * sizeof(*at));
    bool ok = at != NULL;
    for (size_t i = 0; ok && i < x->fields.n; i++) {
        struct http_field old = x->fields.at[i];
        at[i].name = arena_slice(&x->arena, old.name, &ok);
        at[i].value = arena_slice(&x->arena, old.value, &ok);
        if (!ok)
            break;
        struct slice *const of_value[] = {&x->authority,         &x->host,           &x->head.host,
                                          &x->record.user_agent, &x->record.referer, &x->record.trace_id};
        for (size_t j = 0; j < sizeof(of_value) / sizeof(of_value[0]); j++)
            rebase(of_value[j], old.value, at[i].value.p);
    }
    if (ok)
        x->fields.at = at;
    x->record.method = slice_of(http_method_name(x->record.method_kind));
    return x->caching.owns_request = ok;
}

bool cache_owns(const struct exchange *x, struct slice name)
{
    static const char *const names[] = {"If-None-Match", "If-Modified-Since", "If-Range", "Range"};
    size_t n = sizeof(names) / sizeof(names[0]) - x->caching.is_part;
    for (size_t i = 0; x->caching.fetches && i < n; i++)
        if (slice_eq_nocase(name, slice_of(names[i])))
            return true;
    return false;
}

void cache_add(struct exchange *x, struct buf *b)
{
    struct caching *c = &x->caching;
    if (c->fetches && c->prefix)
        cache_part_add(x, b);
    if (!c->fetches || !c->stale)
        return;
    const struct http_validators *v = &cached_of(c->stale)->validators;
    if (v->etag.len > 0)
        headers_add(b, SLICE("If-None-Match"), v->etag);
    if (v->last_modified.len > 0)
        headers_add(b, SLICE("If-Modified-Since"), v->last_modified);
}
