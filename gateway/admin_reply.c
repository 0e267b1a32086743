/* admin_reply.c: see admin_reply.h. */
#include "gateway/admin_reply.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/assets.h"
#include "gateway/problem.h"
#include "lib/http_conditions.h"

enum MHD_Result admin_queue(struct MHD_Connection *c, unsigned status, struct MHD_Response *r,
                            const struct admin_field *more)
{
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (more && more->value)
        MHD_add_response_header(r, more->name, more->value);
    enum MHD_Result ok = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ok;
}

static struct MHD_Response *response(const char *type, const char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (r && *type)
        MHD_add_response_header(r, "Content-Type", type);
    return r;
}

enum MHD_Result admin_reply(struct MHD_Connection *c, unsigned status, const char *type, const char *text)
{
    return admin_queue(c, status, response(type, text), NULL);
}

enum MHD_Result admin_refuse_short(struct MHD_Connection *c)
{
    static const char text[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                               "\"detail\":\"memory is short\"}\n";
    static const struct admin_field type = {"Content-Type", "application/problem+json"};
    return admin_queue(
        c, 503,
        MHD_create_response_from_buffer(sizeof(text) - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT),
        &type);
}

enum MHD_Result admin_refuse(struct MHD_Connection *c, unsigned status, const char *detail,
                             const struct admin_field *more)
{
    char *text = problem_text(status, detail);
    enum MHD_Result ok = text ? admin_queue(c, status, response("application/problem+json", text), more)
                              : admin_refuse_short(c);
    free(text);
    return ok;
}

struct slice admin_header(struct MHD_Connection *c, const char *name)
{
    return slice_of(MHD_lookup_connection_value(c, MHD_HEADER_KIND, name));
}

static bool has_already(struct slice if_none_match, const char *etag)
{
    for (struct slice one; slice_next_token(&if_none_match, &one);)
        if (slice_eq(one, SLICE("*")) || http_etag_matches(one, slice_of(etag), false))
            return true;
    return false;
}

/* Only what comes from here runs in a page, and nothing of it goes elsewhere, whatever a line of the log
 * holds. */
static const struct admin_field page_fields[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
    {"X-Content-Type-Options", "nosniff"},
};

enum MHD_Result admin_reply_asset(struct MHD_Connection *c, const char *name)
{
    char etag[ASSET_ETAG_MAX];
    const struct asset *file = asset_find(name);
    if (!file)
        return admin_refuse(c, 404, "there is no such file", NULL);
    asset_etag(file, etag);
    bool is_same = has_already(admin_header(c, "If-None-Match"), etag);
    struct MHD_Response *r = MHD_create_response_from_buffer(
        is_same ? 0 : asset_len(file), (void *)(uintptr_t)file->bytes, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "ETag", etag);
    for (size_t i = 0; i < sizeof(page_fields) / sizeof(page_fields[0]); i++)
        MHD_add_response_header(r, page_fields[i].name, page_fields[i].value);
    if (!is_same)
        MHD_add_response_header(r, "Content-Type", file->type);
    enum MHD_Result ok = MHD_queue_response(c, is_same ? 304 : 200, r);
    MHD_destroy_response(r);
    return ok;
}
