/*
 * openmetrics.h: a page of metrics in Prometheus' older text format (0.0.4) becomes one in OpenMetrics 1.0.
 *
 *     char *open = openmetrics_of(text, text_len, &len);         // NULL: memory is short
 *     free(open);
 *
 * So that each family is printed once, by whoever counts it, in the format that all of them know. What
 * differs, and is changed here: the family of a counter goes without the `_total` of its samples; a family
 * whose name ends in a base unit says so in `# UNIT`; untyped is called unknown; comments of other kinds and
 * blank lines go; the page ends with `# EOF`. Samples are left as they are, with the exemplars that whoever
 * printed them has put behind them. `_created` samples are not made: they are optional, and Prometheus stores
 * each of them as a series of its own.
 *
 * What the older format lets pass and this one does not must be right already: HELP and TYPE stand before the
 * samples of their family, samples of a family stand together, a counter's name ends in `_total`, no gauge
 * has the name of a counter without it, and `le` is written like "1.0".
 */
#ifndef GATEWAY_OPENMETRICS_H
#define GATEWAY_OPENMETRICS_H

#include <stddef.h>

#include "lib/check.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Gives the page from malloc, NUL-terminated, *LEN without the NUL. */
MUST_USE char *openmetrics_of(const char *text, size_t text_len, size_t *len);

#endif
