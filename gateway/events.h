/*
 * events.h: what changes in the gateway, pushed to those who look on: GET /events of the admin port.
 *
 *     event: status    data: what GET /status answers; at once, and then as often as the listener wants
 *     event: breaker   data: {"backend":"users","state":"open","changes":3,"time_left_s":4.998}
 *                      at most EVENTS_LOOK_MS after a breaker has changed its state
 *
 *     struct events *e = events_new(&setup);
 *     events_listen(e, stream, 1000);                           // for an event_stream that was just made
 *
 * The status is made once for all listeners whose time has come. A breaker that changes several times between
 * two looks is told of once, with the state it has then; "changes" counts them all.
 *
 * The loop's thread only.
 */
#ifndef GATEWAY_EVENTS_H
#define GATEWAY_EVENTS_H

#include <uv.h>

#include "gateway/event_stream.h"
#include "gateway/guard.h"

#define EVENTS_LOOK_MS      100
#define EVENTS_EVERY_MIN_MS 250
#define EVENTS_EVERY_MAX_MS 60000

struct events;

struct events_setup {
    uv_loop_t *loop;
    struct guards *guards;
    char *(*status)(void *ctx); /* JSON, from malloc; NULL: memory is short */
    void *ctx;
};

/* NULL: out of memory. */
MUST_USE struct events *events_new(const struct events_setup *setup);

/* STREAM gets them until it is over. EVERY_MS between the two bounds. False: memory is short, and STREAM is
 * as it was. */
MUST_USE bool events_listen(struct events *e, struct event_stream *stream, uint32_t every_ms);

/* When the streams are over: closes what is on the loop. Then events_free. */
void events_close(struct events *e);
void events_free(struct events *e);

#endif
