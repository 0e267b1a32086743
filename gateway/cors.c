/* cors.c: see cors.h. */
#include "gateway/cors.h"

#include "gateway/answer.h"

#define PREFLIGHT_VARY "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

/* ---- origins ---- */

static bool is_host_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is_tchar((unsigned char)s.p[i]) || strchr("!#$%&'*+^`|~", s.p[i]))
            return false;
    return s.len > 0 && s.p[0] != '.';
}

bool cors_origin_is(const char *pattern, struct slice origin)
{
    const char *star = strstr(pattern, "://*.");
    if (strcmp(pattern, "*") == 0)
        return true;
    if (!star)
        return slice_eq_nocase(origin, slice_of(pattern));
    struct slice scheme = slice_between(pattern, star + 3), below = slice_of(star + 4);
    if (origin.len <= scheme.len + below.len)
        return false;
    struct slice begin = {origin.p, scheme.len}, end = {origin.p + origin.len - below.len, below.len};
    return slice_eq_nocase(begin, scheme) && slice_eq_nocase(end, below) &&
           is_host_text(slice_between(begin.p + begin.len, end.p));
}

static bool is_allowed(const struct conf_cors *c, struct slice origin)
{
    for (size_t i = 0; i < c->norigins; i++)
        if (cors_origin_is(c->origins[i], origin))
            return true;
    return false;
}

/* ---- requests ---- */

static bool only_field(const struct exchange *x, struct slice name, struct slice *value)
{
    const struct http_field *f = http_find(x->fields, name);
    if (!f || http_count(x->fields, name) != 1)
        return false;
    *value = f->value;
    return value->len > 0;
}

bool cors_asks_for(const struct exchange *x, struct slice *method)
{
    struct slice origin;
    return x->record.method_kind == HTTP_OPTIONS && only_field(x, SLICE("Origin"), &origin) &&
           only_field(x, SLICE("Access-Control-Request-Method"), method);
}

bool cors_owns(const struct conf_route *r, struct slice name)
{
    const struct slice prefix = SLICE("Access-Control-");
    return r->cors.enabled && name.len > prefix.len &&
           slice_eq_nocase((struct slice){name.p, prefix.len}, prefix);
}

/* ---- answers ---- */

static bool has_method(const struct conf_cors *c, struct slice method)
{
    for (size_t i = 0; i < c->nmethods; i++)
        if (slice_eq(slice_of(c->methods[i]), method))
            return true;
    return false;
}

static bool has_header(const struct conf_cors *c, struct slice name)
{
    for (size_t i = 0; i < c->nheaders; i++)
        if (slice_eq_nocase(slice_of(c->headers[i]), name))
            return true;
    return c->any_header && http_is_token(name);
}

/* Whether every header of the request to come is allowed. */
static bool has_headers(const struct exchange *x, const struct conf_cors *c, struct slice *asked)
{
    struct slice rest, one;
    *asked = (struct slice){"", 0};
    if (http_count(x->fields, SLICE("Access-Control-Request-Headers")) == 0)
        return true;
    if (!only_field(x, SLICE("Access-Control-Request-Headers"), asked))
        return false;
    for (rest = *asked; slice_next_token(&rest, &one);)
        if (!has_header(c, one))
            return false;
    return true;
}

static void tell(struct exchange *x, struct slice name, struct slice value)
{
    bool ok = true;
    struct slice copy = arena_slice(&x->arena, value, &ok);
    if (ok)
        exchange_decorate(x, name, copy);
}

static void tell_origin(struct exchange *x, const struct conf_cors *c, struct slice origin)
{
    tell(x, SLICE("Access-Control-Allow-Origin"), c->any_origin ? SLICE("*") : origin);
    if (c->credentials)
        tell(x, SLICE("Access-Control-Allow-Credentials"), SLICE("true"));
}

static enum step_result answer_preflight(struct exchange *x, const struct conf_cors *c, struct slice origin,
                                         struct slice method)
{
    struct slice headers;
    tell(x, SLICE("Vary"), SLICE(PREFLIGHT_VARY));
    if (is_allowed(c, origin) && has_method(c, method) && has_headers(x, c, &headers)) {
        tell_origin(x, c, origin);
        tell(x, SLICE("Access-Control-Allow-Methods"), slice_of(c->methods_text));
        tell(x, SLICE("Access-Control-Allow-Headers"), c->any_header ? headers : slice_of(c->headers_text));
        tell(x, SLICE("Access-Control-Max-Age"), slice_of(c->max_age_text));
    }
    if (!answer_empty(x, 204))
        exchange_fail(x, REASON_OVERLOADED);
    return STEP_REPLY;
}

enum step_result cors_step(struct exchange *x)
{
    const struct conf_cors *c = &exchange_route(x)->cors;
    struct slice origin, method;
    if (!c->enabled)
        return STEP_PASS;
    bool has_origin = only_field(x, SLICE("Origin"), &origin);
    if (x->is_preflight && cors_asks_for(x, &method))
        return answer_preflight(x, c, origin, method);
    if (!c->any_origin)
        tell(x, SLICE("Vary"), SLICE("Origin"));
    if (!has_origin || !is_allowed(c, origin))
        return STEP_PASS;
    tell_origin(x, c, origin);
    tell(x, SLICE("Access-Control-Expose-Headers"), slice_of(c->exposed_text));
    return STEP_PASS;
}
