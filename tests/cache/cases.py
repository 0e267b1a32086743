"""What a shared cache does, by section of the standards: a table.

A case is a list of exchanges on one URL of its own. Each says what becomes of the request:

    fetched      the origin gets it, without a condition of the gateway's
    validated    the origin gets it with If-None-Match or If-Modified-Since
    cached       the origin does not get it
    refreshed    it is answered from what is stored, and the origin gets it (validated or not) in the background

and may say more: what the origin answers (A), what the request has, which fields and which body come back. Without an
answer the origin says 304 to a condition, and otherwise 200 with no-store.
"""

from harness import Answer as A

CASES = []


class X:
    """One exchange."""

    def __init__(self, what, answer=None, req=(), method="GET", path="", route=None, status=None, has=(), lacks=(),
                 sent=(), unsent=(), body=None, same=False, host="h.example", send=b""):
        self.what, self.answer, self.req, self.method = what, answer, req, method
        self.path, self.route, self.status, self.has, self.lacks = path, route, status, has, lacks
        self.sent, self.unsent, self.body, self.same, self.host = sent, unsent, body, same, host
        self.send = send


def case(section, name, *exchanges, route="plain"):
    CASES.append((section, name, route, exchanges))


def ok(*fields, **more):
    return A(*fields, **more)


FRESH = "Cache-Control: max-age=3600"
OLD = "Age: 7200"  # older than FRESH allows
ETAG = 'ETag: "v1"'
MODIFIED = "Last-Modified: <-864000>"


def stored(section, name, *fields, route="plain", req=(), status=200, **more):
    """The answer is used again."""
    case(section, name, X("fetched", ok(*fields, status=status), req=req, **more), X("cached", req=req, same=True),
         route=route)


def not_stored(section, name, *fields, route="plain", req=(), status=200, **more):
    """It is not."""
    case(section, name, X("fetched", ok(*fields, status=status), req=req, **more), X("fetched", req=req), route=route)


def stale(section, name, *fields, route="plain"):
    """It is stored, but has to be asked for each time."""
    case(section, name, X("fetched", ok(ETAG, *fields)), X("validated", same=True), route=route)


# ---- RFC 9111, 3: storing --------------------------------------------------------------------------------------------

for status in (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 418, 429, 451, 499,
               500, 501, 502, 503, 504, 599):
    stored("9111 3", "status %d with max-age" % status, FRESH, status=status)
    not_stored("9111 3", "status %d with nothing said" % status, status=status)
    case("9111 3", "status %d that is stale" % status, X("fetched", ok("Cache-Control: max-age=1", "Age: 100", status=status)),
         X("fetched"))
for status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501):
    stored("9111 4.2.2", "status %d by heuristic" % status, MODIFIED, "Date: <0>", status=status)
for status in (201, 202, 302, 303, 307, 400, 403, 429, 500, 502, 503, 504, 599):
    not_stored("9111 4.2.2", "no heuristic for status %d" % status, MODIFIED, "Date: <0>", status=status)
    stored("9111 4.2.2", "heuristic for status %d with public" % status, MODIFIED, "Cache-Control: public", status=status)

for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH"):
    case("9111 3", "an answer to %s" % method, X("fetched", ok(FRESH), method=method, send=b"abc"), X("fetched"))
case("9111 3", "an answer to HEAD is not one to GET", X("fetched", ok(FRESH), method="HEAD"), X("fetched"))
case("9111 3", "a GET with a body", X("fetched", ok(FRESH), send=b"abc"), X("fetched"))

for value in ("no-store", "No-StOrE", "max-age=3600, no-store", "no-store, max-age=3600", "no-store=x", 'no-store="x"',
              "foo=bar, no-store", "no-store, public", ",,no-store,", "no-store, s-maxage=100"):
    not_stored("9111 5.2.2.5", "Cache-Control: " + value, "Cache-Control: " + value, "Expires: <3600>", "Date: <0>")
not_stored("9111 5.2.2.5", "no-store in a second field", FRESH, "Cache-Control: no-store")
for value in ("private", "max-age=3600, private", "PRIVATE, max-age=3600", "private, s-maxage=60", "private, public"):
    not_stored("9111 5.2.2.7", "Cache-Control: " + value, "Cache-Control: " + value, "Expires: <3600>", "Date: <0>")
case("9111 5.2.2.7", "private with names",
     X("fetched", ok('Cache-Control: max-age=60, private="X-A, x-b"', "X-A: 1", "X-B: 2", "X-C: 3"),
       has=("X-A: 1", "X-B: 2", "X-C: 3")),
     X("cached", lacks=("X-A", "X-B"), has=("X-C: 3",)))
not_stored("9111 5.2.2.7", "private with names that are none", 'Cache-Control: max-age=60, private="X A"')
not_stored("9111 5.2.2.7", "private with an empty list", 'Cache-Control: max-age=60, private=""')
case("9111 5.2.2.4", "no-cache with names",
     X("fetched", ok('Cache-Control: max-age=60, no-cache="X-A"', "X-A: 1", "X-C: 3"), has=("X-A: 1",)),
     X("cached", lacks=("X-A",), has=("X-C: 3",)))
case("9111 5.2.2.4", "no-cache with two names in two fields",
     X("fetched", ok(FRESH, 'Cache-Control: no-cache="a, b"', "A: 1", "B: 2", "C: 3")),
     X("cached", lacks=("A", "B"), has=("C: 3",)))

stored("9111 5.2.2.3", "must-understand, understood, with no-store", "Cache-Control: max-age=60, must-understand, no-store")
not_stored("9111 5.2.2.3", "must-understand, not understood", "Cache-Control: max-age=60, must-understand", status=299)
not_stored("9111 5.2.2.3", "must-understand, not understood, with no-store",
           "Cache-Control: max-age=60, must-understand, no-store", status=599)

AUTH = ("Authorization: Bearer x",)
not_stored("9111 3.5", "with Authorization", FRESH, req=AUTH)
for value in ("public", "must-revalidate", "s-maxage=60"):
    stored("9111 3.5", "with Authorization, " + value, "Cache-Control: max-age=60, " + value, req=AUTH)
not_stored("9111 3.5", "with Authorization, proxy-revalidate", "Cache-Control: max-age=60, proxy-revalidate", req=AUTH)
case("9111 3.5", "what Authorization kept out is not given to others",
     X("fetched", ok(FRESH), req=AUTH), X("fetched"))
case("9111 3.5", "what is stored is given to who has Authorization", X("fetched", ok(FRESH)), X("cached", req=AUTH))

not_stored("9111 7.3", "Set-Cookie", FRESH, "Set-Cookie: a=b")
not_stored("9111 7.3", "Set-Cookie, public, but not by conf", "Cache-Control: max-age=60, public", "Set-Cookie: a=b")
stored("9111 7.3", "Set-Cookie, public, by conf", "Cache-Control: max-age=60, public", "Set-Cookie: a=b", route="cookies")
stored("9111 7.3", "Set-Cookie, s-maxage, by conf", "Cache-Control: s-maxage=60", "Set-Cookie: a=b", route="cookies")
not_stored("9111 7.3", "Set-Cookie, max-age alone, by conf", FRESH, "Set-Cookie: a=b", route="cookies")
case("9111 7.3", 'Set-Cookie in no-cache="set-cookie"',
     X("fetched", ok('Cache-Control: max-age=60, no-cache="Set-Cookie"', "Set-Cookie: a=b"), has=("Set-Cookie: a=b",)),
     X("cached", lacks=("Set-Cookie",)))
case("9111 7.3", "a request with Cookie gets what is stored", X("fetched", ok(FRESH)), X("cached", req=("Cookie: a=b",)))

case("9111 3.3", "an answer that breaks off is not stored",
     X("fetched", A(FRESH, body=b"0123456789", truncate=True), status="broken"), X("fetched"))
case("9111 3.3", "a chunked answer that breaks off is not stored",
     X("fetched", A(FRESH, body=b"0123456789", truncate=True, chunked=True), status="broken"), X("fetched"))
case("9111 3", "a chunked answer is stored", X("fetched", A(FRESH, body=b"x" * 100000, chunked=True)),
     X("cached", same=True, has=("Content-Length: 100000",)))
