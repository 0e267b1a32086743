/*
 * http_date.h: dates as HTTP writes them.
 *
 *     int64_t t;
 *     if (http_date_parse(SLICE("Sun, 06 Nov 1994 08:49:37 GMT"), now_s, &t)) ...      // 784111777
 *     char text[HTTP_DATE_LEN + 1];
 *     http_date_format(now_s, text);
 *
 * All three forms that a recipient has to take: IMF-fixdate, the one of RFC 850, and that of asctime(). A
 * year of two digits is in the century that puts it nearest, but not more than 50 years ahead. Strict
 * otherwise: names in their case, GMT, days that the month has; the name of the day is checked to be one, not
 * to be the right one. A second of 60 is taken as the one before.
 *
 * Seconds since 1970 UTC; years 1 to 9999. Pure functions, any thread. Source: RFC 9110, 5.6.7.
 */
#ifndef LIB_HTTP_DATE_H
#define LIB_HTTP_DATE_H

#include "lib/check.h"
#include "lib/slice.h"

#define HTTP_DATE_LEN 29 /* of an IMF-fixdate */

MUST_USE bool http_date_parse(struct slice text, int64_t now_s, int64_t *seconds);

/* TEXT gets HTTP_DATE_LEN characters and a NUL. A time out of range becomes the nearest one in it. */
void http_date_format(int64_t seconds, char *text);

#endif
