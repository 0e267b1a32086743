/*
 * wire.h: HTTP/1.1 over a blocking socket, as strict as a test wants it.
 *
 * Both ends of the soak use it. A struct wire belongs to one thread. Every call returns within the socket's
 * timeout (WIRE_TIMEOUT_S), which is reported as WIRE_TIMEOUT.
 *
 *     wire_init(&w, fd);
 *     if (wire_read_head(&w, &head) == WIRE_OK) ... head_field(&head, "Content-Length", value, sizeof(value))
 * ... struct body b = {.framing = LENGTH, .size = n, .seed = seed}; enum wire_result got = wire_read_body(&w,
 * &b);         b.moved, b.is_wrong
 */
#ifndef SOAK_WIRE_H
#define SOAK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/soak/plan.h"

#define WIRE_TIMEOUT_S 30

enum wire_result {
    WIRE_OK,
    WIRE_END,      /* the peer closed before the first byte */
    WIRE_CUT,      /* the peer closed or reset before the end */
    WIRE_TIMEOUT,  /* nothing came or went for WIRE_TIMEOUT_S */
    WIRE_NONSENSE, /* what came is not HTTP */
    WIRE_STOPPED   /* `stop_at` was reached */
};

struct wire {
    int fd;
    size_t at, end;
    unsigned char buf[32768];
};

struct head {
    size_t len;
    char text[HEAD_MAX + 1]; /* with its empty line */
};

/* A body on its way, in or out. */
struct body {
    enum framing framing;
    uint64_t size;     /* what Content-Length says; for the others: how much is to be sent */
    uint64_t seed;     /* of the stream it must be */
    bool is_unchecked; /* reading: compare nothing */
    uint64_t stop_at;  /* stop after so many bytes of it, when has_stop */
    bool has_stop;
    bool is_slow;                      /* small pieces with pauses, 60 ms in all */
    bool has_trailers, has_extensions; /* sending, chunked; X-Trail holds the seed */
    uint64_t moved;                    /* out: bytes of the body */
    bool is_wrong;                     /* out: they are not the stream */
    bool got_trailers;                 /* out: X-Trail came; when its value is not the seed, is_wrong */
};

void wire_init(struct wire *w, int fd);

/* Close, with RST when IS_RESET. */
void wire_close(struct wire *w, bool is_reset);

/* Bytes have come that nobody has read. */
bool wire_has_rest(const struct wire *w);

/* Wait up to WAIT_MS for something to read: bytes or the end. */
bool wire_wait(const struct wire *w, int wait_ms);

enum wire_result wire_read_head(struct wire *w, struct head *h);
enum wire_result wire_read_body(struct wire *w, struct body *b);

/* All of it, or false. SLOW: in small pieces, 60 ms in all. */
bool wire_send(struct wire *w, const void *bytes, size_t n, bool is_slow);
enum wire_result wire_send_body(struct wire *w, struct body *b);

/* Wait for the peer to close and take nothing but that: WIRE_OK. */
enum wire_result wire_expect_end(struct wire *w);

/* How often a field occurs; the value of its first occurrence goes to VALUE. */
unsigned head_field(const struct head *h, const char *name, char *value, size_t size);

/* The framing a head announces; *SIZE of LENGTH. False: contradictory or not understood. No framing field:
 * OTHERWISE. */
bool head_framing(const struct head *h, enum framing *framing, uint64_t *size, enum framing otherwise);

#endif
