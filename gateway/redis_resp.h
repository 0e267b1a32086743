/*
 * redis_resp.h: what goes over a connection to Redis: commands as bytes, bytes as replies.
 *
 *     if (!redis_output_add(&out, &command)) ...               // too much waits: nothing was added
 *     n = write(fd, redis_output_waiting(&out));
 *     redis_output_take(&out, n);
 *
 *     if (!redis_reader_feed(r, bytes)) ...
 *     while ((what = redis_reader_next(r, &reply)) == REDIS_READ_REPLY) ...
 *
 * What a node says is hostile: a reply has at most REDIS_REPLY_MAX bytes, arrays in it at most
 * REDIS_ELEMENTS_MAX elements each and REDIS_DEPTH_MAX levels. More, and what is no reply, is a fault, and so
 * is all that follows.
 *
 * One thread. Source: the Redis serialization protocol, version 2 (RESP2).
 */
#ifndef GATEWAY_REDIS_RESP_H
#define GATEWAY_REDIS_RESP_H

#include "lib/check.h"
#include "lib/slice.h"

#define REDIS_WORDS_MAX    160
#define REDIS_OUTPUT_MAX   ((size_t)16 << 20) /* bytes of commands that wait to be written */
#define REDIS_REPLY_MAX    ((size_t)64 << 20)
#define REDIS_LINE_MAX     ((size_t)64 << 10) /* a reply without a length */
#define REDIS_ELEMENTS_MAX ((size_t)1 << 20)
#define REDIS_DEPTH_MAX    6

/* ---- commands ---- */

struct redis_command {
    const struct slice *words; /* 1 to REDIS_WORDS_MAX */
    int n;
};

/* Embedded; {0} is empty. */
struct redis_output {
    char *p;
    size_t begin, end; /* what waits */
    size_t cap;
};

/* False: more than REDIS_OUTPUT_MAX would wait, it has too many words or none, or memory is short. */
MUST_USE bool redis_output_add(struct redis_output *o, const struct redis_command *c);

static inline struct slice redis_output_waiting(const struct redis_output *o)
{
    return (struct slice){o->p + o->begin, o->end - o->begin};
}

/* The first N bytes are written. */
void redis_output_take(struct redis_output *o, size_t n);
void redis_output_fini(struct redis_output *o);

/* ---- replies ---- */

enum redis_kind { REDIS_NIL, REDIS_TEXT, REDIS_INTEGER, REDIS_ARRAY, REDIS_FAILED };

struct redis_reply {
    enum redis_kind kind;
    struct slice text; /* REDIS_TEXT; REDIS_FAILED: what the node said */
    int64_t integer;
    size_t n; /* of REDIS_ARRAY */
    const struct redis_reply *elements;
};

/* Element I of an array; REDIS_NIL when there is none. */
struct redis_reply redis_reply_at(const struct redis_reply *array, size_t i);

struct redis_reader;

enum redis_reading { REDIS_READ_REPLY, REDIS_READ_MORE, REDIS_READ_FAULT };

MUST_USE struct redis_reader *redis_reader_new(void);
void redis_reader_free(struct redis_reader *r);

/* BYTES are lent until the next call of feed, or until next has said MORE. False: memory is short. */
MUST_USE bool redis_reader_feed(struct redis_reader *r, struct slice bytes);

/* The next reply, lent until the next call, and as long as the bytes that were fed; MORE: it is not complete
 * yet. */
MUST_USE enum redis_reading redis_reader_next(struct redis_reader *r, struct redis_reply *reply);

#endif
