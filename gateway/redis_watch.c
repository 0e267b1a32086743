/* redis_watch.c: see redis_watch.h. */
#include "gateway/redis_watch.h"

#include <stdlib.h>

struct watched {
    struct redis_watch *watch;
    size_t node;
    struct conf_backend backend;
    struct conf_server server;
    struct resolver_watch *resolver; /* NULL: a unix socket */
};

struct redis_watch {
    redis_watch_found *found;
    void *ctx;
    size_t n;
    struct watched nodes[];
};

static void on_addresses(void *ctx, struct endpoint_list *list)
{
    const struct watched *w = ctx;
    const struct endpoint *e = list->n > 0 ? list->at[0].endpoint : NULL;
    if (e && e->address)
        w->watch->found(w->watch->ctx, w->node, e->address);
}

static bool follow(struct watched *w, const struct conf_redis_node *node, struct resolver *resolver)
{
    w->server = (struct conf_server){.where = node->where,
                                     .url = node->name,
                                     .host = node->host,
                                     .port = node->port,
                                     .weight = 1,
                                     .backend = &w->backend};
    w->backend =
        (struct conf_backend){.where = node->where, .name = "redis", .servers = &w->server, .nservers = 1};
    w->resolver = resolver_watch(resolver, &w->backend, on_addresses, w);
    return w->resolver != NULL;
}

struct redis_watch *redis_watch_new(const struct conf_redis *conf, struct resolver *resolver,
                                    redis_watch_found *found, void *ctx)
{
    struct redis_watch *r = calloc(1, sizeof(*r) + conf->nnodes * sizeof(r->nodes[0]));
    if (!r)
        return NULL;
    *r = (struct redis_watch){.found = found, .ctx = ctx, .n = conf->nnodes};
    for (size_t i = 0; i < r->n; i++) {
        struct watched *w = &r->nodes[i];
        w->watch = r;
        w->node = i;
        if (conf->nodes[i].host && !follow(w, &conf->nodes[i], resolver)) {
            redis_watch_free(r);
            return NULL;
        }
    }
    return r;
}

void redis_watch_free(struct redis_watch *r)
{
    for (size_t i = 0; r && i < r->n; i++)
        if (r->nodes[i].resolver)
            resolver_unwatch(r->nodes[i].resolver);
    free(r);
}
