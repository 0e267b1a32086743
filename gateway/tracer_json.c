/*
 * tracer_json.c: see tracer_json.h.
 *
 * cJSON writes bytes above 127 as they are, so that text of a client could make a document that is not UTF-8.
 * Text is therefore quoted here and handed to it raw.
 */
#include "gateway/tracer_json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/timestamp.h"
#include "lib/buf.h"

#define QUOTED_MAX(len) ((len)*6 + 3) /* every byte as \u0000, quotes and the end */
#define SMALL           512

/* ---- what it is made with ---- */

/* Failure (memory) is sticky. */
struct tracer_json {
    bool failed;
};

/* Takes ITEM. After a failure a parent may be missing, so nothing is added any more. */
static cJSON *add(struct tracer_json *j, cJSON *parent, const char *name, cJSON *item)
{
    bool ok = item && !j->failed;
    if (ok && (parent || name))
        ok = name ? cJSON_AddItemToObjectCS(parent, name, item) : cJSON_AddItemToArray(parent, item);
    if (ok)
        return item;
    cJSON_Delete(item);
    j->failed = true;
    return NULL;
}

/* Within PARENT: its member NAME (static), or its next element when it is an array. Without a parent: on its
 * own. */
static cJSON *make_object(struct tracer_json *j, cJSON *parent, const char *name)
{
    return add(j, parent, name, cJSON_CreateObject());
}

static cJSON *make_array(struct tracer_json *j, cJSON *parent, const char *name)
{
    return add(j, parent, name, cJSON_CreateArray());
}

static cJSON *raw_text(void *space, size_t size, struct slice text)
{
    struct buf b;
    buf_init(&b, space, size);
    buf_add_char(&b, '"');
    buf_add_json(&b, text);
    buf_add_char(&b, '"');
    const char *quoted = buf_cstr(&b);
    return quoted ? cJSON_CreateRaw(quoted) : NULL;
}

static void make_text(struct tracer_json *j, cJSON *parent, const char *name, struct slice text)
{
    char small[QUOTED_MAX(SMALL)];
    void *large = text.len > SMALL ? malloc(QUOTED_MAX(text.len)) : NULL;
    cJSON *item = NULL;
    if (large)
        item = raw_text(large, QUOTED_MAX(text.len), text);
    else if (text.len <= SMALL)
        item = raw_text(small, sizeof(small), text);
    free(large);
    add(j, parent, name, item);
}

static void make_number(struct tracer_json *j, cJSON *parent, const char *name, double number)
{
    add(j, parent, name, cJSON_CreateNumber(number));
}

static void make_bool(struct tracer_json *j, cJSON *parent, const char *name, bool value)
{
    add(j, parent, name, cJSON_CreateBool(value));
}

static void make_trace_id(struct tracer_json *j, cJSON *parent, const char *name, struct trace_id id)
{
    char text[33];
    trace_id_format(&id, text);
    add(j, parent, name, cJSON_CreateString(text));
}

