/* metrics.c: counting; see metrics.h, and metrics_table.h for what is written where. */
#include "gateway/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/metrics_table.h"
#include "gateway/record.h"
#include "lib/buf.h"
#include "lib/clock.h"

#define NAME_OTHER "other"
#define NAME_NONE  "none"

/* ---- names ---- */

/*
 * The inside of a label's value: backslash, quote and line feed escaped; what is not UTF-8 replaced, for it
 * would make the whole page unreadable. buf_add_json does the latter, and leaves all other bytes above ASCII
 * alone.
 */
static void add_label(struct buf *b, struct slice s)
{
    while (s.len > 0) {
        size_t n = 0;
        while (n < s.len && (unsigned char)s.p[n] >= 0x80)
            n++;
        buf_add_json(b, (struct slice){s.p, n});
        s = slice_skip(s, n);
        if (s.len == 0)
            break;
        if (s.p[0] == '\\' || s.p[0] == '"' || s.p[0] == '\n')
            buf_add_char(b, '\\');
        buf_add_char(b, s.p[0] == '\n' ? 'n' : s.p[0]);
        s = slice_skip(s, 1);
    }
}

static char *label_of(const char *text)
{
    struct buf b;
    size_t cap = strlen(text) * 3 + 1; /* U+FFFD has three bytes */
    char *memory = malloc(cap);
    if (!memory)
        return NULL;
    buf_init(&b, memory, cap);
    add_label(&b, slice_of(text));
    CHECK(buf_cstr(&b));
    return memory;
}

static bool name_init(struct metrics_name *name, const char *text)
{
    name->text = strdup(text);
    name->label = label_of(text);
    return name->text && name->label;
}

static struct metrics_name *list_find(const struct metrics_list *list, const char *text)
{
    for (struct metrics_name *n = list->first; n; n = n->next)
        if (strcmp(n->text, text) == 0)
            return n;
    return NULL;
}

static void list_add(struct metrics_list *list, struct metrics_name *name)
{
    *list->end = name;
    list->end = &name->next;
    list->n++;
}

/* ---- routes and backends ---- */

static bool durations_init(struct metrics_durations *d, size_t nstripes)
{
    d->histogram = histogram_new(nstripes);
    d->exemplars = exemplars_new(nstripes, metrics_scale_requests.n + 1);
    return d->histogram && d->exemplars;
}

static void durations_fini(struct metrics_durations *d)
{
    histogram_free(d->histogram);
    exemplars_free(d->exemplars);
}

static void route_free(struct metrics_name *name)
{
    struct metrics_route *r = (struct metrics_route *)name;
    durations_fini(&r->durations);
    counters_free(r->counts);
    free(r->codes);
    free(name->text);
    free(name->label);
    free(r);
}

static struct metrics_name *route_new(const struct metrics *m, const char *text)
{
    struct metrics_route *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    bool has_durations = durations_init(&r->durations, m->nstripes);
    r->counts = counters_new(m->nstripes, ROUTE_COUNTERS);
    r->codes = aligned_alloc(CACHE_LINE, m->nstripes * sizeof(*r->codes));
    if (!name_init(&r->name, text) || !has_durations || !r->counts || !r->codes) {
        route_free(&r->name);
        return NULL;
    }
    memset(r->codes, 0, m->nstripes * sizeof(*r->codes));
    return &r->name;
}

static void backend_free(struct metrics_name *name)
{
    struct metrics_backend *b = (struct metrics_backend *)name;
    durations_fini(&b->durations);
    counters_free(b->counts);
    free(name->text);
    free(name->label);
    free(b);
}

static struct metrics_name *backend_new(const struct metrics *m, const char *text)
{
    struct metrics_backend *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    bool has_durations = durations_init(&b->durations, m->nstripes);
    b->counts = counters_new(m->nstripes, BACKEND_COUNTERS);
    if (!name_init(&b->name, text) || !has_durations || !b->counts) {
        backend_free(&b->name);
        return NULL;
    }
    return &b->name;
}

typedef struct metrics_name *make_fn(const struct metrics *m, const char *text);

static struct metrics_name *get_or_make(struct metrics *m, struct metrics_list *list, const char *text,
                                        make_fn *make)
{
    pthread_mutex_lock(&m->lock);
    struct metrics_name *name = list_find(list, text);
    if (!name && list->n >= METRICS_NAMES) {
        text = NAME_OTHER;
        name = list_find(list, text);
    }
    if (!name && (name = make(m, text)) != NULL)
        list_add(list, name);
    pthread_mutex_unlock(&m->lock);
    return name;
}

struct metrics_route *metrics_route(struct metrics *m, const char *name)
{
    return (struct metrics_route *)get_or_make(m, &m->routes, name, route_new);
}

struct metrics_backend *metrics_backend(struct metrics *m, const char *name)
{
    return (struct metrics_backend *)get_or_make(m, &m->backends, name, backend_new);
}

/* ---- counting ---- */

