/* top_model.c: see top_model.h. */
#include "gateway/top_model.h"

#include <math.h>
#include <stdio.h>

#define NAME_MAX_LEN 64

/* ---- looks ---- */

static const char *instance_of(const cJSON *j)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "instance"));
}

bool top_model_take(struct top_model *m, struct slice json)
{
    cJSON *j = json.len > 0 ? cJSON_ParseWithLength(json.p, json.len) : NULL;
    if (!instance_of(j) || isnan(top_number(j, "now")) || isnan(top_number(j, "started"))) {
        cJSON_Delete(j);
        return false;
    }
    m->has_restarted = m->now && strcmp(instance_of(m->now), instance_of(j)) != 0;
    cJSON_Delete(m->before);
    m->before = m->now;
    m->now = j;
    if (m->has_restarted) {
        cJSON_Delete(m->before);
        m->before = NULL;
    }
    return true;
}

void top_model_fini(struct top_model *m)
{
    cJSON_Delete(m->now);
    cJSON_Delete(m->before);
    *m = (struct top_model){0};
}

double top_model_elapsed(const struct top_model *m)
{
    double from = m->before ? top_number(m->before, "now") : top_number(m->now, "started");
    double elapsed = top_number(m->now, "now") - from;
    return elapsed > 0 ? elapsed : NAN;
}

/* ---- reading ---- */

const cJSON *top_at(const cJSON *j, const char *path)
{
    char name[NAME_MAX_LEN];
    while (j && *path) {
        size_t len = strcspn(path, "/");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        j = cJSON_GetObjectItemCaseSensitive(j, name);
        path += len + (path[len] == '/');
    }
    return j;
}

double top_number(const cJSON *j, const char *path)
{
    return cJSON_GetNumberValue(top_at(j, path)); /* NAN unless it is one */
}

static bool is_named(const cJSON *j, const char *name)
{
    const char *found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "name"));
    return found && strcmp(found, name) == 0;
}

const cJSON *top_named(const cJSON *array, int index, const char *name)
{
    const cJSON *one = cJSON_GetArrayItem(array, index);
    if (is_named(one, name))
        return one;
    cJSON_ArrayForEach(one, array) if (is_named(one, name)) return one;
    return NULL;
}

/* ---- comparing ---- */

static double or_zero(double n)
{
    return isnan(n) ? 0 : n;
}

static double grown(double now, double before)
{
    return now >= before ? now - before : now;
}

double top_growth(const cJSON *j, const cJSON *old, const char *path)
{
    return grown(or_zero(top_number(j, path)), or_zero(top_number(old, path)));
}

static double sum_of(const cJSON *object)
{
    double sum = 0;
    const cJSON *one;
    cJSON_ArrayForEach(one, object) sum += or_zero(cJSON_GetNumberValue(one));
    return sum;
}

double top_growth_of_all(const cJSON *j, const cJSON *old, const char *path)
{
    return grown(sum_of(top_at(j, path)), sum_of(top_at(old, path)));
}

/* ---- durations ---- */

void top_histogram_init(struct top_histogram *h, const struct top_model *m)
{
    const cJSON *one;
    memset(h, 0, sizeof(*h));
    cJSON_ArrayForEach(one, top_at(m->now, "latency_bounds"))
    {
        double bound = cJSON_GetNumberValue(one), last = h->nbounds > 0 ? h->bounds[h->nbounds - 1] : 0;
        if (h->nbounds == TOP_BUCKETS || !(bound > last))
            return;
        h->bounds[h->nbounds++] = bound;
    }
}

void top_histogram_add(struct top_histogram *h, const cJSON *j, const cJSON *old, const char *path)
{
    const cJSON *one, *before = top_at(top_at(old, path), "buckets");
    before = before ? before->child : NULL;
    size_t i = 0;
    cJSON_ArrayForEach(one, top_at(top_at(j, path), "buckets"))
    {
        if (i > h->nbounds)
            return;
        double n = grown(or_zero(cJSON_GetNumberValue(one)), or_zero(cJSON_GetNumberValue(before)));
        h->counts[i++] += n;
        h->count += n;
        before = before ? before->next : NULL;
    }
}

double top_quantile(const struct top_histogram *h, double q)
{
    double wanted = h->count * q, below = 0;
    if (!(h->count > 0) || h->nbounds == 0)
        return NAN;
    for (size_t i = 0; i < h->nbounds; i++) {
        double n = h->counts[i], from = i > 0 ? h->bounds[i - 1] : 0;
        if (n > 0 && below + n >= wanted)
            return from + (h->bounds[i] - from) * (wanted - below) / n;
        below += n;
    }
    return h->bounds[h->nbounds - 1]; /* at least */
}

/* ---- the whole ---- */

static void sum_up_routes(const struct top_model *m, struct top_summary *s)
{
    struct top_histogram h;
    const cJSON *one, *old = top_at(m->before, "routes");
    double requests = 0, errors = 0;
    int i = 0;
    top_histogram_init(&h, m);
    cJSON_ArrayForEach(one, top_at(m->now, "routes"))
    {
        const char *name = cJSON_GetStringValue(top_at(one, "name"));
        const cJSON *before = name ? top_named(old, i, name) : NULL;
        requests += top_growth_of_all(one, before, "requests");
        errors += top_growth(one, before, "requests/5xx");
        top_histogram_add(&h, one, before, "latency");
        i++;
    }
    s->requests = requests / top_model_elapsed(m);
    s->errors = requests > 0 ? errors / requests : NAN;
    s->p50_s = top_quantile(&h, 0.5);
    s->p95_s = top_quantile(&h, 0.95);
    s->p99_s = top_quantile(&h, 0.99);
}

static void sum_up_workers(const struct top_model *m, struct top_summary *s)
{
    const cJSON *one;
    s->lag_ms = NAN;
    cJSON_ArrayForEach(one, top_at(m->now, "workers"))
    {
        s->lag_ms = fmax(s->lag_ms, top_number(one, "lag_ms")); /* of a NAN and a number, the number */
        s->workers++;
        s->stalled += (unsigned)cJSON_IsTrue(top_at(one, "stalled"));
    }
}

void top_model_sum_up(const struct top_model *m, struct top_summary *s)
{
    memset(s, 0, sizeof(*s));
    s->uptime_s = top_number(m->now, "now") - top_number(m->now, "started");
    s->in_flight = top_number(m->now, "in_flight");
    s->connections = top_number(m->now, "connections/open");
    s->resident = top_number(m->now, "memory/resident");
    s->cpu = top_growth(m->now, m->before, "cpu_seconds") / top_model_elapsed(m);
    s->is_ready = cJSON_IsTrue(top_at(m->now, "ready"));
    s->is_config_good = cJSON_IsTrue(top_at(m->now, "config_ok"));
    sum_up_routes(m, s);
    sum_up_workers(m, s);
}
