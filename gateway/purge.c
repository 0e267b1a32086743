/* purge.c: see purge.h. */
#include "gateway/purge.h"

#include <stdlib.h>

#include "gateway/answer.h"
#include "gateway/cache_internal.h"
#include "gateway/cache_key.h"
#include "gateway/fleet.h"
#include "gateway/log.h"

static struct object_store *store_of(const struct exchange *x)
{
    return x->worker->setup.cache->store;
}

static bool may_purge(const struct exchange *x)
{
    const struct conf_cache *conf = &exchange_route(x)->cache;
    return cidr_any_has(conf->purgers, conf->npurgers, &x->record.client_ip);
}

static bool is_soft(const struct exchange *x)
{
    const struct http_field *f = http_find(x->fields, SLICE("Soft-Purge"));
    return f && slice_eq(slice_trim(f->value), SLICE("1"));
}

/* ---- all gateways ---- */

/* A request that waits for its purges of all gateways; lives until the last is over. */
struct purge_wait {
    struct exchange *exchange; /* NULL: it is gone */
    unsigned left;
    bool is_partial;
    size_t purged; /* in the memory of this gateway */
};

/* On the exchange's worker. */
static void run_purged(struct worker *w, struct worker_call *call)
{
    struct fleet_purge *p = (struct fleet_purge *)(void *)call;
    struct purge_wait *wait = p->ctx;
    (void)w;
    wait->is_partial |= !p->result.is_complete;
    free(p);
    if (--wait->left > 0)
        return;
    if (wait->exchange)
        exchange_wake(wait->exchange);
    else
        free(wait);
}

static void free_purged(struct message *m)
{
    free(m); /* the worker has ended, and what waits with it */
}

/* On the fleet's thread. */
static void on_purged(struct fleet_purge *p)
{
    p->call = (struct worker_call){.base.free = free_purged, .run = run_purged};
    if (!worker_post_call(p->worker, &p->call))
        free(p);
}

static struct purge_wait *wait_of(struct exchange *x)
{
    struct caching *c = &x->caching;
    if (!c->purge && (c->purge = calloc(1, sizeof(*c->purge))))
        c->purge->exchange = x;
    return c->purge;
}

/* What is in memory is purged; and then the rest of the world. */
static void purge_one(struct exchange *x, enum object_purge kind, struct slice what)
{
    struct fleet *fleet = x->worker->setup.fleet;
    struct purge_wait *wait = wait_of(x);
    bool soft = is_soft(x);
    size_t n = object_store_purge(store_of(x), kind, what, soft);
    const struct fleet_purge want = {
        .done = on_purged, .ctx = wait, .worker = x->worker, .kind = kind, .soft = soft};
    if (!wait)
        return;
    wait->purged += n;
    if (fleet && fleet_purge(fleet, &want, what))
        wait->left++;
    else if (fleet)
        wait->is_partial = true;
}

void purge_forget(struct exchange *x)
{
    struct purge_wait *wait = x->caching.purge;
    x->caching.purge = NULL;
    if (!wait)
        return;
    wait->exchange = NULL;
    if (wait->left == 0)
        free(wait);
}

void cache_invalidate(struct exchange *x, struct slice group)
{
    struct fleet *fleet = x->worker->setup.fleet;
    const struct fleet_purge want = {.kind = OBJECT_GROUP};
    object_store_purge(store_of(x), OBJECT_GROUP, group, false);
    if (fleet && cache_conf_of(x)->shared && !fleet_purge(fleet, &want, group))
        log_printf(x->worker->setup.log, LOG_WARN, "other gateways were not told that %.*s has changed",
                   SLICE_ARG(group));
}

/* ---- PURGE ---- */

/* Tags of one field, apart by SEPARATOR. *THERE: it is there. */
static void purge_tags(struct exchange *x, struct slice name, char separator, bool *there)
{
    for (size_t i = 0; i < x->fields.n; i++) {
        struct slice rest = x->fields.at[i].value;
        if (!slice_eq_nocase(x->fields.at[i].name, name))
            continue;
        *there = true;
        while (rest.len > 0) {
            ptrdiff_t end = slice_find(rest, separator);
            struct slice tag = {rest.p, end < 0 ? rest.len : (size_t)end};
            rest = slice_skip(rest, tag.len + 1);
            tag = slice_trim(tag);
            if (tag.len > 0)
                purge_one(x, OBJECT_TAG, tag);
        }
    }
}

