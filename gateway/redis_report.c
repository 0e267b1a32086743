/*
 * redis_report.c: see redis_report.h.
 *
 * A node's share of the keys is measured: as many places as SHARE_KEYS, at equal distances around the ring,
 * are asked for their owner.
 */
#include "gateway/redis_report.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "gateway/redis_ring.h"

#define SHARE_KEYS   100000
#define CLOCK_MAX_US 1000000 /* that nodes' clocks may differ by */
#define CELL_ROOM    128
#define KB           1024.0

/* ---- warnings ---- */

struct teller {
    const struct redis_report *report;
    void (*tell)(void *ctx, size_t node, const char *text);
    void *ctx;
    size_t node;
};

static void warn(const struct teller *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void warn(const struct teller *t, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    t->tell(t->ctx, t->node, text);
}

static void warn_of_memory(const struct teller *t, const struct redis_probe *p)
{
    if (p->maxmemory == 0)
        warn(t, "maxmemory is not set: it takes memory until the machine has none");
    if (strcmp(p->policy, "noeviction") == 0)
        warn(
            t,
            "maxmemory-policy is noeviction: once it is full it refuses what is to be stored; allkeys-lfu or "
            "allkeys-lru make room");
}

static void warn_of_kind(const struct teller *t, const struct redis_probe *p)
{
    bool is_old = p->valkey_version[0] == '\0' && p->redis_version[0] && atoi(p->redis_version) < 6;
    if (p->info_error[0])
        warn(t, "it does not tell about itself: INFO: %s", p->info_error);
    if (is_old)
        warn(t, "version %s is older than 6.0, the oldest that is supported", p->redis_version);
    if (strcmp(p->role, "slave") == 0 || strcmp(p->role, "replica") == 0)
        warn(t, "it is a replica: it refuses to write, so that nothing of its share of the keys is shared");
    if (p->mode[0] && strcmp(p->mode, "standalone") != 0)
        warn(t, "its mode is %s: the nodes have to be plain servers, each by itself", p->mode);
}

static void warn_of_latency(const struct teller *t, const struct redis_probe *p)
{
    uint32_t timeout_us = t->report->conf->command_ms * 1000;
    if (p->median_us > timeout_us)
        warn(t,
             "half of the PINGs take longer than %.1f ms, and timeout is %" PRIu32
             " ms: most commands come to nothing",
             p->median_us / 1e3, t->report->conf->command_ms);
    else if (p->median_us > timeout_us / 2)
        warn(t, "half of the PINGs take longer than %.1f ms, more than half of timeout (%" PRIu32 " ms)",
             p->median_us / 1e3, t->report->conf->command_ms);
}

static bool tells_time(const struct redis_probe *p)
{
    return p->state == PROBE_OK && p->has_clock;
}

/* The node whose clock is the median: as many are ahead of it as behind. SIZE_MAX when none tells. */
static size_t middle_clock(const struct redis_report *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->conf->nnodes; i++)
        n += tells_time(&r->probes[i]);
    for (size_t i = 0; i < r->conf->nnodes; i++) {
        size_t before = 0;
        for (size_t j = 0; j < r->conf->nnodes; j++)
            before +=
                tells_time(&r->probes[j]) && (r->probes[j].ahead_us < r->probes[i].ahead_us ||
                                              (j < i && r->probes[j].ahead_us == r->probes[i].ahead_us));
        if (tells_time(&r->probes[i]) && before == (n - 1) / 2)
            return i;
    }
    return SIZE_MAX;
}

static void warn_of_clock(const struct teller *t, const struct redis_probe *p, size_t middle)
{
    if (middle == SIZE_MAX || !tells_time(p))
        return;
    int64_t ahead_us = p->ahead_us - t->report->probes[middle].ahead_us;
    if (ahead_us > CLOCK_MAX_US || ahead_us < -CLOCK_MAX_US)
        warn(t, "its clock is %.1f s %s that of %s", (double)(ahead_us < 0 ? -ahead_us : ahead_us) / 1e6,
             ahead_us < 0 ? "behind" : "ahead of", t->report->conf->nodes[middle].name);
}

