/*
 * units.h: quantities as people write them: durations, sizes, rates, percentages.
 *
 *     duration    "10ms" "1s" "5m" "2h" "1d", or "0"              -> milliseconds
 *     size        "512" "16k" "10m" "1g"; also "16kb" "16KiB"     -> bytes; k, m, g are powers of 1024, any
 * case rate        "100/s" "10/m" "5/h" "1/d" "100/10s"            -> a count and the milliseconds it is for
 *     percentage  "50%" "0.5%" "12.25%"                           -> hundredths of a percent; 0% to 100%
 *
 * Numbers are whole and have no sign; only a percentage may have up to two decimals. There is no space
 * inside. Printing gives the shortest of these forms, which reads back as the same quantity.
 *
 *     uint64_t ms;
 *     enum units_fault fault = units_parse_time(SLICE("5m"), &ms);
 *     if (fault) complain(units_fault_text(fault));
 *
 * Pure functions, callable from any thread.
 */
#ifndef LIB_UNITS_H
#define LIB_UNITS_H

#include "lib/check.h"
#include "lib/slice.h"

enum units_fault {
    UNITS_OK,
    UNITS_NO_NUMBER, /* does not begin with a digit */
    UNITS_TOO_BIG,   /* does not fit into 64 bits, or is above 100% */
    UNITS_NO_UNIT,   /* a number alone, where the unit decides */
    UNITS_BAD_UNIT,  /* what follows the number is no unit of this quantity */
};

struct units_rate {
    uint64_t count;
    uint64_t per_ms; /* never 0 */
};

#define UNITS_TEXT_MAX     48    /* longest text, with its NUL */
#define UNITS_FULL_PERCENT 10000 /* 100% in hundredths of a percent */

/* The output is written only when the result is UNITS_OK. */
MUST_USE enum units_fault units_parse_time(struct slice text, uint64_t *ms);
MUST_USE enum units_fault units_parse_size(struct slice text, uint64_t *bytes);
MUST_USE enum units_fault units_parse_rate(struct slice text, struct units_rate *rate);
MUST_USE enum units_fault units_parse_percent(struct slice text, unsigned *hundredths);

/* A fault as words: "needs a unit". */
const char *units_fault_text(enum units_fault f);

/* These return OUT, NUL-terminated. */
const char *units_print_time(uint64_t ms, char out[UNITS_TEXT_MAX]);
const char *units_print_size(uint64_t bytes, char out[UNITS_TEXT_MAX]);
const char *units_print_rate(struct units_rate rate, char out[UNITS_TEXT_MAX]);
const char *units_print_percent(unsigned hundredths, char out[UNITS_TEXT_MAX]);

#endif
