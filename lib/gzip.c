/* gzip.c: see gzip.h. The fastest level: such pages repeat themselves and shrink to a tenth at any. */
#include "lib/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW   (15 + 16) /* the largest window; 16: with gzip's head and tail */
#define MEM      8         /* zlib's own default */
#define TEXT_MAX ((size_t)1 << 30)

char *gzip_pack(const char *text, size_t text_len, size_t *len)
{
    z_stream z = {0};
    if (text_len > TEXT_MAX ||
        deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW, MEM, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    uLong room = deflateBound(&z, (uLong)text_len);
    char *packed = malloc(room);
    z.next_in = (z_const Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)text_len;
    z.next_out = (Bytef *)packed;
    z.avail_out = (uInt)room;
    int result = packed ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
    *len = z.total_out;
    deflateEnd(&z);
    if (result == Z_STREAM_END)
        return packed;
    free(packed);
    return NULL;
}