static bool was_told(const struct redis_report *r, size_t node, const struct probe_stranger *s)
{
    for (size_t i = 0; i < node; i++)
        for (size_t j = 0; j < r->probes[i].nstrangers; j++)
            if (strcmp(r->probes[i].strangers[j].gateway, s->gateway) == 0 &&
                strcmp(r->probes[i].strangers[j].fingerprint, s->fingerprint) == 0)
                return true;
    return false;
}

/* Each of them once, however many nodes it is known to. */
static void warn_of_strangers(const struct teller *t)
{
    const struct redis_report *r = t->report;
    for (size_t i = 0; i < r->conf->nnodes; i++)
        for (size_t j = 0; j < r->probes[i].nstrangers; j++) {
            const struct probe_stranger *s = &r->probes[i].strangers[j];
            if (!was_told(r, i, s))
                warn(t,
                     "GATEWAY %s RUNS WITH OTHER NODES: the fingerprint of its nodes, weights and database "
                     "is %s, that of this "
                     "configuration %016" PRIx64 "; it looks for keys where others do not put them",
                     s->gateway, s->fingerprint, conf_redis_fingerprint(r->conf));
        }
}

void redis_report_warnings(const struct redis_report *r,
                           void (*tell)(void *ctx, size_t node, const char *text), void *ctx)
{
    struct teller t = {.report = r, .tell = tell, .ctx = ctx, .node = SIZE_MAX};
    size_t middle = middle_clock(r);
    warn_of_strangers(&t);
    for (t.node = 0; t.node < r->conf->nnodes; t.node++) {
        const struct redis_probe *p = &r->probes[t.node];
        if (p->state == PROBE_LOADING)
            warn(&t, "it reads its data from disk, and refuses everything until it has");
        if (p->state != PROBE_OK)
            continue;
        warn_of_kind(&t, p);
        warn_of_memory(&t, p);
        warn_of_latency(&t, p);
        warn_of_clock(&t, p, middle);
    }
}

bool redis_report_is_good(const struct redis_report *r)
{
    for (size_t i = 0; i < r->conf->nnodes; i++)
        if (r->probes[i].state != PROBE_OK)
            return false;
    return true;
}

/* ---- shares ---- */

/* In hundredths of a percent, for each node; from malloc. */
static unsigned *shares(const struct conf_redis *conf)
{
    unsigned *owned = calloc(conf->nnodes + 1, sizeof(*owned));
    struct hash_ring *ring = redis_ring_new(conf);
    if (!ring || !owned) {
        hash_ring_free(ring);
        free(owned);
        return NULL;
    }
    for (uint64_t k = 0; k < SHARE_KEYS; k++)
        owned[hash_ring_owner(ring, k * (UINT64_MAX / SHARE_KEYS))]++;
    for (size_t i = 0; i < conf->nnodes; i++)
        owned[i] = (owned[i] + SHARE_KEYS / 20000) / (SHARE_KEYS / 10000);
    hash_ring_free(ring);
    return owned;
}

static const char *server_of(const struct redis_probe *p)
{
    return p->valkey_version[0] ? "valkey" : p->redis_version[0] ? "redis" : "";
}

static const char *version_of(const struct redis_probe *p)
{
    return p->valkey_version[0] ? p->valkey_version : p->redis_version;
}

/* ---- for people ---- */

enum column {
    NODE,
    ADDRESS,
    STATE,
    PING,
    SERVER,
    SHARE,
    WEIGHT,
    KEYS,
    MEMORY,
    POLICY,
    EVICTED,
    CLIENTS,
    COLUMNS
};

static const char *const titles[COLUMNS] = {"node",   "address", "state",  "ping us", "server",  "share",
                                            "weight", "keys",    "memory", "policy",  "evicted", "clients"};

struct row {
    char cells[COLUMNS][CELL_ROOM];
};

