/*
 * limit.c: see limit.h.
 *
 * A bucket's key is that of the client (client_key.h), with the id of the limit and its rate.
 *
 * Limits are asked one after the other. One that is counted over all gateways (limit_shared.h) may have to
 * wait for its answer; what the earlier ones have given is kept in the exchange meanwhile.
 */
#include "gateway/limit.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/client_key.h"
#include "gateway/limit_shared.h"
#include "gateway/path.h"
#include "gateway/refusals.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "lib/hash.h"

#define POLICY_MAX 320
#define LEASES_MAX 262144 /* clients whose tokens are leased at a time; memory is used by the page */
#define SECOND     UINT64_C(1000000000)

struct limiter {
    struct bucket_table *tables[LIMIT_TABLES]; /* by how long a bucket takes to fill */
    struct limit_shared *shared;
    struct refusals *refusals;
    unsigned char secret[CLIENT_KEY_SECRET];
};

/* A rate of a limit: its own, or that of a tier. */
struct rate {
    struct token_rate tokens;
    struct lease_rate lease; /* the same, for limits of all gateways */
    uint64_t id;             /* of its buckets: limit and rate */
    struct slice policy;     /* its part of RateLimit-Policy */
    struct slice name;       /* in quotes, as in RateLimit */
};

struct rule {
    const struct conf_limit *conf;
    uint64_t id; /* to note refusals by */
    struct bucket_table *table;
    struct rate *rates; /* the limit's own, then those of the tiers */
};

struct limit_rules {
    struct limiter *limiter;
    struct arena arena;
    struct rule **routes; /* by route: its rules */
};

/* ---- the process's buckets ---- */

struct limiter *limiter_new(size_t buckets, unsigned nworkers)
{
    struct limiter *l = calloc(1, sizeof(*l));
    bool ok = l && getrandom(l->secret, sizeof(l->secret), 0) == sizeof(l->secret);
    for (size_t i = 0; ok && i < LIMIT_TABLES; i++)
        ok = (l->tables[i] = bucket_table_new(buckets, nworkers)) != NULL;
    size_t leases = buckets < LEASES_MAX ? buckets : LEASES_MAX;
    if (ok && (l->shared = limit_shared_new(leases, nworkers)) && (l->refusals = refusals_new(nworkers)))
        return l;
    limiter_free(l);
    return NULL;
}

void limiter_free(struct limiter *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LIMIT_TABLES; i++)
        bucket_table_free(l->tables[i]);
    limit_shared_free(l->shared);
    refusals_free(l->refusals);
    free(l);
}

const struct limit_shared *limiter_shared(const struct limiter *l)
{
    return l->shared;
}

const struct refusals *limiter_refusals(const struct limiter *l)
{
    return l->refusals;
}

struct bucket_usage limiter_usage(const struct limiter *l, unsigned i, uint64_t now_ns)
{
    return bucket_table_usage(l->tables[i], now_ns, 256);
}

/* ---- rules ---- */

static struct bucket_table *table_for(const struct limiter *l, const struct token_rate *rate)
{
    size_t i = rate->window_ns <= 60 * SECOND ? 0 : rate->window_ns <= 3600 * SECOND ? 1 : 2;
    return l->tables[i];
}

static uint64_t in_seconds(uint64_t ns)
{
    return (ns + SECOND - 1) / SECOND;
}

static bool make_rate(struct limit_rules *rules, const struct units_rate *conf, uint32_t burst,
                      struct rate *out)
{
    char text[POLICY_MAX];
    struct buf b;
    bool ok = true;
    if (!token_rate_init(&out->tokens, conf->count, conf->per_ms * 1000000, burst))
        return false;
    const uint64_t parts[] = {out->id, conf->count, conf->per_ms, burst};
    out->id = hash_bytes(parts, sizeof(parts), 0);
    buf_init(&b, text, sizeof(text));
    buf_printf(&b, "%.*s;q=%u;w=%llu", SLICE_ARG(out->name), burst,
               (unsigned long long)in_seconds(out->tokens.window_ns));
    out->policy = arena_slice(&rules->arena, buf_slice(&b), &ok);
    return ok && !b.failed;
}

void limit_name(const struct conf_limit *limit, size_t i, struct buf *out)
{
    if (limit->name)
        buf_add(out, slice_of(limit->name));
    else if (i == 0)
        buf_add(out, SLICE("default"));
    else
        buf_printf(out, "limit%zu", i + 1);
}

