/*
 * conf_template.h: texts with {name} in them, checked against the parameters that a route's path has. Used by
 * the conf_*.c files only. Pure; slices point into the path.
 */
#ifndef GATEWAY_CONF_TEMPLATE_H
#define GATEWAY_CONF_TEMPLATE_H

#include "gateway/conf_report.h"
#include "gateway/router.h"

struct conf_params {
    struct slice names[ROUTER_PARAMS_MAX];
    size_t n;      /* names */
    size_t groups; /* {1} to {groups} are known too */
};

/* What PATH, which router_check_path has found good, gives to templates. */
void conf_params_of(const char *path, enum conf_path_kind kind, struct conf_params *out);

enum { CONF_TEMPLATE_HOST = 1 }; /* {host} is known too; {path} and {query} are always */

/* Whether every {name} of TEMPLATE is known. */
MUST_USE bool conf_template_check(const char *template, const struct conf_params *params, unsigned flags,
                                  struct conf_why *why);

/* Whether TEMPLATE gives a path in normal form, a query behind it allowed, as far as can be told before. */
MUST_USE bool conf_template_check_path(const char *template, struct conf_why *why);

#endif
