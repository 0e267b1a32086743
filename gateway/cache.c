/*
 * cache.c: see cache.h.
 *
 * The order is that of a request: look up, follow or lead, take the head of the answer, pump its body, and
 * what may go wrong.
 */
#include "gateway/cache_internal.h"

#include <stdlib.h>
#include <sys/random.h>

#include "gateway/cache_key.h"
#include "gateway/cached.h"
#include "gateway/headers.h"
#include "gateway/purge.h"

#define ROUNDS_MAX 4 /* looks at what is stored, before a request goes its own way */

struct cache *cache_new(uint64_t size, unsigned nworkers, struct err *err)
{
    struct cache *c = calloc(1, sizeof(*c));
    struct object_store_setup setup = {.size = (size_t)size};
    if (!c || getrandom(&setup.secret, sizeof(setup.secret), 0) != sizeof(setup.secret)) {
        err_sys(err, ERR_SELF, ENOMEM, "cache");
        free(c);
        return NULL;
    }
    c->store = object_store_new(&setup, err);
    c->flights = c->store ? flights_new(c->store, nworkers, cache_pump) : NULL;
    if (c->flights)
        return c;
    cache_free(c);
    return NULL;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    flights_free(c->flights);
    object_store_free(c->store);
    free(c);
}

/* ---- a request that the cache has an answer for ---- */

void cache_hold(struct object **place, struct object *o)
{
    object_put(*place);
    *place = o;
}

enum step_result cache_serve(struct exchange *x, struct object *o, enum cache_status status)
{
    struct caching *c = &x->caching;
    cache_hold(&c->object, o);
    c->status = status;
    c->ttl_ms = http_cache_left_ms(&cached_of(o)->life, x->caching.now_ms);
    if (cache_reply(x, o, false))
        x->reply.ready = true;
    else
        exchange_fail(x, REASON_OVERLOADED);
    return STEP_REPLY;
}

bool cache_put(struct exchange *x, struct object *o)
{
    cache_share_mark(x, o);
    return object_store_put(cache_store_of(x), o);
}

/* ---- looking up ---- */

static void begin_asking(struct exchange *x, uint64_t since)
{
    x->caching.asked_ms = x->caching.now_ms;
    x->caching.since = since;
}

static enum step_result go_alone(struct exchange *x, const char *forwarded)
{
    struct caching *c = &x->caching;
    c->status = c->status ? c->status : CACHE_MISS;
    c->forwarded = forwarded;
    begin_asking(x, c->key.text.len > 0 ? object_store_now(cache_store_of(x), &c->key) : 0);
    return STEP_PASS;
}

static enum step_result bypass(struct exchange *x, const char *forwarded)
{
    x->caching.status = CACHE_BYPASS;
    return go_alone(x, forwarded);
}

static bool wants_only_cached(const struct exchange *x)
{
    return x->ask.cc.says & CC_ONLY_IF_CACHED;
}

/* What lies under the key; a note that answers vary leads on to where this request's lies. *VARIES: there
 * was one. A reference. */
static struct object *find(struct exchange *x, bool *varies)
{
    struct caching *c = &x->caching;
    struct slice variant;
    struct object *o = object_store_find(cache_store_of(x), &c->full_key);
    *varies = o && cached_of(o)->kind == CACHED_VARY;
    if (!*varies)
        return o;
    bool ok = cache_variant(x, cached_of(o)->vary, &variant);
    object_put(o);
    if (ok)
        c->full_key = cache_variant_key(x, &c->key, variant);
    return ok && c->full_key.text.len > 0 ? object_store_find(cache_store_of(x), &c->full_key) : NULL;
}

static enum http_cache_use use_of(const struct exchange *x, const struct object *o)
{
    const struct cached *a = cached_of(o);
    enum http_cache_use use = http_cache_use(&a->life, &x->ask, x->caching.now_ms);
    if (!cache_share_believes(x, o))
        return HTTP_CACHE_STALE;
    if (use != HTTP_CACHE_FRESH || !object_is_stale(o))
        return use;
    bool may_wait =
        a->life.stale_while_revalidate_ms > 0 && !(a->life.flags & (LIFE_VALIDATE | LIFE_MUST_REVALIDATE));
    return may_wait ? HTTP_CACHE_REFRESH : HTTP_CACHE_STALE;
}