/* What a limit is called in RateLimit, as a string of structured fields (RFC 9651). */
static struct slice quoted_name(struct limit_rules *rules, const struct conf_limit *l, size_t i, bool *ok)
{
    char text[POLICY_MAX / 2];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_add_char(&b, '"');
    limit_name(l, i, &b);
    buf_add_char(&b, '"');
    *ok = *ok && !b.failed;
    return arena_slice(&rules->arena, buf_slice(&b), ok);
}

static bool make_rule(struct limit_rules *rules, const struct conf_route *route, size_t i, struct rule *out)
{
    const struct conf_limit *l = &route->limits[i];
    bool ok = true;
    struct slice name = quoted_name(rules, l, i, &ok);
    uint64_t id =
        l->name ? hash_bytes(l->name, strlen(l->name), 1) : hash_bytes(route->name, strlen(route->name), i);
    out->conf = l;
    out->id = refusals_rule_id(route, i);
    out->rates = arena_alloc(&rules->arena, (l->ntiers + 1) * sizeof(*out->rates));
    if (!ok || !out->rates)
        return false;
    for (size_t t = 0; ok && t <= l->ntiers; t++) {
        const struct conf_tier *tier = t > 0 ? &l->tiers[t - 1] : NULL;
        out->rates[t] = (struct rate){.id = id, .name = name};
        ok = make_rate(rules, tier ? &tier->rate : &l->rate, tier ? tier->burst : l->burst, &out->rates[t]);
        if (ok)
            lease_rate_init(&out->rates[t].lease, &out->rates[t].tokens,
                            l->scope == LIMIT_SCOPE_CLUSTER_EXACT);
    }
    out->table = table_for(rules->limiter, &out->rates[0].tokens);
    return ok;
}

static bool make_route(struct limit_rules *rules, const struct conf_route *route, struct rule **out)
{
    *out = arena_alloc(&rules->arena, (route->nlimits + 1) * sizeof(**out));
    bool ok = *out != NULL;
    for (size_t i = 0; ok && i < route->nlimits; i++)
        ok = make_rule(rules, route, i, &(*out)[i]);
    return ok;
}

struct limit_rules *limit_rules_new(const struct conf *conf, struct limiter *l)
{
    struct limit_rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        return NULL;
    rules->limiter = l;
    arena_init(&rules->arena, NULL, 0, SIZE_MAX);
    rules->routes = arena_alloc(&rules->arena, (conf->nroutes + 1) * sizeof(*rules->routes));
    bool ok = rules->routes != NULL;
    for (size_t i = 0; ok && i < conf->nroutes; i++)
        ok = make_route(rules, &conf->routes[i], &rules->routes[i]);
    if (ok)
        return rules;
    limit_rules_free(rules);
    return NULL;
}

void limit_rules_free(struct limit_rules *r)
{
    if (!r)
        return;
    arena_fini(&r->arena);
    free(r);
}

const char *limit_result_name(enum limit_result r)
{
    static const char *const names[] = {"none", "allowed", "delayed", "refused", "shadow"};
    return names[r];
}

const char *limit_store_name(enum limit_store s)
{
    static const char *const names[] = {"local", "redis", "share"};
    return names[s];
}

/* ---- asking ---- */

/* One limit of the route, asked. */
struct limit_asked {
    const struct rule *rule;
    const struct rate *rate;
    bool is_shared;
    struct shared_ask shared_ask; /* when it is */
    struct shared_result of_shared;
    struct bucket_key key; /* when it is not */
    struct token_ask ask;
    struct token_result result;
    enum limit_store store;
};

static bool is_exempt(const struct exchange *x, const struct conf_limit *l)
{
    return cidr_any_has(l->exempt, l->nexempt, &x->record.client_ip);
}

/* That of the client's plan, or the limit's own. */
static const struct rate *rate_for(const struct exchange *x, const struct rule *rule)
{
    for (size_t i = 0; i < rule->conf->ntiers && x->access.plan.len > 0; i++)
        if (slice_eq(x->access.plan, slice_of(rule->conf->tiers[i].plan)))
            return &rule->rates[i + 1];
    return &rule->rates[0];
}

static struct bucket_key key_of(struct exchange *x, const struct limiter *l, const struct rule *rule,
                                const struct rate *rate)
{
    struct client_key key = client_key_of(x, &rule->conf->keys, rate->id, l->secret);
    return (struct bucket_key){key.high, key.low};
}

