/*
 * event_stream.c: see event_stream.h.
 *
 * What waits for a client lies in a ring; libmicrohttpd's reader takes from it what it has room for. When the
 * ring is empty the reader suspends the connection, and the next event resumes it: a reader that only says
 * "nothing yet" would be called again and again. A suspended connection is not looked at by libmicrohttpd,
 * so the loop watches its socket for the client's leaving.
 *
 * The watch must be off before the socket is closed: libmicrohttpd frees the response before, and that is
 * where a stream ends. Its memory goes when the loop has closed the watch.
 */
#include "gateway/event_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK     (16 * 1024) /* bytes that libmicrohttpd asks for at a time, at most */
#define FRAME_MAX 1024        /* of what is around a large event's data */

struct event_stream {
    struct event_streams *all;
    struct event_stream *next; /* in all */
    struct MHD_Connection *mhd;
    uv_poll_t watch;
    void (*gone)(void *owner, struct event_stream *s); /* NULL: nobody's */
    void *owner;
    bool is_suspended;
    bool has_left;    /* the client */
    bool is_ending;   /* we end it */
    bool was_sent_to; /* since the last beat */
    uint64_t id;      /* of the last event */
    uint64_t dropped; /* not told yet */
    size_t begin;     /* of what waits, in the ring */
    size_t len;
    char *ring;
    size_t size; /* of the ring */
};

struct event_streams {
    void (*poke)(void *ctx);
    void *ctx;
    uv_loop_t *loop;
    uv_timer_t beat; /* runs while there are any */
    struct event_stream *first;
    size_t n;
    char scratch[EVENT_STREAM_ROOM]; /* for one event */
};

/* ---- text ---- */

/* Length of the line that TEXT begins with, and with its end. */
static size_t line_length(struct slice text, size_t *with_end)
{
    size_t n = 0;
    while (n < text.len && text.p[n] != '\n' && text.p[n] != '\r')
        n++;
    bool is_crlf = n + 1 < text.len && text.p[n] == '\r' && text.p[n + 1] == '\n';
    *with_end = n + (n == text.len ? 0 : is_crlf ? 2 : 1);
    return n;
}

static void add_line(struct buf *out, struct slice line)
{
    buf_add(out, SLICE("data: "));
    for (ptrdiff_t at; (at = slice_find(line, '\0')) >= 0; line = slice_skip(line, (size_t)at + 1)) {
        buf_add(out, (struct slice){line.p, (size_t)at});
        buf_add(out, SLICE("\xef\xbf\xbd"));
    }
    buf_add(out, line);
    buf_add_char(out, '\n');
}

void event_stream_frame(struct buf *out, const char *name, uint64_t id, struct slice data)
{
    buf_printf(out, "event: %s\n", name);
    if (id > 0)
        buf_printf(out, "id: %" PRIu64 "\n", id);
    for (bool more = true; more;) {
        size_t with_end, n = line_length(data, &with_end);
        add_line(out, (struct slice){data.p, n});
        more = with_end > n; /* an end of line at the end of the text has an empty line behind it */
        data = slice_skip(data, with_end);
    }
    buf_add_char(out, '\n');
}

/* ---- the ring ---- */

static bool put(struct event_stream *s, struct slice text)
{
    if (text.len > s->size - s->len)
        return false;
    size_t at = (s->begin + s->len) % s->size, first = s->size - at;
    first = first < text.len ? first : text.len;
    memcpy(s->ring + at, text.p, first);
    memcpy(s->ring, text.p + first, text.len - first);
    s->len += text.len;
    return true;
}

static size_t take(struct event_stream *s, char *to, size_t max)
{
    size_t n = s->len < max ? s->len : max, first = s->size - s->begin;
    first = first < n ? first : n;
    memcpy(to, s->ring + s->begin, first);
    memcpy(to + first, s->ring, n - first);
    s->begin = (s->begin + n) % s->size;
    s->len -= n;
    return n;
}

/* A large event gets room beside what waits, if that is no large one. */
static void make_room(struct event_stream *s, size_t need)
{
    size_t size = EVENT_STREAM_ROOM + need;
    if (need <= EVENT_STREAM_ROOM || size <= s->size || s->len > EVENT_STREAM_ROOM)
        return;
    char *ring = malloc(size);
    if (!ring)
        return;
    size_t len = take(s, ring, s->len);
    free(s->ring);
    s->ring = ring;
    s->size = size;
    s->begin = 0;
    s->len = len;
}

static void resume(struct event_stream *s)
{
    if (!s->is_suspended)
        return;
    s->is_suspended = false;
    MHD_resume_connection(s->mhd);
    s->all->poke(s->all->ctx);
}

static void add_dropped(struct event_stream *s, struct buf *out)
{
    char text[40];
    int n = snprintf(text, sizeof(text), "{\"count\":%" PRIu64 "}", s->dropped);
    if (s->dropped > 0)
        event_stream_frame(out, "dropped", 0, (struct slice){text, (size_t)n});
}

static void tell_dropped(struct event_stream *s)
{
    struct buf b;
    buf_init(&b, s->all->scratch, sizeof(s->all->scratch));
    add_dropped(s, &b);
    if (s->dropped > 0 && put(s, buf_slice(&b)))
        s->dropped = 0;
}

