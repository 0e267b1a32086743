/*
 * http.h: the vocabulary of HTTP that every module shares: methods, fields, character classes, status
 * phrases.
 *
 * Pure data and pure functions, callable from any thread. Sources: RFC 9110, RFC 9112, the IANA registries.
 */
#ifndef LIB_HTTP_H
#define LIB_HTTP_H

#include "lib/slice.h"

/* A header or trailer field. NAME is kept as it came; compare it with slice_eq_nocase. */
struct http_field {
    struct slice name;
    struct slice value;
};

/* Fields in the order they came. Lent: the array and its bytes belong to whoever parsed them. */
struct http_fields {
    struct http_field *at;
    size_t n;
};

/* The methods that metrics and routes know by name; any other token is HTTP_OTHER. */
enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_CONNECT,
    HTTP_OTHER,
    HTTP_METHODS
};

/* Methods are case-sensitive (RFC 9110, 9.1): "get" is HTTP_OTHER. */
enum http_method http_method_of(struct slice token);
const char *http_method_name(enum http_method m);

/* GET, HEAD, PUT, DELETE, OPTIONS and TRACE (RFC 9110, 9.2.2). */
bool http_method_is_idempotent(enum http_method m);

/* What a byte may stand for, as bits; for those who scan byte by byte. */
#define HTTP_TCHAR 1 /* in a token (RFC 9110, 5.6.2) */
#define HTTP_VALUE 2 /* in a field value (RFC 9110, 5.5) */
extern const uint8_t http_char_class[256];

/* tchar (RFC 9110, 5.6.2). */
static inline bool http_is_tchar(unsigned char c)
{
    return (http_char_class[c] & HTTP_TCHAR) != 0;
}

/* At least one tchar and nothing else. */
bool http_is_token(struct slice s);

/* VCHAR, SP, HTAB and obs-text; no other control byte (RFC 9110, 5.5). The empty value is fine. */
bool http_is_field_value(struct slice s);

/* The registered phrase of a status ("Not Found"), or "" for one that has none. */
const char *http_status_phrase(unsigned status);

/* The first field of that name, or NULL. */
const struct http_field *http_find(struct http_fields fields, struct slice name);

/* How many fields have that name. */
size_t http_count(struct http_fields fields, struct slice name);

/* Whether any field of that name lists TOKEN (comma-separated, case-insensitive). */
bool http_lists_token(struct http_fields fields, struct slice name, struct slice token);

/* The value of the cookie NAME (RFC 6265, 4.2.1), as it stands; false when there is none. */
bool http_cookie(struct http_fields fields, struct slice name, struct slice *value);

/* Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade and the Proxy-Auth pair:
 * fields that belong to one connection and are never forwarded (RFC 9110, 7.6.1). */
bool http_is_hop_by_hop(struct slice name);

#endif
