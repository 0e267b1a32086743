/*
 * command.h: what `tollgate` can do beside serving. Each function is one command and gives its exit
 * status; redis_check.h has one more.
 */
#ifndef GATEWAY_COMMAND_H
#define GATEWAY_COMMAND_H

#include "lib/check.h"

#include <stdbool.h>

#define COMMAND_CONF "/etc/tollgate/tollgate.conf" /* its file, unless another is named */

/* The configuration, or NULL; what is wrong with it on stderr. conf_free frees it. */
struct conf;
MUST_USE struct conf *command_load(const char *conf_path);

/* Every mistake on stderr, "file:line: reason"; 1 when there is any. RESOLVE: names of servers are looked up
 * too, and one that is not found is a warning. */
MUST_USE int command_check(const char *conf_path, bool resolve);

/* The effective configuration on stdout. */
MUST_USE int command_dump(const char *conf_path);

/* GET /healthz of the admin port that the configuration names; 0 when it says 200 within two seconds. */
MUST_USE int command_healthcheck(const char *conf_path);

/* A new API key for NAME on stdout, with its line for the file of keys; ATTRIBUTES ("plan=gold") go with it.
 */
MUST_USE int command_make_key(const char *name, const char *attributes);

MUST_USE int command_version(void);

#endif
