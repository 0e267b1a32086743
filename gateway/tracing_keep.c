/*
 * tracing_keep.c: the end of tracing.h: which traces are kept, and how they are put into one block for the
 * tracer.
 *
 * A trace is kept when it is sampled; or, up to TRACING_TAIL_MAX a second on each worker, when its request
 * failed by our or the backend's fault or took longer than `slow`; or when no request for a while took as
 * long: the bar that it has to exceed is its own duration from then on, and falls by half every second. The
 * latter go no further than the admin port.
 *
 * The block has the trace, its spans, their attributes and all text, in this order; its size is an upper
 * bound.
 */
#include "gateway/tracing.h"

#include <stdlib.h>

#include "gateway/accesslog.h"
#include "gateway/cache_status.h"
#include "gateway/exchange.h"
#include "gateway/tracer.h"
#include "gateway/worker.h"
#include "lib/clock.h"

#define MS              UINT64_C(1000000)
#define REQUEST_SPANS   5    /* that are made of the record: request, try, connect, wait, stream */
#define MADE_ATTRIBUTES 40   /* of these */
#define TEXT_MAX        1024 /* bytes of one text */
#define OWN_TEXT        512  /* bytes of all text that is made here */

/* ---- which are kept ---- */

static bool has_failed(const struct record *r)
{
    return r->status >= 500 && r->reason != REASON_CLIENT_GONE;
}

/* One of the few a second that are kept although they are not sampled. */
static bool has_room(struct tracing_tail *tail)
{
    return tail->kept < TRACING_TAIL_MAX && ++tail->kept;
}

static bool is_slowest(struct tracing_tail *tail, uint64_t took_ns)
{
    if (took_ns <= tail->slowest_ns)
        return false;
    tail->slowest_ns = took_ns;
    return true;
}

static void begin_second(struct tracing_tail *tail, uint64_t now_ns)
{
    while (now_ns - tail->second_began_ns >= CLOCK_SECOND_NS) {
        bool is_long_ago = now_ns - tail->second_began_ns >= 64 * CLOCK_SECOND_NS;
        tail->second_began_ns = is_long_ago ? now_ns : tail->second_began_ns + CLOCK_SECOND_NS;
        tail->slowest_ns = is_long_ago ? 0 : tail->slowest_ns / 2;
        tail->kept = 0;
    }
}

/* ---- the block ---- */

struct tracing_block {
    struct trace *trace;
    uint64_t last_step; /* id of the span of the step that asks the backend */
    struct span_attribute *attributes, *attributes_end;
    char *text, *text_end;
};

static struct slice keep(struct tracing_block *b, struct slice s)
{
    size_t len = s.len < TEXT_MAX ? s.len : TEXT_MAX;
    if (len == 0 || len > (size_t)(b->text_end - b->text))
        return (struct slice){"", 0};
    memcpy(b->text, s.p, len);
    b->text += len;
    return (struct slice){b->text - len, len};
}

static struct span_attribute *attribute(struct tracing_block *b, struct span *s, const char *name)
{
    if (b->attributes == b->attributes_end)
        return NULL;
    if (s->nattributes == 0)
        s->attributes = b->attributes;
    struct span_attribute *a = b->attributes++;
    *a = (struct span_attribute){.name = name};
    s->nattributes++;
    return a;
}

static void add_text(struct tracing_block *b, struct span *s, const char *name, struct slice text)
{
    struct span_attribute *a = text.len > 0 ? attribute(b, s, name) : NULL;
    if (a)
        a->text = keep(b, text);
}

static void add_number(struct tracing_block *b, struct span *s, const char *name, uint64_t number)
{
    struct span_attribute *a = attribute(b, s, name);
    if (a)
        a->number = (int64_t)number;
}

static size_t cut(struct slice s)
{
    return s.len < TEXT_MAX ? s.len : TEXT_MAX;
}

