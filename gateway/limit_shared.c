/*
 * limit_shared.c: see limit_shared.h.
 *
 * A call to Redis belongs to no exchange: the one that has caused it may go away meanwhile. It is in a list
 * of its worker until it has ended, and it ends once: with a reply that makes sense, or as a failure.
 */
#include "gateway/limit_shared.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/exchange.h"
#include "gateway/fleet.h"
#include "gateway/redis.h"
#include "gateway/worker.h"
#include "lib/clock.h"
#include "lib/counter.h"
#include "lib/hash.h"

#define MS        CLOCK_MILLISECOND_NS
#define HOLD_NS   (50 * MS)  /* after a failure, Redis is asked about a key this much later */
#define LATE_NS   (200 * MS) /* beyond the deadline of a command, nobody waits */
#define ROUNDS    4          /* of waiting for tokens that others were quicker to take */
#define CHAINS    64         /* of waiting exchanges, by key */
#define ARGUMENTS 12
#define DIGITS    24
#define TIME_MAX  (INT64_C(1) << 52) /* microseconds; more is nonsense */

enum { CALLS, FAILURES, NCOUNTS };

struct limit_shared {
    struct lease_table *leases;
    struct counters *counts;
    unsigned nworkers;
    pthread_mutex_t lock;
    struct worker *workers[]; /* those that wait at times; under the lock */
};

/* A worker's. */
struct limit_waits {
    struct limit_shared *shared;
    struct exchange *chains[CHAINS];
    struct call *calls;
};

struct call {
    struct redis_call base; /* first */
    struct call *next, *prev;
    struct worker *worker;
    struct bucket_key key;
    struct lease_rate rate;
    struct lease_ask ask;
    size_t node;
    bool was_repeated;
    char arguments[ARGUMENTS][DIGITS];
    char name[]; /* of the bucket */
};

struct wake {
    struct worker_call base; /* first */
    struct bucket_key key;
};

/* ---- the process's ---- */

struct limit_shared *limit_shared_new(size_t clients, unsigned nworkers)
{
    struct limit_shared *s = calloc(1, sizeof(*s) + nworkers * sizeof(struct worker *));
    if (!s)
        return NULL;
    CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
    s->nworkers = nworkers;
    s->leases = lease_table_new(clients);
    s->counts = counters_new(nworkers, NCOUNTS);
    if (s->leases && s->counts)
        return s;
    limit_shared_free(s);
    return NULL;
}

