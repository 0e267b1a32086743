/*
 * tracer_otlp.c: see tracer_otlp.h.
 *
 * One resource and one scope for a whole request: all spans of it are of this gateway. Compression is the
 * fastest there is: names repeat so often that more effort gains little.
 */
#include "gateway/tracer_otlp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#include "gateway/tracer_json.h"

#define STATUS_ERROR     2
#define GZIP_WINDOW      (15 + 16) /* the largest, with a header of gzip */
#define GZIP_MEMORY      8
#define FLAG_SAMPLED     1u
#define FLAG_KNOWS_WHERE 0x100u /* it is known whether the parent is remote, */
#define FLAG_IS_REMOTE   0x200u /* and it is */

/* ---- attributes ---- */

static cJSON *begin_attribute(struct tracer_json *j, cJSON *attributes, const char *key)
{
    cJSON *o = tracer_json_object(j, attributes, NULL);
    tracer_json_text(j, o, "key", slice_of(key));
    return tracer_json_object(j, o, "value");
}

static void add_text(struct tracer_json *j, cJSON *attributes, const char *key, struct slice text)
{
    tracer_json_text(j, begin_attribute(j, attributes, key), "stringValue", text);
}

static void add_number(struct tracer_json *j, cJSON *attributes, const char *key, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, number);
    tracer_json_text(j, begin_attribute(j, attributes, key), "intValue", slice_of(text));
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

static void add_of_request(struct tracer_json *j, cJSON *attributes, const struct trace *t)
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
            add_text(j, attributes, texts[i].key, texts[i].text);
    if (t->status > 0 && !has(&t->spans[0], "http.response.status_code"))
        add_number(j, attributes, "http.response.status_code", t->status);
    if (t->dropped_spans > 0)
        add_number(j, attributes, "tollgate.dropped_spans", t->dropped_spans);
}

static void add_attributes(struct tracer_json *j, cJSON *o, const struct trace *t, const struct span *s)
{
    cJSON *attributes = tracer_json_array(j, o, "attributes");
    for (unsigned i = 0; i < s->nattributes; i++) {
        const struct span_attribute *a = &s->attributes[i];
        if (a->text.p)
            add_text(j, attributes, a->name, a->text);
        else
            add_number(j, attributes, a->name, a->number);
    }
    if (s == &t->spans[0])
        add_of_request(j, attributes, t);
}

/* ---- a span ---- */

struct moment {
    const struct trace *trace;
    uint64_t ns; /* monotonic */
};

/* A monotonic time as one since 1970, by the request's begin in both. */
static void add_time(struct tracer_json *j, cJSON *o, const char *name, struct moment at)
{
    char text[24];
    int64_t wall_ns = at.trace->begin_wall_us * 1000 + (int64_t)(at.ns - at.trace->spans[0].begin_ns);
    snprintf(text, sizeof(text), "%" PRId64, wall_ns > 0 ? wall_ns : 0);
    tracer_json_text(j, o, name, slice_of(text));
}

static void add_parent(struct tracer_json *j, cJSON *o, const struct trace *t, const struct span *s)
{
    bool is_first = s == &t->spans[0];
    uint64_t parent = is_first ? t->remote_parent : s->parent ? s->parent : t->spans[0].id;
    unsigned flags = FLAG_KNOWS_WHERE | (t->is_sampled ? FLAG_SAMPLED : 0);
    if (is_first && parent)
        flags |= FLAG_IS_REMOTE;
    if (parent)
        tracer_json_span_id(j, o, "parentSpanId", parent);
    tracer_json_number(j, o, "flags", flags);
}

static void add_events(struct tracer_json *j, cJSON *o, const struct trace *t)
{
    cJSON *events = t->nevents ? tracer_json_array(j, o, "events") : NULL;
    for (unsigned i = 0; i < t->nevents && i < TRACE_EVENTS; i++) {
        const struct trace_event *e = &t->events[i];
        cJSON *event = tracer_json_object(j, events, NULL);
        add_time(j, event, "timeUnixNano", (struct moment){t, e->at_ns});
        tracer_json_text(j, event, "name", slice_of(e->name));
        cJSON *attributes = tracer_json_array(j, event, "attributes");
        add_text(j, attributes, "exception.type", slice_of(e->type));
        add_text(j, attributes, "exception.message", e->text);
    }
}

