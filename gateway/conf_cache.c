/* conf_cache.c: the response cache; see conf_build.h. */
#include "gateway/conf_build.h"
#include "gateway/conf_faults.h"

static const struct conf_section *cache_section(void)
{
    return conf_schema_get(conf_schema_get(&conf_schema, "route")->section, "cache")->section;
}

static const struct conf_faults_want wanted_statuses = {
    .name = "status", .fallback = "2xx 3xx 4xx 5xx", .only_statuses = true};

static void build_targeted(struct conf_load *load, const struct conf_node *node, struct conf_cache *c)
{
    static const char *usual[] = {"Tollgate-Cache-Control", "CDN-Cache-Control"};
    if (conf_node_count(node, "targeted") == 0) {
        c->targeted = usual;
        c->ntargeted = sizeof(usual) / sizeof(usual[0]);
    }
    conf_check_names(load, node, "targeted", c->targeted, c->ntargeted);
    struct slice *slices = conf_array(load, c->ntargeted, sizeof(*slices));
    for (size_t i = 0; slices && i < c->ntargeted; i++)
        slices[i] = slice_of(c->targeted[i]);
    c->policy.targeted = slices;
    c->policy.ntargeted = slices ? c->ntargeted : 0;
}

static void build_purgers(struct conf_load *load, const struct conf_node *node, struct conf_cache *c)
{
    static const char *const usual[] = {"127.0.0.0/8", "::1"};
    c->purgers = conf_build_cidrs(load, node, conf_schema_get(cache_section(), "purge"), &c->npurgers);
    if (conf_node_count(node, "purge") > 0)
        return;
    c->npurgers = sizeof(usual) / sizeof(usual[0]);
    c->purgers = conf_array(load, c->npurgers, sizeof(*c->purgers));
    for (size_t i = 0; c->purgers && i < c->npurgers; i++)
        CHECK(cidr_parse(slice_of(usual[i]), &c->purgers[i]));
}

static void build_policy(struct conf_cache *c)
{
    struct http_cache_policy *p = &c->policy;
    p->ttl_ms = c->ttl_ms ? (int64_t)c->ttl_ms : -1;
    p->negative_ttl_ms = c->negative_ttl_ms ? (int64_t)c->negative_ttl_ms : -1;
    p->heuristic = c->heuristic;
    p->stale_while_revalidate_ms = c->stale_while_revalidate_ms;
    p->stale_if_error_ms = c->stale_if_error_ms;
    p->stale_if_unreachable_ms = c->stale_if_unreachable_ms;
    p->share_cookies = c->share_cookies;
}

void conf_build_cache(struct conf_load *load, const struct conf_node *route, struct conf_route *r)
{
    struct conf_cache *c = &r->cache;
    const struct conf_node *node = conf_only(route, "cache");
    conf_bind(load, node, cache_section(), c);
    c->enabled = node != NULL;
    if (!node)
        return;
    conf_build_faults(load, node, cache_section(), &wanted_statuses, &c->statuses);
    conf_check_names(load, node, "header", c->headers, c->nheaders);
    conf_check_names(load, node, "cookie", c->cookies, c->ncookies);
    build_targeted(load, node, c);
    build_purgers(load, node, c);
    build_policy(c);
    if (c->nkeep > 0 && c->nignore > 0)
        conf_mistake(load->report, conf_node_value(node, "ignore", 0)->place,
                     "keep and ignore do not go together: what is not kept is ignored");
    if (c->query == CACHE_QUERY_NONE && c->nkeep + c->nignore > 0)
        conf_warning(load->report, conf_node_title(node).place,
                     "keep and ignore have no effect with query = none");
    if (r->action != ACTION_PROXY)
        conf_warning(load->report, conf_node_title(node).place,
                     "cache has no effect in a route without backend");
}

void conf_print_cache(const struct conf_route *r, FILE *out)
{
    if (!r->cache.enabled)
        return;
    fputs("  cache {\n", out);
    conf_print(cache_section(), &r->cache, out, 4);
    conf_print_faults("status", &r->cache.statuses, 4, out);
    conf_print_cidrs("purge", r->cache.purgers, r->cache.npurgers, 4, out);
    fputs("  }\n", out);
}
