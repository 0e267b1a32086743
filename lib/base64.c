/*
 * base64.c: see base64.h.
 *
 * Four characters make three bytes; a rest of two or three characters makes one or two, and the bits that are
 * left over must be zero. A rest of one character is no text at all. Padded text is the same after its
 * padding is taken off, once that is seen to be what the length asks for.
 */
#include "lib/base64.h"

#define NOT 64 /* no character of the alphabet */

static unsigned value_of(unsigned char c, char last_but_one, char last)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    if (c == (unsigned char)last_but_one)
        return 62;
    return c == (unsigned char)last ? 63 : NOT;
}

/* ALPHABET_END: the last two characters of the alphabet. */
static bool decode(struct slice text, const char *alphabet_end, char *out, size_t *len)
{
    uint32_t bits = 0;
    unsigned held = 0; /* bits not yet written, 0 to 6 */
    size_t n = 0;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned v = value_of((unsigned char)text.p[i], alphabet_end[0], alphabet_end[1]);
        if (v == NOT)
            return false;
        bits = (bits << 6 | v) & 0xfff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char)(uint8_t)(bits >> held);
        }
    }
    *len = n;
    return (bits & ((1u << held) - 1)) == 0;
}

bool base64url_decode(struct slice text, char *out, size_t *len)
{
    return decode(text, "-_", out, len);
}

bool base64_decode(struct slice text, char *out, size_t *len)
{
    if (text.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && text.len > 0 && text.p[text.len - 1] == '='; i++)
        text.len--;
    return decode(text, "+/", out, len);
}

size_t base64url_encode(struct slice bytes, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = (bits << 8 | (uint8_t)bytes.p[i]) & 0xffff;
        for (held += 8; held >= 6;) {
            held -= 6;
            out[n++] = alphabet[bits >> held & 63];
        }
    }
    if (held > 0)
        out[n++] = alphabet[bits << (6 - held) & 63];
    return n;
}
