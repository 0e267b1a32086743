/* scrape.c: see scrape.h. Names are those of RFC 9110, 12.5.1 and 12.5.3; the most exact range decides. */
#include "gateway/scrape.h"

#include <stdlib.h>

#include "gateway/openmetrics.h"
#include "lib/accept.h"
#include "lib/gzip.h"

struct weights {
    unsigned open; /* of OpenMetrics */
    unsigned text; /* of text/plain */
    unsigned
        exactness; /* of the range that text/plain has its weight from: 0 none, 1 any, 2 text, 3 itself */
};

static bool has_version(const struct accept_part *part, struct slice version)
{
    struct slice given = accept_parameter(part, SLICE("version"));
    return !given.p || slice_eq(given, version);
}

static unsigned text_exactness(const struct accept_part *part)
{
    if (slice_eq_nocase(part->name, SLICE("text/plain")))
        return has_version(part, SLICE("0.0.4")) ? 3 : 0;
    if (slice_eq_nocase(part->name, SLICE("text/*")))
        return 2;
    return slice_eq(part->name, SLICE("*/*"));
}

static void weigh(const struct accept_part *part, struct weights *w)
{
    unsigned exactness = text_exactness(part);
    if (exactness > w->exactness || (exactness > 0 && exactness == w->exactness && part->quality > w->text)) {
        w->exactness = exactness;
        w->text = part->quality;
    }
    if (slice_eq_nocase(part->name, SLICE("application/openmetrics-text")) &&
        has_version(part, SLICE("1.0.0")) && part->quality > w->open)
        w->open = part->quality;
}

static unsigned gzip_quality(struct slice accept_encoding)
{
    return accept_quality(accept_encoding, SLICE("gzip"), SLICE("*"));
}

struct scrape scrape_wanted(struct slice accept, struct slice accept_encoding)
{
    struct weights w = {0};
    struct accept_part part;
    while (accept_next(&accept, &part))
        weigh(&part, &w);
    return (struct scrape){
        .format = w.open > 0 && w.open >= w.text ? METRICS_OPEN : METRICS_TEXT,
        .is_packed = gzip_quality(accept_encoding) > 0,
    };
}

const char *scrape_type(enum metrics_format format)
{
    return format == METRICS_OPEN ? OPENMETRICS_TYPE : "text/plain; version=0.0.4; charset=utf-8";
}

char *scrape_pack(struct scrape *s, char *text, size_t *len)
{
    size_t packed_len = 0;
    char *packed = s->is_packed && text ? gzip_pack(text, *len, &packed_len) : NULL;
    s->is_packed = packed != NULL;
    if (!packed)
        return text;
    free(text);
    *len = packed_len;
    return packed;
}
