/*
 * chunked.c: see chunked.h.
 *
 * Framing is read byte by byte through a switch, payload is moved in one piece. A trailer line is gathered in
 * the caller's space until it is whole, then judged; a line that is not kept gives its bytes back. The array
 * of fields grows down from the end of the space, so the last field comes first in it; it is turned round
 * when the section ends.
 *
 * Invariants: left > 0 in CHUNKED_DATA; line <= used; used + the array <= space_size.
 */
#include "lib/chunked.h"

#include "lib/http1_scan.h"

#define SIZE_DIGITS 16

void chunked_init(struct chunked *d, void *space, size_t size)
{
    /* The array wants an aligned end. */
    size_t over = ((uintptr_t)space + size) % _Alignof(struct http_field);
    *d = (struct chunked){
        .state = CHUNKED_SIZE,
        .extension_left = CHUNKED_EXTENSION_MAX,
        .space = space,
        .space_size = size > over ? size - over : 0,
    };
}

static struct http_field *fields_end(const struct chunked *d)
{
    return (struct http_field *)(void *)(d->space + d->space_size);
}

static size_t room(const struct chunked *d)
{
    return d->space_size - d->ntrailers * sizeof(struct http_field) - d->used;
}

struct http_fields chunked_trailers(const struct chunked *d)
{
    if (d->state != CHUNKED_DONE || d->ntrailers == 0)
        return (struct http_fields){NULL, 0};
    return (struct http_fields){fields_end(d) - d->ntrailers, d->ntrailers};
}

/* ---- which trailers may be ---- */

static const struct slice forbidden[] = {
    /* framing and the connection; http_is_hop_by_hop has more */
    {"content-length", 14},
    {"host", 4},
    {"upgrade-insecure-requests", 25},
    {"http2-settings", 14},
    /* where it goes, and for whom */
    {"max-forwards", 12},
    {"forwarded", 9},
    {"via", 3},
    {"x-real-ip", 9},
    {"x-request-id", 12},
    {"traceparent", 11},
    {"tracestate", 10},
    /* who asks, and what a client is told to keep */
    {"authorization", 13},
    {"www-authenticate", 16},
    {"cookie", 6},
    {"set-cookie", 10},
    {"strict-transport-security", 25},
    /* conditions and controls */
    {"expect", 6},
    {"range", 5},
    {"if-match", 8},
    {"if-none-match", 13},
    {"if-modified-since", 17},
    {"if-unmodified-since", 19},
    {"if-range", 8},
    {"cache-control", 13},
    {"cdn-cache-control", 17},
    {"surrogate-control", 17},
    {"pragma", 6},
    {"age", 3},
    {"expires", 7},
    {"date", 4},
    {"vary", 4},
    {"warning", 7},
    {"location", 8},
    {"retry-after", 11},
    /* how the content is read */
    {"content-encoding", 16},
    {"content-type", 12},
    {"content-range", 13},
    {"content-disposition", 19},
};

bool chunked_may_trail(struct slice name)
{
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        if (slice_eq_nocase(name, forbidden[i]))
            return false;
    struct slice start = {name.p, name.len < 12 ? name.len : 12};
    return !slice_eq_nocase(start, SLICE("x-forwarded-")) && !http_is_hop_by_hop(name);
}

/* ---- the trailer section ---- */

static enum chunked_fault keep_trailer(struct chunked *d, struct slice name, struct slice value)
{
    if (d->ntrailers == CHUNKED_TRAILERS_MAX || room(d) < sizeof(struct http_field))
        return CHUNKED_TRAILERS_TOO_LARGE;
    d->ntrailers++;
    *(fields_end(d) - d->ntrailers) = (struct http_field){name, value};
    d->line = d->used;
    return CHUNKED_OK;
}