case("9111 3", "an answer without content", X("fetched", A(FRESH, body=b"")), X("cached", same=True, has=("Content-Length: 0",)))
case("9111 3", "a large answer", X("fetched", A(FRESH, body=b"y" * 900000)), X("cached", same=True))
case("9111 3", "one that is too large", X("fetched", A(FRESH, body=b"y" * 1100000)), X("fetched"))
case("9111 3", "one that turns out to be too large", X("fetched", A(FRESH, body=b"y" * 1500000, chunked=True)), X("fetched"))
case("conf", "max_object", X("fetched", A(FRESH, body=b"y" * 1024)), X("cached", same=True), route="small")
case("conf", "more than max_object", X("fetched", A(FRESH, body=b"y" * 1025)), X("fetched"), route="small")
case("conf", "more than max_object, in chunks", X("fetched", A(FRESH, body=b"y" * 5000, chunked=True), body=b"y" * 5000), X("fetched"), route="small")
case("conf", "more than max_object, in many chunks", X("fetched", A(FRESH, body=bytes(range(256)) * 400, chunked=True), body=bytes(range(256)) * 400), X("fetched"), route="small")
case("conf", "a part of what is larger than max_object", X("fetched", A(FRESH, ETAG, "Content-Range: bytes 0-999/2000", status=206, body=b"x" * 1000), req=("Range: bytes=0-999",), status=206),
     X("cached", req=("Range: bytes=0-999",), status=206), X("fetched", unsent=("Range",)), route="small")
not_stored("conf", "a status that the conf does not list", FRESH, status=404, route="only200")
case("9111 3", "what is not kept is kept again when it may be", X("fetched", ok("Cache-Control: private")), X("fetched", ok(FRESH), has=("Cache-Status~: .*detail=not-kept",)),
     X("fetched", ok(FRESH)), X("cached"))
case("9111 3", "what was too large is kept when it is not", X("fetched", A(FRESH, body=b"y" * 1100000)), X("fetched", ok(FRESH), has=("Cache-Status~: .*detail=not-kept",)),
     X("fetched", ok(FRESH)), X("cached"))
BIG = A(FRESH, body=b"y" * 1500000, chunked=True)
case("9111 3", "what turned out to be too large is not waited for", X("fetched", BIG), X("fetched", BIG, has=("Cache-Status~: .*detail=not-kept",)),
     X("fetched", BIG, has=("Cache-Status~: .*detail=not-kept",)), X("fetched", ok(FRESH)), X("fetched", ok(FRESH)), X("cached"))
stored("conf", "a status that the conf lists", FRESH, status=200, route="only200")

# ---- 3.1: fields -----------------------------------------------------------------------------------------------------

for name, value in (("X-Test", "a"), ("Content-Type", "text/plain"), ("Content-Language", "de"), ("Link", "</a>; rel=x"),
                    ("X-Frame-Options", "deny"), ("Strict-Transport-Security", "max-age=1"), ("WWW-Authenticate", "Basic"),
                    ("Content-Disposition", "attachment"), ("Clear-Site-Data", "cookies"), ("Expires", "<4000>"),
                    ("Content-Encoding", "gzip"), ("ETag", '"x"'), ("Last-Modified", "<-500>"), ("Server", "me")):
    case("9111 3.1", name + " is stored", X("fetched", ok(FRESH, "%s: %s" % (name, value))), X("cached", has=(name,)))
for name, value in (("Connection", "x-a"), ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"),
                    ("Proxy-Connection", "close"), ("Trailer", "X-A"), ("Upgrade", "h2c"),
                    ("Proxy-Authentication-Info", "x")):
    case("9111 3.1", name + " is not", X("fetched", ok(FRESH, "%s: %s" % (name, value))), X("cached", lacks=(name,)))
case("9111 3.1", "fields that Connection names",
     X("fetched", ok(FRESH, "Connection: a, b", "A: 1", "B: 2", "C: 3")),
     X("cached", has=("C: 3",), lacks=("A", "B", "Connection")))
case("9111 3.1", "two fields of one name stay two", X("fetched", ok(FRESH, "X-A: 1", "X-A: 2")),
     X("cached", has=("X-A: 1, 2",)))

# ---- 3.2: updating -----------------------------------------------------------------------------------------------------

for validator in (ETAG, MODIFIED):
    name = validator.split(":")[0]
    for field, old, new in (("X-Test", "1", "2"), ("Content-Type", "text/plain", "text/html"), ("X-Content-Foo", "a", "b"),
                            ("Content-Language", "de", "en"), ("Content-Location", "/a", "/b"),
                            ("Content-MD5", "aaaa", "bbbb"), ("X-Frame-Options", "deny", "sameorigin"),
                            ("Content-Security-Policy", "default-src 'self'", "default-src 'none'"),
                            ("Expires", "<10>", "<5000>")):
        case("9111 3.2", "a 304 by %s updates %s" % (name, field),
             X("fetched", ok(FRESH, OLD, validator, "%s: %s" % (field, old))),
             X("validated", A(FRESH, validator, "%s: %s" % (field, new), status=304), same=True, has=("%s: %s" % (field, new),)),
             X("cached", same=True, has=("%s: %s" % (field, new),)))
    case("9111 3.2", "a 304 by %s leaves what it does not say" % name,
         X("fetched", ok(FRESH, OLD, validator, "X-A: 1")),
         X("validated", A(FRESH, validator, status=304), same=True, has=("X-A: 1",)),
         X("cached", same=True, has=("X-A: 1",)))
case("9111 3.2", "a 304 replaces two fields by one",
     X("fetched", ok(FRESH, OLD, ETAG, "X-A: 1", "X-A: 2")),
     X("validated", A(FRESH, ETAG, "X-A: 3", status=304), has=("X-A: 3",)), X("cached", has=("X-A: 3",)))
for field in ("Content-Encoding: gzip", "Content-Range: bytes 0-1/2"):
    case("9111 3.2", "a 304 does not update " + field.split(":")[0],
         X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A(FRESH, ETAG, field, status=304), same=True),
         X("cached", same=True))
case("9111 3.2", "a 304 with another Content-Encoding",
     X("fetched", ok(FRESH, OLD, ETAG, "Content-Encoding: gzip")),
     X("validated", A(FRESH, ETAG, "Content-Encoding: br", status=304), same=True, has=("Content-Encoding: gzip",)),
     X("cached", has=("Content-Encoding: gzip",)))
case("9111 3.2", "a 304 with another lifetime",
     X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A("Cache-Control: max-age=60", "Age: 100", ETAG, status=304)),
     X("validated", A("Cache-Control: max-age=60", ETAG, status=304)), X("cached"))
case("9111 3.2", "a 304 with no-store", X("fetched", ok(FRESH, OLD, ETAG)),
     X("validated", A("Cache-Control: no-store", ETAG, status=304), same=True), X("fetched"))

# ---- 4: using ------------------------------------------------------------------------------------------------------------

case("9111 4", "HEAD is answered by what GET stored", X("fetched", A(FRESH, ETAG, body=b"12345")),
     X("cached", method="HEAD", has=("Content-Length: 5", ETAG)))
case("9111 4", "another method is not", X("fetched", ok(FRESH)), X("fetched", method="OPTIONS"), X("cached"))
case("9111 4", "another URL is not", X("fetched", ok(FRESH)), X("fetched", path="/b"), X("cached"))
case("9111 4", "another host is not", X("fetched", ok(FRESH)), X("fetched", host="g.example"), X("cached"))
case("9111 4", "hosts in any case, with the usual port", X("fetched", ok(FRESH)), X("cached", host="H.Example:80"))
case("9111 4", "another port is another host", X("fetched", ok(FRESH)), X("fetched", host="h.example:81"))
case("9111 4", "another query", X("fetched", ok(FRESH), path="?a=1"), X("fetched", path="?a=2"), X("cached", path="?a=1"))
case("9111 4", "an empty query is not none", X("fetched", ok(FRESH)), X("fetched", path="?"))
case("9111 4", "paths in normal form", X("fetched", ok(FRESH), path="/~x"), X("cached", path="/a/../%7Ex"))
case("9111 4", "the last answer counts", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", ok(FRESH, body=b"new")),
     X("cached", body=b"new"))
case("9111 4", "the second request at once", X("fetched", ok("Cache-Control: s-maxage=1")), X("cached", same=True))

case("conf", "sorted query", X("fetched", ok(FRESH), path="?b=2&a=1"), X("cached", path="?a=1&b=2"), route="sorted")
case("conf", "sorted query keeps the order of one name", X("fetched", ok(FRESH), path="?a=2&a=1"),
     X("fetched", path="?a=1&a=2"), route="sorted")
case("conf", "sorted query keeps the order of one name, whatever the lengths", X("fetched", ok(FRESH), path="?a=22&a=1"),
     X("fetched", path="?a=1&a=22"), route="sorted")
case("conf", "ignored parameters", X("fetched", ok(FRESH), path="?a=1&utm=x"), X("cached", path="?utm=y&a=1"),
     X("fetched", path="?a=2&utm=x"), route="sorted")
