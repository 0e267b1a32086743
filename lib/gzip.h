/*
 * gzip.h: a text made smaller (RFC 1952); the home of zlib.
 *
 *     size_t len;
 *     char *packed = gzip_pack(text, text_len, &len);          // NULL: memory is short
 *     free(packed);
 *
 * For pages that are made now and then, not for the path of a request: it takes the time it takes, some 10 ms
 * for each MB. Any thread.
 */
#ifndef LIB_GZIP_H
#define LIB_GZIP_H

#include <stddef.h>

#include "lib/check.h"

/* Gives LEN bytes from malloc. NULL: memory is short, or the text is longer than 1 GB. */
MUST_USE char *gzip_pack(const char *text, size_t text_len, size_t *len);

#endif
