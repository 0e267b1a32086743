/*
 * top_table.c: see top_table.h.
 *
 * A panel is a row of the table at the end: its columns, and the function that adds its rows.
 */
#include "gateway/top_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/printable.h"

#define ROWS_MAX 20000 /* of a panel, whatever the gateway says */

/* ---- rows ---- */

/* NULL: memory is short, or they are too many. All cells are without anything to show. */
static struct top_row *add_row(struct top_table *t)
{
    if (t->nrows == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct top_row *more = t->nrows < ROWS_MAX ? realloc(t->rows, cap * sizeof(*more)) : NULL;
        if (!more) {
            t->failed = true;
            return NULL;
        }
        t->rows = more;
        t->cap = cap;
    }
    struct top_row *r = &t->rows[t->nrows];
    memset(r, 0, sizeof(*r));
    for (size_t i = 0; i < TOP_COLUMNS; i++)
        r->cells[i].number = NAN;
    r->group = (unsigned)t->nrows++;
    return r;
}

static const char *text_at(const cJSON *j, const char *path)
{
    const char *text = cJSON_GetStringValue(top_at(j, path));
    return text ? text : "";
}

static void set_text(struct top_row *r, size_t column, const char *text)
{
    printable_copy(r->cells[column].text, TOP_TEXT, slice_of(text));
}

static void set(struct top_row *r, size_t column, double number)
{
    r->cells[column].number = number;
}

/* What all rows that are compared need: the thing now and before, and the time between. */
struct pair {
    const cJSON *now, *before;
    double elapsed;
};

static struct pair pair_of(const struct top_model *m, const char *array, const cJSON *one, int index)
{
    const cJSON *old = top_named(top_at(m->before, array), index, text_at(one, "name"));
    return (struct pair){one, old, top_model_elapsed(m)};
}

