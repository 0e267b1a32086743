/* state_cache.c: the cache's part of state.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "gateway/cache_key.h"
#include "gateway/state_internal.h"

#define URL_MAX 8192 /* bytes of a key's URL */

struct state_answer state_show_cache(const struct state_view *v)
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
    return state_answer_with(200, j);
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

static struct state_answer purged(const struct state_view *v, const char *what, const char *text, size_t n)
{
    cJSON *j = cJSON_CreateObject();
    log_printf(v->log, LOG_INFO, "admin: purged %zu by %s %.200s", n, what, text);
    cJSON_AddNumberToObject(j, "purged", (double)n);
    return state_answer_with(200, j);
}

struct state_answer state_purge(const struct state_view *v, const struct state_ask *ask)
{
    char path[URL_MAX], space[URL_MAX * 2];
    struct object_store *s = v->cache->store;
    bool soft = is_yes(ask->soft);
    struct buf group;
    int given = (ask->url != NULL) + (ask->prefix != NULL) + (ask->tag != NULL) + is_yes(ask->all);
    if (given != 1)
        return state_refuse(400, "one of url, prefix, tag and all=yes is wanted");
    if (is_yes(ask->all))
        return purged(v, "all", "", object_store_purge(s, OBJECT_ALL, SLICE(""), soft));
    if (ask->tag)
        return purged(v, "tag", ask->tag, object_store_purge(s, OBJECT_TAG, slice_of(ask->tag), soft));
    if (ask->prefix)
        return purged(v, "prefix", ask->prefix,
                      object_store_purge(s, OBJECT_PREFIX, slice_of(ask->prefix), soft));
    buf_init(&group, space, sizeof(space));
    if (!group_of_url(v, ask->url, path, &group))
        return state_refuse(400, "url is a whole one, such as http://example.com/a");
    return purged(v, "url", ask->url, object_store_purge(s, OBJECT_GROUP, buf_slice(&group), soft));
}

/* ---- metrics ---- */

static void print(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    state_family(out, name, type, help);
    fprintf(out, "tollgate_%s %" PRIu64 "\n", name, value);
}

void state_cache_metrics(const struct state_view *v, FILE *out)
{
    struct object_store_stats s;
    struct flights_stats f;
    object_store_stats(v->cache->store, &s);
    flights_stats(v->cache->flights, &f);
    print(out, "cache_size_bytes", "gauge", "Memory that the cache may take.", s.size);
    print(out, "cache_used_bytes", "gauge", "Memory that it takes.", s.used);
    print(out, "cache_objects", "gauge", "Objects that are stored.", s.objects);
    print(out, "cache_stored_total", "counter", "Objects that were stored.", s.stored);
    print(out, "cache_evicted_total", "counter", "Objects that went to make room.", s.evicted);
    print(out, "cache_refused_total", "counter", "Times that there was no room.", s.refused);
    print(out, "cache_flights", "gauge", "Fetches for the cache that are under way.", f.flying);
    state_family(out, "cache_coalesced_total", "counter", "Requests that joined another's fetch.");
    fprintf(out, "tollgate_cache_coalesced_total{scope=\"local\"} %" PRIu64 "\n", f.followed);
}
