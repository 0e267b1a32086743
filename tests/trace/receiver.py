#!/usr/bin/env python3
"""A receiver of traces by OTLP/HTTP, JSON encoding, that takes nothing which breaks a rule of the format.

    receiver.py [--port N] [--cert FILE]    says "listening PORT", with a certificate "listening PORT TLSPORT", and
                                            serves until its standard input ends
    receiver.py --self-test                 every rule has a document that breaks it, and that is refused

POST /v1/traces   an ExportTraceServiceRequest, also in gzip
GET  /spans       all spans that came, each with "resource" and "scope" beside its own fields
GET  /requests    the requests, in their order: {"port" of the client, "at" (monotonic, seconds), "spans",
                  "bytes", "headers", "status", "error"}
POST /control     {"mode": ..., "times": N}: the next N exports (all, when left out) are met by
                    ok          as it should be
                    status      "status": 503, "retry_after": "1"
                    partial     "rejected": 2, "message": "..."; the answer is 200
                    hang        no answer, until the mode is set again
                    reset       the connection is reset
                    redirect    307 to "location"
                    endless     200 with a body that does not end
POST /clear       forget what came
"""
import argparse
import base64
import binascii
import copy
import gzip
import http.server
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib

BODY_MAX = 64 << 20
HANG_MAX_S = 120
PATH = "/v1/traces"


class Bad(Exception):
    """A rule is broken; says where and which."""


def need(cond, where, rule):
    if not cond:
        raise Bad(f"{where}: {rule}")


# ---- the format ------------------------------------------------------------------------------------------------------


def text(v, where):
    need(isinstance(v, str), where, "must be a string")
    need(not any(0xD800 <= ord(c) < 0xE000 for c in v), where, "must not have a lone surrogate")


def filled(v, where):
    text(v, where)
    need(v != "", where, "must not be empty")


def whole(v, where, low, high):
    need(isinstance(v, int) and not isinstance(v, bool), where, "must be a whole number")
    need(low <= v <= high, where, f"must be from {low} to {high}")


def uint32(v, where):
    whole(v, where, 0, 2**32 - 1)


def decimal(v, where, low, high):
    need(isinstance(v, str), where, "64 bits must be a string")
    need(re.fullmatch(r"0|-?[1-9][0-9]*", v, re.ASCII), where, "must be decimal digits")
    need(low <= int(v) <= high, where, "must fit into 64 bits")


def int64(v, where):
    decimal(v, where, -(2**63), 2**63 - 1)


def nanoseconds(v, where):
    decimal(v, where, 1, 2**64 - 1)


def hexadecimal(digits):
    def check(v, where):
        need(isinstance(v, str) and re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", v, re.ASCII), where,
             f"must be {digits} hex digits")
        need(v.strip("0") != "", where, "must not be all zero")

    return check


def enum(high):
    return lambda v, where: whole(v, where, 0, high)


def boolean(v, where):
    need(isinstance(v, bool), where, "must be true or false")


def number(v, where):
    need(v in ("NaN", "Infinity", "-Infinity") or (isinstance(v, (int, float)) and not isinstance(v, bool)), where,
         "must be a number")


def octets(v, where):
    text(v, where)
    try:
        base64.b64decode(v, validate=True)
    except (binascii.Error, ValueError):
        raise Bad(f"{where}: must be base64") from None


def flags(v, where):
    whole(v, where, 0, 0x3FF)
    need(v & 0x100 or not v & 0x200, where, "remote without it being known")


def tracestate(v, where):
    text(v, where)
    if v == "":
        return
    key = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    value = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
    members = [m.strip(" \t") for m in v.split(",")]
    need(len(members) <= 32, where, "must have at most 32 members")
    for m in members:
        need(m == "" or re.fullmatch(f"{key}={value}", m), where, "must be a tracestate")
    keys = [m.split("=")[0] for m in members if m]
    need(len(keys) == len(set(keys)), where, "keys must be unique")


def url(v, where):
    text(v, where)
    need(re.match(r"https?://\S+\Z", v), where, "must be a URL")


def array(check):
    def each(v, where):
        need(isinstance(v, list), where, "must be an array")
        for i, item in enumerate(v):
            check(item, f"{where}[{i}]")

    return each