/* A single writer: no read-modify-write is needed. */
static void raise_by_one(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void count_code(struct metrics_codes *codes, enum http_method method, unsigned status)
{
    uint32_t key = metrics_key(method, status);
    uint32_t at =
        (key * UINT32_C(2654435769)) >> 16; /* the middle bits of the product, which all of the key reach */
    for (size_t i = 0; status <= METRICS_STATUS_MAX && i < METRICS_CODES; i++) {
        struct metrics_cell *cell = &codes->cells[(at + i) % METRICS_CODES];
        uint32_t found = atomic_load_explicit(&cell->key, memory_order_relaxed);
        if (found == key) {
            raise_by_one(&cell->n);
            return;
        }
        if (found == 0) {
            atomic_store_explicit(&cell->n, 1, memory_order_relaxed);
            /* Release: the number first. Partner: the acquire load of the reader. */
            atomic_store_explicit(&cell->key, key, memory_order_release);
            return;
        }
    }
    raise_by_one(&codes->other[method]);
}

/* Not clock_wall_us: the record knows when the request began, and how long it took. */
static int64_t end_wall_us(const struct record *r)
{
    return r->wall_us + (int64_t)(record_total_ns(r) / 1000);
}

/* What is not sampled costs one comparison. */
static void record_duration(struct metrics_durations *d, size_t stripe, const struct record *r, uint64_t ns)
{
    struct exemplar x = {.value_ns = ns};
    histogram_add(d->histogram, stripe, ns);
    if (!r->is_sampled || !trace_id_parse(r->trace_id, &x.trace))
        return;
    x.wall_us = end_wall_us(r);
    exemplars_put(d->exemplars, stripe, metrics_scale_bucket(&metrics_scale_requests, ns), &x);
}

/* The backends' reasons stand together in the table. */
static bool is_upstream_error(enum reason r)
{
    return r >= REASON_NO_SERVER && r <= REASON_BULKHEAD_FULL;
}

static void record_upstream(struct metrics *m, size_t stripe, const struct record *r)
{
    struct metrics_backend *b = r->metrics_backend;
    if (is_upstream_error(r->reason))
        counter_add(b->counts, stripe, r->reason, 1);
    if (r->upstream_begin_ns == 0)
        return; /* it was never tried */
    uint64_t upstream_ns = record_upstream_ns(r);
    record_duration(&b->durations, stripe, r, upstream_ns);
    histogram_add(m->overhead, stripe, record_total_ns(r) - upstream_ns);
    if (r->retries > 0)
        counter_add(b->counts, stripe, BACKEND_RETRIES, r->retries);
}

void metrics_record(struct metrics *m, size_t stripe, const struct record *r)
{
    struct metrics_route *route = r->metrics_route ? r->metrics_route : m->none;
    enum http_method method = (unsigned)r->method_kind < HTTP_METHODS ? r->method_kind : HTTP_OTHER;
    CHECK(stripe < m->nstripes);
    count_code(&route->codes[stripe], method, r->status);
    record_duration(&route->durations, stripe, r, record_total_ns(r));
    counter_add(route->counts, stripe, ROUTE_BYTES_IN, r->bytes_in);
    counter_add(route->counts, stripe, ROUTE_BYTES_OUT, r->bytes_out);
    if (r->limit != LIMIT_NONE)
        counter_add(route->counts, stripe, ROUTE_LIMITS + r->limit * LIMIT_STORES + r->limit_store, 1);
    if (r->cache != CACHE_NONE)
        counter_add(route->counts, stripe, ROUTE_CACHE + r->cache, 1);
    if (r->reason != REASON_NONE)
        counter_add(m->reasons, stripe, r->reason, 1);
    if (r->metrics_backend)
        record_upstream(m, stripe, r);
}

void metrics_reloaded(struct metrics *m, bool ok)
{
    raise_by_one(ok ? &m->reloads_good : &m->reloads_bad);
    atomic_store_explicit(&m->reload_ok, ok, memory_order_relaxed);
    if (ok)
        atomic_store_explicit(&m->loaded_us, clock_wall_us(), memory_order_relaxed);
}

/* ---- life ---- */

struct metrics *metrics_new(size_t nworkers)
{
    struct metrics *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
    m->nstripes = nworkers;
    m->routes.end = &m->routes.first;
    m->backends.end = &m->backends.first;
    m->started_us = clock_wall_us();
    atomic_init(&m->loaded_us, m->started_us);
    atomic_init(&m->reload_ok, true);
    m->overhead = histogram_new(nworkers);
    m->reasons = counters_new(nworkers, REASONS);
    if (m->overhead && m->reasons && (m->none = metrics_route(m, NAME_NONE)) != NULL)
        return m;
    metrics_free(m);
    return NULL;
}

static void list_free(struct metrics_list *list, void (*name_free)(struct metrics_name *))
{
    struct metrics_name *next;
    for (struct metrics_name *n = list->first; n; n = next) {
        next = n->next;
        name_free(n);
    }
}

void metrics_free(struct metrics *m)
{
    list_free(&m->routes, route_free);
    list_free(&m->backends, backend_free);
    histogram_free(m->overhead);
    counters_free(m->reasons);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
