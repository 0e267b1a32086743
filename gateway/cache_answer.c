/*
 * cache_answer.c: the part of cache.h that takes the backend's answers: what is stored of them, who gets
 * them, and what may go wrong.
 */
#include "gateway/cache_internal.h"

#include "gateway/cache_key.h"
#include "gateway/cached.h"
#include "gateway/headers.h"
#include "gateway/path.h"
#include "gateway/purge.h"

#define NOTHING_MS 10000 /* for so long it is remembered that a key's answers are not kept */
#define BODY_FIRST 16384 /* bytes for a body whose length is not known */
#define TOO_LARGE  413   /* the status of a note about bodies whose length is told too late */

/* ---- the answer ---- */

static bool asked_with_condition(const struct caching *c)
{
    const struct http_validators *v = c->stale ? &cached_of(c->stale)->validators : NULL;
    return v && (v->etag.len > 0 || v->last_modified.len > 0);
}

static struct http_cache_question question_of(struct exchange *x, unsigned status, struct http_fields fields)
{
    return (struct http_cache_question){.method = HTTP_GET,
                                        .ask = &x->ask,
                                        .is_identified = exchange_route(x)->nauths > 0,
                                        .status = status,
                                        .answer = fields,
                                        .asked_ms = x->caching.asked_ms,
                                        .answered_ms = x->caching.now_ms};
}

/* A short note under the key, so that the next ones do not wait for each other; but not because of an error.
 */
static void note_nothing(struct exchange *x, unsigned status)
{
    struct caching *c = &x->caching;
    const struct cached_parts parts = {.kind = CACHED_NOTHING,
                                       .version = random_next(&x->worker->random),
                                       .status = status,
                                       .key = c->full_key,
                                       .life = {.born_ms = x->caching.now_ms, .lifetime_ms = NOTHING_MS},
                                       .since = c->since};
    struct object *o = status < 500 ? cached_new(cache_store_of(x), &parts) : NULL;
    if (o && !cache_put(x, o))
        cache_hold(&o, NULL);
    cache_share_store(x, o);
    object_put(o);
}

/* The answer is not kept: the followers go alone, and what was stored is no longer what the origin has. */
static enum cache_head not_kept(struct exchange *x, unsigned status, const char *why)
{
    struct caching *c = &x->caching;
    c->detail = why;
    note_nothing(x, status);
    flight_land(&c->reader, FLIGHT_ALONE, NULL, REASON_NONE);
    return c->refreshes ? CACHE_DROPS : CACHE_PASSES;
}

/* Whether an answer that ages so may be given to those who asked while it was under way. */
static bool may_be_shared(const struct exchange *x, const struct http_cache_life *life)
{
    return !(life->flags & LIFE_VALIDATE) && http_cache_left_ms(life, x->caching.now_ms) > 0;
}

/* The 304 is about something else than what is stored (RFC 9111, 4.3.4). */
static bool is_about_another(const struct cached *stored, struct http_fields answer)
{
    const struct http_field *etag = http_find(answer, SLICE("ETag"));
    return etag && stored->validators.etag.len > 0 &&
           !http_etag_matches(slice_trim(etag->value), stored->validators.etag, false);
}