def message(fields, must=(), also=None):
    """An object with these fields and no others; those in MUST have to be there."""

    def check(v, where):
        need(isinstance(v, dict), where, "must be an object")
        for name in v:
            need(name in fields, f"{where}.{name}", "is not known")
            fields[name](v[name], f"{where}.{name}")
        for name in must:
            need(name in v, where, f"must have {name}")
        if also:
            also(v, where)

    return check


def one_kind(v, where):
    need(len(v) == 1, where, "must have exactly one kind of value")


def any_value(v, where):
    message({"stringValue": text, "boolValue": boolean, "intValue": int64, "doubleValue": number,
             "arrayValue": message({"values": array(any_value)}), "kvlistValue": message({"values": attributes}),
             "bytesValue": octets}, also=one_kind)(v, where)


def attributes(v, where):
    array(message({"key": filled, "value": any_value}, must=("key", "value")))(v, where)
    keys = [a["key"] for a in v]
    need(len(keys) == len(set(keys)), where, "keys must be unique")


def has_service(v, where):
    names = [a["value"].get("stringValue") for a in v.get("attributes", []) if a["key"] == "service.name"]
    need(names and names[0], where, "must say service.name")


def ends_after_it_begins(v, where):
    need(int(v["endTimeUnixNano"]) >= int(v["startTimeUnixNano"]), where, "must not end before it begins")
    need(v.get("parentSpanId") != v["spanId"], where, "must not be its own parent")


def ids_are_unique(v, where):
    ids = [(s["traceId"].lower(), s["spanId"].lower()) for s in v.get("spans", [])]
    need(len(ids) == len(set(ids)), where, "span ids must be unique")


SCOPE = message({"name": text, "version": text, "attributes": attributes, "droppedAttributesCount": uint32})
EVENT = message({"timeUnixNano": nanoseconds, "name": filled, "attributes": attributes,
                 "droppedAttributesCount": uint32}, must=("timeUnixNano", "name"))
LINK = message({"traceId": hexadecimal(32), "spanId": hexadecimal(16), "traceState": tracestate,
                "attributes": attributes, "droppedAttributesCount": uint32, "flags": flags},
               must=("traceId", "spanId"))
SPAN = message({"traceId": hexadecimal(32), "spanId": hexadecimal(16), "traceState": tracestate,
                "parentSpanId": hexadecimal(16), "flags": flags, "name": filled, "kind": enum(5),
                "startTimeUnixNano": nanoseconds, "endTimeUnixNano": nanoseconds, "attributes": attributes,
                "droppedAttributesCount": uint32, "events": array(EVENT), "droppedEventsCount": uint32,
                "links": array(LINK), "droppedLinksCount": uint32,
                "status": message({"message": text, "code": enum(2)})},
               must=("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"),
               also=ends_after_it_begins)
SCOPE_SPANS = message({"scope": SCOPE, "spans": array(SPAN), "schemaUrl": url}, must=("spans",), also=ids_are_unique)
RESOURCE = message({"attributes": attributes, "droppedAttributesCount": uint32}, also=has_service)
RESOURCE_SPANS = message({"resource": RESOURCE, "scopeSpans": array(SCOPE_SPANS), "schemaUrl": url},
                         must=("resource", "scopeSpans"))
REQUEST = message({"resourceSpans": array(RESOURCE_SPANS)}, must=("resourceSpans",))


