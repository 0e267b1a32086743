/*
 * conf_route.c: routes; see conf_build.h.
 *
 * What a route matches comes first, for the parameters of its path are needed to check every template behind
 * it. An option that has no effect is a warning: somebody may be trying something out; what cannot work is a
 * mistake.
 */
#include "gateway/conf_address.h"
#include "gateway/conf_build.h"
#include "gateway/conf_same.h"
#include "gateway/conf_template.h"
#include "lib/nearest.h"
#include "lib/uri.h"

/* One route while it is built. */
struct build {
    struct conf_load *load;
    const struct conf_node *node;
    struct conf_route *route;
    struct conf_params params;
    int place;     /* where the route begins */
    bool has_path; /* the path is good: params and path_kind hold */
    bool is_whole; /* no section of the top level was left out */
};

static const struct conf_section *route_section(void)
{
    return conf_schema_get(&conf_schema, "route")->section;
}

static const struct conf_option *row(const char *name)
{
    return conf_schema_get(route_section(), name);
}

/* Where the Ith value of an option stands; where the route begins when it is not given. */
static int place_of(const struct build *b, const char *name, size_t i)
{
    const struct conf_value *v = conf_node_value(b->node, name, i);
    return v ? v->place : b->place;
}

/* ---- what it matches ---- */

static void build_path(struct build *b)
{
    char text[256];
    struct conf_route *r = b->route;
    const struct conf_value *given = conf_node_value(b->node, "path", 0);
    if (!r->path && !given)
        r->path = r->name;
    if (!r->path || r->path[0] == '\0')
        return;
    b->has_path = router_check_path(r->path, &r->path_kind, text, sizeof(text));
    if (b->has_path)
        conf_params_of(r->path, r->path_kind, &b->params);
    else
        conf_mistake(b->load->report, place_of(b, "path", 0), "path \"%s\": %s%s", r->path, text,
                     given ? "" : " (the title is the path unless `path` is given)");
}

/* Whether the Ith of TEXTS is among those before it. */
static bool is_repeated(const char **texts, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(texts[i], texts[j]) == 0)
            return true;
    return false;
}

static void build_hosts(struct build *b)
{
    struct conf_why why;
    struct conf_route *r = b->route;
    for (size_t i = 0; i < r->nhosts; i++) {
        char *lower = arena_dup(b->load->arena, slice_of(r->hosts[i]));
        b->load->report->is_short |= !lower;
        for (char *p = lower; p && *p; p++)
            *p |= *p >= 'A' && *p <= 'Z' ? 0x20 : 0;
        r->hosts[i] = lower ? lower : "";
        if (!conf_check_host_pattern(slice_of(r->hosts[i]), &why))
            conf_mistake(b->load->report, place_of(b, "host", i), "host: %s", why.text);
        else if (is_repeated(r->hosts, i))
            conf_warning(b->load->report, place_of(b, "host", i), "host: \"%s\" is there twice", r->hosts[i]);
    }
}

static void check_method(const struct build *b, const char *method, int place)
{
    static const char *const known[] = {"GET",     "HEAD",  "POST",    "PUT",      "DELETE",    "PATCH",
                                        "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PROPPATCH", "MKCOL",
                                        "COPY",    "MOVE",  "LOCK",    "UNLOCK",   "REPORT",    "SEARCH",
                                        "PURGE",   "LINK",  "UNLINK"};
    const size_t nknown = sizeof(known) / sizeof(known[0]);
    const char *meant = nearest(slice_of(method), known, nknown);
    if (!http_is_token(slice_of(method)))
        conf_mistake(b->load->report, place, "method: '%s' is not a method", method);
    else if (meant && nearest_distance(slice_of(method), slice_of(meant)) == 0 && strcmp(method, meant) != 0)
        conf_mistake(b->load->report, place, "method: methods are in upper case: write %s", meant);
    else if (meant && strcmp(method, meant) != 0)
        conf_warning(b->load->report, place, "method: '%s' is unusual; did you mean '%s'?", method, meant);
}

static void build_conditions(struct build *b)
{
    size_t n;
    int *places;
    struct conf_route *r = b->route;
    for (size_t i = 0; i < r->nmethods; i++)
        check_method(b, r->methods[i], place_of(b, "method", i));
    const char **texts = conf_texts(b->load, b->node, row("header"), &n, &places);
    r->headers = conf_array(b->load, n, sizeof(*r->headers));
    for (size_t i = 0; r->headers && i < n; i++) {
        struct conf_match_header *h = &r->headers[r->nheaders++];
        conf_cut_field(b->load, texts[i], &h->name, &h->value);
        if (!http_is_token(slice_of(h->name)))
            conf_mistake(b->load->report, places[i], "header: '%s' is not the name of a header field",
                         h->name);
        else if (h->value && !http_is_field_value(slice_of(h->value)))
            conf_mistake(b->load->report, places[i], "header: no field can have this value");
    }
}

