/*
 * metrics_text.c: the page for Prometheus (text exposition format, version 0.0.4, or OpenMetrics); see
 * metrics.h.
 *
 * The page is printed in the older format, by us and by others, and becomes OpenMetrics at the end
 * (openmetrics.h); only exemplars are printed on the way. Each family is a row of the table at the end: its
 * name, type and help, and the function that prints its samples. Names of the process itself (process_*) are
 * those that all exporters share; everything else begins with tollgate_.
 */
#include "gateway/version.h"
#include "gateway/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/metrics_table.h"
#include "gateway/openmetrics.h"

struct family;

/* A page being made. */
struct page {
    FILE *out;
    struct metrics *m;
    const struct metrics_gauges *gauges;
    enum metrics_format format;
    const struct family *family;
    struct pair *pairs; /* room for those of one route */
    bool failed;        /* memory ran out */
};

struct family {
    const char *name;
    const char *type;
    const char *help;
    void (*print)(struct page *page);
};

/* ---- samples ---- */

/* LABELS with braces, or "". */
static void print_number(struct page *page, const char *labels, uint64_t n)
{
    fprintf(page->out, "%s%s %" PRIu64 "\n", page->family->name, labels, n);
}

static void print_seconds(struct page *page, int64_t us)
{
    fprintf(page->out, "%s %" PRId64 ".%06" PRId64 "\n", page->family->name, us / 1000000, us % 1000000);
}

/* ---- histograms ---- */

/* What a histogram is of: a label's name and value; NULL: it has none. */
struct of {
    const char *label, *value;
};

/* The end of a bucket's line, with its exemplar where there is one. */
static void end_bucket(struct page *page, const struct exemplars *exemplars, size_t bucket)
{
    struct exemplar x;
    if (page->format == METRICS_OPEN && exemplars && exemplars_get(exemplars, bucket, &x))
        fprintf(page->out,
                " # {trace_id=\"%016" PRIx64 "%016" PRIx64 "\"} %" PRIu64 ".%09" PRIu64 " %" PRId64
                ".%06" PRId64,
                x.trace.high, x.trace.low, x.value_ns / 1000000000, x.value_ns % 1000000000,
                x.wall_us / 1000000, x.wall_us % 1000000);
    fputc('\n', page->out);
}

/* D may be without exemplars. */
static void print_histogram(struct page *page, struct of of, const struct metrics_durations *d,
                            const struct metrics_scale *scale)
{
    uint64_t counts[METRICS_BOUNDS];
    struct histogram_snapshot s = {0};
    const char *name = page->family->name;
    char *labels = NULL; /* `route="/a"` */
    if (of.label && asprintf(&labels, "%s=\"%s\"", of.label, of.value) < 0) {
        page->failed = true;
        return;
    }
    const char *inside = labels ? labels : "", *comma = labels ? "," : "";
    const char *open = labels ? "{" : "", *close = labels ? "}" : "";
    histogram_read(d->histogram, &s);
    histogram_cumulative(&s, scale->bounds, scale->n, counts);
    for (size_t i = 0; i <= scale->n; i++) {
        fprintf(page->out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64, name, inside, comma,
                i < scale->n ? scale->texts[i] : "+Inf", i < scale->n ? counts[i] : s.count);
        end_bucket(page, d->exemplars, i);
    }
    fprintf(page->out, "%s_sum%s%s%s %" PRIu64 ".%09" PRIu64 "\n", name, open, inside, close,
            s.sum_ns / 1000000000, s.sum_ns % 1000000000);
    fprintf(page->out, "%s_count%s%s%s %" PRIu64 "\n", name, open, inside, close, s.count);
    free(labels);
}

/* ---- routes ---- */

static const struct metrics_route *as_route(const struct metrics_name *name)
{
    return (const struct metrics_route *)name;
}

/* How often a key was seen, over all stripes. */
struct pair {
    uint32_t key;
    uint64_t n;
};

static size_t add_pair(struct pair *pairs, size_t npairs, uint32_t key, uint64_t n)
{
    for (size_t i = 0; i < npairs; i++)
        if (pairs[i].key == key) {
            pairs[i].n += n;
            return npairs;
        }
    pairs[npairs] = (struct pair){key, n};
    return npairs + 1;
}