def once(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise Bad("a name is there twice")
    return dict(pairs)


def constant(name):
    raise Bad(f"{name} is not JSON")


def parse(body):
    """The spans of a body; Bad when it breaks a rule."""
    try:
        doc = json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise Bad(f"not JSON in UTF-8: {e}") from None
    REQUEST(doc, "request")
    return [dict(span, resource=flat(of["resource"]), scope=inside.get("scope", {}))
            for of in doc["resourceSpans"] for inside in of["scopeSpans"] for span in inside["spans"]]


def flat(of):
    return {a["key"]: next(iter(a["value"].values())) for a in of.get("attributes", [])}


# ---- the server ------------------------------------------------------------------------------------------------------


class Store:
    """What came, and what is to be done with what comes; of all servers."""

    def __init__(self):
        self.changed = threading.Condition()
        self.clear()
        self.told = 0  # how often the mode was set
        self.mode = {"mode": "ok"}

    def clear(self):
        with self.changed:
            self.spans, self.requests = [], []

    def control(self, mode):
        with self.changed:
            self.mode = mode
            self.told += 1
            self.changed.notify_all()

    def take_mode(self):
        with self.changed:
            mode = self.mode
            if "times" in mode:
                mode["times"] -= 1
                if mode["times"] <= 0:
                    self.mode = {"mode": "ok"}
            return mode

    def hang(self):
        with self.changed:
            told = self.told
            self.changed.wait_for(lambda: self.told != told, HANG_MAX_S)

    def note(self, entry, spans=()):
        with self.changed:
            self.requests.append(entry)
            self.spans.extend(spans)


class Receiver(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, store, port=0, tls=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.store = store
        if tls:  # the handshake is made by the connection's own thread
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that went away, or that does not trust this one


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def answer(self, status, doc, headers=()):
        body = json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        length = int(self.headers.get("Content-Length", "-1"))
        need(0 <= length <= BODY_MAX, "body", "must have a length, and not more than is taken")
        return self.rfile.read(length)

    def do_GET(self):
        with self.server.store.changed:
            what = {"/spans": self.server.store.spans, "/requests": self.server.store.requests}.get(self.path)
            self.answer(404 if what is None else 200, what)

    def do_POST(self):
        try:
            body = self.body()
        except Bad as e:
            self.close_connection = True
            return self.answer(411, {"code": 3, "message": str(e)})
        if self.path == "/control":
            self.server.store.control(json.loads(body))
            return self.answer(200, {})
        if self.path == "/clear":
            self.server.store.clear()
            return self.answer(200, {})
        if self.path != PATH:
            return self.answer(404, {"code": 5, "message": "no such path"})
        return self.export(body)

    def export(self, body):
        entry = {"port": self.client_address[1], "at": time.monotonic(), "bytes": len(body), "spans": 0,
                 "headers": {k.lower(): v for k, v in self.headers.items()}}
        try:
            spans = self.read_spans(body)
        except Bad as e:
            self.server.store.note(dict(entry, status=400, error=str(e)))
            return self.answer(400, {"code": 3, "message": str(e)})
        return self.meet(self.server.store.take_mode(), dict(entry, spans=len(spans)), spans)

    def read_spans(self, body):
        need(self.headers.get_content_type() == "application/json", "Content-Type", "must be application/json")
        coding = self.headers.get("Content-Encoding", "identity")
        need(coding in ("identity", "gzip"), "Content-Encoding", "must be gzip or none")
        if coding == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error) as e:
                raise Bad(f"not gzip: {e}") from None
        return parse(body)

    def meet(self, mode, entry, spans):
        kind = mode["mode"]
        note = self.server.store.note
        if kind == "ok":
            note(dict(entry, status=200), spans)
            self.answer(200, {"partialSuccess": {}})
        elif kind == "partial":
            note(dict(entry, status=200), spans)
            self.answer(200, {"partialSuccess": {"rejectedSpans": str(mode.get("rejected", 0)),
                                                 "errorMessage": mode.get("message", "")}})
        elif kind == "status":
            note(dict(entry, status=mode["status"]))
            after = [("Retry-After", mode["retry_after"])] if "retry_after" in mode else []
            self.answer(mode["status"], {"code": 14, "message": "told to"}, after)
        elif kind == "redirect":
            note(dict(entry, status=307))
            self.answer(307, {}, [("Location", mode["location"])])
        elif kind == "hang":
            note(dict(entry, status=0))
            self.server.store.hang()
            self.close_connection = True
        elif kind == "reset":
            note(dict(entry, status=0))
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif kind == "endless":
            note(dict(entry, status=200))
            self.close_connection = True
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 4096)


# ---- the self-test ---------------------------------------------------------------------------------------------------

