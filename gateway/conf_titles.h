/*
 * conf_titles.h: the titles that a section's sections have had so far. Used by conf_reader.c only.
 *
 * {0} is the empty set. Owned by one thread.
 */
#ifndef GATEWAY_CONF_TITLES_H
#define GATEWAY_CONF_TITLES_H

#include "gateway/conf_schema.h"

struct conf_title;

struct conf_titles {
    struct conf_title *newest;
};

/* Remember TITLE of a section OPTION at PLACE: 0. When it is there already: the place it had. Out of memory:
 * -1. */
MUST_USE int conf_titles_add(struct conf_titles *t, const struct conf_option *option, const char *title,
                             int place);
void conf_titles_free(struct conf_titles *t);

#endif