static enum step_result join(struct exchange *x, const char *forwarded);
static enum step_result refresh(struct exchange *x, struct object *o);
static enum step_result use_object(struct exchange *x, struct object *o);

/* Requests that can be answered from what is stored, but do not ask for what is to be stored. */
static bool may_fetch(const struct exchange *x)
{
    return x->record.method_kind == HTTP_GET && (!x->ask.has_range || x->caching.stale);
}

static enum step_result miss(struct exchange *x, const char *forwarded)
{
    bool only_cached = wants_only_cached(x);
    x->caching.forwarded = forwarded;
    if ((only_cached || !may_fetch(x)) && !cache_share_was_asked(x) && cache_share_ask(x, false))
        return STEP_PARK;
    if (only_cached) {
        exchange_fail(x, REASON_NOT_CACHED);
        return STEP_REPLY;
    }
    return may_fetch(x) || cache_part_begin(x) ? join(x, forwarded) : go_alone(x, forwarded);
}

/* A part is only used while it is fresh. */
static enum step_result look_up_part(struct exchange *x, const char *forwarded)
{
    struct object *o = x->ask.has_range ? cache_part_find(x) : NULL;
    const char *why = o ? "partial" : forwarded;
    if (o && use_of(x, o) == HTTP_CACHE_FRESH && cache_part_has_range(x, o))
        return cache_serve(x, o, CACHE_HIT);
    object_put(o);
    return miss(x, why);
}

/* Others' answers for the key are not kept. */
static enum step_result use_note(struct exchange *x, const struct object *o)
{
    bool is_good = http_cache_left_ms(&cached_of(o)->life, x->caching.now_ms) > 0 && !wants_only_cached(x);
    x->caching.is_noted = is_good;
    return is_good ? go_alone(x, "uri-miss") : miss(x, "uri-miss");
}

/* O, which is stored and is not about variants; takes the reference. */
static enum step_result use_object(struct exchange *x, struct object *o)
{
    if (cached_of(o)->kind == CACHED_NOTHING) {
        enum step_result r = use_note(x, o);
        object_put(o);
        return r;
    }
    switch (use_of(x, o)) {
    case HTTP_CACHE_FRESH:
        x->caching.forwarded = NULL;
        return cache_serve(x, o, CACHE_HIT);
    case HTTP_CACHE_ALLOWED:
        x->caching.forwarded = NULL;
        return cache_serve(x, o, CACHE_STALE);
    case HTTP_CACHE_REFRESH:
        x->caching.forwarded = NULL;
        return refresh(x, o);
    case HTTP_CACHE_REFUSED:
        x->caching.is_refused = true;
        cache_hold(&x->caching.stale, o);
        return miss(x, "request");
    case HTTP_CACHE_STALE:
        break;
    }
    cache_hold(&x->caching.stale, o);
    return miss(x, "stale");
}

static enum step_result look_up(struct exchange *x)
{
    bool varies;
    struct object *o = find(x, &varies);
    return o ? use_object(x, o) : look_up_part(x, varies ? "vary-miss" : "uri-miss");
}

/* ---- leading ---- */

/* Nobody has it: ask the backend. */
static enum step_result fetch(struct exchange *x)
{
    struct caching *c = &x->caching;
    if (!cache_own_request(x)) {
        exchange_fail(x, REASON_OVERLOADED);
        return STEP_REPLY;
    }
    if (!c->stale && !c->is_part)
        cache_part_use_prefix(x);
    c->fetches = true;
    c->status = CACHE_MISS;
    begin_asking(x, flight_since(&c->reader));
    return STEP_PASS;
}

/* What X awaited of its flight ends with it. */
static void leave_flight(struct exchange *x)
{
    flight_leave(&x->caching.reader);
    x->caching.awaits_whole = false;
}

/* O was stored while X thought that it was not; takes the reference. */
static enum step_result land_stored(struct exchange *x, struct object *o)
{
    x->caching.forwarded = NULL;
    flight_land_stored(&x->caching.reader, o);
    leave_flight(x);
    return cache_serve(x, o, CACHE_HIT);
}

/* The last flight may have landed between the look at the store and the joining. A reference, or NULL. */
static struct object *find_landed(struct exchange *x)
{
    bool varies;
    struct object *o = find(x, &varies);
    if (o && (cached_of(o)->kind != CACHED_ANSWER || use_of(x, o) != HTTP_CACHE_FRESH))
        cache_hold(&o, NULL);
    return o;
}

