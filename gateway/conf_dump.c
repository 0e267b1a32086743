/*
 * conf_dump.c: a configuration as text that loads again; see conf.h.
 *
 * Plain options are printed by the schema's rows, the others here. Everything is told, defaults too, in the
 * order of the schema.
 */
#include "gateway/conf_build.h"
#include "gateway/conf_faults.h"

static const struct conf_section *section_of(const char *name)
{
    return conf_schema_get(&conf_schema, name)->section;
}

/* The section NAME inside of OUTER, filled from BASE. */
static void print_part(const struct conf_section *outer, const char *name, const void *base, FILE *out)
{
    fprintf(out, "  %s {\n", name);
    conf_print(conf_schema_get(outer, name)->section, base, out, 4);
    fputs("  }\n", out);
}

static void print_title(const char *name, const char *title, FILE *out)
{
    fprintf(out, "\n%s ", name);
    conf_print_quoted(title, out);
    fputs(" {\n", out);
}

static void print_text(const char *name, const char *text, FILE *out)
{
    fprintf(out, "  %s = ", name);
    conf_print_quoted(text, out);
    fputc('\n', out);
}

/* ---- top level ---- */

void conf_print_cidrs(const char *name, const struct cidr *at, size_t n, int indent, FILE *out)
{
    char base[IP_TEXT_MAX];
    fprintf(out, "%*s%s = {", indent, "", name);
    for (size_t i = 0; i < n; i++) {
        ip_text(&at[i].base, base);
        fprintf(out, "%s\"%s/%u\"", i ? ", " : "", base, at[i].prefix - (ip_is_v4(&at[i].base) ? 96 : 0));
    }
    fputs("}\n", out);
}

static void print_listen(const struct conf_listen *l, FILE *out)
{
    print_title("listen", l->address, out);
    if (l->tls_cert)
        print_part(section_of("listen"), "tls", l, out);
    fputs("}\n", out);
}

static void print_log(const struct conf_log *log, FILE *out)
{
    fputs("\nlog {\n", out);
    print_text("access", log->access, out);
    print_text("error", log->error, out);
    conf_print(section_of("log"), log, out, 2);
    fputs("}\n", out);
}

/* ---- backends ---- */

static void print_hash(const struct conf_backend *b, FILE *out)
{
    static const char *const kinds[] = {
        [HASH_KEY_IP] = "ip", [HASH_KEY_HEADER] = "header:", [HASH_KEY_COOKIE] = "cookie:"};
    if (b->balance == BALANCE_HASH)
        fprintf(out, "  hash = \"%s%s\"\n", kinds[b->hash_key],
                b->hash_key == HASH_KEY_IP ? "" : b->hash_name);
}

static void print_faulty(const struct conf_section *schema, const char *name, const void *base,
                         const struct conf_faults *faults, FILE *out)
{
    static const char *const lists[] = {"failure", "on", "status"};
    const struct conf_section *section = conf_schema_get(schema, name)->section;
    fprintf(out, "  %s {\n", name);
    conf_print(section, base, out, 4);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (conf_schema_find(section, lists[i]))
            conf_print_faults(lists[i], faults, 4, out);
    fputs("  }\n", out);
}

static void print_protection(const struct conf_backend *b, const struct conf_section *schema, FILE *out)
{
    print_faulty(schema, "breaker", &b->breaker, &b->breaker.failure, out);
    print_faulty(schema, "retry", &b->retry, &b->retry.on, out);
    print_part(schema, "eject", &b->eject, out);
    if (b->health.enabled)
        print_faulty(schema, "health", &b->health, &b->health.ok, out);
    print_part(schema, "bulkhead", &b->bulkhead, out);
}

static void print_backend(const struct conf_backend *b, FILE *out)
{
    const struct conf_section *schema = section_of("backend");
    print_title("backend", b->name, out);
    for (size_t i = 0; i < b->nservers; i++) {
        fputs("  server ", out);
        conf_print_quoted(b->servers[i].url, out);
        fputs(" {\n", out);
        conf_print(conf_schema_get(schema, "server")->section, &b->servers[i], out, 4);
        fputs("  }\n", out);
    }
    conf_print(schema, b, out, 2);
    print_hash(b, out);
    print_part(schema, "timeout", &b->timeout, out);
    print_part(schema, "keepalive", &b->keepalive, out);
    print_protection(b, schema, out);
    bool has_tls = !b->tls.verify || b->tls.ca_file || b->tls.cert_file || b->tls.server_name;
    for (size_t i = 0; i < b->nservers; i++)
        has_tls |= b->servers[i].tls;
    if (has_tls)
        print_part(schema, "tls", &b->tls, out);
    fputs("}\n", out);
}

