/*
 * slice.h: a pointer and a length, passed by value.
 *
 * A slice never owns its bytes, is not NUL-terminated and may hold any byte. The empty slice is {"", 0} or
 * {NULL, 0}; every function takes both. Pure functions, callable from any thread.
 *
 *     struct slice name = SLICE("host");
 *     if (slice_eq_nocase(field.name, name)) ...
 *     printf("%.*s", SLICE_ARG(name));
 */
#ifndef LIB_SLICE_H
#define LIB_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p;
    size_t len;
};

/* A slice of a string literal, and the two arguments that "%.*s" wants. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_ARG(s)   (int)(s).len, (s).p ? (s).p : ""

static inline struct slice slice_of(const char *cstr)
{
    return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct slice slice_between(const char *begin, const char *end)
{
    return (struct slice){begin, (size_t)(end - begin)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.p + (s.len - suffix.len), suffix.p, suffix.len) == 0);
}

/* What is left of S after its first N bytes; the empty slice when it has fewer. */
static inline struct slice slice_skip(struct slice s, size_t n)
{
    return n < s.len ? (struct slice){s.p + n, s.len - n} : (struct slice){"", 0};
}

/* ASCII only: HTTP field names, host names and tokens. */
bool slice_eq_nocase(struct slice a, struct slice b);

/* Without the spaces and tabs at both ends (OWS of RFC 9110, 5.6.3). */
struct slice slice_trim(struct slice s);

/* Offset of byte C in S, or -1. */
ptrdiff_t slice_find(struct slice s, char c);

/*
 * Take the next element of a comma-separated list off *REST, trimmed; empty elements are passed over
 * (RFC 9110, 5.6.1). False at the end. Quoted strings are not understood: for lists of tokens only.
 */
bool slice_next_token(struct slice *rest, struct slice *token);

/* Decimal digits only, no sign, no space; false when empty, not all digits, or above MAX. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *value);

#endif
