/* generation.c: see generation.h. */
#include "gateway/generation.h"

#include <stdlib.h>

#include "lib/clock.h"

/* Follows the addresses of one backend. */
struct generation_watch {
    struct snapshot *snapshot; /* lent: the generation holds it */
    generation_changed *changed;
    void *ctx;
    size_t backend;
    struct resolver_watch *resolver;
    struct endpoint_list *list; /* counted; NULL: none is known yet */
};

static bool lists_endpoint(const struct endpoint_list *l, const struct endpoint *e)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i].endpoint == e)
            return true;
    return false;
}

static void begin_slowly(const struct endpoint_list *old, const struct endpoint_list *new)
{
    for (size_t i = 0; old && old->n > 0 && i < new->n; i++)
        if (!lists_endpoint(old, new->at[i].endpoint))
            ejection_begin(&new->at[i].endpoint->fit, clock_now_ns());
}

static void on_addresses(void *ctx, struct endpoint_list *list)
{
    struct generation_watch *w = ctx;
    struct endpoint_list *old = w->list;
    w->list = endpoint_list_get(list);
    begin_slowly(old, list);
    if (old)
        endpoint_list_put(old);
    w->changed(w->ctx, w->snapshot, w->backend, list);
}

void generation_close(struct generation *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->watches[i].resolver)
            resolver_unwatch(g->watches[i].resolver);
        if (g->watches[i].list)
            endpoint_list_put(g->watches[i].list);
    }
    free(g->watches);
    if (g->snapshot)
        snapshot_put(g->snapshot);
    *g = (struct generation){0};
}

bool generation_open(struct generation *g, const struct generation_setup *setup)
{
    const struct conf *conf = setup->snapshot->conf;
    *g = (struct generation){.snapshot = setup->snapshot};
    g->watches = calloc(conf->nbackends + 1, sizeof(*g->watches));
    if (!g->watches) {
        generation_close(g);
        return false;
    }
    g->n = conf->nbackends;
    for (size_t i = 0; i < g->n; i++) {
        struct generation_watch *w = &g->watches[i];
        *w = (struct generation_watch){
            .snapshot = g->snapshot, .changed = setup->changed, .ctx = setup->ctx, .backend = i};
        w->resolver = resolver_watch(setup->resolver, &conf->backends[i], on_addresses, w);
        if (!w->resolver) {
            generation_close(g);
            return false;
        }
    }
    return true;
}

struct endpoint_list **generation_lists(const struct generation *g)
{
    struct endpoint_list **lists = calloc(g->n + 1, sizeof(struct endpoint_list *));
    for (size_t i = 0; lists && i < g->n; i++)
        lists[i] = g->watches[i].list;
    return lists;
}

void generation_renew(struct generation *g, size_t backend)
{
    struct generation_watch *w = &g->watches[backend];
    struct endpoint_list *list = w->list ? endpoint_list_renew(w->list) : NULL;
    if (!list)
        return;
    on_addresses(w, list);
    endpoint_list_put(list);
}