GOOD = {"resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
    "scopeSpans": [{
        "scope": {"name": "tollgate", "version": "1"},
        "spans": [{
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
            "parentSpanId": "00f067aa0ba902b8", "flags": 0x301, "traceState": "a=1,b@c=2", "name": "GET /",
            "kind": 2, "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000000000001",
            "attributes": [{"key": "i", "value": {"intValue": "-5"}}, {"key": "b", "value": {"boolValue": True}},
                           {"key": "d", "value": {"doubleValue": 0.5}}, {"key": "o", "value": {"bytesValue": "AA=="}},
                           {"key": "a", "value": {"arrayValue": {"values": [{"stringValue": "x"}]}}},
                           {"key": "k", "value": {"kvlistValue": {"values": [
                               {"key": "x", "value": {"stringValue": "y"}}]}}}],
            "events": [{"timeUnixNano": "1", "name": "exception", "attributes": []}],
            "links": [{"traceId": "00000000000000000000000000000001", "spanId": "0000000000000001"}],
            "status": {"code": 2, "message": "m"}}]}]}]}

SPAN_AT = ("resourceSpans", 0, "scopeSpans", 0, "spans", 0)
GONE = object()

# Where something is put, and what; each breaks one rule.
BAD = [
    (("more",), 1), (("resourceSpans",), GONE), (("resourceSpans",), {}), (("resourceSpans", 0, "resource"), GONE),
    (("resourceSpans", 0, "resource", "attributes"), []), (("resourceSpans", 0, "scope_spans"), []),
    (("resourceSpans", 0, "scopeSpans"), GONE), (("resourceSpans", 0, "schemaUrl"), "no url"),
    (("resourceSpans", 0, "scopeSpans", 0, "scope", "name"), 1),
    (("resourceSpans", 0, "scopeSpans", 0, "scope", "nme"), "x"),
    (("resourceSpans", 0, "scopeSpans", 0, "spans"), GONE),
    (("resourceSpans", 0, "scopeSpans", 0, "spans", 1), copy.deepcopy(GOOD["resourceSpans"][0]["scopeSpans"][0]["spans"][0])),
] + [(SPAN_AT + at, what) for at, what in [
    (("more",), 1), (("traceId",), GONE), (("spanId",), GONE), (("name",), GONE), (("kind",), GONE),
    (("startTimeUnixNano",), GONE), (("endTimeUnixNano",), GONE), (("trace_id",), "0" * 31 + "1"),
    (("traceId",), "0" * 32), (("traceId",), "1" * 31), (("traceId",), "1" * 33), (("traceId",), "g" * 32),
    (("traceId",), "1" * 31 + "\u0661"), (("traceId",), 5), (("spanId",), "0" * 16), (("spanId",), "1" * 15),
    (("parentSpanId",), ""), (("parentSpanId",), "0" * 16), (("parentSpanId",), "00f067aa0ba902b7"),
    (("parentSpanId",), None), (("flags",), "1"), (("flags",), -1), (("flags",), 0x400), (("flags",), 0x200),
    (("flags",), True), (("flags",), 1.0), (("name",), ""), (("name",), 1), (("name",), "\ud800"), (("kind",), 6),
    (("kind",), -1), (("kind",), "SPAN_KIND_SERVER"), (("kind",), 2.5), (("startTimeUnixNano",), 1),
    (("startTimeUnixNano",), "0"), (("startTimeUnixNano",), "01"), (("startTimeUnixNano",), "1700000000000000002"),
    (("startTimeUnixNano",), "1e3"), (("endTimeUnixNano",), "18446744073709551616"), (("endTimeUnixNano",), "-1"),
    (("attributes",), {}), (("attributes", 0, "key"), ""), (("attributes", 0, "key"), GONE),
    (("attributes", 0, "value"), GONE), (("attributes", 0, "value"), {}), (("attributes", 0, "value"), "x"),
    (("attributes", 0, "value"), {"intValue": "1", "stringValue": "1"}), (("attributes", 0, "value"), {"intValue": 1}),
    (("attributes", 0, "value"), {"intValue": "9223372036854775808"}), (("attributes", 0, "value"), {"intValue": ""}),
    (("attributes", 0, "value"), {"stringValue": 1}), (("attributes", 0, "value"), {"boolValue": 1}),
    (("attributes", 0, "value"), {"doubleValue": "1"}), (("attributes", 0, "value"), {"bytesValue": "@"}),
    (("attributes", 0, "value"), {"arrayValue": []}), (("attributes", 0, "value"), {"floatValue": 1}),
    (("attributes", 0, "value"), {"arrayValue": {"values": [{}]}}), (("attributes", 0, "more"), 1),
    (("attributes", 0, "key"), "b"), (("droppedAttributesCount",), -1), (("droppedAttributesCount",), 2**32),
    (("events",), {}), (("events", 0, "name"), GONE), (("events", 0, "timeUnixNano"), 1), (("events", 0, "text"), "x"),
    (("events", 0, "timeUnixNano"), GONE), (("links", 0, "traceId"), GONE), (("links", 0, "spanId"), "0" * 16),
    (("links", 0, "parentSpanId"), "1" * 16), (("status",), 2), (("status", "code"), 3), (("status", "code"), "2"),
    (("status", "text"), "x"), (("traceState",), "A=1"), (("traceState",), "a=1,a=2"), (("traceState",), "a"),
    (("traceState",), 1), (("traceState",), ",".join(f"k{i}=1" for i in range(33))),
]]

