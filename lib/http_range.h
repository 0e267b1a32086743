/*
 * http_range.h: Range, for a representation whose length is known.
 *
 *     struct http_range ranges[HTTP_RANGES_MAX];
 *     switch (http_range_read(SLICE("bytes=0-9,-5"), 100, ranges, &n)) ...       // 0..9 and 95..99
 *
 * What is malformed, of another unit, or asks for more parts than HTTP_RANGES_MAX or for more bytes than
 * there are (by overlaps), is as if it were not there: the whole is sent (RFC 9110, 14.2). Ranges keep the
 * order they were asked for in; those that begin behind the end are left out. RANGES and N are only good with
 * HTTP_RANGE_PARTS.
 *
 * Pure function, any thread. Source: RFC 9110, 14.
 */
#ifndef LIB_HTTP_RANGE_H
#define LIB_HTTP_RANGE_H

#include "lib/check.h"
#include "lib/slice.h"

#define HTTP_RANGES_MAX 16

struct http_range {
    uint64_t first, last; /* bytes, both included */
};

enum http_range_result {
    HTTP_RANGE_WHOLE,         /* no range that counts */
    HTTP_RANGE_PARTS,         /* 206 */
    HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

MUST_USE enum http_range_result http_range_read(struct slice value, uint64_t length,
                                                struct http_range ranges[HTTP_RANGES_MAX], size_t *n);

/* "bytes 4-9/10" of a 206; false when it is malformed or its length is not known. */
MUST_USE bool http_range_read_content(struct slice value, struct http_range *range, uint64_t *length);

#endif