/* Bytes of text, and how many attributes the spans of the list have. */
static size_t text_bound(const struct exchange *x, size_t *nattributes)
{
    const struct record *r = &x->record;
    size_t n = OWN_TEXT + 3 * cut(r->method) + 2 * cut(r->path) + 2 * cut(r->host) + 2 * cut(r->request_id) +
               cut(r->user_agent) + 5 * TEXT_MAX + cut(x->tracing.state) + ERR_DEPTH * ERR_TEXT;
    for (const struct span *s = x->tracing.spans.first; s; s = s->next) {
        *nattributes += s->nattributes;
        for (unsigned i = 0; i < s->nattributes; i++)
            n += s->attributes[i].text.p ? cut(s->attributes[i].text) : 0;
    }
    return n;
}

static bool block_new(struct tracing_block *b, const struct exchange *x)
{
    size_t nspans = x->tracing.spans.n + REQUEST_SPANS, nattributes = MADE_ATTRIBUTES;
    size_t text = text_bound(x, &nattributes);
    size_t spans = sizeof(struct trace) + nspans * sizeof(struct span);
    b->trace = calloc(1, spans + nattributes * sizeof(struct span_attribute) + text);
    if (!b->trace)
        return false;
    b->attributes = (struct span_attribute *)(void *)((char *)b->trace + spans);
    b->attributes_end = b->attributes + nattributes;
    b->text = (char *)b->attributes_end;
    b->text_end = b->text + text;
    return true;
}

static struct span *next_span(struct tracing_block *b)
{
    return &b->trace->spans[b->trace->nspans++];
}

/* ---- the request ---- */

static struct slice route_of(const struct exchange *x)
{
    const struct conf_route *route = x->match.route;
    return route ? slice_of(route->path ? route->path : route->name) : (struct slice){"", 0};
}

static void name_request(struct tracing_block *b, const struct exchange *x)
{
    char space[256];
    struct buf name;
    struct slice method = x->record.method, route = route_of(x);
    buf_init(&name, space, sizeof(space));
    buf_add(&name, method.len < 32 ? method : SLICE("HTTP"));
    if (route.len > 0 && route.len < 200) {
        buf_add_char(&name, ' ');
        buf_add(&name, route);
    }
    b->trace->name = keep(b, buf_slice(&name));
}

static void add_query(struct tracing_block *b, struct span *s, const struct exchange *x)
{
    char space[TEXT_MAX * ACCESSLOG_GROWTH];
    struct slice query = {x->record.query.p, cut(x->record.query)};
    if (query.len > 0)
        add_text(b, s, "url.query", accesslog_query(query, &exchange_conf(x)->log, space));
}

static void describe_answer(struct tracing_block *b, struct span *s, const struct exchange *x)
{
    const struct record *r = &x->record;
    const char *cache = cache_status_name(r->cache);
    add_number(b, s, "http.response.status_code", r->status);
    add_number(b, s, "http.request.body.size", r->bytes_in);
    add_number(b, s, "http.response.body.size", r->bytes_out);
    if (r->reason != REASON_NONE)
        add_text(b, s, "error.type", slice_of(reason_info(r->reason)->name));
    if (cache)
        add_text(b, s, "tollgate.cache.status", slice_of(cache));
    add_text(b, s, "tollgate.backend", r->backend);
    if (r->retries > 0)
        add_number(b, s, "tollgate.retries", r->retries);
}

static void describe_request(struct tracing_block *b, struct span *s, const struct exchange *x)
{
    const struct record *r = &x->record;
    char ip[IP_TEXT_MAX];
    add_text(b, s, "http.request.method", r->method);
    add_text(b, s, "url.scheme", r->client_tls ? SLICE("https") : SLICE("http"));
    add_text(b, s, "url.path", r->path);
    add_query(b, s, x);
    add_text(b, s, "server.address", r->host);
    add_text(b, s, "client.address", (struct slice){ip, ip_text(&r->client_ip, ip)});
    add_text(b, s, "network.protocol.version", r->http_minor == 0 ? SLICE("1.0") : SLICE("1.1"));
    add_text(b, s, "user_agent.original", r->user_agent);
    add_text(b, s, "http.route", route_of(x));
    add_text(b, s, "tollgate.route", r->route);
    add_text(b, s, "tollgate.request_id", r->request_id);
    describe_answer(b, s, x);
}

