/*
 * uri.h: request targets (RFC 9112, 3.2; RFC 3986).
 *
 * A gateway that matches one spelling of a path and forwards another can be walked round. So a path is
 * brought into one normal form, and that form is what is matched, logged and forwarded:
 *   - unreserved characters that were percent-encoded are decoded; other escapes keep their %XX, in capitals;
 *   - "." and ".." segments are removed (RFC 3986, 5.2.4), also those that were spelled with %2E;
 *   - repeated slashes are kept: they mean something to some backends.
 * Refused: a path that does not begin with '/', a bad escape, %00, any byte outside VCHAR ASCII, a raw '#' or
 * '?', and ".." when it leaves the root; a backslash too, for some backends read it as '/'. An encoded slash
 * (%2F, %5C too) is reported, so that a route may allow it; but "." and ".." beside one ("/a/..%2Fb") or in
 * front of a ';' ("/a/..;/b") are refused, for there are backends that make dot segments of them.
 *
 * Escapes are decoded once: "%252e" stays as it is, and so do the bytes of UTF-8, well formed or not. The
 * normal form of a normal form is itself.
 *
 *     struct uri_target t;
 *     struct uri_path p;
 *     if (!uri_split(SLICE("/a/%2e%2e/b%7e?x=1"), &t)) ...
 *     if (uri_normalise(t.path, space, &p) == URI_OK) ...      // p.path is "/b~"
 *
 * Pure functions, callable from any thread.
 */
#ifndef LIB_URI_H
#define LIB_URI_H

#include "lib/check.h"
#include "lib/slice.h"

enum uri_form {
    URI_ORIGIN,    /* /path?query */
    URI_ABSOLUTE,  /* http://host/path?query */
    URI_AUTHORITY, /* host:port, only with CONNECT */
    URI_ASTERISK,  /* *, only with OPTIONS */
};

/* A raw target, cut into its parts. Slices point into the target, but for a "/" that was not there. */
struct uri_target {
    enum uri_form form;
    struct slice authority; /* URI_ABSOLUTE, URI_AUTHORITY */
    struct slice path;      /* raw; "/" for an absolute form without a path; empty for the other two */
    struct slice query;     /* without its '?'; raw */
    bool has_query;         /* "/a?" has an empty one */
};

/* False when TARGET fits no form: any control byte, space or non-ASCII byte, an absolute form other than http
 * and https, an authority with userinfo, a fragment. */
MUST_USE bool uri_split(struct slice target, struct uri_target *out);

enum uri_fault {
    URI_OK,
    URI_BAD_ESCAPE,
    URI_NUL,        /* %00 */
    URI_BAD_BYTE,   /* a byte that may not stand in a path, or a backslash */
    URI_NO_ROOT,    /* does not begin with '/' */
    URI_ABOVE_ROOT, /* ".." past the first segment */
    URI_HIDDEN_DOTS /* "." or ".." beside an encoded slash or in front of a ';' */
};

struct uri_path {
    struct slice path;  /* the normal form: in OUT, or the raw path itself when nothing had to change */
    bool encoded_slash; /* it holds %2F or %5C */
};

/* Bring RAW into the normal form. OUT must have room for RAW.len bytes and may be RAW's own memory; the
 * result is never longer. Most paths need no change and are not copied. On a fault RESULT means nothing. */
MUST_USE enum uri_fault uri_normalise(struct slice raw, char *out, struct uri_path *result);

/* A fault as words for a client: "bad percent-escape". */
const char *uri_fault_text(enum uri_fault f);

/*
 * Check an authority ("example.com", "example.com:8080", "[::1]:80") as a Host field may hold it; HOST gets
 * the name without port: a name of letters, digits, '-', '_', '~' and single dots (a last one too), or an
 * address; that of IPv6 keeps its brackets. False when it is malformed (userinfo, bad port, bad bytes, empty
 * label). Empty is allowed (RFC 9112, 3.2).
 */
MUST_USE bool uri_host(struct slice authority, struct slice *host);

#endif
