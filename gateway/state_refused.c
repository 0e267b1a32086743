/*
 * state_refused.c: who is refused most by limits (state_internal.h).
 *
 *     [{"route": "/api", "limit": "default", "kind": "ip", "key": "192.0.2.x", "count": 120, "at_most_over":
 * 3}]
 *
 * A refusal names its limit by an id, which is looked up in the configuration of now: what a limit refused
 * that is there no more is not shown.
 */
#include "gateway/limit.h"
#include "gateway/refusals.h"
#include "gateway/state_internal.h"
#include "lib/clock.h"

#define NAME_MAX_LEN 256

/* False: no limit has this id any more. */
static bool find_rule(const struct conf *conf, uint64_t id, const struct conf_route **route, size_t *limit)
{
    for (size_t r = 0; r < conf->nroutes; r++)
        for (size_t i = 0; i < conf->routes[r].nlimits; i++)
            if (refusals_rule_id(&conf->routes[r], i) == id) {
                *route = &conf->routes[r];
                *limit = i;
                return true;
            }
    return false;
}

/* Every bucket of a key that is the route alone is the route's. */
static const char *key_text(const struct refusal *refusal, const struct conf_route *route)
{
    return refusal->key[0] ? refusal->key : route->name;
}

static void add_refusal(cJSON *all, const struct conf *conf, const struct refusal *refusal)
{
    char name[NAME_MAX_LEN];
    struct buf b;
    const struct conf_route *route;
    size_t limit;
    if (!find_rule(conf, refusal->rule, &route, &limit))
        return;
    buf_init(&b, name, sizeof(name));
    limit_name(&route->limits[limit], limit, &b);
    const char *text = buf_cstr(&b);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "route", route->name);
    cJSON_AddStringToObject(j, "limit", text ? text : "");
    cJSON_AddStringToObject(j, "kind", refusal->kind);
    cJSON_AddStringToObject(j, "key", key_text(refusal, route));
    cJSON_AddNumberToObject(j, "count", (double)refusal->count);
    cJSON_AddNumberToObject(j, "at_most_over", (double)refusal->over);
    cJSON_AddItemToArray(all, j);
}

cJSON *state_refused(const struct state_view *v)
{
    struct refusal top[REFUSALS_SHOWN];
    size_t n = 0;
    cJSON *all = cJSON_CreateArray();
    if (!refusals_top(limiter_refusals(v->limiter), clock_now_ns(), top, &n))
        return all;
    for (size_t i = 0; i < n; i++)
        add_refusal(all, v->conf, &top[i]);
    return all;
}
