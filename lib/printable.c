/* printable.c: see printable.h. */
#include "lib/printable.h"

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e;
}

void printable_add(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (b->cap - b->len < (is_plain(c) ? 1 : 3))
            return;
        if (is_plain(c)) {
            buf_add_char(b, (char)c);
            continue;
        }
        buf_add_char(b, '%');
        buf_add_char(b, "0123456789ABCDEF"[c >> 4]);
        buf_add_char(b, "0123456789ABCDEF"[c & 15]);
    }
}

void printable_copy(char *text, size_t size, struct slice s)
{
    struct buf b;
    buf_init(&b, text, size - 1);
    printable_add(&b, s);
    text[b.len] = '\0';
}
