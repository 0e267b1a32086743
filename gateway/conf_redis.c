/*
 * conf_redis.c: the Redis nodes that gateways share; see conf_build.h and conf_redis.h.
 *
 * Nodes come in two forms, the list `nodes` and the sections `node`, and become one array: the list first.
 * They are printed as sections only, which say all there is to say.
 */
#include "gateway/conf_redis.h"

#include <inttypes.h>

#include "gateway/conf_address.h"
#include "gateway/conf_build.h"
#include "gateway/conf_same.h"
#include "lib/hash.h"

static const struct conf_section *redis_section(void)
{
    return conf_schema_get(&conf_schema, "redis")->section;
}

static const struct conf_section *node_section(void)
{
    return conf_schema_get(redis_section(), "node")->section;
}

/* ---- nodes ---- */

static void check_node_is_new(struct conf_load *load, const struct conf_redis *r, size_t i, int place)
{
    for (size_t j = 0; j < i; j++)
        if (conf_redis_node_is_same(&r->nodes[i], &r->nodes[j])) {
            conf_mistake(load->report, place, "node \"%s\" is the same as \"%s\" in line %d",
                         r->nodes[i].name, r->nodes[j].name, r->nodes[j].where.line);
            return;
        }
}

/* The next node, whose weight is there. */
static void add_node(struct conf_load *load, struct conf_redis *r, const char *text, int place)
{
    struct conf_why why;
    struct conf_redis_node *node = &r->nodes[r->nnodes];
    const char *at = strrchr(text, '@');
    node->where = conf_report_where(load->report, place);
    node->name = "";
    if (conf_parse_redis_node(load, text, node, &why))
        check_node_is_new(load, r, r->nnodes, place);
    else
        conf_mistake(load->report, place, "node \"%s%s\": %s", at ? "..." : "", at ? at : text, why.text);
    if (r->nnodes++ == CONF_REDIS_NODES_MAX)
        conf_mistake(load->report, place, "more than %d nodes", CONF_REDIS_NODES_MAX);
}

static void build_nodes(struct conf_load *load, const struct conf_node *node, struct conf_redis *r)
{
    int *places;
    size_t nlist, nsections = conf_node_count(node, "node");
    const char **list = conf_texts(load, node, conf_schema_get(redis_section(), "nodes"), &nlist, &places);
    r->nodes = conf_array(load, nlist + nsections, sizeof(*r->nodes));
    for (size_t i = 0; r->nodes && i < nlist; i++) {
        conf_bind(load, NULL, node_section(), &r->nodes[r->nnodes]);
        add_node(load, r, list[i], places[i]);
    }
    for (size_t i = 0; r->nodes && i < nsections; i++) {
        const struct conf_node *one = conf_node_section(node, "node", i);
        const struct conf_value title = conf_node_title(one);
        conf_bind(load, one, node_section(), &r->nodes[r->nnodes]);
        if (!title.is_broken)
            add_node(load, r, title.text, title.place);
    }
    if (conf_node_count(node, "nodes") + nsections == 0 && !conf_node_has_gaps(node))
        conf_mistake(load->report, conf_node_title(node).place,
                     "redis has no node, such as nodes = {\"redis-1:6379\"}");
}

/* ---- the rest ---- */

static void build_password(struct conf_load *load, const struct conf_node *node, struct conf_redis *r)
{
    int place;
    bool is_given;
    const char *text = conf_text(load, node, conf_schema_get(redis_section(), "password"), &place, &is_given);
    r->password = text ? conf_copy(load, slice_of(text)) : NULL;
    if (r->username && !is_given && !conf_node_has_gaps(node))
        conf_mistake(load->report, conf_node_value(node, "username", 0)->place, "username needs a password");
}

/* It begins every key and channel. Braces would say what of a key is hashed, to tools that know Redis
 * Cluster.
 */
static void check_prefix(struct conf_load *load, const struct conf_node *node, const char *prefix)
{
    for (const char *p = prefix; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '{' || *p == '}') {
            conf_mistake(load->report, conf_node_value(node, "prefix", 0)->place,
                         "prefix: only visible ASCII characters but { and } can begin a key");
            return;
        }
}