/* ---- what it does ---- */

/* Report what is wrong with a template, unless the path is: then its parameters are not known. */
static void check_template(const struct build *b, const char *name, const char *template, int place,
                           unsigned flags)
{
    struct conf_why why;
    if (template && b->has_path && !conf_template_check(template, &b->params, flags, &why))
        conf_mistake(b->load->report, place, "%s: %s", name, why.text);
}

/* The backend that the option O of NODE names. False when there is none of that name, which is reported. */
static bool find_backend(struct build *b, const struct conf_node *node, const struct conf_option *o,
                         size_t *index)
{
    int place;
    bool is_given;
    const struct conf *c = b->load->conf;
    const char *name = conf_text(b->load, node, o, &place, &is_given);
    if (!name)
        return false;
    const char **names = conf_array(b->load, c->nbackends, sizeof(*names));
    for (size_t i = 0; names && i < c->nbackends; i++) {
        if (strcmp(c->backends[i].name, name) == 0) {
            *index = i;
            return true;
        }
        names[i] = c->backends[i].name;
    }
    const char *meant = names ? nearest(slice_of(name), names, c->nbackends) : NULL;
    if (meant)
        conf_mistake(b->load->report, place, "unknown backend '%s'; did you mean '%s'?", name, meant);
    else if (b->is_whole)
        conf_mistake(b->load->report, place, "unknown backend '%s'", name);
    return false;
}

static void build_backend(struct build *b)
{
    b->route->action = ACTION_PROXY;
    (void)find_backend(b, b->node, row("backend"), &b->route->backend);
}

static void build_fallback(struct build *b)
{
    const struct conf_node *node = conf_only(b->node, "fallback");
    const struct conf_section *section = row("fallback")->section;
    struct conf_fallback *f = &b->route->fallback;
    conf_bind(b->load, node, section, f);
    f->enabled = node != NULL;
    if (!node)
        return;
    int place = conf_node_title(node).place;
    if (b->route->action != ACTION_PROXY)
        conf_warning(b->load->report, place, "fallback has no effect in a route without backend");
    if ((f->status == 204 || f->status == 205 || f->status == 304) && f->body[0])
        conf_mistake(b->load->report, place, "an answer with status %u has no body", f->status);
    if (!http_is_field_value(slice_of(f->content_type)) || strchr(f->content_type, '\t'))
        conf_mistake(b->load->report, place, "content_type: a header cannot carry this value");
    if (conf_node_count(node, "backend") == 0)
        return;
    f->has_backend = find_backend(b, node, conf_schema_get(section, "backend"), &f->backend);
    if (f->has_backend && b->route->action == ACTION_PROXY && f->backend == b->route->backend)
        conf_mistake(b->load->report, place, "fallback: it is the backend of the route itself");
    if (conf_node_count(node, "status") + conf_node_count(node, "body") +
            conf_node_count(node, "content_type") >
        0)
        conf_mistake(b->load->report, place, "fallback has both a backend and an answer");
}

static void build_hedge(struct build *b)
{
    const struct conf_node *node = conf_only(b->node, "hedge");
    conf_bind(b->load, node, row("hedge")->section, &b->route->hedge);
    b->route->hedge.enabled = node != NULL;
    if (node && b->route->action != ACTION_PROXY)
        conf_warning(b->load->report, conf_node_title(node).place,
                     "hedge has no effect in a route without backend");
}

static void build_respond(struct build *b, const struct conf_node *node)
{
    struct conf_route *r = b->route;
    int place = conf_node_title(node).place;
    conf_bind(b->load, node, row("respond")->section, r);
    r->action = ACTION_RESPOND;
    if ((r->status == 204 || r->status == 205 || r->status == 304) && r->body[0])
        conf_mistake(b->load->report, place, "an answer with status %u has no body", r->status);
    if (!http_is_field_value(slice_of(r->content_type)) || strchr(r->content_type, '\t'))
        conf_mistake(b->load->report, conf_node_value(node, "content_type", 0)->place,
                     "content_type: a header cannot carry this value");
}