static void prepare_shared(struct exchange *x, const struct limiter *l, struct limit_asked *a)
{
    const struct conf_limit *conf = a->rule->conf;
    struct client_key key;
    bool has_key = client_key_shared(x, &conf->keys, a->rate->id, &key);
    a->shared_ask = (struct shared_ask){
        .shared = l->shared,
        .rate = &a->rate->tokens,
        .lease = &a->rate->lease,
        .local = a->rule->table,
        .is_alone = !has_key,
        .cost = conf->cost ? conf->cost : 1,
        .when_down = conf->when_down,
    };
    a->shared_ask.key = has_key ? (struct bucket_key){key.high, key.low} : key_of(x, l, a->rule, a->rate);
}

/* Everything that asking A takes, which may be done more than once. */
static void prepare(struct exchange *x, const struct limiter *l, const struct rule *rule,
                    struct limit_asked *a)
{
    const struct rate *rate = rate_for(x, rule);
    *a = (struct limit_asked){.rule = rule, .rate = rate};
    a->is_shared = rule->conf->scope != LIMIT_SCOPE_GATEWAY && x->worker->redis;
    if (a->is_shared) {
        prepare_shared(x, l, a);
        return;
    }
    a->key = key_of(x, l, rule, rate);
    a->ask = (struct token_ask){&rate->tokens, clock_now_ns(), rule->conf->cost,
                                rule->conf->delay_ms * UINT64_C(1000000)};
}

static enum shared_verdict ask(struct exchange *x, struct limit_asked *a)
{
    if (!a->is_shared) {
        a->result = bucket_table_take(a->rule->table, x->worker->setup.index, a->key, &a->ask);
        return SHARED_DECIDED;
    }
    enum shared_verdict verdict = limit_shared_take(x, &a->shared_ask, &a->of_shared);
    a->result = a->of_shared.tokens;
    a->store = a->of_shared.store;
    if (verdict != SHARED_WAIT) {
        x->limit.wait.rounds = 0;
        x->limit.wait.is_late = false;
    }
    return verdict;
}

/* The request did not happen after all: the tokens of the first N. */
static void give_back(struct limit_asked *asked, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (asked[i].result.admitted && asked[i].is_shared)
            limit_shared_give_back(&asked[i].shared_ask, &asked[i].of_shared);
        else if (asked[i].result.admitted)
            bucket_table_give_back(asked[i].rule->table, asked[i].key, &asked[i].ask);
}

/* ---- the step ---- */

/* Whether A is nearer to refusing than B: by the share of the burst that is left. */
static bool is_tighter(const struct limit_asked *a, const struct limit_asked *b)
{
    if (a->result.admitted != b->result.admitted)
        return !a->result.admitted;
    return a->result.remaining * b->rate->tokens.burst < b->result.remaining * a->rate->tokens.burst;
}

static void add_number(struct buf *b, const char *before, uint64_t n)
{
    buf_add(b, slice_of(before));
    buf_add_u64(b, n);
}

static void tell(struct exchange *x, struct slice name, struct buf *b)
{
    bool ok = !b->failed;
    struct slice value = arena_slice(&x->arena, buf_slice(b), &ok);
    if (ok)
        exchange_decorate(x, name, value);
    b->len = 0;
}

/* RateLimit and the older fields, on whatever answer there will be. */
static void tell_state(struct exchange *x, const struct limit_asked *asked, size_t n,
                       const struct limit_asked *tightest)
{
    char space[1024];
    struct buf b;
    uint64_t full_s = in_seconds(tightest->result.full_ns);
    buf_init(&b, space, sizeof(space));
    for (size_t i = 0; i < n; i++) {
        buf_add(&b, i ? SLICE(", ") : SLICE(""));
        buf_add(&b, asked[i].rate->policy);
    }
    tell(x, SLICE("RateLimit-Policy"), &b);
    buf_add(&b, tightest->rate->name);
    add_number(&b, ";r=", tightest->result.remaining);
    add_number(&b, ";t=", full_s);
    tell(x, SLICE("RateLimit"), &b);
    buf_add_u64(&b, tightest->rate->tokens.burst);
    tell(x, SLICE("X-RateLimit-Limit"), &b);
    buf_add_u64(&b, tightest->result.remaining);
    tell(x, SLICE("X-RateLimit-Remaining"), &b);
    buf_add_u64(&b, full_s);
    tell(x, SLICE("X-RateLimit-Reset"), &b);
}

static void note_refusal(struct exchange *x, const struct limit_asked *by)
{
    struct refused_by refused = {
        .rule = by->rule->id,
        .client = by->is_shared ? by->shared_ask.key : by->key,
        .keys = &by->rule->conf->keys,
    };
    refusals_note(x->use->snapshot->limits->limiter->refusals, x, &refused);
}

