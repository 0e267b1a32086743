/* conf_cors.c: networks that are let in, and origins; see conf_build.h. */
#include "gateway/conf_address.h"
#include "gateway/conf_build.h"

/* ---- networks ---- */

static const char *const network_lists[] = {"allow", "deny"};

static void make_set(struct conf_load *load, const struct conf_node *node, struct conf_networks *n)
{
    struct err err = {0};
    struct ip_net *nets = conf_array(load, n->nallow + n->ndeny, sizeof(*nets));
    if (!nets || n->nallow + n->ndeny == 0)
        return;
    for (size_t i = 0; i < n->nallow; i++)
        nets[i] = (struct ip_net){n->allow[i], 1};
    for (size_t i = 0; i < n->ndeny; i++)
        nets[n->nallow + i] = (struct ip_net){n->deny[i], 0};
    n->set = ip_set_new(nets, n->nallow + n->ndeny, &err);
    if (n->set)
        return;
    const char *name = network_lists[n->ndeny > 0];
    conf_mistake(load->report, conf_node_value(node, name, 0)->place,
                 "%s: a network is in both allow and deny", name);
}

void conf_build_networks(struct conf_load *load, const struct conf_node *node,
                         const struct conf_section *section, struct conf_networks *out)
{
    out->allow = conf_build_cidrs(load, node, conf_schema_get(section, "allow"), &out->nallow);
    out->deny = conf_build_cidrs(load, node, conf_schema_get(section, "deny"), &out->ndeny);
    make_set(load, node, out);
}

void conf_print_networks(const struct conf_networks *n, int indent, FILE *out)
{
    if (n->nallow > 0)
        conf_print_cidrs("allow", n->allow, n->nallow, indent, out);
    if (n->ndeny > 0)
        conf_print_cidrs("deny", n->deny, n->ndeny, indent, out);
}

/* ---- origins ---- */

static const struct conf_section *cors_section(void)
{
    return conf_schema_get(conf_schema_get(&conf_schema, "route")->section, "cors")->section;
}

/* "https://app.example.com:8443"; the host may be "*.example.com". */
static bool check_origin(const char *text, struct conf_why *why)
{
    struct slice s = slice_of(text), host;
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return true;
    const char *colon = strstr(text, "://");
    if (!colon || colon == text)
        return conf_refuse(
            why, "'%.200s' is no origin, such as https://app.example.com or https://*.example.com", text);
    for (const char *p = text; p < colon; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(p > text && ((*p >= '0' && *p <= '9') || strchr("+-.", *p))))
            return conf_refuse(why, "'%.200s' does not begin with a scheme in lower case", text);
    host = slice_skip(s, (size_t)(colon - text) + 3);
    if (slice_find(host, '/') >= 0)
        return conf_refuse(why, "'%.200s' has a path or a slash at its end: an origin has none", text);
    if (slice_starts(host, SLICE("*.")))
        host = slice_skip(host, 2);
    return conf_check_host_field(host, why);
}

static void check_origins(struct conf_load *load, const struct conf_node *node, struct conf_cors *c)
{
    struct conf_why why;
    for (size_t i = 0; i < c->norigins; i++) {
        int place = conf_node_value(node, "origins", i)->place;
        c->any_origin |= strcmp(c->origins[i], "*") == 0;
        if (!check_origin(c->origins[i], &why))
            conf_mistake(load->report, place, "origins: %s", why.text);
    }
    if (c->norigins == 0 && !conf_node_has_gaps(node))
        conf_mistake(load->report, conf_node_title(node).place, "cors needs origins");
    if (c->any_origin && c->credentials)
        conf_mistake(load->report, conf_node_title(node).place,
                     "credentials do not go with the origin \"*\": any page could act for its visitor");
}

void conf_check_names(struct conf_load *load, const struct conf_node *node, const char *name,
                      const char **texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!http_is_token(slice_of(texts[i])))
            conf_mistake(load->report, conf_node_value(node, name, i)->place, "%s: '%s' is no name", name,
                         texts[i]);
}

/* "a, b, c" */
static const char *join(struct conf_load *load, const char **texts, size_t n)
{
    const char *all = "";
    for (size_t i = 0; i < n && all; i++)
        all = arena_printf(load->arena, "%s%s%s", all, i ? ", " : "", texts[i]);
    load->report->is_short |= !all;
    return all;
}

void conf_build_cors(struct conf_load *load, const struct conf_node *route, struct conf_route *r)
{
    static const char *usual[] = {"GET", "HEAD", "POST"};
    struct conf_cors *c = &r->cors;
    const struct conf_node *node = conf_only(route, "cors");
    conf_bind(load, node, cors_section(), c);
    c->enabled = node != NULL;
    if (!node)
        return;
    check_origins(load, node, c);
    conf_check_names(load, node, "methods", c->methods, c->nmethods);
    conf_check_names(load, node, "headers", c->headers, c->nheaders);
    conf_check_names(load, node, "expose", c->exposed, c->nexposed);
    if (c->nmethods == 0) {
        c->methods = r->nmethods > 0 ? r->methods : usual;
        c->nmethods = r->nmethods > 0 ? r->nmethods : sizeof(usual) / sizeof(usual[0]);
    }
    for (size_t i = 0; i < c->nheaders; i++)
        c->any_header |= strcmp(c->headers[i], "*") == 0;
    c->methods_text = join(load, c->methods, c->nmethods);
    c->headers_text = join(load, c->headers, c->nheaders);
    c->exposed_text = join(load, c->exposed, c->nexposed);
    c->max_age_text = arena_printf(load->arena, "%u", c->max_age_ms / 1000);
}

void conf_print_cors(const struct conf_route *r, FILE *out)
{
    if (!r->cors.enabled)
        return;
    fputs("  cors {\n", out);
    conf_print(cors_section(), &r->cors, out, 4);
    fputs("  }\n", out);
}
