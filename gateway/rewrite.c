/*
 * rewrite.c: paths and texts made from a template and what the route's path took from the request; see
 * router.h.
 *
 * Parameters are pieces of a path in normal form, but a regular expression may cut one into pieces that form
 * ".." when a template puts them between slashes. So what a template gives is refused unless it is in normal
 * form itself.
 */
#include "gateway/router.h"

#include "lib/uri.h"

/* What a template may name. */
struct values {
    const struct router_match *match;
    struct slice host, path, query;
};

static struct slice find_value(const struct values *v, struct slice name)
{
    uint64_t number;
    const struct router_match *m = v->match;
    if (slice_eq(name, SLICE("path")))
        return v->path;
    if (slice_eq(name, SLICE("query")))
        return v->query;
    if (slice_eq(name, SLICE("host")))
        return v->host;
    for (size_t i = 0; i < m->nparams; i++)
        if (slice_eq(m->params[i].name, name))
            return m->params[i].value;
    if (slice_to_u64(name, m->nparams, &number) && number > 0)
        return m->params[number - 1].value;
    return SLICE("");
}

static void expand(const struct values *v, struct slice template, struct buf *out)
{
    while (template.len > 0) {
        ptrdiff_t open = slice_find(template, '{');
        size_t literal = open < 0 ? template.len : (size_t)open;
        buf_add(out, (struct slice){template.p, literal});
        template = slice_skip(template, literal);
        if (slice_starts(template, SLICE("{{"))) {
            buf_add_char(out, '{');
            template = slice_skip(template, 2);
            continue;
        }
        ptrdiff_t close = slice_find(template, '}');
        if (close < 0) { /* one that is never closed is text */
            buf_add(out, template);
            return;
        }
        buf_add(out, find_value(v, (struct slice){template.p + 1, (size_t)close - 1}));
        template = slice_skip(template, (size_t)close + 1);
    }
}

bool router_expand(const struct router_match *m, const char *template, struct slice host, struct slice path,
                   struct slice query, struct buf *out)
{
    const struct values v = {.match = m, .host = host, .path = path, .query = query};
    expand(&v, slice_of(template), out);
    return !out->failed;
}

/* ---- paths ---- */

static struct slice without_last_slash(const char *prefix)
{
    struct slice s = slice_of(prefix);
    if (slice_ends(s, SLICE("/")))
        s.len--;
    return s;
}

/* PATH without PREFIX, when that is made of whole segments of it. */
static struct slice strip(struct slice path, const char *prefix)
{
    struct slice whole = without_last_slash(prefix);
    struct slice rest = slice_skip(path, whole.len);
    if (!slice_starts(path, whole) || (rest.len > 0 && rest.p[0] != '/'))
        return path;
    return rest.len > 0 ? rest : SLICE("/");
}

static void edit_prefix(const struct conf_route *route, struct slice path, struct buf *out)
{
    if (route->add_prefix)
        buf_add(out, without_last_slash(route->add_prefix));
    buf_add(out, route->strip_prefix ? strip(path, route->strip_prefix) : path);
}

static void fill_path(const struct values *v, struct slice template, struct buf *out)
{
    struct uri_path normal;
    size_t begin = out->len;
    expand(v, template, out);
    if (out->failed)
        return;
    struct slice path = {out->p + begin, out->len - begin};
    /* In place: only the case of an escape may change. */
    if (uri_normalise(path, out->p + begin, &normal) != URI_OK || normal.path.len != path.len)
        out->failed = true;
}

static void add_query(struct slice query, bool has_query, struct buf *out)
{
    if (!has_query)
        return;
    buf_add_char(out, '?');
    buf_add(out, query);
}

static void fill_template(const struct values *v, bool has_query, struct buf *out)
{
    struct slice template = slice_of(v->match->route->rewrite);
    ptrdiff_t mark = slice_find(template, '?');
    if (mark < 0) {
        fill_path(v, template, out);
        add_query(v->query, has_query, out);
        return;
    }
    fill_path(v, (struct slice){template.p, (size_t)mark}, out);
    expand(v, slice_skip(template, (size_t)mark), out);
}

bool router_rewrite(const struct router_match *m, struct slice path, struct slice query, bool has_query,
                    struct buf *out, struct slice *target)
{
    const struct values v = {.match = m, .path = path, .query = query};
    size_t begin = out->len;
    if (m->route->rewrite) {
        fill_template(&v, has_query, out);
    } else {
        edit_prefix(m->route, path, out);
        add_query(query, has_query, out);
    }
    *target = out->failed ? SLICE("") : (struct slice){out->p + begin, out->len - begin};
    return !out->failed;
}
