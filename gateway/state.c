/* state.c: see state.h. */
#include "gateway/state_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "gateway/debug.h"
#include "gateway/limit_shared.h"
#include "gateway/problem.h"
#include "lib/clock.h"

#define WEIGHT_MAX 1000
#define SECOND     1e9

struct state_answer state_answer_with(unsigned status, cJSON *json)
{
    struct state_answer a = {.status = status, .json = json ? cJSON_Print(json) : NULL};
    cJSON_Delete(json);
    return a;
}

struct state_answer state_refuse(unsigned status, const char *why)
{
    return (struct state_answer){.status = status, .json = problem_text(status, why)};
}

/* ---- breakers ---- */

static void add_counts(cJSON *to, const char *name, const struct breaker_counts *c)
{
    cJSON *j = cJSON_AddObjectToObject(to, name);
    cJSON_AddNumberToObject(j, "requests", (double)c->total);
    cJSON_AddNumberToObject(j, "failures", (double)c->failures);
    cJSON_AddNumberToObject(j, "slow", (double)c->slow);
}

cJSON *state_breaker_json(const struct guard *g, uint64_t now)
{
    struct breaker_view b = breaker_view(&g->breaker, now);
    struct retry_budget_view r = retry_budget_view(&g->budget, now);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "backend", g->name);
    cJSON_AddStringToObject(j, "state", g->breaker_conf.enabled ? breaker_state_name(b.state) : "off");
    cJSON_AddNumberToObject(j, "time_left_s", (double)b.time_left_ns / SECOND);
    cJSON_AddNumberToObject(j, "changes", b.generation);
    cJSON_AddNumberToObject(j, "failures_in_a_row", b.in_a_row);
    cJSON_AddNumberToObject(j, "from_others", (double)b.events[BREAKER_DID_FOLLOW]);
    cJSON_AddNumberToObject(j, "cautious_for_s", (double)b.cautious_left_ns / SECOND);
    add_counts(j, "window", &b.window);
    add_counts(j, "when_it_opened", &b.tripped);
    cJSON *retries = cJSON_AddObjectToObject(j, "retries");
    cJSON_AddNumberToObject(retries, "requests", (double)r.requests);
    cJSON_AddNumberToObject(retries, "retries", (double)r.retries);
    cJSON_AddNumberToObject(retries, "left", (double)r.left);
    cJSON *bulkhead = cJSON_AddObjectToObject(j, "bulkhead");
    cJSON_AddNumberToObject(bulkhead, "inside", bulkhead_inside(&g->bulkhead));
    cJSON_AddNumberToObject(bulkhead, "max", bulkhead_max(&g->bulkhead));
    cJSON_AddNumberToObject(bulkhead, "queued", atomic_load_explicit(&g->queued, memory_order_relaxed));
    return j;
}

static struct state_answer show_breakers(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    cJSON *all = cJSON_CreateArray();
    uint64_t now = clock_now_ns();
    for (size_t i = 0; i < v->conf->nbackends; i++) {
        const struct guard *g = guards_named(v->guards, v->conf->backends[i].name);
        if (g)
            cJSON_AddItemToArray(all, state_breaker_json(g, now));
    }
    return state_answer_with(200, all);
}

static bool parse_force(const char *text, enum breaker_force *force)
{
    static const char *const words[] = {
        [BREAKER_FORCE_NONE] = "auto", [BREAKER_FORCE_OPEN] = "open", [BREAKER_FORCE_CLOSED] = "closed"};
    for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return *force = (enum breaker_force)i, true;
    return false;
}

static struct state_answer set_breaker(const struct state_view *v, const struct state_ask *ask)
{
    enum breaker_force force;
    struct guard *g = ask->backend ? guards_named(v->guards, ask->backend) : NULL;
    uint64_t now = clock_now_ns();
    if (!ask->backend || !parse_force(ask->state, &force))
        return state_refuse(400, "backend, and state=open, closed or auto are wanted");
    if (!g)
        return state_refuse(404, "there is no such backend");
    if (!g->breaker_conf.enabled)
        return state_refuse(409, "the breaker of this backend is off in the configuration");
    log_printf(v->log, LOG_INFO, "admin: breaker of backend %s set to %s", g->name, ask->state);
    guard_tell(g, breaker_force(&g->breaker, force, now), v->log);
    return state_answer_with(200, state_breaker_json(g, now));
}