case("conf", "kept parameters", X("fetched", ok(FRESH), path="?a=1&b=2"), X("cached", path="?b=3&a=1"),
     X("fetched", path="?a=2"), route="keep")
case("conf", "no query", X("fetched", ok(FRESH), path="?a=1"), X("cached", path="?a=2"), X("cached"), route="noquery")
case("conf", "a header in the key", X("fetched", ok(FRESH), req=("X-Tenant: a",)), X("fetched", req=("X-Tenant: b",)),
     X("fetched"), route="tenants")
case("conf", "the header again", X("fetched", ok(FRESH), req=("X-Tenant: a",)), X("cached", req=("x-tenant: a", "X-B: 1")),
     route="tenants")
case("conf", "a cookie in the key", X("fetched", ok(FRESH), req=("Cookie: lang=de; id=1",)),
     X("cached", req=("Cookie: id=2; lang=de",)), X("fetched", req=("Cookie: lang=en",)), route="tenants")

# ---- 4.1: Vary -----------------------------------------------------------------------------------------------------------

V = ok(FRESH, "Vary: Foo")
case("9111 4.1", "the same value", X("fetched", V, req=("Foo: 1",)), X("cached", req=("Foo: 1",), same=True))
case("9111 4.1", "another value", X("fetched", V, req=("Foo: 1",)), X("fetched", req=("Foo: 2",)))
case("9111 4.1", "no value", X("fetched", V, req=("Foo: 1",)), X("fetched"))
case("9111 4.1", "none either time", X("fetched", V), X("cached", same=True))
case("9111 4.1", "an empty value is not none", X("fetched", V), X("fetched", req=("Foo:",)))
case("9111 4.1", "two variants", X("fetched", V, req=("Foo: 1",)), X("fetched", V, req=("Foo: 2",)),
     X("cached", req=("Foo: 1",)), X("cached", req=("Foo: 2",)))
case("9111 4.1", "many variants", *[X("fetched", V, req=("Foo: %d" % i,)) for i in range(20)],
     *[X("cached", req=("Foo: %d" % i,)) for i in range(20)])
case("9111 4.1", "other fields do not matter", X("fetched", V, req=("Foo: 1", "Bar: 1")), X("cached", req=("Foo: 1", "Bar: 2")))
W = ok(FRESH, "Vary: Foo, Bar")
case("9111 4.1", "two fields", X("fetched", W, req=("Foo: 1", "Bar: a")), X("cached", req=("Bar: a", "Foo: 1")),
     X("fetched", req=("Foo: 1", "Bar: b")), X("fetched", req=("Foo: 1",)))
case("9111 4.1", "two fields in two lines", X("fetched", ok(FRESH, "Vary: Foo", "Vary: Bar"), req=("Foo: 1", "Bar: a")),
     X("cached", req=("Foo: 1", "Bar: a")), X("fetched", req=("Foo: 1", "Bar: b")))
case("9111 4.1", "names in any case", X("fetched", ok(FRESH, "Vary: fOO"), req=("Foo: 1",)), X("cached", req=("foo: 1",)))
case("9111 4.1", "white space around commas", X("fetched", V, req=("Foo: 1,2",)), X("cached", req=("Foo:  1 ,  2",)))
case("9111 4.1", "lines are one list", X("fetched", V, req=("Foo: 1, 2",)), X("cached", req=("Foo: 1", "Foo: 2")))
case("9111 4.1", "the order matters", X("fetched", V, req=("Foo: 1, 2",)), X("fetched", req=("Foo: 2, 1",)))
case("9111 4.1", "commas in quotes", X("fetched", V, req=('Foo: "1, 2"',)), X("fetched", req=('Foo: "1,2"',)))
case("9111 4.1", "case matters", X("fetched", V, req=("Foo: a",)), X("fetched", req=("Foo: A",)))
for name in ("Accept", "Accept-Encoding", "Accept-Language"):
    case("9111 4.1", "case does not matter in " + name, X("fetched", ok(FRESH, "Vary: " + name), req=(name + ": aB",)),
         X("cached", req=(name + ": Ab",)))
for value in ("*", "*, Foo", "Foo, *", "*, *", ", *"):
    not_stored("9111 4.1", "Vary: " + value, FRESH, "Vary: " + value, req=("Foo: 1",))
not_stored("9111 4.1", "Vary with * in a second field", FRESH, "Vary: Foo", "Vary: *")
not_stored("9111 4.1", "Vary with what is no name", FRESH, "Vary: Foo Bar")
stored("9111 4.1", "an empty Vary", FRESH, "Vary:")
case("9111 4.1", "variants by different fields", X("fetched", V, req=("Foo: 1", "Bar: a")),
     X("fetched", ok(FRESH, "Vary: Bar"), req=("Foo: 2", "Bar: a")), X("fetched", ok(FRESH, "Vary: Foo"), req=("Foo: 1", "Bar: b")),
     X("cached", req=("Foo: 1", "Bar: b")))
case("9111 4.1", "variants are told apart when they are asked for", X("fetched", ok(FRESH, OLD, "Vary: Foo", 'ETag: "1"'), req=("Foo: 1",)),
     X("fetched", ok(FRESH, OLD, "Vary: Foo", 'ETag: "2"'), req=("Foo: 2",)),
     X("validated", req=("Foo: 1",), sent=('If-None-Match: "1"',)), X("validated", req=("Foo: 2",), sent=('If-None-Match: "2"',)))
case("9111 4.1", "another variant's validator is not sent", X("fetched", ok(FRESH, ETAG, "Vary: Foo"), req=("Foo: 1",)),
     X("fetched", req=("Foo: 2",), unsent=("If-None-Match",)))
case("9111 4.1", "what varies is sent when it is asked for", X("fetched", ok(FRESH, OLD, ETAG, "Vary: Foo"), req=("Foo: 1",)),
     X("validated", req=("Foo: 1",), sent=("Foo: 1",)))

# ---- 4.2: freshness ------------------------------------------------------------------------------------------------------

for value in ("max-age=3600", "MaX-aGe=3600", 'max-age="3600"', "max-age=003600", "max-age=2147483647", "max-age=2147483648",
              "max-age=99999999999", "max-age=99999999999999999999", "s-maxage=3600", "s-maxage=3600, max-age=1",
              "foo, max-age=3600", 'foo="bar, baz", max-age=3600', "max-age=3600, foo=bar", "max-age=3600,,", "public, max-age=3600",
              "max-age=3600, immutable", "max-age=3600, must-revalidate", "max-age=3600, no-transform"):
    stored("9111 4.2.1", "Cache-Control: " + value, "Cache-Control: " + value, "Age: 10", "Date: <-5>")
for value in ("max-age=0", "max-age", "max-age=", "max-age= 3600", "max-age =3600", "max-age='3600'", "max-age=-1", "max-age=3600.0",
              "max-age=3600x", "max-age=x3600", 'max-age="3600', "s-maxage=0, max-age=3600", "max-age=3600, max-age=0",
              "max-age=0, max-age=3600", 'foo="max-age=3600", max-age=0', "max-age=1"):
    stale("9111 4.2.1", "Cache-Control: " + value, "Cache-Control: " + value, "Age: 5", "Expires: <3600>", "Date: <0>")
for value in ('x="max-age=3600"', "x=max-age=3600", "xmax-age=3600", "max_age=3600"):
    not_stored("9111 4.2.1", "Cache-Control: " + value, "Cache-Control: " + value)
stale("9111 4.2.1", "two Cache-Control fields, the second shorter", FRESH, "Cache-Control: max-age=1", "Age: 5")
stale("9111 4.2.1", "two Cache-Control fields, the first shorter", "Cache-Control: max-age=1", FRESH, "Age: 5")
for form in ("<3600>", "<850:3600>", "<asc:3600>"):
    stored("9111 5.3", "Expires: " + form, "Expires: " + form, "Date: <0>")
    stored("9111 5.3", "Expires without Date: " + form, "Expires: " + form)
for value in ("<-10>", "<0>", "0", "-1", "Thu, 18 AUG 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 UTC",
              "Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT", "tomorrow", ""):
    if value:
        stale("9111 5.3", "Expires: " + value, "Expires: " + value, "Date: <0>")
