/*
 * router.c: finding the route of a request; see router.h for the rules and router_table.h for the tables.
 *
 * For each host that fits, most specific first, the trie is walked by the segments of the path: the literal
 * edge first, then the {name} edge, then the prefix that ends here. What was not taken is remembered as a
 * turn, and the walk goes back to the latest turn when it comes to an end or when the routes it finds refuse.
 * That order is the order of the rules, so the first route that accepts is the right one. No node is visited
 * twice in a walk, whatever the path.
 */
#include "gateway/router_table.h"

/* A way not taken yet: the prefix that ends at a node, or the {name} edge to it. */
struct turn {
    uint32_t node;
    bool is_prefix;
    size_t at;      /* where the segment begins */
    size_t nvalues; /* parameters before it */
};

struct walk {
    const struct router *router;
    const struct router_request *req;
    struct router_match *out;
    uint32_t method; /* 1 << enum http_method */
    bool gave_up;    /* a regular expression hit its limit: there is no route */
    uint32_t node;   /* where the walk is */
    size_t at;       /* where the next segment begins; beyond the path: there is none */
    size_t nvalues;  /* parameters so far, in out->params */
    size_t nturns;
    struct turn turns[2 * (ROUTER_SEGMENTS_MAX + 1)];
    struct router_regex regex;
};

/* ---- the conditions of a route ---- */

static bool names_method(const struct conf_route *route, struct slice method)
{
    for (size_t i = 0; i < route->nmethods; i++)
        if (slice_eq(slice_of(route->methods[i]), method))
            return true;
    return false;
}

static bool accepts_method(const struct router_rule *rule, const struct walk *w)
{
    if (rule->route->nmethods == 0)
        return true;
    if (!(rule->methods & w->method))
        return false;
    return w->method != 1u << HTTP_OTHER || names_method(rule->route, w->req->method);
}

static bool has_field(struct http_fields fields, const struct conf_match_header *want)
{
    struct slice name = slice_of(want->name), value = slice_of(want->value);
    for (size_t i = 0; i < fields.n; i++)
        if (slice_eq_nocase(fields.at[i].name, name) && (!want->value || slice_eq(fields.at[i].value, value)))
            return true;
    return false;
}

static bool accepts_fields(const struct conf_route *route, struct http_fields fields)
{
    for (size_t i = 0; i < route->nheaders; i++)
        if (!has_field(fields, &route->headers[i]))
            return false;
    return true;
}

/* ---- what a refused method leaves behind ---- */

static bool is_listed(const char *allow, struct slice method)
{
    struct slice rest = slice_of(allow), token;
    while (slice_next_token(&rest, &token))
        if (slice_eq(token, method))
            return true;
    return false;
}

static void list(struct router_match *out, struct slice method)
{
    struct buf b;
    size_t len = strlen(out->allow);
    buf_init(&b, out->allow, sizeof(out->allow) - 1);
    b.len = len;
    if (is_listed(out->allow, method) || b.cap - len < method.len + 2)
        return;
    buf_add(&b, len > 0 ? SLICE(", ") : SLICE(""));
    buf_add(&b, method);
    out->allow[b.len] = '\0';
}

static void refuse_method(struct router_match *out, const struct conf_route *route)
{
    out->method_refused = true;
    for (size_t i = 0; i < route->nmethods; i++) {
        struct slice method = slice_of(route->methods[i]);
        list(out, method);
        if (slice_eq(method, SLICE("GET")))
            list(out, SLICE("HEAD"));
    }
}

/* ---- the routes at one end ---- */

static void take(struct walk *w, const struct router_rule *rule)
{
    struct router_match *out = w->out;
    out->route = rule->route;
    out->index = (size_t)(rule - w->router->rules);
    out->nparams = rule->nnames;
    out->method_refused = false;
    out->allow[0] = '\0';
    for (size_t i = 0; i < rule->nnames; i++)
        out->params[i].name = rule->names[i];
}

static bool runs_regex(struct walk *w, const struct router_rule *rule)
{
    enum router_regex_result result =
        router_regex_run(&w->regex, w->router, rule, w->req->path, w->out->params);
    w->gave_up = result == REGEX_GAVE_UP;
    return result == REGEX_YES;
}

/* Take the first rule of SPAN that accepts. Plain paths match already when we come here. */
static bool choose(struct walk *w, struct router_span span)
{
    const uint32_t *order = w->router->order + span.first;
    for (uint32_t i = 0; i < span.n && !w->gave_up; i++) {
        const struct router_rule *rule = &w->router->rules[order[i]];
        if (!accepts_fields(rule->route, w->req->fields) || (rule->regex && !runs_regex(w, rule)))
            continue;
        if (accepts_method(rule, w)) {
            take(w, rule);
            return true;
        }
        refuse_method(w->out, rule->route);
    }
    return false;
}

/* ---- the walk ---- */