static size_t gather_pairs(const struct page *page, const struct metrics_route *r)
{
    size_t npairs = 0;
    for (size_t i = 0; i < page->m->nstripes * METRICS_CODES; i++) {
        const struct metrics_cell *cell = &r->codes[i / METRICS_CODES].cells[i % METRICS_CODES];
        /* Acquire: with the key comes its number. Partner: the release store of metrics_record. */
        uint32_t key = atomic_load_explicit(&cell->key, memory_order_acquire);
        if (key != 0)
            npairs = add_pair(page->pairs, npairs, key, atomic_load_explicit(&cell->n, memory_order_relaxed));
    }
    return npairs;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *one = a, *two = b;
    return one->key < two->key ? -1 : one->key > two->key;
}

static void print_other_codes(struct page *page, const struct metrics_route *r)
{
    for (unsigned method = 0; method < HTTP_METHODS; method++) {
        uint64_t n = 0;
        for (size_t i = 0; i < page->m->nstripes; i++)
            n += atomic_load_explicit(&r->codes[i].other[method], memory_order_relaxed);
        if (n > 0)
            fprintf(page->out, "%s{route=\"%s\",method=\"%s\",code=\"other\"} %" PRIu64 "\n",
                    page->family->name, r->name.label, http_method_name((enum http_method)method), n);
    }
}

static void print_requests(struct page *page)
{
    for (const struct metrics_name *n = page->m->routes.first; n; n = n->next) {
        const struct metrics_route *r = as_route(n);
        size_t npairs = gather_pairs(page, r);
        qsort(page->pairs, npairs, sizeof(page->pairs[0]), compare_pairs);
        for (size_t i = 0; i < npairs; i++) {
            const struct pair *pair = &page->pairs[i];
            fprintf(page->out, "%s{route=\"%s\",method=\"%s\",code=\"%u\"} %" PRIu64 "\n", page->family->name,
                    n->label, http_method_name(metrics_key_method(pair->key)), metrics_key_status(pair->key),
                    pair->n);
        }
        print_other_codes(page, r);
    }
}

static void print_durations(struct page *page)
{
    for (const struct metrics_name *n = page->m->routes.first; n; n = n->next)
        print_histogram(page, (struct of){"route", n->label}, &as_route(n)->durations,
                        &metrics_scale_requests);
}

static void print_route_counter(struct page *page, enum metrics_route_counter which)
{
    for (const struct metrics_name *n = page->m->routes.first; n; n = n->next)
        fprintf(page->out, "%s{route=\"%s\"} %" PRIu64 "\n", page->family->name, n->label,
                counter_sum(as_route(n)->counts, which));
}

static void print_limits(struct page *page)
{
    for (const struct metrics_name *n = page->m->routes.first; n; n = n->next)
        for (unsigned i = LIMIT_STORES; i < LIMIT_RESULTS * LIMIT_STORES; i++) {
            uint64_t seen = counter_sum(as_route(n)->counts, ROUTE_LIMITS + i);
            if (seen > 0)
                fprintf(page->out, "%s{route=\"%s\",result=\"%s\",store=\"%s\"} %" PRIu64 "\n",
                        page->family->name, n->label,
                        limit_result_name((enum limit_result)(i / LIMIT_STORES)),
                        limit_store_name((enum limit_store)(i % LIMIT_STORES)), seen);
        }
}

static void print_cache(struct page *page)
{
    for (const struct metrics_name *n = page->m->routes.first; n; n = n->next)
        for (int s = CACHE_NONE + 1; s < CACHE_STATUSES; s++) {
            uint64_t seen = counter_sum(as_route(n)->counts, (size_t)(ROUTE_CACHE + s));
            if (seen > 0)
                fprintf(page->out, "%s{route=\"%s\",status=\"%s\"} %" PRIu64 "\n", page->family->name,
                        n->label, cache_status_name((enum cache_status)s), seen);
        }
}

static void print_bytes_in(struct page *page)
{
    print_route_counter(page, ROUTE_BYTES_IN);
}

static void print_bytes_out(struct page *page)
{
    print_route_counter(page, ROUTE_BYTES_OUT);
}

static void print_reasons(struct page *page)
{
    for (unsigned r = REASON_NONE + 1; r < REASONS; r++)
        fprintf(page->out, "%s{reason=\"%s\"} %" PRIu64 "\n", page->family->name,
                reason_info((enum reason)r)->name, counter_sum(page->m->reasons, r));
}