/* Space for an event with so many bytes of data, most often in one line; what is given is to be freed. */
static char *begin_event(const struct event_stream *s, struct buf *b, size_t len)
{
    bool is_large = len > EVENT_STREAM_ROOM - FRAME_MAX && len <= EVENT_STREAM_LARGE;
    char *large = is_large ? malloc(len + FRAME_MAX) : NULL;
    if (large)
        buf_init(b, large, len + FRAME_MAX);
    else
        buf_init(b, s->all->scratch, sizeof(s->all->scratch));
    return large;
}

void event_stream_send(struct event_stream *s, const char *name, struct slice data)
{
    struct buf b;
    if (s->has_left || s->is_ending)
        return;
    char *large = begin_event(s, &b, data.len);
    add_dropped(s, &b);
    event_stream_frame(&b, name, ++s->id, data);
    if (!b.failed)
        make_room(s, b.len);
    if (!b.failed && put(s, buf_slice(&b)))
        s->dropped = 0;
    else
        s->dropped++;
    free(large);
    s->was_sent_to = true;
    resume(s);
}

void event_stream_drop(struct event_stream *s, uint64_t n)
{
    s->id += n;
    s->dropped += n;
    if (n > 0)
        resume(s);
}

/* ---- libmicrohttpd ---- */

static ssize_t on_read(void *ctx, uint64_t pos, char *to, size_t max)
{
    (void)pos;
    struct event_stream *s = ctx;
    if (s->has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (s->len == 0)
        tell_dropped(s);
    if (s->len > 0) {
        s->all->poke(s->all->ctx); /* to send it and to take the rest, also while others make it wait */
        return (ssize_t)take(s, to, max);
    }
    if (s->is_ending)
        return MHD_CONTENT_READER_END_OF_STREAM;
    s->is_suspended = true;
    MHD_suspend_connection(s->mhd);
    return 0;
}

static void on_watch(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    struct event_stream *s = p->data;
    uv_poll_stop(p);
    s->has_left = true;
    resume(s);
}

static void on_beat(uv_timer_t *t)
{
    struct event_streams *all = t->data;
    for (struct event_stream *s = all->first; s; s = s->next) {
        if (!s->was_sent_to && put(s, SLICE(":\n\n")))
            resume(s);
        s->was_sent_to = false;
    }
}

/* ---- life ---- */

static void stream_free(struct event_stream *s)
{
    if (s)
        free(s->ring);
    free(s);
}

static void on_closed(uv_handle_t *h)
{
    stream_free(h->data);
}

/* The response is freed: its stream is over, however it came to that. */
static void on_over(void *ctx)
{
    struct event_stream *s = ctx, **at = &s->all->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (--s->all->n == 0)
        uv_timer_stop(&s->all->beat);
    if (s->gone)
        s->gone(s->owner, s);
    uv_close((uv_handle_t *)&s->watch, on_closed);
}

void event_stream_free(struct event_stream *s)
{
    if (s)
        on_over(s);
}

struct event_streams *event_streams_new(uv_loop_t *loop, void (*poke)(void *ctx), void *ctx)
{
    struct event_streams *all = calloc(1, sizeof(*all));
    if (!all)
        return NULL;
    all->poke = poke;
    all->ctx = ctx;
    all->loop = loop;
    uv_timer_init(loop, &all->beat);
    all->beat.data = all;
    return all;
}

void event_streams_end(struct event_streams *all)
{
    for (struct event_stream *s = all->first; s; s = s->next) {
        s->is_ending = true;
        resume(s);
    }
    uv_close((uv_handle_t *)&all->beat, NULL);
}

void event_streams_free(struct event_streams *all)
{
    free(all);
}

size_t event_streams_count(const struct event_streams *all)
{
    return all->n;
}

struct event_stream *event_stream_new(struct event_streams *all, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct event_stream *s = all->n < EVENT_STREAMS_MAX && info ? calloc(1, sizeof(*s)) : NULL;
    if (!s || !(s->ring = malloc(EVENT_STREAM_ROOM)) ||
        uv_poll_init(all->loop, &s->watch, info->connect_fd) != 0) {
        stream_free(s);
        return NULL;
    }
    s->size = EVENT_STREAM_ROOM;
    s->watch.data = s;
    s->all = all;
    s->mhd = c;
    s->next = all->first;
    all->first = s;
    if (all->n++ == 0)
        uv_timer_start(&all->beat, on_beat, EVENT_STREAM_BEAT_MS, EVENT_STREAM_BEAT_MS);
    (void)!put(s, SLICE("retry: 1000\n\n"));
    return s;
}

void event_stream_own(struct event_stream *s, void (*gone)(void *owner, struct event_stream *s), void *owner)
{
    s->gone = gone;
    s->owner = owner;
}

enum MHD_Result event_stream_answer(struct event_stream *s)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, s, on_over);
    if (!r) {
        on_over(s);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "text/event-stream");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    uv_poll_start(&s->watch, UV_DISCONNECT, on_watch);
    enum MHD_Result ok = MHD_queue_response(s->mhd, 200, r);
    MHD_destroy_response(r);
    return ok;
}
