/* debug_pages.c: threads and memory, as debug.h shows them. */
#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "gateway/debug_internal.h"
#include "gateway/state_internal.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "lib/stacks.h"
#include "lib/symbols.h"
#include "lib/threads.h"

#define THREADS_MAX 512
#define STACK_MS    100

/* ---- threads ---- */

struct look {
    const struct debug_setup *setup;
    struct modules *all;
    struct symbols *names;
    uint64_t now;
};

static void add_number(cJSON *j, const char *name, uint64_t n)
{
    cJSON_AddNumberToObject(j, name, (double)n);
}

/* Its functions, the innermost first; null when it did not answer. */
static void add_stack(const struct look *l, cJSON *j, pid_t tid)
{
    uintptr_t at[UNWIND_MAX];
    size_t n = stacks_take(l->all, tid, at, STACK_MS);
    if (n == 0) {
        cJSON_AddNullToObject(j, "stack");
        return;
    }
    cJSON *stack = cJSON_AddArrayToObject(j, "stack");
    for (size_t i = 0; i < n; i++) {
        const char *name = symbols_find(l->names, i == 0 ? at[0] : at[i] - 1).name;
        cJSON_AddItemToArray(stack, cJSON_CreateString(name));
    }
}

static const char *activity(char state)
{
    switch (state) {
    case 'R':
        return "busy";
    case 'S':
        return "idle";
    case 'D':
        return "waits for a device";
    default:
        return "stopped";
    }
}

static const struct worker *worker_of(const struct debug_setup *s, pid_t tid)
{
    for (unsigned i = 0; i < s->nworkers; i++)
        if (atomic_load_explicit(&s->workers[i]->tid, memory_order_relaxed) == tid)
            return s->workers[i];
    return NULL;
}

static void add_worker(const struct look *l, cJSON *j, const struct worker *w)
{
    const struct client_stats *clients = front_stats(w->front);
    const struct upstream_stats *upstream = upstream_stats(w->upstream);
    uint64_t beat = atomic_load_explicit(&w->beat_ns, memory_order_relaxed);
    uint64_t since = beat > 0 && l->now > beat ? l->now - beat : 0;
    add_number(j, "worker", w->setup.index);
    add_number(j, "last_turn_ms", since / CLOCK_MILLISECOND_NS);
    cJSON_AddBoolToObject(j, "is_held_up", since > WATCHDOG_LIMIT_NS);
    add_number(j, "in_flight", atomic_load_explicit(&w->in_flight, memory_order_relaxed));
    add_number(j, "mailbox", mailbox_count(w->mailbox));
    add_number(j, "connections", atomic_load_explicit(&clients->open, memory_order_relaxed));
    add_number(j, "upstream_connections", atomic_load_explicit(&upstream->open, memory_order_relaxed));
}

static void add_thread(const struct look *l, cJSON *list, pid_t tid)
{
    char name[THREAD_NAME], state = threads_state(tid);
    if (state == '\0' || !threads_name(tid, name))
        return;
    cJSON *j = cJSON_CreateObject();
    const struct worker *w = worker_of(l->setup, tid);
    add_number(j, "tid", (uint64_t)tid);
    cJSON_AddStringToObject(j, "name", name);
    cJSON_AddStringToObject(j, "state", activity(state));
    if (w)
        add_worker(l, j, w);
    add_stack(l, j, tid);
    cJSON_AddItemToArray(list, j);
}

static void add_log(cJSON *j, const struct logwriter *log)
{
    add_number(j, "waiting_bytes", log ? logwriter_waiting(log) : 0);
    add_number(j, "dropped_lines", log ? logwriter_dropped(log) : 0);
}

