/*
 * router_build.c: from the routes of a configuration to the tables of router_table.h.
 *
 * All sizes are counted first, an upper bound, so that tables are allocated once and nothing grows. Then each
 * route goes to the end of its path in the trie of each of its hosts; at last the routes that met at one end
 * are put in order.
 */
#include "gateway/router_table.h"

#include <stdlib.h>

#define TABLE_MAX (1u << 28) /* nodes, edges or places: far beyond any configuration */

/* One route at the end of one path under one host. */
struct place {
    const struct router_rule *rule;
    uint32_t node;
    bool is_prefix;
};

struct builder {
    struct router *router;
    uint32_t nnodes;
    struct place *places;
    size_t nplaces;
};

/* ---- sizes ---- */

struct sizes {
    size_t places, hosts, segments;
};

static struct sizes count(const struct conf *conf)
{
    struct sizes n = {0};
    for (size_t i = 0; i < conf->nroutes; i++) {
        const struct conf_route *route = &conf->routes[i];
        size_t times = route->nhosts > 0 ? route->nhosts : 1, segments = 0;
        for (const char *p = route->path; *p; p++)
            segments += *p == '/';
        n.places += times;
        n.hosts += route->nhosts;
        n.segments += times * segments;
    }
    return n;
}

static bool allocate(struct builder *b, const struct conf *conf)
{
    struct router *r = b->router;
    struct sizes n = count(conf);
    size_t nedges = 16;
    if (n.segments > TABLE_MAX || n.hosts > TABLE_MAX || n.places > TABLE_MAX)
        return false;
    while (nedges < 2 * (n.segments + n.hosts + 1))
        nedges *= 2;
    r->edge_mask = (uint32_t)nedges - 1;
    r->edges = calloc(nedges, sizeof(*r->edges));
    r->nodes = calloc(1 + 2 * (n.hosts + 1) + n.segments, sizeof(*r->nodes));
    r->suffixes = calloc(n.hosts + 1, sizeof(*r->suffixes));
    r->order = calloc(n.places + 1, sizeof(*r->order));
    r->rules = calloc(conf->nroutes + 1, sizeof(*r->rules));
    r->context = router_regex_limits();
    b->places = calloc(n.places + 1, sizeof(*b->places));
    return r->edges && r->nodes && r->suffixes && r->order && r->rules && r->context && b->places;
}

/* ---- the trie ---- */

static uint32_t hash_of(uint32_t parent, struct slice key)
{
    uint32_t hash = router_hash_begin(parent);
    for (size_t i = 0; i < key.len; i++)
        hash = router_hash_add(hash, key.p[i]);
    return router_hash_end(hash);
}

static uint32_t find(const struct builder *b, uint32_t parent, struct slice key)
{
    return router_edge_find(b->router, parent, key, hash_of(parent, key));
}

static void add_edge(struct builder *b, uint32_t parent, struct slice key, uint32_t child)
{
    struct router *r = b->router;
    uint32_t hash = hash_of(parent, key), i = hash & r->edge_mask;
    while (r->edges[i].child != 0)
        i = (i + 1) & r->edge_mask;
    r->edges[i] = (struct router_edge){.key = key, .hash = hash, .parent = parent, .child = child};
    r->nodes[parent].nliterals++;
}

static uint32_t add_root(struct builder *b)
{
    uint32_t root = b->nnodes;
    b->nnodes += 2;
    return root;
}

/* The root for HOST, made when it is new. A "*.suffix" has an edge too, by which it is found again while we
 * build; no host of a request begins with '*'. */
static uint32_t root_of(struct builder *b, struct slice host)
{
    struct router *r = b->router;
    if (host.len > 1 && host.p[host.len - 1] == '.')
        host.len--;
    uint32_t root = find(b, ROUTER_HOSTS, host);
    if (root != 0)
        return root;
    root = add_root(b);
    add_edge(b, ROUTER_HOSTS, host, root);
    if (host.len > 1 && host.p[0] == '*' && host.p[1] == '.')
        r->suffixes[r->nsuffixes++] = (struct router_suffix){slice_skip(host, 1), root};
    return root;
}

