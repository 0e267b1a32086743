/*
 * admin.h: the admin port.
 *
 *     GET /healthz   200 while the process is alive
 *     GET /readyz    200 while it takes requests, 503 while it drains
 *     GET /metrics   Prometheus text
 *     /breakers /servers /limits /cache /cache/purge /redis: see state.h
 *
 * It binds to loopback unless told otherwise, and then wants the token as `Authorization: Bearer`; the two
 * probes are answered without. Served on the control thread's loop, away from the workers.
 */
#ifndef GATEWAY_ADMIN_H
#define GATEWAY_ADMIN_H

#include <uv.h>

#include "gateway/conf.h"
#include "gateway/state.h"
#include "lib/err.h"

struct admin;

struct admin_setup {
    uv_loop_t *loop;
    const struct conf_admin *conf;            /* copied */
    char *(*metrics)(void *ctx, size_t *len); /* gives the text, from malloc */
    bool (*is_ready)(void *ctx);
    struct state_answer (*state)(void *ctx, const struct state_ask *ask);
    void *ctx;
};

MUST_USE struct admin *admin_new(const struct admin_setup *setup, struct err *err);

/* Something that a request waits for has happened. */
void admin_poke(struct admin *a);

/* The loop must run on until the handles are closed; then admin_free. */
void admin_close(struct admin *a);
void admin_free(struct admin *a);

#endif
