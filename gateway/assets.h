/*
 * assets.h: files that are a part of the binary.
 *
 *     const struct asset *a = asset_find("/openapi.json");
 *     char etag[ASSET_ETAG_MAX];
 *     asset_etag(a, etag);
 *     send(a->bytes, asset_len(a), a->type, etag);
 *
 * A new one is a line EMBED and a row in assets.c, and its file among ASSETS in the Makefile.
 *
 * Constant data, any thread.
 */
#ifndef GATEWAY_ASSETS_H
#define GATEWAY_ASSETS_H

#include <stddef.h>

#define ASSET_ETAG_MAX 24 /* bytes, with the quotes and the NUL */

struct asset {
    const char *name; /* the path where it is served */
    const char *type; /* Content-Type */
    const char *bytes, *end;
};

/* NULL: there is none of that name. */
const struct asset *asset_find(const char *name);

size_t asset_len(const struct asset *a);

/* A strong entity tag: the same bytes have the same one in every process. */
void asset_etag(const struct asset *a, char out[ASSET_ETAG_MAX]);

#endif
