/* cache_key.c: see cache_key.h. */
#include "gateway/cache_key.h"

#include <ctype.h>
#include <stdlib.h>

#include "gateway/worker.h"

#define PARAMS_MAX 256 /* of a query that is sorted or sifted; longer ones count as they are */

static void add_lower(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_add_char(b, (char)tolower((unsigned char)s.p[i]));
}

/* ---- the query ---- */

static bool is_listed(const char **names, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(name, slice_of(names[i])))
            return true;
    return false;
}

static struct slice name_of(struct slice param)
{
    ptrdiff_t equals = slice_find(param, '=');
    return equals < 0 ? param : (struct slice){param.p, (size_t)equals};
}

static bool counts(const struct conf_cache *conf, struct slice param)
{
    if (conf->nkeep > 0)
        return is_listed(conf->keep, conf->nkeep, name_of(param));
    return !is_listed(conf->ignore, conf->nignore, name_of(param));
}

/* By name alone, and in their order where that is the same: "a=2&a=1" is not "a=1&a=2". */
static int by_name(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    struct slice n = name_of(*x), m = name_of(*y);
    int order = memcmp(n.p, m.p, n.len < m.len ? n.len : m.len);
    if (order == 0)
        order = (n.len > m.len) - (n.len < m.len);
    return order ? order : (x->p > y->p) - (x->p < y->p);
}

