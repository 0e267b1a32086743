/*
 * limits.h: what the system grants the process, looked at before anything is served.
 *
 * Control thread, at start.
 */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

#include "gateway/conf.h"
#include "gateway/log.h"

/* Raise the soft limit of open files to the hard one; warn in LOG when files or memory (RLIMIT_AS, the
 * control group's memory.max) do not suffice for what CONF allows clients. */
void limits_check(const struct conf *conf, struct log *log);

#endif
