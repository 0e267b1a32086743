/*
 * conf_clean.h: the text that libConfuse reads, as it is written. Used by conf_reader.c only.
 *
 * Line N of the text is place N of the report. Memory that runs out is remembered in is_short. Owned by one
 * thread.
 */
#ifndef GATEWAY_CONF_CLEAN_H
#define GATEWAY_CONF_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

struct conf_clean {
    char *p; /* NUL-terminated; NULL when nothing was written */
    size_t len;
    size_t room;
    int line; /* the one being written; begins with 1 */
    bool is_short;
};

void conf_clean_put(struct conf_clean *c, const char *word);

/* Go on in the line that stands for PLACE; never back. */
void conf_clean_place(struct conf_clean *c, int place);

/* PREFIX and TEXT as one string in quotes. PREFIX needs no escapes. */
void conf_clean_quoted(struct conf_clean *c, const char *prefix, const char *text);

/* Gives the text, to be freed with free(); NULL when memory was short. */
char *conf_clean_take(struct conf_clean *c);

#endif