static void add_params(const struct conf_cache *conf, struct slice query, struct buf *b)
{
    struct slice params[PARAMS_MAX], rest = query;
    size_t n = 0;
    while (rest.len > 0 && n < PARAMS_MAX) {
        ptrdiff_t end = slice_find(rest, '&');
        struct slice param = {rest.p, end < 0 ? rest.len : (size_t)end};
        if (param.len > 0 && counts(conf, param))
            params[n++] = param;
        rest = slice_skip(rest, param.len + 1);
    }
    if (rest.len > 0) {
        buf_add_char(b, '?');
        buf_add(b, query);
        return;
    }
    if (conf->query == CACHE_QUERY_SORTED)
        qsort(params, n, sizeof(params[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        buf_add_char(b, i == 0 ? '?' : '&');
        buf_add(b, params[i]);
    }
}

static void add_query(const struct conf_cache *conf, const struct cache_url *url, struct buf *b)
{
    if (!url->has_query || conf->query == CACHE_QUERY_NONE)
        return;
    if (conf->query == CACHE_QUERY_SORTED || conf->nkeep + conf->nignore > 0) {
        add_params(conf, url->query, b);
        return;
    }
    buf_add_char(b, '?');
    buf_add(b, url->query);
}

/* ---- the key ---- */

/* The port that the scheme has anyway is left out. */
static struct slice without_default_port(struct slice scheme, struct slice authority)
{
    struct slice port = slice_eq(scheme, SLICE("https")) ? SLICE(":443") : SLICE(":80");
    if (slice_ends(authority, port))
        authority.len -= port.len;
    return authority;
}

void cache_key_add_group(const struct conf_cache *conf, const struct cache_url *url, struct buf *b)
{
    buf_add(b, url->scheme);
    buf_add(b, SLICE("://"));
    add_lower(b, without_default_port(url->scheme, url->authority));
    buf_add(b, url->path);
    add_query(conf, url, b);
}

static struct slice scheme_of(const struct exchange *x)
{
    const struct http_field *proto =
        x->peer_is_trusted ? http_find(x->fields, SLICE("X-Forwarded-Proto")) : NULL;
    bool is_https = proto ? slice_eq_nocase(proto->value, SLICE("https")) : x->record.client_tls;
    return is_https ? SLICE("https") : SLICE("http");
}

/* Behind the group each part is a line that tells what it is; no field's value holds a line end. */
static void add_parts(const struct exchange *x, const struct conf_cache *conf, struct buf *b)
{
    struct slice value;
    const struct http_field *host =
        x->peer_is_trusted ? http_find(x->fields, SLICE("X-Forwarded-Host")) : NULL;
    buf_add_char(b, '\n');
    buf_add(b, slice_of(exchange_route(x)->name));
    if (host) { /* the backend is told so */
        buf_add(b, SLICE("\nx:"));
        buf_add(b, host->value);
    }
    for (size_t i = 0; i < conf->nheaders; i++)
        for (size_t j = 0; j < x->fields.n; j++)
            if (slice_eq_nocase(x->fields.at[j].name, slice_of(conf->headers[i]))) {
                buf_add(b, SLICE("\nh"));
                buf_add_u64(b, i);
                buf_add_char(b, ':');
                buf_add(b, x->fields.at[j].value);
            }
    for (size_t i = 0; i < conf->ncookies; i++)
        if (http_cookie(x->fields, slice_of(conf->cookies[i]), &value)) {
            buf_add(b, SLICE("\nc"));
            buf_add_u64(b, i);
            buf_add_char(b, ':');
            buf_add(b, value);
        }
}

struct object_key cache_key_of(struct exchange *x)
{
    const struct conf_cache *conf = &exchange_route(x)->cache;
    const struct cache_url url = {.scheme = scheme_of(x),
                                  .authority = x->authority,
                                  .path = x->path,
                                  .query = x->uri.query,
                                  .has_query = x->uri.has_query};
    struct buf b = worker_scratch(x->worker);
    bool ok = true;
    cache_key_add_group(conf, &url, &b);
    size_t group_len = b.len;
    add_parts(x, conf, &b);
    struct slice text = b.failed ? (struct slice){"", 0} : arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && text.len > 0 ? (struct object_key){text, group_len} : (struct object_key){{"", 0}, 0};
}

/* ---- Vary ---- */

static int by_text(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The names in LIST, lower case in X's arena, that are not among the N of AT yet. False: too many, or bad. */
static bool add_names(struct exchange *x, struct slice list, struct slice *at, size_t *n)
{
    struct slice name;
    while (slice_next_token(&list, &name)) {
        bool ok = true, is_new = true;
        if (!http_is_token(name) || slice_eq(name, SLICE("*")))
            return false;
        struct slice lower = arena_slice(&x->arena, name, &ok);
        if (!ok)
            return false;
        for (size_t i = 0; i < lower.len; i++)
            ((char *)(uintptr_t)lower.p)[i] = (char)tolower((unsigned char)lower.p[i]);
        for (size_t i = 0; i < *n; i++)
            is_new &= !slice_eq(at[i], lower);
        if (is_new && *n == CACHE_VARY_MAX)
            return false;
        if (is_new)
            at[(*n)++] = lower;
    }
    return true;
}

bool cache_vary_names(struct exchange *x, struct http_fields answer, struct slice more, struct slice *names)
{
    struct slice at[CACHE_VARY_MAX];
    struct buf b = worker_scratch(x->worker);
    size_t n = 0;
    bool ok = true;
    *names = (struct slice){"", 0};
    for (size_t i = 0; i < answer.n; i++)
        if (slice_eq_nocase(answer.at[i].name, SLICE("Vary")) && !add_names(x, answer.at[i].value, at, &n))
            return false;
    if (n == 0)
        return true;
    if (!add_names(x, more, at, &n))
        return false;
    qsort(at, n, sizeof(at[0]), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(&b, ',');
        buf_add(&b, at[i]);
    }
    *names = arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && !b.failed;
}

/* Fields whose values mean the same in any case. */
static bool is_caseless(struct slice name)
{
    return slice_eq(name, SLICE("accept")) || slice_eq(name, SLICE("accept-encoding")) ||
           slice_eq(name, SLICE("accept-language")) || slice_eq(name, SLICE("accept-charset"));
}

/* A list without the white space around its commas, as far as they are not in quotes. */
static void add_list(struct slice value, bool lower, struct buf *b)
{
    while (value.len > 0) {
        bool quoted = false;
        size_t n = 0;
        for (; n < value.len && (quoted || value.p[n] != ','); n++)
            quoted ^= value.p[n] == '"';
        struct slice member = slice_trim((struct slice){value.p, n});
        if (lower)
            add_lower(b, member);
        else
            buf_add(b, member);
        if (n < value.len)
            buf_add_char(b, ',');
        value = slice_skip(value, n + 1);
    }
}

/* Several fields of a name are one list. */
static void add_field(const struct exchange *x, struct slice name, struct buf *b)
{
    bool is_first = true;
    buf_add_char(b, '\n');
    buf_add(b, name);
    for (size_t i = 0; i < x->fields.n; i++) {
        if (!slice_eq_nocase(x->fields.at[i].name, name))
            continue;
        buf_add_char(b, is_first ? ':' : ',');
        add_list(slice_trim(x->fields.at[i].value), is_caseless(name), b);
        is_first = false;
    }
}

bool cache_variant(struct exchange *x, struct slice names, struct slice *variant)
{
    struct buf b = worker_scratch(x->worker);
    struct slice name;
    bool ok = true;
    while (slice_next_token(&names, &name))
        add_field(x, name, &b);
    *variant = b.failed ? (struct slice){"", 0} : arena_slice(&x->arena, buf_slice(&b), &ok);
    return ok && !b.failed;
}

struct object_key cache_variant_key(struct exchange *x, const struct object_key *key, struct slice variant)
{
    char *p = arena_alloc(&x->arena, key->text.len + variant.len + 1);
    if (!p)
        return (struct object_key){{"", 0}, 0};
    memcpy(p, key->text.p, key->text.len);
    memcpy(p + key->text.len, variant.p, variant.len);
    return (struct object_key){{p, key->text.len + variant.len}, key->group_len};
}
