/*
 * tracing.c: see tracing.h. What is kept of a trace, and how, is in tracing_keep.c.
 *
 * The spans of a request are a list in its arena: first the steps that are told of, each with what it waited
 * for as a child. The request's own span and that of the last try are made at the end, from the record.
 */
#include "gateway/tracing.h"

#include "gateway/exchange.h"
#include "gateway/path.h"
#include "gateway/worker.h"
#include "lib/clock.h"

static const struct conf_tracing *conf_of(const struct exchange *x)
{
    return &exchange_conf(x)->tracing;
}

/* ---- whose trace it is ---- */

static struct slice value_of(const struct exchange *x, struct slice name)
{
    const struct http_field *f = http_find(x->fields, name);
    return f && http_count(x->fields, name) == 1 ? f->value : (struct slice){"", 0};
}

static bool read_b3(const struct exchange *x, struct trace_context *c)
{
    return trace_parse_b3(value_of(x, SLICE("b3")), c) ||
           trace_parse_b3_fields(value_of(x, SLICE("X-B3-TraceId")), value_of(x, SLICE("X-B3-SpanId")),
                                 value_of(x, SLICE("X-B3-Sampled")), value_of(x, SLICE("X-B3-Flags")), c);
}

/* All fields tracestate as one, if they may go on. */
static void read_state(struct exchange *x)
{
    char space[TRACE_STATE_MAX];
    struct buf b;
    bool ok = true;
    buf_init(&b, space, sizeof(space));
    for (size_t i = 0; i < x->fields.n; i++) {
        const struct http_field *f = &x->fields.at[i];
        if (f->value.len == 0 || !slice_eq_nocase(f->name, SLICE("tracestate")))
            continue;
        if (b.len > 0)
            buf_add_char(&b, ',');
        buf_add(&b, f->value);
    }
    if (b.failed || b.len == 0 || !trace_state_is_valid(buf_slice(&b)))
        return;
    x->tracing.state = arena_slice(&x->arena, buf_slice(&b), &ok);
}

static bool may_have_parent(const struct exchange *x)
{
    switch (conf_of(x)->parents) {
    case TRACING_PARENTS_ALL:
        return true;
    case TRACING_PARENTS_TRUSTED:
        return x->peer_is_trusted;
    case TRACING_PARENTS_NONE:
        break;
    }
    return false;
}

/* The context that came, if it may be believed. *HAS_ID: it is more than a decision. */
static void read_context(struct exchange *x, struct trace_context *c, bool *has_id)
{
    *has_id = false;
    if (x->tracing.is_on && !may_have_parent(x))
        return;
    if (trace_parse(value_of(x, SLICE("traceparent")), c)) {
        *has_id = true;
        if (x->tracing.is_on)
            read_state(x);
    } else if (x->tracing.is_on && conf_of(x)->b3 && read_b3(x, c)) {
        *has_id = (c->id.high | c->id.low) != 0;
    }
}

static void tell_record(struct exchange *x)
{
    struct tracing *t = &x->tracing;
    char *text = arena_alloc(&x->arena, 33 + 17);
    if (!text)
        return;
    trace_id_format(&t->context.id, text);
    x->record.trace_id = (struct slice){text, 32};
    if (!t->is_on)
        return;
    span_id_format(t->span, text + 33);
    x->record.span_id = (struct slice){text + 33, 16};
}

uint64_t tracing_draw_id(const struct exchange *x)
{
    return random_next(&x->worker->random) | 1; /* never 0 */
}

void tracing_identify(struct exchange *x)
{
    struct tracing *t = &x->tracing;
    struct trace_context c = {0};
    bool has_id;
    t->is_on = conf_of(x)->enabled;
    read_context(x, &c, &has_id);
    t->context = c;
    if (!has_id) {
        struct random *random = &x->worker->random;
        struct trace_context new = trace_begin(random_next(random), random_next(random));
        t->context.id = new.id;
        t->context.is_random = new.is_random;
        t->context.parent = 0;
    }
    t->span = tracing_draw_id(x);
    if (!c.has_decision)
        t->context.is_sampled = trace_ratio_samples(&t->context.id, conf_of(x)->ratio);
    x->record.is_sampled = t->context.is_sampled = t->is_on && t->context.is_sampled;
    if (t->is_on || has_id)
        tell_record(x);
}

/* ---- what the backend is told ---- */

bool tracing_owns(const struct exchange *x, struct slice name)
{
    if (!x->tracing.is_on)
        return false;
    if (slice_eq_nocase(name, SLICE("traceparent")) || slice_eq_nocase(name, SLICE("tracestate")))
        return true;
    return conf_of(x)->b3 && (slice_eq_nocase(name, SLICE("b3")) ||
                              (name.len > 5 && slice_eq_nocase((struct slice){name.p, 5}, SLICE("X-B3-"))));
}

static void add_field(struct buf *b, struct slice name, struct slice value)
{
    buf_add(b, name);
    buf_add(b, value);
    buf_add(b, SLICE("\r\n"));
}

void tracing_add(const struct exchange *x, uint64_t span, struct buf *b)
{
    const struct tracing *t = &x->tracing;
    char text[TRACE_PARENT_LEN + 1];
    if (!t->is_on)
        return;
    trace_format(&t->context, span, text);
    add_field(b, SLICE("traceparent: "), (struct slice){text, TRACE_PARENT_LEN});
    if (t->state.len > 0)
        add_field(b, SLICE("tracestate: "), t->state);
    if (!conf_of(x)->b3)
        return;
    trace_format_b3(&t->context, span, text);
    add_field(b, SLICE("b3: "), (struct slice){text, TRACE_B3_LEN});
}