/* ---- servers ---- */

static const char *fitness_name(const struct endpoint *e, const struct ejection_view *fit, uint64_t now)
{
    return e->by_hand.is_drained                                                 ? "drained"
           : fit->is_down                                                        ? "down"
           : fit->is_ejected                                                     ? "ejected"
           : atomic_load_explicit(&e->down_until_ns, memory_order_relaxed) > now ? "unreachable"
                                                                                 : "up";
}

static cJSON *server_json(const struct conf_backend *b, const struct endpoint_list *l, size_t i, uint64_t now)
{
    const struct endpoint *e = l->at[i].endpoint;
    struct ejection_view fit = ejection_view(&e->fit, now);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "backend", b->name);
    cJSON_AddStringToObject(j, "server", e->text);
    cJSON_AddStringToObject(j, "name", e->host_field);
    cJSON_AddStringToObject(j, "state", fitness_name(e, &fit, now));
    cJSON_AddNumberToObject(j, "weight", l->at[i].weight);
    cJSON_AddBoolToObject(j, "backup", l->at[i].is_backup);
    cJSON_AddNumberToObject(j, "failures_in_a_row", fit.failures);
    cJSON_AddNumberToObject(j, "ejections_in_a_row", fit.ejections);
    cJSON_AddNumberToObject(j, "ejected_for_s", (double)fit.time_left_ns / SECOND);
    return j;
}

void state_add_servers(const struct state_view *v, size_t backend, cJSON *all)
{
    const struct endpoint_list *l = v->lists[backend];
    uint64_t now = clock_now_ns();
    for (size_t i = 0; l && i < l->n; i++)
        cJSON_AddItemToArray(all, server_json(&v->conf->backends[backend], l, i, now));
}

static struct state_answer show_servers(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; i < v->conf->nbackends; i++)
        state_add_servers(v, i, all);
    return state_answer_with(200, all);
}

static bool is_meant(const struct endpoint *e, const char *server)
{
    return strcmp(server, e->text) == 0 || strcmp(server, e->host_field) == 0;
}

/* What is to be set. */
struct by_hand {
    bool has_drain, drain, has_weight;
    uint64_t weight;
};

static bool parse_by_hand(const struct state_ask *ask, struct by_hand *out)
{
    *out = (struct by_hand){.has_drain = ask->drain, .has_weight = ask->weight};
    if (ask->drain)
        out->drain = strcmp(ask->drain, "yes") == 0;
    if (ask->drain && !out->drain && strcmp(ask->drain, "no") != 0)
        return false;
    if (ask->weight && !slice_to_u64(slice_of(ask->weight), WEIGHT_MAX, &out->weight))
        return false;
    return ask->drain || ask->weight;
}

static struct state_answer set_servers(const struct state_view *v, size_t backend,
                                       const struct state_ask *ask, const struct by_hand *set)
{
    const struct endpoint_list *l = v->lists[backend];
    size_t n = 0;
    for (size_t i = 0; l && i < l->n; i++) {
        struct endpoint *e = l->at[i].endpoint;
        if (!is_meant(e, ask->server))
            continue;
        if (set->has_drain)
            e->by_hand.is_drained = set->drain;
        if (set->has_weight)
            e->by_hand.weight = (unsigned)set->weight;
        log_printf(v->log, LOG_INFO, "admin: server %s of backend %s: drain %s, weight %u", e->text,
                   v->conf->backends[backend].name, e->by_hand.is_drained ? "yes" : "no", e->by_hand.weight);
        n++;
    }
    if (n == 0)
        return state_refuse(404, "there is no such server");
    v->relist(v->ctx, backend); /* the lists of V are gone after this */
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "changed", (double)n);
    return state_answer_with(200, j);
}