static void print_overhead(struct page *page)
{
    const struct metrics_durations d = {page->m->overhead, NULL};
    print_histogram(page, (struct of){NULL, NULL}, &d, &metrics_scale_overhead);
}

/* ---- backends ---- */

static const struct metrics_backend *as_backend(const struct metrics_name *name)
{
    return (const struct metrics_backend *)name;
}

static void print_upstream_durations(struct page *page)
{
    for (const struct metrics_name *n = page->m->backends.first; n; n = n->next)
        print_histogram(page, (struct of){"backend", n->label}, &as_backend(n)->durations,
                        &metrics_scale_requests);
}

/* Only what has happened: most backends never see most reasons. */
static void print_upstream_errors(struct page *page)
{
    for (const struct metrics_name *n = page->m->backends.first; n; n = n->next)
        for (unsigned r = REASON_NONE + 1; r < REASONS; r++) {
            uint64_t count = counter_sum(as_backend(n)->counts, r);
            if (count > 0)
                fprintf(page->out, "%s{backend=\"%s\",reason=\"%s\"} %" PRIu64 "\n", page->family->name,
                        n->label, reason_info((enum reason)r)->name, count);
        }
}

static void print_retries(struct page *page)
{
    for (const struct metrics_name *n = page->m->backends.first; n; n = n->next)
        fprintf(page->out, "%s{backend=\"%s\"} %" PRIu64 "\n", page->family->name, n->label,
                counter_sum(as_backend(n)->counts, BACKEND_RETRIES));
}

/* ---- what others count ---- */

static void print_connections(struct page *page)
{
    print_number(page, "", page->gauges->connections);
}

static void print_resting(struct page *page)
{
    print_number(page, "", page->gauges->connections_resting);
}

static void print_connections_total(struct page *page)
{
    print_number(page, "", page->gauges->connections_total);
}

static void print_in_flight(struct page *page)
{
    print_number(page, "", page->gauges->requests_in_flight);
}

static void print_upstream_connections(struct page *page)
{
    const struct metrics_gauges *g = page->gauges;
    /* The two were not read at the same moment. */
    uint64_t busy = g->upstream_open > g->upstream_idle ? g->upstream_open - g->upstream_idle : 0;
    print_number(page, "{state=\"busy\"}", busy);
    print_number(page, "{state=\"idle\"}", g->upstream_idle);
}

static void print_upstream_opened(struct page *page)
{
    print_number(page, "", page->gauges->upstream_opened_total);
}

static void print_upstream_reused(struct page *page)
{
    print_number(page, "", page->gauges->upstream_reused_total);
}

static void print_log_dropped(struct page *page)
{
    print_number(page, "", page->gauges->log_dropped_total);
}

/* ---- configuration, build, process ---- */

static void print_reloads(struct page *page)
{
    struct metrics *m = page->m;
    print_number(page, "{result=\"success\"}", atomic_load_explicit(&m->reloads_good, memory_order_relaxed));
    print_number(page, "{result=\"failure\"}", atomic_load_explicit(&m->reloads_bad, memory_order_relaxed));
}

static void print_reload_ok(struct page *page)
{
    print_number(page, "", atomic_load_explicit(&page->m->reload_ok, memory_order_relaxed));
}

static void print_loaded(struct page *page)
{
    print_seconds(page, atomic_load_explicit(&page->m->loaded_us, memory_order_relaxed));
}

static void print_build(struct page *page)
{
    char labels[160];
    snprintf(labels, sizeof(labels), "{version=\"%s\",revision=\"%s\"}", version_number, version_revision);
    print_number(page, labels, 1);
}

static void print_started(struct page *page)
{
    print_seconds(page, page->m->started_us);
}

static void print_cpu(struct page *page)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0)
        print_seconds(page, (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
                                u.ru_stime.tv_usec);
}

uint64_t metrics_resident_bytes(void)
{
    uint64_t size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print_resident(struct page *page)
{
    print_number(page, "", metrics_resident_bytes());
}

static void print_open_fds(struct page *page)
{
    uint64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    print_number(page, "", n > 0 ? n - 1 : 0); /* less the one that was used to look */
}

static void print_max_fds(struct page *page)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        print_number(page, "", limit.rlim_cur);
}

/* ---- the page ---- */