/* ---- routes ---- */

/* "Name: value", or "Name" without a value. */
static void print_field(const char *name, const char *value, bool is_first, FILE *out)
{
    char text[1 << 14];
    snprintf(text, sizeof(text), "%s%s%s", name, value ? ": " : "", value ? value : "");
    fputs(is_first ? "" : ", ", out);
    conf_print_quoted(text, out);
}

static void print_conditions(const struct conf_route *r, FILE *out)
{
    if (r->nheaders == 0)
        return;
    fputs("  header = {", out);
    for (size_t i = 0; i < r->nheaders; i++)
        print_field(r->headers[i].name, r->headers[i].value, i == 0, out);
    fputs("}\n", out);
}

static void print_edits(const char *section, const struct conf_edits *edits, FILE *out)
{
    static const char *const names[] = {[EDIT_SET] = "set", [EDIT_ADD] = "add", [EDIT_REMOVE] = "remove"};
    if (edits->n == 0)
        return;
    fprintf(out, "  %s {\n", section);
    for (int kind = EDIT_SET; kind <= EDIT_REMOVE; kind++) {
        bool is_first = true;
        fprintf(out, "    %s = {", names[kind]);
        for (size_t i = 0; i < edits->n; i++)
            if (edits->at[i].kind == (enum conf_edit_kind)kind) {
                print_field(edits->at[i].name, edits->at[i].value, is_first, out);
                is_first = false;
            }
        fputs("}\n", out);
    }
    fputs("  }\n", out);
}

static void print_action(const struct conf *c, const struct conf_route *r, FILE *out)
{
    static const char *const hosts[] = {[UPSTREAM_HOST_PASS] = "pass", [UPSTREAM_HOST_SERVER] = "server"};
    if (r->action == ACTION_RESPOND)
        print_part(section_of("route"), "respond", r, out);
    if (r->action == ACTION_REDIRECT)
        print_part(section_of("route"), "redirect", r, out);
    if (r->action != ACTION_PROXY)
        return;
    print_text("backend", c->backends[r->backend].name, out);
    print_text("upstream_host",
               r->upstream_host == UPSTREAM_HOST_FIXED ? r->upstream_host_name : hosts[r->upstream_host],
               out);
}

static void print_fallback(const struct conf *c, const struct conf_route *r, FILE *out)
{
    if (!r->fallback.enabled)
        return;
    if (!r->fallback.has_backend) {
        print_part(section_of("route"), "fallback", &r->fallback, out);
        return;
    }
    fputs("  fallback {\n    backend = ", out);
    conf_print_quoted(c->backends[r->fallback.backend].name, out);
    fputs("\n  }\n", out);
}

static void print_route(const struct conf *c, const struct conf_route *r, FILE *out)
{
    print_title("route", r->name, out);
    conf_print(section_of("route"), r, out, 2);
    print_conditions(r, out);
    print_action(c, r, out);
    print_edits("request_header", &r->request_edits, out);
    print_edits("response_header", &r->response_edits, out);
    conf_print_networks(&r->networks, 2, out);
    conf_print_cors(r, out);
    conf_print_route_auths(c, r, out);
    conf_print_limits(r, out);
    conf_print_concurrency(r, out);
    conf_print_cache(r, out);
    print_fallback(c, r, out);
    if (r->hedge.enabled)
        print_part(section_of("route"), "hedge", &r->hedge, out);
    fputs("}\n", out);
}

void conf_dump(const struct conf *c, FILE *out)
{
    conf_print(&conf_schema, c, out, 0);
    conf_print_cidrs("trusted_proxies", c->trusted_proxies, c->ntrusted, 0, out);
    conf_print_networks(&c->networks, 0, out);
    for (size_t i = 0; i < c->nlistens; i++)
        print_listen(&c->listens[i], out);
    conf_print_admin(&c->admin, out);
    fputs("\nclient {\n", out);
    conf_print(section_of("client"), &c->client, out, 2);
    fputs("}\n", out);
    print_log(&c->log, out);
    fputs("\ncache {\n", out);
    conf_print(section_of("cache"), &c->cache, out, 2);
    fputs("}\n", out);
    conf_print_redis(&c->redis, out);
    conf_print_tracing(&c->tracing, out);
    for (size_t i = 0; i < c->nbackends; i++)
        print_backend(&c->backends[i], out);
    conf_print_auths(c, out);
    for (size_t i = 0; i < c->nroutes; i++)
        print_route(c, &c->routes[i], out);
}
