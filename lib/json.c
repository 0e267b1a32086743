/*
 * json.c: see json.h.
 *
 * A recursive descent over the bytes; `p` stands at the first byte not yet understood and `fault` is sticky:
 * once set, every function returns at once. Strings are checked in one pass that also counts their escapes;
 * only those with an escape are copied.
 *
 * cJSON was tried first. It keeps both of two equal names, ends a string at an escaped U+0000 (so that
 * "admin\u0000x" reads as "admin"), takes control characters, broken UTF-8 and numbers such as 01, and has a
 * malloc for every value, which a request's arena cannot give back.
 */
#include "lib/json.h"

#include <stdlib.h>

struct reader {
    const unsigned char *p, *end;
    struct arena *arena;
    enum json_fault fault;
    unsigned depth;
};

static bool fail(struct reader *r, enum json_fault fault)
{
    if (r->fault == JSON_OK)
        r->fault = fault;
    return false;
}

static bool malformed(struct reader *r)
{
    return fail(r, JSON_MALFORMED);
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != (unsigned char)c)
        return false;
    r->p++;
    return true;
}

/* How many bytes the UTF-8 character at P has, 0 when it is none (RFC 3629: no surrogate, nothing overlong).
 */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, len;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (*p < forms[i].first_low || *p > forms[i].first_high)
            continue;
        size_t len = forms[i].len;
        if (len > left || (len > 1 && (p[1] < forms[i].second_low || p[1] > forms[i].second_high)))
            return 0;
        for (size_t k = 2; k < len; k++)
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        return len;
    }
    return 0;
}

/* The four hex digits at P, or -1. */
static long hex4(const unsigned char *p, const unsigned char *end)
{
    long n = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        unsigned char c = p[i] | 0x20;
        if (p[i] >= '0' && p[i] <= '9')
            n = n * 16 + (p[i] - '0');
        else if (c >= 'a' && c <= 'f')
            n = n * 16 + (c - 'a' + 10);
        else
            return -1;
    }
    return n;
}

static size_t put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(uint8_t)(0x80 | (c & 0x3f));
    out[0] = (char)(uint8_t)(lead[n] | c);
    return n;
}

/* After "\u": a character, of one escape or a pair of them. 0 when it is none that may be there. */
static unsigned long unicode_escape(struct reader *r)
{
    long high = hex4(r->p, r->end);
    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    r->p += 4;
    if (high < 0xd800 || high > 0xdbff)
        return (unsigned long)high;
    if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
        return 0;
    long low = hex4(r->p + 2, r->end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    r->p += 6;
    return 0x10000ul + ((unsigned long)(high - 0xd800) << 10) + (unsigned long)(low - 0xdc00);
}

/* After a backslash. */
static unsigned long escape(struct reader *r)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (r->p == r->end)
        return 0;
    unsigned char c = *r->p++;
    if (c == 'u')
        return unicode_escape(r);
    const char *at = c ? strchr(names, c) : NULL;
    return at ? (unsigned char)meant[at - names] : 0;
}

/* From after the quote to after its partner, copied into OUT unless that is NULL; gives the length. */
static size_t scan_string(struct reader *r, char *out, bool *has_escape)
{
    size_t n = 0;
    char scratch[4] = {0};
    while (r->p < r->end && *r->p != '"') {
        if (*r->p == '\\') {
            *has_escape = true;
            r->p++;
            unsigned long c = escape(r);
            if (c == 0)
                return malformed(r), 0;
            n += put_utf8(out ? out + n : scratch, c);
            continue;
        }
        size_t len = *r->p < 0x20 ? 0 : utf8_length(r->p, (size_t)(r->end - r->p));
        if (len == 0)
            return malformed(r), 0;
        if (out)
            memcpy(out + n, r->p, len);
        n += len;
        r->p += len;
    }
    if (!take(r, '"'))
        malformed(r);
    return n;
}

static bool read_string(struct reader *r, struct slice *s)
{
    if (!take(r, '"'))
        return malformed(r);
    const unsigned char *begin = r->p;
    bool has_escape = false;
    size_t len = scan_string(r, NULL, &has_escape);
    *s = (struct slice){(const char *)begin, len};
    if (r->fault != JSON_OK || !has_escape)
        return r->fault == JSON_OK;
    char *copy = arena_alloc(r->arena, len);
    if (!copy)
        return fail(r, JSON_NO_MEMORY);
    r->p = begin;
    scan_string(r, copy, &has_escape);
    s->p = copy;
    return true;
}

static bool digits(struct reader *r)
{
    const unsigned char *begin = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > begin;
}

