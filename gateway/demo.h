/*
 * demo.h: a small backend to look at, for trying the gateway out: `tollgate demo --listen 127.0.0.1:9001
 * --name users`.
 *
 * It answers any request with a JSON object: its name, host and process, how many requests it has had (so
 * that a stored answer is told from a new one), and what it received. `?ms=N` answers after N milliseconds,
 * `?status=N` with that status, `?bytes=N` with that many bytes, a path that ends in `/events` with a stream
 * of server-sent events, one a second.
 */
#ifndef GATEWAY_DEMO_H
#define GATEWAY_DEMO_H

#include "lib/check.h"

/* Serve until SIGTERM or SIGINT; the exit status. */
MUST_USE int demo_run(const char *listen, const char *name);

#endif