static void build_tls(struct conf_load *load, const struct conf_node *node, struct conf_redis *r)
{
    struct conf_why why;
    const struct conf_node *tls = conf_only(node, "tls");
    conf_bind(load, tls, conf_schema_get(redis_section(), "tls")->section, &r->tls);
    r->tls.enabled = tls != NULL;
    if (!tls)
        return;
    conf_check_pair(load, tls);
    if (r->tls.server_name && !conf_check_name(slice_of(r->tls.server_name), &why))
        conf_mistake(load->report, conf_node_value(tls, "server_name", 0)->place, "server_name: %s",
                     why.text);
    for (size_t i = 0; i < r->nnodes; i++)
        if (r->nodes[i].unix_path)
            conf_warning(load->report, conf_node_title(tls).place, "tls has no effect on node \"%s\"",
                         r->nodes[i].name);
}

void conf_build_redis(struct conf_load *load, const struct conf_node *root)
{
    struct conf_redis *r = &load->conf->redis;
    const struct conf_node *node = conf_only(root, "redis");
    conf_bind(load, node, redis_section(), r);
    r->enabled = node != NULL;
    if (!node)
        return;
    r->where = conf_report_where(load->report, conf_node_title(node).place);
    build_nodes(load, node, r);
    build_password(load, node, r);
    check_prefix(load, node, r->prefix);
    build_tls(load, node, r);
    if (r->lock_ms <= r->command_ms)
        conf_warning(load->report, conf_node_title(node).place,
                     "lock_ttl is not longer than timeout: a lock may end before it is known to be held");
}

void conf_warn_alone(struct conf_load *load, const struct conf_node *node, const char *option,
                     const char *effect)
{
    const struct conf_value *v = node ? conf_node_value(node, option, 0) : NULL;
    if (v && !load->conf->redis.enabled)
        conf_warning(load->report, v->place, "%s = %s has no effect without a section redis: %s", option,
                     v->text, effect);
}

/* ---- what gateways agree on ---- */

/* The sum does not depend on the order of the nodes; it goes through the hash as text, the same on every
 * machine. */
uint64_t conf_redis_fingerprint(const struct conf_redis *r)
{
    char text[64];
    uint64_t sum = 0;
    for (size_t i = 0; i < r->nnodes; i++)
        sum += hash_bytes(r->nodes[i].name, strlen(r->nodes[i].name), r->nodes[i].weight);
    int len = snprintf(text, sizeof(text), "%016" PRIx64 " %u", sum, (unsigned)r->database);
    return hash_bytes(text, (size_t)len, r->nnodes);
}

static bool is_same_tls(const struct conf_redis_tls *a, const struct conf_redis_tls *b)
{
    return a->enabled == b->enabled && a->verify == b->verify && conf_same_text(a->ca_file, b->ca_file) &&
           conf_same_text(a->cert_file, b->cert_file) && conf_same_text(a->key_file, b->key_file) &&
           conf_same_text(a->server_name, b->server_name);
}

bool conf_redis_is_same(const struct conf_redis *a, const struct conf_redis *b)
{
    if (!a->enabled || !b->enabled)
        return a->enabled == b->enabled;
    return conf_redis_fingerprint(a) == conf_redis_fingerprint(b) &&
           conf_same_text(a->username, b->username) && conf_same_text(a->password, b->password) &&
           conf_same_text(a->prefix, b->prefix) && a->connect_ms == b->connect_ms &&
           a->command_ms == b->command_ms && a->trust_ms == b->trust_ms && a->lock_ms == b->lock_ms &&
           a->lock_wait_ms == b->lock_wait_ms && is_same_tls(&a->tls, &b->tls);
}

/* ---- printing ---- */

void conf_print_redis(const struct conf_redis *r, FILE *out)
{
    if (!r->enabled)
        return;
    fputs("\nredis {\n", out);
    for (size_t i = 0; i < r->nnodes; i++) {
        fputs("  node ", out);
        conf_print_quoted(r->nodes[i].name, out);
        fputs(" {\n", out);
        conf_print(node_section(), &r->nodes[i], out, 4);
        fputs("  }\n", out);
    }
    conf_print(redis_section(), r, out, 2);
    if (r->password)
        fputs("  password = \"" CONF_MASK "\"\n", out);
    if (r->tls.enabled) {
        fputs("  tls {\n", out);
        conf_print(conf_schema_get(redis_section(), "tls")->section, &r->tls, out, 4);
        fputs("  }\n", out);
    }
    fputs("}\n", out);
}
