/*
 * sse.c: see sse.h.
 *
 * Bytes are collected into a line; at its end (CR, LF, or both) the line is taken as a field, and the empty
 * line ends the event. A line or data that is too long marks the event as spoilt until its end.
 */
#include "lib/sse.h"

#include <stdlib.h>

#include "lib/buf.h"

#define TYPE_MAX 128

struct sse {
    sse_fn *on_event;
    void *ctx;
    struct buf line, data, type;
    bool is_first;    /* nothing but a byte order mark may have come */
    bool was_cr;      /* a line feed that comes now belongs to the line before */
    bool has_content; /* of the event, if only an empty line of data */
    uint64_t dropped;
    size_t max;
    char type_space[TYPE_MAX];
    char space[]; /* the line's and the data's, MAX each */
};

static void forget(struct sse *s)
{
    s->data.len = s->type.len = 0;
    s->data.failed = s->type.failed = s->has_content = false;
}

void sse_restart(struct sse *s)
{
    buf_init(&s->line, s->space, s->max);
    buf_init(&s->data, s->space + s->max, s->max);
    buf_init(&s->type, s->type_space, TYPE_MAX);
    s->is_first = true;
    s->was_cr = false;
    forget(s);
}

struct sse *sse_new(size_t max, sse_fn *on_event, void *ctx)
{
    struct sse *s = calloc(1, sizeof(*s) + 2 * max);
    if (!s)
        return NULL;
    s->on_event = on_event;
    s->ctx = ctx;
    s->max = max;
    sse_restart(s);
    return s;
}

void sse_free(struct sse *s)
{
    free(s);
}

uint64_t sse_dropped(const struct sse *s)
{
    return s->dropped;
}

static void dispatch(struct sse *s)
{
    const struct sse_event e = {
        .type = s->type.len > 0 ? buf_slice(&s->type) : SLICE("message"),
        .data = {s->data.p, s->data.len > 0 ? s->data.len - 1 : 0}, /* less the last line feed */
    };
    if (s->data.failed || s->type.failed)
        s->dropped++;
    else if (s->has_content)
        s->on_event(s->ctx, &e);
    forget(s);
}

static void take_field(struct sse *s, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE("data"))) {
        buf_add(&s->data, value);
        buf_add_char(&s->data, '\n');
        s->has_content = true;
    } else if (slice_eq(name, SLICE("event"))) {
        s->type.len = 0;
        buf_add(&s->type, value);
    }
}

static void take_line(struct sse *s)
{
    struct slice line = buf_slice(&s->line);
    bool is_cut = s->line.failed;
    s->line.len = 0;
    s->line.failed = false;
    if (s->is_first && slice_starts(line, SLICE("\xef\xbb\xbf")))
        line = slice_skip(line, 3);
    s->is_first = false;
    if (is_cut) {
        s->data.failed = true;
        return;
    }
    if (line.len == 0) {
        dispatch(s);
        return;
    }
    ptrdiff_t colon = slice_find(line, ':');
    if (colon < 0) {
        take_field(s, line, SLICE(""));
        return;
    }
    struct slice value = slice_skip(line, (size_t)colon + 1);
    if (slice_starts(value, SLICE(" ")))
        value = slice_skip(value, 1);
    take_field(s, (struct slice){line.p, (size_t)colon}, value);
}

/* How many bytes from the beginning of S on are of one line. */
static size_t line_len(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.p[n] != '\r' && s.p[n] != '\n')
        n++;
    return n;
}

void sse_feed(struct sse *s, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t n = line_len(bytes);
        if (n > 0) {
            buf_add(&s->line, (struct slice){bytes.p, n});
            s->was_cr = false;
            bytes = slice_skip(bytes, n);
            continue;
        }
        if (bytes.p[0] == '\r' || !s->was_cr)
            take_line(s);
        s->was_cr = bytes.p[0] == '\r';
        bytes = slice_skip(bytes, 1);
    }
}
