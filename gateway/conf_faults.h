/*
 * conf_faults.h: sets of statuses and of ways to fail, as lists of words. Used by the conf_*.c files only.
 *
 *     {"connect", "timeout", "5xx", "429", "500-504"}
 */
#ifndef GATEWAY_CONF_FAULTS_H
#define GATEWAY_CONF_FAULTS_H

#include "gateway/conf_bind.h"

struct conf_faults_want {
    const char *name;     /* of the option */
    const char *fallback; /* words apart by spaces, when it is not given */
    bool only_statuses;
};

/* The list of that name in NODE, which belongs to SECTION; mistakes are reported. NODE may be NULL. */
void conf_build_faults(struct conf_load *load, const struct conf_node *node,
                       const struct conf_section *section, const struct conf_faults_want *want,
                       struct conf_faults *out);

/* As a line "name = {...}" that reads back as the same set. */
void conf_print_faults(const char *name, const struct conf_faults *f, int indent, FILE *out);

#endif