static void remember(struct walk *w, uint32_t node, bool is_prefix)
{
    w->turns[w->nturns++] =
        (struct turn){.node = node, .is_prefix = is_prefix, .at = w->at, .nvalues = w->nvalues};
}

/* Go along the literal edge and remember the other ways. False: there is no such edge. */
static bool go_on(struct walk *w)
{
    const struct router_node *node = &w->router->nodes[w->node];
    struct slice path = w->req->path;
    uint32_t hash = router_hash_begin(w->node);
    size_t end = w->at;
    for (; end < path.len && path.p[end] != '/'; end++)
        hash = router_hash_add(hash, path.p[end]);
    struct slice segment = {path.p + w->at, end - w->at};
    if (node->prefix.n > 0)
        remember(w, w->node, true);
    if (node->param != 0 && segment.len > 0)
        remember(w, node->param, false);
    uint32_t next =
        node->nliterals > 0 ? router_edge_find(w->router, w->node, segment, router_hash_end(hash)) : 0;
    w->node = next;
    w->at = end + 1;
    return next != 0;
}

/* Along the {name} edge that TURN remembers. */
static void go_back_to_param(struct walk *w, const struct turn *turn)
{
    struct slice rest = slice_skip(w->req->path, turn->at);
    ptrdiff_t slash = slice_find(rest, '/');
    rest.len = slash < 0 ? rest.len : (size_t)slash;
    w->out->params[turn->nvalues].value = rest;
    w->nvalues = turn->nvalues + 1;
    w->node = turn->node;
    w->at = turn->at + rest.len + 1;
}

/* Whether some prefix accepts, on the way back to the latest {name}; *AGAIN: there is one, and the walk is
 * there. */
static bool go_back(struct walk *w, bool *again)
{
    *again = false;
    while (w->nturns > 0) {
        const struct turn *turn = &w->turns[--w->nturns];
        if (!turn->is_prefix) {
            go_back_to_param(w, turn);
            *again = true;
            return false;
        }
        if (choose(w, w->router->nodes[turn->node].prefix))
            return true;
    }
    return false;
}

static bool walk_path(struct walk *w, uint32_t root)
{
    bool again = true;
    w->node = root;
    w->at = 1;
    w->nvalues = 0;
    w->nturns = 0;
    while (again) {
        bool at_end = w->at > w->req->path.len;
        if (at_end && choose(w, w->router->nodes[w->node].exact))
            return true;
        if (!at_end && go_on(w))
            continue;
        if (go_back(w, &again))
            return true;
    }
    return choose(w, w->router->nodes[root + 1].exact);
}

/* ---- hosts ---- */

/* The exact host's root, or 0; LOWER gets the host in lower case. */
static uint32_t find_host(const struct router *r, struct slice host, char *lower)
{
    uint32_t hash = router_hash_begin(ROUTER_HOSTS);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        hash = router_hash_add(hash, lower[i]);
    }
    return router_edge_find(r, ROUTER_HOSTS, (struct slice){lower, host.len}, router_hash_end(hash));
}

static bool walk_named_hosts(struct walk *w)
{
    const struct router *r = w->router;
    char lower[ROUTER_HOST_MAX];
    struct slice host = w->req->host;
    if (host.len > 1 && host.p[host.len - 1] == '.')
        host.len--;
    if (r->nodes[ROUTER_HOSTS].nliterals == 0 || host.len == 0 || host.len > sizeof(lower) ||
        host.p[0] == '*')
        return false;
    uint32_t root = find_host(r, host, lower);
    if (root != 0 && walk_path(w, root))
        return true;
    host.p = lower;
    for (size_t i = 0; i < r->nsuffixes && !w->gave_up; i++) {
        const struct router_suffix *suffix = &r->suffixes[i];
        if (host.len > suffix->text.len && slice_ends(host, suffix->text) && walk_path(w, suffix->root))
            return true;
    }
    return false;
}

/* The rest of a walk is written when it is needed: it is some kilobytes. */
static void begin(struct walk *w, const struct router *r, const struct router_request *req,
                  struct router_match *out)
{
    w->router = r;
    w->req = req;
    w->out = out;
    w->method = 1u << http_method_of(req->method);
    w->gave_up = false;
    w->regex.data = NULL;
}

bool router_match(const struct router *r, const struct router_request *req, struct router_match *out)
{
    struct walk w;
    out->route = NULL;
    out->nparams = 0;
    out->index = 0;
    out->method_refused = false;
    out->allow[0] = '\0';
    if (req->path.len == 0 || req->path.p[0] != '/')
        return false;
    begin(&w, r, req, out);
    bool found = walk_named_hosts(&w) || (!w.gave_up && walk_path(&w, ROUTER_ANY_HOST));
    router_regex_end(&w.regex);
    if (w.gave_up) {
        out->method_refused = false;
        out->allow[0] = '\0';
    }
    return found;
}
