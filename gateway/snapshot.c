/* snapshot.c: see snapshot.h. */
#include "gateway/snapshot.h"

#include <stdlib.h>

#include "lib/clock.h"

static bool attach_metrics(struct snapshot *s, struct metrics *metrics)
{
    const struct conf *c = s->conf;
    s->routes = calloc(c->nroutes + 1, sizeof(*s->routes));
    s->backends = calloc(c->nbackends + 1, sizeof(*s->backends));
    if (!s->routes || !s->backends)
        return false;
    for (size_t i = 0; i < c->nroutes; i++)
        s->routes[i] = metrics_route(metrics, c->routes[i].name);
    for (size_t i = 0; i < c->nbackends; i++)
        s->backends[i] = metrics_backend(metrics, c->backends[i].name);
    return true;
}

static bool attach_guards(struct snapshot *s, struct guards *guards)
{
    const struct conf *c = s->conf;
    s->guards = calloc(c->nbackends + 1, sizeof(*s->guards));
    for (size_t i = 0; s->guards && i < c->nbackends; i++)
        if (!(s->guards[i] = guards_find(guards, &c->backends[i], clock_now_ns())))
            return false;
    return s->guards != NULL;
}

static bool attach_jwks(struct snapshot *s, struct jwks_fetcher *fetcher)
{
    const struct conf *c = s->conf;
    s->jwks = calloc(c->nauths + 1, sizeof(*s->jwks));
    for (size_t i = 0; s->jwks && i < c->nauths; i++)
        if (c->auths[i].jwks_url && !(s->jwks[i] = jwks_source_open(fetcher, &c->auths[i])))
            return false;
    return s->jwks != NULL;
}

static void snapshot_free(struct snapshot *s)
{
    router_free(s->router);
    limit_rules_free(s->limits);
    for (size_t i = 0; s->guards && s->guards[i]; i++)
        guard_put(s->guards[i]);
    free(s->guards);
    for (size_t i = 0; s->jwks && i < s->conf->nauths; i++)
        jwks_source_close(s->jwks[i]);
    free(s->jwks);
    conf_free(s->conf);
    free(s->routes);
    free(s->backends);
    free(s);
}

struct snapshot *snapshot_new(struct conf *conf, const struct snapshot_shared *shared)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    if (!s) {
        conf_free(conf);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->conf = conf;
    s->router = router_new(conf);
    s->limits = limit_rules_new(conf, shared->limiter);
    if (!s->router || !s->limits || !attach_metrics(s, shared->metrics) ||
        !attach_guards(s, shared->guards) || !attach_jwks(s, shared->jwks)) {
        snapshot_free(s);
        return NULL;
    }
    return s;
}

struct snapshot *snapshot_get(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_put(struct snapshot *s)
{
    /* Release: what we did with it comes before the free; acquire: in the thread that frees. */
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        snapshot_free(s);
}

struct snapshot_use *snapshot_use_new(struct snapshot *s)
{
    struct snapshot_use *u = calloc(1, sizeof(*u) + s->conf->nbackends * sizeof(u->balancers[0]));
    if (!u)
        return NULL;
    u->snapshot = snapshot_get(s);
    u->refs = 1;
    return u;
}

void snapshot_use_put(struct snapshot_use *u)
{
    if (--u->refs > 0)
        return;
    for (size_t i = 0; i < u->snapshot->conf->nbackends; i++)
        balancer_free(u->balancers[i]);
    snapshot_put(u->snapshot);
    free(u);
}

void snapshot_use_set(struct snapshot_use *u, size_t backend, struct endpoint_list *list)
{
    struct balancer *b = balancer_new(u->snapshot->conf->backends[backend].balance, list);
    if (!b)
        return;
    balancer_free(u->balancers[backend]);
    u->balancers[backend] = b;
}
