"""The table of cases.py against the gateway, over the wire.

    conformance.py BINARY [WORDS OF A NAME]

Ends with a line of counts.
"""

import json
import re
import sys

import cases
from harness import Answer, Client, Gateway, Origin

CONF = """
listen "127.0.0.1:@PORT@" {}
admin "unix:@ADMIN@" {}
workers = 2
log { access = off  error = stderr  level = error }
backend "origin" { server "http://127.0.0.1:@ORIGIN@" {}  breaker { enabled = no }  retry { attempts = 1 } }
"""

ROUTES = {
    "plain": "",
    "cookies": "share_cookies = yes",
    "only200": 'status = {"200"}',
    "sorted": 'query = sorted  ignore = {"utm"}',
    "keep": 'keep = {"a"}',
    "noquery": "query = none",
    "tenants": 'header = {"X-Tenant"}  cookie = {"lang"}',
    "noheuristic": "heuristic = no",
    "ttl": "ttl = 30s  negative_ttl = 10s",
    "strict": "stale_if_unreachable = 0",
    "stale": "stale_while_revalidate = 10s  stale_if_error = 5m",
    "deaf": "client_directives = no",
    "removes": "",
    "mine": 'targeted = {"My-Cache-Control"}',
    "small": "max_object = 1k",
    "nopurge": 'purge = {"192.0.2.1"}',
}


def conf():
    text = CONF
    for name, options in ROUTES.items():
        more = 'response_header { remove = {"CDN-Cache-Control"} }' if name == "removes" else ""
        text += 'route "/%s/" { backend = origin  %s\n  cache { %s }\n}\n' % (name, more, options)
    return text


class Failure(Exception):
    pass


def check(what, detail=""):
    if not what:
        raise Failure(detail)


def is_conditional(request, exchange):
    own = [f.lower() for f in exchange.req]
    return any(
        n.lower() in ("if-none-match", "if-modified-since") and ("%s: %s" % (n, v)).lower() not in own
        for n, v in request.fields
    )


def field_is(message, text):
    """Name, "Name: value" or "Name~: expression"."""
    name, _, value = text.partition(":")
    value = value.strip()
    if name.endswith("~"):
        found = message.get(name[:-1])
        return found is not None and re.fullmatch(value, found) is not None
    if not value or "<" in value:
        return message.has(name)
    return message.has(name, value)


class Runner:
    def __init__(self, binary):
        self.origin = Origin()
        self.gateway = Gateway(binary, conf(), self.origin)
        self.client = None
        self.serial = 0

    def target(self, number, route, path):
        return "/%s/%d%s" % (route, number, path if path[:1] in ("/", "?", "") else "/" + path)

    def answer_for(self, exchange, request, url, asked):
        """What the origin says; asked: how often it was in this exchange."""
        self.serial += 1
        default = b"body %d of %s" % (self.serial, url.encode())
        a = exchange.answer
        if exchange.what == "twice" and asked > 1:
            return Answer("Cache-Control: max-age=60", body=b"second")
        if a is None and is_conditional(request, exchange) and exchange.method == "GET":
            return Answer("Cache-Control: max-age=3600", status=304)
        if a is None:
            return Answer("Cache-Control: no-store", body=default)
        fields = [f.replace("@", url) for f in a.fields]
        b = Answer(*fields, status=a.status, body=a.body if a.body is not None else default, chunked=a.chunked,
                   close=a.close, truncate=a.truncate)
        return b

    def exchange(self, number, route, x, previous):
        base = self.target(number, x.route or route, "")
        asked = []

        def answer(request):
            asked.append(request)
            return self.answer_for(x, request, base, len(asked))

        self.origin.answer = answer
        if not self.client:
            self.client = Client(self.gateway.port)
        try:
            self.client.send(x.method, self.target(number, x.route or route, x.path), x.req, x.send, x.host)
            got = self.client.receive()
        except (EOFError, OSError):
            self.client.close()
            self.client = None
            check(x.status == "broken", "the connection broke")
            self.origin.requests()
            return None
        if got.get("Connection") == "close":
            self.client.close()
            self.client = None
        if x.what == "refreshed":
            self.origin.next_request()
            self.settle(number, route, x)
        else:
            self.origin.requests()
        self.judge(x, got, asked, previous)
        return got

    def settle(self, number, route, x):
        """The answer to a refresh is in the store a moment after the origin gave it: wait for it to be known."""
        for _ in range(2000):
            if json.loads(self.gateway.admin_call("GET", "/cache").body)["flights"] == 0:
                return
        raise Failure("the refresh does not end")

    def judge(self, x, got, asked, previous):
        if x.what == "cached":
            check(not asked or x.answer is not None, "the origin was asked")
        elif x.what == "twice":
            check(len(asked) == 2, "the origin was asked %d times" % len(asked))
        else:
            # A kept connection that is closed under the request may have been an idle one: it is sent again.
            may_repeat = x.answer is not None and x.answer.close
            check(len(asked) == 1 or (may_repeat and len(asked) == 2), "the origin was asked %d times" % len(asked))
        if asked and x.what in ("fetched", "validated"):
            check(is_conditional(asked[0], x) == (x.what == "validated"), "conditional: %s" % asked[0].fields)
        check(x.status is None or got.status == x.status, "status %d" % got.status)
        check(x.status is not None or got.status < 400 or got.status == (x.answer or previous or got).status,
              "status %d" % got.status)
        for f in x.has:
            check(field_is(got, f), "has not '%s' but '%s'" % (f, got.get(f.split(":")[0].rstrip("~"))))
        for f in x.lacks:
            check(not got.has(f), "has %s: %s" % (f, got.get(f)))
        for f in x.sent:
            check(asked and field_is(asked[0], f), "'%s' was not sent: %s" % (f, asked[0].fields if asked else None))
        for f in x.unsent:
            check(asked and not asked[0].has(f), "%s was sent" % f)
        if callable(x.body):
            check(x.body(got.body), "body %r" % got.body)
        elif x.body is not None:
            check(got.body == x.body, "body %r" % got.body)
        if x.same:
            check(previous and got.body == previous.body, "body %r, not %r" % (got.body, previous and previous.body))

    def run(self, number, route, exchanges):
        previous = None
        for i, x in enumerate(exchanges):
            try:
                got = self.exchange(number, route, x, previous)
            except Failure as e:
                raise Failure("exchange %d (%s): %s" % (i + 1, x.what, e))
            except Exception as e:
                self.client = None
                raise Failure("exchange %d (%s): %r" % (i + 1, x.what, e))
            if got and x.what in ("fetched", "validated", "twice") and got.status != 304:
                previous = got


def main():
    words = " ".join(sys.argv[2:])
    runner = Runner(sys.argv[1])
    passed = failed = 0
    for number, (section, name, route, exchanges) in enumerate(cases.CASES):
        if words and words not in "%s: %s" % (section, name):
            continue
        try:
            runner.run(number, route, exchanges)
            passed += 1
        except Failure as e:
            failed += 1
            print("FAILED %s: %s: %s" % (section, name, e))
    runner.gateway.stop()
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