static void add_request(struct tracing_block *b, const struct exchange *x)
{
    struct span *s = next_span(b);
    s->id = x->tracing.span;
    s->parent = x->tracing.context.parent;
    s->name = NULL; /* the trace's */
    s->kind = SPAN_SERVER;
    s->begin_ns = x->record.begin_ns;
    s->end_ns = x->record.end_ns;
    s->failed = has_failed(&x->record);
    describe_request(b, s, x);
}

/* The causes of its error, the outermost first. */
static void add_events(struct tracing_block *b, const struct exchange *x)
{
    const struct err *e = x->record.err;
    struct trace *t = b->trace;
    for (unsigned i = e ? e->depth : 0; i-- > 0 && t->nevents < TRACE_EVENTS;)
        t->events[t->nevents++] = (struct trace_event){.name = "exception",
                                                       .type = err_origin_name(e->origin),
                                                       .text = keep(b, slice_of(e->link[i])),
                                                       .at_ns = x->record.end_ns};
}

/* ---- the last try ---- */

/* What happened during the try. */
static void add_part(struct tracing_block *b, const struct exchange *x, const char *name, uint64_t from_ns,
                     uint64_t to_ns)
{
    if (from_ns == 0 || to_ns <= from_ns)
        return;
    *next_span(b) = (struct span){.name = name,
                                  .id = tracing_draw_id(x),
                                  .parent = x->tracing.try.span,
                                  .kind = SPAN_INTERNAL,
                                  .begin_ns = from_ns,
                                  .end_ns = to_ns};
}

static void add_address(struct tracing_block *b, struct span *s, struct slice addr)
{
    uint64_t port;
    add_text(b, s, "server.address", tracing_host(addr, &port));
    if (port > 0)
        add_number(b, s, "server.port", port);
}

/* The target of the request line that was sent. */
static struct slice sent_target(struct slice head)
{
    const char *begin = memchr(head.p, ' ', cut(head));
    if (!begin)
        return (struct slice){"", 0};
    struct slice rest = slice_skip(head, (size_t)(++begin - head.p));
    const char *end = memchr(rest.p, ' ', cut(rest));
    return (struct slice){rest.p, end ? (size_t)(end - rest.p) : 0};
}

static void add_url(struct tracing_block *b, struct span *s, const struct exchange *x)
{
    char space[TEXT_MAX * ACCESSLOG_GROWTH], text[TEXT_MAX];
    struct buf url;
    struct slice target = sent_target(x->forward.head);
    if (target.len == 0)
        return;
    buf_init(&url, text, sizeof(text));
    buf_add(&url, x->tracing.try.is_tls ? SLICE("https://") : SLICE("http://"));
    buf_add(&url, slice_of(x->forward.addr));
    buf_add(&url, accesslog_url(target, &exchange_conf(x)->log, space));
    if (!url.failed)
        add_text(b, s, "url.full", buf_slice(&url));
}

/* END_NS: when what is not over yet is given up. */
static void add_try(struct tracing_block *b, const struct exchange *x, uint64_t end_ns)
{
    const struct record *r = &x->record;
    uint64_t begin = x->tracing.try.begin_ns;
    if (begin == 0 || x->tracing.try.span == 0)
        return;
    if (r->upstream_end_ns > begin)
        end_ns = r->upstream_end_ns;
    struct span *s = next_span(b);
    *s = (struct span){.name = "try",
                       .id = x->tracing.try.span,
                       .parent = b->last_step,
                       .kind = SPAN_CLIENT,
                       .begin_ns = begin,
                       .end_ns = end_ns,
                       .failed = r->upstream_status == 0 || r->upstream_status >= 400};
    add_text(b, s, "http.request.method", b->trace->method);
    add_address(b, s, slice_of(x->forward.addr));
    add_url(b, s, x);
    if (r->upstream_status > 0)
        add_number(b, s, "http.response.status_code", r->upstream_status);
    else if (r->reason != REASON_NONE)
        add_text(b, s, "error.type", slice_of(reason_info(r->reason)->name));
    if (r->retries > 0)
        add_number(b, s, "http.request.resend_count", r->retries);
    if (!r->upstream_reused)
        add_part(b, x, "connect", begin, r->upstream_connected_ns);
    add_part(b, x, "wait for answer", r->upstream_connected_ns, r->upstream_first_byte_ns);
    add_part(b, x, "stream", r->upstream_first_byte_ns, end_ns);
}

