/* control_view.c: the part of control.h that the admin port shows and sets. */
#include <stdlib.h>

#include "gateway/control_internal.h"

static void gather(struct control *c, struct metrics_gauges *g)
{
    for (unsigned i = 0; i < c->nworkers; i++)
        worker_count(c->workers[i], g);
    g->log_dropped_total = c->access_log ? logwriter_dropped(c->access_log) : 0;
}

static void print_state(void *ctx, FILE *out);

static char *metrics_page(void *ctx, enum metrics_format format, size_t *len)
{
    struct control *c = ctx;
    struct metrics_gauges gauges = {0};
    gather(c, &gauges);
    gauges.more = print_state;
    gauges.ctx = c;
    return metrics_text(c->shared.metrics, &gauges, format, len);
}

/* ---- what an operator sees and sets ---- */

/* Weights or drains have changed: everybody gets the list anew. */
static void relist(void *ctx, size_t backend)
{
    struct control *c = ctx;
    generation_renew(&c->current, backend);
}

/* VIEW holds LISTS, which the caller frees. */
static bool look_at(struct control *c, struct state_view *view, struct endpoint_list ***lists)
{
    if (!(*lists = generation_lists(&c->current)))
        return false;
    *view = (struct state_view){
        .conf = c->current.snapshot->conf,
        .guards = c->shared.guards,
        .limiter = c->shared.limiter,
        .cache = c->cache,
        .fleet = c->fleet,
        .tracer = c->tracer,
        .debug = c->debug,
        .mailbox = c->mailbox,
        .router = c->current.snapshot->router,
        .log = c->log,
        .lists = *lists,
        .workers = c->workers,
        .nworkers = c->nworkers,
        .access_log = c->access_log,
        .is_draining = c->draining,
        .relist = relist,
        .ctx = c,
    };
    return true;
}

static struct state_answer state(void *ctx, const struct state_ask *ask)
{
    struct state_view view;
    struct endpoint_list **lists;
    struct state_answer answer = {0};
    if (look_at(ctx, &view, &lists)) {
        answer = state_handle(&view, ask);
        free(lists);
    }
    return answer;
}

static void print_state(void *ctx, FILE *out)
{
    const struct control *c = ctx;
    struct state_view view;
    struct endpoint_list **lists;
    if (!look_at(ctx, &view, &lists))
        return;
    state_metrics(&view, out);
    free(lists);
    if (c->admin)
        admin_metrics(c->admin, out);
    if (c->watchdog)
        watchdog_metrics(c->watchdog, out);
}

static char *status_page(void *ctx)
{
    struct control *c = ctx;
    struct state_view state;
    struct metrics_gauges gauges = {0};
    struct endpoint_list **lists;
    if (!look_at(c, &state, &lists))
        return NULL;
    struct tracer_stats traces;
    tracer_stats(c->tracer, &traces);
    gather(c, &gauges);
    const struct status_view v = {.state = &state,
                                  .metrics = c->shared.metrics,
                                  .gauges = &gauges,
                                  .backends = c->current.snapshot->backends,
                                  .workers = c->workers,
                                  .nworkers = c->nworkers,
                                  .traces = &traces,
                                  .instance = c->instance,
                                  .is_ready = !c->draining};
    char *json = status_json(&v);
    free(lists);
    return json;
}

static bool is_ready(void *ctx)
{
    const struct control *c = ctx;
    return !c->draining;
}

bool control_start_admin(struct control *c, struct err *err)
{
    const struct conf_admin *conf = &c->current.snapshot->conf->admin;
    if (!conf->listen.address)
        return true;
    const struct admin_setup setup = {.loop = &c->loop,
                                      .conf = conf,
                                      .log = c->log,
                                      .metrics = metrics_page,
                                      .status = status_page,
                                      .is_ready = is_ready,
                                      .state = state,
                                      .guards = c->shared.guards,
                                      .tail = c->tail,
                                      .ctx = c};
    c->admin = admin_new(&setup, err);
    return c->admin != NULL;
}
