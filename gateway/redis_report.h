/*
 * redis_report.h: what was found at the Redis nodes, for people and for programs, with all that is worth a
 * warning.
 *
 *     redis_report_print(&report, stdout);
 *     return redis_report_is_good(&report) ? 0 : 1;
 *
 * Pure: it is told what redis_probe.h has found. Any thread.
 */
#ifndef GATEWAY_REDIS_REPORT_H
#define GATEWAY_REDIS_REPORT_H

#include <stdio.h>

#include "gateway/redis_probe.h"
#include "lib/check.h"

struct redis_report {
    const struct conf_redis *conf;    /* lent */
    const struct redis_probe *probes; /* lent; one for each node */
};

/* Whether every node can be used. */
bool redis_report_is_good(const struct redis_report *r);

/* TELL each warning. NODE is the index of the node that it is about, or SIZE_MAX when it is about all. */
void redis_report_warnings(const struct redis_report *r,
                           void (*tell)(void *ctx, size_t node, const char *text), void *ctx);

/* A table, then what is bad, then the warnings. False: memory is short. */
MUST_USE bool redis_report_print(const struct redis_report *r, FILE *out);

/* The same as a JSON object. */
MUST_USE bool redis_report_json(const struct redis_report *r, FILE *out);

#endif