/* 0 is null. */
static void make_span_id(struct tracer_json *j, cJSON *parent, const char *name, uint64_t id)
{
    char text[17];
    span_id_format(id, text);
    add(j, parent, name, id ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* Takes ROOT. */
static char *make_print(struct tracer_json *j, cJSON *root)
{
    char *text = j->failed ? NULL : cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

/* ---- traces ---- */

uint64_t trace_span_end_ns(const struct trace *t, const struct span *s)
{
    uint64_t end = s->end_ns ? s->end_ns : t->spans[0].end_ns;
    return end > s->begin_ns ? end : s->begin_ns;
}

static uint64_t duration_ns(const struct trace *t, const struct span *s)
{
    return trace_span_end_ns(t, s) - s->begin_ns;
}

static double to_ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void add_time(struct tracer_json *j, cJSON *o, int64_t wall_us)
{
    char text[TIMESTAMP_RFC3339 + 16];
    struct timestamp t = {0};
    timestamp_set(&t, wall_us / 1000000);
    int n = snprintf(text, sizeof(text), "%.*s.%06dZ", TIMESTAMP_RFC3339, t.rfc3339,
                     wall_us > 0 ? (int)(wall_us % 1000000) : 0);
    make_text(j, o, "time", (struct slice){text, (size_t)n});
}

/* Milliseconds by name of span, those of the same name summed. */
static void add_steps(struct tracer_json *j, cJSON *o, const struct trace *t)
{
    cJSON *steps = make_object(j, o, "steps");
    for (unsigned i = 1; i < t->nspans; i++) {
        const struct span *s = &t->spans[i];
        double ms = to_ms(duration_ns(t, s));
        cJSON *step = cJSON_GetObjectItemCaseSensitive(steps, s->name);
        if (step)
            cJSON_SetNumberValue(step, step->valuedouble + ms);
        else
            make_number(j, steps, s->name, ms);
    }
}

static cJSON *add_summary(struct tracer_json *j, cJSON *parent, const struct trace *t)
{
    cJSON *o = make_object(j, parent, NULL);
    make_trace_id(j, o, "trace_id", t->id);
    make_text(j, o, "request_id", t->request_id);
    add_time(j, o, t->begin_wall_us);
    make_text(j, o, "method", t->method);
    make_text(j, o, "path", t->path);
    make_text(j, o, "route", t->route);
    make_number(j, o, "status", t->status);
    make_text(j, o, "reason", t->reason);
    make_number(j, o, "duration_ms", to_ms(duration_ns(t, &t->spans[0])));
    make_bool(j, o, "error", t->is_error);
    make_bool(j, o, "sampled", t->is_sampled);
    return o;
}

static int by_duration(const void *a, const void *b)
{
    const struct trace *x = *(struct trace *const *)a, *y = *(struct trace *const *)b;
    uint64_t dx = duration_ns(x, &x->spans[0]), dy = duration_ns(y, &y->spans[0]);
    if (dx != dy)
        return dx > dy ? -1 : 1;
    return x->taken_ns > y->taken_ns ? -1 : x->taken_ns < y->taken_ns;
}

char *tracer_json_list(struct trace **traces, size_t n, size_t max, bool slow)
{
    struct tracer_json j = {0};
    cJSON *list = make_array(&j, NULL, NULL);
    if (slow && n > 1)
        qsort(traces, n, sizeof(struct trace *), by_duration);
    for (size_t i = 0; i < n && i < max; i++) {
        cJSON *o = add_summary(&j, list, traces[i]);
        make_number(&j, o, "spans", traces[i]->nspans);
        add_steps(&j, o, traces[i]);
    }
    return make_print(&j, list);
}

/* ---- one whole ---- */

static const char *kind_name(enum span_kind kind)
{
    return kind == SPAN_SERVER ? "server" : kind == SPAN_CLIENT ? "client" : "internal";
}

/* Milliseconds since the request began; 0 for what was before. */
static double since_begin_ms(const struct trace *t, uint64_t at_ns)
{
    uint64_t begin = t->spans[0].begin_ns;
    return at_ns > begin ? to_ms(at_ns - begin) : 0;
}

static void add_attributes(struct tracer_json *j, cJSON *o, const struct span *s)
{
    cJSON *attributes = make_object(j, o, "attributes");
    for (unsigned i = 0; i < s->nattributes; i++) {
        const struct span_attribute *a = &s->attributes[i];
        if (a->text.p)
            make_text(j, attributes, a->name, a->text);
        else
            make_number(j, attributes, a->name, (double)a->number);
    }
}

static uint64_t parent_of(const struct trace *t, const struct span *s)
{
    if (s == &t->spans[0])
        return t->remote_parent;
    return s->parent ? s->parent : t->spans[0].id;
}

static void add_span(struct tracer_json *j, cJSON *spans, const struct trace *t, const struct span *s)
{
    cJSON *o = make_object(j, spans, NULL);
    make_span_id(j, o, "id", s->id);
    make_span_id(j, o, "parent", parent_of(t, s));
    make_text(j, o, "name", s == &t->spans[0] && t->name.len ? t->name : slice_of(s->name));
    make_text(j, o, "kind", slice_of(kind_name(s->kind)));
    make_number(j, o, "begin_ms", since_begin_ms(t, s->begin_ns));
    make_number(j, o, "end_ms", since_begin_ms(t, trace_span_end_ns(t, s)));
    make_bool(j, o, "failed", s->failed);
    add_attributes(j, o, s);
    if (s->link_span) {
        cJSON *link = make_object(j, o, "link");
        make_trace_id(j, link, "trace_id", s->link_trace);
        make_span_id(j, link, "span_id", s->link_span);
    }
}

char *tracer_json_show(const struct trace *t)
{
    struct tracer_json j = {0};
    cJSON *o = add_summary(&j, NULL, t);
    add_steps(&j, o, t);
    make_number(&j, o, "dropped_spans", t->dropped_spans);
    cJSON *spans = make_array(&j, o, "spans");
    for (unsigned i = 0; i < t->nspans; i++)
        add_span(&j, spans, t, &t->spans[i]);
    cJSON *events = make_array(&j, o, "events");
    for (unsigned i = 0; i < t->nevents && i < TRACE_EVENTS; i++) {
        cJSON *e = make_object(&j, events, NULL);
        make_text(&j, e, "type", slice_of(t->events[i].type));
        make_text(&j, e, "text", t->events[i].text);
        make_number(&j, e, "at_ms", since_begin_ms(t, t->events[i].at_ns));
    }
    return make_print(&j, o);
}
