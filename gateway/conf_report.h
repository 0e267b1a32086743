/*
 * conf_report.h: what is wrong with a configuration, and where. Used by the conf_*.c files only.
 *
 * A place is a number that stands for a line of a file. Places are numbered from 1 in the order of reading,
 * over all included files, so that mistakes which are found later (a value out of range, a backend that does
 * not exist) can still be told in the order of the text.
 *
 *     int place = conf_report_place(r, "conf/tollgate.conf", 12);
 *     conf_mistake(r, place, "unknown option '%s'", name);
 *
 * Owned by one thread. Running out of memory is remembered and makes the load fail.
 */
#ifndef GATEWAY_CONF_REPORT_H
#define GATEWAY_CONF_REPORT_H

#include "gateway/conf.h"

struct conf_remark {
    int place;
    bool is_warning;
    char *text; /* "file:line: reason", from malloc */
};

struct conf_report {
    struct conf_where *places; /* places[i] is place i + 1 */
    size_t nplaces;
    size_t places_room;
    struct conf_remark *remarks;
    size_t nremarks;
    size_t remarks_room;
    size_t nmistakes; /* remarks that are no warnings, also those past the bound */
    bool is_short;    /* memory ran out */
};

/* A reason that a check writes for its caller to put behind "what: ". */
struct conf_why {
    char text[320];
};

/* The place of that line: the last one again when it is the same. FILE must outlive the report. */
int conf_report_place(struct conf_report *r, const char *file, int line);
struct conf_where conf_report_where(const struct conf_report *r, int place);

void conf_mistake(struct conf_report *r, int place, const char *fmt, ...) PRINTF_LIKE(3, 4);
void conf_warning(struct conf_report *r, int place, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Write the reason; always false, for "return conf_refuse(...)". */
bool conf_refuse(struct conf_why *why, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Hand the texts over, in order, and free the rest. True when there is no mistake. */
MUST_USE bool conf_report_finish(struct conf_report *r, struct conf_mistakes *out);

#endif
