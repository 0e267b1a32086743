/*
 * http1.h: HTTP/1.1 on the wire, strictly (RFC 9112).
 *
 * Towards backends this is the whole codec of message heads: http1_response_parse reads the head of an
 * answer, http1_request_begin and its companions write the head of a request. Bodies in chunks are
 * chunked.h's. Towards clients a library parses; http1_request_check and http1_raw_head_check judge what it
 * let through.
 *
 * What is strict: lines end with CRLF, never with a bare CR or LF; no folded lines; names are tokens and
 * stand right before their colon; values hold no control byte but HTAB; a body has exactly one framing.
 * Whatever two readers could understand in two ways is refused, never mended.
 *
 *     struct http1_response r;
 *     struct http_field fields[64];
 *     http1_response_init(&r, fields, 64, is_head);
 *     do
 *         have += read(fd, p + have, room - have);                  // until the head is whole
 *     while ((fault = http1_response_parse(&r, p, have)) == HTTP1_MORE && have < room);
 *     if (fault != HTTP1_OK) ...                                    // http1_fault_text(fault)
 *     body begins at p + r.head_len, and r.framing says how it ends
 *
 * Nothing is allocated or copied; slices point into the caller's bytes. Pure functions over the caller's
 * structs: one thread at a time for each struct.
 */
#ifndef LIB_HTTP1_H
#define LIB_HTTP1_H

#include "lib/buf.h"
#include "lib/check.h"
#include "lib/http.h"

/* Interim answers (1xx) that one request may get before its final one; for callers that pass over them. */
#define HTTP1_INTERIM_MAX 16

enum http1_fault {
    HTTP1_OK,
    HTTP1_MORE, /* no fault: the head is not whole yet */
    HTTP1_BAD_START_LINE,
    HTTP1_BAD_VERSION,
    HTTP1_BAD_METHOD,
    HTTP1_BAD_TARGET,
    HTTP1_BAD_LINE_END, /* a bare CR or LF */
    HTTP1_FOLDED,       /* a line that begins with white space */
    HTTP1_BAD_NAME,
    HTTP1_BAD_VALUE,
    HTTP1_TOO_MANY_FIELDS, /* 431 */
    HTTP1_BAD_LENGTH,
    HTTP1_BAD_CODING,    /* Transfer-Encoding */
    HTTP1_TWO_FRAMINGS,  /* Content-Length and Transfer-Encoding */
    HTTP1_BAD_HOST,      /* missing, twice or malformed */
    HTTP1_BAD_EXPECT,    /* 417 */
    HTTP1_PARSED_WRONGLY /* the library's list of fields is not what lies in its buffer */
};

/* A fault as words for a log line or a client: "line does not end with CRLF". */
const char *http1_fault_text(enum http1_fault fault);

enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH,
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE, /* answers only */
};

/* ---- answers ---- */

/* The head of an answer; the upper part is set when the parser says HTTP1_OK. */
struct http1_response {
    unsigned minor;  /* HTTP/1.0 or HTTP/1.1 */
    unsigned status; /* 100..999 */
    struct slice reason;
    struct http_fields fields; /* values without the white space around them */
    size_t head_len;           /* bytes up to and with the empty line */
    enum http1_framing framing;
    uint64_t length; /* of Content-Length; also told where there is no body: HEAD, 304 */
    bool has_length; /* there is one */
    bool keep_alive; /* the connection may be used again once the body was read to its end */

    size_t max_fields;
    size_t at;    /* bytes that were looked at */
    size_t name;  /* where the present field begins; 0: none yet */
    size_t value; /* where its value begins; 0: still in the name */
    bool is_head;
    bool is_chunked;
    bool says_close;
    bool says_keep_alive;
};

/* FIELDS has room for MAX_FIELDS and is lent as long as R is used. IS_HEAD: the answer is to a HEAD request.
 */
void http1_response_init(struct http1_response *r, struct http_field *fields, size_t max_fields,
                         bool is_head);

