/*
 * buf.h: text built piece by piece in memory that the caller lends.
 *
 * Failure is sticky: once a piece did not fit, `failed` stays true, nothing more is written and what is there
 * stays whole pieces. Build everything, look once.
 *
 *     struct buf b;
 *     buf_init(&b, memory, sizeof(memory));
 *     buf_add(&b, SLICE("GET "));
 *     buf_add_u64(&b, 42);
 *     if (b.failed) ...
 *
 * Owned by one thread. Nothing is NUL-terminated unless buf_cstr is asked.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/check.h"
#include "lib/slice.h"

struct buf {
    char *p;
    size_t len; /* bytes written */
    size_t cap; /* bytes lent */
    bool failed;
};

static inline void buf_init(struct buf *b, void *memory, size_t cap)
{
    *b = (struct buf){.p = memory, .cap = cap};
}

static inline void buf_add(struct buf *b, struct slice s)
{
    if (UNLIKELY(s.len > b->cap - b->len || b->failed)) {
        b->failed = true;
        return;
    }
    if (s.len > 0)
        memcpy(b->p + b->len, s.p, s.len);
    b->len += s.len;
}

static inline void buf_add_char(struct buf *b, char c)
{
    buf_add(b, (struct slice){&c, 1});
}

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->len};
}

void buf_add_u64(struct buf *b, uint64_t n);

/* Lower case, at least WIDTH digits (at most 16). */
void buf_add_hex(struct buf *b, uint64_t n, unsigned width);

void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* S as the inside of a JSON string (RFC 8259, 7); bytes that are not UTF-8 become U+FFFD. */
void buf_add_json(struct buf *b, struct slice s);

/* The text, NUL-terminated; NULL when it failed or the NUL does not fit. */
MUST_USE const char *buf_cstr(struct buf *b);

#endif
