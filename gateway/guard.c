/* guard.c: see guard.h. The registry holds one reference to each guard that it lists. */
#include "gateway/guard.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/fleet.h"
#include "lib/random.h"

#define MS                 UINT64_C(1000000)
#define LATE               9500                   /* of 10000 answers have begun by then */
#define BUDGET_NS          (UINT64_C(10000) * MS) /* retries are counted over this */
#define ADAPTIVE_MIN       4
#define ADAPTIVE_INITIAL   32
#define ADAPTIVE_WINDOW_NS (100 * MS)
#define JITTER             1000 /* of the open time: 10 % */

struct guards {
    struct guard *first;
    struct random random;
};

struct guards *guards_new(void)
{
    struct guards *reg = calloc(1, sizeof(*reg));
    if (reg)
        random_seed(&reg->random);
    return reg;
}

static struct breaker_policy policy_of(const struct conf_breaker *c)
{
    return (struct breaker_policy){
        .window_ns = c->window_ms * MS,
        .min_requests = c->min_requests < BREAKER_MOST ? c->min_requests : BREAKER_MOST,
        .failure_ratio = c->failure_ratio,
        .consecutive = c->consecutive < BREAKER_MOST ? c->consecutive : BREAKER_MOST,
        .slow_ratio = c->slow_ms ? c->slow_ratio : 0,
        .slow_ns = c->slow_ms * MS,
        .open_for_ns = c->open_ms * MS,
        .open_max_ns = c->open_max_ms * MS,
        .jitter = JITTER,
        .probes = c->half_open_probes,
        .close_after = c->close_after,
    };
}

static void init_bulkhead(struct guard *g, const struct conf_bulkhead *b, uint64_t now_ns)
{
    const struct gradient_policy policy = {
        .min = b->max < ADAPTIVE_MIN ? b->max : ADAPTIVE_MIN,
        .max = b->max,
        .initial = b->max < ADAPTIVE_INITIAL ? b->max : ADAPTIVE_INITIAL,
        .window_ns = ADAPTIVE_WINDOW_NS,
        .min_samples = 10,
        .tolerance = GRADIENT_WHOLE * 3 / 2,
        .smoothing = GRADIENT_WHOLE / 5,
        .calm_every = 50,
    };
    bulkhead_init(&g->bulkhead, b->max);
    if (!b->adaptive)
        return;
    gradient_init(&g->gradient, &policy, now_ns);
    bulkhead_resize(&g->bulkhead, gradient_limit(&g->gradient));
}

void guard_learn(struct guard *g, uint64_t now_ns, uint64_t latency_ns)
{
    if (gradient_sample(&g->gradient, now_ns, latency_ns, bulkhead_inside(&g->bulkhead)))
        bulkhead_resize(&g->bulkhead, gradient_limit(&g->gradient));
}

