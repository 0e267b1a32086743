/*
 * flight.c: see flight.h.
 *
 * A flight is guarded by a lock of its own, held for a few loads and stores; bytes are copied outside it, for
 * a body only grows, or, when it is a window, is only written over where everybody has read.
 *
 * Those that wait are in one list for each worker, a lane, which its thread alone touches. Who has news looks
 * which lanes have anybody waiting (that is under the lock), wakes those of its own worker and sends one
 * message to each other worker.
 */
#include "gateway/flight.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "lib/hash.h"

#define STRIPES 256

struct lane {
    struct worker_call call; /* first */
    struct flight *flight;
    struct worker *worker;
    struct flight_reader *first; /* its thread's */
    bool waits;                  /* somebody is in it; under the lock */
    bool posted;                 /* the message is on its way; under the lock */
};

struct flight {
    _Atomic uint32_t refs;
    struct flights *all;
    struct flight *next; /* in its stripe */
    bool is_listed;      /* under the stripe's lock */
    uint64_t hash, since;
    struct object_key key;
    struct trace_id trace; /* of who began it; */
    uint64_t span;         /* neither changes */

    pthread_mutex_t lock;
    enum flight_state state;
    enum reason reason;
    struct object *object;
    struct object_body *body;
    size_t max;
    bool has_length, is_shared, is_window, is_stalled;
    bool was_stored; /* set before the state */
    uint64_t filled;
    struct flight_reader *readers;
    size_t nreaders;
    struct exchange *leader; /* its thread's; NULL when it has landed */
    unsigned leader_lane;
    unsigned nlanes;
    struct lane lanes[];
};

struct stripe {
    pthread_mutex_t lock;
    struct flight *first;
};

struct flights {
    struct object_store *store;
    unsigned nworkers;
    uint64_t secret; /* keys are hashed with it, for clients choose them */
    void (*resume)(struct exchange *leader);
    _Atomic uint64_t flying, followed;
    struct stripe stripes[STRIPES];
};

struct flights *flights_new(struct object_store *store, unsigned nworkers,
                            void (*resume)(struct exchange *leader))
{
    struct flights *f = calloc(1, sizeof(*f));
    if (!f || getrandom(&f->secret, sizeof(f->secret), 0) != sizeof(f->secret)) {
        free(f);
        return NULL;
    }
    f->store = store;
    f->nworkers = nworkers;
    f->resume = resume;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&f->stripes[i].lock, NULL);
    return f;
}

void flights_free(struct flights *f)
{
    free(f);
}

void flights_stats(struct flights *f, struct flights_stats *out)
{
    out->flying = atomic_load_explicit(&f->flying, memory_order_relaxed);
    out->followed = atomic_load_explicit(&f->followed, memory_order_relaxed);
}

/* ---- life ---- */

static void put(struct flight *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub_explicit(&f->all->flying, 1, memory_order_relaxed);
    object_put(f->object);
    object_body_put(f->body);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void run_lane(struct worker *w, struct worker_call *call);

static void free_lane(struct message *m)
{
    put(((struct lane *)(void *)m)->flight);
}

static struct flight *new_flight(struct flights *all, const struct object_key *key, uint64_t hash)
{
    size_t lanes = all->nworkers * sizeof(struct lane);
    struct flight *f = malloc(sizeof(*f) + lanes + key->text.len); /* calloc has no cache of its thread */
    if (!f)
        return NULL;
    memset(f, 0, sizeof(*f) + lanes);
    char *text = (char *)f->lanes + lanes;
    memcpy(text, key->text.p, key->text.len);
    f->key = (struct object_key){{text, key->text.len}, key->group_len};
    f->all = all;
    f->hash = hash;
    f->since = object_store_now(all->store, key);
    f->nlanes = all->nworkers;
    pthread_mutex_init(&f->lock, NULL);
    for (unsigned i = 0; i < f->nlanes; i++) {
        f->lanes[i].flight = f;
        f->lanes[i].call.run = run_lane;
        f->lanes[i].call.base.free = free_lane;
    }
    atomic_fetch_add_explicit(&all->flying, 1, memory_order_relaxed);
    return f;
}

static struct stripe *stripe_of(const struct flight *f)
{
    return &f->all->stripes[f->hash % STRIPES];
}

/* The stripe's lock is held. */
static void unlist(struct flight *f)
{
    struct flight **at = &stripe_of(f)->first;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    f->is_listed = false;
}

static void lose(struct flight *f)
{
    struct stripe *s = stripe_of(f);
    pthread_mutex_lock(&s->lock);
    if (f->is_listed)
        unlist(f);
    pthread_mutex_unlock(&s->lock);
}

/* ---- joining and leaving ---- */

/* The lock is held, or nobody else knows the flight yet. */
static void enter(struct flight *f, struct flight_reader *r)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    r->flight = f;
    r->at = 0;
    r->waits = false;
    r->prev = NULL;
    r->next = f->readers;
    if (f->readers)
        f->readers->prev = r;
    f->readers = r;
    f->nreaders++;
    f->lanes[r->exchange->worker->setup.index].worker = r->exchange->worker;
}

