/*
 * hex.h: numbers as 16 lower-case hexadecimal digits, eight at a time.
 *
 *     char text[HEX_LEN];
 *     hex_write(text, id);
 *
 * Pure functions, any thread. No NUL is written.
 */
#ifndef LIB_HEX_H
#define LIB_HEX_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define HEX_LEN 16 /* digits of 64 bits */

/* Each half byte moves into a byte of its own, and each byte becomes a digit. */
static inline void hex_write8(char *out, uint32_t value)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = value;
    x = (x & 0xffff0000) << 16 | (x & 0xffff);
    x = (x & UINT64_C(0xff000000ff00)) << 8 | (x & UINT64_C(0xff000000ff));
    x = (x & UINT64_C(0xf000f000f000f0)) << 4 | (x & UINT64_C(0xf000f000f000f));
    uint64_t is_letter = (x + 6 * ones) >> 4 & ones;
    x += ones * '0' + is_letter * ('a' - '0' - 10);
    x = htobe64(x);
    memcpy(out, &x, sizeof(x));
}

/* OUT has room for HEX_LEN bytes; returns where they end. */
static inline char *hex_write(char *out, uint64_t value)
{
    hex_write8(out, (uint32_t)(value >> 32));
    hex_write8(out + HEX_LEN / 2, (uint32_t)value);
    return out + HEX_LEN;
}

#endif
