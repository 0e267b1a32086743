/*
 * http1_scan.h: how the HTTP/1.1 codec runs over bytes; for lib/http*.c and lib/chunked.c only.
 *
 * Pure functions, callable from any thread.
 */
#ifndef LIB_HTTP1_SCAN_H
#define LIB_HTTP1_SCAN_H

#include "lib/check.h"
#include "lib/http.h"

#include <endian.h>

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Sixteen bytes at once: vectors of the compiler, so one text for every machine. A comparison gives -1 or 0.
 */
typedef uint8_t http1_bytes __attribute__((vector_size(16)));
typedef int8_t http1_marks __attribute__((vector_size(16)));
typedef char http1_sse __attribute__((vector_size(16)));

#define HTTP1_STEP 16

static inline http1_bytes http1_load(const char *p)
{
    http1_bytes v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The number of the first byte that is marked; HTTP1_STEP for none. */
static inline size_t http1_first(http1_marks m)
{
#ifdef __SSE2__
    return (unsigned)__builtin_ctz((unsigned)__builtin_ia32_pmovmskb128((http1_sse)m) | 1u << HTTP1_STEP);
#else
    uint64_t half[2];
    memcpy(half, &m, sizeof(half));
    if (half[0])
        return (size_t)__builtin_ctzll(le64toh(half[0])) / 8;
    return half[1] ? 8 + (size_t)__builtin_ctzll(le64toh(half[1])) / 8 : HTTP1_STEP;
#endif
}

/* Marks control bytes other than HTAB. */
static inline http1_marks http1_controls(http1_bytes v)
{
    return ((v < 0x20) ^ (v == '\t')) | (v == 0x7F);
}

/* Marks all but letters and '-'. */
static inline http1_marks http1_odd(http1_bytes v)
{
    return ((v | 0x20) - 'a' > 25) ^ (v == '-');
}

/* The first control byte other than HTAB in [P, END), or END. */
static inline const char *http1_skip_text(const char *p, const char *end)
{
    while (end - p >= HTTP1_STEP) {
        http1_bytes v = http1_load(p);
        size_t n = http1_first(http1_controls(v));
        p += n;
        if (n < HTTP1_STEP)
            return p;
    }
    while (p < end && (http_char_class[(unsigned char)*p] & HTTP_VALUE))
        p++;
    return p;
}

/* The first byte in [P, END) that is no tchar, or END. Most names are letters and '-', and those go in one
 * step. */
static inline const char *http1_skip_token(const char *p, const char *end)
{
    while (end - p >= HTTP1_STEP) {
        http1_bytes v = http1_load(p);
        size_t n = http1_first(http1_odd(v));
        p += n;
        if (n < HTTP1_STEP) {
            if (LIKELY(*p == ':') || !(http_char_class[(unsigned char)*p] & HTTP_TCHAR))
                return p;
            p++;
        }
    }
    while (p < end && (http_char_class[(unsigned char)*p] & HTTP_TCHAR))
        p++;
    return p;
}

/* CRLF at P, in full. */
static inline bool http1_is_crlf(const char *p, const char *end)
{
    return end - p >= 2 && memcmp(p, "\r\n", 2) == 0;
}

static inline uint64_t http1_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

/*
 * Whether the token NAME, which has LEN bytes (8 to 24), is LOWER in any case. Setting the bit that tells
 * cases apart also maps other bytes on letters, '-' and digits, but none of those is a tchar.
 */
static inline bool http1_is_name(const char *name, const char *lower, size_t len)
{
    const uint64_t fold = UINT64_C(0x2020202020202020);
    size_t mid = len < 16 ? 0 : 8;
    return (http1_word(name) | fold) == http1_word(lower) &&
           (http1_word(name + len - 8) | fold) == http1_word(lower + len - 8) &&
           (http1_word(name + mid) | fold) == http1_word(lower + mid);
}

static inline bool http1_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* [BEGIN, END) without white space at both ends. */
static inline struct slice http1_trim(const char *begin, const char *end)
{
    while (begin < end && http1_is_blank(*begin))
        begin++;
    while (end > begin && UNLIKELY(http1_is_blank(end[-1])))
        end--;
    return slice_between(begin, end);
}

/* All of the LEN bytes (1 to 16) at P, some of them twice: for questions that every byte must answer alike.
 */
static inline http1_bytes http1_load_few(const char *p, size_t len)
{
    uint64_t half[2];
    http1_bytes v;
    if (len >= 8) {
        memcpy(&half[0], p, 8);
        memcpy(&half[1], p + len - 8, 8);
    } else if (len >= 4) {
        uint32_t quarter[2];
        memcpy(&quarter[0], p, 4);
        memcpy(&quarter[1], p + len - 4, 4);
        half[0] = half[1] = (uint64_t)quarter[0] << 32 | quarter[1];
    } else {
        unsigned char first = (unsigned char)p[0], mid = (unsigned char)p[len / 2],
                      last = (unsigned char)p[len - 1];
        half[0] = half[1] = EACH_BYTE(first) ^ (uint64_t)(first ^ mid) ^ (uint64_t)(first ^ last) << 8;
    }
    memcpy(&v, half, sizeof(v));
    return v;
}

/* http_is_field_value. */
static inline bool http1_is_text(struct slice s)
{
    if (s.len > HTTP1_STEP)
        return http1_skip_text(s.p, s.p + s.len) == s.p + s.len;
    return s.len == 0 || http1_first(http1_controls(http1_load_few(s.p, s.len))) == HTTP1_STEP;
}

/* http_is_token. */
static inline bool http1_is_token(struct slice s)
{
    if (s.len - 1 < HTTP1_STEP && http1_first(http1_odd(http1_load_few(s.p, s.len))) == HTTP1_STEP)
        return true;
    return s.len > 0 && http1_skip_token(s.p, s.p + s.len) == s.p + s.len;
}

#endif
