/* conf_edits.c: changes to header fields; see conf_build.h. */
#include "gateway/conf_build.h"
#include "gateway/conf_template.h"

void conf_cut_field(struct conf_load *load, const char *text, const char **name, const char **value)
{
    struct slice s = slice_of(text);
    ptrdiff_t colon = slice_find(s, ':');
    *name = conf_copy(load, slice_trim(colon < 0 ? s : (struct slice){s.p, (size_t)colon}));
    *value = colon < 0 ? NULL : conf_copy(load, slice_trim(slice_skip(s, (size_t)colon + 1)));
}

/* Fields that frame or route the message are not to be edited; what to use instead. */
static bool check_may_edit(struct slice name, bool is_request, struct conf_why *why)
{
    if (slice_eq_nocase(name, SLICE("Content-Length")) || slice_eq_nocase(name, SLICE("Transfer-Encoding")))
        return conf_refuse(why, "%.*s tells where the message ends; the gateway sets it", SLICE_ARG(name));
    if (http_is_hop_by_hop(name))
        return conf_refuse(why, "%.*s belongs to one connection; the gateway sets it", SLICE_ARG(name));
    if (slice_eq_nocase(name, SLICE("Host")) && is_request)
        return conf_refuse(why, "Host cannot be edited: use upstream_host");
    return true;
}

static bool check_value(const char *value, const struct conf_params *params, struct conf_why *why)
{
    if (!value)
        return conf_refuse(why, "expected \"Name: value\"");
    if (value[0] == '\0')
        return conf_refuse(why, "the value is empty; to take the field away use remove");
    if (!http_is_field_value(slice_of(value)) || strchr(value, '\t'))
        return conf_refuse(why, "a value holds no tab, newline or other control byte");
    return !params || conf_template_check(value, params, CONF_TEMPLATE_HOST, why);
}

static bool build_edit(struct conf_load *load, const char *text, const struct conf_params *params,
                       bool is_request, struct conf_edit *out, struct conf_why *why)
{
    conf_cut_field(load, text, &out->name, &out->value);
    if (!http_is_token(slice_of(out->name)))
        return conf_refuse(why, "'%.80s' is not the name of a header field", out->name);
    if (!check_may_edit(slice_of(out->name), is_request, why))
        return false;
    if (out->kind != EDIT_REMOVE)
        return check_value(out->value, params, why);
    return !out->value || conf_refuse(why, "only the name is given: \"%.80s\"", out->name);
}

void conf_build_edits(struct conf_load *load, const struct conf_node *node, const char *name,
                      const struct conf_params *params, struct conf_edits *out)
{
    static const char *const rows[] = {[EDIT_SET] = "set", [EDIT_ADD] = "add", [EDIT_REMOVE] = "remove"};
    struct conf_why why;
    const struct conf_node *section = conf_only(node, name);
    const struct conf_section *schema =
        conf_schema_get(conf_schema_get(&conf_schema, "route")->section, name)->section;
    size_t total = 0;
    for (int kind = EDIT_SET; section && kind <= EDIT_REMOVE; kind++)
        total += conf_node_count(section, rows[kind]);
    out->at = conf_array(load, total, sizeof(*out->at));
    for (int kind = EDIT_SET; section && out->at && kind <= EDIT_REMOVE; kind++) {
        size_t n;
        int *places;
        const char **texts = conf_texts(load, section, conf_schema_get(schema, rows[kind]), &n, &places);
        for (size_t i = 0; i < n; i++) {
            struct conf_edit *edit = &out->at[out->n++];
            edit->kind = (enum conf_edit_kind)kind;
            if (!build_edit(load, texts[i], params, strcmp(name, "request_header") == 0, edit, &why))
                conf_mistake(load->report, places[i], "%s: %s: %s", name, rows[kind], why.text);
        }
    }
}
