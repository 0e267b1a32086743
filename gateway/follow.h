/*
 * follow.h: `tollgate tail`: the requests of a running gateway as they end, a line for each.
 *
 *     tollgate tail [-c FILE | -a URL] [-t TOKEN] [-j] [-f NAME=VALUE] [NAME=VALUE ...]
 *
 * It follows GET /log of the admin port, a stream of server-sent events (lib/sse.h): "request" with a line of
 * the access log in JSON (accesslog.h), "log" with one of the error log (log.h), "dropped" when the gateway
 * had to leave some out. The gateway does the filtering; NAME is one of request, trace, route, backend,
 * status, min_ms, method, path, client. When the connection is lost, it says so on stderr and makes another.
 *
 * Lines are coloured on a terminal, unless NO_COLOR is set. With -j the JSON is printed as it came.
 */
#ifndef GATEWAY_FOLLOW_H
#define GATEWAY_FOLLOW_H

#include "lib/buf.h"
#include "lib/sse.h"

/* ARGV[0] is the command's name. The exit status; 2: misuse. */
MUST_USE int follow_run(int argc, char **argv);

struct follow_style {
    bool has_color, is_json;
};

/* An event as a line, with its line feed. No byte of E is obeyed by a terminal. What does not fit into B is
 * cut off. */
void follow_render(struct buf *b, const struct sse_event *e, const struct follow_style *style);

/* "/log?status=5xx&..." from "status=5xx" and others. False: one of them is no filter, or B is full. */
MUST_USE bool follow_path(struct buf *b, char *const *filters, size_t n);

#endif