struct state_answer debug_show_threads(const struct debug_setup *s)
{
    pid_t ids[THREADS_MAX];
    struct state_answer answer = {0};
    struct look l = {.setup = s, .all = modules_new(NULL), .now = clock_now_ns()};
    l.names = l.all ? symbols_new(l.all, NULL) : NULL;
    if (l.names) {
        cJSON *j = cJSON_CreateObject();
        cJSON *list = cJSON_AddArrayToObject(j, "threads");
        size_t n = threads_list(ids, THREADS_MAX);
        for (size_t i = 0; i < n; i++)
            add_thread(&l, list, ids[i]);
        add_log(cJSON_AddObjectToObject(j, "access_log"), s->access_log);
        answer = state_answer_with(200, j);
        symbols_free(l.names);
    }
    if (l.all)
        modules_free(l.all);
    return answer;
}

/* ---- memory ---- */

static uint64_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_malloc(cJSON *j)
{
    struct mallinfo2 m = mallinfo2();
    add_number(j, "from_system", m.arena + m.hblkhd);
    add_number(j, "in_use", m.uordblks + m.hblkhd);
    add_number(j, "free", m.fordblks);
    add_number(j, "mapped", m.hblkhd);
}

static const struct {
    const char *name;
    size_t offset; /* in struct worker */
} pools[] = {
    {"exchanges", offsetof(struct worker, exchanges)},
    {"buffers", offsetof(struct worker, buffers)},
    {"holds", offsetof(struct worker, holds)},
};

static void add_pool(const struct debug_setup *s, cJSON *j, size_t offset)
{
    struct pool_usage all = {0};
    for (unsigned i = 0; i < s->nworkers; i++) {
        const struct pool *p = (const void *)((const char *)s->workers[i] + offset);
        struct pool_usage u = pool_usage(p);
        all.in_use += u.in_use;
        all.free += u.free;
        all.bytes += u.bytes;
    }
    add_number(j, "in_use", all.in_use);
    add_number(j, "kept", all.free);
    add_number(j, "bytes", all.bytes);
}

static void add_connections(const struct debug_setup *s, cJSON *j)
{
    uint64_t open = 0, resting = 0, upstream = 0;
    for (unsigned i = 0; i < s->nworkers; i++) {
        const struct client_stats *c = front_stats(s->workers[i]->front);
        open += atomic_load_explicit(&c->open, memory_order_relaxed);
        resting += atomic_load_explicit(&c->resting, memory_order_relaxed);
        upstream +=
            atomic_load_explicit(&upstream_stats(s->workers[i]->upstream)->open, memory_order_relaxed);
    }
    add_number(j, "clients", open);
    add_number(j, "clients_resting", resting);
    add_number(j, "upstream", upstream);
}

static void add_limits(const struct state_view *v, cJSON *j)
{
    uint64_t bytes = 0, held = 0;
    for (unsigned i = 0; i < LIMIT_TABLES; i++) {
        struct bucket_usage u = limiter_usage(v->limiter, i, clock_now_ns());
        bytes += u.bytes;
        held += u.held;
    }
    add_number(j, "reserved", bytes);
    add_number(j, "buckets", held);
}

struct state_answer debug_show_memory(const struct debug_setup *s, const struct state_view *v)
{
    struct object_store_stats cache;
    cJSON *j = cJSON_CreateObject();
    object_store_stats(v->cache->store, &cache);
    add_number(j, "resident", resident_bytes());
    add_malloc(cJSON_AddObjectToObject(j, "malloc"));
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        add_pool(s, cJSON_AddObjectToObject(j, pools[i].name), pools[i].offset);
    cJSON *c = cJSON_AddObjectToObject(j, "cache");
    add_number(c, "size", cache.size);
    add_number(c, "used", cache.used);
    add_number(c, "objects", cache.objects);
    add_limits(v, cJSON_AddObjectToObject(j, "limits"));
    add_connections(s, cJSON_AddObjectToObject(j, "connections"));
    add_log(cJSON_AddObjectToObject(j, "access_log"), s->access_log);
    add_number(j, "workers", s->nworkers * sizeof(struct worker));
    return state_answer_with(200, j);
}
