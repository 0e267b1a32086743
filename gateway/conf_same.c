/* conf_same.c: see conf_same.h. */
#include "gateway/conf_same.h"

static bool is_same_path(const struct conf_route *a, const struct conf_route *b)
{
    const char *p = a->path, *q = b->path;
    if (!p || !q || a->path_kind != b->path_kind)
        return false;
    if (a->path_kind == PATH_REGEX)
        return strcmp(p, q) == 0;
    while (*p == *q && *p) {
        if (*p == '{') {
            p += strcspn(p, "}");
            q += strcspn(q, "}");
        }
        p += *p != '\0';
        q += *q != '\0';
    }
    return *p == *q;
}

static bool has_text(const char *const *texts, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(texts[i], text) == 0)
            return true;
    return false;
}

static bool is_within(const char *const *a, size_t na, const char *const *b, size_t nb)
{
    for (size_t i = 0; i < na; i++)
        if (!has_text(b, nb, a[i]))
            return false;
    return true;
}

static bool is_same_set(const char *const *a, size_t na, const char *const *b, size_t nb)
{
    return is_within(a, na, b, nb) && is_within(b, nb, a, na);
}

static bool is_same_header(const struct conf_match_header *a, const struct conf_match_header *b)
{
    if (!slice_eq_nocase(slice_of(a->name), slice_of(b->name)) || !a->value != !b->value)
        return false;
    return !a->value || strcmp(a->value, b->value) == 0;
}

static bool has_headers(const struct conf_route *a, const struct conf_route *of)
{
    for (size_t i = 0; i < of->nheaders; i++) {
        bool is_there = false;
        for (size_t j = 0; j < a->nheaders; j++)
            is_there |= is_same_header(&a->headers[j], &of->headers[i]);
        if (!is_there)
            return false;
    }
    return true;
}

bool conf_routes_match_same(const struct conf_route *a, const struct conf_route *b)
{
    return is_same_path(a, b) && is_same_set(a->hosts, a->nhosts, b->hosts, b->nhosts) &&
           is_same_set(a->methods, a->nmethods, b->methods, b->nmethods) && has_headers(a, b) &&
           has_headers(b, a);
}

/* ---- what only a start can give ---- */

bool conf_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool are_same_listens(const struct conf *a, const struct conf *b)
{
    if (a->nlistens != b->nlistens || !conf_same_text(a->admin.listen.address, b->admin.listen.address))
        return false;
    for (size_t i = 0; i < a->nlistens; i++)
        if (!conf_same_text(a->listens[i].address, b->listens[i].address) ||
            !conf_same_text(a->listens[i].tls_cert, b->listens[i].tls_cert))
            return false;
    return true;
}

size_t conf_fixed_changes(const struct conf *old, const struct conf *new, const char **names)
{
    const struct {
        const char *name;
        bool is_same;
    } fixed[] = {
        {"listen and admin", are_same_listens(old, new)},
        {"workers", old->workers == new->workers},
        {"limit_buckets", old->limit_buckets == new->limit_buckets},
        {"cache.size", old->cache.size == new->cache.size},
        {"redis", conf_redis_is_same(&old->redis, &new->redis)},
        {"where traces are exported to", conf_tracing_exports_alike(&old->tracing, &new->tracing)},
        {"client.max_head", old->client.max_head == new->client.max_head},
        {"log.access and log.error",
         conf_same_text(old->log.access, new->log.access) && conf_same_text(old->log.error, new->log.error)},
    };
    size_t n = 0;
    _Static_assert(sizeof(fixed) / sizeof(fixed[0]) <= CONF_FIXED_MAX, "names has a place for each");
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (!fixed[i].is_same)
            names[n++] = fixed[i].name;
    return n;
}