static enum step_result lead(struct exchange *x)
{
    struct caching *c = &x->caching;
    struct object *o = find_landed(x);
    if (o)
        return land_stored(x, o);
    return !c->is_part && cache_share_ask(x, true) ? STEP_PARK : fetch(x);
}

static enum step_result follow(struct exchange *x);

static enum step_result join(struct exchange *x, const char *forwarded)
{
    struct caching *c = &x->caching;
    c->forwarded = forwarded;
    c->reader.exchange = x;
    if (!flight_join(x->worker->setup.cache->flights, &c->full_key, &c->reader))
        return go_alone(x, forwarded);
    if (c->reader.leads)
        return lead(x);
    c->is_collapsed = true;
    return follow(x);
}

/* Answer with what is stale, and let the exchange ask for it anew, unless somebody does that already. */
static enum step_result refresh(struct exchange *x, struct object *o)
{
    struct caching *c = &x->caching;
    cache_serve(x, o, CACHE_STALE);
    c->reader.exchange = x;
    if (x->record.method_kind != HTTP_GET || !x->reply.ready ||
        !flight_join(x->worker->setup.cache->flights, &c->full_key, &c->reader))
        return STEP_REPLY;
    if (!c->reader.leads || !cache_own_request(x)) {
        flight_land(&c->reader, FLIGHT_FAILED, NULL, REASON_OVERLOADED);
        flight_leave(&c->reader);
        return STEP_REPLY;
    }
    cache_hold(&c->stale, object_get(o));
    c->fetches = c->refreshes = true;
    begin_asking(x, flight_since(&c->reader));
    if (cache_share_is_granted(x) || !cache_share_ask(x, true))
        (void)forward_step(x);
    return STEP_REPLY;
}

/* What X wanted to refresh is fresh by now, or another gateway does it. */
static void end_refresh(struct exchange *x, struct object *o)
{
    cache_share_end(x);
    if (o)
        flight_land_stored(&x->caching.reader, o);
    else
        flight_land(&x->caching.reader, FLIGHT_AGAIN, NULL, REASON_NONE);
    if (x->is_orphan)
        exchange_wake(x);
}

void cache_refresh_answered(struct exchange *x)
{
    struct object *o = NULL;
    enum cache_share_answer answer = cache_share_take(x, &o);
    x->caching.now_ms = cache_now_ms();
    bool is_read = answer == SHARE_PIECES && use_of(x, o) == HTTP_CACHE_FRESH && cache_share_read(x, false);
    if (answer == SHARE_PIECES)
        cache_hold(&o, NULL);
    if (is_read)
        return; /* until all of it is there */
    if (o && cached_of(o)->kind == CACHED_ANSWER && use_of(x, o) == HTTP_CACHE_FRESH)
        end_refresh(x, o);
    else if (cache_share_is_busy(x))
        end_refresh(x, NULL);
    else
        (void)forward_step(x);
    object_put(o);
}

/* ---- what other gateways have ---- */

/* Reply with O, whose body comes through the flight; takes the reference. */
static enum step_result serve_stream(struct exchange *x, struct object *o, enum cache_status status)
{
    struct caching *c = &x->caching;
    cache_hold(&c->object, o);
    c->status = status;
    if (status == CACHE_HIT) {
        c->forwarded = NULL;
        c->ttl_ms = http_cache_left_ms(&cached_of(o)->life, c->now_ms);
    }
    if (!cache_reply(x, o, true))
        exchange_fail(x, REASON_OVERLOADED);
    return STEP_REPLY;
}

/* Answers vary: what is there for this request lies under another key. NOTE is lent. */
static enum step_result ask_for_variant(struct exchange *x, const struct object *note)
{
    struct caching *c = &x->caching;
    struct slice variant;
    bool leads = c->reader.leads;
    if (!cache_variant(x, cached_of(note)->vary, &variant))
        return leads ? fetch(x) : go_alone(x, "vary-miss");
    c->full_key = cache_variant_key(x, &c->key, variant);
    bool is_asked = c->full_key.text.len > 0 && cache_share_ask(x, leads);
    return is_asked ? STEP_PARK : leads ? fetch(x) : go_alone(x, "vary-miss");
}