static void add_link(struct tracer_json *j, cJSON *o, const struct span *s)
{
    cJSON *link = tracer_json_object(j, tracer_json_array(j, o, "links"), NULL);
    tracer_json_trace_id(j, link, "traceId", s->link_trace);
    tracer_json_span_id(j, link, "spanId", s->link_span);
}

static void add_status(struct tracer_json *j, cJSON *o, struct slice message)
{
    cJSON *status = tracer_json_object(j, o, "status");
    tracer_json_number(j, status, "code", STATUS_ERROR);
    if (message.len > 0)
        tracer_json_text(j, status, "message", message);
}

static void add_span(struct tracer_json *j, cJSON *spans, const struct trace *t, const struct span *s)
{
    bool is_first = s == &t->spans[0];
    cJSON *o = tracer_json_object(j, spans, NULL);
    tracer_json_trace_id(j, o, "traceId", t->id);
    tracer_json_span_id(j, o, "spanId", s->id);
    add_parent(j, o, t, s);
    if (t->state.len > 0)
        tracer_json_text(j, o, "traceState", t->state);
    tracer_json_text(j, o, "name", is_first && t->name.len ? t->name : slice_of(s->name));
    tracer_json_number(j, o, "kind", s->kind);
    add_time(j, o, "startTimeUnixNano", (struct moment){t, s->begin_ns});
    add_time(j, o, "endTimeUnixNano", (struct moment){t, trace_span_end_ns(t, s)});
    add_attributes(j, o, t, s);
    if (is_first)
        add_events(j, o, t);
    if (s->link_span)
        add_link(j, o, s);
    if (s->failed || (is_first && t->is_error))
        add_status(j, o, is_first ? t->reason : (struct slice){0});
}

/* ---- the whole ---- */

static void add_resource(struct tracer_json *j, cJSON *o, const struct tracer_otlp_from *from)
{
    cJSON *attributes = tracer_json_array(j, tracer_json_object(j, o, "resource"), "attributes");
    add_text(j, attributes, "service.name", slice_of(from->service));
    add_text(j, attributes, "service.version", slice_of(from->version));
    add_text(j, attributes, "service.instance.id", slice_of(from->instance));
}

char *tracer_otlp_json(const struct tracer_otlp_from *from, struct trace *const *traces, size_t n)
{
    struct tracer_json j = {0};
    cJSON *root = tracer_json_object(&j, NULL, NULL);
    cJSON *of_us = tracer_json_object(&j, tracer_json_array(&j, root, "resourceSpans"), NULL);
    add_resource(&j, of_us, from);
    cJSON *in_scope = tracer_json_object(&j, tracer_json_array(&j, of_us, "scopeSpans"), NULL);
    cJSON *scope = tracer_json_object(&j, in_scope, "scope");
    tracer_json_text(&j, scope, "name", SLICE("tollgate"));
    tracer_json_text(&j, scope, "version", slice_of(from->version));
    cJSON *spans = tracer_json_array(&j, in_scope, "spans");
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < traces[i]->nspans; k++)
            add_span(&j, spans, traces[i], &traces[i]->spans[k]);
    return tracer_json_print(&j, root);
}

bool tracer_otlp_gzip(struct slice text, struct slice *out)
{
    z_stream z = {.next_in = (z_const Bytef *)text.p, .avail_in = (uInt)text.len};
    if (text.len > UINT32_MAX / 2 ||
        deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong max = deflateBound(&z, text.len);
    char *bytes = malloc(max);
    z.next_out = (Bytef *)bytes;
    z.avail_out = (uInt)max;
    bool ok = bytes && deflate(&z, Z_FINISH) == Z_STREAM_END;
    *out = (struct slice){bytes, max - z.avail_out};
    deflateEnd(&z);
    if (!ok)
        free(bytes);
    return ok;
}