/* The line between `line` and `used` is whole. */
static enum chunked_fault end_trailer_line(struct chunked *d)
{
    const char *p = d->space + d->line, *end = d->space + d->used;
    const char *colon = http1_skip_token(p, end);
    if (colon == p || colon == end || *colon != ':')
        return CHUNKED_BAD_TRAILER;
    struct slice name = slice_between(p, colon);
    if (chunked_may_trail(name))
        return keep_trailer(d, name, http1_trim(colon + 1, end));
    d->used = d->line;
    return CHUNKED_OK;
}

static enum chunked_fault end_trailers(struct chunked *d)
{
    struct http_field *last = d->ntrailers > 0 ? fields_end(d) - 1 : NULL;
    for (struct http_field *f = last ? fields_end(d) - d->ntrailers : NULL; f < last; f++, last--) {
        struct http_field swap = *f;
        *f = *last;
        *last = swap;
    }
    d->state = CHUNKED_DONE;
    return CHUNKED_OK;
}

static enum chunked_fault take_trailer(struct chunked *d, char c)
{
    if (c == '\r') {
        d->state = CHUNKED_TRAILER_LF;
        return CHUNKED_OK;
    }
    if (c == '\n')
        return CHUNKED_BAD_LINE_END;
    if (!(http_char_class[(unsigned char)c] & HTTP_VALUE))
        return CHUNKED_BAD_TRAILER;
    if (room(d) == 0)
        return CHUNKED_TRAILERS_TOO_LARGE;
    d->space[d->used++] = c;
    return CHUNKED_OK;
}

static enum chunked_fault take_trailer_lf(struct chunked *d, char c)
{
    if (c != '\n')
        return CHUNKED_BAD_LINE_END;
    d->state = CHUNKED_TRAILER;
    return d->used == d->line ? end_trailers(d) : end_trailer_line(d);
}

