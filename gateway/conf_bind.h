/*
 * conf_bind.h: options of plain types, from text into the fields of a struct and back, along the rows of the
 * schema. Used by the conf_*.c files only.
 */
#ifndef GATEWAY_CONF_BIND_H
#define GATEWAY_CONF_BIND_H

#include "gateway/conf_report.h"
#include "gateway/conf_schema.h"
#include "gateway/conf_tree.h"
#include "lib/arena.h"

/* What a load works on. */
struct conf_load {
    struct conf *conf;
    struct arena *arena; /* all of conf's memory */
    struct conf_report *report;
};

/*
 * Fill the fields of BASE (the struct that SECTION's rows speak of) from NODE, or with the defaults when NODE
 * is NULL or does not say. A value that is wrong is reported and the default taken. Rows without a field are
 * passed over.
 */
void conf_bind(struct conf_load *load, const struct conf_node *node, const struct conf_section *section,
               void *base);

/* The only section NAME of NODE, or NULL. */
const struct conf_node *conf_only(const struct conf_node *node, const char *name);

/* The text of an option without a field; the default (place: where NODE begins) when it is not given, and
 * then *IS_GIVEN is false. NULL when there is no default either, or the value is broken, or wrong (reported).
 */
const char *conf_text(struct conf_load *load, const struct conf_node *node, const struct conf_option *o,
                      int *place, bool *is_given);

/* The texts of a list without a field, those that are fine. PLACES, unless NULL, gets the place of each. */
const char **conf_texts(struct conf_load *load, const struct conf_node *node, const struct conf_option *o,
                        size_t *n, int **places);

/* N zeroed items; never NULL unless memory is short, which is reported. */
void *conf_array(struct conf_load *load, size_t n, size_t size);

/* A copy; "" when memory is short, which is reported. */
const char *conf_copy(struct conf_load *load, struct slice s);

/* The rows of SECTION that have a field, as "name = value" lines, from BASE. A NULL text is left out. INDENT
 * is the number of spaces before each. */
void conf_print(const struct conf_section *section, const void *base, FILE *out, int indent);

/* TEXT in quotes, with the escapes that it needs. */
void conf_print_quoted(const char *text, FILE *out);

#endif
