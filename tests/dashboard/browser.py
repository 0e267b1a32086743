"""A real Chromium, driven over its debugging protocol.

    with Tabs() as browser:
        page = browser.open("http://127.0.0.1:9901/", width=1280, height=900)
        page.wait("document.title.includes('Tollgate')", "the page is there")
        page.click("#theme")
        assert page.problems == []

What the page writes to its console as a warning or an error, exceptions that nobody caught, and violations of its
content security policy are collected in page.problems. Every wait has a deadline. The browser has an empty profile, talks to nobody but loopback,
and ends with the process; what pages store is forgotten at the end of each block.
"""

import atexit
import base64
import hashlib
import itertools
import json
import os
import queue
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fleet"))

from harness import WAIT, Process, wait_for  # noqa: E402

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-default-apps", "--disable-dev-shm-usage", "--no-default-browser-check", "--mute-audio",
         "--disable-backgrounding-occluded-windows", "--disable-background-timer-throttling",
         "--disable-features=Translate,MediaRouter,OptimizationHints", "--js-flags=--expose-gc",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0"]

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}


class WebSocket:
    """A client's end (RFC 6455) of a connection to loopback: text frames only."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline()
        fields = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert b" 101 " in status and fields["sec-websocket-accept"] == base64.b64encode(accept).decode(), status
        self.socket.settimeout(None)

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack(">BH", 0xfe, len(data)) \
            if len(data) < 65536 else struct.pack(">BQ", 0xff, len(data))
        long_mask = (mask * (len(data) // 4 + 1))[:len(data)]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(long_mask, "big")).to_bytes(len(data), "big")
        self.socket.sendall(b"\x81" + size + mask + masked)

    def receive(self):
        """A message; None when the other end has closed."""
        whole = b""
        while True:
            head = self.file.read(2)
            if len(head) < 2:
                return None
            size = head[1] & 0x7f
            if size > 125:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
            data = self.file.read(size)
            kind = head[0] & 0x0f
            if kind == 8:
                return None
            if kind in (0, 1):
                whole += data
                if head[0] & 0x80:
                    return whole.decode()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


class Browser(Process):
    def __init__(self):
        self.dir = tempfile.mkdtemp()
        self.log = open(os.path.join(self.dir, "log"), "w", encoding="utf-8")
        self.numbers, self.answers, self.pages = itertools.count(1), {}, {}
        self.spawn([shutil.which("chromium"), *FLAGS, "--user-data-dir=" + os.path.join(self.dir, "profile"), "about:blank"],
                   {"HOME": self.dir})
        port, path = wait_for(self._door, "a browser", 30)
        self.wire = WebSocket(int(port), path)
        threading.Thread(target=self._listen, daemon=True).start()

    def _door(self):
        assert self.is_running(), "the browser does not start"
        try:
            with open(os.path.join(self.dir, "profile", "DevToolsActivePort"), encoding="ascii") as f:
                lines = f.read().split()
        except OSError:
            return None
        return lines if len(lines) == 2 else None

    def _listen(self):
        while (text := self.wire.receive()) is not None:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]].put(message)
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].hear(message["method"], message["params"])

    def command(self, method, session=None, wait=30, **parameters):
        """Its result."""
        number = next(self.numbers)
        self.answers[number] = queue.Queue()
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.wire.send(json.dumps(message))
        answer = self.answers[number].get(timeout=wait)
        del self.answers[number]
        assert "error" not in answer, "%s: %s" % (method, answer.get("error"))
        return answer["result"]

    def close(self):
        self.command("Browser.close")
        try:
            self.process.wait(timeout=WAIT)
        except subprocess.TimeoutExpired:
            self.kill()
        self.wire.close()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


_browsers = []  # the one that there is, once it is wanted


def _browser():
    if not _browsers:
        _browsers.append(Browser())
        atexit.register(_browsers[0].close)
    return _browsers[0]


class Tabs:
    """Pages that share what they store with no others; they are gone at the end."""

    def __enter__(self):
        self.browser = _browser()
        self.context = self.browser.command("Target.createBrowserContext")["browserContextId"]
        return self

    def open(self, url, width=1280, height=900, dark=False):
        target = self.browser.command("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        session = self.browser.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self.browser, session, (url, width, height, dark))

    def __exit__(self, kind, error, trace):
        self.browser.command("Target.disposeBrowserContext", browserContextId=self.context)


class Page:
    def __init__(self, browser, session, view):
        url, width, height, dark = view
        self.browser, self.session, self.problems = browser, session, []
        browser.pages[session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "HeapProfiler"):
            self.command(domain + ".enable")
        self.resize(width, height)
        self.prefer(dark=dark)
        self.command("Page.addScriptToEvaluateOnNewDocument", source=(
            "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))"))
        self.command("Page.navigate", url=url)

    def hear(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            # The network's own lines tell of answers such as 401, which are the page's business.
            if params["entry"]["source"] != "network":
                self.problems.append(params["entry"]["text"])

    def command(self, method, **parameters):
        return self.browser.command(method, self.session, **parameters)

    def run(self, script):
        """The value of an expression, which may be a promise."""
        got = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, "%s: %s" % (script, got["exceptionDetails"])
        return got["result"].get("value")

    def wait(self, condition, what, deadline=WAIT):
        return wait_for(lambda: self.run(condition), what, deadline)

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText")

    def wait_text(self, selector, part, deadline=WAIT):
        """Until PART stands in what SELECTOR finds."""
        try:
            return wait_for(lambda: part in (self.text(selector) or ""), "", deadline)
        except AssertionError:
            said = self.run(f"document.querySelector({json.dumps(selector)})?.textContent")
            raise AssertionError("%r is not in %s: %r" % (part, selector, said)) from None

    def click(self, selector):
        """With the mouse, in its middle, after it was scrolled to; it has to be what is seen there."""
        found = self.run(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            if (!e) return "there is none";
            if (e.disabled) return "it is disabled";
            e.scrollIntoView({{block: "center", behavior: "instant"}});
            const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
            const top = document.elementFromPoint(x, y);
            return e.contains(top) ? [x, y] : "another one covers it: " + top?.outerHTML.slice(0, 100); }})()""")
        assert isinstance(found, list), "%s: %s" % (selector, found)
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def key(self, name, shift=False):
        text = {"Enter": "\r"}.get(name)
        both = {"key": name, "code": name, "windowsVirtualKeyCode": KEYS[name], "modifiers": 8 if shift else 0}
        self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **both, **({"text": text} if text else {}))
        self.command("Input.dispatchKeyEvent", type="keyUp", **both)

    def type(self, text):
        self.command("Input.insertText", text=text)

    def fill(self, selector, text):
        """Put TEXT in place of what a field holds."""
        self.click(selector)
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self.type(text) if text else self.run(f"document.querySelector({json.dumps(selector)}).value = ''")

    def resize(self, width, height, mobile=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def prefer(self, dark=False, still=False):
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}])

    def picture(self, path, whole=False):
        got = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as f:
            f.write(base64.b64decode(got["data"]))

    def heap(self):
        """Bytes of live objects, and the number of nodes."""
        for _ in range(3):
            self.command("HeapProfiler.collectGarbage")
        usage = self.command("Runtime.getHeapUsage")
        return usage["usedSize"], self.run("document.querySelectorAll('*').length")
