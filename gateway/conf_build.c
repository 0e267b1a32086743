/*
 * conf_build.c: the parts of a configuration that are neither backend nor route; see conf_build.h.
 *
 * Plain options are bound by the schema's rows; here is what goes over more than one option.
 */
#include "gateway/conf_build.h"

#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/conf_address.h"
#include "gateway/conf_files.h"
#include "lib/nearest.h"

static const struct conf_section *section_of(const char *name)
{
    return conf_schema_get(&conf_schema, name)->section;
}

/* ---- listen and admin ---- */

void conf_check_pair(struct conf_load *load, const struct conf_node *tls)
{
    bool has_cert = conf_node_count(tls, "certificate") > 0, has_key = conf_node_count(tls, "key") > 0;
    if (has_cert != has_key && !conf_node_has_gaps(tls))
        conf_mistake(load->report, conf_node_title(tls).place,
                     "a certificate and its key go together: '%s' is missing",
                     has_cert ? "key" : "certificate");
}

/* The address of a section NAME: its title. */
static void build_address(struct conf_load *load, const struct conf_node *node, const char *name,
                          struct conf_listen *out)
{
    struct conf_why why;
    const struct conf_value title = conf_node_title(node);
    out->where = conf_report_where(load->report, title.place);
    out->address = "";
    if (!title.is_broken && !conf_parse_listen(load, title.text, out, &why))
        conf_mistake(load->report, title.place, "%s \"%s\": %s", name, title.text, why.text);
}

static void build_listen_tls(struct conf_load *load, const struct conf_node *node, struct conf_listen *out)
{
    const struct conf_node *tls = conf_only(node, "tls");
    conf_bind(load, tls, conf_schema_get(section_of("listen"), "tls")->section, out);
    if (!tls)
        return;
    conf_check_pair(load, tls);
    if (conf_node_count(tls, "certificate") + conf_node_count(tls, "key") == 0 && !conf_node_has_gaps(tls))
        conf_mistake(load->report, conf_node_title(tls).place, "tls needs a certificate and a key");
}

static void check_not_taken(struct conf_load *load, const struct conf_listen *one, int place, size_t before)
{
    for (size_t i = 0; i < before; i++) {
        const struct conf_listen *other = &load->conf->listens[i];
        if (conf_listen_is_same(one, other))
            conf_mistake(load->report, place, "\"%s\" is the same address as \"%s\" at %s:%d", one->address,
                         other->address, other->where.file, other->where.line);
    }
}

static void build_listens(struct conf_load *load, const struct conf_node *root)
{
    struct conf *c = load->conf;
    size_t n = conf_node_count(root, "listen");
    c->listens = conf_array(load, n, sizeof(*c->listens));
    for (size_t i = 0; c->listens && i < n; i++) {
        const struct conf_node *node = conf_node_section(root, "listen", i);
        build_address(load, node, "listen", &c->listens[i]);
        build_listen_tls(load, node, &c->listens[i]);
        check_not_taken(load, &c->listens[i], conf_node_title(node).place, i);
        c->nlistens = i + 1;
    }
    if (n == 0 && !conf_node_has_gaps(root))
        conf_mistake(load->report, 1,
                     "nothing to listen on: a section listen \"0.0.0.0:8080\" { } is missing");
}

static void build_admin(struct conf_load *load, const struct conf_node *root)
{
    struct conf_admin *admin = &load->conf->admin;
    const struct conf_node *node = conf_only(root, "admin");
    if (!node)
        return;
    int place = conf_node_title(node).place;
    conf_bind(load, node, section_of("admin"), admin);
    build_address(load, node, "admin", &admin->listen);
    check_not_taken(load, &admin->listen, place, load->conf->nlistens);
    bool has_token = conf_build_admin_tokens(load, node, admin);
    bool is_address = admin->listen.host || admin->listen.unix_path;
    if (!has_token && is_address && !conf_listen_is_local(&admin->listen) && !conf_node_has_gaps(node))
        conf_mistake(load->report, place, "admin \"%s\" needs a token: others than this machine can reach it",
                     admin->listen.address);
}

/* ---- client, log ---- */

static void build_client(struct conf_load *load, const struct conf_node *root)
{
    struct conf_client *client = &load->conf->client;
    const struct conf_node *node = conf_only(root, "client");
    conf_bind(load, node, section_of("client"), client);
    if (client->idle_timeout_ms % 1000 != 0)
        conf_mistake(load->report, conf_node_value(node, "idle_timeout", 0)->place,
                     "idle_timeout: must be whole seconds");
}

static bool is_one_of(const char *const *words, const char *text)
{
    for (; *words; words++)
        if (strcmp(*words, text) == 0)
            return true;
    return false;
}

/* The directory has to be there; the file may come. */
static void check_directory(struct conf_load *load, const char *name, int place, const char *path)
{
    char *copy = strdup(path);
    load->report->is_short |= !copy;
    if (copy && access(dirname(copy), F_OK) != 0)
        conf_mistake(load->report, place, "%s: there is no directory for %s", name, path);
    free(copy);
}