static struct state_answer set_server(const struct state_view *v, const struct state_ask *ask)
{
    struct by_hand set;
    if (!ask->backend || !ask->server || !parse_by_hand(ask, &set))
        return state_refuse(400, "backend, server, and drain=yes or no or weight=0 to 1000 are wanted");
    for (size_t i = 0; i < v->conf->nbackends; i++)
        if (strcmp(v->conf->backends[i].name, ask->backend) == 0)
            return set_servers(v, i, ask, &set);
    return state_refuse(404, "there is no such backend");
}

/* ---- limits ---- */

static const char *const table_names[LIMIT_TABLES] = {"minute", "hour", "longer"};

cJSON *state_limits_json(const struct state_view *v)
{
    cJSON *all = cJSON_CreateObject();
    cJSON *tables = cJSON_AddArrayToObject(all, "tables");
    for (unsigned i = 0; i < LIMIT_TABLES; i++) {
        struct bucket_usage u = limiter_usage(v->limiter, i, clock_now_ns());
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "fills_within", table_names[i]);
        cJSON_AddNumberToObject(j, "slots", (double)u.slots);
        cJSON_AddNumberToObject(j, "clients", (double)u.held);
        cJSON_AddNumberToObject(j, "clients_in_debt", (double)u.in_debt);
        cJSON_AddNumberToObject(j, "evicted", (double)u.evicted);
        cJSON_AddNumberToObject(j, "overflowed", (double)u.overflowed);
        cJSON_AddItemToArray(tables, j);
    }
    cJSON_AddItemToObject(all, "refused", state_refused(v));
    return all;
}

static struct state_answer show_limits(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    return state_answer_with(200, state_limits_json(v));
}

static struct state_answer show_cache(const struct state_view *v, const struct state_ask *ask)
{
    (void)ask;
    return state_answer_with(200, state_cache_json(v));
}

/* ---- pages ---- */

static const struct state_page {
    const char *path;
    bool is_post;
    struct state_answer (*answer)(const struct state_view *v, const struct state_ask *ask);
} pages[] = {
    {"/breakers", false, show_breakers},   {"/breakers", true, set_breaker},
    {"/servers", false, show_servers},     {"/servers", true, set_server},
    {"/limits", false, show_limits},       {"/cache", false, show_cache},
    {"/cache/purge", true, state_purge},   {"/redis", false, state_show_redis},
    {"/traces", false, state_list_traces}, {"/debug/slow", false, state_list_slow},
};

#define TRACE_PATH "/traces/"

struct state_answer state_handle(const struct state_view *v, const struct state_ask *ask)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (pages[i].is_post == ask->is_post && strcmp(pages[i].path, ask->path) == 0)
            return pages[i].answer(v, ask);
    if (strncmp(ask->path, TRACE_PATH, strlen(TRACE_PATH)) == 0)
        return state_show_trace(v, ask->path + strlen(TRACE_PATH));
    if (debug_has(ask))
        return debug_handle(v->debug, v, ask);
    return state_refuse(404, "there is no such page");
}

/* ---- metrics ---- */

void state_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP tollgate_%s %s\n# TYPE tollgate_%s %s\n", name, help, name, type);
}

void state_sample(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    state_family(out, name, type, help);
    fprintf(out, "tollgate_%s %" PRIu64 "\n", name, value);
}

/* A value of a label, with what has to be escaped. */
static void label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', out);
        fputc(*value, out);
    }
    fputc('"', out);
}

/* 0 closed, 1 half-open, 2 open, whether forced or not. */
static unsigned state_number(enum breaker_state s)
{
    return s == BREAKER_HALF_OPEN ? 1 : s == BREAKER_OPEN || s == BREAKER_FORCED_OPEN ? 2 : 0;
}

typedef void print_guard(FILE *out, const char *name, const struct guard *g, uint64_t now);

static void print_sample(FILE *out, const char *name, const struct guard *g, uint64_t value)
{
    fprintf(out, "tollgate_%s{", name);
    label(out, "backend", g->name);
    fprintf(out, "} %" PRIu64 "\n", value);
}

static void print_state(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    if (g->breaker_conf.enabled)
        print_sample(out, name, g, state_number(breaker_view(&g->breaker, now).state));
}