/* ---- the size line ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum chunked_fault take_extension(struct chunked *d, char c)
{
    if (d->state == CHUNKED_SIZE_SPACE && c != ';' && !http1_is_blank(c))
        return CHUNKED_BAD_SIZE;
    if (c == '\r') {
        d->state = CHUNKED_SIZE_LF;
        return CHUNKED_OK;
    }
    if (c == '\n')
        return CHUNKED_BAD_LINE_END;
    if (!(http_char_class[(unsigned char)c] & HTTP_VALUE))
        return CHUNKED_BAD_EXTENSION;
    if (d->extension_left == 0)
        return CHUNKED_EXTENSION_TOO_LONG;
    d->extension_left--;
    if (c == ';')
        d->state = CHUNKED_EXTENSION;
    return CHUNKED_OK;
}

static enum chunked_fault take_size(struct chunked *d, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (d->digits++ == SIZE_DIGITS || d->left > INT64_MAX >> 4)
            return CHUNKED_TOO_LARGE;
        d->left = d->left << 4 | (unsigned)digit;
        return CHUNKED_OK;
    }
    if (d->digits == 0)
        return CHUNKED_BAD_SIZE;
    if (c == '\n')
        return CHUNKED_BAD_LINE_END;
    if (c == '\r') {
        d->state = CHUNKED_SIZE_LF;
        return CHUNKED_OK;
    }
    d->state = CHUNKED_SIZE_SPACE;
    return take_extension(d, c);
}

static enum chunked_fault take_size_lf(struct chunked *d, char c)
{
    if (c != '\n')
        return CHUNKED_BAD_LINE_END;
    d->state = d->left > 0 ? CHUNKED_DATA : CHUNKED_TRAILER;
    d->digits = 0;
    size_t more = d->left < CHUNKED_EXTENSION_MAX ? (size_t)d->left : CHUNKED_EXTENSION_MAX;
    d->extension_left += more;
    if (d->extension_left > CHUNKED_EXTENSION_MAX)
        d->extension_left = CHUNKED_EXTENSION_MAX;
    return CHUNKED_OK;
}

static enum chunked_fault expect(struct chunked *d, char c, char wanted, enum chunked_state next)
{
    if (c != wanted)
        return CHUNKED_BAD_LINE_END;
    d->state = next;
    return CHUNKED_OK;
}

/* One byte of framing. */
static enum chunked_fault take_byte(struct chunked *d, char c)
{
    switch (d->state) {
    case CHUNKED_SIZE:
        return take_size(d, c);
    case CHUNKED_SIZE_SPACE:
    case CHUNKED_EXTENSION:
        return take_extension(d, c);
    case CHUNKED_SIZE_LF:
        return take_size_lf(d, c);
    case CHUNKED_DATA_CR:
        return expect(d, c, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF:
        return expect(d, c, '\n', CHUNKED_SIZE);
    case CHUNKED_TRAILER:
    case CHUNKED_TRAILER_LF:
        if (d->trailer_bytes++ == CHUNKED_TRAILER_BYTES)
            return CHUNKED_TRAILERS_TOO_LARGE;
        return d->state == CHUNKED_TRAILER ? take_trailer(d, c) : take_trailer_lf(d, c);
    case CHUNKED_DATA:
    case CHUNKED_DONE:
    case CHUNKED_FAILED:
        break;
    }
    CHECK(!"framing in this state");
    return CHUNKED_OK;
}

void chunked_skip(struct chunked *d, uint64_t n)
{
    CHECK(n <= chunked_needs(d));
    d->left -= n;
    if (d->left == 0 && n > 0)
        d->state = CHUNKED_DATA_CR;
}

ssize_t chunked_decode(struct chunked *d, char *p, size_t len, size_t *consumed)
{
    size_t at = 0, payload = 0;
    while (at < len && d->state < CHUNKED_DONE) {
        if (d->state == CHUNKED_DATA) {
            size_t n = d->left < len - at ? (size_t)d->left : len - at;
            if (payload != at)
                memmove(p + payload, p + at, n);
            payload += n;
            at += n;
            chunked_skip(d, n);
            continue;
        }
        d->fault = take_byte(d, p[at]);
        if (UNLIKELY(d->fault != CHUNKED_OK))
            d->state = CHUNKED_FAILED;
        else
            at++;
    }
    *consumed = at;
    return d->state == CHUNKED_FAILED ? -1 : (ssize_t)payload;
}

const char *chunked_fault_text(enum chunked_fault fault)
{
    switch (fault) {
    case CHUNKED_OK:
        return "no fault";
    case CHUNKED_BAD_SIZE:
        return "malformed chunk size";
    case CHUNKED_TOO_LARGE:
        return "chunk size is too large";
    case CHUNKED_BAD_EXTENSION:
        return "control byte in a chunk extension";
    case CHUNKED_EXTENSION_TOO_LONG:
        return "chunk extensions are too long";
    case CHUNKED_BAD_LINE_END:
        return "line or chunk does not end with CRLF";
    case CHUNKED_BAD_TRAILER:
        return "malformed trailer field";
    case CHUNKED_TRAILERS_TOO_LARGE:
        return "trailer section is too large";
    }
    return "unknown fault";
}

/* ---- writing ---- */

void chunked_add_header(struct buf *b, uint64_t len)
{
    char text[CHUNKED_HEADER_MAX];
    size_t at = sizeof(text);
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = "0123456789abcdef"[len & 15];
        len >>= 4;
    } while (len > 0);
    buf_add(b, (struct slice){text + at, sizeof(text) - at});
}

void chunked_add_last(struct buf *b, struct http_fields trailers)
{
    buf_add(b, SLICE("0\r\n"));
    for (size_t i = 0; i < trailers.n; i++) {
        const struct http_field *f = &trailers.at[i];
        if (!http_is_token(f->name) || !http1_is_text(f->value) || !chunked_may_trail(f->name))
            continue;
        buf_add(b, f->name);
        buf_add(b, SLICE(": "));
        buf_add(b, f->value);
        buf_add(b, SLICE("\r\n"));
    }
    buf_add(b, SLICE("\r\n"));
}
