/* slice.c: see slice.h. */
#include "lib/slice.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.p, c, s.len) : NULL;
    return at ? at - s.p : -1;
}

bool slice_next_token(struct slice *rest, struct slice *token)
{
    while (rest->len > 0) {
        ptrdiff_t comma = slice_find(*rest, ',');
        size_t n = comma < 0 ? rest->len : (size_t)comma;
        *token = slice_trim((struct slice){rest->p, n});
        *rest = slice_skip(*rest, comma < 0 ? n : n + 1);
        if (token->len > 0)
            return true;
    }
    return false;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n > max)
        return false;
    *value = n;
    return true;
}
