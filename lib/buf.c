/*
 * buf.c: text in lent memory; see buf.h.
 *
 * A piece is what one call adds. A call that fails half-way puts the length back to where it began, so that
 * whoever looks at a failed buffer still sees whole pieces only.
 */
#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/hex.h"

void buf_add_u64(struct buf *b, uint64_t n)
{
    char text[20]; /* 2^64 - 1 has 20 digits */
    char *at = text + sizeof(text);
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_add(b, slice_between(at, text + sizeof(text)));
}

void buf_add_hex(struct buf *b, uint64_t n, unsigned width)
{
    char text[HEX_LEN];
    unsigned needed = (64 - (unsigned)__builtin_clzll(n | 1) + 3) / 4;
    unsigned digits = width < needed ? needed : width < HEX_LEN ? width : HEX_LEN;
    hex_write(text, n);
    buf_add(b, (struct slice){text + HEX_LEN - digits, digits});
}

/* vsnprintf spends a byte on a NUL that we do not want: text that fits exactly is printed aside first. */
PRINTF_LIKE(3, 0)
static void print_exact(struct buf *b, int len, const char *fmt, va_list ap)
{
    char *text = malloc((size_t)len + 1);
    if (!text || vsnprintf(text, (size_t)len + 1, fmt, ap) != len)
        b->failed = true;
    else
        buf_add(b, (struct slice){text, (size_t)len});
    free(text);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (b->failed)
        return;
    va_list ap, again;
    size_t room = b->cap - b->len;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(room > 0 ? b->p + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (len < 0 || (size_t)len > room)
        b->failed = true;
    else if ((size_t)len < room)
        b->len += (size_t)len;
    else
        print_exact(b, len, fmt, again);
    va_end(again);
}

/* What may follow a leading byte: how many bytes in all and the range of the second (RFC 3629, 4). */
struct utf8_lead {
    unsigned char from, to, len, low, high;
};

static const struct utf8_lead utf8_leads[] = {
    {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF},
    {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

/*
 * Length of the character S (not ASCII) begins with; *OK tells whether it is one. When it is not, the length
 * is that of the part to replace by a single U+FFFD: as many bytes as began a character well, at least one
 * (Unicode, 3.9).
 */
static size_t utf8_length(struct slice s, bool *ok)
{
    const unsigned char *p = (const unsigned char *)s.p;
    *ok = false;
    for (size_t i = 0; i < sizeof(utf8_leads) / sizeof(utf8_leads[0]); i++) {
        const struct utf8_lead *lead = &utf8_leads[i];
        if (p[0] < lead->from || p[0] > lead->to)
            continue;
        if (s.len < 2 || p[1] < lead->low || p[1] > lead->high)
            return 1;
        size_t n = 2;
        while (n < lead->len && n < s.len && (p[n] & 0xC0) == 0x80)
            n++;
        *ok = n == lead->len;
        return n;
    }
    return 1;
}

static bool is_json_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void add_escape(struct buf *b, unsigned char c)
{
    static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = c < sizeof(letters) ? letters[c] : (char)c;
    if (letter) {
        buf_add_char(b, '\\');
        buf_add_char(b, letter);
    } else {
        buf_add(b, SLICE("\\u"));
        buf_add_hex(b, c, 4);
    }
}

/* Add the first element of S: a run of plain text, an escape or a character; its length in S. */
static size_t add_json_element(struct buf *b, struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_json_plain((unsigned char)s.p[n]))
        n++;
    if (n > 0) {
        buf_add(b, (struct slice){s.p, n});
        return n;
    }
    if ((unsigned char)s.p[0] < 0x80) {
        add_escape(b, (unsigned char)s.p[0]);
        return 1;
    }
    bool ok;
    n = utf8_length(s, &ok);
    buf_add(b, ok ? (struct slice){s.p, n} : SLICE("\xEF\xBF\xBD"));
    return n;
}

void buf_add_json(struct buf *b, struct slice s)
{
    size_t before = b->len;
    while (s.len > 0 && !b->failed)
        s = slice_skip(s, add_json_element(b, s));
    if (b->failed)
        b->len = before;
}

const char *buf_cstr(struct buf *b)
{
    if (b->failed || b->len >= b->cap)
        return NULL;
    b->p[b->len] = '\0';
    return b->p;
}