/* ---- spans ---- */

/* By the clock only where it matters. */
static uint64_t now_of(const struct exchange *x)
{
    uint64_t turn = x->worker->wheel.now_ns;
    return x->record.is_sampled ? clock_now_ns() : turn > x->record.begin_ns ? turn : x->record.begin_ns;
}

static struct span *add(struct exchange *x, const char *name, uint64_t parent)
{
    struct span *s = span_add(&x->tracing.spans, &x->arena, name, now_of(x));
    if (!s)
        return NULL;
    s->id = tracing_draw_id(x);
    s->parent = parent;
    return s;
}

void tracing_enter(struct exchange *x, const char *step)
{
    if (!x->tracing.step)
        x->tracing.step = add(x, step, x->tracing.span);
}

void tracing_park(struct exchange *x, const char *step)
{
    if (!x->tracing.step)
        x->tracing.step = add(x, step, x->tracing.span);
}

void tracing_leave(struct exchange *x)
{
    struct tracing *t = &x->tracing;
    span_end(t->step, now_of(x));
    t->step = NULL;
}

void tracing_resume(struct exchange *x)
{
    struct tracing *t = &x->tracing;
    span_end(t->wait, now_of(x));
    t->wait = NULL;
}

struct span *tracing_wait(struct exchange *x, const char *what)
{
    struct tracing *t = &x->tracing;
    tracing_park(x, request_path[x->step].name);
    uint64_t parent = t->step ? t->step->id : t->span;
    struct span *last = t->spans.last;
    if (t->wait)
        return t->wait;
    if (last && last->name == what && last->parent == parent) {
        last->end_ns = 0; /* it was woken for something else */
        return t->wait = last;
    }
    return t->wait = add(x, what, parent);
}

void tracing_try(struct exchange *x, const struct endpoint *e)
{
    x->tracing.try = (struct tracing_try){tracing_draw_id(x), x->record.upstream_begin_ns, e->tls};
}

/* Host and port of "10.0.0.3:9000" and "[::1]:9000"; another text is a socket's path, and *PORT is 0. */
struct slice tracing_host(struct slice addr, uint64_t *port)
{
    const char *colon = memrchr(addr.p, ':', addr.len);
    *port = 0;
    if (!colon || !slice_to_u64(slice_skip(addr, (size_t)(colon + 1 - addr.p)), UINT16_MAX, port))
        return addr;
    struct slice host = slice_between(addr.p, colon);
    return host.len > 2 && host.p[0] == '[' ? (struct slice){host.p + 1, host.len - 2} : host;
}

/* Text for a span, that lives as long as the exchange. */
static void set_text(struct exchange *x, struct span *s, const char *name, struct slice text)
{
    bool ok = true;
    struct slice copy = arena_slice(&x->arena, text, &ok);
    if (ok && copy.len > 0)
        span_set_text(s, &x->arena, name, copy);
}

static void tell_cause(struct exchange *x, struct span *s)
{
    struct buf b = worker_scratch(x->worker);
    if (!err_is_set(&x->err))
        return;
    err_text(&x->err, &b);
    set_text(x, s, "tollgate.cause", buf_slice(&b));
}

/* TRY, of the server ADDR, is over. NULL: nobody wants to know, or memory is short. */
static struct span *end_try(struct exchange *x, struct tracing_try *try, struct slice addr)
{
    struct tracing *t = &x->tracing;
    uint64_t port, now = now_of(x);
    struct span *s = try->span ? add(x, "try", t->step ? t->step->id : t->span) : NULL;
    if (!s)
        return NULL;
    s->id = try->span;
    try->span = 0;
    s->kind = SPAN_CLIENT;
    s->begin_ns = try->begin_ns;
    span_end(s, now > s->begin_ns ? now : s->begin_ns);
    span_set_text(s, &x->arena, "http.request.method", x->record.method);
    set_text(x, s, "server.address", tracing_host(addr, &port));
    if (port > 0)
        span_set_number(s, &x->arena, "server.port", (int64_t)port);
    return s;
}

void tracing_try_failed(struct exchange *x)
{
    struct span *s = end_try(x, &x->tracing.try, slice_of(x->forward.addr));
    if (!s)
        return;
    s->failed = true;
    if (x->record.upstream_status > 0)
        span_set_number(s, &x->arena, "http.response.status_code", x->record.upstream_status);
    tell_cause(x, s);
}

void tracing_hedge(struct exchange *x, const struct endpoint *e)
{
    x->tracing.hedge = (struct tracing_try){tracing_draw_id(x), x->forward.hedge.begin_ns, e->tls};
}

static void lose(struct exchange *x, struct tracing_try *try, struct slice addr)
{
    struct span *s = end_try(x, try, addr);
    if (s)
        span_set_text(s, &x->arena, "tollgate.hedge", SLICE("lost"));
    *try = (struct tracing_try){0};
}

void tracing_hedge_won(struct exchange *x)
{
    struct tracing *t = &x->tracing;
    lose(x, &t->try, slice_of(x->forward.addr));
    t->try = t->hedge;
    t->hedge = (struct tracing_try){0};
}

void tracing_hedge_lost(struct exchange *x)
{
    if (x->tracing.hedge.span)
        lose(x, &x->tracing.hedge, slice_of(x->forward.hedge.endpoint->text));
}
