/*
 * tracer_otlp.c: see tracer_otlp.h.
 *
 * One resource and one scope for a whole request: all spans of it are of this gateway. The text is written
 * piece by piece into memory that has room for the longest form of a span before it is begun: a tree of cJSON
 * took ten times as many instructions, and this is done for each sampled request. Compression is the
 * fastest there is: names repeat so often that more effort gains little.
 */
#include "gateway/tracer_otlp.h"

#include <stdio.h>
#include <stdlib.h>
#define ZLIB_CONST

#include "gateway/tracer_json.h"
#include "lib/buf.h"

#define STATUS_ERROR     2
#define FLAG_SAMPLED     1u
#define FLAG_KNOWS_WHERE 0x100u /* it is known whether the parent is remote, */
#define FLAG_IS_REMOTE   0x200u /* and it is */

/* Bytes that are enough, whatever the text: without attributes, texts and events; and of one of these. */
#define SPAN_MAX      512
#define ATTRIBUTE_MAX 96
#define EXPANSION     6 /* every byte as \u0000 */

/* ---- room ---- */

/* For N bytes more; B is from malloc. */
static void make_room(struct buf *b, size_t n)
{
    if (b->failed || n <= b->cap - b->len)
        return;
    size_t cap = 2 * (b->cap + n);
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return;
    }
    b->p = p;
    b->cap = cap;
}

static size_t text_max(struct slice s)
{
    return s.len * EXPANSION + ATTRIBUTE_MAX;
}

static size_t attributes_max(const struct span *s)
{
    size_t n = 0;
    for (unsigned i = 0; i < s->nattributes; i++)
        n += strlen(s->attributes[i].name) +
             (s->attributes[i].text.p ? text_max(s->attributes[i].text) : ATTRIBUTE_MAX);
    return n;
}

/* Of what only the request's own span has. */
static size_t request_max(const struct trace *t)
{
    const struct slice texts[] = {t->name,       t->method, t->path,   t->route,
                                  t->request_id, t->reason, t->reason, t->reason};
    size_t n = SPAN_MAX;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        n += text_max(texts[i]);
    for (unsigned i = 0; i < t->nevents && i < TRACE_EVENTS; i++)
        n += SPAN_MAX + text_max(t->events[i].text) + text_max(slice_of(t->events[i].type));
    return n;
}

static size_t span_max(const struct trace *t, const struct span *s)
{
    bool is_first = s == &t->spans[0];
    return SPAN_MAX + attributes_max(s) + text_max(t->state) + (is_first ? request_max(t) : 0) +
           (s->name ? text_max(slice_of(s->name)) : 0);
}

/* ---- attributes ---- */

static void add_quoted(struct buf *b, struct slice text)
{
    buf_add_char(b, '"');
    buf_add_json(b, text);
    buf_add_char(b, '"');
}

/* A comma, unless B ends with the bracket that began the list. */
static void separate(struct buf *b)
{
    if (b->len > 0 && b->p[b->len - 1] != '[')
        buf_add_char(b, ',');
}

static void begin_attribute(struct buf *b, const char *key)
{
    separate(b);
    buf_add(b, SLICE("{\"key\":\""));
    buf_add(b, slice_of(key));
    buf_add(b, SLICE("\",\"value\":{"));
}

static void add_text(struct buf *b, const char *key, struct slice text)
{
    begin_attribute(b, key);
    buf_add(b, SLICE("\"stringValue\":"));
    add_quoted(b, text);
    buf_add(b, SLICE("}}"));
}

static void add_number(struct buf *b, const char *key, int64_t number)
{
    begin_attribute(b, key);
    buf_add(b, SLICE("\"intValue\":\""));
    if (number < 0)
        buf_add_char(b, '-');
    buf_add_u64(b, number < 0 ? -(uint64_t)number : (uint64_t)number);
    buf_add(b, SLICE("\"}}"));
}

static bool has(const struct span *s, const char *key)
{
    for (unsigned i = 0; i < s->nattributes; i++)
        if (strcmp(s->attributes[i].name, key) == 0)
            return true;
    return false;
}

/* What went wrong; empty when nothing did. */
static struct slice error_of(const struct trace *t, struct slice status)
{
    if (!t->is_error)
        return (struct slice){0};
    return t->reason.len > 0 ? t->reason : status;
}

static void add_of_request(struct buf *b, const struct trace *t)
{
    char status[16];
    snprintf(status, sizeof(status), "%u", t->status);
    const struct {
        const char *key;
        struct slice text;
    } texts[] = {
        {"http.request.method", t->method}, {"url.path", t->path},
        {"http.route", t->route},           {"tollgate.request_id", t->request_id},
        {"tollgate.reason", t->reason},     {"error.type", error_of(t, slice_of(status))},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text.len > 0 && !has(&t->spans[0], texts[i].key))
            add_text(b, texts[i].key, texts[i].text);
    if (t->status > 0 && !has(&t->spans[0], "http.response.status_code"))
        add_number(b, "http.response.status_code", t->status);
    if (t->dropped_spans > 0)
        add_number(b, "tollgate.dropped_spans", t->dropped_spans);
}

static void add_attributes(struct buf *b, const struct trace *t, const struct span *s)
{
    buf_add(b, SLICE(",\"attributes\":["));
    for (unsigned i = 0; i < s->nattributes; i++) {
        const struct span_attribute *a = &s->attributes[i];
        if (a->text.p)
            add_text(b, a->name, a->text);
        else
            add_number(b, a->name, a->number);
    }
    if (s == &t->spans[0])
        add_of_request(b, t);
    buf_add_char(b, ']');
}

/* ---- a span ---- */