/* What a purge has hit is not for those that come after it. The stripe's lock is held. */
static struct flight *find(struct stripe *s, struct object_store *store, uint64_t hash,
                           const struct object_key *key)
{
    struct flight *f = s->first;
    while (f && !(f->hash == hash && slice_eq(f->key.text, key->text)))
        f = f->next;
    if (f && object_store_may_be_purged(store, key, f->since)) {
        unlist(f);
        return NULL;
    }
    return f;
}

/* Begun by R. The stripe's lock is held. */
static struct flight *begin(struct flights *all, const struct object_key *key, uint64_t hash,
                            struct flight_reader *r)
{
    struct stripe *s = &all->stripes[hash % STRIPES];
    struct flight *f = new_flight(all, key, hash);
    if (!f)
        return NULL;
    f->leader = r->exchange;
    f->trace = r->exchange->tracing.context.id;
    f->span = r->exchange->tracing.span;
    f->leader_lane = r->exchange->worker->setup.index;
    enter(f, r);
    f->next = s->first;
    s->first = f;
    f->is_listed = true;
    return f;
}

bool flight_join(struct flights *all, const struct object_key *key, struct flight_reader *r)
{
    uint64_t hash = hash_bytes(key->text.p, key->text.len, all->secret);
    struct stripe *s = &all->stripes[hash % STRIPES];
    pthread_mutex_lock(&s->lock);
    struct flight *f = find(s, all->store, hash, key);
    r->leads = r->is_first = !f;
    if (f) {
        pthread_mutex_lock(&f->lock);
        enter(f, r);
        pthread_mutex_unlock(&f->lock);
    } else {
        f = begin(all, key, hash, r);
    }
    pthread_mutex_unlock(&s->lock);
    if (f && !r->leads)
        atomic_fetch_add_explicit(&all->followed, 1, memory_order_relaxed);
    return f != NULL;
}

static struct lane *lane_of(const struct flight_reader *r)
{
    return &r->flight->lanes[r->exchange->worker->setup.index];
}

static void leave_lane(struct flight_reader *r)
{
    if (!r->waits)
        return;
    r->waits = false;
    if (r->wait_prev)
        r->wait_prev->wait_next = r->wait_next;
    else
        lane_of(r)->first = r->wait_next;
    if (r->wait_next)
        r->wait_next->wait_prev = r->wait_prev;
}

/* ---- news ---- */

static void wake_lane(struct lane *l)
{
    struct flight_reader *r = l->first;
    l->first = NULL;
    while (r) {
        struct flight_reader *next = r->wait_next;
        r->waits = false;
        exchange_wake(r->exchange);
        r = next;
    }
}

static void run_lane(struct worker *w, struct worker_call *call)
{
    struct lane *l = (struct lane *)(void *)call;
    struct flight *f = l->flight;
    pthread_mutex_lock(&f->lock);
    l->posted = false;
    bool resumes = f->leader_lane == w->setup.index && !f->is_stalled && f->is_window;
    pthread_mutex_unlock(&f->lock);
    wake_lane(l);
    if (resumes && f->leader)
        f->all->resume(f->leader);
    put(f);
}

/* The lock is held; whoever is to be told by message. */
static void post(struct flight *f, struct lane *l)
{
    if (l->posted)
        return;
    l->posted = true;
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    if (!worker_post_call(l->worker, &l->call)) {
        l->posted = false; /* the worker ends, and its requests with it */
        atomic_fetch_sub_explicit(&f->refs, 1, memory_order_relaxed);
    }
}