/* The flight was not needed: its followers look at what is in memory now, as X does. */
static void give_up_flight(struct exchange *x)
{
    flight_land(&x->caching.reader, FLIGHT_AGAIN, NULL, REASON_NONE);
    leave_flight(x);
}

/* X leads a flight for others that want the whole, too, which is not there after all. */
static enum step_result miss_whole(struct exchange *x)
{
    cache_share_end(x);
    give_up_flight(x);
    return miss(x, x->caching.forwarded);
}

/* X leads a flight, and O is not fresh; takes the reference. */
static enum step_result lead_with_stale(struct exchange *x, struct object *o)
{
    cache_hold(&x->caching.stale, o);
    return cache_share_is_busy(x) && cache_share_wait(x) ? STEP_PARK : fetch(x);
}

/* X leads a flight, and this is what the others have; takes the reference. */
static enum step_result lead_with(struct exchange *x, struct object *o)
{
    if (cached_of(o)->kind == CACHED_NOTHING) {
        cache_share_release(x);
        flight_land(&x->caching.reader, FLIGHT_ALONE, NULL, REASON_NONE);
        leave_flight(x);
        return use_object(x, o);
    }
    switch (use_of(x, o)) {
    case HTTP_CACHE_FRESH:
        cache_share_release(x);
        return land_stored(x, o);
    case HTTP_CACHE_ALLOWED:
    case HTTP_CACHE_REFRESH:
        give_up_flight(x);
        if (cache_share_is_busy(x)) {
            cache_share_end(x);
            x->caching.forwarded = NULL;
            return cache_serve(x, o, CACHE_STALE);
        }
        return use_object(x, o);
    case HTTP_CACHE_REFUSED:
    case HTTP_CACHE_STALE:
        break;
    }
    return lead_with_stale(x, o);
}

/* Ranges are made of the whole, and that is read once for all that want it: in a flight, which X leads, or
 * which has landed when X goes on. */
static enum step_result await_whole(struct exchange *x)
{
    struct caching *c = &x->caching;
    c->reader.exchange = x;
    if (!flight_join(x->worker->setup.cache->flights, &c->full_key, &c->reader))
        return cache_share_read(x, false) ? STEP_PARK : miss(x, c->forwarded);
    c->awaits_whole = true;
    flight_detach(&c->reader);
    struct object *o = c->reader.leads ? find_landed(x) : NULL;
    if (c->reader.leads && !o)
        return cache_own_request(x) && cache_share_read(x, true) ? STEP_PARK : miss_whole(x);
    cache_share_end(x);
    return o ? land_stored(x, o) : follow(x);
}

/* It is there, in pieces: read it, unless its head will do; takes the reference. */
static enum step_result take_pieces(struct exchange *x, struct object *o)
{
    struct caching *c = &x->caching;
    bool is_fresh = use_of(x, o) == HTTP_CACHE_FRESH;
    if (is_fresh && x->record.method_kind == HTTP_HEAD) {
        c->absent_len = cache_share_length(x);
        return use_object(x, o);
    }
    object_put(o);
    if (is_fresh && x->ask.has_range && !c->reader.flight && !wants_only_cached(x))
        return await_whole(x);
    if (cache_share_read(x, is_fresh && c->reader.leads && !x->ask.has_range))
        return STEP_PARK;
    return c->reader.leads ? fetch(x) : miss(x, c->forwarded);
}

/* X leads a flight whose body comes from Redis; takes the reference. */
static enum step_result lead_with_stream(struct exchange *x, struct object *o)
{
    cache_share_release(x);
    cache_share_stream(x);
    if (!x->caching.awaits_whole)
        return serve_stream(x, o, CACHE_HIT);
    object_put(o);
    return follow(x);
}

static enum step_result take_shared(struct exchange *x)
{
    struct caching *c = &x->caching;
    struct object *o = NULL;
    enum cache_share_answer answer = cache_share_take(x, &o);
    if (answer == SHARE_PENDING)
        return STEP_PARK;
    if (answer == SHARE_PIECES)
        return take_pieces(x, o);
    if (answer == SHARE_STREAMS)
        return lead_with_stream(x, o);
    if (o && cached_of(o)->kind == CACHED_VARY) {
        enum step_result r = ask_for_variant(x, o);
        object_put(o);
        return r;
    }
    if (o)
        return c->reader.leads ? lead_with(x, o) : use_object(x, o);
    if (c->awaits_whole)
        return miss_whole(x);
    if (!c->reader.leads)
        return miss(x, c->forwarded);
    return answer == SHARE_ABSENT && cache_share_is_busy(x) && cache_share_wait(x) ? STEP_PARK : fetch(x);
}

