/*
 * metrics_read.c: the numbers of metrics.h as they are, for the status.
 *
 * Readers see each number whole, but not all of one moment: a request that is counted meanwhile may be in one
 * and not yet in another.
 */
#include <string.h>

#include "gateway/metrics_table.h"

static void read_codes(const struct metrics_codes *codes, uint64_t requests[METRICS_CLASSES])
{
    for (size_t i = 0; i < METRICS_CODES; i++) {
        const struct metrics_cell *cell = &codes->cells[i];
        /* Acquire: with the key comes its number. Partner: the release store of metrics_record. */
        uint32_t key = atomic_load_explicit(&cell->key, memory_order_acquire);
        unsigned class = metrics_key_status(key) / 100;
        if (key != 0)
            requests[class < METRICS_CLASSES ? class : 0] +=
                atomic_load_explicit(&cell->n, memory_order_relaxed);
    }
    for (size_t i = 0; i < HTTP_METHODS; i++)
        requests[0] += atomic_load_explicit(&codes->other[i], memory_order_relaxed);
}

static void read_route(const struct metrics *m, const struct metrics_route *r, struct metrics_route_view *v)
{
    memset(v, 0, sizeof(*v));
    v->name = r->name.text;
    for (size_t i = 0; i < m->nstripes; i++)
        read_codes(&r->codes[i], v->requests);
    histogram_read(r->durations.histogram, &v->durations);
    v->bytes_in = counter_sum(r->counts, ROUTE_BYTES_IN);
    v->bytes_out = counter_sum(r->counts, ROUTE_BYTES_OUT);
    for (size_t i = 0; i < (size_t)LIMIT_RESULTS * LIMIT_STORES; i++)
        v->limits[i / LIMIT_STORES] += counter_sum(r->counts, ROUTE_LIMITS + i);
    for (size_t i = 0; i < CACHE_STATUSES; i++)
        v->cache[i] = counter_sum(r->counts, ROUTE_CACHE + i);
}

void metrics_read_routes(struct metrics *m, metrics_look *look, void *ctx)
{
    struct metrics_route_view v;
    pthread_mutex_lock(&m->lock);
    for (const struct metrics_name *n = m->routes.first; n; n = n->next) {
        read_route(m, (const struct metrics_route *)n, &v);
        look(ctx, &v);
    }
    pthread_mutex_unlock(&m->lock);
}

void metrics_read_backend(const struct metrics_backend *b, struct metrics_backend_view *v)
{
    memset(v, 0, sizeof(*v));
    histogram_read(b->durations.histogram, &v->durations);
    for (size_t i = 0; i < REASONS; i++)
        v->errors[i] = counter_sum(b->counts, i);
    v->retries = counter_sum(b->counts, BACKEND_RETRIES);
}

void metrics_read(const struct metrics *m, struct metrics_view *v)
{
    memset(v, 0, sizeof(*v));
    v->started_us = m->started_us;
    v->loaded_us = atomic_load_explicit(&m->loaded_us, memory_order_relaxed);
    v->is_config_good = atomic_load_explicit(&m->reload_ok, memory_order_relaxed);
    histogram_read(m->overhead, &v->overhead);
    for (size_t i = 0; i < REASONS; i++)
        v->errors[i] = counter_sum(m->reasons, i);
}