static const char *size_text(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"", "k", "m", "g", "t"};
    double n = (double)bytes;
    size_t i = 0;
    for (; n >= KB && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        n /= KB;
    snprintf(out, 32, i ? "%.1f%s" : "%.0f%s", n, units[i]);
    return out;
}

static void put_number(char *cell, uint64_t n)
{
    if (n != PROBE_UNKNOWN)
        snprintf(cell, CELL_ROOM, "%" PRIu64, n);
}

static void put_memory(char *cell, const struct redis_probe *p)
{
    char used[32], max[32];
    if (p->used_memory != PROBE_UNKNOWN && p->maxmemory != PROBE_UNKNOWN)
        snprintf(cell, CELL_ROOM, "%s of %s", size_text(p->used_memory, used),
                 p->maxmemory ? size_text(p->maxmemory, max) : "any");
}

/* A name is as the configuration has it; what cannot be seen in it is not printed. */
static void put_name(char *cell, const char *name)
{
    snprintf(cell, CELL_ROOM, "%s", name);
    for (; *cell; cell++)
        if (*cell < ' ' || *cell >= 0x7f)
            *cell = '?';
}

static void fill_row(const struct redis_report *r, size_t i, unsigned share, struct row *row)
{
    const struct redis_probe *p = &r->probes[i];
    for (size_t c = 0; c < COLUMNS; c++)
        strcpy(row->cells[c], "-");
    put_name(row->cells[NODE], r->conf->nodes[i].name);
    put_name(row->cells[ADDRESS], p->address[0] ? p->address : "-");
    snprintf(row->cells[STATE], CELL_ROOM, "%s", probe_state_name(p->state));
    snprintf(row->cells[SHARE], CELL_ROOM, "%u.%u%%", share / 100, share % 100 / 10);
    snprintf(row->cells[WEIGHT], CELL_ROOM, "%u", r->conf->nodes[i].weight);
    if (p->state != PROBE_OK)
        return;
    snprintf(row->cells[PING], CELL_ROOM, "%" PRIu32 "/%" PRIu32, p->median_us, p->max_us);
    if (version_of(p)[0])
        snprintf(row->cells[SERVER], CELL_ROOM, "%s %s", server_of(p), version_of(p));
    if (p->policy[0])
        snprintf(row->cells[POLICY], CELL_ROOM, "%s", p->policy);
    put_number(row->cells[KEYS], p->keys);
    put_memory(row->cells[MEMORY], p);
    put_number(row->cells[EVICTED], p->evicted);
    put_number(row->cells[CLIENTS], p->clients);
}

static void print_rows(const struct row *rows, size_t n, FILE *out)
{
    int widths[COLUMNS] = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            if ((int)strlen(rows[i].cells[c]) > widths[c])
                widths[c] = (int)strlen(rows[i].cells[c]);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c + 1 < COLUMNS; c++)
            fprintf(out, "%-*s  ", widths[c], rows[i].cells[c]);
        fprintf(out, "%s\n", rows[i].cells[COLUMNS - 1]);
    }
}

static bool print_table(const struct redis_report *r, FILE *out)
{
    size_t n = r->conf->nnodes;
    struct row *rows = calloc(n + 1, sizeof(*rows));
    unsigned *share = shares(r->conf);
    bool ok = rows && share;
    if (ok) {
        for (size_t c = 0; c < COLUMNS; c++)
            strcpy(rows[0].cells[c], titles[c]);
        for (size_t i = 0; i < n; i++)
            fill_row(r, i, share[i], &rows[i + 1]);
        print_rows(rows, n + 1, out);
    }
    free(rows);
    free(share);
    return ok;
}

struct printer {
    const struct redis_report *report;
    FILE *out;
};

static void print_warning(void *ctx, size_t node, const char *text)
{
    const struct printer *p = ctx;
    char name[CELL_ROOM] = "";
    if (node != SIZE_MAX)
        put_name(name, p->report->conf->nodes[node].name);
    fprintf(p->out, "warning: %s%s%s\n", name, name[0] ? ": " : "", text);
}