/* What is stored, with what the 304 says. NULL: no memory. */
static struct object *freshen(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    const struct cached *old = cached_of(c->stale);
    struct http_field kept[CACHED_FIELDS_MAX], merged[CACHED_FIELDS_MAX];
    struct cache_control cc;
    cache_control_read(answer->fields, SLICE("Cache-Control"), &cc);
    struct http_fields new = headers_to_keep(x, answer, &cc, kept, CACHED_FIELDS_MAX);
    struct cached_parts parts = {.kind = CACHED_ANSWER,
                                 .version = random_next(&x->worker->random),
                                 .key = c->stale->key,
                                 .status = old->status,
                                 .answered_ms = x->caching.now_ms,
                                 .fields = cached_merge(old->fields, new, merged),
                                 .vary = old->vary,
                                 .variant = old->variant,
                                 .body = c->stale->body,
                                 .since = c->since};
    struct http_fields asked = parts.fields;
    const struct http_field *age = http_find(answer->fields, SLICE("Age"));
    if (age && asked.n < CACHED_FIELDS_MAX)
        merged[asked.n++] = *age;
    const struct http_cache_question q = question_of(x, old->status, asked);
    enum http_cache_verdict verdict = http_cache_judge(&cache_conf_of(x)->policy, &q, &cc, &parts.life);
    if (verdict != HTTP_CACHE_STORE)
        parts.life = (struct http_cache_life){.born_ms = x->caching.now_ms, .flags = LIFE_VALIDATE};
    struct object *o = cached_new(cache_store_of(x), &parts);
    if (o && verdict == HTTP_CACHE_STORE)
        c->is_stored = cache_put(x, o);
    else
        object_store_drop(cache_store_of(x), c->stale);
    cache_share_store(x, c->is_stored ? o : NULL);
    return o;
}

static enum cache_head take_not_modified(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    if (is_about_another(cached_of(c->stale), answer->fields)) {
        object_store_drop(cache_store_of(x), c->stale);
        cache_hold(&c->stale, NULL);
        return CACHE_ASKS_ANEW;
    }
    struct object *o = freshen(x, answer);
    if (!o) { /* what is stored is what is valid, whatever there was no room for */
        o = object_get(c->stale);
    }
    bool shared = c->is_stored && may_be_shared(x, &cached_of(o)->life);
    flight_land(&c->reader, shared ? FLIGHT_DONE : FLIGHT_ALONE, shared ? o : NULL, REASON_NONE);
    if (c->refreshes)
        object_put(o);
    else
        cache_serve(x, o, CACHE_REVALIDATED);
    return CACHE_DROPS;
}