BAD_BODIES = [b"", b"[]", b"null", b"{", b'{"resourceSpans":[],"resourceSpans":[]}', b'{"resourceSpans":[NaN]}',
              b'{"resourceSpans":[]}x', json.dumps(GOOD).replace("GET /", "GET \x01").encode("latin-1") + b"\xff",
              json.dumps(GOOD).encode().replace(b"GET /", b"\xc3("), json.dumps(GOOD).encode().replace(b"GET /", b"\n"),
              b"[" * 100000]


def changed(at, what):
    doc = copy.deepcopy(GOOD)
    inner = doc
    for step in at[:-1]:
        inner = inner[step]
    if what is GONE:
        del inner[at[-1]]
    elif isinstance(inner, list) and at[-1] == len(inner):
        inner.append(what)
    else:
        inner[at[-1]] = what
    return json.dumps(doc).encode()


def is_refused(body):
    try:
        parse(body)
    except Bad:
        return True
    return False


def post(base, body, **headers):
    request = urllib.request.Request(base + PATH, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def self_test():
    assert len(parse(json.dumps(GOOD).encode())) == 1
    for at, what in BAD:
        assert is_refused(changed(at, what)), f"taken: {at} {what}"
    for body in BAD_BODIES:
        assert is_refused(body), f"taken: {body[:80]}"
    store = Store()
    server = Receiver(store)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    good, json_type = json.dumps(GOOD).encode(), "application/json"
    assert post(base, good, Content_Type=json_type) == 200
    assert post(base, gzip.compress(good), Content_Type=json_type, Content_Encoding="gzip") == 200
    for body, headers in [(good, {"Content_Type": "text/plain"}), (good, {"Content_Type": json_type, "Content_Encoding": "gzip"}),
                          (gzip.compress(good)[:-5], {"Content_Type": json_type, "Content_Encoding": "gzip"}),
                          (good, {"Content_Type": json_type, "Content_Encoding": "br"}), (b"{}", {"Content_Type": json_type})]:
        assert post(base, body, **headers) == 400, headers
    assert len(store.spans) == 2 and [r["status"] for r in store.requests] == [200, 200] + [400] * 5
    store.control({"mode": "status", "status": 503, "times": 1})
    assert post(base, good, Content_Type=json_type) == 503
    assert post(base, good, Content_Type=json_type) == 200
    server.shutdown()
    print(f"all passed: {len(BAD) + len(BAD_BODIES)} bad documents were refused")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, default=0)
    args.add_argument("--cert", help="certificate and key in one file: serve https too")
    args.add_argument("--self-test", action="store_true")
    args = args.parse_args()
    if args.self_test:
        return self_test()
    store = Store()
    ports = [Receiver(store, args.port).server_address[1]]
    if args.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.cert)
        ports.append(Receiver(store, tls=tls).server_address[1])
    print("listening", *ports, flush=True)
    sys.stdin.read()  # who started it has gone, or wants it to go
    return None


if __name__ == "__main__":
    sys.exit(main())