static bool read_number(struct reader *r, struct json *j)
{
    const unsigned char *begin = r->p;
    (void)take(r, '-');
    if (!take(r, '0') && !digits(r))
        return malformed(r);
    if (take(r, '.') && !digits(r))
        return malformed(r);
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            (void)take(r, '-');
        if (!digits(r))
            return malformed(r);
    }
    j->type = JSON_NUMBER;
    j->text = slice_between((const char *)begin, (const char *)r->p);
    return true;
}

static bool read_word(struct reader *r, struct json *j)
{
    static const struct {
        struct slice text;
        enum json_type type;
    } words[] = {
        {{"null", 4}, JSON_NULL},
        {{"true", 4}, JSON_TRUE},
        {{"false", 5}, JSON_FALSE},
    };
    struct slice rest = slice_between((const char *)r->p, (const char *)r->end);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!slice_starts(rest, words[i].text))
            continue;
        j->type = words[i].type;
        j->text = words[i].text;
        r->p += words[i].text.len;
        return true;
    }
    return malformed(r);
}

static bool read_value(struct reader *r, struct json *j);

static bool read_member(struct reader *r, const struct json *siblings, struct json *j)
{
    if (!read_string(r, &j->name))
        return false;
    unsigned n = 0;
    for (const struct json *s = siblings; s; s = s->next)
        if (++n >= JSON_MEMBERS_MAX || slice_eq(s->name, j->name))
            return malformed(r);
    skip_space(r);
    if (!take(r, ':'))
        return malformed(r);
    skip_space(r);
    return read_value(r, j);
}

/* After the opening bracket. */
static bool read_children(struct reader *r, struct json *j, char close)
{
    const struct json **tail = &j->child;
    skip_space(r);
    if (take(r, close))
        return true;
    do {
        struct json *child = arena_alloc(r->arena, sizeof(*child));
        if (!child)
            return fail(r, JSON_NO_MEMORY);
        *child = (struct json){0};
        skip_space(r);
        if (!(close == '}' ? read_member(r, j->child, child) : read_value(r, child)))
            return false;
        *tail = child;
        tail = &child->next;
        skip_space(r);
    } while (take(r, ','));
    return take(r, close) || malformed(r);
}

static bool read_nested(struct reader *r, struct json *j)
{
    if (++r->depth > JSON_DEPTH_MAX)
        return malformed(r);
    j->type = *r->p++ == '{' ? JSON_OBJECT : JSON_ARRAY;
    bool ok = read_children(r, j, j->type == JSON_OBJECT ? '}' : ']');
    r->depth--;
    return ok;
}

static bool read_value(struct reader *r, struct json *j)
{
    if (r->p == r->end)
        return malformed(r);
    switch (*r->p) {
    case '{':
    case '[':
        return read_nested(r, j);
    case '"':
        j->type = JSON_STRING;
        return read_string(r, &j->text);
    case 'n':
    case 't':
    case 'f':
        return read_word(r, j);
    default:
        return read_number(r, j);
    }
}

enum json_fault json_parse(struct slice text, struct arena *a, const struct json **root)
{
    static const unsigned char nothing[1];
    const unsigned char *p = text.p ? (const unsigned char *)text.p : nothing;
    struct reader r = {.p = p, .end = p + text.len, .arena = a};
    struct json *j = arena_alloc(a, sizeof(*j));
    if (!j)
        return JSON_NO_MEMORY;
    *j = (struct json){0};
    skip_space(&r);
    if (read_value(&r, j)) {
        skip_space(&r);
        if (r.p != r.end)
            malformed(&r);
    }
    *root = j;
    return r.fault;
}

const struct json *json_get(const struct json *j, struct slice name)
{
    if (!j || j->type != JSON_OBJECT)
        return NULL;
    for (const struct json *c = j->child; c; c = c->next)
        if (slice_eq(c->name, name))
            return c;
    return NULL;
}

struct slice json_get_string(const struct json *j, struct slice name)
{
    const struct json *member = json_get(j, name);
    return member && member->type == JSON_STRING ? member->text : SLICE("");
}

bool json_to_i64(const struct json *j, int64_t *value)
{
    char text[40];
    if (!j || j->type != JSON_NUMBER || j->text.len >= sizeof(text))
        return false;
    memcpy(text, j->text.p, j->text.len);
    text[j->text.len] = '\0';
    double d = strtod(text, NULL);
    const double limit = 9007199254740992.0; /* 2^53: above it doubles pass whole numbers over */
    if (!(d >= -limit && d <= limit))
        return false;
    *value = (int64_t)d;
    return true;
}
