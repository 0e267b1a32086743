/*
 * http1_response.c: the head of an answer; see http1.h.
 *
 * One pass. `at` is how far it came, `name` and `value` say in which part of a field that is; when bytes run
 * out all three are kept and the next call goes on there, so that a byte is looked at once however the head
 * arrives. Offsets, not pointers, are kept, and 0 is no offset of a field since the status line is before
 * them all.
 *
 * Values are skipped sixteen bytes at a time by a test for control bytes that finds the CR and judges the
 * value in one. Fields that matter here are told apart by the length of their name, and only then compared.
 *
 * What a fault is does not depend on how the bytes were cut: a byte is judged as soon as it is the next one.
 */
#include "lib/http1.h"

#include "lib/http1_scan.h"

#define STATUS_LINE_MIN 12 /* "HTTP/1.1 200" */

void http1_response_init(struct http1_response *r, struct http_field *fields, size_t max_fields, bool is_head)
{
    *r = (struct http1_response){.fields = {fields, 0}, .max_fields = max_fields, .is_head = is_head};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The first twelve bytes of a status line, as many as there are. */
static enum http1_fault check_start(const char *p, size_t len)
{
    if (LIKELY(len >= STATUS_LINE_MIN && memcmp(p, "HTTP/1.1 ", 9) == 0 && p[9] >= '1' && p[9] <= '9' &&
               is_digit(p[10]) && is_digit(p[11])))
        return HTTP1_OK;
    static const char form[] = "HTTP/1.v sdd";
    for (size_t i = 0; i < len && i < STATUS_LINE_MIN; i++) {
        bool good = form[i] == 'v'   ? p[i] == '0' || p[i] == '1'
                    : form[i] == 's' ? p[i] >= '1' && p[i] <= '9'
                    : form[i] == 'd' ? is_digit(p[i])
                                     : p[i] == form[i];
        if (!good)
            return HTTP1_BAD_START_LINE;
    }
    return len < STATUS_LINE_MIN ? HTTP1_MORE : HTTP1_OK;
}

/* What stands where text ended and CRLF should be. */
static enum http1_fault bad_line_end(const char *at, const char *end)
{
    if (at == end || (*at == '\r' && at + 1 == end))
        return HTTP1_MORE;
    return *at == '\r' || *at == '\n' ? HTTP1_BAD_LINE_END : HTTP1_BAD_VALUE;
}

static enum http1_fault parse_status_line(struct http1_response *r, const char *p, size_t len)
{
    if (r->at < STATUS_LINE_MIN) {
        enum http1_fault fault = check_start(p, len);
        if (fault != HTTP1_OK)
            return fault;
        r->minor = (unsigned)(p[7] - '0');
        r->status = (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
        r->at = STATUS_LINE_MIN;
    }
    if (r->at == len)
        return HTTP1_MORE;
    if (p[STATUS_LINE_MIN] == ' ')
        r->at = (size_t)(http1_skip_text(p + r->at, p + len) - p);
    else if (p[STATUS_LINE_MIN] != '\r' && p[STATUS_LINE_MIN] != '\n')
        return HTTP1_BAD_START_LINE;
    if (!http1_is_crlf(p + r->at, p + len)) {
        enum http1_fault fault = bad_line_end(p + r->at, p + len);
        return fault == HTTP1_BAD_VALUE ? HTTP1_BAD_START_LINE : fault;
    }
    size_t reason = r->at > STATUS_LINE_MIN ? STATUS_LINE_MIN + 1 : STATUS_LINE_MIN;
    r->reason = slice_between(p + reason, p + r->at);
    r->at += 2;
    return HTTP1_OK;
}

/* A number that cannot overflow; nearly all are. */
static bool to_small_number(struct slice s, uint64_t *value)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.p[i]))
            return false;
        n = n * 10 + (unsigned)(s.p[i] - '0');
    }
    *value = n;
    return true;
}

/* Every member of the list, and every repeated field, must say the same (RFC 9112, 6.3). */
static enum http1_fault take_length(struct http1_response *r, struct slice value)
{
    if (LIKELY(!r->has_length && to_small_number(value, &r->length))) {
        r->has_length = true;
        return HTTP1_OK;
    }
    for (;;) {
        uint64_t n;
        ptrdiff_t comma = slice_find(value, ',');
        struct slice one = comma < 0 ? value : slice_trim((struct slice){value.p, (size_t)comma});
        if (!slice_to_u64(one, INT64_MAX, &n) || (r->has_length && n != r->length))
            return HTTP1_BAD_LENGTH;
        r->length = n;
        r->has_length = true;
        if (comma < 0)
            return HTTP1_OK;
        value = slice_trim(slice_skip(value, (size_t)comma + 1));
    }
}

