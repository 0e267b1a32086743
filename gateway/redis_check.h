/*
 * redis_check.h: the command that looks at the Redis nodes of a configuration.
 */
#ifndef GATEWAY_REDIS_CHECK_H
#define GATEWAY_REDIS_CHECK_H

#include "lib/check.h"

#include <stdbool.h>

/* Each node in a table (or as JSON), what is bad, and warnings, on stdout. The exit status: 0 when every node
 * can be used, 1 when one cannot, or the configuration is wrong or has no nodes. Warnings do not change it.
 */
MUST_USE int command_redis_check(const char *conf_path, bool as_json);

#endif
