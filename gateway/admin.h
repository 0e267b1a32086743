/*
 * admin.h: the admin port.
 *
 *     GET /               the dashboard: a page that needs no token to be loaded, and asks for it itself
 *     GET /dashboard/...  what that page is made of
 *     GET /healthz        200 while the process is alive
 *     GET /readyz         200 while it takes requests, 503 while it drains
 *     GET /access         what the caller may do
 *     GET /metrics        for Prometheus, in the format and coding that the request names: scrape.h
 *     /debug/profile /debug/threads /debug/memory: see debug.h
 *     GET /openapi.json   all of this, for programs (OpenAPI 3.1)
 *     GET /traces?slow=yes&filter=ID&max=20   the last traces; those that took longest
 *     GET /traces/ID      one of them, by the trace's id or the request's
 *     /breakers /servers /limits /cache /cache/purge /redis: see state.h
 *
 * The pages are the rows of one table in admin.c, and conf/openapi.json describes each of them: a new page is
 * a row there and a path in that file. HEAD is answered where GET is, OPTIONS everywhere; parameters that a
 * page does not know are refused. Errors are problem+json (RFC 9457).
 *
 * It binds to loopback unless told otherwise, and then wants a token; who may do what is told in
 * admin_access.h, and what is written down of it in admin_audit.h. Served on the control thread's loop, away
 * from the workers.
 */
#ifndef GATEWAY_ADMIN_H
#define GATEWAY_ADMIN_H

#include <uv.h>

#include "gateway/conf.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/state.h"
#include "gateway/tail.h"
#include "lib/err.h"

struct admin;

struct admin_setup {
    uv_loop_t *loop;
    const struct conf_admin *conf; /* copied */
    struct log *log;
    /* gives the text, from malloc */
    char *(*metrics)(void *ctx, enum metrics_format format, size_t *len);
    char *(*status)(void *ctx); /* gives the JSON, from malloc */
    bool (*is_ready)(void *ctx);
    struct state_answer (*state)(void *ctx, const struct state_ask *ask);
    void *ctx;
    struct guards *guards;
    struct tail *tail;
};

MUST_USE struct admin *admin_new(const struct admin_setup *setup, struct err *err);

/* A reload: new tokens hold at once, unless the address has changed, which needs a start. */
void admin_reload(struct admin *a, const struct conf_admin *conf);

/* Families of metrics. */
void admin_metrics(const struct admin *a, FILE *out);

/* Something that a request waits for has happened. */
void admin_poke(struct admin *a);

/* The loop must run on until the handles are closed; then admin_free. */
void admin_close(struct admin *a);
void admin_free(struct admin *a);

#endif