stored("9111 5.3", "max-age goes before Expires", FRESH, "Expires: <-100>", "Date: <0>")
stale("9111 5.3", "max-age=0 goes before Expires", "Cache-Control: max-age=0", "Expires: <3600>", "Date: <0>")
stale("9111 5.3", "of two Expires the earlier counts", "Expires: <3600>", "Expires: <-1>", "Date: <0>")
stale("9111 5.3", "Expires counts from Date", "Expires: <100>", "Date: <200>")
stored("9111 4.2.2", "heuristic", "Last-Modified: <-100000>", "Date: <0>")
stale("9111 4.2.2", "no heuristic when it says nothing of its age", "ETag: \"v1\"")
stale("9111 4.2.2", "heuristic that is over", "Last-Modified: <-1000>", "Date: <0>", "Age: 101")
stored("9111 4.2.2", "heuristic that is not", "Last-Modified: <-1000>", "Date: <0>", "Age: 90")
stale("9111 4.2.2", "a Last-Modified in the future", "Last-Modified: <1000>", "Date: <0>")
stale("9111 4.2.2", "no more than a day", "Last-Modified: <-100000000>", "Age: 90000")
stale("conf", "heuristic switched off", "Last-Modified: <-100000>", "Date: <0>", route="noheuristic")
stored("conf", "ttl where nothing is said", "X: y", route="ttl")
stored("conf", "negative_ttl where nothing is said", "X: y", status=404, route="ttl")
not_stored("conf", "ttl is not for statuses that have no heuristic", "X: y", status=500, route="ttl")
stale("conf", "ttl that is over", "Age: 31", route="ttl")
stale("conf", "the answer goes before ttl", "Cache-Control: max-age=5", "Age: 6", route="ttl")
not_stored("conf", "no-store goes before ttl", "Cache-Control: no-store", route="ttl")

for value in ("0", "3590", "abc", "-7200", "7200.0", "", "0, 7200", "100,7200"):
    stored("9111 5.1", "Age: " + value, FRESH, "Age: " + value)
for value in ("3600", "7200", "7200, 0", "7200,7200", "99999999999999999999"):
    stale("9111 5.1", "Age: " + value, FRESH, "Age: " + value)
stored("9111 5.1", "two Age fields, the first counts", FRESH, "Age: 0", "Age: 7200")
stale("9111 5.1", "two Age fields, the first is old", FRESH, "Age: 7200", "Age: 0")
stale("9111 4.2.3", "a Date of long ago is age", FRESH, "Date: <-4000>")
stored("9111 4.2.3", "a Date in the future is not", FRESH, "Date: <4000>")
stored("9111 4.2.3", "a Date that is none", FRESH, "Date: yesterday")
case("9111 5.1", "Age is told", X("fetched", ok(FRESH, "Age: 100")), X("cached", has=("Age: 100",)))
case("9111 5.1", "Age of what came just now", X("fetched", ok(FRESH)), X("cached", has=("Age: 0",)))
case("9111 5.1", "Age by Date", X("fetched", ok(FRESH, "Date: <-200>")), X("cached", has=("Age~: 20[0-2]",)))
case("9110 6.6.1", "Date is passed on as it is", X("fetched", ok(FRESH, "Date: Mon, 01 Jan 2035 00:00:00 GMT")),
     X("cached", has=("Date: Mon, 01 Jan 2035 00:00:00 GMT",)))
case("9110 6.6.1", "Date is added where there is none", X("fetched", ok(FRESH)), X("cached", has=("Date",)))
case("9111 5.5", "no Warning", X("fetched", ok("Cache-Control: max-age=1", "Age: 9")), X("cached", A(close=True), lacks=("Warning",), status=200))

# ---- 4.2.4: stale --------------------------------------------------------------------------------------------------------

S = "Cache-Control: max-age=60"
case("9111 4.2.4", "the origin hangs up", X("fetched", ok(S, "Age: 100")), X("cached", A(close=True), same=True, has=("X-Cache: STALE",)))
case("9111 4.2.4", "the origin hangs up, nothing stored", X("fetched", A(close=True), status=502))
for value in ("must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"):
    case("9111 4.2.4", "the origin hangs up, " + value, X("fetched", ok(S + ", " + value, ETAG, "Age: 100")),
         X("validated", A(close=True), status=502))
case("9111 4.2.4", "not for who says no-cache", X("fetched", ok(S, ETAG)),
     X("validated", A(close=True), req=("Cache-Control: no-cache",), status=502))
case("9111 4.2.4", "fresh, for who wants it newer", X("fetched", ok(S, "Age: 10")),
     X("cached", A(close=True), req=("Cache-Control: max-age=5",), same=True))
case("9111 4.2.4", "an answer that is none", X("fetched", ok(S, "Age: 100")), X("cached", A("Bad Field: x"), same=True))
case("9111 4.2.4", "a 503 is passed on", X("fetched", ok(S, "Age: 100")), X("fetched", A(status=503), status=503))
case("conf", "not when the conf allows none", X("fetched", ok(S, "Age: 100")), X("fetched", A(close=True), status=502), route="strict")
for status in (500, 502, 503, 504):
    case("5861 4", "stale-if-error, %d" % status, X("fetched", ok(S + ", stale-if-error=100", "Age: 100")),
         X("cached", A(status=status), same=True, status=200, has=("X-Cache: STALE",)))
    case("5861 4", "stale-if-error by conf, %d" % status, X("fetched", ok(S, "Age: 100")),
         X("cached", A(status=status), same=True, status=200), route="stale")
for status in (501, 404, 403, 429):
    case("5861 4", "stale-if-error, but not for %d" % status, X("fetched", ok(S + ", stale-if-error=100", "Age: 100")),
         X("fetched", A(status=status), status=status))
case("5861 4", "stale-if-error that is over", X("fetched", ok(S + ", stale-if-error=10", "Age: 100")), X("fetched", A(status=503), status=503))
case("5861 4", "stale-if-error with s-maxage", X("fetched", ok("Cache-Control: s-maxage=60, stale-if-error=100", "Age: 100")),
     X("cached", A(status=503), status=200))
case("5861 4", "stale-if-error with must-revalidate", X("fetched", ok(S + ", stale-if-error=100, must-revalidate", "Age: 100")),
     X("fetched", A(status=503), status=503))
case("5861 4", "stale-if-error of the request", X("fetched", ok(S, "Age: 100")),
     X("cached", A(status=503), req=("Cache-Control: stale-if-error=100",), status=200))
case("5861 3", "stale-while-revalidate", X("fetched", ok(S + ", stale-while-revalidate=100", "Age: 100")),
     X("refreshed", ok(FRESH, body=b"new"), same=True, has=("X-Cache: STALE",)), X("cached", body=b"new"))
case("5861 3", "stale-while-revalidate, by a validator", X("fetched", ok(S + ", stale-while-revalidate=100", "Age: 100", ETAG)),
     X("refreshed", same=True, sent=('If-None-Match: "v1"',)), X("cached", same=True))
case("5861 3", "stale-while-revalidate by conf", X("fetched", ok(S, "Age: 65")), X("refreshed", same=True), route="stale")
case("5861 3", "stale-while-revalidate that is over", X("fetched", ok(S + ", stale-while-revalidate=10", "Age: 100")), X("fetched"))
case("5861 3", "stale-while-revalidate with s-maxage", X("fetched", ok("Cache-Control: s-maxage=60, stale-while-revalidate=100", "Age: 100")),
     X("refreshed", same=True))
for value in ("must-revalidate", "proxy-revalidate", "no-cache"):
    case("5861 3", "stale-while-revalidate with " + value, X("fetched", ok(S + ", stale-while-revalidate=100, " + value, "Age: 100", ETAG)),
         X("validated"))
case("5861 3", "the refresh fails", X("fetched", ok(S + ", stale-while-revalidate=100", "Age: 100")), X("refreshed", A(close=True), same=True),
     X("refreshed", same=True))
case("5861 3", "the refresh gets an error", X("fetched", ok(S + ", stale-while-revalidate=100", "Age: 100")),
     X("refreshed", A(status=500), same=True), X("refreshed", same=True))
case("5861 3", "the refresh says no-store", X("fetched", ok(S + ", stale-while-revalidate=100", "Age: 100")),
     X("refreshed", ok("Cache-Control: no-store"), same=True), X("fetched"))
case("5861 3", "the refresh asks for the whole", X("fetched", A(S + ", stale-while-revalidate=100", "Age: 100", body=b"0123")),
     X("refreshed", ok(FRESH, body=b"4567"), req=("Range: bytes=0-1",), status=206, body=b"01", unsent=("Range",)), X("cached", body=b"4567"))

# ---- 4.3: validation -----------------------------------------------------------------------------------------------------