static void set_rate(struct top_row *r, size_t column, const struct pair *p, const char *path)
{
    set(r, column, top_growth(p->now, p->before, path) / p->elapsed);
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* Three columns from FIRST on. */
static void set_percentiles(struct top_row *r, size_t first, const struct top_model *m, const struct pair *p)
{
    struct top_histogram h;
    top_histogram_init(&h, m);
    top_histogram_add(&h, p->now, p->before, "latency");
    set(r, first, top_quantile(&h, 0.5));
    set(r, first + 1, top_quantile(&h, 0.95));
    set(r, first + 2, top_quantile(&h, 0.99));
}

static double hit_share(const struct pair *p)
{
    return share(top_growth(p->now, p->before, "cache/HIT"), top_growth_of_all(p->now, p->before, "cache"));
}

/* ---- routes ---- */

static const struct top_column route_columns[] = {
    {"route", TOP_TEXT_CELL, 18}, {"req/s", TOP_RATE, 8},    {"5xx%", TOP_SHARE, 6},
    {"p50", TOP_SECONDS, 7},      {"p95", TOP_SECONDS, 7},   {"p99", TOP_SECONDS, 7},
    {"hit%", TOP_SHARE, 6},       {"429/s", TOP_RATE, 7},    {"4xx/s", TOP_RATE, 7},
    {"in B/s", TOP_BYTES, 8},     {"out B/s", TOP_BYTES, 8},
};

static void add_routes(struct top_table *t, const struct top_model *m)
{
    const cJSON *one;
    int i = 0;
    cJSON_ArrayForEach(one, top_at(m->now, "routes"))
    {
        const struct pair p = pair_of(m, "routes", one, i++);
        struct top_row *r = add_row(t);
        if (!r)
            return;
        double requests = top_growth_of_all(one, p.before, "requests");
        double errors = top_growth(one, p.before, "requests/5xx");
        set_text(r, 0, text_at(one, "name"));
        set(r, 1, requests / p.elapsed);
        set(r, 2, share(errors, requests));
        set_percentiles(r, 3, m, &p);
        set(r, 6, hit_share(&p));
        set_rate(r, 7, &p, "limited");
        set_rate(r, 8, &p, "requests/4xx");
        set_rate(r, 9, &p, "bytes_in");
        set_rate(r, 10, &p, "bytes_out");
        r->mood = errors > 0 ? TOP_BAD : top_growth(one, p.before, "limited") > 0 ? TOP_WARNING : TOP_USUAL;
    }
}

/* ---- backends, their breakers and servers ---- */

static const struct top_column backend_columns[] = {
    {"backend, server", TOP_TEXT_CELL, 18},
    {"state", TOP_TEXT_CELL, 11},
    {"req/s", TOP_RATE, 8},
    {"err/s", TOP_RATE, 7},
    {"p50", TOP_SECONDS, 7},
    {"p95", TOP_SECONDS, 7},
    {"p99", TOP_SECONDS, 7},
    {"retry/s", TOP_RATE, 8},
    {"inside", TOP_COUNT, 7},
    {"queued", TOP_COUNT, 7},
    {"weight", TOP_COUNT, 7},
};

static enum top_mood mood_of_breaker(const char *state)
{
    static const char *const usual[] = {"closed", "off", "forced closed"};
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (strcmp(state, usual[i]) == 0)
            return TOP_USUAL;
    return strncmp(state, "half", 4) == 0 ? TOP_WARNING : TOP_BAD;
}

static enum top_mood mood_of_server(const char *state)
{
    return strcmp(state, "up") == 0 ? TOP_USUAL : strcmp(state, "drained") == 0 ? TOP_WARNING : TOP_BAD;
}

static void add_servers(struct top_table *t, const cJSON *servers)
{
    const cJSON *one;
    unsigned group = (unsigned)t->nrows - 1, place = 1;
    cJSON_ArrayForEach(one, servers)
    {
        char name[TOP_TEXT];
        struct top_row *r = add_row(t);
        if (!r)
            return;
        snprintf(name, sizeof(name), "  %s", text_at(one, "server"));
        set_text(r, 0, name);
        set_text(r, 1, text_at(one, "state"));
        set(r, 10, top_number(one, "weight"));
        r->mood = mood_of_server(text_at(one, "state"));
        r->group = group;
        r->place = place++;
    }
}

static void add_backends(struct top_table *t, const struct top_model *m)
{
    const cJSON *one;
    int i = 0;
    cJSON_ArrayForEach(one, top_at(m->now, "backends"))
    {
        const struct pair p = pair_of(m, "backends", one, i++);
        struct top_row *r = add_row(t);
        if (!r)
            return;
        set_text(r, 0, text_at(one, "name"));
        set_text(r, 1, text_at(one, "breaker/state"));
        set_rate(r, 2, &p, "latency/count");
        set(r, 3, top_growth_of_all(one, p.before, "errors") / p.elapsed);
        set_percentiles(r, 4, m, &p);
        set_rate(r, 7, &p, "retries");
        set(r, 8, top_number(one, "breaker/bulkhead/inside"));
        set(r, 9, top_number(one, "breaker/bulkhead/queued"));
        r->mood = mood_of_breaker(text_at(one, "breaker/state"));
        add_servers(t, top_at(one, "servers"));
    }
}

/* ---- limits ---- */

static const struct top_column limit_columns[] = {
    {"limits, routes", TOP_TEXT_CELL, 24},
    {"429/s", TOP_RATE, 8},
    {"429", TOP_COUNT, 9},
    {"clients", TOP_COUNT, 9},
    {"in debt", TOP_COUNT, 9},
    {"slots", TOP_COUNT, 10},
    {"evicted", TOP_COUNT, 9},
    {"overflow", TOP_COUNT, 9},
};

static void add_tables(struct top_table *t, const struct top_model *m)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, top_at(m->now, "limits"))
    {
        char name[TOP_TEXT];
        struct top_row *r = add_row(t);
        if (!r)
            return;
        snprintf(name, sizeof(name), "filled within: %s", text_at(one, "fills_within"));
        set_text(r, 0, name);
        set(r, 3, top_number(one, "clients"));
        set(r, 4, top_number(one, "clients_in_debt"));
        set(r, 5, top_number(one, "slots"));
        set(r, 6, top_number(one, "evicted"));
        set(r, 7, top_number(one, "overflowed"));
    }
}