static void print_transitions(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    struct breaker_view b = breaker_view(&g->breaker, now);
    for (size_t i = 1; g->breaker_conf.enabled && i < BREAKER_NEVENTS; i++) {
        fprintf(out, "tollgate_%s{", name);
        label(out, "backend", g->name);
        fputc(',', out);
        label(out, "change", breaker_event_name((enum breaker_event)i));
        fprintf(out, "} %" PRIu64 "\n", b.events[i]);
    }
}

/* What the other gateways' openings have led to. */
static void print_shared(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    struct breaker_view b = breaker_view(&g->breaker, now);
    bool opens = g->breaker_conf.share == BREAKER_SHARE_OPEN;
    if (!g->breaker_conf.enabled || g->breaker_conf.share == BREAKER_SHARE_OFF)
        return;
    fprintf(out, "tollgate_%s{", name);
    label(out, "backend", g->name);
    fprintf(out, ",effect=\"%s\"} %" PRIu64 "\n", opens ? "open" : "cautious",
            opens ? b.events[BREAKER_DID_FOLLOW] : b.cautions);
}

static void print_left(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    print_sample(out, name, g, retry_budget_view(&g->budget, now).left);
}

static void print_inside(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    (void)now;
    if (g->bulkhead_conf.max > 0)
        print_sample(out, name, g, bulkhead_inside(&g->bulkhead));
}

static void print_room(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    (void)now;
    if (g->bulkhead_conf.max > 0)
        print_sample(out, name, g, bulkhead_max(&g->bulkhead));
}

static void print_queued(FILE *out, const char *name, const struct guard *g, uint64_t now)
{
    (void)now;
    if (g->bulkhead_conf.max > 0)
        print_sample(out, name, g, atomic_load_explicit(&g->queued, memory_order_relaxed));
}

static const struct {
    const char *name, *type, *help;
    print_guard *print;
} guard_families[] = {
    {"breaker_state", "gauge", "State of the backend's breaker: 0 closed, 1 half-open, 2 open.", print_state},
    {"breaker_transitions_total", "counter", "Changes of the backend's breaker.", print_transitions},
    {"breaker_shared_total", "counter", "Times that another gateway's breaker had this effect here.",
     print_shared},
    {"retry_budget_left", "gauge", "Retries that the backend's budget has left now.", print_left},
    {"bulkhead_in_flight", "gauge", "Requests that the backend's bulkhead has let in.", print_inside},
    {"bulkhead_max", "gauge", "Requests that it lets in at once.", print_room},
    {"bulkhead_queued", "gauge", "Requests that wait before it.", print_queued},
};

/* How many servers of each backend are in each state: a backend whose name has no address yet is seen too. */
static void print_server_states(const struct state_view *v, FILE *out)
{
    static const char *const states[] = {"up", "ejected", "down", "unreachable", "drained"};
    uint64_t now = clock_now_ns();
    state_family(out, "backend_servers", "gauge", "Addresses of the backend, by state.");
    for (size_t i = 0; i < v->conf->nbackends; i++)
        for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
            const struct endpoint_list *l = v->lists[i];
            unsigned n = 0;
            for (size_t j = 0; l && j < l->n; j++) {
                struct ejection_view fit = ejection_view(&l->at[j].endpoint->fit, now);
                n += strcmp(fitness_name(l->at[j].endpoint, &fit, now), states[s]) == 0;
            }
            fputs("tollgate_backend_servers{", out);
            label(out, "backend", v->conf->backends[i].name);
            fprintf(out, ",state=\"%s\"} %u\n", states[s], n);
        }
}

static bool is_up(const struct endpoint *e, uint64_t now)
{
    struct ejection_view fit = ejection_view(&e->fit, now);
    return strcmp(fitness_name(e, &fit, now), "up") == 0;
}

/* The first of those from FROM to TO that has the address TEXT; TO: none. */
static size_t find_address(const struct endpoint_list *l, size_t from, size_t to, const char *text)
{
    while (from < to && strcmp(l->at[from].endpoint->text, text) != 0)
        from++;
    return from;
}

