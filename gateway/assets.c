/*
 * assets.c: see assets.h.
 *
 * The assembler takes each file in as it is (.incbin), for gcc and clang alike, so that nothing has to be
 * turned into C first. Paths are seen from where the compiler is started: the top of the source tree.
 */
#include "gateway/assets.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/hash.h"

/* The bytes of PATH, from NAME to NAME_end. */
#define EMBED(name, path)                                                                                    \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".balign 16\n"                                                                                   \
            ".globl asset_" #name "\n.hidden asset_" #name "\n"                                              \
            "asset_" #name ":\n"                                                                             \
            ".incbin \"" path "\"\n"                                                                         \
            ".globl asset_" #name "_end\n.hidden asset_" #name "_end\n"                                      \
            "asset_" #name "_end:\n"                                                                         \
            ".byte 0\n"                                                                                      \
            ".popsection\n");                                                                                \
    extern const char asset_##name[], asset_##name##_end[]

EMBED(openapi, "conf/openapi.json");
EMBED(page, "gateway/dashboard/index.html");
EMBED(style, "gateway/dashboard/style.css");
EMBED(app, "gateway/dashboard/app.js");
EMBED(backends, "gateway/dashboard/backends.js");
EMBED(chart, "gateway/dashboard/chart.js");
EMBED(dom, "gateway/dashboard/dom.js");
EMBED(format, "gateway/dashboard/format.js");
EMBED(log, "gateway/dashboard/log.js");
EMBED(model, "gateway/dashboard/model.js");
EMBED(overview, "gateway/dashboard/overview.js");
EMBED(routes, "gateway/dashboard/routes.js");
EMBED(stores, "gateway/dashboard/stores.js");
EMBED(traces, "gateway/dashboard/traces.js");
EMBED(wire, "gateway/dashboard/wire.js");

#define SCRIPT "text/javascript; charset=utf-8"

static const struct asset assets[] = {
    {"/openapi.json", "application/json", asset_openapi, asset_openapi_end},
    {"/", "text/html; charset=utf-8", asset_page, asset_page_end},
    {"/dashboard/style.css", "text/css; charset=utf-8", asset_style, asset_style_end},
    {"/dashboard/app.js", SCRIPT, asset_app, asset_app_end},
    {"/dashboard/backends.js", SCRIPT, asset_backends, asset_backends_end},
    {"/dashboard/chart.js", SCRIPT, asset_chart, asset_chart_end},
    {"/dashboard/dom.js", SCRIPT, asset_dom, asset_dom_end},
    {"/dashboard/format.js", SCRIPT, asset_format, asset_format_end},
    {"/dashboard/log.js", SCRIPT, asset_log, asset_log_end},
    {"/dashboard/model.js", SCRIPT, asset_model, asset_model_end},
    {"/dashboard/overview.js", SCRIPT, asset_overview, asset_overview_end},
    {"/dashboard/routes.js", SCRIPT, asset_routes, asset_routes_end},
    {"/dashboard/stores.js", SCRIPT, asset_stores, asset_stores_end},
    {"/dashboard/traces.js", SCRIPT, asset_traces, asset_traces_end},
    {"/dashboard/wire.js", SCRIPT, asset_wire, asset_wire_end},
};

const struct asset *asset_find(const char *name)
{
    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
        if (strcmp(assets[i].name, name) == 0)
            return &assets[i];
    return NULL;
}

size_t asset_len(const struct asset *a)
{
    return (size_t)(a->end - a->bytes);
}

void asset_etag(const struct asset *a, char out[ASSET_ETAG_MAX])
{
    snprintf(out, ASSET_ETAG_MAX, "\"%016" PRIx64 "\"", hash_bytes(a->bytes, asset_len(a), 0));
}
