/* http_range.c: see http_range.h. */
#include "lib/http_range.h"

#define POSITION_MAX ((uint64_t)INT64_MAX)

/* "first-last", "first-" or "-suffix". False: malformed. *SATISFIES: there is such a part. */
static bool read_spec(struct slice spec, uint64_t length, struct http_range *r, bool *satisfies)
{
    ptrdiff_t dash = slice_find(spec, '-');
    if (dash < 0)
        return false;
    struct slice first = {spec.p, (size_t)dash}, last = slice_skip(spec, (size_t)dash + 1);
    uint64_t n;
    if (first.len == 0) {
        if (!slice_to_u64(last, POSITION_MAX, &n))
            return false;
        *satisfies = n > 0 && length > 0;
        *r = (struct http_range){n < length ? length - n : 0, length - 1};
        return true;
    }
    if (!slice_to_u64(first, POSITION_MAX, &r->first))
        return false;
    r->last = length - 1;
    if (last.len > 0 && (!slice_to_u64(last, POSITION_MAX, &n) || n < r->first))
        return false;
    if (last.len > 0 && n < r->last)
        r->last = n;
    *satisfies = r->first < length;
    return true;
}

enum http_range_result http_range_read(struct slice value, uint64_t length,
                                       struct http_range ranges[HTTP_RANGES_MAX], size_t *n)
{
    struct slice unit = {value.p, value.len < 6 ? value.len : 6}, rest = slice_skip(value, 6), spec;
    uint64_t bytes = 0;
    size_t specs = 0;
    *n = 0;
    if (!slice_eq_nocase(unit, SLICE("bytes=")))
        return HTTP_RANGE_WHOLE;
    while (slice_next_token(&rest, &spec)) {
        struct http_range r;
        bool satisfies;
        if (++specs > HTTP_RANGES_MAX || !read_spec(spec, length, &r, &satisfies))
            return HTTP_RANGE_WHOLE;
        if (!satisfies)
            continue;
        ranges[(*n)++] = r;
        bytes += r.last - r.first + 1; /* at most 16 times 2^63: looked at after each */
        if (bytes > length)
            return HTTP_RANGE_WHOLE;
    }
    if (specs == 0)
        return HTTP_RANGE_WHOLE;
    return *n > 0 ? HTTP_RANGE_PARTS : HTTP_RANGE_UNSATISFIABLE;
}

bool http_range_read_content(struct slice value, struct http_range *range, uint64_t *length)
{
    if (value.len < 6 || !slice_eq_nocase((struct slice){value.p, 6}, SLICE("bytes ")))
        return false;
    struct slice rest = slice_skip(value, 6);
    ptrdiff_t dash = slice_find(rest, '-'), slash = slice_find(rest, '/');
    return dash >= 0 && slash > dash &&
           slice_to_u64((struct slice){rest.p, (size_t)dash}, POSITION_MAX, &range->first) &&
           slice_to_u64((struct slice){rest.p + dash + 1, (size_t)(slash - dash - 1)}, POSITION_MAX,
                        &range->last) &&
           slice_to_u64(slice_skip(rest, (size_t)slash + 1), POSITION_MAX, length) &&
           range->first <= range->last && range->last < *length;
}
