/* conf_auth.c: who may use a route; see conf_build.h. */
#include <stdlib.h>

#include "gateway/conf_build.h"
#include "gateway/conf_files.h"
#include "lib/nearest.h"
#include "lib/uri.h"

#define FAULTS_ROOM 8192 /* bytes of what is told of one file */

static const char *const section_names[] = {
    [AUTH_KEYS] = "api_keys", [AUTH_USERS] = "users", [AUTH_JWT] = "jwt", [AUTH_EXTERNAL] = "auth_request"};
#define KINDS (sizeof(section_names) / sizeof(section_names[0]))

static const struct conf_section *section_of(enum conf_auth_kind kind)
{
    return conf_schema_get(&conf_schema, section_names[kind])->section;
}

/* One section while it is built. */
struct build {
    struct conf_load *load;
    const struct conf_node *node;
    struct conf_auth *auth;
    int place;
};

static int place_of(const struct build *b, const char *name, size_t i)
{
    const struct conf_value *v = conf_node_value(b->node, name, i);
    return v ? v->place : b->place;
}

/* ---- files ---- */

/* False when it cannot be read; then bind_file has reported it or this does. */
static bool read_file(const struct build *b, const char *option, const char *path, struct conf_file *file)
{
    struct conf_why why;
    if (!path || conf_file_read(path, file, &why))
        return path != NULL;
    if (conf_file_check(path, &why))
        conf_mistake(b->load->report, place_of(b, option, 0), "%s: cannot use %.200s: %.80s", option, path,
                     why.text);
    return false;
}

/* Each line of FAULTS is a mistake. */
static void report_faults(const struct build *b, const char *path, struct slice faults)
{
    if (faults.len == 0)
        b->load->report->is_short = true;
    while (faults.len > 0) {
        ptrdiff_t end = slice_find(faults, '\n');
        struct slice line = {faults.p, end < 0 ? faults.len : (size_t)end};
        if (line.len > 0)
            conf_mistake(b->load->report, place_of(b, "file", 0), "file: %s: %.*s", path, SLICE_ARG(line));
        faults = slice_skip(faults, end < 0 ? faults.len : line.len + 1);
    }
}

/* A file that says nothing at all lets nobody in, which is hardly meant. */
static void warn_of_empty(const struct build *b, size_t n, const char *what)
{
    if (n == 0)
        conf_warning(b->load->report, place_of(b, "file", 0), "file: %s has no %s: nobody gets in",
                     b->auth->file, what);
}

static void read_people(const struct build *b)
{
    char space[FAULTS_ROOM];
    struct buf faults;
    struct conf_file file;
    struct conf_auth *a = b->auth;
    buf_init(&faults, space, sizeof(space));
    if (!a->file && !conf_node_has_gaps(b->node))
        conf_mistake(b->load->report, b->place, "%s \"%s\" needs a file", section_names[a->kind], a->name);
    if (!read_file(b, "file", a->file, &file))
        return;
    const struct slice text = {file.text, file.len};
    if (a->kind == AUTH_KEYS && !(a->keys = api_keys_parse(text, &faults)))
        report_faults(b, a->file, buf_slice(&faults));
    else if (a->kind == AUTH_KEYS)
        warn_of_empty(b, api_keys_count(a->keys), "keys");
    if (a->kind == AUTH_USERS && !(a->users = password_parse(text, &faults)))
        report_faults(b, a->file, buf_slice(&faults));
    else if (a->kind == AUTH_USERS)
        warn_of_empty(b, password_count(a->users), "users");
    free(file.text);
}

/* ---- keys of tokens ---- */

typedef struct jwks *jwks_maker(struct slice text, struct err *e);

static struct jwks *from_json(struct slice text, struct err *e)
{
    return jwks_parse(text, NULL, e);
}