static void add_limits(struct top_table *t, const struct top_model *m)
{
    const cJSON *one;
    int i = 0;
    cJSON_ArrayForEach(one, top_at(m->now, "routes"))
    {
        const struct pair p = pair_of(m, "routes", one, i++);
        struct top_row *r = top_number(one, "limited") > 0 ? add_row(t) : NULL;
        if (!r)
            continue;
        set_text(r, 0, text_at(one, "name"));
        set_rate(r, 1, &p, "limited");
        set(r, 2, top_number(one, "limited"));
        r->mood = r->cells[1].number > 0 ? TOP_WARNING : TOP_USUAL;
    }
    add_tables(t, m);
}

/* ---- the cache ---- */

static const struct top_column cache_columns[] = {
    {"route", TOP_TEXT_CELL, 20}, {"hit%", TOP_SHARE, 6},   {"hit/s", TOP_RATE, 8},
    {"miss/s", TOP_RATE, 8},      {"stale/s", TOP_RATE, 8}, {"reval/s", TOP_RATE, 8},
    {"bypass/s", TOP_RATE, 9},
};

static void add_cache(struct top_table *t, const struct top_model *m)
{
    static const char *const paths[] = {"cache/HIT", "cache/MISS", "cache/STALE", "cache/REVALIDATED",
                                        "cache/BYPASS"};
    const cJSON *one, *cache = top_at(m->now, "cache"), *old = top_at(m->before, "cache");
    int i = 0;
    cJSON_ArrayForEach(one, top_at(m->now, "routes"))
    {
        const struct pair p = pair_of(m, "routes", one, i++);
        const cJSON *seen = top_at(one, "cache");
        struct top_row *r = seen && seen->child ? add_row(t) : NULL;
        if (!r)
            continue;
        set_text(r, 0, text_at(one, "name"));
        set(r, 1, hit_share(&p));
        for (size_t c = 0; c < sizeof(paths) / sizeof(paths[0]); c++)
            set_rate(r, 2 + c, &p, paths[c]);
    }
    double elapsed = top_model_elapsed(m);
    snprintf(t->caption, sizeof(t->caption),
             "%.1f of %.1f MB, %.0f objects, %.1f stored/s, %.1f evicted/s, %.0f fetches under way",
             top_number(cache, "used") / 1e6, top_number(cache, "size") / 1e6, top_number(cache, "objects"),
             top_growth(cache, old, "stored") / elapsed, top_growth(cache, old, "evicted") / elapsed,
             top_number(cache, "flights"));
}

/* ---- Redis ---- */

static const struct top_column redis_columns[] = {
    {"node", TOP_TEXT_CELL, 24},
    {"state", TOP_TEXT_CELL, 6},
    {"sessions", TOP_COUNT, 9},
    {"verified", TOP_SECONDS, 9},
};

static void add_nodes(struct top_table *t, const struct top_model *m)
{
    const cJSON *one, *redis = top_at(m->now, "redis");
    char name[TOP_TEXT];
    cJSON_ArrayForEach(one, top_at(redis, "nodes"))
    {
        struct top_row *r = add_row(t);
        if (!r)
            return;
        bool is_up = cJSON_IsTrue(top_at(one, "up"));
        set_text(r, 0, text_at(one, "node"));
        set_text(r, 1, is_up ? "up" : "down");
        set(r, 2, top_number(one, "sessions"));
        set(r, 3, top_number(one, "verified_ago_s"));
        r->mood = is_up ? TOP_USUAL : TOP_BAD;
    }
    if (!cJSON_IsObject(redis)) {
        snprintf(t->caption, sizeof(t->caption), "this gateway shares nothing with others");
        return;
    }
    printable_copy(name, 64, slice_of(text_at(redis, "gateway")));
    snprintf(t->caption, sizeof(t->caption), "%s, %.0f gateways%s", name, top_number(redis, "gateways"),
             cJSON_IsFalse(top_at(redis, "same_nodes")) ? ", NOT ALL WITH THE SAME NODES" : "");
}