static enum step_result refuse(struct exchange *x, const struct limit_asked *by, enum reason reason)
{
    uint64_t retry_s = in_seconds(by->result.retry_ns);
    x->record.limit = LIMIT_REFUSED;
    x->record.limit_store = by->store;
    if (reason == REASON_LIMITED)
        note_refusal(x, by);
    x->retry_after_s = by->result.retry_ns == TOKEN_NEVER ? 0 : retry_s > 0 ? retry_s : 1;
    exchange_fail(x, reason);
    return STEP_REPLY;
}

static void on_delay_over(struct wheel_entry *e)
{
    struct limit *l = (struct limit *)((char *)e - offsetof(struct limit, timer));
    exchange_wake((struct exchange *)((char *)l - offsetof(struct exchange, limit)));
}

static enum step_result delay(struct exchange *x, uint64_t wait_ns)
{
    x->limit.timer.expired = on_delay_over;
    worker_set_soon(x->worker, &x->limit.timer, clock_now_ns() + wait_ns);
    return STEP_PARK;
}

/* The one that is nearest to refusing; N > 0. */
static const struct limit_asked *tightest_of(const struct limit_asked *asked, size_t n)
{
    const struct limit_asked *tightest = &asked[0];
    for (size_t i = 1; i < n; i++)
        if (is_tighter(&asked[i], tightest))
            tightest = &asked[i];
    return tightest;
}

/* All were asked, and none has refused; shadows do not count. */
static enum step_result admit(struct exchange *x)
{
    const struct limit *l = &x->limit;
    uint64_t wait_ns = 0;
    for (size_t i = 0; i < l->nasked; i++) {
        const struct limit_asked *a = &l->asked[i];
        bool is_shadow = a->rule->conf->mode == LIMIT_SHADOW;
        if (!a->result.admitted)
            x->record.limit = LIMIT_SHADOWED;
        if (!is_shadow && a->result.wait_ns > wait_ns)
            wait_ns = a->result.wait_ns;
        if (a->store > x->record.limit_store)
            x->record.limit_store = a->store;
    }
    if (x->record.limit == LIMIT_NONE)
        x->record.limit = wait_ns ? LIMIT_DELAYED : LIMIT_ALLOWED;
    return wait_ns ? delay(x, wait_ns) : STEP_PASS;
}

/* As far as can be: PASS when all that are left were asked, PARK when one has to wait, REPLY when one has
 * refused, the last that was asked, for REASON. */
static enum step_result ask_all(struct exchange *x, enum reason *reason)
{
    const struct conf_route *route = exchange_route(x);
    const struct limit_rules *rules = x->use->snapshot->limits;
    struct limit *l = &x->limit;
    for (; l->next < route->nlimits; l->next++) {
        const struct rule *rule = &rules->routes[x->match.index][l->next];
        if (is_exempt(x, rule->conf))
            continue;
        struct limit_asked *a = &l->asked[l->nasked];
        prepare(x, rules->limiter, rule, a);
        enum shared_verdict verdict = ask(x, a);
        if (verdict == SHARED_WAIT)
            return STEP_PARK;
        l->nasked++;
        *reason = verdict == SHARED_CLOSED ? REASON_LIMIT_UNAVAILABLE : REASON_LIMITED;
        if (!a->result.admitted && rule->conf->mode != LIMIT_SHADOW)
            return STEP_REPLY;
    }
    return STEP_PASS;
}

enum step_result limit_step(struct exchange *x)
{
    struct limit *l = &x->limit;
    size_t n = exchange_route(x)->nlimits;
    enum reason reason;
    if (n == 0)
        return STEP_PASS;
    if (l->wait.is_waiting)
        return STEP_PARK;
    if (l->is_done)
        return wheel_is_set(&l->timer) ? STEP_PARK : STEP_PASS;
    if (!l->asked && !(l->asked = arena_alloc(&x->arena, n * sizeof(*l->asked)))) {
        exchange_fail(x, REASON_OVERLOADED);
        return STEP_REPLY;
    }
    enum step_result asked = ask_all(x, &reason);
    if (asked == STEP_PARK)
        return STEP_PARK;
    l->is_done = true;
    if (l->nasked == 0)
        return STEP_PASS;
    tell_state(x, l->asked, l->nasked, tightest_of(l->asked, l->nasked));
    if (asked == STEP_PASS)
        return admit(x);
    give_back(l->asked, l->nasked - 1);
    return refuse(x, &l->asked[l->nasked - 1], reason);
}

void limit_undo(struct exchange *x)
{
    struct limit *l = &x->limit;
    limit_shared_forget(x);
    wheel_cancel(&l->timer);
    if (!l->is_done) /* it has gone while it waited */
        give_back(l->asked, l->nasked);
}
