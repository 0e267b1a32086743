/*
 * conf_template.c: see conf_template.h.
 *
 * The names of a regular expression's groups are found by a look at its text: a '(' that opens a group has no
 * backslash before it, stands in no [...] and is not followed by '?' (but for a name) or '*'. What that
 * overlooks is rare (\Q..\E, branch reset) and lets a name through, which then stays empty; it never refuses
 * a good one.
 */
#include "gateway/conf_template.h"

#include <stdlib.h>

#include "lib/nearest.h"
#include "lib/uri.h"

/* ---- parameters ---- */

static void add_name(struct conf_params *params, struct slice name)
{
    if (params->n < ROUTER_PARAMS_MAX && name.len > 0)
        params->names[params->n++] = name;
}

static void read_segments(const char *path, struct conf_params *out)
{
    for (const char *open = strchr(path, '{'); open; open = strchr(open, '{')) {
        const char *close = strchr(open, '}');
        if (!close)
            return;
        add_name(out, slice_between(open + 1, close));
        open = close;
    }
    out->groups = out->n;
}

/* Behind the '[' of a class: behind its ']'. */
static const char *skip_class(const char *p)
{
    p += *p == '^';
    p += *p == ']';
    while (*p && *p != ']')
        p += *p == '\\' && p[1] ? 2 : 1;
    return *p ? p + 1 : p;
}

/* Behind a '(': whether it opens a group that takes, and its name. */
static bool is_group(const char *p, struct slice *name)
{
    *name = (struct slice){"", 0};
    if (*p == '*')
        return false;
    if (*p != '?')
        return true;
    p += p[1] == 'P' ? 2 : 1;
    if ((*p != '<' && *p != '\'') || p[1] == '=' || p[1] == '!')
        return false;
    name->p = p + 1;
    name->len = strcspn(p + 1, ">'");
    return true;
}

static void read_groups(const char *p, struct conf_params *out)
{
    struct slice name;
    while (*p) {
        char c = *p++;
        if (c == '\\' && *p)
            p++;
        else if (c == '[')
            p = skip_class(p);
        else if (c == '(' && is_group(p, &name)) {
            out->groups++;
            add_name(out, name);
        }
    }
}

void conf_params_of(const char *path, enum conf_path_kind kind, struct conf_params *out)
{
    *out = (struct conf_params){0};
    if (kind == PATH_REGEX)
        read_groups(path, out);
    else
        read_segments(path, out);
}

/* ---- templates ---- */

static bool is_known(struct slice name, const struct conf_params *params, unsigned flags)
{
    uint64_t number;
    if (slice_eq(name, SLICE("path")) || slice_eq(name, SLICE("query")))
        return true;
    if (slice_eq(name, SLICE("host")))
        return (flags & CONF_TEMPLATE_HOST) != 0;
    for (size_t i = 0; i < params->n; i++)
        if (slice_eq(params->names[i], name))
            return true;
    return slice_to_u64(name, params->groups, &number) && number > 0;
}

static bool refuse_name(struct slice name, const struct conf_params *params, struct conf_why *why)
{
    char all[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < params->n && used < sizeof(all); i++)
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s{%.*s}", i ? ", " : "",
                                 SLICE_ARG(params->names[i]));
    if (params->n == 0 && params->groups > 0)
        snprintf(all, sizeof(all), "{1} to {%zu}", params->groups);
    else if (params->n == 0)
        snprintf(all, sizeof(all), "no parameters");
    return conf_refuse(why, "{%.*s} is unknown: the path has %s; a brace as text is written {{",
                       name.len < 80 ? (int)name.len : 80, name.p, all);
}

/* Take the next {name} off *REST; false at the end, and with *IS_OPEN when a '}' is missing. */
static bool next_name(struct slice *rest, struct slice *name, bool *is_open)
{
    *is_open = false;
    for (;;) {
        ptrdiff_t open = slice_find(*rest, '{');
        if (open < 0)
            return false;
        *rest = slice_skip(*rest, (size_t)open + 1);
        if (rest->len == 0 || rest->p[0] != '{')
            break;
        *rest = slice_skip(*rest, 1);
    }
    ptrdiff_t close = slice_find(*rest, '}');
    *is_open = close < 0;
    if (*is_open)
        return false;
    *name = (struct slice){rest->p, (size_t)close};
    *rest = slice_skip(*rest, (size_t)close + 1);
    return true;
}

bool conf_template_check(const char *template, const struct conf_params *params, unsigned flags,
                         struct conf_why *why)
{
    bool is_open;
    struct slice name, rest = slice_of(template);
    while (next_name(&rest, &name, &is_open))
        if (!is_known(name, params, flags))
            return refuse_name(name, params, why);
    return !is_open || conf_refuse(why, "'{' without its '}'; a brace as text is written {{");
}

/* TEMPLATE's path with "x" in the place of every {name}; as long as TEMPLATE at most. */
static size_t fill(const char *template, char *out)
{
    size_t n = 0;
    while (*template && *template != '?') {
        const char *close = *template == '{' && template[1] != '{' ? strchr(template, '}') : NULL;
        out[n++] = close ? 'x' : *template;
        template += close ? close - template + 1 : *template == '{' && template[1] == '{' ? 2 : 1;
    }
    return n;
}

bool conf_template_check_path(const char *template, struct conf_why *why)
{
    struct uri_path normal;
    size_t size = strlen(template) + 1;
    char *filled = malloc(2 * size);
    if (!filled)
        return conf_refuse(why, "out of memory");
    struct slice path = {filled, fill(template, filled)};
    enum uri_fault fault = uri_normalise(path, filled + size, &normal);
    bool ok = fault == URI_OK && slice_eq(path, normal.path);
    if (fault != URI_OK)
        conf_refuse(why, "%s", uri_fault_text(fault));
    else if (!ok)
        conf_refuse(why, "is not in normal form, which is '%.*s'",
                    normal.path.len < 200 ? (int)normal.path.len : 200, normal.path.p);
    free(filled);
    return ok;
}
