/*
 * tracer.c: see tracer.h.
 *
 * The actor's handler puts a trace into the ring and behind what waits; its handler and its tick send what is
 * due, which blocks the actor for one export at most, while the mailbox fills. A pause after a failure is a
 * time before which nothing is due, so the ring stays current meanwhile. Once the actor has ended, what it
 * owned belongs to tracer_stop, which sends the rest.
 *
 * Invariants: `waiting` is the sum of the spans in the list and at most `queue`; a trace in the list has a
 * reference of the list's own.
 */
#include "gateway/tracer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/collector.h"
#include "gateway/log.h"
#include "gateway/tracer_json.h"
#include "gateway/tracer_otlp.h"
#include "gateway/tracer_ring.h"
#include "lib/actor.h"
#include "lib/clock.h"
#include "lib/gzip.h"
#include "lib/random.h"

#define MAILBOX         1024 /* traces */
#define BATCH           512  /* spans of an export; a trace that has more goes alone */
#define BATCH_AGE_NS    CLOCK_SECOND_NS
#define TICK_NS         (100 * CLOCK_MILLISECOND_NS)
#define QUEUE           8192
#define TIMEOUT_MS      5000
#define BACKOFF_MS      500
#define BACKOFF_MAX_MS  30000
#define BACKOFF_DOUBLES 6 /* reaches the most */
#define TRIES_MAX       16
#define SAY_EVERY_NS    (60 * CLOCK_SECOND_NS)

enum { KEPT, EXPORTED, DROPPED, FAILED, EXPORTS, EXPORT_ERRORS, WAITING, COUNTS };

struct tracer {
    struct actor *actor;
    struct log *log;
    struct collector *collector;  /* NULL: nothing is exported */
    struct tracer_otlp_from from; /* owned */
    uint64_t timeout_ns;
    size_t queue; /* spans */
    struct tracer_ring ring;
    _Atomic bool is_stopping;
    _Atomic uint64_t counts[COUNTS];

    /* The actor's. */
    struct trace *first, *last; /* wait to be exported */
    size_t waiting;             /* spans of them */
    unsigned tries;             /* of the first batch */
    unsigned failures;          /* in a row */
    uint64_t retry_ns;          /* nothing is due before */
    bool has_said;              /* trouble, since an export succeeded */
    uint64_t say_ns;            /* the next line of trouble */
    uint64_t dropped_before;    /* when it was last looked at */
    struct random random;
};

/* Relaxed: numbers for people, that order nothing. */
static void count(struct tracer *t, int index, uint64_t n)
{
    atomic_fetch_add_explicit(&t->counts[index], n, memory_order_relaxed);
}

static uint64_t count_of(const struct tracer *t, int index)
{
    return atomic_load_explicit(&t->counts[index], memory_order_relaxed);
}

/* ---- what is told ---- */

/* Whether there may be a line of trouble now. */
static bool may_say(struct tracer *t)
{
    uint64_t now = clock_now_ns();
    if (now < t->say_ns)
        return false;
    t->say_ns = now + SAY_EVERY_NS;
    return true;
}

static void say_trouble(struct tracer *t, const struct collector_answer *a)
{
    char space[LOG_TEXT_MAX];
    struct buf text;
    if ((a->result == COLLECTOR_TAKEN && !err_is_set(&a->err)) || !may_say(t))
        return;
    buf_init(&text, space, sizeof(space));
    err_text(&a->err, &text);
    t->has_said = a->result != COLLECTOR_TAKEN;
    log_printf(t->log, LOG_WARN, "traces for %s %s: %.*s", collector_where(t->collector),
               a->result == COLLECTOR_TAKEN   ? "were not all taken"
               : a->result == COLLECTOR_LATER ? "cannot be sent now"
                                              : "were refused and are lost",
               SLICE_ARG(buf_slice(&text)));
}

static void say_recovery(struct tracer *t)
{
    if (t->has_said)
        log_printf(t->log, LOG_INFO, "traces are sent to %s again", collector_where(t->collector));
    t->has_said = false;
}

static void say_dropped(struct tracer *t)
{
    uint64_t dropped = count_of(t, DROPPED);
    if (dropped == t->dropped_before || !may_say(t))
        return;
    log_printf(t->log, LOG_WARN, "%" PRIu64 " spans were dropped: more than can be sent",
               dropped - t->dropped_before);
    t->dropped_before = dropped;
}

/* ---- what waits ---- */

static void set_waiting(struct tracer *t, size_t spans)
{
    t->waiting = spans;
    atomic_store_explicit(&t->counts[WAITING], spans, memory_order_relaxed);
}

static void wait_for_export(struct tracer *t, struct trace *trace)
{
    if (trace->nspans > t->queue - t->waiting) {
        count(t, DROPPED, trace->nspans);
        return;
    }
    trace_get(trace);
    trace->next = NULL;
    if (t->first)
        t->last->next = trace;
    else
        t->first = trace;
    t->last = trace;
    set_waiting(t, t->waiting + trace->nspans);
}

