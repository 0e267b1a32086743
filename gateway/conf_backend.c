/* conf_backend.c: backends and their servers; see conf_build.h. */
#include "gateway/conf_address.h"
#include "gateway/conf_build.h"
#include "gateway/conf_faults.h"

static const struct conf_section *backend_section(void)
{
    return conf_schema_get(&conf_schema, "backend")->section;
}

/* The section NAME of a backend: its rows, and the node, which may be NULL. */
static const struct conf_node *bind_part(struct conf_load *load, const struct conf_node *node,
                                         const char *name, void *out)
{
    const struct conf_node *part = conf_only(node, name);
    conf_bind(load, part, conf_schema_get(backend_section(), name)->section, out);
    return part;
}

/* ---- servers ---- */

static void check_server_is_new(struct conf_load *load, const struct conf_backend *b, size_t i, int place)
{
    for (size_t j = 0; j < i; j++)
        if (conf_server_is_same(&b->servers[i], &b->servers[j])) {
            conf_mistake(load->report, place, "server \"%s\" is the same as \"%s\" in line %d",
                         b->servers[i].url, b->servers[j].url, b->servers[j].where.line);
            return;
        }
}

/* A URL as it may be told to everybody: what stands before an '@' could be a password. */
static const char *public_url(const char *url)
{
    const char *at = strrchr(url, '@');
    return at ? at : url;
}

static void build_servers(struct conf_load *load, const struct conf_node *node, struct conf_backend *b)
{
    struct conf_why why;
    size_t n = conf_node_count(node, "server");
    b->servers = conf_array(load, n, sizeof(*b->servers));
    for (size_t i = 0; b->servers && i < n; i++) {
        const struct conf_node *one = conf_node_section(node, "server", i);
        const struct conf_value title = conf_node_title(one);
        conf_bind(load, one, conf_schema_get(backend_section(), "server")->section, &b->servers[i]);
        b->servers[i].where = conf_report_where(load->report, title.place);
        b->servers[i].url = "";
        b->servers[i].backend = b;
        b->nservers = i + 1;
        if (title.is_broken)
            continue;
        if (conf_parse_server(load, title.text, &b->servers[i], &why))
            check_server_is_new(load, b, i, title.place);
        else
            conf_mistake(load->report, title.place, "server \"%s%s\": %s",
                         strchr(title.text, '@') ? "..." : "", public_url(title.text), why.text);
    }
    if (n == 0 && !conf_node_has_gaps(node))
        conf_mistake(load->report, conf_node_title(node).place, "backend \"%s\" has no server", b->name);
}

/* ---- balance ---- */

/* What follows PREFIX in TEXT, when it has that prefix. */
static bool is_prefixed(const char *text, const char *prefix, struct slice *rest)
{
    *rest = slice_of(text);
    if (!slice_starts(*rest, slice_of(prefix)))
        return false;
    *rest = slice_trim(slice_skip(*rest, strlen(prefix)));
    return true;
}

static void build_hash(struct conf_load *load, const struct conf_node *node, struct conf_backend *b)
{
    int place;
    bool is_given;
    struct slice name;
    const char *text = conf_text(load, node, conf_schema_get(backend_section(), "hash"), &place, &is_given);
    b->hash_key = HASH_KEY_IP;
    if (!text || strcmp(text, "ip") == 0) {
        /* as it is */
    } else if (is_prefixed(text, "header:", &name) || is_prefixed(text, "cookie:", &name)) {
        b->hash_key = text[0] == 'h' ? HASH_KEY_HEADER : HASH_KEY_COOKIE;
        b->hash_name = conf_copy(load, name);
        if (!http_is_token(name))
            conf_mistake(load->report, place, "hash: '%.*s' is not the name of a %s", SLICE_ARG(name),
                         text[0] == 'h' ? "header" : "cookie");
    } else {
        conf_mistake(load->report, place, "hash: '%s' is none of ip, header:NAME, cookie:NAME", text);
    }
    bool is_balance_broken =
        conf_node_count(node, "balance") > 0 && conf_node_value(node, "balance", 0)->is_broken;
    if (is_given && b->balance != BALANCE_HASH && !is_balance_broken)
        conf_warning(load->report, place, "hash has no effect without balance = hash");
}

/* ---- the rest ---- */

static void check_tls(struct conf_load *load, const struct conf_node *tls, const struct conf_backend *b)
{
    struct conf_why why;
    bool is_used = false;
    for (size_t i = 0; i < b->nservers; i++)
        is_used |= b->servers[i].tls;
    if (!tls)
        return;
    int place = conf_node_title(tls).place;
    conf_check_pair(load, tls);
    if (b->tls.server_name && !conf_check_name(slice_of(b->tls.server_name), &why))
        conf_mistake(load->report, conf_node_value(tls, "server_name", 0)->place, "server_name: %s",
                     why.text);
    if (!is_used && b->nservers > 0)
        conf_warning(load->report, place, "tls has no effect: no server of backend \"%s\" is https", b->name);
}

/* A time that the total never lets come. */
static void check_total(struct conf_load *load, const struct conf_node *timeout, const struct conf_timeout *t)
{
    const struct conf_value *total = timeout ? conf_node_value(timeout, "total", 0) : NULL;
    if (!total || t->total_ms == 0 || total->is_broken)
        return;
    if (conf_node_count(timeout, "connect") > 0 && t->connect_ms > t->total_ms)
        conf_warning(load->report, total->place, "total ends before connect can");
    if (conf_node_count(timeout, "first_byte") > 0 && t->first_byte_ms > t->total_ms)
        conf_warning(load->report, total->place, "total ends before first_byte can");
}