/* A secret ends where its line ends: editors add a line feed. */
static struct jwks *from_secret(struct slice text, struct err *e)
{
    while (text.len > 0 && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
        text.len--;
    return jwks_from_secret(text, e);
}

static void make_jwks(const struct build *b, const char *option, const char *path, jwks_maker *make)
{
    char space[512];
    struct buf text;
    struct err err = {0};
    struct conf_file file;
    if (b->auth->jwks || !read_file(b, option, path, &file))
        return;
    b->auth->jwks = make((struct slice){file.text, file.len}, &err);
    free(file.text);
    if (b->auth->jwks)
        return;
    buf_init(&text, space, sizeof(space));
    err_text(&err, &text);
    conf_mistake(b->load->report, place_of(b, option, 0), "%s: %s: %.*s", option, path,
                 SLICE_ARG(buf_slice(&text)));
}

static void check_url(const struct build *b)
{
    const char *url = b->auth->jwks_url;
    struct uri_target t;
    if (!url)
        return;
    if (!uri_split(slice_of(url), &t) || t.form != URI_ABSOLUTE)
        conf_mistake(b->load->report, place_of(b, "jwks_url", 0), "jwks_url: '%s' is no http or https URL",
                     url);
    else if (slice_starts(slice_of(url), SLICE("http://")))
        conf_warning(b->load->report, place_of(b, "jwks_url", 0),
                     "jwks_url: without https, who can change the answer can make tokens");
}

static void build_sources(const struct build *b)
{
    struct conf_auth *a = b->auth;
    size_t n = !!a->jwks_file + !!a->jwks_url + !!a->key_file + !!a->secret_file;
    if (n != 1 && !conf_node_has_gaps(b->node))
        conf_mistake(b->load->report, b->place,
                     "jwt \"%s\" needs %s of jwks_file, jwks_url, public_key_file, secret_file", a->name,
                     n ? "only one" : "one");
    check_url(b);
    make_jwks(b, "jwks_file", a->jwks_file, from_json);
    make_jwks(b, "public_key_file", a->key_file, jwks_from_pem);
    make_jwks(b, "secret_file", a->secret_file, from_secret);
}

/* ---- what a token has to be ---- */

static const struct slice *slices(const struct build *b, const char **texts, size_t n)
{
    struct slice *out = conf_array(b->load, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++)
        out[i] = slice_of(texts[i]);
    return out;
}

static uint32_t build_algorithms(const struct build *b)
{
    const struct conf_auth *a = b->auth;
    uint32_t algs = 0, fitting = a->secret_file ? JWK_HMAC_ALGS : JWK_PUBLIC_ALGS;
    const char *names[JWK_ALG_COUNT];
    for (enum jwk_alg alg = 0; alg < JWK_ALG_COUNT; alg++)
        names[alg] = jwk_alg_name(alg);
    for (size_t i = 0; i < a->nalgorithms; i++) {
        enum jwk_alg alg;
        int place = place_of(b, "algorithms", i);
        const char *meant = nearest(slice_of(a->algorithms[i]), names, JWK_ALG_COUNT);
        if (!jwk_alg_parse(slice_of(a->algorithms[i]), &alg))
            conf_mistake(b->load->report, place, "algorithms: '%s' is not known%s%s%s", a->algorithms[i],
                         meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
        else if (!(JWK_BIT(alg) & fitting))
            conf_mistake(b->load->report, place, "algorithms: %s does not go with %s", a->algorithms[i],
                         a->secret_file ? "a shared secret" : "public keys");
        else
            algs |= JWK_BIT(alg);
    }
    return a->nalgorithms ? algs : fitting;
}

static void build_policy(const struct build *b)
{
    struct conf_auth *a = b->auth;
    a->policy = (struct jwt_policy){
        .algs = build_algorithms(b),
        .issuers = slices(b, a->issuers, a->nissuers),
        .issuer_count = a->nissuers,
        .audiences = slices(b, a->audiences, a->naudiences),
        .audience_count = a->naudiences,
        .required = slices(b, a->required, a->nrequired),
        .required_count = a->nrequired,
        .typ = slice_of(a->type ? a->type : ""),
        .exp_required = a->require_exp,
        .leeway_s = a->leeway_ms / 1000,
        .max_age_s = a->max_age_ms / 1000,
    };
    if (b->load->report->nmistakes == 0 && !jwt_policy_is_sane(&a->policy))
        conf_mistake(b->load->report, b->place, "jwt \"%s\" would take no token", a->name);
    if (a->nissuers + a->naudiences == 0)
        conf_warning(b->load->report, b->place,
                     "jwt \"%s\" asks for no issuer and no audience: tokens for other services get in",
                     a->name);
}

static void build_claim_headers(const struct build *b)
{
    size_t n;
    int *places;
    struct conf_auth *a = b->auth;
    const struct conf_option *o = conf_schema_get(section_of(AUTH_JWT), "claim_header");
    const char **texts = conf_texts(b->load, b->node, o, &n, &places);
    a->claim_headers = conf_array(b->load, n, sizeof(*a->claim_headers));
    for (size_t i = 0; a->claim_headers && i < n; i++) {
        struct conf_claim_header *h = &a->claim_headers[a->nclaim_headers++];
        conf_cut_field(b->load, texts[i], &h->name, &h->claim);
        if (!http_is_token(slice_of(h->name)) || http_is_hop_by_hop(slice_of(h->name)))
            conf_mistake(b->load->report, places[i], "claim_header: '%s' is not the name of a header field",
                         h->name);
        else if (!h->claim || h->claim[0] == '\0')
            conf_mistake(b->load->report, places[i],
                         "claim_header: '%s' needs a claim behind a colon: \"X-User: sub\"", h->name);
    }
}

/* ---- a service that is asked ---- */

static bool find_backend(const struct build *b, const char *name)
{
    const struct conf *c = b->load->conf;
    for (size_t i = 0; i < c->nbackends; i++)
        if (strcmp(c->backends[i].name, name) == 0)
            return b->auth->backend = i, true;
    return false;
}

static void build_external(const struct build *b)
{
    int place;
    bool is_given;
    struct conf_auth *a = b->auth;
    const struct conf_option *o = conf_schema_get(section_of(AUTH_EXTERNAL), "backend");
    const char *name = conf_text(b->load, b->node, o, &place, &is_given);
    if (!is_given && !conf_node_has_gaps(b->node))
        conf_mistake(b->load->report, b->place, "auth_request \"%s\" needs a backend", a->name);
    else if (name && !find_backend(b, name))
        conf_mistake(b->load->report, place, "unknown backend '%s'", name);
    if (a->path[0] != '/' || strpbrk(a->path, " \t\r\n#"))
        conf_mistake(b->load->report, place_of(b, "path", 0),
                     "path: '%s' is no path: it begins with '/' and has no white space", a->path);
    for (size_t i = 0; i < a->ncopied; i++)
        if (!http_is_token(slice_of(a->copied[i])) || http_is_hop_by_hop(slice_of(a->copied[i])))
            conf_mistake(b->load->report, place_of(b, "copy", i),
                         "copy: '%s' is not the name of a header field", a->copied[i]);
}

/* ---- whole sections ---- */

static void check_name(const struct build *b, const struct conf_auth *at, size_t before)
{
    const struct conf_value title = conf_node_title(b->node);
    if (title.is_broken)
        return;
    if (title.text[0] == '\0' || !http_is_field_value(slice_of(title.text)) || strpbrk(title.text, "\"\\\t"))
        conf_mistake(b->load->report, b->place, "%s: '%s' is no name", section_names[b->auth->kind],
                     title.text);
    for (size_t i = 0; i < before; i++)
        if (strcmp(at[i].name, b->auth->name) == 0)
            conf_mistake(b->load->report, b->place, "\"%s\" is there already, as %s at %s:%d", at[i].name,
                         section_names[at[i].kind], at[i].where.file, at[i].where.line);
}

static void check_places(const struct build *b)
{
    const struct conf_auth *a = b->auth;
    if ((a->kind == AUTH_KEYS || a->kind == AUTH_JWT) && !a->header && !a->query && !a->cookie)
        conf_mistake(b->load->report, b->place, "%s \"%s\" looks nowhere: it needs header%s",
                     section_names[a->kind], a->name, a->kind == AUTH_KEYS ? " or query" : " or cookie");
    if (a->header && !http_is_token(slice_of(a->header)))
        conf_mistake(b->load->report, place_of(b, "header", 0),
                     "header: '%s' is not the name of a header field", a->header);
    if (a->realm && (!http_is_field_value(slice_of(a->realm)) || strpbrk(a->realm, "\"\\\t")))
        conf_mistake(b->load->report, place_of(b, "realm", 0),
                     "realm: quotes, backslashes and control characters cannot be told");
}

static void build_one(const struct build *b)
{
    struct conf_auth *a = b->auth;
    conf_bind(b->load, b->node, section_of(a->kind), a);
    a->where = conf_report_where(b->load->report, b->place);
    a->name = conf_copy(b->load, slice_of(conf_node_title(b->node).text));
    check_places(b);
    if (!a->realm)
        a->realm = a->name;
    if (a->kind == AUTH_KEYS || a->kind == AUTH_USERS)
        read_people(b);
    if (a->kind == AUTH_EXTERNAL)
        build_external(b);
    if (a->kind != AUTH_JWT)
        return;
    build_sources(b);
    build_policy(b);
    build_claim_headers(b);
}

/* A key in a query is a secret: the log does not show it. */
static void mask_queries(struct conf_load *load)
{
    struct conf *c = load->conf;
    struct conf_log *log = &c->log;
    const char **all = conf_array(load, log->nmask_query + c->nauths, sizeof(*all));
    if (!all)
        return;
    for (size_t i = 0; i < log->nmask_query; i++)
        all[i] = log->mask_query[i];
    log->mask_query = all;
    for (size_t i = 0; i < c->nauths; i++) {
        bool is_there = !c->auths[i].query;
        for (size_t j = 0; !is_there && j < log->nmask_query; j++)
            is_there = strcmp(all[j], c->auths[i].query) == 0;
        if (!is_there)
            all[log->nmask_query++] = c->auths[i].query;
    }
}

void conf_build_auths(struct conf_load *load, const struct conf_node *root)
{
    struct conf *c = load->conf;
    size_t n = 0;
    for (size_t kind = 0; kind < KINDS; kind++)
        n += conf_node_count(root, section_names[kind]);
    c->auths = conf_array(load, n, sizeof(*c->auths));
    for (size_t kind = 0; c->auths && kind < KINDS; kind++)
        for (size_t i = 0; i < conf_node_count(root, section_names[kind]); i++) {
            struct build b = {.load = load, .auth = &c->auths[c->nauths]};
            b.node = conf_node_section(root, section_names[kind], i);
            b.place = conf_node_title(b.node).place;
            b.auth->kind = (enum conf_auth_kind)kind;
            c->nauths++;
            build_one(&b);
            check_name(&b, c->auths, c->nauths - 1);
        }
    mask_queries(load);
}

void conf_free_auths(struct conf *c)
{
    for (size_t i = 0; i < c->nauths; i++) {
        api_keys_put(c->auths[i].keys);
        password_put(c->auths[i].users);
        jwks_put(c->auths[i].jwks);
    }
}

/* ---- of a route ---- */

static bool find_auth(struct conf_load *load, const char *name, int place, size_t *index)
{
    const struct conf *c = load->conf;
    const char **names = conf_array(load, c->nauths, sizeof(*names));
    for (size_t i = 0; names && i < c->nauths; i++) {
        names[i] = c->auths[i].name;
        if (strcmp(names[i], name) == 0) {
            *index = i;
            return true;
        }
    }
    const char *meant = names ? nearest(slice_of(name), names, c->nauths) : NULL;
    conf_mistake(load->report, place, "auth: there is no api_keys, users, jwt or auth_request '%s'%s%s%s",
                 name, meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
    return false;
}

void conf_build_route_auths(struct conf_load *load, const struct conf_node *node, struct conf_route *r)
{
    size_t n;
    int *places;
    bool has_scopes = false;
    const struct conf_section *route = conf_schema_get(&conf_schema, "route")->section;
    const char **texts = conf_texts(load, node, conf_schema_get(route, "auth"), &n, &places);
    r->auths = conf_array(load, n, sizeof(*r->auths));
    for (size_t i = 0; r->auths && i < n; i++)
        if (find_auth(load, texts[i], places[i], &r->auths[r->nauths])) {
            has_scopes |= load->conf->auths[r->auths[r->nauths]].kind != AUTH_USERS;
            r->nauths++;
        }
    if (r->nscopes > 0 && !has_scopes && !conf_node_has_gaps(node))
        conf_mistake(load->report, conf_node_value(node, "scope", 0)->place,
                     "scope: only tokens and API keys have scopes: the route needs one of them in its auth");
}

/* ---- printing ---- */

static void print_claim_headers(const struct conf_auth *a, FILE *out)
{
    char text[4096];
    if (a->nclaim_headers == 0)
        return;
    fputs("  claim_header = {", out);
    for (size_t i = 0; i < a->nclaim_headers; i++) {
        snprintf(text, sizeof(text), "%s: %s", a->claim_headers[i].name, a->claim_headers[i].claim);
        fputs(i ? ", " : "", out);
        conf_print_quoted(text, out);
    }
    fputs("}\n", out);
}

void conf_print_auths(const struct conf *c, FILE *out)
{
    for (size_t i = 0; i < c->nauths; i++) {
        const struct conf_auth *a = &c->auths[i];
        fprintf(out, "\n%s ", section_names[a->kind]);
        conf_print_quoted(a->name, out);
        fputs(" {\n", out);
        if (a->kind == AUTH_EXTERNAL) {
            fputs("  backend = ", out);
            conf_print_quoted(c->backends[a->backend].name, out);
            fputc('\n', out);
        }
        conf_print(section_of(a->kind), a, out, 2);
        print_claim_headers(a, out);
        fputs("}\n", out);
    }
}

void conf_print_route_auths(const struct conf *c, const struct conf_route *r, FILE *out)
{
    if (r->nauths == 0)
        return;
    fputs("  auth = {", out);
    for (size_t i = 0; i < r->nauths; i++) {
        fputs(i ? ", " : "", out);
        conf_print_quoted(c->auths[r->auths[i]].name, out);
    }
    fputs("}\n", out);
}