/* ---- following ---- */

/* Whether the answer is for this request too, by what it varies by. */
static bool is_for(struct exchange *x, const struct cached *a)
{
    struct slice variant;
    if (a->vary.len == 0)
        return true;
    if (!cache_variant(x, a->vary, &variant))
        return false;
    if (slice_eq(variant, a->variant))
        return true;
    x->caching.full_key = cache_variant_key(x, &x->caching.key, variant);
    return false;
}

static enum step_result share(struct exchange *x, enum flight_state state)
{
    struct caching *c = &x->caching;
    struct object *o = flight_object(&c->reader);
    if (o && !is_for(x, cached_of(o))) {
        object_put(o);
        leave_flight(x);
        return c->full_key.text.len > 0 ? look_up(x) : go_alone(x, "vary-miss");
    }
    if (!o || (state == FLIGHT_DONE && !o->body && flight_length(&c->reader) > 0)) {
        object_put(o); /* its body was too large to be kept */
        leave_flight(x);
        return go_alone(x, c->forwarded);
    }
    enum cache_status status = flight_was_stored(&c->reader) ? CACHE_HIT : CACHE_MISS;
    if (state == FLIGHT_BODY)
        return serve_stream(x, o, status);
    leave_flight(x);
    c->forwarded = status == CACHE_HIT ? NULL : c->forwarded;
    return cache_serve(x, o, status);
}

static enum step_result follow(struct exchange *x)
{
    struct caching *c = &x->caching;
    enum flight_state state;
    while ((state = flight_state(&c->reader)) == FLIGHT_ASKING || (state == FLIGHT_BODY && c->awaits_whole))
        if (flight_wait(&c->reader))
            return STEP_PARK;
    if (state == FLIGHT_BODY || state == FLIGHT_DONE)
        return share(x, state);
    enum reason reason = flight_reason(&c->reader);
    leave_flight(x);
    if (state == FLIGHT_AGAIN && ++c->rounds < ROUNDS_MAX)
        return look_up(x);
    if (state != FLIGHT_FAILED)
        return go_alone(x, c->forwarded);
    if (!cache_rescue(x, reason))
        exchange_fail(x, reason);
    return STEP_REPLY;
}

/* ---- the step ---- */

static enum step_result begin(struct exchange *x)
{
    struct caching *c = &x->caching;
    enum http_method method = x->record.method_kind;
    c->is_begun = true;
    c->key = c->full_key = cache_key_of(x);
    if (slice_eq(x->record.method, SLICE("PURGE")))
        return purge_run(x);
    if (method != HTTP_GET && method != HTTP_HEAD)
        return bypass(x, "method");
    http_cache_ask(x->fields, &x->ask);
    if (!cache_conf_of(x)->client_directives)
        x->ask.cc = (struct cache_control){0};
    if (c->key.text.len == 0 || x->ask.is_for_origin || x->head.framing != HTTP1_NO_BODY)
        return bypass(x, "bypass");
    if (x->ask.cc.says & CC_NO_STORE)
        return bypass(x, "request");
    return look_up(x);
}

static enum step_result go_on(struct exchange *x)
{
    if (!x->caching.is_begun)
        return begin(x);
    if (x->caching.purge)
        return purge_go_on(x);
    return cache_share_is_pending(x) ? take_shared(x) : follow(x);
}

static void trace_wait(struct exchange *x)
{
    struct trace_id trace;
    uint64_t span;
    bool is_shared = cache_share_is_pending(x), follows = !is_shared && x->caching.reader.flight;
    struct span *s = tracing_wait(x, is_shared ? cache_share_wait_name(x) : follows ? "flight" : "purge");
    if (!follows)
        return;
    flight_trace(&x->caching.reader, &trace, &span);
    span_link(s, trace, span);
}

enum step_result cache_step(struct exchange *x)
{
    if (!cache_conf_of(x)->enabled || exchange_route(x)->action != ACTION_PROXY)
        return STEP_PASS;
    x->caching.now_ms = cache_now_ms();
    enum step_result r = go_on(x);
    if (r == STEP_PARK)
        trace_wait(x);
    return r;
}