static uint32_t step(struct builder *b, uint32_t node, struct slice segment)
{
    uint32_t *param = &b->router->nodes[node].param;
    bool is_param = router_pattern_is_param(segment);
    uint32_t next = is_param ? *param : find(b, node, segment);
    if (next != 0)
        return next;
    next = b->nnodes++;
    if (is_param)
        *param = next;
    else
        add_edge(b, node, segment, next);
    return next;
}

static void place(struct builder *b, const struct router_rule *rule, uint32_t root)
{
    struct slice rest = slice_of(rule->route->path), segment;
    struct place *p = &b->places[b->nplaces++];
    *p = (struct place){.rule = rule, .node = root + 1};
    if (rule->regex)
        return;
    p->is_prefix = slice_ends(rest, SLICE("/"));
    if (p->is_prefix)
        rest.len--;
    for (p->node = root; router_pattern_next(&rest, &segment);)
        p->node = step(b, p->node, segment);
}

/* ---- the order at one end ---- */

static int compare(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    const struct conf_route *x = a->rule->route, *y = b->rule->route;
    int order = compare(a->node, b->node);
    if (order == 0)
        order = compare(a->is_prefix, b->is_prefix);
    if (order == 0 && !a->rule->regex)
        order = compare(y->nmethods > 0, x->nmethods > 0);
    if (order == 0 && !a->rule->regex)
        order = compare(y->nheaders, x->nheaders);
    return order != 0 ? order : compare((uintptr_t)a->rule, (uintptr_t)b->rule);
}

static void arrange(struct builder *b)
{
    struct router *r = b->router;
    qsort(b->places, b->nplaces, sizeof(b->places[0]), compare_places);
    for (size_t i = 0; i < b->nplaces; i++) {
        const struct place *p = &b->places[i];
        struct router_node *node = &r->nodes[p->node];
        struct router_span *span = p->is_prefix ? &node->prefix : &node->exact;
        if (span->n++ == 0)
            span->first = (uint32_t)i;
        r->order[i] = (uint32_t)(p->rule - r->rules);
    }
}

static int compare_suffixes(const void *left, const void *right)
{
    const struct router_suffix *a = left, *b = right;
    return compare(b->text.len, a->text.len);
}

/* ---- all of it ---- */

static uint32_t methods_of(const struct conf_route *route)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < route->nmethods; i++)
        bits |= 1u << http_method_of(slice_of(route->methods[i]));
    if (bits & 1u << HTTP_GET)
        bits |= 1u << HTTP_HEAD;
    return bits;
}

static bool add_route(struct builder *b, const struct conf_route *route, struct router_rule *rule)
{
    rule->route = route;
    rule->methods = methods_of(route);
    if (!router_pattern_read(rule))
        return false;
    if (route->nhosts == 0)
        place(b, rule, ROUTER_ANY_HOST);
    for (size_t i = 0; i < route->nhosts; i++)
        place(b, rule, root_of(b, slice_of(route->hosts[i])));
    return true;
}

static bool build(struct builder *b, const struct conf *conf)
{
    struct router *r = b->router;
    r->conf = conf;
    if (!allocate(b, conf))
        return false;
    b->nnodes = ROUTER_ANY_HOST;
    add_root(b);
    for (size_t i = 0; i < conf->nroutes; i++)
        if (!add_route(b, &conf->routes[i], &r->rules[i]))
            return false;
    arrange(b);
    qsort(r->suffixes, r->nsuffixes, sizeof(r->suffixes[0]), compare_suffixes);
    return true;
}

struct router *router_new(const struct conf *conf)
{
    struct builder b = {.router = calloc(1, sizeof(struct router))};
    bool ok = b.router && build(&b, conf);
    free(b.places);
    if (ok)
        return b.router;
    router_free(b.router);
    return NULL;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->rules && i < r->conf->nroutes; i++) {
        free(r->rules[i].names);
        pcre2_code_free(r->rules[i].regex);
    }
    pcre2_match_context_free(r->context);
    free(r->rules);
    free(r->order);
    free(r->suffixes);
    free(r->nodes);
    free(r->edges);
    free(r);
}
