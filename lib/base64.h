/*
 * base64.h: base64 and base64url, strictly.
 *
 * A reader that forgives lets one value be written in many ways, which is how signatures and caches are
 * fooled. Here every value has one text: no white space, no line breaks, no other alphabet's characters, the
 * unused bits of the last character are zero; padding is required in base64 and refused in base64url.
 *
 *     char out[BASE64_DECODED_MAX(sizeof(text))];
 *     size_t len;
 *     if (!base64url_decode(text, out, &len)) ...
 *
 * Pure functions, callable from any thread. The time taken tells the length only of what is decoded, but the
 * tables may be seen in the cache: not for private keys. Source: RFC 4648, 4 and 5, and its section 12.
 */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include "lib/check.h"
#include "lib/slice.h"

#define BASE64_DECODED_MAX(text_len)  (((text_len) + 3) / 4 * 3)
#define BASE64_ENCODED_MAX(bytes_len) (((bytes_len) + 2) / 3 * 4)

/* OUT holds BASE64_DECODED_MAX(text.len) bytes; *LEN of them are written. The output is undefined on false.
 */
MUST_USE bool base64url_decode(struct slice text, char *out, size_t *len);
MUST_USE bool base64_decode(struct slice text, char *out, size_t *len);

/* OUT holds BASE64_ENCODED_MAX(bytes.len) characters; gives how many were written. No padding, no NUL. */
size_t base64url_encode(struct slice bytes, char *out);

#endif
