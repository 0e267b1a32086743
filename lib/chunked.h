/*
 * chunked.h: the chunked transfer coding (RFC 9112, 7.1), decoded in place and written.
 *
 *     struct chunked d;
 *     chunked_init(&d, space, sizeof(space));
 *     while (!chunked_is_done(&d)) {
 *         n = read(fd, p, size);
 *         ssize_t payload = chunked_decode(&d, p, n, &used);     // now at p[0..payload)
 *         if (payload < 0) ...                                   // chunked_fault_text(d.fault)
 *     }
 *     p[used..n) came behind the message
 *
 * Strict: a size has 1 to 16 hexadecimal digits and is below 2^63; lines end with CRLF; a chunk is followed
 * by CRLF at once. Extensions are passed over: no control bytes, one at most CHUNKED_EXTENSION_MAX bytes, and
 * all together not more than that plus the payload so far, so that nobody is made to read framing for
 * nothing.
 *
 * Trailer fields are checked like header fields and kept in the caller's space. Those that may not come that
 * late are dropped, in both directions: framing, routing, authentication, conditions, content and caching
 * (RFC 9110, 6.5.1).
 *
 * One thread at a time for each struct. Nothing is allocated.
 */
#ifndef LIB_CHUNKED_H
#define LIB_CHUNKED_H

#include "lib/buf.h"
#include "lib/check.h"
#include "lib/http.h"

#include <sys/types.h>

#define CHUNKED_EXTENSION_MAX 1024        /* bytes */
#define CHUNKED_TRAILERS_MAX  32          /* trailer fields that are kept; more are a fault */
#define CHUNKED_TRAILER_BYTES (16 * 1024) /* of the trailer section, with what is dropped of it */
#define CHUNKED_HEADER_MAX    18          /* bytes that chunked_add_header writes at most */

enum chunked_fault {
    CHUNKED_OK,
    CHUNKED_BAD_SIZE,
    CHUNKED_TOO_LARGE,
    CHUNKED_BAD_EXTENSION,
    CHUNKED_EXTENSION_TOO_LONG,
    CHUNKED_BAD_LINE_END,
    CHUNKED_BAD_TRAILER,
    CHUNKED_TRAILERS_TOO_LARGE,
};

enum chunked_state {
    CHUNKED_SIZE,       /* within the digits of a size */
    CHUNKED_SIZE_SPACE, /* white space behind them: an extension must follow */
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER,
    CHUNKED_TRAILER_LF,
    CHUNKED_DONE,
    CHUNKED_FAILED,
};

struct chunked {
    enum chunked_state state;
    enum chunked_fault fault;
    unsigned digits;       /* of the size so far */
    uint64_t left;         /* of the present chunk */
    size_t extension_left; /* bytes of extensions that are still borne with */
    char *space;           /* the caller's: lines grow from its start, the fields' array from its end */
    size_t space_size;
    size_t line; /* where the present trailer line begins */
    size_t used; /* where it ends */
    size_t trailer_bytes;
    size_t ntrailers;
};

/* SPACE (of SIZE bytes) keeps the trailer fields and is lent as long as D is used. A trailer line that does
 * not fit is a fault; about 64 bytes are needed for each usual field. */
void chunked_init(struct chunked *d, void *space, size_t size);

/*
 * Decode the LEN bytes at P. The payload among them is moved to the front of P; its length is the result, or
 * -1 for a fault (d->fault says which; it is final). *CONSUMED gets the bytes that belong to the message:
 * less than LEN only when it is done, or at a fault.
 */
MUST_USE ssize_t chunked_decode(struct chunked *d, char *p, size_t len, size_t *consumed);

static inline bool chunked_is_done(const struct chunked *d)
{
    return d->state == CHUNKED_DONE;
}

/* Payload bytes that the present chunk still needs: that many may be received straight to where they are
 * wanted, told by chunked_skip. 0 when framing comes next. */
static inline uint64_t chunked_needs(const struct chunked *d)
{
    return d->state == CHUNKED_DATA ? d->left : 0;
}

/* N bytes of payload, at most chunked_needs, went elsewhere. */
void chunked_skip(struct chunked *d, uint64_t n);

/* The trailer fields; none before it is done. They live in the caller's space. */
struct http_fields chunked_trailers(const struct chunked *d);

/* "bad chunk size". */
const char *chunked_fault_text(enum chunked_fault fault);

/* ---- writing ---- */

/* The line before a chunk of LEN > 0 bytes; behind them goes CRLF. */
void chunked_add_header(struct buf *b, uint64_t len);

/* The last chunk and the trailer section. Trailers that are malformed or may not come that late are left out.
 */
void chunked_add_last(struct buf *b, struct http_fields trailers);

/* Whether a field may stand in a trailer section. */
bool chunked_may_trail(struct slice name);

#endif
