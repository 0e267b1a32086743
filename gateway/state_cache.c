/* state_cache.c: the cache's part of state.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "gateway/cache_key.h"
#include "gateway/state_internal.h"

#define URL_MAX 8192 /* bytes of a key's URL */

cJSON *state_cache_json(const struct state_view *v)
{
    struct object_store_stats s;
    struct flights_stats f;
    cJSON *j = cJSON_CreateObject();
    object_store_stats(v->cache->store, &s);
    flights_stats(v->cache->flights, &f);
    cJSON_AddNumberToObject(j, "size", (double)s.size);
    cJSON_AddNumberToObject(j, "used", (double)s.used);
    cJSON_AddNumberToObject(j, "objects", (double)s.objects);
    cJSON_AddNumberToObject(j, "stored", (double)s.stored);
    cJSON_AddNumberToObject(j, "evicted", (double)s.evicted);
    cJSON_AddNumberToObject(j, "refused", (double)s.refused);
    cJSON_AddNumberToObject(j, "flights", (double)f.flying);
    cJSON_AddNumberToObject(j, "collapsed", (double)f.followed);
    return j;
}

/* ---- purge ---- */

/* How the route that would take the URL counts its query. */
static const struct conf_cache *conf_for(const struct state_view *v, const struct cache_url *url,
                                         struct router_match *match)
{
    static const struct conf_cache as_it_is = {.query = CACHE_QUERY_AS_IS};
    struct router_request r = {.path = url->path, .method = SLICE("GET")};
    if (!uri_host(url->authority, &r.host) || !router_match(v->router, &r, match))
        return &as_it_is;
    return match->route->cache.enabled ? &match->route->cache : &as_it_is;
}

/* The group of a whole URL. False: it is none. */
static bool group_of_url(const struct state_view *v, const char *text, char *space, struct buf *group)
{
    struct uri_target target;
    struct uri_path path;
    struct router_match match;
    struct slice url = slice_of(text);
    if (url.len > URL_MAX || !uri_split(url, &target) || target.form != URI_ABSOLUTE ||
        uri_normalise(target.path, space, &path) != URI_OK)
        return false;
    const struct cache_url parts = {.scheme =
                                        slice_starts(url, SLICE("https:")) ? SLICE("https") : SLICE("http"),
                                    .authority = target.authority,
                                    .path = path.path,
                                    .query = target.query,
                                    .has_query = target.has_query};
    cache_key_add_group(conf_for(v, &parts, &match), &parts, group);
    return !group->failed;
}

static bool is_yes(const char *text)
{
    return text && strcmp(text, "yes") == 0;
}

/* Somebody waits for a purge of all gateways. */
struct purge_ticket {
    struct state_ticket base; /* first */
    size_t purged;            /* in the memory of this gateway */
};

void state_finish_purge(struct fleet_purge *p, struct log *log)
{
    struct purge_ticket *t = p->ctx;
    const struct fleet_purge_result *r = &p->result;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "purged", (double)t->purged);
    cJSON_AddBoolToObject(j, "complete", r->is_complete);
    cJSON_AddNumberToObject(j, "nodes", r->nodes);
    cJSON_AddNumberToObject(j, "nodes_done", r->nodes_done);
    cJSON_AddNumberToObject(j, "gateways_late", r->gateways_late);
    if (!r->is_complete)
        log_printf(log, LOG_WARN, "admin: a purge has reached %u of %u Redis nodes", r->nodes_done, r->nodes);
    state_finish(&t->base, state_answer_with(r->is_complete ? 200 : 207, j));
    free(p);
}

/* Its result does not come to the control thread. */
static void drop_purge(struct message *m)
{
    struct fleet_purge *p = (struct fleet_purge *)(void *)m;
    struct purge_ticket *t = p->ctx;
    state_lose(&t->base);
    free(p);
}

/* On the fleet's thread. */
static void on_purged(struct fleet_purge *p)
{
    p->call.base.type = STATE_MAIL_PURGED;
    p->call.base.free = drop_purge;
    if (!mailbox_send(p->mailbox, &p->call.base))
        message_drop(&p->call.base);
}