/* The traces of the next batch, which stay in the list; how many spans they have is in *SPANS. */
static size_t look_at_batch(const struct tracer *t, struct trace *batch[BATCH], size_t *spans)
{
    size_t n = 0;
    *spans = 0;
    for (struct trace *at = t->first; at && n < BATCH; at = at->next) {
        if (n > 0 && *spans + at->nspans > BATCH)
            break;
        batch[n++] = at;
        *spans += at->nspans;
    }
    return n;
}

/* The first N traces, of SPANS, are done with. */
static void forget(struct tracer *t, size_t n, size_t spans)
{
    while (n-- > 0) {
        struct trace *done = t->first;
        t->first = done->next;
        trace_put(done);
    }
    if (!t->first)
        t->last = NULL;
    t->tries = 0;
    set_waiting(t, t->waiting - spans);
}

/* ---- exports ---- */

/* Half of it is random, so that gateways that lost their collector together do not come back together. */
static void back_off(struct tracer *t, uint32_t retry_after_ms)
{
    uint64_t ms = BACKOFF_MS << (t->failures < BACKOFF_DOUBLES ? t->failures : BACKOFF_DOUBLES);
    ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    ms = ms / 2 + random_below(random_next(&t->random), ms / 2 + 1);
    if (ms < retry_after_ms)
        ms = retry_after_ms + random_below(random_next(&t->random), BACKOFF_MS);
    t->failures++;
    t->retry_ns = clock_now_ns() + ms * CLOCK_MILLISECOND_NS;
}

static void on_answer(struct tracer *t, const struct collector_answer *a, size_t n, size_t spans)
{
    say_trouble(t, a);
    if (a->result != COLLECTOR_TAKEN)
        count(t, EXPORT_ERRORS, 1);
    if (a->result == COLLECTOR_LATER) {
        back_off(t, a->retry_after_ms);
        if (++t->tries < TRIES_MAX)
            return;
    } else {
        t->failures = 0;
    }
    uint64_t lost = a->result != COLLECTOR_TAKEN || a->rejected > spans ? spans : a->rejected;
    count(t, FAILED, lost);
    count(t, EXPORTED, spans - lost);
    if (a->result == COLLECTOR_TAKEN)
        say_recovery(t);
    forget(t, n, spans);
}

/* A batch of what waits; there is some. */
static void export_batch(struct tracer *t, uint64_t deadline_ns)
{
    struct trace *batch[BATCH];
    struct collector_answer answer = {.result = COLLECTOR_LATER};
    size_t spans, n = look_at_batch(t, batch, &spans);
    char *json = tracer_otlp_json(&t->from, batch, n);
    size_t len;
    char *packed = json ? gzip_pack(json, strlen(json), &len) : NULL;
    if (packed) {
        count(t, EXPORTS, 1);
        collector_post(t->collector, (struct slice){packed, len}, deadline_ns, &answer);
    } else {
        err_set(&answer.err, ERR_SELF, "out of memory");
    }
    free(packed);
    free(json);
    on_answer(t, &answer, n, spans);
}

static bool is_due(const struct tracer *t, uint64_t now_ns)
{
    /* Relaxed: one export more or less before the stop. */
    return t->first && now_ns >= t->retry_ns &&
           (t->waiting >= BATCH || now_ns - t->first->taken_ns >= BATCH_AGE_NS) &&
           !atomic_load_explicit(&t->is_stopping, memory_order_relaxed);
}

static void export_if_due(struct tracer *t)
{
    uint64_t now = clock_now_ns();
    if (is_due(t, now))
        export_batch(t, now + t->timeout_ns);
}

/* ---- the actor ---- */

static void on_trace(void *self, struct message *m)
{
    struct tracer *t = self;
    struct trace *trace = (struct trace *)m;
    trace->taken_ns = clock_now_ns();
    count(t, KEPT, trace->nspans);
    if (t->collector && !trace->is_local)
        wait_for_export(t, trace);
    tracer_ring_add(&t->ring, trace);
    trace_put(trace);
    if (t->collector)
        export_if_due(t);
}

static void on_tick(void *self, uint64_t now_ns)
{
    struct tracer *t = self;
    (void)now_ns;
    say_dropped(t);
    export_if_due(t);
}

static void on_dropped(struct message *m)
{
    trace_put((struct trace *)m);
}

void tracer_offer(struct tracer *t, struct trace *trace)
{
    CHECK(trace->nspans > 0);
    unsigned spans = trace->nspans;
    trace->base.free = on_dropped;
    trace->base.type = 0;
    trace->next = NULL;
    trace->taken_ns = 0;
    atomic_init(&trace->refs, 1);
    if (actor_send(t->actor, &trace->base))
        return;
    count(t, DROPPED, spans);
    trace_put(trace);
}

/* ---- to be looked at ---- */

static bool begins_so(const struct trace *t, struct slice prefix)
{
    char id[33];
    trace_id_format(&t->id, id);
    return slice_starts(slice_of(id), prefix) || slice_starts(t->request_id, prefix);
}