static struct guard *guard_new(const struct conf_backend *b, uint64_t now_ns)
{
    struct guard *g = aligned_alloc(CACHE_LINE, (sizeof(*g) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (!g)
        return NULL;
    memset(g, 0, sizeof(*g));
    quantile_init(&g->latency_us, LATE);
    g->name = strdup(b->name);
    if (!g->name) {
        free(g);
        return NULL;
    }
    memcpy(&g->breaker_conf, &b->breaker, sizeof(b->breaker));
    memcpy(&g->retry_conf, &b->retry, sizeof(b->retry));
    memcpy(&g->bulkhead_conf, &b->bulkhead, sizeof(b->bulkhead));
    const struct breaker_policy policy = policy_of(&b->breaker);
    const struct retry_budget_policy budget = {BUDGET_NS, b->retry.budget, b->retry.budget_min};
    CHECK(!breaker_policy_fault(&policy));
    breaker_init(&g->breaker, &policy, now_ns);
    retry_budget_init(&g->budget, &budget);
    init_bulkhead(g, &b->bulkhead, now_ns);
    atomic_init(&g->refs, 1);
    return g;
}

/* Structs of plain numbers that were zeroed before they were filled: their bytes can be compared. */
static bool is_for(const struct guard *g, const struct conf_backend *b)
{
    return memcmp(&g->breaker_conf, &b->breaker, sizeof(b->breaker)) == 0 &&
           memcmp(&g->retry_conf, &b->retry, sizeof(b->retry)) == 0 &&
           memcmp(&g->bulkhead_conf, &b->bulkhead, sizeof(b->bulkhead)) == 0;
}

struct guard *guard_get(struct guard *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void guard_put(struct guard *g)
{
    /* Release: what we did with it comes before the free; acquire: in the thread that frees. */
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(g->name);
    free(g);
}

struct guard *guards_find(struct guards *reg, const struct conf_backend *backend, uint64_t now_ns)
{
    struct guard **at = &reg->first;
    while (*at && strcmp((*at)->name, backend->name) != 0)
        at = &(*at)->next;
    if (*at && is_for(*at, backend))
        return guard_get(*at);
    struct guard *made = guard_new(backend, now_ns);
    if (!made)
        return NULL;
    if (*at) {
        struct guard *old = *at;
        made->next = old->next;
        guard_put(old);
    }
    *at = made;
    return guard_get(made);
}

struct guard *guards_named(const struct guards *reg, const char *name)
{
    struct guard *g = reg->first;
    while (g && strcmp(g->name, name) != 0)
        g = g->next;
    return g;
}

struct guard *guards_at(const struct guards *reg, size_t i)
{
    struct guard *g = reg->first;
    while (g && i-- > 0)
        g = g->next;
    return g;
}

void guards_sweep(struct guards *reg)
{
    for (struct guard **at = &reg->first, *g; (g = *at) != NULL;) {
        if (atomic_load_explicit(&g->refs, memory_order_relaxed) > 1) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        guard_put(g);
    }
}

void guards_free(struct guards *reg)
{
    if (!reg)
        return;
    guards_sweep(reg);
    CHECK(!reg->first);
    free(reg);
}

void guard_tell(const struct guard *g, struct breaker_change change, struct log *log)
{
    if (change.event == BREAKER_DID_NOTHING)
        return;
    const char *event = change.event == BREAKER_DID_FOLLOW ? "opened, as another gateway's has"
                                                           : breaker_event_name(change.event);
    log_printf(log, change.open_until_ns ? LOG_WARN : LOG_INFO, "backend %s: breaker %s (change %u)", g->name,
               event, change.generation);
}

/* ---- with other gateways ---- */

void guard_share(const struct guard *g, struct breaker_change change, uint64_t now_ns, struct fleet *fleet)
{
    bool is_own = change.event == BREAKER_DID_OPEN || change.event == BREAKER_DID_REOPEN;
    if (!is_own || !fleet || g->breaker_conf.share == BREAKER_SHARE_OFF || change.open_until_ns <= now_ns)
        return;
    fleet_tell_breaker(fleet, slice_of(g->name), (change.open_until_ns - now_ns + MS - 1) / MS);
}

static void free_news(struct message *m)
{
    free(m);
}

struct guard_news *guard_news_new(struct slice backend, uint64_t open_ms)
{
    bool is_name = backend.len > 0 && backend.len <= FLEET_BACKEND_MAX && slice_find(backend, '\0') < 0;
    struct guard_news *news = is_name ? calloc(1, sizeof(*news) + backend.len + 1) : NULL;
    if (!news)
        return NULL;
    news->base.free = free_news;
    news->open_ms = open_ms;
    memcpy(news->backend, backend.p, backend.len);
    return news;
}

void guards_hear(struct guards *reg, const struct guard_news *news, uint64_t now_ns, struct log *log)
{
    struct guard *g = guards_named(reg, news->backend);
    if (!g || !g->breaker_conf.enabled || g->breaker_conf.share == BREAKER_SHARE_OFF)
        return;
    uint64_t most_ms = g->breaker_conf.open_max_ms;
    uint64_t for_ns = (news->open_ms < most_ms ? news->open_ms : most_ms) * MS;
    if (g->breaker_conf.share == BREAKER_SHARE_OPEN)
        guard_tell(g, breaker_open_for(&g->breaker, now_ns, for_ns, random_next(&reg->random)), log);
    else if (breaker_be_cautious(&g->breaker, now_ns, for_ns))
        log_printf(log, LOG_INFO,
                   "backend %s: breaker is cautious for %.1f s, as another gateway's has opened", g->name,
                   (double)breaker_view(&g->breaker, now_ns).cautious_left_ns / 1e9);
}