/* ---- protection ---- */

static void build_breaker(struct conf_load *load, const struct conf_node *node, struct conf_breaker *b)
{
    static const struct conf_faults_want want = {
        .name = "failure", .fallback = "connect reset timeout malformed 500 502-504 506-599"};
    const struct conf_node *part = bind_part(load, node, "breaker", b);
    conf_build_faults(load, part, conf_schema_get(backend_section(), "breaker")->section, &want, &b->failure);
    if (b->share != BREAKER_SHARE_OFF)
        conf_warn_alone(load, part, "share", "the breaker is this gateway's alone");
    if (b->open_max_ms < b->open_ms && part && conf_node_count(part, "open_max") > 0)
        conf_mistake(load->report, conf_node_value(part, "open_max", 0)->place, "open_max is below open_for");
    if (b->open_max_ms < b->open_ms)
        b->open_max_ms = b->open_ms;
}

static void build_retry(struct conf_load *load, const struct conf_node *node, struct conf_retry *r)
{
    static const struct conf_faults_want want = {.name = "on", .fallback = "connect reset"};
    const struct conf_node *part = bind_part(load, node, "retry", r);
    conf_build_faults(load, part, conf_schema_get(backend_section(), "retry")->section, &want, &r->on);
}

static void build_health(struct conf_load *load, const struct conf_node *node, struct conf_health *h)
{
    static const struct conf_faults_want want = {
        .name = "status", .fallback = "2xx 3xx", .only_statuses = true};
    const struct conf_node *part = bind_part(load, node, "health", h);
    h->enabled = part != NULL;
    conf_build_faults(load, part, conf_schema_get(backend_section(), "health")->section, &want, &h->ok);
    if (h->path[0] != '/' || strpbrk(h->path, " \t\r\n"))
        conf_mistake(load->report, conf_node_value(part, "path", 0)->place,
                     "path: '%s' is no path: it begins with '/' and has no white space", h->path);
    if (h->host && !http_is_field_value(slice_of(h->host)))
        conf_mistake(load->report, conf_node_value(part, "host", 0)->place,
                     "host: no field can have this value");
}

static void check_deadline(struct conf_load *load, const struct conf_node *node, const struct conf_timeout *t)
{
    const struct conf_node *part = conf_only(node, "timeout");
    const char *name = t->deadline_header;
    if (name && (!http_is_token(slice_of(name)) || http_is_hop_by_hop(slice_of(name))))
        conf_mistake(load->report, conf_node_value(part, "deadline_header", 0)->place,
                     "deadline_header: '%s' is not the name of a header field", name);
}

static void check_bulkhead(struct conf_load *load, const struct conf_node *node,
                           const struct conf_bulkhead *b)
{
    const struct conf_node *part = conf_only(node, "bulkhead");
    if (part && b->adaptive && b->max == 0)
        conf_mistake(load->report, conf_node_title(part).place,
                     "adaptive needs a max, the most that it may learn");
    if (part && b->queue > 0 && b->max == 0)
        conf_mistake(load->report, conf_node_title(part).place,
                     "queue needs a max: before that nobody waits");
}

static void build_protection(struct conf_load *load, const struct conf_node *node, struct conf_backend *b)
{
    size_t nbackup = 0;
    build_breaker(load, node, &b->breaker);
    build_retry(load, node, &b->retry);
    build_health(load, node, &b->health);
    bind_part(load, node, "eject", &b->eject);
    bind_part(load, node, "bulkhead", &b->bulkhead);
    check_deadline(load, node, &b->timeout);
    check_bulkhead(load, node, &b->bulkhead);
    for (size_t i = 0; i < b->nservers; i++)
        nbackup += b->servers[i].is_backup;
    if (nbackup > 0 && nbackup == b->nservers)
        conf_mistake(load->report, conf_node_title(node).place, "every server of backend \"%s\" is a backup",
                     b->name);
}

/* The name is a label of metrics and a word of the log. */
static void check_name(struct conf_load *load, struct conf_value title)
{
    if (title.is_broken)
        return;
    if (title.text[0] == '\0')
        conf_mistake(load->report, title.place, "a backend's name is empty");
    else if (strpbrk(title.text, " \t\r\n"))
        conf_mistake(load->report, title.place, "backend \"%s\": a name has no white space", title.text);
}

static void build_backend(struct conf_load *load, const struct conf_node *node, struct conf_backend *b)
{
    const struct conf_value title = conf_node_title(node);
    conf_bind(load, node, backend_section(), b);
    check_name(load, title);
    b->where = conf_report_where(load->report, title.place);
    b->name = conf_copy(load, slice_of(title.text));
    build_servers(load, node, b);
    build_hash(load, node, b);
    bind_part(load, node, "keepalive", &b->keepalive);
    check_total(load, bind_part(load, node, "timeout", &b->timeout), &b->timeout);
    check_tls(load, bind_part(load, node, "tls", &b->tls), b);
    build_protection(load, node, b);
}

void conf_build_backends(struct conf_load *load, const struct conf_node *root)
{
    struct conf *c = load->conf;
    size_t n = conf_node_count(root, "backend");
    c->backends = conf_array(load, n, sizeof(*c->backends));
    for (size_t i = 0; c->backends && i < n; i++) {
        build_backend(load, conf_node_section(root, "backend", i), &c->backends[i]);
        c->nbackends = i + 1;
    }
}