/* From the leader's thread, after a change. The lock is held, and given back. */
static void announce(struct flight *f)
{
    bool own = false;
    for (unsigned i = 0; i < f->nlanes; i++) {
        struct lane *l = &f->lanes[i];
        if (!l->waits)
            continue;
        l->waits = false;
        if (i == f->leader_lane)
            own = true;
        else
            post(f, l);
    }
    pthread_mutex_unlock(&f->lock);
    if (own)
        wake_lane(&f->lanes[f->leader_lane]);
}

/* How it is for R: what may not be shared concerns the first alone. The lock is held. */
static enum flight_state state_for(const struct flight *f, const struct flight_reader *r)
{
    bool is_body = f->state == FLIGHT_BODY || f->state == FLIGHT_DONE || f->state == FLIGHT_BROKEN;
    return is_body && !f->is_shared && !r->is_first ? FLIGHT_ALONE : f->state;
}

static bool has_news(const struct flight *f, const struct flight_reader *r)
{
    if (state_for(f, r) == FLIGHT_ALONE)
        return true;
    return f->state == FLIGHT_BODY ? f->filled > r->at : f->state != FLIGHT_ASKING;
}

bool flight_wait(struct flight_reader *r)
{
    struct flight *f = r->flight;
    struct lane *l = lane_of(r);
    pthread_mutex_lock(&f->lock);
    bool waits = !has_news(f, r);
    l->waits |= waits;
    pthread_mutex_unlock(&f->lock);
    if (!waits || r->waits)
        return waits;
    r->waits = true;
    r->wait_prev = NULL;
    r->wait_next = l->first;
    if (l->first)
        l->first->wait_prev = r;
    l->first = r;
    return true;
}

/* ---- readers ---- */

enum flight_state flight_state(const struct flight_reader *r)
{
    pthread_mutex_lock(&r->flight->lock);
    enum flight_state state = state_for(r->flight, r);
    pthread_mutex_unlock(&r->flight->lock);
    return state;
}

void flight_trace(const struct flight_reader *r, struct trace_id *trace, uint64_t *span)
{
    *trace = r->flight->trace;
    *span = r->flight->span;
}

bool flight_was_stored(const struct flight_reader *r)
{
    return r->flight->was_stored;
}

enum reason flight_reason(const struct flight_reader *r)
{
    return r->flight->reason; /* set before the state */
}

struct object *flight_object(const struct flight_reader *r)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    struct object *o = f->object ? object_get(f->object) : NULL;
    pthread_mutex_unlock(&f->lock);
    return o;
}

uint64_t flight_length(const struct flight_reader *r)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    uint64_t length = f->state == FLIGHT_DONE ? f->filled : f->has_length ? f->body->cap : UINT64_MAX;
    pthread_mutex_unlock(&f->lock);
    return length;
}

/* The reader has moved on, or gone: the leader may have room. The lock is held. */
static void unstall(struct flight *f)
{
    if (!f->is_stalled)
        return;
    f->is_stalled = false;
    post(f, &f->lanes[f->leader_lane]);
}

ssize_t flight_read(struct flight_reader *r, char *p, size_t max)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    uint64_t there = f->filled - r->at;
    enum flight_state state = f->state;
    struct object_body *body = there > 0 ? object_body_get(f->body) : NULL;
    bool is_window = f->is_window;
    pthread_mutex_unlock(&f->lock);
    if (there == 0 && state == FLIGHT_DONE)
        return FORWARD_END;
    if (there == 0 && state != FLIGHT_BODY)
        return FORWARD_FAILED;
    if (there == 0)
        return flight_wait(r) ? 0 : flight_read(r, p, max);
    size_t from = is_window ? (size_t)(r->at % body->cap) : (size_t)r->at;
    size_t n = there < max ? (size_t)there : max;
    if (is_window && n > body->cap - from)
        n = body->cap - from;
    memcpy(p, body->bytes + from, n);
    object_body_put(body);
    pthread_mutex_lock(&f->lock);
    r->at += n;
    unstall(f);
    pthread_mutex_unlock(&f->lock);
    return (ssize_t)n;
}