static enum http1_fault take_coding(struct http1_response *r, struct slice value)
{
    if (r->is_chunked || !slice_eq_nocase(value, SLICE("chunked")))
        return HTTP1_BAD_CODING;
    r->is_chunked = true;
    return HTTP1_OK;
}

static enum http1_fault take_connection(struct http1_response *r, struct slice value)
{
    struct slice token;
    if (value.len == 10 && memcmp(value.p, "keep-alive", 10) == 0) {
        r->says_keep_alive = true;
        return HTTP1_OK;
    }
    while (slice_next_token(&value, &token)) {
        r->says_close |= slice_eq_nocase(token, SLICE("close"));
        r->says_keep_alive |= slice_eq_nocase(token, SLICE("keep-alive"));
    }
    return HTTP1_OK;
}

static inline enum http1_fault take_field(struct http1_response *r, struct slice name, struct slice value)
{
    if (UNLIKELY(r->fields.n == r->max_fields))
        return HTTP1_TOO_MANY_FIELDS;
    r->fields.at[r->fields.n++] = (struct http_field){name, value};
    if (name.len == 14 && http1_is_name(name.p, "content-length", 14))
        return take_length(r, value);
    if (name.len == 17 && http1_is_name(name.p, "transfer-encoding", 17))
        return take_coding(r, value);
    if (name.len == 10 && http1_is_name(name.p, "connection", 10))
        return take_connection(r, value);
    return HTTP1_OK;
}

/* Nearly every value has one space in front of it. *END is a CR, so a byte above space is before it. */
static inline struct slice trim_value(const char *begin, const char *end)
{
    if (LIKELY(begin[0] == ' ' && begin[1] > ' ' && end[-1] > ' '))
        return slice_between(begin + 1, end);
    return http1_trim(begin, end);
}

/* A byte where the colon should stand. */
static enum http1_fault bad_name(const char *name, const char *at)
{
    if (at == name && http1_is_blank(*at))
        return HTTP1_FOLDED;
    return at == name && *at == '\n' ? HTTP1_BAD_LINE_END : HTTP1_BAD_NAME;
}

/* Fields up to the empty line. */
static enum http1_fault parse_fields(struct http1_response *r, const char *p, size_t len)
{
    const char *end = p + len, *at = p + r->at;
    const char *name = r->name > 0 ? p + r->name : at, *value = r->value > 0 ? p + r->value : NULL;
    enum http1_fault fault = HTTP1_OK;
    while (at < end) {
        if (!value) {
            if (at == name && *at == '\r')
                break;
            at = http1_skip_token(at, end);
            if (at == end)
                break;
            if (UNLIKELY(*at != ':' || at == name))
                return bad_name(name, at);
            value = ++at;
        }
        at = http1_skip_text(at, end);
        if (UNLIKELY(!http1_is_crlf(at, end))) {
            fault = bad_line_end(at, end);
            break;
        }
        fault = take_field(r, slice_between(name, value - 1), trim_value(value, at));
        if (UNLIKELY(fault != HTTP1_OK))
            break;
        name = at += 2;
        value = NULL;
    }
    r->at = (size_t)(at - p);
    r->name = (size_t)(name - p);
    r->value = value ? (size_t)(value - p) : 0;
    if (fault == HTTP1_OK && !http1_is_crlf(at, end))
        fault = at == end ? HTTP1_MORE : bad_line_end(at, end);
    return fault;
}

/* How the body ends (RFC 9112, 6.3). */
static enum http1_fault find_framing(struct http1_response *r)
{
    bool never_has_body = r->status < 200 || r->status == 204;
    if (r->is_chunked && r->has_length)
        return HTTP1_TWO_FRAMINGS;
    if (r->is_chunked && (never_has_body || r->minor == 0))
        return HTTP1_BAD_CODING;
    r->keep_alive = !r->says_close && (r->minor == 1 || r->says_keep_alive);
    if (never_has_body || r->status == 304 || r->is_head) {
        r->framing = HTTP1_NO_BODY;
    } else if (r->is_chunked) {
        r->framing = HTTP1_CHUNKED;
    } else if (r->has_length) {
        r->framing = HTTP1_LENGTH;
    } else {
        r->framing = HTTP1_UNTIL_CLOSE;
        r->keep_alive = false;
    }
    return HTTP1_OK;
}

enum http1_fault http1_response_parse(struct http1_response *r, const char *p, size_t len)
{
    enum http1_fault fault = HTTP1_OK;
    if (!r->reason.p)
        fault = parse_status_line(r, p, len);
    if (fault == HTTP1_OK)
        fault = parse_fields(r, p, len);
    if (fault != HTTP1_OK)
        return fault;
    r->head_len = r->at + 2;
    return find_framing(r);
}