char *tracer_list_json(struct tracer *t, size_t max, bool slow, const char *filter)
{
    struct trace *all[TRACER_RECENT], *some[TRACER_RECENT];
    size_t n = tracer_ring_get(&t->ring, all), nsome = 0;
    for (size_t i = 0; i < n; i++)
        if (!filter || begins_so(all[i], slice_of(filter)))
            some[nsome++] = all[i];
    char *json = tracer_json_list(some, nsome, max, slow);
    tracer_ring_put(all, n);
    return json;
}

char *tracer_show_json(struct tracer *t, const char *id)
{
    struct trace *all[TRACER_RECENT], *found = NULL;
    struct trace_id trace_id = {0};
    bool is_trace = trace_id_parse(slice_of(id), &trace_id);
    size_t n = tracer_ring_get(&t->ring, all);
    for (size_t i = 0; i < n && !found; i++)
        if ((is_trace && trace_id_equals(all[i]->id, trace_id)) || slice_eq(all[i]->request_id, slice_of(id)))
            found = all[i];
    char *json = found ? tracer_json_show(found) : NULL;
    tracer_ring_put(all, n);
    return json;
}

void tracer_stats(const struct tracer *t, struct tracer_stats *out)
{
    *out = (struct tracer_stats){.kept = count_of(t, KEPT),
                                 .exported = count_of(t, EXPORTED),
                                 .dropped = count_of(t, DROPPED),
                                 .failed = count_of(t, FAILED),
                                 .exports = count_of(t, EXPORTS),
                                 .export_errors = count_of(t, EXPORT_ERRORS),
                                 .waiting = count_of(t, WAITING)};
}

/* ---- life ---- */

static void tracer_free(struct tracer *t)
{
    while (t->first)
        forget(t, 1, t->first->nspans);
    tracer_ring_fini(&t->ring);
    collector_free(t->collector);
    free((void *)(uintptr_t)t->from.service);
    free((void *)(uintptr_t)t->from.version);
    free((void *)(uintptr_t)t->from.instance);
    free(t);
}

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static bool set_up(struct tracer *t, const struct tracer_setup *setup, struct err *err)
{
    const struct collector_setup to = {
        .endpoint = setup->endpoint, .headers = setup->headers, .nheaders = setup->nheaders, .ca = setup->ca};
    t->log = setup->log;
    t->timeout_ns = (setup->timeout_ms ? setup->timeout_ms : TIMEOUT_MS) * CLOCK_MILLISECOND_NS;
    t->queue = setup->queue ? setup->queue : QUEUE;
    t->from = (struct tracer_otlp_from){copy(setup->service), copy(setup->version), copy(setup->instance)};
    random_seed(&t->random);
    if (!t->from.service || !t->from.version || !t->from.instance)
        return err_set(err, ERR_SELF, "out of memory"), false;
    if (setup->endpoint)
        t->collector = collector_new(&to, err);
    return t->collector || !setup->endpoint;
}

struct tracer *tracer_new(const struct tracer_setup *setup, struct err *err)
{
    struct tracer *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_SELF, "out of memory"), NULL;
    struct actor_setup actor = {.name = "tracer", .self = t, .handle = on_trace, .max = MAILBOX};
    tracer_ring_init(&t->ring);
    if (set_up(t, setup, err)) {
        if (t->collector) {
            actor.tick = on_tick;
            actor.tick_ns = TICK_NS;
        }
        t->actor = actor_new(&actor, err);
    }
    if (t->actor)
        return t;
    tracer_free(t);
    return NULL;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / CLOCK_SECOND_NS),
                          .tv_nsec = (long)(at_ns % CLOCK_SECOND_NS)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* What waits, also what was in a pause; after the actor's end. */
static void flush(struct tracer *t, uint64_t deadline_ns)
{
    t->failures = 0;
    t->retry_ns = 0;
    while (t->first && t->retry_ns < deadline_ns && clock_now_ns() < deadline_ns) {
        sleep_until(t->retry_ns);
        uint64_t export_ns = clock_now_ns() + t->timeout_ns;
        export_batch(t, export_ns < deadline_ns ? export_ns : deadline_ns);
    }
    if (t->waiting > 0)
        log_printf(t->log, LOG_WARN, "%zu spans were dropped at the end: %s did not take them", t->waiting,
                   collector_where(t->collector));
}

void tracer_stop(struct tracer *t, unsigned within_ms)
{
    if (!t)
        return;
    uint64_t deadline_ns = clock_now_ns() + within_ms * CLOCK_MILLISECOND_NS;
    atomic_store_explicit(&t->is_stopping, true, memory_order_relaxed);
    if (t->collector)
        collector_hurry(t->collector, deadline_ns);
    uint64_t patience_ns = deadline_ns;
    while (!actor_stop(t->actor, patience_ns))
        patience_ns = clock_now_ns() + TICK_NS; /* its export ends at the deadline, and it soon after */
    actor_free(t->actor);
    flush(t, deadline_ns);
    tracer_free(t);
}