/* ---- errors ---- */

static const struct top_column error_columns[] = {
    {"reason", TOP_TEXT_CELL, 24},
    {"per s", TOP_RATE, 8},
    {"share", TOP_SHARE, 6},
    {"in all", TOP_COUNT, 10},
};

static void add_errors(struct top_table *t, const struct top_model *m)
{
    const cJSON *one, *errors = top_at(m->now, "errors"), *old = top_at(m->before, "errors");
    double all = top_growth_of_all(m->now, m->before, "errors");
    cJSON_ArrayForEach(one, errors)
    {
        struct top_row *r = add_row(t);
        if (!r)
            return;
        double grown = top_growth(errors, old, one->string);
        set_text(r, 0, one->string);
        set(r, 1, grown / top_model_elapsed(m));
        set(r, 2, share(grown, all));
        set(r, 3, cJSON_GetNumberValue(one));
        r->mood = grown > 0 ? TOP_BAD : TOP_USUAL;
    }
}

/* ---- panels ---- */

#define COLUMNS(c) c, sizeof(c) / sizeof(c[0])

static const struct {
    const char *name;
    void (*add)(struct top_table *t, const struct top_model *m);
    const struct top_column *columns;
    size_t ncolumns;
    unsigned sort_by;
} panels[TOP_PANELS] = {
    [TOP_ROUTES] = {"routes", add_routes, COLUMNS(route_columns), 1},
    [TOP_BACKENDS] = {"backends", add_backends, COLUMNS(backend_columns), 2},
    [TOP_LIMITS] = {"limits", add_limits, COLUMNS(limit_columns), 1},
    [TOP_CACHE] = {"cache", add_cache, COLUMNS(cache_columns), 2},
    [TOP_REDIS] = {"redis", add_nodes, COLUMNS(redis_columns), 0},
    [TOP_ERRORS] = {"errors", add_errors, COLUMNS(error_columns), 1},
};

const char *top_panel_name(enum top_panel p)
{
    return panels[p].name;
}

bool top_table_make(struct top_table *t, const struct top_model *m, enum top_panel panel)
{
    *t = (struct top_table){.columns = panels[panel].columns,
                            .ncolumns = panels[panel].ncolumns,
                            .sort_by = panels[panel].sort_by};
    panels[panel].add(t, m);
    return !t->failed;
}

void top_table_free(struct top_table *t)
{
    free(t->rows);
}

/* ---- order ---- */

/* By what, for qsort_r: LEADERS are the rows as they were made. */
struct order {
    const struct top_row *leaders;
    size_t column;
    bool is_text, falls;
};

static int compare_cells(const struct top_cell *a, const struct top_cell *b, const struct order *o)
{
    if (o->is_text)
        return o->falls ? strcmp(a->text, b->text) : strcmp(b->text, a->text);
    if (isnan(a->number) || isnan(b->number))
        return (isnan(a->number) != 0) - (isnan(b->number) != 0);
    int larger = (a->number > b->number) - (a->number < b->number);
    return o->falls ? -larger : larger;
}

static int compare(const void *one, const void *two, void *ctx)
{
    const struct order *o = ctx;
    const struct top_row *a = one, *b = two;
    int by_cell =
        compare_cells(&o->leaders[a->group].cells[o->column], &o->leaders[b->group].cells[o->column], o);
    if (by_cell != 0)
        return by_cell;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

void top_table_sort(struct top_table *t, size_t column, bool falls)
{
    if (t->nrows < 2)
        return;
    struct top_row *leaders = malloc(t->nrows * sizeof(*leaders));
    if (!leaders)
        return; /* it stays as it was made */
    memcpy(leaders, t->rows, t->nrows * sizeof(*leaders));
    struct order o = {leaders, column, t->columns[column].kind == TOP_TEXT_CELL, falls};
    qsort_r(t->rows, t->nrows, sizeof(*t->rows), compare, &o);
    free(leaders);
}
