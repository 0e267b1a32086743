/*
 * http1_raw.c: the raw head in the library's buffer against what the library made of it; see http1.h.
 *
 * After libmicrohttpd 0.9.75 has parsed a head, a good one looks like this ('.' is NUL, '?' any bytes):
 *
 *     GET./path?????.HTTP/1.1..Host.example.com..Name..value......
 *        |          |        |    |                         |
 *        space      space    CRLF colon, white space kept   CRLF CRLF
 *
 * The query, within the target, has lost its '=' and '&' to NUL and its '+' to spaces, so a NUL in the target
 * shows only in its length: the log callback saw it before, as a C string. The walk goes over every byte
 * behind the target once; whatever the library skipped, joined or invented makes a pointer or a length
 * differ. Within a line nothing but the library itself may have put a NUL: one behind the name, two behind
 * the value.
 *
 * Invariant: no byte outside [raw, raw + len) is read, and field pointers are compared, not followed.
 */
#include "lib/http1.h"

#include "lib/http1_scan.h"

#define VERSION_LEN 8 /* "HTTP/1.1" */

static bool ends_line(const char *p, const char *end)
{
    return end - p >= 2 && p[0] == '\0' && p[1] == '\0';
}

/* The request line; *NEXT gets the line behind it. */
static enum http1_fault walk_request_line(const struct http1_raw_head *head, const char **next)
{
    const char *end = head->raw + head->len;
    const char *method_end = http1_skip_token(head->raw, end);
    if (method_end == head->raw || method_end == end || *method_end != '\0')
        return HTTP1_BAD_METHOD;
    size_t left = (size_t)(end - method_end - 1);
    if (head->target_len == 0 || left < VERSION_LEN + 3 || head->target_len > left - VERSION_LEN - 3)
        return HTTP1_BAD_TARGET;
    const char *version = method_end + 1 + head->target_len + 1;
    if (version != head->version || version[-1] != '\0')
        return HTTP1_BAD_TARGET;
    if (memcmp(version, "HTTP/1.", VERSION_LEN - 1) != 0 || (version[7] != '0' && version[7] != '1'))
        return HTTP1_BAD_VERSION;
    *next = version + VERSION_LEN;
    if (!ends_line(*next, end))
        return HTTP1_BAD_LINE_END;
    *next += 2;
    return HTTP1_OK;
}

/* One line, which must be the field F; *NEXT gets the line behind it. */
static enum http1_fault walk_field(const char *p, const char *end, const struct http_field *f,
                                   const char **next)
{
    if (http1_is_blank(*p))
        return HTTP1_FOLDED;
    const char *name_end = http1_skip_token(p, end);
    if (name_end == p || name_end == end || *name_end != '\0')
        return HTTP1_BAD_NAME;
    const char *value = name_end + 1;
    while (value < end && http1_is_blank(*value))
        value++;
    const char *value_end = http1_skip_text(value, end);
    if (value_end < end && *value_end != '\0')
        return HTTP1_BAD_VALUE;
    if (!ends_line(value_end, end))
        return HTTP1_BAD_LINE_END;
    if (f->name.p != p || f->name.len != (size_t)(name_end - p) || f->value.p != value ||
        f->value.len != (size_t)(value_end - value))
        return HTTP1_PARSED_WRONGLY;
    *next = value_end + 2;
    return HTTP1_OK;
}

enum http1_fault http1_raw_head_check(const struct http1_raw_head *head)
{
    const char *end = head->raw + head->len, *p = head->raw;
    enum http1_fault fault = walk_request_line(head, &p);
    for (size_t i = 0; i < head->fields.n && fault == HTTP1_OK; i++)
        fault = p < end ? walk_field(p, end, &head->fields.at[i], &p) : HTTP1_PARSED_WRONGLY;
    if (fault != HTTP1_OK)
        return fault;
    if (end - p < 2)
        return HTTP1_BAD_LINE_END;
    return end - p == 2 && ends_line(p, end) ? HTTP1_OK : HTTP1_PARSED_WRONGLY;
}