bool redis_report_print(const struct redis_report *r, FILE *out)
{
    struct printer p = {r, out};
    char name[CELL_ROOM];
    if (!print_table(r, out))
        return false;
    for (size_t i = 0; i < r->conf->nnodes; i++) {
        put_name(name, r->conf->nodes[i].name);
        if (r->probes[i].state != PROBE_OK)
            fprintf(out, "bad: %s: %s\n", name, r->probes[i].why);
    }
    redis_report_warnings(r, print_warning, &p);
    return true;
}

/* ---- for programs ---- */

static void add_text(cJSON *to, const char *name, const char *text)
{
    if (text[0])
        cJSON_AddStringToObject(to, name, text);
    else
        cJSON_AddNullToObject(to, name);
}

static void add_number(cJSON *to, const char *name, uint64_t n)
{
    if (n == PROBE_UNKNOWN)
        cJSON_AddNullToObject(to, name);
    else
        cJSON_AddNumberToObject(to, name, (double)n);
}

static cJSON *node_json(const struct redis_report *r, size_t i, unsigned share)
{
    char name[CELL_ROOM];
    const struct redis_probe *p = &r->probes[i];
    bool ok = p->state == PROBE_OK;
    cJSON *j = cJSON_CreateObject();
    put_name(name, r->conf->nodes[i].name);
    cJSON_AddStringToObject(j, "node", name);
    add_text(j, "address", p->address);
    cJSON_AddStringToObject(j, "state", probe_state_name(p->state));
    add_text(j, "why", p->why);
    add_number(j, "ping_median_us", ok ? p->median_us : PROBE_UNKNOWN);
    add_number(j, "ping_max_us", ok ? p->max_us : PROBE_UNKNOWN);
    add_text(j, "server", server_of(p));
    add_text(j, "version", version_of(p));
    cJSON_AddNumberToObject(j, "share_percent", share / 100.0);
    cJSON_AddNumberToObject(j, "weight", r->conf->nodes[i].weight);
    add_number(j, "keys", p->keys);
    add_number(j, "used_memory", p->used_memory);
    add_number(j, "maxmemory", p->maxmemory);
    add_text(j, "policy", p->policy);
    add_number(j, "evicted_keys", p->evicted);
    add_number(j, "clients", p->clients);
    add_text(j, "role", p->role);
    add_number(j, "gateways", ok ? p->gateways : PROBE_UNKNOWN);
    return j;
}

struct adder {
    const struct redis_report *report;
    cJSON *warnings;
};

static void add_warning(void *ctx, size_t node, const char *text)
{
    const struct adder *a = ctx;
    char name[CELL_ROOM] = "";
    cJSON *j = cJSON_CreateObject();
    if (node != SIZE_MAX)
        put_name(name, a->report->conf->nodes[node].name);
    add_text(j, "node", name);
    cJSON_AddStringToObject(j, "text", text);
    cJSON_AddItemToArray(a->warnings, j);
}

bool redis_report_json(const struct redis_report *r, FILE *out)
{
    char fingerprint[17];
    unsigned *share = shares(r->conf);
    cJSON *j = share ? cJSON_CreateObject() : NULL;
    snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, conf_redis_fingerprint(r->conf));
    cJSON_AddBoolToObject(j, "good", redis_report_is_good(r));
    cJSON_AddStringToObject(j, "fingerprint", fingerprint);
    cJSON *nodes = cJSON_AddArrayToObject(j, "nodes");
    for (size_t i = 0; j && i < r->conf->nnodes; i++)
        cJSON_AddItemToArray(nodes, node_json(r, i, share[i]));
    struct adder a = {r, cJSON_AddArrayToObject(j, "warnings")};
    redis_report_warnings(r, add_warning, &a);
    char *text = j ? cJSON_Print(j) : NULL;
    if (text)
        fprintf(out, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(j);
    free(share);
    return text != NULL;
}