static const struct family families[] = {
    {"tollgate_http_requests_total", "counter", "Requests that have ended, by the status sent to the client.",
     print_requests},
    {"tollgate_http_request_duration_seconds", "histogram", "From the request line to the end of the answer.",
     print_durations},
    {"tollgate_http_request_body_bytes_total", "counter", "Bytes of request bodies.", print_bytes_in},
    {"tollgate_http_response_body_bytes_total", "counter", "Bytes of answers' bodies that were sent.",
     print_bytes_out},
    {"tollgate_http_request_failures_total", "counter",
     "Requests that ended otherwise than by the answer meant for them.", print_reasons},
    {"tollgate_ratelimit_decisions_total", "counter", "What became of requests at the limits of their route.",
     print_limits},
    {"tollgate_cache_requests_total", "counter", "Requests of routes with a cache, by what became of them.",
     print_cache},
    {"tollgate_overhead_seconds", "histogram", "Time of proxied requests less the time backends had them.",
     print_overhead},
    {"tollgate_upstream_request_duration_seconds", "histogram",
     "Time that backends had a request, over all its tries.", print_upstream_durations},
    {"tollgate_upstream_errors_total", "counter", "Requests that failed because of a backend.",
     print_upstream_errors},
    {"tollgate_upstream_retries_total", "counter", "Tries of requests after the first.", print_retries},
    {"tollgate_requests_in_flight", "gauge", "Requests under way.", print_in_flight},
    {"tollgate_connections", "gauge", "Open connections of clients.", print_connections},
    {"tollgate_connections_resting", "gauge", "Those of them that were idle for long and are put away.",
     print_resting},
    {"tollgate_connections_accepted_total", "counter", "Connections of clients that were accepted.",
     print_connections_total},
    {"tollgate_upstream_connections", "gauge", "Open connections to backends.", print_upstream_connections},
    {"tollgate_upstream_connections_opened_total", "counter", "Connections to backends that were opened.",
     print_upstream_opened},
    {"tollgate_upstream_connections_reused_total", "counter", "Requests that found a kept connection.",
     print_upstream_reused},
    {"tollgate_log_lines_dropped_total", "counter", "Lines of the access log that were not written.",
     print_log_dropped},
    {"tollgate_config_reloads_total", "counter", "Reloads of the configuration.", print_reloads},
    {"tollgate_config_last_reload_success", "gauge", "Whether the last reload succeeded.", print_reload_ok},
    {"tollgate_config_last_reload_timestamp_seconds", "gauge", "When the configuration in use was loaded.",
     print_loaded},
    {"tollgate_build_info", "gauge", "Always 1; the labels tell the build.", print_build},
    {"process_start_time_seconds", "gauge", "When the process started, since 1970.", print_started},
    {"process_cpu_seconds_total", "counter", "Processor time, user and system.", print_cpu},
    {"process_resident_memory_bytes", "gauge", "Memory in use.", print_resident},
    {"process_open_fds", "gauge", "Open file descriptors.", print_open_fds},
    {"process_max_fds", "gauge", "How many there may be.", print_max_fds},
};

static void print_families(struct page *page)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        page->family = &families[i];
        fprintf(page->out, "# HELP %s %s\n# TYPE %s %s\n", families[i].name, families[i].help,
                families[i].name, families[i].type);
        families[i].print(page);
    }
    if (page->gauges->more)
        page->gauges->more(page->gauges->ctx, page->out);
}

/* Gives the page in the older format, with exemplars when FORMAT has them. */
static char *make_page(struct metrics *m, const struct metrics_gauges *gauges, enum metrics_format format,
                       size_t *len)
{
    char *text = NULL;
    struct page page = {.m = m, .gauges = gauges, .format = format};
    page.pairs = calloc(m->nstripes * METRICS_CODES, sizeof(*page.pairs));
    page.out = page.pairs ? open_memstream(&text, len) : NULL;
    if (!page.out) {
        free(page.pairs);
        return NULL;
    }
    pthread_mutex_lock(&m->lock);
    print_families(&page);
    pthread_mutex_unlock(&m->lock);
    bool ok = !ferror(page.out) && !page.failed;
    ok = fclose(page.out) == 0 && ok;
    free(page.pairs);
    if (ok)
        return text;
    free(text);
    return NULL;
}

char *metrics_text(struct metrics *m, const struct metrics_gauges *gauges, enum metrics_format format,
                   size_t *len)
{
    char *text = make_page(m, gauges, format, len);
    if (!text || format == METRICS_TEXT)
        return text;
    char *open = openmetrics_of(text, *len, len);
    free(text);
    return open;
}
