/*
 * uri.c: see uri.h.
 *
 * A path is walked once through a table of byte classes; nearly all paths end there, unchanged and uncopied.
 * The others are written segment by segment: escapes first, then the segment as it now reads is judged ("."
 * or ".." or neither). An escape is decoded once, and what it decodes to is never looked at as the start of
 * another.
 *
 * Invariant of the slow way: what is written is never longer than what was read, so OUT may be RAW's own
 * memory, and what is written up to the last '/' is in normal form.
 */
#include "lib/uri.h"

#include <arpa/inet.h>

enum byte_class { PLAIN, DOT, ESCAPE, BAD };

static const unsigned char byte_class[256] = {
    [0 ... ' '] = BAD, ['#'] = BAD,  ['%'] = ESCAPE,      ['.'] = DOT,
    ['?'] = BAD,       ['\\'] = BAD, [127 ... 255] = BAD,
};

/* ---- normal form ---- */

struct writer {
    struct slice raw;
    size_t in; /* bytes of raw read */
    char *out;
    size_t len;       /* bytes of out written */
    size_t segment;   /* where the last segment begins in out, behind its '/' */
    bool has_escapes; /* the last segment keeps some */
};

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986, 2.3. */
static bool is_unreserved(unsigned char c)
{
    unsigned char low = c | 0x20;
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static enum uri_fault copy_escape(struct writer *w)
{
    static const char digits[] = "0123456789ABCDEF";
    if (w->raw.len - w->in < 3)
        return URI_BAD_ESCAPE;
    int high = hex_value((unsigned char)w->raw.p[w->in + 1]);
    int low = hex_value((unsigned char)w->raw.p[w->in + 2]);
    if (high < 0 || low < 0)
        return URI_BAD_ESCAPE;
    unsigned char byte = (unsigned char)(high * 16 + low);
    if (byte == 0)
        return URI_NUL;
    w->in += 3;
    if (is_unreserved(byte)) {
        w->out[w->len++] = (char)byte;
        return URI_OK;
    }
    w->has_escapes = true;
    w->out[w->len++] = '%';
    w->out[w->len++] = digits[high];
    w->out[w->len++] = digits[low];
    return URI_OK;
}

/* Copy a '/' and the segment behind it, escapes brought into their one form. */
static enum uri_fault copy_segment(struct writer *w)
{
    w->out[w->len++] = '/';
    w->in++;
    w->segment = w->len;
    w->has_escapes = false;
    while (w->in < w->raw.len && w->raw.p[w->in] != '/') {
        unsigned char c = (unsigned char)w->raw.p[w->in];
        if (byte_class[c] == BAD)
            return URI_BAD_BYTE;
        if (byte_class[c] == ESCAPE) {
            enum uri_fault fault = copy_escape(w);
            if (fault != URI_OK)
                return fault;
        } else {
            w->out[w->len++] = (char)c;
            w->in++;
        }
    }
    return URI_OK;
}

static bool is_dot(struct slice s)
{
    return s.len == 1 && s.p[0] == '.';
}

static bool is_dot_dot(struct slice s)
{
    return s.len == 2 && s.p[0] == '.' && s.p[1] == '.';
}

static bool is_escaped_slash(const char *p)
{
    return p[0] == '%' && ((p[1] == '2' && p[2] == 'F') || (p[1] == '5' && p[2] == 'C'));
}

static bool is_escaped_semicolon(const char *p)
{
    return p[0] == '%' && p[1] == '3' && p[2] == 'B';
}

/* What stands in front of the first ';', plain or escaped. */
static struct slice without_parameters(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == ';' || (s.len - i >= 3 && is_escaped_semicolon(s.p + i)))
            return (struct slice){s.p, i};
    return s;
}

/* Whether SEGMENT turns into a dot segment for a backend that decodes %2F and %5C or cuts ";parameters" off.
 */
static bool hides_dots(struct slice segment)
{
    size_t begin = 0;
    for (size_t i = 0; i <= segment.len; i++) {
        bool at_slash = segment.len - i >= 3 && is_escaped_slash(segment.p + i);
        if (!at_slash && i < segment.len)
            continue;
        struct slice piece = without_parameters((struct slice){segment.p + begin, i - begin});
        if (is_dot(piece) || is_dot_dot(piece))
            return true;
        begin = i + 3;
    }
    return false;
}

/* Take the segment just written back when it is a dot segment, and for ".." the one before it too. */
static enum uri_fault close_segment(struct writer *w)
{
    struct slice segment = {w->out + w->segment, w->len - w->segment};
    if (segment.len == 0 || (segment.p[0] != '.' && !w->has_escapes))
        return URI_OK;
    if (!is_dot(segment) && !is_dot_dot(segment))
        return hides_dots(segment) ? URI_HIDDEN_DOTS : URI_OK;
    w->len = w->segment - 1;
    if (is_dot_dot(segment)) {
        if (w->len == 0)
            return URI_ABOVE_ROOT;
        while (w->out[--w->len] != '/')
            ;
    }
    if (w->in == w->raw.len)
        w->out[w->len++] = '/'; /* "/a/." and "/a/b/.." name a directory */
    return URI_OK;
}

static bool holds_escaped_slash(struct slice path)
{
    for (size_t i = 0; path.len - i >= 3; i++)
        if (is_escaped_slash(path.p + i))
            return true;
    return false;
}

/* Whether RAW, which begins with '/', has nothing that could need a change: no escape, no "/.", no bad byte.
 */