static bool is_location(const char *to)
{
    struct slice s = slice_of(to);
    for (const char *p = to; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    return s.p[0] == '/' || s.p[0] == '{' || slice_starts(s, SLICE("http://")) ||
           slice_starts(s, SLICE("https://"));
}

static void build_redirect(struct build *b, const struct conf_node *node)
{
    struct conf_route *r = b->route;
    struct conf_report *report = b->load->report;
    const struct conf_value *to = conf_node_value(node, "to", 0),
                            *status = conf_node_value(node, "status", 0);
    conf_bind(b->load, node, row("redirect")->section, r);
    r->action = ACTION_REDIRECT;
    if (r->status != 301 && r->status != 302 && r->status != 303 && r->status != 307 && r->status != 308)
        conf_mistake(report, status->place, "status: %u is no redirect: 301, 302, 303, 307 or 308",
                     r->status);
    if (!to && !conf_node_has_gaps(node))
        conf_mistake(report, conf_node_title(node).place, "redirect needs `to`, where it leads");
    if (!r->location)
        return;
    if (!is_location(r->location))
        conf_mistake(report, to->place,
                     "to: '%s' is neither a path nor an http or https URL, or holds a byte that is "
                     "not visible ASCII",
                     r->location);
    check_template(b, "to", r->location, to->place, CONF_TEMPLATE_HOST);
}

static void build_action(struct build *b)
{
    size_t n = conf_node_count(b->node, "backend") + conf_node_count(b->node, "respond") +
               conf_node_count(b->node, "redirect");
    if (n == 0 && !conf_node_has_gaps(b->node))
        conf_mistake(b->load->report, b->place, "route \"%s\" needs one of backend, respond, redirect",
                     b->route->name);
    if (n > 1)
        conf_mistake(b->load->report, b->place,
                     "route \"%s\" has more than one of backend, respond, redirect", b->route->name);
    if (conf_node_count(b->node, "backend") > 0)
        build_backend(b);
    if (conf_only(b->node, "respond"))
        build_respond(b, conf_only(b->node, "respond"));
    if (conf_only(b->node, "redirect"))
        build_redirect(b, conf_only(b->node, "redirect"));
}

/* ---- what it changes ---- */

static bool check_prefix(const char *prefix, struct conf_why *why)
{
    if (prefix[0] != '/')
        return conf_refuse(why, "'%s' does not begin with '/'", prefix);
    if (strpbrk(prefix, "{}?"))
        return conf_refuse(why, "'%s' is taken as it is: no parameters, no query", prefix);
    return conf_template_check_path(prefix, why);
}

/* Whether every path of the route begins with PREFIX, by whole segments, so that there is something to strip.
 */
static bool is_beginning(const struct conf_route *r, const char *prefix)
{
    size_t literal = strcspn(r->path, "{"), len = strlen(prefix);
    len -= prefix[len - 1] == '/';
    if (r->path_kind == PATH_REGEX)
        return true;
    return len <= literal && strncmp(r->path, prefix, len) == 0 &&
           (r->path[len] == '/' || r->path[len] == '\0');
}

static void check_prefixes(struct build *b)
{
    struct conf_why why;
    struct conf_route *r = b->route;
    struct conf_report *report = b->load->report;
    if (r->strip_prefix && !check_prefix(r->strip_prefix, &why))
        conf_mistake(report, place_of(b, "strip_prefix", 0), "strip_prefix: %s", why.text);
    else if (r->strip_prefix && b->has_path && !is_beginning(r, r->strip_prefix))
        conf_mistake(report, place_of(b, "strip_prefix", 0),
                     "strip_prefix: the path \"%s\" does not begin with \"%s\"", r->path, r->strip_prefix);
    if (r->add_prefix && !check_prefix(r->add_prefix, &why))
        conf_mistake(report, place_of(b, "add_prefix", 0), "add_prefix: %s", why.text);
}

static void check_rewrite(struct build *b)
{
    struct conf_why why;
    struct conf_route *r = b->route;
    int place = place_of(b, "rewrite", 0);
    if (!r->rewrite)
        return;
    if (r->strip_prefix || r->add_prefix)
        conf_mistake(b->load->report, place, "rewrite makes the whole path: it cannot go with %s",
                     r->strip_prefix ? "strip_prefix" : "add_prefix");
    if (r->rewrite[0] != '/' && strncmp(r->rewrite, "{path}", 6) != 0)
        conf_mistake(b->load->report, place, "rewrite: '%s' does not begin with '/'", r->rewrite);
    else if (r->rewrite[0] == '/' && !conf_template_check_path(r->rewrite, &why))
        conf_mistake(b->load->report, place, "rewrite: %s", why.text);
    check_template(b, "rewrite", r->rewrite, place, 0);
}

static void build_upstream_host(struct build *b)
{
    int place;
    bool is_given;
    struct conf_why why;
    const char *text = conf_text(b->load, b->node, row("upstream_host"), &place, &is_given);
    b->route->upstream_host = UPSTREAM_HOST_PASS;
    if (!text || strcmp(text, "pass") == 0)
        return;
    b->route->upstream_host = strcmp(text, "server") == 0 ? UPSTREAM_HOST_SERVER : UPSTREAM_HOST_FIXED;
    if (b->route->upstream_host == UPSTREAM_HOST_SERVER)
        return;
    b->route->upstream_host_name = conf_copy(b->load, slice_of(text));
    if (!conf_check_host_field(slice_of(text), &why))
        conf_mistake(b->load->report, place, "upstream_host: %s; it is pass, server or a name", why.text);
}

/* What only a backend would see. */
static void check_effects(struct build *b)
{
    static const char *const only_proxy[] = {"strip_prefix", "add_prefix", "rewrite", "upstream_host"};
    if (b->route->action == ACTION_PROXY)
        return;
    for (size_t i = 0; i < sizeof(only_proxy) / sizeof(only_proxy[0]); i++)
        if (conf_node_count(b->node, only_proxy[i]) > 0)
            conf_warning(b->load->report, place_of(b, only_proxy[i], 0),
                         "%s has no effect in a route without backend", only_proxy[i]);
    if (b->route->forwarded)
        conf_warning(b->load->report, place_of(b, "forwarded", 0),
                     "forwarded has no effect in a route without backend");
    const struct conf_node *edits = conf_only(b->node, "request_header");
    if (edits)
        conf_warning(b->load->report, conf_node_title(edits).place,
                     "request_header has no effect in a route without backend");
}

/* ---- whole routes ---- */

static void check_reached(const struct build *b, size_t before)
{
    const struct conf *c = b->load->conf;
    for (size_t i = 0; b->has_path && i < before; i++) {
        const struct conf_route *other = &c->routes[i];
        if (conf_routes_match_same(b->route, other)) {
            conf_mistake(b->load->report, b->place,
                         "route \"%s\" never matches: route \"%s\" at %s:%d asks for the same",
                         b->route->name, other->name, other->where.file, other->where.line);
            return;
        }
    }
}

static void build_route(struct build *b, size_t before)
{
    const struct conf_value title = conf_node_title(b->node);
    struct conf_route *r = b->route;
    b->place = title.place;
    conf_bind(b->load, b->node, route_section(), r);
    r->where = conf_report_where(b->load->report, title.place);
    r->name = conf_copy(b->load, slice_of(title.text));
    if (!title.is_broken && title.text[0] == '\0')
        conf_mistake(b->load->report, b->place, "the title of a route is empty");
    build_path(b);
    build_hosts(b);
    build_conditions(b);
    build_action(b);
    check_prefixes(b);
    check_rewrite(b);
    build_upstream_host(b);
    conf_build_edits(b->load, b->node, "request_header", b->has_path ? &b->params : NULL, &r->request_edits);
    conf_build_edits(b->load, b->node, "response_header", b->has_path ? &b->params : NULL,
                     &r->response_edits);
    conf_build_networks(b->load, b->node, route_section(), &r->networks);
    conf_build_cors(b->load, b->node, r);
    conf_build_route_auths(b->load, b->node, r);
    conf_build_limits(b->load, b->node, r);
    conf_build_concurrency(b->load, b->node, r);
    conf_build_cache(b->load, b->node, r);
    build_fallback(b);
    build_hedge(b);
    check_effects(b);
    check_reached(b, before);
}

static void check_used(struct conf_load *load, const struct conf_node *root)
{
    const struct conf *c = load->conf;
    for (size_t i = 0; i < c->nbackends; i++) {
        bool is_used = false;
        for (size_t j = 0; j < c->nroutes; j++)
            is_used |= (c->routes[j].action == ACTION_PROXY && c->routes[j].backend == i) ||
                       (c->routes[j].fallback.has_backend && c->routes[j].fallback.backend == i);
        for (size_t j = 0; j < c->nauths; j++)
            is_used |= c->auths[j].kind == AUTH_EXTERNAL && c->auths[j].backend == i;
        if (!is_used)
            conf_warning(load->report, conf_node_title(conf_node_section(root, "backend", i)).place,
                         "backend \"%s\" is used by no route", c->backends[i].name);
    }
}

void conf_build_routes(struct conf_load *load, const struct conf_node *root, bool is_whole)
{
    struct conf *c = load->conf;
    size_t n = conf_node_count(root, "route");
    c->routes = conf_array(load, n, sizeof(*c->routes));
    for (size_t i = 0; c->routes && i < n; i++) {
        struct build b = {.load = load, .route = &c->routes[i], .is_whole = is_whole};
        b.node = conf_node_section(root, "route", i);
        build_route(&b, i);
        c->nroutes = i + 1;
    }
    if (n == 0 && is_whole)
        conf_warning(load->report, 1, "no route: every request will be answered with 404");
    /* After a mistake a route may name no backend, and this would be noise. */
    if (load->report->nmistakes == 0)
        check_used(load, root);
}
