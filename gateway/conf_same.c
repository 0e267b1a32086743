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