/*
 * Parse the LEN bytes that have come so far; they begin with the status line and may go on behind the head.
 * HTTP1_MORE: call again with the same address and more bytes; what was looked at is not looked at again. Any
 * other result is final. The bytes may arrive in any portions: the result is the same.
 *
 *   - Status lines without a reason are taken with and without the space. 600..999 are taken as they come, as
 *     other proxies do (RFC 9110 15 calls them invalid, but says to go on); below 100 is refused.
 *   - Content-Length may be repeated or a list when all its members are the same number of at most 2^63-1
 *     (RFC 9112, 6.3); anything else is refused.
 *   - Transfer-Encoding must be exactly "chunked" (any case), once, on HTTP/1.1, without Content-Length, and
 * not on 1xx and 204.
 *   - 1xx, 101 too, are reported like any answer, without body: the caller passes over them, at most
 * HTTP1_INTERIM_MAX, and initialises again for the next head.
 */
MUST_USE enum http1_fault http1_response_parse(struct http1_response *r, const char *p, size_t len);

/* ---- requests towards backends ---- */

/*
 * Write the head of a request piece by piece:
 *
 *     http1_request_begin(&b, SLICE("GET"), SLICE("/a?b"));
 *     http1_request_field(&b, SLICE("Host"), host);
 *     http1_request_fields(&b, fields);
 *     http1_request_end(&b);
 *     if (b.failed) ...
 *
 * A method or name that is no token, a target with a space, control or non-ASCII byte, a value with a control
 * byte: the buffer fails as if it were full.
 */
void http1_request_begin(struct buf *b, struct slice method, struct slice target);
void http1_request_field(struct buf *b, struct slice name, struct slice value);
void http1_request_fields(struct buf *b, struct http_fields fields);
void http1_request_end(struct buf *b);

/* ---- requests of clients, parsed by a library ---- */

struct http1_request_check_in {
    struct slice method;
    struct slice target;  /* raw */
    struct slice version; /* "HTTP/1.1" */
    struct http_fields fields;
    size_t max_fields;
};

/* What a request wants, as far as it is HTTP's business. */
struct http1_request {
    unsigned minor;
    enum http1_framing framing;
    uint64_t length;       /* HTTP1_LENGTH */
    struct slice host;     /* the Host field with its port; empty when there is none */
    bool has_host;         /* always, but for HTTP/1.0 */
    bool expects_continue; /* it waits for 100 before it sends its body */
    bool keep_alive;       /* the client wants to use the connection again */
};

/*
 * Check all that a request's head may not be. White space behind values is cut off in IN->fields, after it
 * was judged: for the framing fields it is a fault, because the library frames by the text as it stands.
 *
 *   - HTTP/1.0 and HTTP/1.1 only; the method is a token; the target has no space, control or non-ASCII byte.
 *   - Exactly one well-formed Host on HTTP/1.1, at most one on HTTP/1.0.
 *   - One Content-Length of digits at most (2^63-1), no list. Transfer-Encoding as for answers. Never both.
 *   - Expect is "100-continue" (ignored on HTTP/1.0).
 */
MUST_USE enum http1_fault http1_request_check(const struct http1_request_check_in *in,
                                              struct http1_request *out);

/*
 * The head of a request as libmicrohttpd before 0.9.76 leaves it in its own buffer when it calls the access
 * handler for the first time: it begins at the handler's METHOD pointer and has the length of
 * MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE. CR, LF, the colons and the two spaces of the request line have
 * become NUL, and the query was cut to pieces.
 */
struct http1_raw_head {
    const char *raw; /* the handler's METHOD */
    size_t len;
    const char *version;       /* the handler's VERSION */
    size_t target_len;         /* of the target in the URI log callback, up to its first NUL */
    struct http_fields fields; /* what MHD_get_connection_values_n gives for MHD_HEADER_KIND, in its order */
};

/*
 * Walk over the raw head once and compare it with what the library made of it. Refused: bare LF, folded
 * lines, lines that begin with ':' or NUL (they end the head for the library), NUL in names, values or the
 * target, white space before the colon or around the target, and any field that is in one but not in the
 * other. The other bytes of the target are http1_request_check's. For those versions only: later ones have a
 * parser that refuses all this and cuts lines differently.
 *
 * What cannot be told, because it looks like the library's own NULs: beside a bare LF, a NUL, or a line of
 * only ":" at the end, in the place of the rest of CRLF or CRLF CRLF ("Name: value NUL LF").
 */
MUST_USE enum http1_fault http1_raw_head_check(const struct http1_raw_head *head);

#endif