/* One of the row's words as it is, or the path of a file. */
static const char *build_sink(struct conf_load *load, const struct conf_node *node, const char *name)
{
    int place;
    bool is_given;
    const struct conf_option *o = conf_schema_get(section_of("log"), name);
    const char *text = conf_text(load, node, o, &place, &is_given);
    if (!text)
        return o->value;
    if (is_one_of(o->words, text))
        return conf_copy(load, slice_of(text));
    if (!strchr(text, '/')) {
        const char *meant = nearest(slice_of(text), o->words, o->words[1] ? 2 : 1);
        conf_mistake(load->report, place, "%s: '%s' is neither %s%s nor the path of a file%s%s%s", name, text,
                     o->words[0], o->words[1] ? " nor off" : "",
                     meant ? "; did you mean '" : ", which has a '/'", meant ? meant : "", meant ? "'?" : "");
        return o->value;
    }
    const char *path = conf_file_absolute(load->arena, conf_report_where(load->report, place).file, text);
    load->report->is_short |= !path;
    if (!path)
        return o->value;
    check_directory(load, name, place, path);
    return path;
}

static void build_log(struct conf_load *load, const struct conf_node *root)
{
    struct conf_log *log = &load->conf->log;
    const struct conf_node *node = conf_only(root, "log");
    conf_bind(load, node, section_of("log"), log);
    log->access = build_sink(load, node, "access");
    log->error = build_sink(load, node, "error");
}

/* ---- top level ---- */

static bool refuse_block(const char *text, struct conf_why *why)
{
    struct cidr c;
    struct ip ip;
    char base[IP_TEXT_MAX];
    struct slice s = slice_of(text);
    ptrdiff_t slash = slice_find(s, '/');
    uint64_t prefix;
    bool is_block = slash > 0 && ip_parse((struct slice){text, (size_t)slash}, &ip) &&
                    slice_to_u64(slice_skip(s, (size_t)slash + 1), ip_is_v4(&ip) ? 32 : 128, &prefix);
    if (!is_block)
        return conf_refuse(why, "'%.80s' is neither an address nor a block such as 10.0.0.0/8", text);
    c.base = ip;
    for (size_t bit = prefix + (ip_is_v4(&ip) ? 96 : 0); bit < 128; bit++)
        c.base.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    ip_text(&c.base, base);
    return conf_refuse(why, "%.80s has bits behind its prefix; the block is %s/%u", text, base,
                       (unsigned)prefix);
}

struct cidr *conf_build_cidrs(struct conf_load *load, const struct conf_node *node,
                              const struct conf_option *o, size_t *n)
{
    int *places;
    size_t ntexts;
    struct conf_why why;
    const char **texts = conf_texts(load, node, o, &ntexts, &places);
    struct cidr *at = conf_array(load, ntexts, sizeof(*at));
    *n = 0;
    for (size_t i = 0; at && i < ntexts; i++)
        if (cidr_parse(slice_of(texts[i]), &at[*n]) || refuse_block(texts[i], &why))
            ++*n;
        else
            conf_mistake(load->report, places[i], "%s: %s", o->name, why.text);
    return at;
}

static void build_trusted(struct conf_load *load, const struct conf_node *root)
{
    struct conf *c = load->conf;
    c->trusted_proxies =
        conf_build_cidrs(load, root, conf_schema_get(&conf_schema, "trusted_proxies"), &c->ntrusted);
    for (size_t i = 0; i < c->ntrusted; i++) {
        const struct cidr *one = &c->trusted_proxies[i];
        const struct conf_value *v = conf_node_value(root, "trusted_proxies", i);
        if (one->prefix == 0 || (one->prefix == 96 && ip_is_v4(&one->base)))
            conf_warning(load->report, v->place,
                         "trusted_proxies: %s lets every client choose the address it is known by", v->text);
    }
}

static void check_server_header(struct conf_load *load, const struct conf_node *root)
{
    const char *text = load->conf->server_header;
    if (text && (!http_is_field_value(slice_of(text)) || strchr(text, '\t')))
        conf_mistake(load->report, conf_node_value(root, "server_header", 0)->place,
                     "server_header: a header cannot carry this value");
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

void conf_build(struct conf_load *load, const struct conf_node *root)
{
    struct conf *c = load->conf;
    conf_bind(load, root, &conf_schema, c);
    if (c->workers == 0)
        c->workers = cores();
    build_trusted(load, root);
    conf_build_networks(load, root, &conf_schema, &c->networks);
    check_server_header(load, root);
    build_listens(load, root);
    build_admin(load, root);
    build_client(load, root);
    conf_bind(load, conf_only(root, "cache"), section_of("cache"), &c->cache);
    build_log(load, root);
    conf_build_redis(load, root);
    conf_build_tracing(load, root);
    conf_build_backends(load, root);
    conf_build_auths(load, root);
    conf_build_routes(load, root, !conf_node_has_gaps(root));
}