static bool is_plain(struct slice raw)
{
    for (size_t i = 1; i < raw.len; i++) {
        unsigned char class = byte_class[(unsigned char)raw.p[i]];
        if (UNLIKELY(class != PLAIN) && (class != DOT || raw.p[i - 1] == '/'))
            return false;
    }
    return true;
}

enum uri_fault uri_normalise(struct slice raw, char *out, struct uri_path *result)
{
    *result = (struct uri_path){.path = raw};
    if (raw.len == 0 || raw.p[0] != '/')
        return URI_NO_ROOT;
    if (is_plain(raw))
        return URI_OK;
    struct writer w = {.raw = raw, .out = out};
    while (w.in < raw.len) {
        enum uri_fault fault = copy_segment(&w);
        if (fault == URI_OK)
            fault = close_segment(&w);
        if (fault != URI_OK)
            return fault;
    }
    result->path = (struct slice){out, w.len};
    result->encoded_slash = holds_escaped_slash(result->path);
    return URI_OK;
}

const char *uri_fault_text(enum uri_fault f)
{
    switch (f) {
    case URI_OK:
        return "no fault";
    case URI_BAD_ESCAPE:
        return "bad percent-escape";
    case URI_NUL:
        return "%00 in the path";
    case URI_BAD_BYTE:
        return "a byte that may not stand in a path";
    case URI_NO_ROOT:
        return "path does not begin with '/'";
    case URI_ABOVE_ROOT:
        return "path leaves the root";
    case URI_HIDDEN_DOTS:
        return "dot segment beside an encoded slash or a ';'";
    }
    return "unknown fault";
}

/* ---- targets ---- */

static bool is_clean(struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c <= ' ' || c >= 127 || c == '#')
            return false;
    }
    return target.len > 0;
}

static void cut_query(struct slice s, struct uri_target *out)
{
    ptrdiff_t mark = slice_find(s, '?');
    out->has_query = mark >= 0;
    out->path = mark >= 0 ? (struct slice){s.p, (size_t)mark} : s;
    out->query = mark >= 0 ? slice_skip(s, (size_t)mark + 1) : SLICE("");
}

static bool skip_scheme(struct slice target, struct slice *rest)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct slice head = {target.p, schemes[i].len};
        if (target.len >= head.len && slice_eq_nocase(head, schemes[i])) {
            *rest = slice_skip(target, head.len);
            return true;
        }
    }
    return false;
}

static bool split_absolute(struct slice rest, struct uri_target *out)
{
    size_t n = 0;
    struct slice host;
    while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    out->form = URI_ABSOLUTE;
    out->authority = (struct slice){rest.p, n};
    cut_query(slice_skip(rest, n), out);
    if (out->path.len == 0)
        out->path = SLICE("/");
    return uri_host(out->authority, &host) && host.len > 0;
}

bool uri_split(struct slice target, struct uri_target *out)
{
    struct slice rest;
    *out = (struct uri_target){.form = URI_ORIGIN};
    if (!is_clean(target))
        return false;
    if (target.p[0] == '/') {
        cut_query(target, out);
        return true;
    }
    if (target.len == 1 && target.p[0] == '*') {
        out->form = URI_ASTERISK;
        return true;
    }
    if (skip_scheme(target, &rest))
        return split_absolute(rest, out);
    out->form = URI_AUTHORITY;
    out->authority = target;
    /* CONNECT wants its port: a host alone, or one that ends in ':', has none. */
    return uri_host(target, &rest) && rest.len + 1 < target.len;
}

/* ---- authorities ---- */

#define HOST_MAX 255 /* a DNS name (RFC 1035, 2.3.4) */
#define PORT_MAX 5   /* digits */

static bool is_ipv6_literal(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len < 2 || host.len - 2 >= sizeof(text) || host.p[host.len - 1] != ']')
        return false;
    memcpy(text, host.p + 1, host.len - 2);
    text[host.len - 2] = '\0';
    return strlen(text) == host.len - 2 && inet_pton(AF_INET6, text, &address) == 1;
}

/* Letters, digits, '-', '_', '~' in labels that are not empty; one dot at the end is the root and allowed. */
static bool is_name(struct slice host)
{
    if (host.len > HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!is_unreserved((unsigned char)host.p[i]) ||
            (host.p[i] == '.' && (i == 0 || host.p[i - 1] == '.')))
            return false;
    return true;
}

/* PORT with the ':' in front; nothing at all, and ':' alone (RFC 3986, 3.2.3), will do. */
static bool is_port(struct slice port)
{
    uint64_t n;
    if (port.len == 0)
        return true;
    if (port.p[0] != ':' || port.len > 1 + PORT_MAX)
        return false;
    return port.len == 1 || (slice_to_u64(slice_skip(port, 1), 65535, &n) && n > 0);
}

bool uri_host(struct slice authority, struct slice *host)
{
    *host = SLICE("");
    if (authority.len == 0)
        return true;
    bool literal = authority.p[0] == '[';
    ptrdiff_t end = slice_find(authority, literal ? ']' : ':');
    if (literal && end < 0)
        return false;
    size_t n = end < 0 ? authority.len : (size_t)end + (literal ? 1 : 0);
    struct slice name = {authority.p, n};
    if (n == 0 || !is_port(slice_skip(authority, n)) || !(literal ? is_ipv6_literal(name) : is_name(name)))
        return false;
    *host = name;
    return true;
}