struct purge_want {
    enum object_purge kind;
    struct slice what;
    bool soft;
};

static struct state_answer purge(const struct state_view *v, const struct purge_want *want, const char *text)
{
    static const char *const words[] = {"url", "tag", "prefix", "all"};
    size_t n = object_store_purge(v->cache->store, want->kind, want->what, want->soft);
    log_printf(v->log, LOG_INFO, "admin: purged %zu by %s %.200s", n, words[want->kind], text);
    struct purge_ticket *t = v->fleet ? calloc(1, sizeof(*t)) : NULL;
    const struct fleet_purge ask = {
        .done = on_purged, .ctx = t, .mailbox = v->mailbox, .kind = want->kind, .soft = want->soft};
    if (t) {
        t->purged = n;
        if (fleet_purge(v->fleet, &ask, want->what))
            return (struct state_answer){.status = 200, .ticket = &t->base};
        free(t);
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "purged", (double)n);
    if (v->fleet)
        cJSON_AddBoolToObject(j, "complete", false);
    return state_answer_with(v->fleet ? 207 : 200, j);
}

struct state_answer state_purge(const struct state_view *v, const struct state_ask *ask)
{
    char path[URL_MAX], space[URL_MAX * 2];
    struct purge_want want = {.soft = is_yes(ask->soft)};
    struct buf group;
    int given = (ask->url != NULL) + (ask->prefix != NULL) + (ask->tag != NULL) + (ask->all != NULL);
    if (given != 1 || (ask->all && !is_yes(ask->all)))
        return state_refuse(400, "one of url, prefix, tag and all=yes is wanted");
    if (ask->soft && !want.soft && strcmp(ask->soft, "no") != 0)
        return state_refuse(400, "soft is yes or no");
    const char *text = ask->url ? ask->url : ask->tag ? ask->tag : ask->prefix ? ask->prefix : "";
    want.kind = ask->url ? OBJECT_GROUP : ask->tag ? OBJECT_TAG : ask->prefix ? OBJECT_PREFIX : OBJECT_ALL;
    want.what = slice_of(text);
    if (want.what.len == 0 && !ask->all)
        return state_refuse(400, "url, prefix and tag must not be empty; all=yes purges everything");
    if (ask->url) {
        buf_init(&group, space, sizeof(space));
        if (!group_of_url(v, ask->url, path, &group))
            return state_refuse(400, "url is a whole one, such as http://example.com/a");
        want.what = buf_slice(&group);
    }
    return purge(v, &want, text);
}

/* ---- metrics ---- */

void state_cache_metrics(const struct state_view *v, FILE *out)
{
    struct object_store_stats s;
    struct flights_stats f;
    object_store_stats(v->cache->store, &s);
    flights_stats(v->cache->flights, &f);
    state_sample(out, "cache_size_bytes", "gauge", "Memory that the cache may take.", s.size);
    state_sample(out, "cache_used_bytes", "gauge", "Memory that it takes.", s.used);
    state_sample(out, "cache_objects", "gauge", "Objects that are stored.", s.objects);
    state_sample(out, "cache_stored_total", "counter", "Objects that were stored.", s.stored);
    state_sample(out, "cache_evicted_total", "counter", "Objects that went to make room.", s.evicted);
    state_sample(out, "cache_refused_total", "counter", "Times that there was no room.", s.refused);
    state_sample(out, "cache_flights", "gauge", "Fetches for the cache that are under way.", f.flying);
    state_family(out, "cache_coalesced_total", "counter", "Requests that joined another's fetch.");
    fprintf(out, "tollgate_cache_coalesced_total{scope=\"local\"} %" PRIu64 "\n", f.followed);
    if (v->fleet) {
        struct fleet_view fleet;
        fleet_view(v->fleet, &fleet);
        fprintf(out, "tollgate_cache_coalesced_total{scope=\"cluster\"} %" PRIu64 "\n", fleet.waits);
    }
}
