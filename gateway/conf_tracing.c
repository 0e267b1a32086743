/* conf_tracing.c: the section tracing; see conf_build.h and conf.h. */
#include "gateway/conf_build.h"
#include "gateway/conf_same.h"
#include "lib/http.h"
#include "lib/trace.h"
#include "lib/uri.h"

#define WHOLE 10000.0 /* hundredths of a percent */

static const struct conf_section *tracing_section(void)
{
    return conf_schema_get(&conf_schema, "tracing")->section;
}

static void check_endpoint(struct conf_load *load, const struct conf_node *node, const struct conf_tracing *t)
{
    struct uri_target target;
    if (!t->endpoint) {
        if (t->ca_file || t->nheaders > 0)
            conf_warning(load->report, conf_node_title(node).place,
                         "nothing is exported without an endpoint: headers and ca have no effect");
        return;
    }
    int place = conf_node_value(node, "endpoint", 0)->place;
    if (!uri_split(slice_of(t->endpoint), &target) || target.form != URI_ABSOLUTE)
        conf_mistake(load->report, place, "endpoint: '%s' is no http or https URL", t->endpoint);
    else if (slice_eq(target.path, SLICE("/")) || target.path.len == 0)
        conf_warning(load->report, place, "endpoint: the path of a collector's is usually /v1/traces");
}

static void build_headers(struct conf_load *load, const struct conf_node *node, struct conf_tracing *t)
{
    int *places;
    t->headers = conf_texts(load, node, conf_schema_get(tracing_section(), "headers"), &t->nheaders, &places);
    for (size_t i = 0; i < t->nheaders; i++) {
        const char *name, *value;
        conf_cut_field(load, t->headers[i], &name, &value);
        if (!value || !http_is_token(slice_of(name)) || !http_is_field_value(slice_of(value)))
            conf_mistake(load->report, places[i], "headers: each is \"Name: value\"");
    }
}

void conf_build_tracing(struct conf_load *load, const struct conf_node *root)
{
    struct conf_tracing *t = &load->conf->tracing;
    const struct conf_node *node = conf_only(root, "tracing");
    conf_bind(load, node, tracing_section(), t);
    t->enabled = node != NULL;
    t->ratio = trace_ratio(t->sample / WHOLE);
    if (!node)
        return;
    build_headers(load, node, t);
    check_endpoint(load, node, t);
}

static bool are_same_headers(const struct conf_tracing *a, const struct conf_tracing *b)
{
    for (size_t i = 0; a->nheaders == b->nheaders && i < a->nheaders; i++)
        if (strcmp(a->headers[i], b->headers[i]) != 0)
            return false;
    return a->nheaders == b->nheaders;
}

bool conf_tracing_exports_alike(const struct conf_tracing *a, const struct conf_tracing *b)
{
    return conf_same_text(a->endpoint, b->endpoint) && conf_same_text(a->service, b->service) &&
           are_same_headers(a, b) && a->queue == b->queue && a->timeout_ms == b->timeout_ms &&
           conf_same_text(a->ca_file, b->ca_file);
}

/* Values of headers are secrets. */
void conf_print_tracing(const struct conf_tracing *t, FILE *out)
{
    if (!t->enabled)
        return;
    fputs("\ntracing {\n", out);
    conf_print(tracing_section(), t, out, 2);
    if (t->nheaders > 0)
        fputs("  headers = {", out);
    for (size_t i = 0; i < t->nheaders; i++) {
        char text[256];
        snprintf(text, sizeof(text), "%.*s: " CONF_MASK, (int)strcspn(t->headers[i], ":"), t->headers[i]);
        fputs(i > 0 ? ", " : "", out);
        conf_print_quoted(text, out);
    }
    fputs(t->nheaders > 0 ? "}\n}\n" : "}\n", out);
}
