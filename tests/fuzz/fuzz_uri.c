/*
 * fuzz_uri.c: any bytes as a request target, and as a path and an authority of their own.
 *
 * What has to hold for whatever is accepted: the normal form is not longer than the raw one, has no dot
 * segment, no escape that could be decoded, no byte that may not be there, and is its own normal form; the
 * same comes out when it is made in place; a host is a part of its authority.
 */
#include "lib/uri.h"

#include <ctype.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_dots(const char *p, size_t n)
{
    return (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
}

static void check_segments(struct slice path)
{
    size_t begin = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.p[i] != '/')
            continue;
        CHECK(!is_dots(path.p + begin, i - begin));
        begin = i + 1;
    }
}

static void check_bytes(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.p[i];
        CHECK(c > ' ' && c < 127 && c != '#' && c != '?' && c != '\\');
        if (c != '%')
            continue;
        CHECK(path.len - i > 2 && isxdigit((unsigned char)path.p[i + 1]) &&
              isxdigit((unsigned char)path.p[i + 2]));
        CHECK(!islower((unsigned char)path.p[i + 1]) && !islower((unsigned char)path.p[i + 2]));
        char hex[] = {path.p[i + 1], path.p[i + 2], '\0'};
        int byte = (int)strtol(hex, NULL, 16);
        CHECK(byte != 0 && (byte > 127 || !(isalnum(byte) || strchr("-._~", byte))));
    }
}

static void check_path(struct slice raw)
{
    struct uri_path first, second;
    char *out = malloc(raw.len + 1), *copy = malloc(raw.len + 1);
    CHECK(out && copy);
    if (uri_normalise(raw, out, &first) == URI_OK) {
        CHECK(first.path.len > 0 && first.path.len <= raw.len && first.path.p[0] == '/');
        check_segments(first.path);
        check_bytes(first.path);
        CHECK(uri_normalise(first.path, copy, &second) == URI_OK);
        CHECK(slice_eq(first.path, second.path) && first.encoded_slash == second.encoded_slash);
        memcpy(copy, raw.p, raw.len);
        CHECK(uri_normalise((struct slice){copy, raw.len}, copy, &second) == URI_OK);
        CHECK(slice_eq(first.path, second.path));
    }
    free(out);
    free(copy);
}

static void check_host(struct slice authority)
{
    struct slice host;
    if (uri_host(authority, &host) && authority.len > 0)
        CHECK(host.len > 0 && host.p == authority.p && host.len <= authority.len &&
              slice_find(host, '@') < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct uri_target t;
    if (uri_split(input, &t)) {
        CHECK(t.has_query || t.query.len == 0);
        CHECK((t.form == URI_ORIGIN || t.form == URI_ABSOLUTE) == (t.path.len > 0));
        if (t.path.len > 0)
            check_path(t.path);
        check_host(t.authority);
    }
    check_path(input);
    check_host(input);
    return 0;
}
