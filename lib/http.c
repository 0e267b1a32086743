/*
 * http.c: see http.h.
 *
 * Everything here is asked several times for each request, so: characters by a table of bits, method and
 * hop-by-hop names by a switch on their length (one comparison at most for nearly every name), status phrases
 * by index, values sixteen bytes at a time (http1_scan.h).
 */
#include "lib/http.h"

#include "lib/http1_scan.h"

#define T   HTTP_TCHAR | HTTP_VALUE
#define V   HTTP_VALUE
#define T4  T, T, T, T
#define V4  V, V, V, V
#define V32 V4, V4, V4, V4, V4, V4, V4, V4
#define N4  0, 0, 0, 0

const uint8_t http_char_class[256] = {
    N4,  N4,  0,   V,   0,  0,  N4,          /* 00-0F: only HTAB */
    N4,  N4,  N4,  N4,                       /* 10-1F */
    V,   T,   V,   T,   T,  T,  T,  T,       /* SP ! " # $ % & ' */
    V,   V,   T,   T,   V,  T,  T,  V,       /* ( ) * + , - . / */
    T4,  T4,  T,   T,   V,  V,  V,  V, V, V, /* 0-9 : ; < = > ? */
    V,   T,   T,   T,   T4, T4, T4,          /* @ A-O */
    T4,  T4,  T,   T,   T,  V,  V,  V, T, T, /* P-Z [ \ ] ^ _ */
    T4,  T4,  T4,  T4,                       /* ` a-o */
    T4,  T4,  T,   T,   T,  V,  T,  V, T, 0, /* p-z { | } ~ DEL */
    V32, V32, V32, V32,                      /* 80-FF: obs-text */
};

static const char *const method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE",   [HTTP_PATCH] = "PATCH", [HTTP_OPTIONS] = "OPTIONS", [HTTP_TRACE] = "TRACE",
    [HTTP_CONNECT] = "CONNECT", [HTTP_OTHER] = "OTHER",
};

static const char *const phrases[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

static enum http_method if_named(struct slice token, enum http_method m)
{
    return memcmp(token.p, method_names[m], token.len) == 0 ? m : HTTP_OTHER;
}

enum http_method http_method_of(struct slice token)
{
    switch (token.len) {
    case 3:
        return token.p[0] == 'G' ? if_named(token, HTTP_GET) : if_named(token, HTTP_PUT);
    case 4:
        return token.p[0] == 'P' ? if_named(token, HTTP_POST) : if_named(token, HTTP_HEAD);
    case 5:
        return token.p[0] == 'P' ? if_named(token, HTTP_PATCH) : if_named(token, HTTP_TRACE);
    case 6:
        return if_named(token, HTTP_DELETE);
    case 7:
        return token.p[0] == 'O' ? if_named(token, HTTP_OPTIONS) : if_named(token, HTTP_CONNECT);
    default:
        return HTTP_OTHER;
    }
}

const char *http_method_name(enum http_method m)
{
    return (unsigned)m < HTTP_METHODS ? method_names[m] : "OTHER";
}

bool http_method_is_idempotent(enum http_method m)
{
    switch (m) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
        return true;
    default:
        return false;
    }
}

bool http_is_token(struct slice s)
{
    return http1_is_token(s);
}

bool http_is_field_value(struct slice s)
{
    return http1_is_text(s);
}

const char *http_status_phrase(unsigned status)
{
    const char *phrase = status < sizeof(phrases) / sizeof(phrases[0]) ? phrases[status] : NULL;
    return phrase ? phrase : "";
}

/* slice_eq_nocase behind the two looks that tell most names apart. */
static inline bool is_named(const struct http_field *f, struct slice name)
{
    return f->name.len == name.len && (name.len == 0 || ((f->name.p[0] ^ name.p[0]) & 0xDF) == 0) &&
           slice_eq_nocase(f->name, name);
}

const struct http_field *http_find(struct http_fields fields, struct slice name)
{
    for (size_t i = 0; i < fields.n; i++)
        if (is_named(&fields.at[i], name))
            return &fields.at[i];
    return NULL;
}

size_t http_count(struct http_fields fields, struct slice name)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++)
        n += is_named(&fields.at[i], name);
    return n;
}

bool http_lists_token(struct http_fields fields, struct slice name, struct slice token)
{
    for (size_t i = 0; i < fields.n; i++) {
        if (!is_named(&fields.at[i], name))
            continue;
        struct slice rest = fields.at[i].value, one;
        while (slice_next_token(&rest, &one))
            if (slice_eq_nocase(one, token))
                return true;
    }
    return false;
}

static bool find_cookie(struct slice cookies, struct slice name, struct slice *value)
{
    while (cookies.len > 0) {
        ptrdiff_t end = slice_find(cookies, ';');
        struct slice pair = slice_trim((struct slice){cookies.p, end < 0 ? cookies.len : (size_t)end});
        if (pair.len > name.len && slice_starts(pair, name) && pair.p[name.len] == '=') {
            *value = slice_skip(pair, name.len + 1);
            return true;
        }
        cookies = end < 0 ? (struct slice){"", 0} : slice_skip(cookies, (size_t)end + 1);
    }
    return false;
}

bool http_cookie(struct http_fields fields, struct slice name, struct slice *value)
{
    *value = (struct slice){"", 0};
    for (size_t i = 0; i < fields.n; i++)
        if (slice_eq_nocase(fields.at[i].name, SLICE("Cookie")) &&
            find_cookie(fields.at[i].value, name, value))
            return true;
    return false;
}

bool http_is_hop_by_hop(struct slice name)
{
    switch (name.len) {
    case 2:
        return slice_eq_nocase(name, SLICE("TE"));
    case 7:
        return slice_eq_nocase(name, SLICE("Upgrade")) || slice_eq_nocase(name, SLICE("Trailer"));
    case 10:
        return slice_eq_nocase(name, SLICE("Connection")) || slice_eq_nocase(name, SLICE("Keep-Alive"));
    case 16:
        return slice_eq_nocase(name, SLICE("Proxy-Connection"));
    case 17:
        return slice_eq_nocase(name, SLICE("Transfer-Encoding"));
    case 18:
        return slice_eq_nocase(name, SLICE("Proxy-Authenticate"));
    case 19:
        return slice_eq_nocase(name, SLICE("Proxy-Authorization"));
    default:
        return false;
    }
}