void limit_shared_free(struct limit_shared *s)
{
    if (!s)
        return;
    lease_table_free(s->leases);
    counters_free(s->counts);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void limit_shared_stats(const struct limit_shared *s, struct limit_shared_stats *out)
{
    *out = (struct limit_shared_stats){
        .calls = counter_sum(s->counts, CALLS),
        .failures = counter_sum(s->counts, FAILURES),
        .held = lease_table_held(s->leases),
    };
}

/* NULL: memory is short. */
static struct limit_waits *waits_of(struct worker *w, struct limit_shared *s)
{
    if (w->limit_waits || !(w->limit_waits = calloc(1, sizeof(*w->limit_waits))))
        return w->limit_waits;
    w->limit_waits->shared = s;
    pthread_mutex_lock(&s->lock);
    s->workers[w->setup.index] = w;
    pthread_mutex_unlock(&s->lock);
    return w->limit_waits;
}

/* ---- waiting ---- */

static bool is_same(struct bucket_key a, struct bucket_key b)
{
    return a.place == b.place && a.tag == b.tag;
}

static struct exchange **chain_of(struct worker *w, struct bucket_key key)
{
    return &w->limit_waits->chains[key.tag % CHAINS];
}

/* Also from a list that is being walked. */
static void leave_chain(struct exchange *x)
{
    struct limit_wait *wait = &x->limit.wait;
    if (wait->prev)
        wait->prev->limit.wait.next = wait->next;
    else
        *chain_of(x->worker, wait->key) = wait->next;
    if (wait->next)
        wait->next->limit.wait.prev = wait->prev;
    wait->is_waiting = false;
    wheel_cancel(&x->limit.timer);
}

static void on_late(struct wheel_entry *e)
{
    struct limit *l = (struct limit *)((char *)e - offsetof(struct limit, timer));
    struct exchange *x = (struct exchange *)((char *)l - offsetof(struct exchange, limit));
    limit_shared_forget(x);
    l->wait.is_late = true;
    exchange_wake(x);
}

static void begin_waiting(struct exchange *x, const struct shared_ask *ask)
{
    struct limit_wait *wait = &x->limit.wait;
    struct exchange **chain = chain_of(x->worker, ask->key);
    uint64_t late_ns = exchange_conf(x)->redis.command_ms * MS + LATE_NS;
    wait->is_waiting = wait->has_waited = true;
    wait->rounds++;
    wait->key = ask->key;
    wait->cost = ask->cost;
    wait->prev = NULL;
    wait->next = *chain;
    if (*chain)
        (*chain)->limit.wait.prev = x;
    *chain = x;
    x->limit.timer.expired = on_late;
    wheel_set(&x->worker->wheel, &x->limit.timer, clock_now_ns() + late_ns);
}

void limit_shared_forget(struct exchange *x)
{
    struct limit_wait *wait = &x->limit.wait;
    if (wait->is_waiting)
        leave_chain(x);
    if (wait->has_waited)
        lease_leave(x->worker->limit_waits->shared->leases, wait->key, wait->cost);
    wait->has_waited = false;
}

static void wake_here(struct worker *w, struct bucket_key key)
{
    struct exchange *next;
    for (struct exchange *x = *chain_of(w, key); x; x = next) {
        next = x->limit.wait.next;
        if (!is_same(x->limit.wait.key, key))
            continue;
        leave_chain(x);
        exchange_wake(x);
    }
}

static void run_wake(struct worker *w, struct worker_call *call)
{
    struct wake *wake = (struct wake *)(void *)call;
    if (w->limit_waits)
        wake_here(w, wake->key);
    free(wake);
}

static void free_wake(struct message *m)
{
    free(m);
}

/* The lock is held, so that the worker is there. Memory short: those that wait there become late. */
static void post_wake(struct worker *w, struct bucket_key key)
{
    struct wake *wake = malloc(sizeof(*wake));
    if (!wake)
        return;
    *wake = (struct wake){.base = {.base.free = free_wake, .run = run_wake}, .key = key};
    if (!worker_post_call(w, &wake->base))
        free(wake);
}

static void wake_lanes(struct worker *w, struct bucket_key key, uint64_t lanes)
{
    struct limit_shared *s = w->limit_waits->shared;
    uint64_t own = UINT64_C(1) << w->setup.index % LEASE_LANES;
    if (lanes & own)
        wake_here(w, key);
    if ((lanes & ~own) == 0 && s->nworkers <= LEASE_LANES)
        return;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->nworkers; i++)
        if (s->workers[i] && s->workers[i] != w && lanes >> i % LEASE_LANES & 1)
            post_wake(s->workers[i], key);
    pthread_mutex_unlock(&s->lock);
}

/* ---- shares ---- */

/* The bucket of this gateway's share as one of N: another rate, so another bucket. */
static struct bucket_key share_key(const struct shared_ask *ask, unsigned n)
{
    return (struct bucket_key){ask->key.place, ask->key.tag ^ hash_bytes(&n, sizeof(n), 0)};
}

static unsigned gateways_of(const struct worker *w)
{
    return w->setup.fleet ? fleet_gateways(w->setup.fleet) : 1;
}

/* Redis does not answer. FULL_NS: until the bucket there would be full; the share begins no fuller. */
static enum shared_verdict take_alone(struct exchange *x, const struct shared_ask *ask, uint64_t full_ns,
                                      struct shared_result *result)
{
    struct token_rate share;
    struct worker *w = x->worker;
    *result = (struct shared_result){.store = LIMIT_LOCAL, .gateways = gateways_of(w)};
    result->tokens = (struct token_result){.retry_ns = CLOCK_SECOND_NS};
    if (ask->when_down == LIMIT_DOWN_CLOSED)
        return SHARED_CLOSED;
    if (ask->when_down == LIMIT_DOWN_OPEN) {
        result->tokens = (struct token_result){.admitted = true, .remaining = ask->rate->burst};
        return SHARED_DECIDED;
    }
    lease_share(&share, ask->rate, result->gateways, ask->cost);
    struct bucket_key key = share_key(ask, result->gateways);
    struct token_ask take = {.rate = &share, .now_ns = clock_now_ns()};
    uint64_t known_ns = full_ns ? bucket_table_peek(ask->local, key, &take).full_ns : 0;
    take.cost = full_ns > known_ns ? lease_tokens_in(&share, full_ns - known_ns) : 0;
    if (take.cost > 0)
        result->tokens = bucket_table_take(ask->local, w->setup.index, key, &take);
    take.cost = ask->cost;
    result->tokens = bucket_table_take(ask->local, w->setup.index, key, &take);
    result->store = LIMIT_SHARE;
    return SHARED_DECIDED;
}

