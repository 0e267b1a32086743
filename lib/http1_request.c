/*
 * http1_request.c: writing the head of a request, and judging one that a library parsed; see http1.h.
 *
 * The writer checks again what it writes, at eight bytes a time: it is the last one who can keep a line end
 * out of a backend's input.
 */
#include "lib/http1.h"

#include "lib/http1_scan.h"
#include "lib/uri.h"

/* ---- writing ---- */

/* VCHAR of US-ASCII only. */
static bool is_target(struct slice s)
{
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] - 0x21u > 0x7Eu - 0x21u)
            return false;
    return true;
}

void http1_request_begin(struct buf *b, struct slice method, struct slice target)
{
    if (!http1_is_token(method) || !is_target(target))
        b->failed = true;
    buf_add(b, method);
    buf_add(b, SLICE(" "));
    buf_add(b, target);
    buf_add(b, SLICE(" HTTP/1.1\r\n"));
}

void http1_request_field(struct buf *b, struct slice name, struct slice value)
{
    if (!http1_is_token(name) || !http1_is_text(value))
        b->failed = true;
    buf_add(b, name);
    buf_add(b, SLICE(": "));
    buf_add(b, value);
    buf_add(b, SLICE("\r\n"));
}

void http1_request_fields(struct buf *b, struct http_fields fields)
{
    for (size_t i = 0; i < fields.n; i++)
        http1_request_field(b, fields.at[i].name, fields.at[i].value);
}

void http1_request_end(struct buf *b)
{
    buf_add(b, SLICE("\r\n"));
}

/* ---- judging ---- */

/* What was found among the fields so far. */
struct found {
    bool is_chunked;
    bool has_length;
    bool says_close;
    bool says_keep_alive;
    bool expects_continue;
};

/* A list must not be, so nothing but digits, and the value as it stands. */
static enum http1_fault take_length(struct http1_request *out, struct found *found, struct slice value)
{
    if (found->has_length || !slice_to_u64(value, INT64_MAX, &out->length))
        return HTTP1_BAD_LENGTH;
    found->has_length = true;
    return HTTP1_OK;
}

static enum http1_fault take_coding(struct found *found, struct slice value)
{
    if (found->is_chunked || !slice_eq_nocase(value, SLICE("chunked")))
        return HTTP1_BAD_CODING;
    found->is_chunked = true;
    return HTTP1_OK;
}

static enum http1_fault take_host(struct http1_request *out, struct slice value)
{
    struct slice name;
    if (out->has_host || !uri_host(value, &name))
        return HTTP1_BAD_HOST;
    out->host = value;
    out->has_host = true;
    return HTTP1_OK;
}

static enum http1_fault take_expect(const struct http1_request *out, struct found *found, struct slice value)
{
    if (out->minor == 0) /* must be ignored (RFC 9110, 10.1.1) */
        return HTTP1_OK;
    if (!slice_eq_nocase(value, SLICE("100-continue")))
        return HTTP1_BAD_EXPECT;
    found->expects_continue = true;
    return HTTP1_OK;
}

static enum http1_fault take_connection(struct found *found, struct slice value)
{
    struct slice token;
    if (value.len == 10 && memcmp(value.p, "keep-alive", 10) == 0) {
        found->says_keep_alive = true;
        return HTTP1_OK;
    }
    while (slice_next_token(&value, &token)) {
        found->says_close |= slice_eq_nocase(token, SLICE("close"));
        found->says_keep_alive |= slice_eq_nocase(token, SLICE("keep-alive"));
    }
    return HTTP1_OK;
}

/* The fields that have a say in what the request is. RAW is the value with the white space behind it. */
static enum http1_fault take_field(struct http1_request *out, struct found *found, const struct http_field *f,
                                   struct slice raw)
{
    switch (f->name.len) {
    case 4:
        return slice_eq_nocase(f->name, SLICE("Host")) ? take_host(out, f->value) : HTTP1_OK;
    case 6:
        return (f->name.p[0] | 0x20) == 'e' && slice_eq_nocase(f->name, SLICE("Expect"))
                   ? take_expect(out, found, f->value)
                   : HTTP1_OK;
    case 10:
        return http1_is_name(f->name.p, "connection", 10) ? take_connection(found, f->value) : HTTP1_OK;
    case 14:
        return http1_is_name(f->name.p, "content-length", 14) ? take_length(out, found, raw) : HTTP1_OK;
    case 17:
        return http1_is_name(f->name.p, "transfer-encoding", 17) ? take_coding(found, raw) : HTTP1_OK;
    default:
        return HTTP1_OK;
    }
}

static enum http1_fault check_line(const struct http1_request_check_in *in, struct http1_request *out)
{
    if (!http1_is_token(in->method))
        return HTTP1_BAD_METHOD;
    if (!is_target(in->target))
        return HTTP1_BAD_TARGET;
    if (slice_eq(in->version, SLICE("HTTP/1.1")))
        out->minor = 1;
    else if (!slice_eq(in->version, SLICE("HTTP/1.0")))
        return HTTP1_BAD_VERSION;
    return HTTP1_OK;
}

static enum http1_fault settle(struct http1_request *out, const struct found *found)
{
    if (found->is_chunked && found->has_length)
        return HTTP1_TWO_FRAMINGS;
    if (found->is_chunked && out->minor == 0)
        return HTTP1_BAD_CODING;
    if (out->minor == 1 && !out->has_host)
        return HTTP1_BAD_HOST;
    out->framing = found->is_chunked ? HTTP1_CHUNKED : found->has_length ? HTTP1_LENGTH : HTTP1_NO_BODY;
    out->expects_continue = found->expects_continue && (out->framing == HTTP1_CHUNKED ||
                                                        (out->framing == HTTP1_LENGTH && out->length > 0));
    out->keep_alive = !found->says_close && (out->minor == 1 || found->says_keep_alive);
    return HTTP1_OK;
}

enum http1_fault http1_request_check(const struct http1_request_check_in *in, struct http1_request *out)
{
    struct found found = {.is_chunked = false};
    *out = (struct http1_request){.host = {"", 0}};
    enum http1_fault fault = check_line(in, out);
    if (fault == HTTP1_OK && in->fields.n > in->max_fields)
        fault = HTTP1_TOO_MANY_FIELDS;
    for (size_t i = 0; i < in->fields.n && fault == HTTP1_OK; i++) {
        struct http_field *f = &in->fields.at[i];
        struct slice raw = f->value;
        if (!http1_is_token(f->name))
            return HTTP1_BAD_NAME;
        if (!http1_is_text(raw))
            return HTTP1_BAD_VALUE;
        if (raw.len > 0)
            f->value = http1_trim(raw.p, raw.p + raw.len);
        fault = take_field(out, &found, f, raw);
    }
    return fault != HTTP1_OK ? fault : settle(out, &found);
}