/* ---- all of it ---- */

/* The list's spans; the last step among them has asked the backend, if that was asked. */
static void add_list(struct tracing_block *b, const struct exchange *x)
{
    b->last_step = x->tracing.span;
    for (const struct span *from = x->tracing.spans.first; from; from = from->next) {
        struct span *s = next_span(b);
        *s = *from;
        s->next = NULL;
        s->nattributes = 0;
        if (s->end_ns == 0)
            s->end_ns = x->record.end_ns;
        for (unsigned i = 0; i < from->nattributes; i++) {
            if (from->attributes[i].text.p)
                add_text(b, s, from->attributes[i].name, from->attributes[i].text);
            else
                add_number(b, s, from->attributes[i].name, (uint64_t)from->attributes[i].number);
        }
        if (s->parent == x->tracing.span && s->kind == SPAN_INTERNAL)
            b->last_step = s->id;
    }
}

static void free_trace(struct message *m)
{
    free(m);
}

/* All but the last try. False: memory is short. */
static bool build(struct tracing_block *b, const struct exchange *x)
{
    const struct record *r = &x->record;
    if (!block_new(b, x))
        return false;
    struct trace *t = b->trace;
    t->base.free = free_trace;
    t->id = x->tracing.context.id;
    t->remote_parent = x->tracing.context.parent;
    t->state = keep(b, x->tracing.state);
    t->is_sampled = r->is_sampled;
    t->is_error = has_failed(r);
    t->begin_wall_us = r->wall_us;
    t->status = r->status;
    t->request_id = keep(b, r->request_id);
    t->method = keep(b, r->method);
    t->path = keep(b, r->path);
    t->route = keep(b, r->route);
    t->reason = r->reason != REASON_NONE ? slice_of(reason_info(r->reason)->name) : (struct slice){"", 0};
    t->dropped_spans = x->tracing.spans.dropped;
    name_request(b, x);
    add_request(b, x);
    add_events(b, x);
    add_list(b, x);
    return true;
}

/* Whether the trace is kept, and how far it goes. */
static bool decide(struct exchange *x, bool *is_local)
{
    struct tracing_tail *tail = &x->worker->trace_tail;
    const struct record *r = &x->record;
    uint64_t took = record_total_ns(r), slow = exchange_conf(x)->tracing.slow_ms * MS;
    begin_second(tail, r->end_ns);
    bool is_slowest_now = is_slowest(tail, took);
    bool is_tail = !r->is_sampled && (has_failed(r) || (slow > 0 && took >= slow)) && has_room(tail);
    *is_local = !x->tracing.is_on || (!r->is_sampled && !is_tail);
    return r->is_sampled || is_tail || is_slowest_now;
}

void tracing_finish(struct exchange *x, bool goes_on)
{
    struct tracing_block b;
    bool is_local;
    if (!x->worker->setup.tracer || x->tracing.span == 0 || !decide(x, &is_local) || !build(&b, x))
        return;
    b.trace->is_local = is_local;
    struct tracing_block *held = goes_on ? arena_alloc(&x->arena, sizeof(*held)) : NULL;
    if (held) {
        *held = b;
        x->tracing.held = held;
        return;
    }
    add_try(&b, x, x->record.end_ns);
    tracer_offer(x->worker->setup.tracer, b.trace);
}

void tracing_finish_orphan(struct exchange *x)
{
    if (!x->tracing.held)
        return;
    add_try(x->tracing.held, x, clock_now_ns());
    tracer_offer(x->worker->setup.tracer, x->tracing.held->trace);
}