/* What Redis has to know of the time when it did not answer: tokens of this gateway's share. */
static uint64_t owed_by(const struct worker *w, const struct shared_ask *ask, struct lease_ask *to)
{
    struct token_rate share;
    unsigned n = gateways_of(w);
    if (to->down_ns == 0 || ask->when_down != LIMIT_DOWN_SHARE)
        return 0;
    lease_share(&share, ask->rate, n, ask->cost);
    struct token_ask peek = {.rate = &share, .now_ns = clock_now_ns(), .cost = 1};
    uint64_t full_ns = bucket_table_peek(ask->local, share_key(ask, n), &peek).full_ns;
    if (full_ns <= to->full_in_ns)
        return 0;
    uint64_t owed = lease_tokens_in(&share, full_ns - to->full_in_ns);
    to->full_in_ns = full_ns; /* if the bucket was lost, the others have as little left */
    return owed;
}

/* ---- calls ---- */

static void count(const struct worker *w, size_t what)
{
    counter_add(w->limit_waits->shared->counts, w->setup.index, what, 1);
}

static bool send_call(struct call *c)
{
    struct slice name = slice_of(c->name), arguments[ARGUMENTS];
    for (size_t i = 0; i < ARGUMENTS; i++)
        arguments[i] = slice_of(c->arguments[i]);
    count(c->worker, CALLS);
    return redis_eval(c->worker->redis, c->node, &c->base, REDIS_LIMIT_TAKE, (struct redis_words){&name, 1},
                      (struct redis_words){arguments, ARGUMENTS});
}

/* REPLY NULL: it has failed. */
static void end_call(struct call *c, const struct lease_reply *reply)
{
    struct worker *w = c->worker;
    struct lease_table *leases = w->limit_waits->shared->leases;
    uint64_t now = clock_now_ns();
    uint64_t lanes = reply ? lease_granted(leases, c->key, &c->rate, &c->ask, reply, now)
                           : lease_failed(leases, c->key, &c->ask, now, HOLD_NS);
    if (!reply)
        count(w, FAILURES);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->limit_waits->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    wake_lanes(w, c->key, lanes);
    free(c);
}

/* False: nonsense. */
static bool read_reply(const struct call *c, const struct redis_reply *reply, struct lease_reply *out)
{
    int64_t n[5];
    if (reply->kind != REDIS_ARRAY || reply->n != 5)
        return false;
    for (size_t i = 0; i < 5; i++) {
        struct redis_reply element = redis_reply_at(reply, i);
        if (element.kind != REDIS_INTEGER || element.integer < 0 || element.integer > TIME_MAX)
            return false;
        n[i] = element.integer;
    }
    *out = (struct lease_reply){(uint64_t)n[0], (uint64_t)n[1], (uint64_t)n[2], (uint64_t)n[3], n[4]};
    return out->granted <= c->ask.want && (out->granted == 0 || out->granted >= c->ask.at_least) &&
           out->remaining <= c->rate.burst;
}

static void on_reply(struct redis_call *base, const struct redis_reply *reply)
{
    struct call *c = (struct call *)(void *)base;
    struct lease_reply answer;
    if (redis_wants_again(reply, &c->was_repeated)) {
        if (send_call(c))
            return;
        reply = NULL;
    }
    end_call(c, reply && read_reply(c, reply, &answer) ? &answer : NULL);
}

static void write_arguments(struct call *c, uint64_t owed)
{
    const uint64_t all[ARGUMENTS] = {
        c->rate.parts,         c->rate.refill, c->rate.burst,          c->rate.life_ns / 1000,   c->ask.want,
        c->ask.at_least,       c->ask.back,    (uint64_t)c->ask.stamp, c->ask.full_in_ns / 1000, owed,
        c->ask.down_ns / 1000, c->ask.spent,
    };
    for (size_t i = 0; i < ARGUMENTS; i++)
        snprintf(c->arguments[i], DIGITS, "%llu", (unsigned long long)all[i]);
}