void flight_leave(struct flight_reader *r)
{
    struct flight *f = r->flight;
    if (!f)
        return;
    leave_lane(r);
    pthread_mutex_lock(&f->lock);
    if (r->prev)
        r->prev->next = r->next;
    else
        f->readers = r->next;
    if (r->next)
        r->next->prev = r->prev;
    f->nreaders--;
    unstall(f);
    pthread_mutex_unlock(&f->lock);
    r->flight = NULL;
    put(f);
}

/* ---- the leader ---- */

bool flight_has_followers(const struct flight_reader *r)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    bool has = f->nreaders > 1;
    pthread_mutex_unlock(&f->lock);
    return has;
}

void flight_detach(struct flight_reader *r)
{
    struct flight *f = r->flight;
    leave_lane(r);
    pthread_mutex_lock(&f->lock);
    r->at = UINT64_MAX;
    unstall(f);
    pthread_mutex_unlock(&f->lock);
}

uint64_t flight_since(const struct flight_reader *r)
{
    return r->flight->since;
}

void flight_begin_body(struct flight_reader *r, const struct flight_answer *a)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    f->object = object_get(a->head);
    f->body = a->body;
    f->max = a->max;
    f->has_length = a->has_length;
    f->is_shared = a->is_shared;
    f->filled = a->filled;
    f->was_stored = a->was_stored;
    f->state = FLIGHT_BODY;
    announce(f);
}

/* More memory for a body that outgrows what it has; from now on a window when there is none. */
static void grow(struct flight *f)
{
    struct object_body *old = f->body, *new = NULL;
    size_t cap = old->cap * 2 < f->max ? old->cap * 2 : f->max;
    if (cap > old->cap)
        new = object_body_new(f->all->store, &f->key, cap);
    if (!new) {
        lose(f);
        pthread_mutex_lock(&f->lock);
        f->is_window = true;
        pthread_mutex_unlock(&f->lock);
        return;
    }
    memcpy(new->bytes, old->bytes, (size_t)f->filled);
    pthread_mutex_lock(&f->lock);
    f->body = new;
    pthread_mutex_unlock(&f->lock);
    object_body_put(old);
}

/* Bytes of a window that the slowest reader has not read. The lock is held. */
static size_t unread(const struct flight *f)
{
    uint64_t least = f->filled;
    for (const struct flight_reader *r = f->readers; r; r = r->next)
        if (r->at < least)
            least = r->at;
    return (size_t)(f->filled - least);
}

static size_t window_space(struct flight *f, char **p)
{
    size_t cap = f->body->cap, at = (size_t)(f->filled % cap);
    pthread_mutex_lock(&f->lock);
    size_t room = cap - unread(f);
    f->is_stalled = room == 0;
    pthread_mutex_unlock(&f->lock);
    *p = f->body->bytes + at;
    return room < cap - at ? room : cap - at;
}

size_t flight_space(struct flight_reader *r, char **p)
{
    struct flight *f = r->flight;
    if (!f->has_length && !f->is_window && f->filled == f->body->cap)
        grow(f);
    if (f->is_window)
        return window_space(f, p);
    *p = f->body->bytes + f->filled;
    return f->body->cap - (size_t)f->filled;
}

void flight_filled(struct flight_reader *r, size_t n)
{
    struct flight *f = r->flight;
    pthread_mutex_lock(&f->lock);
    f->filled += n;
    announce(f);
}

struct object_body *flight_body(const struct flight_reader *r, size_t *len)
{
    *len = (size_t)r->flight->filled;
    return r->flight->is_window ? NULL : r->flight->body;
}

void flight_land(struct flight_reader *r, enum flight_state state, struct object *object, enum reason reason)
{
    struct flight *f = r->flight;
    if (!r->leads)
        return;
    lose(f);
    pthread_mutex_lock(&f->lock);
    struct object *old = f->object;
    if (object || state != FLIGHT_DONE)
        f->object = object ? object_get(object) : NULL;
    else
        old = NULL;
    if (f->state == FLIGHT_ASKING)
        f->is_shared = true;
    else if (state == FLIGHT_FAILED || state == FLIGHT_ALONE)
        state = FLIGHT_BROKEN;
    f->reason = reason;
    f->state = state;
    f->leader = NULL;
    r->leads = false;
    announce(f);
    object_put(old);
}

void flight_land_stored(struct flight_reader *r, struct object *object)
{
    r->flight->was_stored = true;
    flight_land(r, FLIGHT_DONE, object, REASON_NONE);
}
