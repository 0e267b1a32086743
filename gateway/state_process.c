/* state_process.c: the part of state.h about the process: its workers, its memory, its logs. Metrics only. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/log.h"
#include "gateway/state_internal.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define CGROUPS "/sys/fs/cgroup"

/* ---- workers ---- */

static void print_lag(const struct worker *w, FILE *out)
{
    fprintf(out, "%.6f", (double)worker_lag_ns(w, clock_now_ns()) / 1e9);
}

static void print_mail(const struct worker *w, FILE *out)
{
    fprintf(out, "%zu", mailbox_count(w->mailbox));
}

static void print_in_flight(const struct worker *w, FILE *out)
{
    fprintf(out, "%" PRIu32, atomic_load_explicit(&w->in_flight, memory_order_relaxed));
}

static const struct {
    const char *name, *help;
    void (*print)(const struct worker *w, FILE *out);
} of_workers[] = {
    {"worker_loop_lag_seconds", "How late the worker's loop is now.", print_lag},
    {"worker_mailbox_messages", "Messages that wait for the worker.", print_mail},
    {"worker_requests_in_flight", "Requests under way on the worker.", print_in_flight},
};

static void print_workers(const struct state_view *v, FILE *out)
{
    for (size_t f = 0; f < sizeof(of_workers) / sizeof(of_workers[0]); f++) {
        state_family(out, of_workers[f].name, "gauge", of_workers[f].help);
        for (unsigned i = 0; i < v->nworkers; i++) {
            fprintf(out, "tollgate_%s{worker=\"%u\"} ", of_workers[f].name, i);
            of_workers[f].print(v->workers[i], out);
            fputc('\n', out);
        }
    }
}

/* ---- memory ---- */

static uint64_t cache_bytes(const struct state_view *v)
{
    struct object_store_stats s;
    object_store_stats(v->cache->store, &s);
    return s.used;
}

static uint64_t limit_bytes(const struct state_view *v)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < LIMIT_TABLES; i++)
        bytes += limiter_usage(v->limiter, i, clock_now_ns()).bytes;
    return bytes;
}

static uint64_t request_bytes(const struct state_view *v)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < v->nworkers; i++)
        bytes += pool_usage(&v->workers[i]->exchanges).bytes + pool_usage(&v->workers[i]->holds).bytes +
                 pool_usage(&v->workers[i]->buffers).bytes;
    return bytes;
}

static uint64_t log_bytes(const struct state_view *v)
{
    return v->access_log ? logwriter_waiting(v->access_log) : 0;
}

static const struct {
    const char *kind;
    uint64_t (*bytes)(const struct state_view *v);
} memory[] = {
    {"cache", cache_bytes},
    {"limits", limit_bytes},
    {"requests", request_bytes},
    {"log", log_bytes},
};

/* The number in the file, or UINT64_MAX: there is none, or it says "max". */
static uint64_t read_bound(const char *path)
{
    uint64_t bound;
    FILE *f = fopen(path, "re");
    if (!f)
        return UINT64_MAX;
    if (fscanf(f, "%" SCNu64, &bound) != 1)
        bound = UINT64_MAX;
    fclose(f);
    return bound;
}

/* The path of our control group (version 2), "/" in a container; "" when there is none. */
static void read_group(char path[256])
{
    char line[256];
    FILE *f = fopen("/proc/self/cgroup", "re");
    path[0] = '\0';
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "0::", 3) == 0)
            snprintf(path, 256, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    if (f)
        fclose(f);
}

/* What the system lets the process have: its own control group's bound, or all memory there is. Bounds of
 * groups above it are not looked at. */
static uint64_t memory_limit(void)
{
    char group[256], path[320];
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    read_group(group);
    snprintf(path, sizeof(path), CGROUPS "%s/memory.max", group);
    uint64_t bound = read_bound(path);
    return bound < all ? bound : all;
}

static void print_memory(const struct state_view *v, FILE *out)
{
    state_family(out, "memory_bytes", "gauge",
                 "Memory by what holds it; all of the process: process_resident_memory_bytes.");
    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
        fprintf(out, "tollgate_memory_bytes{kind=\"%s\"} %" PRIu64 "\n", memory[i].kind, memory[i].bytes(v));
    state_sample(out, "memory_limit_bytes", "gauge", "Memory that the process may have.", memory_limit());
}

void state_process_metrics(const struct state_view *v, FILE *out)
{
    print_workers(v, out);
    print_memory(v, out);
    state_sample(out, "draining", "gauge", "Whether the gateway ends when its requests have.",
                 v->is_draining);
    state_sample(out, "log_write_errors_total", "counter",
                 "Writes and openings of the access log that failed.",
                 v->access_log ? logwriter_errors(v->access_log) : 0);
    state_sample(out, "error_log_lines_dropped_total", "counter",
                 "Lines of the error log that were not written.", log_dropped(v->log));
}