static bool is_address_up(const struct endpoint_list *l, const char *text, uint64_t now)
{
    for (size_t i = 0; (i = find_address(l, i, l->n, text)) < l->n; i++)
        if (is_up(l->at[i].endpoint, now))
            return true;
    return false;
}

/* Several servers may have one address, of which there can be only one sample. */
static void print_servers(const struct state_view *v, FILE *out)
{
    uint64_t now = clock_now_ns();
    state_family(out, "server_up", "gauge",
                 "Whether the address is given requests; 1 when any server that has it is.");
    for (size_t i = 0; i < v->conf->nbackends; i++)
        for (size_t j = 0; v->lists[i] && j < v->lists[i]->n; j++) {
            const struct endpoint_list *l = v->lists[i];
            const char *text = l->at[j].endpoint->text;
            if (find_address(l, 0, j, text) < j)
                continue;
            fputs("tollgate_server_up{", out);
            label(out, "backend", v->conf->backends[i].name);
            fputc(',', out);
            label(out, "server", text);
            fprintf(out, "} %d\n", is_address_up(l, text, now));
        }
}

static uint64_t held_of(const struct bucket_usage *u)
{
    return u->held;
}

static uint64_t slots_of(const struct bucket_usage *u)
{
    return u->slots;
}

static uint64_t evicted_of(const struct bucket_usage *u)
{
    return u->evicted;
}

static uint64_t overflowed_of(const struct bucket_usage *u)
{
    return u->overflowed;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const struct bucket_usage *u);
} of_tables[] = {
    {"ratelimit_clients", "gauge", "Clients that limits remember, about.", held_of},
    {"ratelimit_slots", "gauge", "Clients that they can remember.", slots_of},
    {"ratelimit_evicted_total", "counter", "Clients that were forgotten while they were in debt.",
     evicted_of},
    {"ratelimit_overflowed_total", "counter", "New clients that were refused, for there was no slot.",
     overflowed_of},
};

static void print_tables(const struct state_view *v, FILE *out)
{
    struct bucket_usage usage[LIMIT_TABLES];
    for (unsigned i = 0; i < LIMIT_TABLES; i++)
        usage[i] = limiter_usage(v->limiter, i, clock_now_ns());
    for (size_t f = 0; f < sizeof(of_tables) / sizeof(of_tables[0]); f++) {
        state_family(out, of_tables[f].name, of_tables[f].type, of_tables[f].help);
        for (unsigned i = 0; i < LIMIT_TABLES; i++)
            fprintf(out, "tollgate_%s{fills_within=\"%s\"} %" PRIu64 "\n", of_tables[f].name, table_names[i],
                    of_tables[f].value(&usage[i]));
    }
    struct limit_shared_stats shared;
    limit_shared_stats(limiter_shared(v->limiter), &shared);
    state_family(out, "ratelimit_redis_calls_total", "counter", "Calls to Redis for limits of all gateways.");
    fprintf(out, "tollgate_ratelimit_redis_calls_total %" PRIu64 "\n", shared.calls);
    state_family(out, "ratelimit_redis_failures_total", "counter", "Of them, those without a good answer.");
    fprintf(out, "tollgate_ratelimit_redis_failures_total %" PRIu64 "\n", shared.failures);
    state_family(out, "ratelimit_leased_clients", "gauge", "Clients whose tokens are leased, about.");
    fprintf(out, "tollgate_ratelimit_leased_clients %zu\n", shared.held);
}

void state_metrics(const struct state_view *v, FILE *out)
{
    uint64_t now = clock_now_ns();
    for (size_t f = 0; f < sizeof(guard_families) / sizeof(guard_families[0]); f++) {
        state_family(out, guard_families[f].name, guard_families[f].type, guard_families[f].help);
        for (size_t i = 0; i < v->conf->nbackends; i++) {
            const struct guard *g = guards_named(v->guards, v->conf->backends[i].name);
            if (g)
                guard_families[f].print(out, guard_families[f].name, g, now);
        }
    }
    print_servers(v, out);
    print_server_states(v, out);
    print_tables(v, out);
    state_cache_metrics(v, out);
    state_fleet_metrics(v, out);
    state_trace_metrics(v, out);
    state_process_metrics(v, out);
}
