/*
 * tail.h: the log as it is written, for those who look on: GET /log of the admin port.
 *
 *     event: request   data: the request's line of the access log, as JSON
 *     event: log       data: a line of the error log, as JSON
 *     event: dropped   data: {"count":17}: so many events did not come, for want of room
 *
 * The lines are JSON whatever the configured format, also where the access log is off, and mask what the log
 * masks. Lines of one worker come in the order that their requests ended; those of several within a worker's
 * tick and TAIL_EVERY_MS of it.
 *
 *     struct tail *t = tail_new(&setup);                        // control thread
 *     tail_listen(t, stream, &filter);                          // for an event_stream that was just made
 *
 *     struct tail_stream *s = tail_stream_new(t);               // one for each worker, on its thread
 *     uint32_t who = tail_stream_match(s, &record);             // for each request
 *     if (who)
 *         tail_stream_line(s, who, json);
 *     tail_stream_flush(s);                                     // every 50 ms or so
 *
 * Each worker has its own reference to the filters of all listeners, an immutable set: a new one comes to it
 * as a message whenever a listener comes or goes, so that without listeners a request costs a look into the
 * worker's own memory. With them, a line that nobody wants is never made. Lines travel in blocks, of which at
 * most TAIL_BLOCKS wait; what has no room is dropped, counted for each listener and told.
 */
#ifndef GATEWAY_TAIL_H
#define GATEWAY_TAIL_H

#include <stdatomic.h>
#include <uv.h>

#include "gateway/event_stream.h"
#include "gateway/log.h"
#include "gateway/record.h"
#include "lib/cidr.h"

#define TAIL_LISTENERS EVENT_STREAMS_MAX /* bits of a mask of them */
#define TAIL_EVERY_MS  50
#define TAIL_BLOCKS    64 /* of 32 KB, of all workers */
#define TAIL_TEXT_MAX  1024
#define TAIL_STATUSES  8

/* ---- filters ---- */

/* Query parameters; NULL: not there. */
struct tail_ask {
    const char *request; /* its request id or trace id begins so */
    const char *trace;   /* its trace id begins so */
    const char *route, *backend, *method;
    const char *status; /* "404", "5xx", "404,5xx" */
    const char *min_ms; /* it took so long, at least */
    const char *path;   /* its path begins so */
    const char *client; /* an address or a block of them */
    const char *log;    /* "no": no lines of the error log */
};

/* Where a request has to match all that is not empty. */
struct tail_filter {
    uint64_t born; /* the set's generation when it came; 0: nobody */
    struct slice request, trace, route, backend, method, path;
    struct {
        uint16_t low, high;
    } statuses[TAIL_STATUSES];
    unsigned nstatuses; /* 0: any */
    uint64_t min_ns;
    bool has_client;
    struct cidr client;
    bool wants_log;
};

/* OUT borrows ASK's texts; tail_listen copies them. NULL, or what is wrong, in words for who asks. */
MUST_USE const char *tail_filter_parse(const struct tail_ask *ask, struct tail_filter *out);

/* Any thread. */
bool tail_filter_matches(const struct tail_filter *f, const struct record *r);

/* ---- control thread ---- */

struct tail;
struct tail_filters; /* immutable, counted */

struct tail_setup {
    uv_loop_t *loop;
    struct log *log; /* the error log, whose listener this becomes; NULL: none */
    /* Let every worker tail_stream_take FILTERS (with a reference of its own). */
    void (*publish)(void *ctx, struct tail_filters *filters);
    void *ctx;
};

/* NULL: out of memory. */
MUST_USE struct tail *tail_new(const struct tail_setup *setup);

/* STREAM gets all that FILTER lets through, until it is over. False: memory is short, and STREAM is as it
 * was. */
MUST_USE bool tail_listen(struct tail *t, struct event_stream *stream, const struct tail_filter *filter);

/* When the workers and the streams are gone: closes what is on the loop. Then, when nobody logs any more,
 * tail_free. */
void tail_close(struct tail *t);
void tail_free(struct tail *t);

/* ---- any thread ---- */

struct tail_filters *tail_filters_get(struct tail_filters *f);
void tail_filters_put(struct tail_filters *f);

/* ---- a worker's thread ---- */

struct tail_stream;

/* NULL: out of memory. T may be NULL: then nobody ever listens. */
MUST_USE struct tail_stream *tail_stream_new(struct tail *t);
void tail_stream_free(struct tail_stream *s);

/* Takes the reference. */
void tail_stream_take(struct tail_stream *s, struct tail_filters *filters);

/* Who wants R, as a mask; 0: nobody. */
uint32_t tail_stream_match(const struct tail_stream *s, const struct record *r);

/* LINE is copied. */
void tail_stream_line(struct tail_stream *s, uint32_t who, struct slice line);
void tail_stream_flush(struct tail_stream *s);

#endif