case("9111 4.3.1", "If-None-Match", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", same=True, sent=('If-None-Match: "v1"',), has=("X-Cache: REVALIDATED",)))
case("9111 4.3.1", "If-None-Match, weak", X("fetched", ok(FRESH, OLD, 'ETag: W/"v1"')), X("validated", same=True, sent=('If-None-Match: W/"v1"',)))
case("9111 4.3.1", "If-Modified-Since", X("fetched", ok(FRESH, OLD, "Last-Modified: Mon, 02 Jan 2023 00:00:00 GMT")),
     X("validated", same=True, sent=("If-Modified-Since: Mon, 02 Jan 2023 00:00:00 GMT",), unsent=("If-None-Match",)))
case("9111 4.3.1", "both", X("fetched", ok(FRESH, OLD, ETAG, "Last-Modified: Mon, 02 Jan 2023 00:00:00 GMT")),
     X("validated", sent=('If-None-Match: "v1"', "If-Modified-Since: Mon, 02 Jan 2023 00:00:00 GMT")))
case("9111 4.3.1", "neither", X("fetched", ok(FRESH, OLD)), X("fetched", unsent=("If-None-Match", "If-Modified-Since")))
case("9111 4.3.1", "the client's own condition is not sent", X("fetched", ok(FRESH, OLD, ETAG)),
     X("validated", req=('If-None-Match: "other"',), sent=('If-None-Match: "v1"',), status=200, same=True))
case("9111 4.3.3", "a new answer", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", ok(FRESH, 'ETag: "v2"', body=b"new"), body=b"new"),
     X("cached", body=b"new", has=('ETag: "v2"',)))
case("9111 4.3.3", "an error", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A(status=500), status=500), X("validated"))
case("9111 4.3.3", "a 404", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A(status=404), status=404), X("fetched"))
case("9111 4.3.4", "a 304 about something else", X("fetched", ok(FRESH, OLD, ETAG)), X("twice", A('ETag: "v2"', FRESH, status=304), body=b"second"))
case("9111 4.3.4", "a 304 makes it fresh", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A(FRESH, ETAG, status=304), same=True), X("cached", same=True))
case("9110 6.6.1", "a 304 without Date was made when it came",
     X("fetched", ok(FRESH, ETAG, "Date: <-7200>")), X("validated", A(FRESH, ETAG, status=304), same=True), X("cached", same=True))
