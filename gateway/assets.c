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

static const struct asset assets[] = {
    {"/openapi.json", "application/json", asset_openapi, asset_openapi_end},
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
