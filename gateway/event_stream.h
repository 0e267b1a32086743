/*
 * event_stream.h: answers of the admin port that never end: server-sent events (WHATWG HTML, 9.2).
 *
 *     struct event_streams *all = event_streams_new(loop, poke, ctx);
 *
 *     struct event_stream *s = event_stream_new(all, c);        // for a request; NULL: too many
 *     event_stream_own(s, gone, me);
 *     return event_stream_answer(s);                            // its head, and from now on what is sent
 *     ...
 *     event_stream_send(s, "status", slice_of(json));
 *
 *     event_streams_end(all);                                   // then let libmicrohttpd run, then close it
 *     event_streams_free(all);                                  // when the loop has closed its handles
 *
 * A stream holds at most EVENT_STREAM_ROOM bytes that its client has not taken, and beside them one event
 * that is larger than that: the status of some hundred routes is, and of some thousand it has
 * EVENT_STREAM_LARGE bytes, the most. An event that does not fit is dropped whole, and as soon as there is
 * room the client gets event: dropped data: {"count":17} before what follows. Every event but this has an id,
 * which counts up by one from 1 and counts those that were dropped too. There is no history: Last-Event-ID is
 * not heeded.
 *
 * When nothing was sent for EVENT_STREAM_BEAT_MS, a comment is, so that nobody between takes the connection
 * for dead. A client that leaves is seen at once, also in a half (a closed sending side is a client that has
 * left), and one that takes nothing for as long as libmicrohttpd bears is cut.
 *
 * An idle stream costs nothing: its connection is suspended until there is something to send.
 *
 * The loop's thread only.
 */
#ifndef GATEWAY_EVENT_STREAM_H
#define GATEWAY_EVENT_STREAM_H

#include <microhttpd.h>
#include <uv.h>

#include "lib/buf.h"

#define EVENT_STREAM_ROOM    (64 * 1024)
#define EVENT_STREAM_LARGE   (4 * 1024 * 1024)
#define EVENT_STREAM_BEAT_MS 15000
#define EVENT_STREAMS_MAX    32

struct event_streams;
struct event_stream;

/* POKE(CTX) is called when libmicrohttpd has to run. NULL: out of memory. */
MUST_USE struct event_streams *event_streams_new(uv_loop_t *loop, void (*poke)(void *ctx), void *ctx);

/* Ends all streams, in good order as far as their clients take it, and closes what is on the loop. Their
 * connections are then to be closed. */
void event_streams_end(struct event_streams *all);
void event_streams_free(struct event_streams *all);

size_t event_streams_count(const struct event_streams *all);

/* NULL: there are EVENT_STREAMS_MAX, or memory is short. To be answered or freed. */
MUST_USE struct event_stream *event_stream_new(struct event_streams *all, struct MHD_Connection *c);

/* For one that is not answered; S may be NULL. */
void event_stream_free(struct event_stream *s);

/* GONE(OWNER, S) is called once, when S is over; nothing is sent to it from then on. */
void event_stream_own(struct event_stream *s, void (*gone)(void *owner, struct event_stream *s), void *owner);

/* Takes S. MHD_NO: it failed, and S is over. */
enum MHD_Result event_stream_answer(struct event_stream *s);

/* NAME is one line; DATA may be anything. */
void event_stream_send(struct event_stream *s, const char *name, struct slice data);

/* N events more were dropped before they came here; they take ids, too. */
void event_stream_drop(struct event_stream *s, uint64_t n);

/* One event as text. ID 0: it has none. Every line of DATA, ended by LF, CR or both, becomes a line of its
 * own; NUL becomes U+FFFD, for there are readers that stop at it. */
void event_stream_frame(struct buf *out, const char *name, uint64_t id, struct slice data);

#endif