/* KEY is all that stands before the digits, as in the next functions: `"traceId":"`. */
static void add_trace_id(struct buf *b, struct slice key, struct trace_id id)
{
    char text[33];
    trace_id_format(&id, text);
    buf_add(b, key);
    buf_add(b, (struct slice){text, 32});
    buf_add_char(b, '"');
}

static void add_span_id(struct buf *b, struct slice key, uint64_t id)
{
    char text[17];
    span_id_format(id, text);
    buf_add(b, key);
    buf_add(b, (struct slice){text, 16});
    buf_add_char(b, '"');
}

/* A monotonic time as one since 1970, by the request's begin in both. */
static void add_time(struct buf *b, struct slice key, const struct trace *t, uint64_t at_ns)
{
    int64_t wall_ns = t->begin_wall_us * 1000 + (int64_t)(at_ns - t->spans[0].begin_ns);
    buf_add(b, key);
    buf_add_u64(b, wall_ns > 0 ? (uint64_t)wall_ns : 0);
    buf_add_char(b, '"');
}

static void add_parent(struct buf *b, const struct trace *t, const struct span *s)
{
    bool is_first = s == &t->spans[0];
    uint64_t parent = is_first ? t->remote_parent : s->parent ? s->parent : t->spans[0].id;
    unsigned flags = FLAG_KNOWS_WHERE | (t->is_sampled ? FLAG_SAMPLED : 0);
    if (is_first && parent)
        flags |= FLAG_IS_REMOTE;
    if (parent)
        add_span_id(b, SLICE(",\"parentSpanId\":\""), parent);
    buf_add(b, SLICE(",\"flags\":"));
    buf_add_u64(b, flags);
}

static void add_events(struct buf *b, const struct trace *t)
{
    if (t->nevents == 0)
        return;
    buf_add(b, SLICE(",\"events\":["));
    for (unsigned i = 0; i < t->nevents && i < TRACE_EVENTS; i++) {
        const struct trace_event *e = &t->events[i];
        separate(b);
        add_time(b, SLICE("{\"timeUnixNano\":\""), t, e->at_ns);
        buf_add(b, SLICE(",\"name\":"));
        add_quoted(b, slice_of(e->name));
        buf_add(b, SLICE(",\"attributes\":["));
        add_text(b, "exception.type", slice_of(e->type));
        add_text(b, "exception.message", e->text);
        buf_add(b, SLICE("]}"));
    }
    buf_add_char(b, ']');
}

static void add_link(struct buf *b, const struct span *s)
{
    add_trace_id(b, SLICE(",\"links\":[{\"traceId\":\""), s->link_trace);
    add_span_id(b, SLICE(",\"spanId\":\""), s->link_span);
    buf_add(b, SLICE("}]"));
}

static void add_status(struct buf *b, struct slice message)
{
    buf_add(b, SLICE(",\"status\":{\"code\":"));
    buf_add_u64(b, STATUS_ERROR);
    if (message.len > 0) {
        buf_add(b, SLICE(",\"message\":"));
        add_quoted(b, message);
    }
    buf_add_char(b, '}');
}

static void add_span(struct buf *b, const struct trace *t, const struct span *s)
{
    bool is_first = s == &t->spans[0];
    make_room(b, span_max(t, s));
    separate(b);
    add_trace_id(b, SLICE("{\"traceId\":\""), t->id);
    add_span_id(b, SLICE(",\"spanId\":\""), s->id);
    add_parent(b, t, s);
    if (t->state.len > 0) {
        buf_add(b, SLICE(",\"traceState\":"));
        add_quoted(b, t->state);
    }
    buf_add(b, SLICE(",\"name\":"));
    add_quoted(b, is_first && t->name.len ? t->name : slice_of(s->name));
    buf_add(b, SLICE(",\"kind\":"));
    buf_add_u64(b, s->kind);
    add_time(b, SLICE(",\"startTimeUnixNano\":\""), t, s->begin_ns);
    add_time(b, SLICE(",\"endTimeUnixNano\":\""), t, trace_span_end_ns(t, s));
    add_attributes(b, t, s);
    if (is_first)
        add_events(b, t);
    if (s->link_span)
        add_link(b, s);
    if (s->failed || (is_first && t->is_error))
        add_status(b, is_first ? t->reason : (struct slice){0});
    buf_add_char(b, '}');
}

/* ---- the whole ---- */

/* Up to the first span. */
static void add_head(struct buf *b, const struct tracer_otlp_from *from)
{
    struct slice version = slice_of(from->version);
    make_room(b, SPAN_MAX + text_max(slice_of(from->service)) + 2 * text_max(version) +
                     text_max(slice_of(from->instance)));
    buf_add(b, SLICE("{\"resourceSpans\":[{\"resource\":{\"attributes\":["));
    add_text(b, "service.name", slice_of(from->service));
    add_text(b, "service.version", version);
    add_text(b, "service.instance.id", slice_of(from->instance));
    buf_add(b, SLICE("]},\"scopeSpans\":[{\"scope\":{\"name\":\"tollgate\",\"version\":"));
    add_quoted(b, version);
    buf_add(b, SLICE("},\"spans\":["));
}

char *tracer_otlp_json(const struct tracer_otlp_from *from, struct trace *const *traces, size_t n)
{
    static const char tail[] = "]}]}]}"; /* with its NUL */
    struct buf b = {0};
    add_head(&b, from);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < traces[i]->nspans; k++)
            add_span(&b, traces[i], &traces[i]->spans[k]);
    make_room(&b, sizeof(tail));
    buf_add(&b, (struct slice){tail, sizeof(tail)});
    if (!b.failed)
        return b.p;
    free(b.p);
    return NULL;
}
