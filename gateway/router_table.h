/*
 * router_table.h: what a router is made of; shared by the files of router.h and by nobody else.
 *
 * The paths of all routes form one trie by segments for each host. Node r is the root of a host's trie, and
 * node r + 1 carries, as its `exact` routes, those of the host's regular expressions. Literal segments lead
 * from node to node through one table of edges for the whole router, keyed by (parent, segment); hosts are
 * edges of node 0. Node 1 is the root for any host.
 *
 * Everything here is written by router_build.c, once, and only read afterwards.
 */
#ifndef GATEWAY_ROUTER_TABLE_H
#define GATEWAY_ROUTER_TABLE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "gateway/router.h"

#define ROUTER_SEGMENTS_MAX 64  /* of one path: bounds the way back that router_match has to remember */
#define ROUTER_HOST_MAX     255 /* bytes of a host; a longer one is nobody's */

#define ROUTER_HOSTS    0 /* the node whose edges are hosts */
#define ROUTER_ANY_HOST 1 /* the root for any host */

/* Rules at one end of one path, most specific first: a range of router.order. */
struct router_span {
    uint32_t first, n;
};

struct router_node {
    uint32_t param;     /* the node behind a {name}; 0: none */
    uint32_t nliterals; /* edges that begin here */
    struct router_span exact;
    struct router_span prefix;
};

struct router_edge {
    struct slice key; /* a segment, or a host as the configuration has it */
    uint32_t hash;
    uint32_t parent;
    uint32_t child; /* 0: the place is free */
};

/* "*.example": the suffix ".example" and its root. */
struct router_suffix {
    struct slice text;
    uint32_t root;
};

/* A route made ready; router.rules has them in the order of the file. */
struct router_rule {
    const struct conf_route *route;
    uint32_t methods;    /* bits 1 << enum http_method; HEAD is set with GET */
    struct slice *names; /* of its parameters */
    size_t nnames;
    pcre2_code *regex; /* NULL: a plain path */
};

struct router {
    const struct conf *conf;
    struct router_node *nodes;
    struct router_edge *edges; /* open addressing, at most half full */
    uint32_t edge_mask;
    struct router_suffix *suffixes; /* longest first */
    size_t nsuffixes;
    uint32_t *order; /* indices of rules */
    struct router_rule *rules;
    pcre2_match_context *context; /* limits of the regular expressions */
};

/* FNV-1a, begun with the parent. The table's chains depend on the configuration alone, so nothing a client
 * sends makes them longer. */
static inline uint32_t router_hash_begin(uint32_t parent)
{
    return 2166136261u ^ parent * 2654435761u;
}

static inline uint32_t router_hash_add(uint32_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 16777619u;
}

static inline uint32_t router_hash_end(uint32_t hash)
{
    return hash ^ hash >> 15;
}

/* The node that KEY leads to from PARENT; 0: none. */
static inline uint32_t router_edge_find(const struct router *r, uint32_t parent, struct slice key,
                                        uint32_t hash)
{
    for (uint32_t i = hash & r->edge_mask; r->edges[i].child != 0; i = (i + 1) & r->edge_mask) {
        const struct router_edge *e = &r->edges[i];
        if (e->hash == hash && e->parent == parent && slice_eq(e->key, key))
            return e->child;
    }
    return 0;
}

/* ---- router_pattern.c: one path of a route ---- */

/* Take the next segment off *REST, which begins with '/' as long as there is one. */
bool router_pattern_next(struct slice *rest, struct slice *segment);
bool router_pattern_is_param(struct slice segment);

/* Fill in what a rule gets from its route's path. False when memory is short or the path is no pattern. */
MUST_USE bool router_pattern_read(struct router_rule *rule);

/* ---- router_regex.c: running a regular expression ---- */

/*
 * The workspace of PCRE2 for one request, in the caller's frame: a pcre2_match_data may serve one thread at a
 * time, the router is shared by all of them, and a frame needs neither a lock nor a thread's own variable nor
 * the heap. (Where PCRE2 has no JIT compiler its interpreter asks for more than fits, and gets it from
 * malloc.)
 */
struct router_regex {
    size_t used; /* bytes of memory */
    pcre2_general_context *general;
    pcre2_match_data *data; /* NULL: not needed yet */
    _Alignas(16) char memory[768];
};

enum router_regex_result { REGEX_NO, REGEX_YES, REGEX_GAVE_UP /* a limit was hit */ };

MUST_USE pcre2_match_context *router_regex_limits(void);

/* Values of groups go into PARAMS, which has room for all of the rule's names. */
enum router_regex_result router_regex_run(struct router_regex *x, const struct router *r,
                                          const struct router_rule *rule, struct slice path,
                                          struct router_param *params);
void router_regex_end(struct router_regex *x);

#endif
