/*
 * conf_build.h: from a parsed tree to a struct conf, with all that can be checked. Used by the conf_*.c files
 * only.
 */
#ifndef GATEWAY_CONF_BUILD_H
#define GATEWAY_CONF_BUILD_H

#include "gateway/conf_bind.h"

/* Fill LOAD's conf from ROOT; what is wrong is in its report. */
void conf_build(struct conf_load *load, const struct conf_node *root);

/* conf_backend.c: all backends. */
void conf_build_backends(struct conf_load *load, const struct conf_node *root);

/* conf_route.c: all routes; the backends are there. IS_WHOLE: no section of the top level was left out. */
void conf_build_routes(struct conf_load *load, const struct conf_node *root, bool is_whole);

/* conf_edits.c: the sets, adds and removes of a request_header or response_header section NAME of NODE.
 * PARAMS is NULL when the path is wrong: then templates are not checked. */
struct conf_params;
void conf_build_edits(struct conf_load *load, const struct conf_node *node, const char *name,
                      const struct conf_params *params, struct conf_edits *out);

/* The list O of NODE as networks; mistakes are reported. */
struct cidr *conf_build_cidrs(struct conf_load *load, const struct conf_node *node,
                              const struct conf_option *o, size_t *n);

/* conf_limit.c: the limits of a route, and its bounds on requests at once, read and printed. */
void conf_build_limits(struct conf_load *load, const struct conf_node *node, struct conf_route *r);
void conf_print_limits(const struct conf_route *r, FILE *out);
void conf_build_concurrency(struct conf_load *load, const struct conf_node *node, struct conf_route *r);
void conf_print_concurrency(const struct conf_route *r, FILE *out);

/* conf_cors.c: the lists allow and deny of NODE; the section cors of a route, whose methods are there. */
void conf_build_networks(struct conf_load *load, const struct conf_node *node,
                         const struct conf_section *section, struct conf_networks *out);
void conf_print_networks(const struct conf_networks *n, int indent, FILE *out);
void conf_build_cors(struct conf_load *load, const struct conf_node *route, struct conf_route *r);
void conf_print_cors(const struct conf_route *r, FILE *out);

/* The TEXTS of the list NAME of NODE are names of fields, methods and the like: tokens. */
void conf_check_names(struct conf_load *load, const struct conf_node *node, const char *name,
                      const char **texts, size_t n);

/* conf_cache.c: the section cache of a route, whose action is there. */
void conf_build_cache(struct conf_load *load, const struct conf_node *route, struct conf_route *r);
void conf_print_cache(const struct conf_route *r, FILE *out);

/* conf_redis.c: the section redis, before all that may want it; a warning where OPTION of NODE is given and
 * there is no such section, for then it has no EFFECT. */
void conf_build_redis(struct conf_load *load, const struct conf_node *root);
void conf_warn_alone(struct conf_load *load, const struct conf_node *node, const char *option,
                     const char *effect);
void conf_print_redis(const struct conf_redis *r, FILE *out);

/* conf_tracing.c: the section tracing. */
void conf_build_tracing(struct conf_load *load, const struct conf_node *root);
void conf_print_tracing(const struct conf_tracing *t, FILE *out);

/* conf_auth.c: all ways to say who a client is; those of a route, for which they have to be there; what
 * they hold beside the load's memory is freed; all of it printed. */
void conf_build_auths(struct conf_load *load, const struct conf_node *root);
void conf_build_route_auths(struct conf_load *load, const struct conf_node *node, struct conf_route *r);
void conf_free_auths(struct conf *c);
void conf_print_auths(const struct conf *c, FILE *out);
void conf_print_route_auths(const struct conf *c, const struct conf_route *r, FILE *out);

/* conf_admin.c: the tokens of the section admin, whose address is another's matter; true when one is asked
 * for. The whole section printed. */
bool conf_build_admin_tokens(struct conf_load *load, const struct conf_node *node, struct conf_admin *admin);
void conf_print_admin(const struct conf_admin *admin, FILE *out);

/* What is printed of a secret. */
#define CONF_MASK "****************"

/* conf_dump.c: a line "name = {...}". */
void conf_print_cidrs(const char *name, const struct cidr *at, size_t n, int indent, FILE *out);

/* A section tls has both or none of certificate and key. */
void conf_check_pair(struct conf_load *load, const struct conf_node *tls);

/* "Name: value" or "Name" cut apart, both trimmed; the value is NULL without a colon. */
void conf_cut_field(struct conf_load *load, const char *text, const char **name, const char **value);

#endif