/* NULL: no node can be asked, or memory is short. */
static struct call *new_call(struct exchange *x, const struct shared_ask *ask, const struct lease_ask *to)
{
    struct worker *w = x->worker;
    const char *prefix = exchange_conf(x)->redis.prefix;
    size_t len = strlen(prefix) + sizeof(":l:") + 2 * sizeof(ask->key);
    size_t node = redis_node_for(w->redis, hash_bytes(&ask->key, sizeof(ask->key), 0));
    struct call *c = node == REDIS_NONE ? NULL : calloc(1, sizeof(*c) + len);
    if (!c)
        return NULL;
    c->base.done = on_reply;
    c->worker = w;
    c->key = ask->key;
    c->rate = *ask->lease;
    c->ask = *to;
    c->node = node;
    snprintf(c->name, len, "%s:l:%016llx%016llx", prefix, (unsigned long long)ask->key.place,
             (unsigned long long)ask->key.tag);
    uint64_t owed = owed_by(w, ask, &c->ask);
    write_arguments(c, owed);
    c->next = w->limit_waits->calls;
    if (c->next)
        c->next->prev = c;
    w->limit_waits->calls = c;
    return c;
}

/* False: it has failed at once. */
static bool call_redis(struct exchange *x, const struct shared_ask *ask, const struct lease_ask *to)
{
    struct worker *w = x->worker;
    struct call *c = new_call(x, ask, to);
    if (c && send_call(c))
        return true;
    if (c)
        end_call(c, NULL);
    else
        wake_lanes(w, ask->key, lease_failed(ask->shared->leases, ask->key, to, clock_now_ns(), HOLD_NS));
    return false;
}

void limit_shared_leave(struct worker *w)
{
    struct limit_waits *waits = w->limit_waits;
    if (!waits)
        return;
    while (waits->calls) {
        redis_call_cancel(&waits->calls->base);
        end_call(waits->calls, NULL);
    }
    pthread_mutex_lock(&waits->shared->lock);
    waits->shared->workers[w->setup.index] = NULL;
    pthread_mutex_unlock(&waits->shared->lock);
    free(waits);
    w->limit_waits = NULL;
}

/* ---- taking ---- */

static struct lease_answer take_lease(struct exchange *x, const struct shared_ask *ask)
{
    struct limit_wait *wait = &x->limit.wait;
    struct lease_answer a;
    bool has_failed;
    do { /* after a failure, the answer is LEASE_DOWN */
        struct lease_take take = {ask->lease, clock_now_ns(), ask->cost, x->worker->setup.index,
                                  wait->has_waited};
        a = lease_take(ask->shared->leases, ask->key, &take);
        wait->has_waited = a.verdict == LEASE_WAIT;
        has_failed = a.asks && !call_redis(x, ask, &a.ask);
    } while (has_failed && a.verdict == LEASE_WAIT);
    return a;
}

enum shared_verdict limit_shared_take(struct exchange *x, const struct shared_ask *ask,
                                      struct shared_result *result)
{
    struct limit_wait *wait = &x->limit.wait;
    *result = (struct shared_result){.store = LIMIT_REDIS, .tokens.retry_ns = TOKEN_NEVER};
    if (ask->cost > ask->rate->burst)
        return SHARED_DECIDED;
    if (ask->is_alone || wait->is_late || !waits_of(x->worker, ask->shared))
        return take_alone(x, ask, 0, result);
    struct lease_answer a = take_lease(x, ask);
    if (a.verdict == LEASE_DOWN)
        return take_alone(x, ask, a.full_ns, result);
    if (a.verdict == LEASE_WAIT && wait->rounds < ROUNDS) {
        begin_waiting(x, ask);
        return SHARED_WAIT;
    }
    if (a.verdict == LEASE_WAIT)
        lease_leave(ask->shared->leases, ask->key, ask->cost);
    wait->has_waited = false;
    result->stamp = a.stamp;
    result->tokens = (struct token_result){
        .admitted = a.verdict == LEASE_ADMITTED,
        .remaining = a.remaining,
        .retry_ns = a.retry_ns,
        .full_ns = a.full_ns,
    };
    return SHARED_DECIDED;
}

void limit_shared_give_back(const struct shared_ask *ask, const struct shared_result *result)
{
    uint64_t now = clock_now_ns();
    if (result->store == LIMIT_REDIS) {
        struct lease_take take = {.rate = ask->lease, .now_ns = now, .cost = ask->cost};
        lease_give_back(ask->shared->leases, ask->key, &take, result->stamp);
    } else if (result->store == LIMIT_SHARE) {
        struct token_rate share;
        lease_share(&share, ask->rate, result->gateways, ask->cost);
        struct token_ask token = {.rate = &share, .now_ns = now, .cost = ask->cost};
        bucket_table_give_back(ask->local, share_key(ask, result->gateways), &token);
    }
}