static bool reply_with(struct exchange *x, const struct purge_wait *wait)
{
    const char *complete = !x->worker->setup.fleet ? ""
                           : wait->is_partial      ? ",\"complete\":false"
                                                   : ",\"complete\":true";
    const char *text = arena_printf(&x->arena, "{\"purged\":%zu%s}\n", wait->purged, complete);
    if (!text || !answer_empty(x, wait->is_partial ? 207 : 200))
        return false;
    x->reply.body = REPLY_BYTES;
    x->reply.bytes = slice_of(text);
    return reply_add(x, SLICE("Content-Type"), SLICE("application/json")) &&
           reply_add(x, SLICE("Cache-Control"), SLICE("no-store"));
}

enum step_result purge_go_on(struct exchange *x)
{
    const struct purge_wait *wait = x->caching.purge;
    if (wait && wait->left > 0)
        return STEP_PARK;
    if (!wait || !reply_with(x, wait))
        exchange_fail(x, REASON_OVERLOADED);
    return STEP_REPLY;
}

enum step_result purge_run(struct exchange *x)
{
    const struct object_key *key = &x->caching.key;
    bool has_tags = false;
    if (!may_purge(x)) {
        exchange_fail(x, REASON_FORBIDDEN);
        return STEP_REPLY;
    }
    purge_tags(x, SLICE("Surrogate-Key"), ' ', &has_tags);
    purge_tags(x, SLICE("Cache-Tag"), ',', &has_tags);
    if (!has_tags && key->text.len > 0)
        purge_one(x, OBJECT_GROUP, (struct slice){key->text.p, key->group_len});
    (void)wait_of(x);
    return purge_go_on(x);
}

/* ---- references ---- */

/* A path that is relative to the directory of X's. */
static struct slice merge(struct exchange *x, struct slice relative)
{
    size_t dir = x->path.len;
    while (dir > 0 && x->path.p[dir - 1] != '/')
        dir--;
    const char *text = arena_printf(&x->arena, "%.*s%.*s", (int)dir, x->path.p, SLICE_ARG(relative));
    return slice_of(text ? text : "");
}

static bool has_scheme(struct slice reference)
{
    ptrdiff_t colon = slice_find(reference, ':'), slash = slice_find(reference, '/');
    return colon > 0 && (slash < 0 || colon < slash);
}

bool purge_group_of(struct exchange *x, struct slice reference, struct slice *group)
{
    struct slice own = {x->caching.key.text.p, x->caching.key.group_len};
    size_t scheme_len = slice_starts(own, SLICE("https://")) ? 5 : 4;
    struct uri_target target;
    struct uri_path path;
    ptrdiff_t fragment = slice_find(reference, '#');
    if (fragment >= 0)
        reference.len = (size_t)fragment;
    if (slice_starts(reference, SLICE("//"))) {
        const char *text = arena_printf(&x->arena, "%.*s:%.*s", (int)scheme_len, own.p, SLICE_ARG(reference));
        reference = slice_of(text ? text : "");
    } else if (!has_scheme(reference) && !slice_starts(reference, SLICE("/"))) {
        reference = merge(x, reference);
    }
    char *space = arena_alloc(&x->arena, reference.len + 1);
    if (!space || !uri_split(reference, &target) ||
        (target.form != URI_ORIGIN && target.form != URI_ABSOLUTE) ||
        uri_normalise(target.path, space, &path) != URI_OK)
        return false;
    const struct cache_url url = {.scheme = {own.p, scheme_len},
                                  .authority = target.form == URI_ABSOLUTE ? target.authority : x->authority,
                                  .path = path.path,
                                  .query = target.query,
                                  .has_query = target.has_query};
    struct buf b = worker_scratch(x->worker);
    bool ok = true;
    cache_key_add_group(&exchange_route(x)->cache, &url, &b);
    *group = arena_slice(&x->arena, buf_slice(&b), &ok);
    /* The same origin: the same up to the path. */
    ptrdiff_t slash = slice_find(slice_skip(own, scheme_len + 3), '/');
    size_t origin = slash < 0 ? own.len : scheme_len + 3 + (size_t)slash;
    return ok && !b.failed && group->len >= origin && memcmp(group->p, own.p, origin) == 0 &&
           (group->len == origin || group->p[origin] == '/');
}