static bool is_error(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

/* Where answers vary the names lie under the key itself. False: the answer cannot be kept. */
static bool find_variant(struct exchange *x, struct http_fields answer, struct cached_parts *parts)
{
    struct caching *c = &x->caching;
    struct object *o = object_store_find(cache_store_of(x), &c->key);
    struct slice more = o && cached_of(o)->kind == CACHED_VARY ? cached_of(o)->vary : (struct slice){"", 0};
    bool ok = cache_vary_names(x, answer, more, &parts->vary);
    bool is_known = ok && more.len > 0 && slice_eq(more, parts->vary);
    object_put(o);
    parts->key = c->key;
    if (!ok || parts->vary.len == 0)
        return ok;
    if (!cache_variant(x, parts->vary, &parts->variant))
        return false;
    parts->key = cache_variant_key(x, &c->key, parts->variant);
    if (is_known)
        return parts->key.text.len > 0;
    const struct cached_parts note = {.kind = CACHED_VARY,
                                      .version = random_next(&x->worker->random),
                                      .key = c->key,
                                      .vary = parts->vary,
                                      .since = parts->since};
    o = cached_new(cache_store_of(x), &note);
    ok = o && cache_put(x, o);
    object_put(o);
    return ok && parts->key.text.len > 0;
}

size_t cache_body_max(const struct exchange *x)
{
    size_t most = object_store_max_body(cache_store_of(x));
    return cache_conf_of(x)->max_object < most ? (size_t)cache_conf_of(x)->max_object : most;
}

/* Memory for the body, and the head: the answer is on its way into the store. */
static bool begin_storing(struct exchange *x, const struct http1_response *answer,
                          const struct cached_parts *parts)
{
    struct caching *c = &x->caching;
    struct object_body *body = NULL;
    size_t max = cache_body_max(x);
    bool has_body = answer->framing != HTTP1_NO_BODY;
    size_t prefix = c->prefix ? c->prefix->body->cap : 0;
    size_t first = answer->framing == HTTP1_LENGTH ? prefix + (size_t)answer->length : BODY_FIRST;
    if (has_body && !(body = object_body_new(cache_store_of(x), &parts->key, first < max ? first : max)))
        return false;
    if (prefix > 0)
        memcpy(body->bytes, c->prefix->body->bytes, prefix);
    c->head = cached_new(cache_store_of(x), parts);
    if (!c->head) {
        object_body_put(body);
        return false;
    }
    c->full_key = parts->key;
    c->is_shared = may_be_shared(x, &parts->life);
    c->is_stored = c->pumps = true;
    c->body = body;
    return true;
}

/* The body is read on, whatever its client does: the fields have to outlive the buffer they lie in. */
static bool own_reply(struct exchange *x)
{
    bool ok = true;
    for (size_t i = 0; ok && i < x->reply.nfields; i++) {
        struct http_field *f = &x->reply.fields[i];
        f->name = arena_slice(&x->arena, f->name, &ok);
        f->value = arena_slice(&x->arena, f->value, &ok);
    }
    return ok;
}

/* What the client of the leader gets, if it waits for it. False: memory is short. */
static bool reply_to_leader(struct exchange *x, const struct http1_response *answer)
{
    bool made = false;
    if (x->caching.refreshes)
        return true;
    if (x->caching.prefix) { /* the answer is only the rest */
        bool ok = cache_reply(x, x->caching.head, true);
        x->reply.length = x->caching.reads ? x->caching.body->cap : x->reply.length;
        return ok;
    }
    if (!cache_reply_not_modified(x, cached_of(x->caching.head), &made))
        return false;
    x->caching.reads = !made;
    return made || (headers_answer(x, answer) && own_reply(x));
}

/* Whether the status is one that was asked for: of a range a part of it or the whole, of the rest that rest,
 * which makes a whole. */
static bool take_part(struct exchange *x, const struct http1_response *answer, struct cached_parts *parts)
{
    struct caching *c = &x->caching;
    struct http_range r;
    if (c->prefix) {
        parts->status = 200;
        return true;
    }
    if (!c->is_part || answer->status == 200)
        return true;
    if (answer->status != 206 || !cache_part_read(answer, &r, &parts->total))
        return false;
    parts->first = r.first;
    return true;
}

static enum cache_head take_answer(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    struct http_field kept[CACHED_FIELDS_MAX];
    struct cache_control cc;
    struct cached_parts parts = {
        .kind = CACHED_ANSWER, .status = answer->status, .answered_ms = x->caching.now_ms, .since = c->since};
    if (!take_part(x, answer, &parts))
        return not_kept(x, answer->status, "partial");
    const struct http_cache_question q = question_of(x, parts.total ? 200 : parts.status, answer->fields);
    enum http_cache_verdict verdict = http_cache_judge(&cache_conf_of(x)->policy, &q, &cc, &parts.life);
    if (verdict != HTTP_CACHE_STORE)
        return not_kept(x, answer->status, http_cache_verdict_name(verdict));
    if (!conf_faults_have_status(&cache_conf_of(x)->statuses, answer->status))
        return not_kept(x, answer->status, "status");
    if (x->forward.backend != exchange_route(x)->backend)
        return not_kept(x, 500, "fallback");
    if (answer->framing == HTTP1_LENGTH && answer->length > cache_body_max(x))
        return not_kept(x, answer->status, "too-large");
    parts.fields = headers_to_keep(x, answer, &cc, kept, CACHED_FIELDS_MAX);
    if (c->prefix)
        parts.fields = cached_without(parts.fields, SLICE("Content-Range"), kept);
    if (!find_variant(x, answer->fields, &parts))
        return not_kept(x, answer->status, "vary");
    c->whole_key = parts.key;
    if (!begin_storing(x, answer, &parts))
        return not_kept(x, 500, "no-room");
    if (!reply_to_leader(x, answer)) {
        exchange_fail(x, REASON_OVERLOADED);
        return CACHE_DROPS;
    }
    return CACHE_TAKES;
}

/* What is stored of a URL of the same origin that a field names. */
static void invalidate_named(struct exchange *x, const struct http1_response *answer, struct slice name)
{
    const struct http_field *f = http_find(answer->fields, name);
    struct slice group;
    if (f && purge_group_of(x, slice_trim(f->value), &group))
        cache_invalidate(x, group);
}

static void invalidate(struct exchange *x, const struct http1_response *answer)
{
    struct object_key *key = &x->caching.key;
    if (key->text.len == 0)
        return;
    cache_invalidate(x, (struct slice){key->text.p, key->group_len});
    invalidate_named(x, answer, SLICE("Location"));
    invalidate_named(x, answer, SLICE("Content-Location"));
}

/* The note that a key's answers are not kept is renewed as long as that is so, so that crowds of its clients
 * never wait for one; when it is no longer so, it goes. */
static void reconsider(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    struct cache_control cc;
    struct http_cache_life life;
    const struct http_cache_question q = question_of(x, answer->status, answer->fields);
    enum http_cache_verdict verdict = http_cache_judge(&cache_conf_of(x)->policy, &q, &cc, &life);
    struct object *o = object_store_find(cache_store_of(x), &c->full_key);
    bool is_note = o && cached_of(o)->kind == CACHED_NOTHING;
    bool is_large = answer->framing == HTTP1_LENGTH ? answer->length > cache_body_max(x)
                                                    : is_note && cached_of(o)->status == TOO_LARGE;
    bool may_be_kept = verdict == HTTP_CACHE_STORE && !is_large &&
                       conf_faults_have_status(&cache_conf_of(x)->statuses, answer->status);
    if (is_note && may_be_kept)
        object_store_drop(cache_store_of(x), o);
    else if (is_note && http_cache_left_ms(&cached_of(o)->life, c->now_ms) < NOTHING_MS / 2)
        note_nothing(x, is_large ? TOO_LARGE : answer->status);
    object_put(o);
    c->detail = "not-kept";
}

/* What HEAD says of what is stored for GET (RFC 9111, 4.3.5): with other validators or another length it is
 * no longer valid, otherwise it is brought up to date. */
static void take_head_of_stored(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    if (!c->stale || answer->status != 200)
        return;
    const struct cached *a = cached_of(c->stale);
    struct http_validators v = http_validators_of(answer->fields, x->caching.now_ms / 1000);
    size_t length = c->stale->body ? c->stale->body->cap : 0;
    bool differs = (v.etag.len > 0 && !http_etag_matches(v.etag, a->validators.etag, false)) ||
                   (v.last_modified.len > 0 && !slice_eq(v.last_modified, a->validators.last_modified)) ||
                   (answer->has_length && answer->length != length);
    if (differs)
        object_store_drop(cache_store_of(x), c->stale);
    else
        object_put(freshen(x, answer));
}

/* ---- POST ---- */

/* The answer is a representation of the URL itself, and says for how long it is fresh (RFC 9110, 9.3.3). */
static bool is_for_later_get(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    const struct http_field *f = http_find(answer->fields, SLICE("Content-Location"));
    const struct http_cache_policy *conf = &cache_conf_of(x)->policy;
    const struct http_cache_policy explicit_only = {
        .targeted = conf->targeted, .ntargeted = conf->ntargeted, .ttl_ms = -1, .negative_ttl_ms = -1};
    const struct http_cache_question q = question_of(x, answer->status, answer->fields);
    struct cache_control cc;
    struct http_cache_life life;
    struct slice group;
    return answer->status == 200 && f && purge_group_of(x, slice_trim(f->value), &group) &&
           slice_eq(group, (struct slice){c->key.text.p, c->key.group_len}) &&
           http_cache_judge(&explicit_only, &q, &cc, &life) == HTTP_CACHE_STORE && life.lifetime_ms > 0;
}

/* Whether X, which is no GET, is to store its answer for those that come. */
static bool leads_for_get(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    if (x->record.method_kind != HTTP_POST || c->key.text.len == 0 || !x->client || !x->client->body_ended)
        return false;
    http_cache_ask(x->fields, &x->ask);
    x->ask.is_conditional = false; /* those of a POST are not about what is stored */
    c->reader.exchange = x;
    c->since = object_store_now(cache_store_of(x), &c->key);
    if (!is_for_later_get(x, answer) || !flight_join(x->worker->setup.cache->flights, &c->key, &c->reader))
        return false;
    if (c->reader.leads && cache_own_request(x))
        return c->fetches = true;
    flight_land(&c->reader, FLIGHT_ALONE, NULL, REASON_NONE);
    flight_leave(&c->reader);
    return false;
}

enum cache_head cache_take_head(struct exchange *x, const struct http1_response *answer)
{
    struct caching *c = &x->caching;
    if (!c->is_begun)
        return CACHE_PASSES;
    c->now_ms = cache_now_ms();
    if (http_cache_invalidates(x->record.method_kind, answer->status))
        invalidate(x, answer);
    if (c->is_noted && x->record.method_kind == HTTP_GET)
        reconsider(x, answer);
    if (x->record.method_kind == HTTP_HEAD)
        take_head_of_stored(x, answer);
    if (c->stale && is_error(answer->status) &&
        http_cache_may_rescue(&cached_of(c->stale)->life, &x->ask, false, x->caching.now_ms)) {
        cache_share_release(x);
        flight_land(&c->reader, FLIGHT_FAILED, NULL, REASON_UPSTREAM_RESET);
        c->detail = "stale-if-error";
        if (!c->refreshes)
            cache_serve(x, object_get(c->stale), CACHE_STALE);
        return CACHE_DROPS;
    }
    if (!c->fetches && !leads_for_get(x, answer))
        return CACHE_PASSES;
    if (c->prefix && answer->status == 206 && !cache_part_is_rest(x, answer)) {
        cache_hold(&c->prefix, NULL);
        return CACHE_ASKS_ANEW;
    }
    if (answer->status != 206)
        cache_hold(&c->prefix, NULL);
    if (answer->status == 304 && asked_with_condition(c))
        return take_not_modified(x, answer);
    return take_answer(x, answer);
}

/* ---- the body ---- */

/* The whole body is there: into the store with it, and then tell the readers. */
static void complete(struct exchange *x, struct object_body *body)
{
    struct caching *c = &x->caching;
    const struct cached *head = cached_of(c->head);
    struct cached_parts parts = {.kind = CACHED_ANSWER,
                                 .version = random_next(&x->worker->random),
                                 .key = c->full_key,
                                 .status = head->status,
                                 .first = head->first,
                                 .total = head->total,
                                 .life = head->life,
                                 .fields = head->fields,
                                 .answered_ms = head->validators.date_s * 1000,
                                 .vary = head->vary,
                                 .variant = head->variant,
                                 .body = body,
                                 .since = c->since};
    struct object *o = head->total ? cache_part_store(x, &parts) : cached_new(cache_store_of(x), &parts);
    bool is_in = o && !head->total && cache_put(x, o);
    cache_share_store(x, is_in ? o : NULL);
    c->pumps = false;
    flight_land(&c->reader, c->is_shared ? FLIGHT_DONE : FLIGHT_ALONE, o, REASON_NONE);
    object_put(o);
}

bool cache_has_room(const struct exchange *x, size_t len)
{
    return len <= (x->caching.body ? x->caching.body->cap : 0);
}

void cache_take_body(struct exchange *x, struct slice bytes)
{
    struct caching *c = &x->caching;
    struct object_body *body = c->body;
    CHECK(cache_has_room(x, bytes.len));
    if (bytes.len > 0)
        memcpy(body->bytes, bytes.p, bytes.len);
    if (body && bytes.len < body->cap)
        object_body_shrink(body, bytes.len);
    c->reads = false;
    complete(x, body);
    object_body_put(body);
    c->body = NULL;
}

static void begin_pumping(struct exchange *x)
{
    struct caching *c = &x->caching;
    const struct flight_answer a = {.head = c->head,
                                    .body = c->body,
                                    .filled = c->prefix ? c->prefix->body->cap : 0,
                                    .has_length = x->forward.answer.framing == HTTP1_LENGTH,
                                    .max = cache_body_max(x),
                                    .is_shared = c->is_shared};
    flight_begin_body(&c->reader, &a);
    c->body = NULL;
}

static void land_body(struct exchange *x)
{
    struct caching *c = &x->caching;
    size_t len;
    struct object_body *body = flight_body(&c->reader, &len);
    if (!body) { /* a window: too large to be kept */
        c->pumps = false;
        note_nothing(x, TOO_LARGE);
        flight_land(&c->reader, FLIGHT_DONE, NULL, REASON_NONE);
        return;
    }
    if (len < body->cap)
        object_body_shrink(body, len);
    complete(x, body);
}

/* Nobody is left to read a body that is not kept. */
static bool is_in_vain(const struct exchange *x)
{
    size_t len;
    return x->is_orphan && !flight_body(&x->caching.reader, &len) &&
           !flight_has_followers(&x->caching.reader);
}

void cache_pump(struct exchange *x)
{
    struct caching *c = &x->caching;
    if (c->body)
        begin_pumping(x);
    while (c->pumps && !forward_is_complete(x) && !is_in_vain(x)) {
        char *p;
        size_t room = flight_space(&c->reader, &p);
        if (room == 0)
            return; /* until the slowest reader has read */
        ssize_t n = forward_pull(x, p, room);
        if (n == 0)
            return;
        if (n < 0)
            break;
        flight_filled(&c->reader, (size_t)n);
    }
    if (c->pumps && forward_is_complete(x))
        land_body(x);
    else if (c->pumps)
        cache_lost(x, REASON_UPSTREAM_TRUNCATED);
    if (x->is_orphan)
        exchange_wake(x);
}

ssize_t cache_read(struct exchange *x, char *p, size_t max)
{
    ssize_t n = x->caching.parts ? cache_read_parts(x, p, max) : flight_read(&x->caching.reader, p, max);
    if (n > 0)
        x->record.bytes_out += (uint64_t)n;
    if (n == FORWARD_FAILED && x->record.reason == REASON_NONE)
        x->record.reason = REASON_UPSTREAM_TRUNCATED;
    return n;
}

/* ---- what may go wrong ---- */

bool cache_rescue(struct exchange *x, enum reason reason)
{
    struct caching *c = &x->caching;
    if (!c->refreshes && (x->reply.ready || reason == REASON_CLIENT_GONE || reason == REASON_DRAINING))
        return false;
    c->now_ms = cache_now_ms();
    bool may =
        c->stale && http_cache_may_rescue(&cached_of(c->stale)->life, &x->ask, true, x->caching.now_ms);
    if (!may && !c->refreshes)
        return false;
    cache_lost(x, reason);
    if (c->refreshes)
        return true;
    c->detail = reason_info(reason)->name;
    cache_serve(x, object_get(c->stale), CACHE_STALE);
    return true;
}

void cache_lost(struct exchange *x, enum reason reason)
{
    x->caching.pumps = false;
    cache_share_end(x);
    flight_land(&x->caching.reader, x->reply.ready ? FLIGHT_BROKEN : FLIGHT_FAILED, NULL, reason);
}

bool cache_goes_on(const struct exchange *x)
{
    const struct caching *c = &x->caching;
    return c->reader.leads && !x->is_orphan &&
           (c->refreshes ||
            ((x->forward.is_begun || cache_share_is_pending(x) || cache_share_is_reading(x)) &&
             flight_has_followers(&c->reader)));
}

void cache_detach(struct exchange *x)
{
    flight_detach(&x->caching.reader);
}

bool cache_is_over(const struct exchange *x)
{
    return !x->caching.reader.leads;
}

void cache_undo(struct exchange *x)
{
    struct caching *c = &x->caching;
    if (!c->is_begun)
        return;
    if (c->refreshes)
        forward_undo(x);
    cache_share_end(x);
    purge_forget(x);
    c->pumps = false;
    flight_land(&c->reader, FLIGHT_ALONE, NULL, REASON_NONE); /* who has joined just now is not to blame */
    flight_leave(&c->reader);
    cache_hold(&c->object, NULL);
    cache_hold(&c->stale, NULL);
    cache_hold(&c->head, NULL);
    cache_hold(&c->prefix, NULL);
    object_body_put(c->body);
    c->body = NULL;
}