case("9111 4.3.4", "a 304 that says nothing", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", A(status=304), same=True), X("cached", same=True))
for status in (301, 404, 410):
    case("9111 4.3", "status %d is validated too" % status, X("fetched", ok(FRESH, OLD, ETAG, status=status)), X("validated", status=status, same=True))

for name, field in (("the same tag", 'If-None-Match: "v1"'), ("the same tag, weak", 'If-None-Match: W/"v1"'), ("any", "If-None-Match: *"),
                    ("the first of a list", 'If-None-Match: "v1", "x", "y"'), ("the middle", 'If-None-Match: "x", "v1", "y"'),
                    ("the last", 'If-None-Match: "x","y","v1"')):
    case("9110 13.1.2", "304 for " + name, X("fetched", ok(FRESH, ETAG)), X("cached", req=(field,), status=304, has=(ETAG,), body=b""))
for name, field in (("another tag", 'If-None-Match: "v2"'), ("an empty list", "If-None-Match: ,"), ("a part of it", 'If-None-Match: "v"'),
                    ("a tag with a comma", 'If-None-Match: "x,v1"')):
    case("9110 13.1.2", "200 for " + name, X("fetched", ok(FRESH, ETAG)), X("cached", req=(field,), status=200, same=True))
case("9110 13.1.2", "a weak tag", X("fetched", ok(FRESH, 'ETag: W/"v1"')), X("cached", req=('If-None-Match: "v1"',), status=304))
case("9110 13.1.2", "a tag with other bytes", X("fetched", ok(FRESH, 'ETag: "abcdef\xfc"')),
     X("cached", req=('If-None-Match: "abcdef\xfc"',), status=304))
case("9110 13.2.2", "If-None-Match goes before If-Modified-Since", X("fetched", ok(FRESH, ETAG, "Last-Modified: <-5000>")),
     X("cached", req=('If-None-Match: "v1"', "If-Modified-Since: <-9000>"), status=304),
     X("cached", req=('If-None-Match: "v2"', "If-Modified-Since: <0>"), status=200))
for form in ("<-5000>", "<850:-5000>", "<asc:-5000>"):
    case("9110 13.1.3", "304 for If-Modified-Since " + form, X("fetched", ok(FRESH, "Last-Modified: <-5001>")),
         X("cached", req=("If-Modified-Since: " + form,), status=304, has=("Last-Modified",)))
case("9110 13.1.3", "200 for an earlier one", X("fetched", ok(FRESH, "Last-Modified: <-5000>")), X("cached", req=("If-Modified-Since: <-6000>",), status=200))
case("9110 13.1.3", "200 for one that is none", X("fetched", ok(FRESH, "Last-Modified: <-5000>")), X("cached", req=("If-Modified-Since: now",), status=200))
case("9111 4.3.2", "without Last-Modified, Date counts", X("fetched", ok(FRESH, "Date: <-100>")),
     X("cached", req=("If-Modified-Since: <-50>",), status=304), X("cached", req=("If-Modified-Since: <-150>",), status=200))
case("9110 15.4.5", "what a 304 has", X("fetched", ok(FRESH, ETAG, "Content-Location: /a", "Vary: Foo", "Expires: <9000>", "X-A: 1", "Content-Type: a/b")),
     X("cached", req=('If-None-Match: "v1"',), status=304, has=(ETAG, "Content-Location: /a", "Vary: Foo", "Expires", "Date", "Cache-Control", "Age"),
       lacks=("X-A", "Content-Type")))
case("9111 4.3.2", "a condition on what is not stored: the whole is asked for", X("fetched", ok(FRESH, ETAG), req=('If-None-Match: "v1"',),
     unsent=("If-None-Match",), status=304), X("cached"))
case("9111 4.3.2", "the same, another tag", X("fetched", ok(FRESH, ETAG, body=b"abc"), req=('If-None-Match: "v2"',), status=200, body=b"abc"))
for field in ('If-Match: "v1"', "If-Unmodified-Since: <0>"):
    case("9110 13.1", field.split(":")[0] + " is for the origin", X("fetched", ok(FRESH, ETAG)), X("fetched", req=(field,), sent=(field.split(":")[0],)), X("cached"))
case("9110 13.1", "no 304 for a 404", X("fetched", ok(FRESH, ETAG, status=404)), X("cached", req=('If-None-Match: "v1"',), status=404))

case("9111 4.3.5", "HEAD with another tag", X("fetched", ok(FRESH, OLD, ETAG)), X("fetched", ok(FRESH, 'ETag: "v2"'), method="HEAD"), X("fetched"))
case("9111 4.3.5", "HEAD with another length", X("fetched", A(FRESH, OLD, ETAG, body=b"12345")), X("fetched", A(FRESH, ETAG, body=b"1234"), method="HEAD"), X("fetched"))
case("9111 4.3.5", "HEAD that agrees", X("fetched", A(FRESH, OLD, ETAG, body=b"12345")), X("fetched", A(FRESH, ETAG, body=b"12345"), method="HEAD"), X("cached"))

case("9111 4.3.5", "HEAD makes it fresh", X("fetched", A(FRESH, OLD, "X-A: 1", "X-B: 1", body=b"12345")), X("fetched", A(FRESH, "X-A: 2", body=b"12345"), method="HEAD"),
     X("cached", body=b"12345", has=("X-A: 2", "X-B: 1")))
case("9111 4.3.5", "HEAD makes it fresh for long", X("fetched", A(FRESH, OLD, ETAG, body=b"12345")), X("fetched", A(FRESH, OLD, ETAG, body=b"12345"), method="HEAD"), X("validated"))
case("9111 4.3.5", "HEAD that is no success", X("fetched", A(FRESH, OLD, "X-A: 1", body=b"12345")), X("fetched", A(FRESH, "X-A: 2", status=410), method="HEAD"), X("fetched"))
case("9111 4.3.5", "HEAD that says no-store", X("fetched", A(FRESH, OLD, ETAG, body=b"12345")), X("fetched", A("Cache-Control: no-store", body=b"12345"), method="HEAD"), X("fetched"))

# ---- 9110 9.3.3: POST --------------------------------------------------------------------------------------------------------

OWN = "Content-Location: @"
case("9110 9.3.3", "POST for a later GET", X("fetched", A(FRESH, OWN, body=b"made"), method="POST", send=b"abc", status=200, body=b"made"), X("cached", body=b"made"))
case("9110 9.3.3", "POST in chunks", X("fetched", A(FRESH, OWN, body=b"made" * 20000, chunked=True), method="POST", send=b"abc", body=b"made" * 20000), X("cached", body=b"made" * 20000))
case("9110 9.3.3", "POST by Expires", X("fetched", A("Expires: <3600>", "Date: <0>", OWN, body=b"made"), method="POST", send=b"abc"), X("cached"))
case("9110 9.3.3", "POST replaces what is stored", X("fetched", A(FRESH, body=b"old")), X("fetched", A(FRESH, OWN, body=b"made"), method="POST", send=b"abc"), X("cached", body=b"made"))
case("9110 9.3.3", "POST is never answered from what is stored", X("fetched", A(FRESH, OWN, body=b"made"), method="POST", send=b"abc"), X("fetched", A(body=b"again"), method="POST", send=b"abc", body=b"again"))
for name, answer in (("no lifetime", A(OWN, MODIFIED)), ("no Content-Location", A(FRESH)), ("another Content-Location", A(FRESH, OWN + "/b")), ("no-store", A("Cache-Control: no-store", OWN)),
                     ("201", A(FRESH, OWN, status=201)), ("no freshness left to state", A("Cache-Control: max-age=0", OWN))):
    case("9110 9.3.3", "POST with " + name, X("fetched", answer, method="POST", send=b"abc"), X("fetched"))
for method in ("PUT", "PATCH", "DELETE"):
    case("9110 9.3.3", method + " is not for a later GET", X("fetched", A(FRESH, OWN), method=method, send=b"abc"), X("fetched"))

# ---- 4.4: invalidation -----------------------------------------------------------------------------------------------------

for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH"):
    case("9111 4.4", method, X("fetched", ok(FRESH)), X("fetched", ok(), method=method, send=b"abc"), X("fetched"))
    case("9111 4.4", method + " answered by 303", X("fetched", ok(FRESH)), X("fetched", A(status=303), method=method, send=b"abc"), X("fetched"))
    for status in (400, 404, 500, 503):
        case("9111 4.4", "%s answered by %d" % (method, status), X("fetched", ok(FRESH)), X("fetched", A(status=status), method=method, send=b"abc"), X("cached"))
    for name in ("Location", "Content-Location"):
        case("9111 4.4", "%s, %s" % (method, name), X("fetched", ok(FRESH), path="/other"),
             X("fetched", ok(name + ": @/other"), method=method, send=b"abc"), X("fetched", path="/other"))
for name in ("GET", "HEAD", "OPTIONS"):
    case("9111 4.4", name + " does not", X("fetched", ok(FRESH)), X("fetched", ok(), method=name, path="/b"), X("cached"))
case("9111 4.4", "a relative Location", X("fetched", ok(FRESH), path="/a/other"), X("fetched", ok("Location: other"), method="POST", path="/a/x", send=b"a"),
     X("fetched", path="/a/other"))
case("9111 4.4", "a whole URL of the same origin", X("fetched", ok(FRESH), path="/other"),
     X("fetched", ok("Location: http://h.example@/other"), method="POST", send=b"a"), X("fetched", path="/other"))
case("9111 4.4", "a URL of another origin", X("fetched", ok(FRESH), path="/other"),
     X("fetched", ok("Location: http://g.example@/other"), method="POST", send=b"a"), X("cached", path="/other"))
case("9111 4.4", "another origin's answers are not hit", X("fetched", ok(FRESH), path="/other", host="g.example"),
     X("fetched", ok("Location: http://g.example@/other"), method="POST", send=b"a"), X("cached", path="/other", host="g.example"))
case("9111 4.4", "all variants go", X("fetched", V, req=("Foo: 1",)), X("fetched", V, req=("Foo: 2",)), X("fetched", ok(), method="POST", send=b"a"),
     X("fetched", V, req=("Foo: 1",)), X("fetched", V, req=("Foo: 2",)))
case("9111 4.4", "another query stays", X("fetched", ok(FRESH), path="?a"), X("fetched", ok(), method="POST", send=b"a"), X("cached", path="?a"))

# ---- 5.2.1: what requests say ------------------------------------------------------------------------------------------------

for value, age, what in (("max-age=0", 10, "validated"), ("max-age=5", 10, "validated"), ("max-age=100", 10, "cached"), ("max-age=x", 10, "validated"),
                         ("no-cache", 0, "validated"), ("NO-CACHE", 0, "validated"), ("min-fresh=10", 0, "cached"), ("min-fresh=7200", 0, "validated"),
                         ("min-fresh=3000", 1000, "validated"), ("min-fresh=x", 0, "validated"), ("max-stale", 7200, "cached"),
                         ("max-stale=10000", 7200, "cached"), ("max-stale=100", 7200, "validated"), ("max-stale=x", 7200, "validated"),
                         ("max-age=10000, max-stale=10000", 7200, "cached"), ("max-age=100, max-stale", 200, "cached"),
                         ("only-if-cached", 0, "cached"), ("foo, bar=baz", 0, "cached"), ("no-transform", 0, "cached"), ("min-fresh=10, max-age=100", 50, "cached")):
    case("9111 5.2.1", "%s, age %d" % (value, age), X("fetched", ok(FRESH, ETAG, "Age: %d" % age)), X(what, req=("Cache-Control: " + value,), same=True))
    case("conf", "%s, not heard" % value, X("fetched", ok(FRESH, ETAG, "Age: 100")), X("cached", req=("Cache-Control: " + value,)), route="deaf")
for value in ("must-revalidate", "proxy-revalidate", "s-maxage=3600", "no-cache"):
    case("9111 5.2.1.2", "max-stale against " + value, X("fetched", ok(FRESH + ", " + value, OLD, ETAG)), X("validated", req=("Cache-Control: max-stale=9999",)))
case("9111 5.2.1.5", "no-store is not answered from what is stored", X("fetched", ok(FRESH)), X("fetched", req=("Cache-Control: no-store",)), X("cached"))
case("9111 5.2.1.5", "no-store keeps the answer out", X("fetched", ok(FRESH), req=("Cache-Control: no-store",)), X("fetched"))
case("9111 5.2.1.7", "only-if-cached, nothing there", X("cached", req=("Cache-Control: only-if-cached",), status=504))
case("9111 5.2.1.7", "only-if-cached, stale", X("fetched", ok(FRESH, OLD, ETAG)), X("cached", req=("Cache-Control: only-if-cached",), status=504))
case("9111 5.2.1.7", "only-if-cached, max-stale", X("fetched", ok(FRESH, OLD)), X("cached", req=("Cache-Control: only-if-cached, max-stale",), status=200))
case("9111 5.4", "Pragma: no-cache", X("fetched", ok(FRESH, ETAG)), X("validated", req=("Pragma: no-cache",)))
case("9111 5.4", "Pragma: No-Cache, x", X("fetched", ok(FRESH, ETAG)), X("validated", req=("Pragma: x, No-Cache",)))
case("9111 5.4", "Pragma beside Cache-Control", X("fetched", ok(FRESH, ETAG)), X("cached", req=("Pragma: no-cache", "Cache-Control: max-age=60")))
stored("9111 5.4", "Pragma in an answer says nothing", FRESH, "Pragma: no-cache")
stored("9111 5.4", "Pragma in an answer, with Expires", "Expires: <3600>", "Pragma: no-cache")
stale("9111 5.2.2.4", "no-cache", "Cache-Control: no-cache")
stale("9111 5.2.2.4", "no-cache with max-age", "Cache-Control: no-cache, max-age=3600")
stale("9111 5.2.2.4", "No-CaChE", "Cache-Control: No-CaChE, max-age=3600")
not_stored("9111 5.2.2.4", "no-cache without a validator", "Cache-Control: no-cache, max-age=3600")
stale("9111 5.2.2.2", "must-revalidate that is stale", FRESH + ", must-revalidate", OLD)
stale("8246", "immutable that is stale", FRESH + ", immutable", OLD)

# ---- 9213: targeted fields -----------------------------------------------------------------------------------------------------

CDN = "CDN-Cache-Control: "
for value in ("max-age=3600", "max-age=2147483648", "max-age=99999999999", "foo, max-age=3600", "max-age=3600;x=1, b=(1 2)", "public, max-age=3600"):
    stored("9213", value, CDN + value)
    stored("9213", value + " against no-store", CDN + value, "Cache-Control: no-store")
    stored("9213", value + " against Expires", CDN + value, "Expires: <-100>", "Date: <0>")
for value in ("max-age=0", "max-age=1", "no-cache", "max-age=3600, no-cache"):
    stale("9213", value + " goes before max-age", CDN + value, FRESH, "Age: 5")
    stale("9213", value + " goes before Expires", CDN + value, "Expires: <3600>", "Date: <0>", "Age: 5")
for value in ("no-store", "private", "max-age=3600, private", "max-age=3600, no-store"):
    not_stored("9213", value, CDN + value, FRESH, "Expires: <3600>", "Date: <0>")
for value in ("max-age =3600", "max-age= 3600", "max-age=3600,", "max-age=3600, &&&", "MaX-aGe=3600", "max-age=3600 foo", "max-age='3600'", ""):
    stale("9213", "malformed, so Cache-Control counts: " + value, CDN + value, "Cache-Control: max-age=1", "Age: 5")
    stored("9213", "malformed, so Cache-Control counts and it is fresh: " + value, CDN + value, FRESH)
stale("9213", "Expires does not count beside one that states no lifetime", CDN + "foo", "Expires: <3600>", "Date: <0>")
not_stored("9213", "a value of the wrong type", CDN + 'max-age="3600"', "Cache-Control: no-store")
stale("9213", "Age counts", CDN + "max-age=3600", OLD)
case("9213", "it is passed on", X("fetched", ok(CDN + "max-age=60", "Tollgate-Cache-Control: max-age=60"), has=(CDN + "max-age=60",)),
     X("cached", has=(CDN + "max-age=60", "Tollgate-Cache-Control: max-age=60")))
case("9213", "unless the conf removes it", X("fetched", ok(CDN + "max-age=60"), lacks=("CDN-Cache-Control",)), X("cached", lacks=("CDN-Cache-Control",)), route="removes")
stored("9213", "the gateway's own goes first", "Tollgate-Cache-Control: max-age=3600", CDN + "no-store", "Cache-Control: no-store")
stale("9213", "the gateway's own goes first, stale", "Tollgate-Cache-Control: max-age=1", CDN + "max-age=3600", "Age: 5")
stored("conf", "another list of targeted fields", "My-Cache-Control: max-age=3600", CDN + "no-store", route="mine")

# ---- 9211: Cache-Status ---------------------------------------------------------------------------------------------------------

case("9211", "a miss", X("fetched", ok(FRESH), has=("Cache-Status: tollgate; fwd=uri-miss; fwd-status=200; stored", "X-Cache: MISS")))
case("9211", "a miss that is not kept", X("fetched", ok("Cache-Control: private"), has=("Cache-Status: tollgate; fwd=uri-miss; fwd-status=200; detail=private",)))
case("9211", "a hit", X("fetched", ok(FRESH)), X("cached", has=("Cache-Status~: tollgate; hit; ttl=3(600|599)", "X-Cache: HIT")))
case("9211", "a stale one", X("fetched", ok(S, "Age: 100")), X("cached", req=("Cache-Control: max-stale",), has=("Cache-Status~: tollgate; hit; ttl=-4[01]", "X-Cache: STALE")))
case("9211", "a variant", X("fetched", V, req=("Foo: 1",)), X("fetched", V, req=("Foo: 2",), has=("Cache-Status~: tollgate; fwd=vary-miss.*",)))
case("9211", "validated", X("fetched", ok(FRESH, OLD, ETAG)), X("validated", has=("Cache-Status: tollgate; fwd=stale; fwd-status=304; stored",)))
case("9211", "wanted newer", X("fetched", ok(FRESH, ETAG)), X("validated", req=("Cache-Control: no-cache",), has=("Cache-Status~: tollgate; fwd=request; .*",)))
case("9211", "another method", X("fetched", ok(), method="POST", send=b"a", has=("Cache-Status: tollgate; fwd=method; fwd-status=200", "X-Cache: BYPASS")))
case("9211", "one of the origin's stays in front", X("fetched", ok(FRESH, "Cache-Status: origin; hit"), has=("Cache-Status~: origin; hit, tollgate; .*",)))
case("9211", "an error of the gateway", X("fetched", A(close=True), status=502, has=("Cache-Status~: tollgate; fwd=uri-miss.*",)))

# ---- 9110 14: ranges --------------------------------------------------------------------------------------------------------------

DIGITS = A(FRESH, ETAG, "Last-Modified: <-5000>", "Content-Type: text/x", body=b"0123456789")
for value, body, content in (("bytes=0-1", b"01", "0-1"), ("bytes=3-", b"3456789", "3-9"), ("bytes=-2", b"89", "8-9"), ("bytes=0-99", b"0123456789", "0-9"),
                             ("bytes=9-9", b"9", "9-9"), ("bytes=-99", b"0123456789", "0-9"), ("BYTES=2-3", b"23", "2-3"), ("bytes=5-5,", b"5", "5-5"),
                             ("bytes=1-2, 50-60", b"12", "1-2")):
    case("9110 14.2", "Range: " + value, X("fetched", DIGITS), X("cached", req=("Range: " + value,), status=206, body=body, has=("Content-Range: bytes %s/10" % content, ETAG)))
for value in ("bytes=a-b", "bytes=5-2", "bytes=", "lines=1-2", "bytes=1", "bytes=-", "bytes 1-2", "bytes=1-2;3", "bytes=0-9,0-9", "bytes=" + ",".join(["0-0"] * 17)):
    case("9110 14.2", "no range: " + value[:30], X("fetched", DIGITS), X("cached", req=("Range: " + value,), status=200, body=b"0123456789", lacks=("Content-Range",)))
for value in ("bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-, 50-60"):
    case("9110 15.5.17", "416 for " + value, X("fetched", DIGITS), X("cached", req=("Range: " + value,), status=416, has=("Content-Range: bytes */10",)))
case("9110 14.6", "two ranges", X("fetched", DIGITS), X("cached", req=("Range: bytes=0-1, 8-",), status=206, has=("Content-Type~: multipart/byteranges; boundary=.*",),
     body=lambda b: b.count(b"\r\n--") == 3 and b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n" in b and b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n" in b
     and b.count(b"Content-Type: text/x") == 2))
case("9110 14.2", "HEAD has no ranges", X("fetched", DIGITS), X("cached", method="HEAD", req=("Range: bytes=0-1",), status=200, has=("Content-Length: 10",)))
case("9110 14.2", "a 404 has no ranges", X("fetched", A(FRESH, status=404, body=b"0123")), X("cached", req=("Range: bytes=0-1",), status=404, body=b"0123"))
for value, status in (('"v1"', 206), ('"v2"', 200), ('W/"v1"', 200), ("<-5000>", 206), ("<-4000>", 200), ("<-6000>", 200), ("x", 200)):
    case("9110 13.1.5", "If-Range: " + value, X("fetched", DIGITS), X("cached", req=("Range: bytes=0-1", "If-Range: " + value), status=status))
case("9110 13.2.2", "a condition goes before a range", X("fetched", DIGITS), X("cached", req=("Range: bytes=0-1", 'If-None-Match: "v1"'), status=304))
case("9111 3.4", "a 206 is passed on", X("fetched", A(FRESH, "Content-Range: bytes 0-1/4", status=206, body=b"01"), req=("Range: bytes=0-1",), status=206, sent=("Range: bytes=0-1",)),
     X("fetched"))
case("9111 3.4", "a 206 is not taken for the whole", X("fetched", A(FRESH, "Content-Range: bytes 0-1/4", status=206, body=b"01"), status=206), X("fetched"))
case("9110 14.2", "a range of what is stale: the whole is asked for", X("fetched", A(FRESH, OLD, ETAG, body=b"0123")),
     X("validated", req=("Range: bytes=0-1",), status=206, body=b"01", unsent=("Range",)))

# ---- parts -----------------------------------------------------------------------------------------------------------------------


def part(first, last, *fields, whole=b"0123456789", **more):
    return A(FRESH, "Content-Range: bytes %d-%d/%d" % (first, last, len(whole)), *fields, status=206, body=whole[first:last + 1], **more)


def ask(what, value, answer=None, **more):
    return X(what, answer, req=("Range: bytes=" + value,), **more)


for value, body, content in (("-5", b"56789", "5-9"), ("6-8", b"678", "6-8"), ("6-", b"6789", "6-9"), ("-1", b"9", "9-9"), ("5-100", b"56789", "5-9")):
    case("9111 3.3", "a stored part has " + value, ask("fetched", "-5", part(5, 9), status=206, sent=("Range: bytes=-5",)),
         ask("cached", value, status=206, body=body, has=("Content-Range: bytes %s/10" % content, "X-Cache: HIT")))
for value in ("0-4", "4-6", "-6", "4-"):
    case("9111 3.3", "a stored part has not " + value, ask("fetched", "-5", part(5, 9), status=206), ask("fetched", value, part(0, 4), status=206))
case("9111 3.3", "a part is no whole", ask("fetched", "0-4", part(0, 4), status=206), X("fetched", unsent=("Range", "If-Range")))
case("9111 3.3", "a stale part is not used", ask("fetched", "0-4", part(0, 4, OLD), status=206), ask("fetched", "0-4", part(0, 4), status=206))
case("9111 3.3", "a part that may not be stored", ask("fetched", "0-4", part(0, 4, "Cache-Control: private"), status=206), ask("fetched", "0-4", part(0, 4), status=206))
case("9111 3.3", "a part for who has Authorization", ask("fetched", "0-4", part(0, 4), status=206), X("cached", req=("Range: bytes=0-1",) + AUTH, status=206, body=b"01"))
case("9111 3.3", "a part by variant", X("fetched", part(0, 4, "Vary: Foo"), req=("Range: bytes=0-4", "Foo: 1"), status=206),
     X("cached", req=("Range: bytes=0-4", "Foo: 1"), status=206, body=b"01234"), X("fetched", part(0, 4, "Vary: Foo"), req=("Range: bytes=0-4", "Foo: 2"), status=206))
case("9111 3.3", "If-Range asks the origin", ask("fetched", "0-4", part(0, 4, ETAG), status=206), X("fetched", part(0, 4, ETAG), req=("Range: bytes=0-4", 'If-Range: "v1"'), status=206))
case("9110 13.2.2", "a condition goes before a part", ask("fetched", "0-4", part(0, 4, ETAG), status=206), X("cached", req=("Range: bytes=0-4", 'If-None-Match: "v1"'), status=304))
case("9110 14.2", "the whole, for a range", ask("fetched", "0-4", A(FRESH, body=b"0123456789"), status=200, body=b"0123456789"), X("cached", body=b"0123456789"),
     ask("cached", "0-4", status=206, body=b"01234"))
case("9110 15.5.17", "a 416 is not kept", ask("fetched", "50-", A(FRESH, "Content-Range: bytes */10", status=416), status=416), X("fetched"),)
for name, answer in (("no Content-Range", A(FRESH, status=206, body=b"01234")), ("an unknown length", A(FRESH, "Content-Range: bytes 0-4/*", status=206, body=b"01234")),
                     ("another length", A(FRESH, "Content-Range: bytes 0-5/10", status=206, body=b"01234")),
                     ("two Content-Range", A(FRESH, "Content-Range: bytes 0-4/10", "Content-Range: bytes 0-4/10", status=206, body=b"01234")),
                     ("several parts", A(FRESH, "Content-Type: multipart/byteranges; boundary=x", status=206, body=b"--x--")),
                     ("chunks", A(FRESH, "Content-Range: bytes 0-4/10", status=206, body=b"01234", chunked=True))):
    case("9110 15.3.7", "a 206 with " + name + " is passed on", ask("fetched", "0-4", answer, status=206, body=answer.body), ask("fetched", "0-4", part(0, 4), status=206))
for name, a, b in (("behind", (0, 4), (5, 9)), ("before", (5, 9), (0, 4)), ("overlapping", (0, 6), (4, 9)), ("around", (3, 5), (0, 9))):
    case("9110 15.3.7.3", "parts become a whole, the second " + name, ask("fetched", "%d-%d" % a, part(*a, ETAG), status=206),
         ask("fetched", "%d-%d" % b, part(*b, ETAG), status=206), X("cached", body=b"0123456789", status=200, lacks=("Content-Range",)))
case("9110 15.3.7.3", "parts are joined", ask("fetched", "2-4", part(2, 4, ETAG), status=206), ask("fetched", "5-7", part(5, 7, ETAG), status=206),
     ask("cached", "2-7", status=206, body=b"234567"), X("fetched"))
case("9110 15.3.7.3", "parts that do not touch", ask("fetched", "0-1", part(0, 1, ETAG), status=206), ask("fetched", "5-7", part(5, 7, ETAG), status=206),
     ask("cached", "5-6", status=206, body=b"56"), ask("fetched", "0-1", part(0, 1, ETAG), status=206))
for name, one, two in (("other tags", ETAG, 'ETag: "v2"'), ("weak tags", 'ETag: W/"v1"', 'ETag: W/"v1"'), ("no tags", "X: y", "X: y"), ("one tag", ETAG, "X: y")):
    case("9110 15.3.7.3", "parts are not joined, " + name, ask("fetched", "0-4", part(0, 4, one), status=206), ask("fetched", "5-9", part(5, 9, two), status=206),
         X("fetched", unsent=("Range",)))
case("9110 15.3.7.3", "parts of other lengths are not joined", ask("fetched", "0-4", part(0, 4, ETAG), status=206),
     ask("fetched", "5-9", part(5, 9, ETAG, whole=b"01234567890"), status=206), X("fetched"))
REST = dict(sent=("Range: bytes=5-", 'If-Range: "v1"'))
case("9111 3.4", "the rest is asked for", ask("fetched", "0-4", part(0, 4, ETAG, "X-A: 1"), status=206), X("fetched", part(5, 9, ETAG, "X-A: 2"), **REST, status=200, body=b"0123456789",
     has=("Content-Length: 10", "X-A: 2"), lacks=("Content-Range",)), X("cached", status=200, body=b"0123456789"))
case("9111 3.4", "the rest of what has changed", ask("fetched", "0-4", part(0, 4, ETAG), status=206), X("fetched", A(FRESH, 'ETag: "v2"', body=b"new"), **REST, status=200, body=b"new"),
     X("cached", body=b"new"))
for name, answer in (("another tag", part(5, 9, 'ETag: "v2"')), ("no tag", part(5, 9)), ("another place", part(4, 9, ETAG)), ("not all", part(5, 8, ETAG))):
    case("9111 3.4", "a rest that does not fit: " + name, ask("fetched", "0-4", part(0, 4, ETAG), status=206), X("twice", answer, body=b"second", status=200))
case("9111 3.4", "no rest without a strong tag", ask("fetched", "0-4", part(0, 4, 'ETag: W/"v1"'), status=206), X("fetched", unsent=("Range",)))
case("9111 3.4", "no rest of a part that does not begin the whole", ask("fetched", "5-9", part(5, 9, ETAG), status=206), X("fetched", unsent=("Range",)))
case("9111 4.4", "parts are invalidated too", ask("fetched", "0-4", part(0, 4), status=206), X("fetched", ok(), method="POST", send=b"a"), ask("fetched", "0-4", part(0, 4), status=206))
case("9111 3.4", "the rest breaks off", ask("fetched", "0-4", part(0, 4, ETAG), status=206), X("fetched", A(FRESH, ETAG, "Content-Range: bytes 5-9/10", status=206, body=b"", truncate=True), status="broken"),
     X("fetched", **REST))

# ---- purge ------------------------------------------------------------------------------------------------------------------------

P = dict(method="PURGE")
case("purge", "a URL", X("fetched", ok(FRESH)), X("cached", **P, status=200, body=b'{"purged":1}\n'), X("fetched"))
case("purge", "nothing there", X("cached", **P, status=200, body=b'{"purged":0}\n'))
case("purge", "all variants", X("fetched", V, req=("Foo: 1",)), X("fetched", V, req=("Foo: 2",)), X("cached", **P, body=b'{"purged":3}\n'), X("fetched", req=("Foo: 1",)))
case("purge", "soft", X("fetched", ok(FRESH, ETAG)), X("cached", **P, req=("Soft-Purge: 1",), body=b'{"purged":1}\n'), X("validated", same=True))
case("purge", "soft, and the origin is gone", X("fetched", ok(FRESH)), X("cached", **P, req=("Soft-Purge: 1",)), X("cached", A(close=True), same=True))
case("purge", "soft, with stale-while-revalidate", X("fetched", ok(FRESH + ", stale-while-revalidate=60")), X("cached", **P, req=("Soft-Purge: 1",)),
     X("refreshed", ok(FRESH, body=b"new"), same=True), X("cached", body=b"new"))
for field, one, two in (("Surrogate-Key", "t1-%s t2", "t2 t3"), ("Cache-Tag", "t1-%s, t2", "t2,t3")):
    case("purge", field, X("fetched", ok(FRESH, field + ": " + one % field), path="/a"), X("fetched", ok(FRESH, field + ": " + two), path="/b"),
         X("cached", **P, req=(field + ": t1-" + field,), body=b'{"purged":1}\n'), X("fetched", path="/a"), X("cached", path="/b"))
    case("purge", field + ", several", X("fetched", ok(FRESH, field + ": m1-" + field), path="/a"), X("fetched", ok(FRESH, field + ": m2-" + field), path="/b"),
         X("cached", **P, req=(field + ": m1-%s%sm2-%s" % (field, " " if field[0] == "S" else ", ", field),), body=b'{"purged":2}\n'),
         X("fetched", path="/a"), X("fetched", path="/b"))
case("purge", "a tag that nobody has does not mean the URL", X("fetched", ok(FRESH)), X("cached", **P, req=("Surrogate-Key: nobody",), body=b'{"purged":0}\n'), X("cached"))
case("purge", "not from elsewhere", X("fetched", ok(FRESH)), X("cached", **P, status=403), X("cached"), route="nopurge")
