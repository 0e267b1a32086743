/*
 * scrape.h: the page of metrics as its reader asks for it: the format by Accept, gzip by Accept-Encoding.
 *
 *     struct scrape s = scrape_wanted(accept, accept_encoding);     // either may be empty
 *     text = metrics_text(m, &gauges, s.format, &len);
 *     text = scrape_pack(&s, text, &len);
 *     Content-Type: scrape_type(s.format); Content-Encoding: gzip when s.is_packed
 *
 * OpenMetrics is for those who name it (application/openmetrics-text, version 1.0.0 or none) at least as
 * gladly as text/plain; a browser's star gets text.
 */
#ifndef GATEWAY_SCRAPE_H
#define GATEWAY_SCRAPE_H

#include <stdbool.h>

#include "gateway/metrics.h"
#include "lib/slice.h"

struct scrape {
    enum metrics_format format;
    bool is_packed;
};

struct scrape scrape_wanted(struct slice accept, struct slice accept_encoding);

const char *scrape_type(enum metrics_format format);

/* Takes TEXT (NULL: stays so), gives it packed when that is wanted and memory is not short; then s->is_packed
 * says what became of it. */
char *scrape_pack(struct scrape *s, char *text, size_t *len);

#endif
