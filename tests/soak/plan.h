/*
 * plan.h: what one request of the soak is, and what its origin is told to do with it.
 *
 * A plan follows from the run's seed and the request's number alone, so a failure can be repeated. The client
 * acts by the plan; the origin knows only what the request's header tells it (plan_write_head,
 * plan_read_order), so that a header that is lost, mixed up or given to the wrong request is seen.
 *
 *     struct plan p;
 *     plan_make(&p, seed, id, PLAN_ANY);
 *     plan_write_head(&p, text, sizeof(text));
 *
 * Bodies and filler text are streams: the bytes at an offset follow from a seed, so both ends can make and
 * compare any part without keeping it. Every function here is pure and may be called by any thread.
 */
#ifndef SOAK_PLAN_H
#define SOAK_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX 12288 /* bytes of any head the soak sends or accepts */

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0..bound-1; BOUND > 0 */
bool rng_chance(struct rng *r, unsigned per_10000);

/* N bytes of the stream SEED from offset AT on, and whether those at BYTES are just these. */
void stream_fill(uint64_t seed, uint64_t at, unsigned char *out, size_t n);
bool stream_same(uint64_t seed, uint64_t at, const unsigned char *bytes, size_t n);

enum framing { NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE };

/* What the origin does with its connection after a complete answer: DROP closes without having said so. */
enum after { KEEP, SAY_CLOSE, DROP };

enum fault {
    NO_FAULT,
    CUT_BODY,   /* the origin closes after `cut_at` bytes of the answer's body */
    CUT_HEAD,   /* ... in the middle of the answer's head */
    NO_ANSWER,  /* ... after having read the request */
    EARLY_KEEP, /* the origin answers before it reads the request's body, which it then reads to its end */
    EARLY_CLOSE /* ... and closes without having read it */
};

enum leave { STAY, LEAVE_IN_HEAD, LEAVE_IN_BODY, LEAVE_IN_ANSWER };

/* What the origin is told, in the field X-Do. */
struct order {
    int status;
    enum framing framing;
    uint64_t size, seed;                  /* of the answer's body */
    bool has_trailers, is_slow, is_reset; /* is_reset: faults close with RST, not FIN */
    unsigned interim;                     /* answers 103 sent before the final one */
    unsigned delay_ms;                    /* before it answers */
    enum after after;
    enum fault fault;
    uint64_t cut_at;
};

struct plan {
    uint64_t id, seed; /* seed: of the request's body and filler */
    const char *method;
    bool is_http10, is_kept; /* is_kept: the client wants to keep the connection */
    enum framing framing;
    uint64_t size;
    bool has_trailers, has_extensions;
    bool expects, waits; /* Expect: 100-continue; whether the body waits for it */
    bool is_slow;
    enum leave leave;
    uint64_t leave_at; /* bytes of the head or body after which the client goes */
    bool is_reset;     /* it goes with RST, not FIN */
    struct order order;
};

enum plan_kind { PLAN_ANY, PLAN_PIPELINED };

/* PLAN_PIPELINED: a GET that is kept, with an answer of at most 16 KB and no fault. */
void plan_make(struct plan *p, uint64_t seed, uint64_t id, enum plan_kind kind);

/* How many requests, this one included, go out in one write (1: no pipelining). */
unsigned plan_batch(uint64_t seed, uint64_t id);

bool plan_is_idempotent(const char *method);

/* Whether the answer to METHOD with STATUS has a body. */
bool plan_has_answer_body(const char *method, int status);

/* Request line and header of the plan, with the empty line; its length. SIZE >= HEAD_MAX. */
size_t plan_write_head(const struct plan *p, char *out, size_t size);

/* Filler text that follows from SEED, up to 2,000 characters of [a-z]; its length. SIZE > 2000. */
size_t plan_filler(uint64_t seed, char *out, size_t size);

/* The value of X-Do, and what it says; false: it says nothing understandable. */
void plan_write_order(const struct order *o, char *out, size_t size);
bool plan_read_order(struct order *o, const char *text);

/* A sum over what a request's header tells the origin, sent in X-Check. */
uint64_t plan_check(const char *method, uint64_t id, uint64_t size, const char *order_text);

/* One line that describes the plan, for messages. */
void plan_describe(const struct plan *p, char *out, size_t size);

#endif
