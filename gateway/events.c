/*
 * events.c: see events.h.
 *
 * One timer, which runs while there are listeners. Breakers are looked at rather than heard: they change on
 * any thread, and to look at a few generations costs less than a way from all of them to here.
 */
#include "gateway/events.h"

#include <stdlib.h>

#include "lib/clock.h"

#define BREAKER_TEXT 2048 /* a backend's name is short */
#define STATUS_LATE  (EVENTS_LOOK_MS / 2)

struct listener {
    struct event_stream *stream; /* NULL: nobody */
    uint32_t every_ms;
    uint64_t due_ms;
};

struct events {
    struct events_setup setup;
    uv_timer_t timer;
    unsigned n;
    struct listener listeners[EVENT_STREAMS_MAX];
};

/* ---- breakers ---- */

static void send_all(struct events *e, const char *name, struct slice data)
{
    for (unsigned i = 0; i < EVENT_STREAMS_MAX; i++)
        if (e->listeners[i].stream)
            event_stream_send(e->listeners[i].stream, name, data);
}

static void tell_breaker(struct events *e, const struct guard *g, const struct breaker_view *v)
{
    char text[BREAKER_TEXT];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_add(&b, SLICE("{\"backend\":\""));
    buf_add_json(&b, slice_of(g->name));
    buf_printf(&b, "\",\"state\":\"%s\",\"changes\":%u,\"time_left_s\":%.3f}", breaker_state_name(v->state),
               (unsigned)v->generation, (double)v->time_left_ns / (double)CLOCK_SECOND_NS);
    if (!b.failed)
        send_all(e, "breaker", buf_slice(&b));
}

/* IS_FIRST: what is there now is no news. */
static void look_at_breakers(struct events *e, bool is_first)
{
    struct guard *g;
    uint64_t now = clock_now_ns();
    for (size_t i = 0; (g = guards_at(e->setup.guards, i)); i++) {
        struct breaker_view v = breaker_view(&g->breaker, now);
        if (!is_first && v.generation != g->told_generation)
            tell_breaker(e, g, &v);
        g->told_generation = v.generation;
    }
}

/* ---- status ---- */

static void send_status(struct events *e)
{
    char *json = NULL;
    uint64_t now = uv_now(e->setup.loop);
    for (unsigned i = 0; i < EVENT_STREAMS_MAX; i++) {
        struct listener *l = &e->listeners[i];
        if (!l->stream || l->due_ms > now + STATUS_LATE)
            continue;
        if (!json && !(json = e->setup.status(e->setup.ctx)))
            return;
        event_stream_send(l->stream, "status", slice_of(json));
        l->due_ms += l->every_ms;
        if (l->due_ms <= now) /* what was missed is not made up */
            l->due_ms = now + l->every_ms;
    }
    free(json);
}

static void on_timer(uv_timer_t *t)
{
    struct events *e = t->data;
    look_at_breakers(e, false);
    send_status(e);
}

/* ---- listeners ---- */

static void on_gone(void *owner, struct event_stream *stream)
{
    struct events *e = owner;
    unsigned i = 0;
    while (e->listeners[i].stream != stream)
        i++;
    e->listeners[i].stream = NULL;
    if (--e->n == 0)
        uv_timer_stop(&e->timer);
}

bool events_listen(struct events *e, struct event_stream *stream, uint32_t every_ms)
{
    unsigned i = 0;
    while (i < EVENT_STREAMS_MAX && e->listeners[i].stream)
        i++;
    char *json = i < EVENT_STREAMS_MAX ? e->setup.status(e->setup.ctx) : NULL;
    if (!json)
        return false;
    if (e->n++ == 0) {
        look_at_breakers(e, true);
        uv_timer_start(&e->timer, on_timer, EVENTS_LOOK_MS, EVENTS_LOOK_MS);
    }
    e->listeners[i] = (struct listener){stream, every_ms, uv_now(e->setup.loop) + every_ms};
    event_stream_own(stream, on_gone, e);
    event_stream_send(stream, "status", slice_of(json));
    free(json);
    return true;
}

struct events *events_new(const struct events_setup *setup)
{
    struct events *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->setup = *setup;
    uv_timer_init(setup->loop, &e->timer);
    e->timer.data = e;
    return e;
}

void events_close(struct events *e)
{
    uv_close((uv_handle_t *)&e->timer, NULL);
}

void events_free(struct events *e)
{
    free(e);
}
