"""A man in the middle of gateways and Redis nodes, who knows which reply answers which command, and lies.

    lies = Lies(seed)
    door = Door(node.port, lies)       # gateways are told door.port
    lies.begin()
    ...
    lies.end()                         # honest from now on

What is told is by a dice of the seed: replies of other kinds, numbers out of range, entries that are flipped, cut, older
or another key's, locks that nobody asked for, messages that nobody has published, bytes that are no protocol. Commands
pass unchanged. They are looked at, too: a gateway may not send on a number or a token that it only has from a lie; what
it does send is in lies.faults.

One thread for all doors. Source: the Redis serialization protocol, RESP2.
"""

import asyncio
import collections
import os
import random
import re
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "fleet"))

from harness import Loop, free_port  # noqa: E402

FENCE_MAX = 2**53 - 1
BAD_NUMBERS = [-1, -2**63, 2**63 - 1, 2**62, 2**53, -2**31, 10**18, 3]
NOSCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
ERRORS = [b"ERR \x1b[31mno\x1b[0m", NOSCRIPT, b"OOM command not allowed", b"READONLY no", b"MOVED 1 127.0.0.1:1", b"LOADING",
          b"BUSY", b"MISCONF", b"", b"WRONGTYPE " + b"x" * 5000]
GARBAGE = [b"hello\r\n", b"\0\0\0\0", b"$-7\r\n\r\n", b"*2147483647\r\n", b"*-5\r\n", b"$99999999999999999999\r\n",
           b":12x\r\n", b"$1\r\nabc\r\n", b"*1\r\n" * 50, b"%1\r\n:1\r\n:2\r\n", b"#t\r\n", b",1.5\r\n", b"+" + b"y" * 200000,
           b":99999999999999999999999\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n"]
KINDS = {(6, 6): "read", (1, 2): "extend", (2, 1): "drop", (4, 5): "purge", (2, 4): "beat", (1, 12): "take"}


class Line(bytes):
    """A simple string."""


class Fault(bytes):
    """An error."""


class Garbage(bytes):
    """What is no reply at all."""


def parse(held, at=0):
    """The value that begins there, and where it ends; None: not all of it has come."""
    end = held.find(b"\r\n", at)
    if end < 0:
        return None
    kind, rest, at = held[at:at + 1], bytes(held[at + 1:end]), end + 2
    if kind == b":":
        return int(rest), at
    if kind in b"+-":
        return (Line if kind == b"+" else Fault)(rest), at
    n = int(rest)
    if n < 0:
        return None, at
    if kind == b"$":
        return (bytes(held[at:at + n]), at + n + 2) if len(held) >= at + n + 2 else None
    values = []
    for _ in range(n):
        got = parse(held, at)
        if got is None:
            return None
        values.append(got[0])
        at = got[1]
    return values, at


def pack(v):
    if isinstance(v, Garbage):
        return v
    if v is None:
        return b"$-1\r\n"
    if isinstance(v, int):
        return b":%d\r\n" % v
    if isinstance(v, list):
        return b"*%d\r\n" % len(v) + b"".join(pack(e) for e in v)
    if isinstance(v, (Line, Fault)):
        return (b"+" if isinstance(v, Line) else b"-") + v + b"\r\n"
    return b"$%d\r\n%s\r\n" % (len(v), v)


class Command:
    """What a gateway has asked: its kind, and where it is a script's, keys and arguments."""

    def __init__(self, words):
        self.words, self.keys, self.args = words, [], []
        self.kind = words[0].decode("latin-1").lower()
        if self.kind in ("eval", "evalsha"):
            n = int(words[2])
            self.keys, self.args = words[3:3 + n], words[3 + n:]
            shape = (n, len(self.args))
            is_release = shape == (1, 3) and b":lock:" in self.keys[0]
            self.kind = "store" if len(self.args) == 11 else "release" if is_release else KINDS.get(shape, "piece")


def flip(text, dice):
    """The same with a few bits changed, somewhere."""
    changed = bytearray(text)
    for _ in range(dice.choice((1, 1, 1, 3, 20))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(text, dice):
    n = dice.randrange(len(text))
    return dice.choice((text[:n], text[n:], text + text[:n], text[:n] + b"\0" * (len(text) - n)))


class Lies:
    """What all doors lie by, and what they have seen."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.is_lying = self.is_stubborn = False
        self.told = collections.Counter()
        self.asked = collections.Counter()
        self.faults = []
        self.tokens = set()
        self.entries = collections.OrderedDict()  # by key: the last few [version, entry]
        self.pieces = collections.deque(maxlen=20)
        self.fences = collections.deque(maxlen=50)
        self.ids = []  # of gateways
        self.garbled = []  # connections that were told what is no protocol

    def begin(self, is_stubborn=False):
        """STUBBORN: nothing but what is always said about the same keys."""
        self.is_stubborn, self.is_lying = is_stubborn, True

    def end(self):
        self.is_lying = False

    def untold(self):
        """The kinds of lies that were not told yet."""
        kinds = self.ANY + [Lies.garbage] + [lie for lies in self.OF.values() for lie in lies]
        return {lie.__name__ for lie in kinds} - set(self.told)

    # ---- what gateways say --------------------------------------------------------------------------------------------

    def blame(self, why, command):
        if len(self.faults) < 20:
            words = b" ".join(w[:60] for w in command.words[:1] + command.keys + command.args)
            self.faults.append("%s: %s" % (why, words))

    def hear(self, c):
        self.asked[c.kind] += 1
        if c.kind == "read" and c.args[0]:
            self.tokens.add(c.args[0])
        token = c.args[0] if c.kind in ("store", "release", "extend") else b""
        if token and token not in self.tokens:
            self.blame("it gives back a lock that it has not asked for", c)
        if c.kind == "store":
            for number in c.args[1:5]:
                if not re.fullmatch(rb"\d+", number) or int(number) > FENCE_MAX:
                    self.blame("it stores with a number that is none", c)

    def learn(self, c, reply):
        """From an honest reply."""
        if c.kind == "read" and isinstance(reply, list) and reply[0] == 1:
            kept = self.entries.setdefault(c.keys[0], [])
            if not kept or kept[-1] != reply[6:8]:
                kept.append(reply[6:8])
            del kept[:-4]
            if len(self.entries) > 200:
                self.entries.popitem(last=False)
        elif c.kind == "read" and isinstance(reply, list) and reply[1] == 1:
            self.fences.append(reply[3])
        elif c.kind == "hget" and isinstance(reply, bytes):
            self.pieces.append(reply)

    # ---- lies about any reply -----------------------------------------------------------------------------------------

    def another_kind(self, c, reply):
        return self.dice.choice([None, 1, 0, b"1", b"", [], [1], Line(b"OK"), [None] * 8, Fault(b"ERR no")])

    def error(self, c, reply):
        return Fault(self.dice.choice(ERRORS))

    def number(self, c, reply):
        n = self.dice.choice(BAD_NUMBERS)
        places = [i for i, e in enumerate(reply) if isinstance(e, int)] if isinstance(reply, list) else []
        if not places:
            return n
        i = self.dice.choice(places)
        return reply[:i] + [n] + reply[i + 1:]

    def shape(self, c, reply):
        if not isinstance(reply, list) or not reply:
            return self.dice.choice([[reply], [reply, reply], [[reply]]])
        i = self.dice.randrange(len(reply))
        before, behind = reply[:i], reply[i + 1:]
        return self.dice.choice([before, reply + reply[i:], reply + [None] * 1000, [reply], before + [[reply[i]]] + behind,
                                 before + [None] + behind, before + [b"x"] + behind])

    def text(self, c, reply):
        text = self.dice.choice([b"", b"\0", b"\r\n", b"-1", b"x" * 3000000, self.dice.randbytes(3000)])
        return reply[:-1] + [text] if isinstance(reply, list) and reply else text

    def garbage(self, c, reply):
        return Garbage(self.dice.choice(GARBAGE))

    # ---- lies about objects -------------------------------------------------------------------------------------------

    def flipped(self, c, reply):
        return reply[:7] + [flip(reply[7], self.dice)] if reply[7] else None

    def cut_off(self, c, reply):
        return reply[:7] + [cut(reply[7], self.dice)] if reply[7] else None

    def of_another(self, c, reply):
        """Another key's entry, as if it were this one's."""
        others = [k for k in self.entries if k != c.keys[0]]
        if not others:
            return None
        own = [k for k in others if k.split(b"?")[0][:24] == c.keys[0].split(b"?")[0][:24]]
        version, entry = self.entries[self.dice.choice(own or others)][-1]
        return [1, reply[1], reply[2], reply[3], reply[4] if reply[0] else 0, 0, version, entry]

    def older(self, c, reply):
        kept = self.entries.get(c.keys[0])
        return [1, *reply[1:4], self.dice.choice((0, reply[4], 5000)), 0, *self.dice.choice(kept)] if kept else None

    def with_another_version(self, c, reply):
        version = self.dice.choice([b"", b"1234567", self.dice.randbytes(8), b"\0" * 8, b"x" * 100])
        return reply[:6] + [version, reply[7]]

    def said_to_be_known(self, c, reply):
        return [2, *reply[1:6], self.dice.choice([c.args[2], b"\0" * 8, self.dice.randbytes(8)]), b""]

    def gone(self, c, reply):
        return [0, *reply[1:6], b"", b""]

    def at_odds(self, c, reply):
        return self.dice.choice([[0, *reply[1:7], reply[7] or b"x" * 200], [1, *reply[1:6], b"12345678", b""]])

    def aged(self, c, reply):
        return reply[:4] + [self.dice.choice([10**6, FENCE_MAX // 1000, 0]), self.dice.choice((0, 1))] + reply[6:]

    # ---- lies about locks ---------------------------------------------------------------------------------------------

    def granted(self, c, reply):
        """To whoever asks, and to who does not."""
        fence = self.dice.choice([1, 0, FENCE_MAX, *list(self.fences)[:5], reply[2] + self.dice.randrange(10**6)])
        return [reply[0], 1, reply[2], fence, *reply[4:]]

    def refused(self, c, reply):
        return [reply[0], 2, reply[2], 0, *reply[4:]]

    def of_another_time(self, c, reply):
        """It is granted, and purges that were are yet to come, or the other way round."""
        return [0, 1, self.dice.choice(BAD_NUMBERS + [0, 1, FENCE_MAX, FENCE_MAX]), reply[3] or 1, 0, 0, b"", b""]

    # ---- the others ---------------------------------------------------------------------------------------------------

    def piece(self, c, reply):
        """Of a body."""
        if not reply:
            return None
        another = self.dice.choice(self.pieces)
        return self.dice.choice([flip(reply, self.dice), cut(reply, self.dice), another, b""])

    def count(self, c, reply):
        return self.dice.choice([0, 1, reply + 1, reply - 1, 2**32])

    def tokens_of_limit(self, c, reply):
        numbers = [0, 1, 10**6, 2**52, 2**52 - 1, 2**32, *BAD_NUMBERS]
        i = self.dice.randrange(5)
        return self.dice.choice([reply[:i] + [self.dice.choice(numbers)] + reply[i + 1:], [0, 0, 2**52, 2**52, reply[4]],
                                 [0, 0, 1, 1, 0], [int(c.args[4]), int(c.args[2]), 0, 0, 1]])

    def crowded(self, c, reply):
        return self.dice.choice([[1000000, 0], [1, 5], [10**9, -1], [0, 0], [2, 2**63 - 1]])

    def everybody(self, c, reply):
        return self.dice.choice([0, 999999, 10**6, 5])

    ANY = [another_kind, error, number, shape, text]
    OF = {"read": [flipped, cut_off, of_another, of_another, older, with_another_version, said_to_be_known, gone, at_odds,
                   aged, granted, granted, refused, of_another_time],
          "hget": [piece], "hlen": [count], "take": [tokens_of_limit], "beat": [crowded], "purge": [everybody]}

    def bend(self, c, reply):
        """What is answered instead of REPLY to C; the same, when it is to be the truth."""
        if c.kind == "ping":
            return reply
        if c.kind == "read" and b"/locked" in c.keys[0]:
            return self.refused(c, self.gone(c, reply)) if isinstance(reply, list) else reply
        if c.kind == "read" and b"/noscript" in c.keys[0] or c.kind == "purge" and self.is_stubborn:
            return Fault(NOSCRIPT)
        if self.is_stubborn or self.dice.random() > (0.7 if c.kind == "hget" else 0.25):
            return reply
        own = [] if isinstance(reply, Fault) else self.OF.get(c.kind, [])
        lie = self.dice.choice(own if own and self.dice.random() < 0.75 else self.ANY)
        lie = Lies.garbage if self.dice.random() < 0.01 else lie
        said = lie(self, c, reply)
        if said is None and lie in own:
            return reply
        self.told[lie.__name__] += 1
        return said

    # ---- what nobody has published ------------------------------------------------------------------------------------

    def key(self):
        """Of an object, as announcements have it, perhaps."""
        known = [k.partition(b":o:")[2] for k in list(self.entries)[-50:]]
        return self.dice.choice([*known[-3:], *known[:3], b"", b"/", b"k" * 100000, self.dice.randbytes(50)])

    def announcement(self):
        dice, key = self.dice, self.key()
        sender = dice.choice([*self.ids, b"0123456789abcdef", dice.randbytes(16), b"\0" * 16])
        digits = b"%016x" % dice.choice([0, 1, 500, 2**64 - 1, dice.getrandbits(64)])
        length = b"%08x" % dice.choice([len(key), 0, 1, 2**32 - 1, max(len(key) - 1, 0)])
        kind = dice.choice([b"ah", b"as", b"gh", b"gs", b"th", b"ts", b"ph", b"ps", b"x", b"", b"a"])
        name = dice.choice([b"b", b"c", b"c", b"none", b"", b"c\0c", b"n" * 5000])
        text = dice.choice([b"S" + sender + digits + length + key, b"R" + sender + length + key, b"B" + sender + digits + name,
                            b"P" + sender + digits + kind + key, dice.randbytes(40), b"", b"P", b"S" + sender,
                            b"s" * 2000000])
        if dice.random() < 0.3 and 0 < len(text) < 10000:
            text = dice.choice((flip, cut))(text, dice)
        return text

    def push(self, channels):
        """What a subscriber hears: mostly of the form that it may have."""
        dice = self.dice
        if dice.random() < 0.03:
            self.told["nonsense"] += 1
            return dice.choice([7, None, [], [b"message"], [b"message", channels[0]], [b"message", channels[0], 5],
                                [[b"message"]] * 3, Fault(b"ERR"), [b"unsubscribe", channels[0], 0], [b"pong", b""],
                                [b"subscribe", channels[0], 9], Garbage(dice.choice(GARBAGE))])
        self.told["announcement"] += 1
        if dice.random() < 0.15:
            number = dice.choice([b"%016x" % dice.randrange(10), b"f" * 16, b"", b"xyz", dice.randbytes(3)])
            return [b"message", channels[-1], number]
        return [b"message", dice.choice([channels[0], channels[0], b"other", b""]), self.announcement()]


class Door:
    """Leads to a node's port. All doors share one thread."""

    thread = None

    def __init__(self, target, lies):
        Door.thread = Door.thread or Loop()
        self.target, self.lies, self.pairs, self.port = target, lies, set(), free_port()
        self.server = self.thread.run(self._listen())

    async def _listen(self):
        return await asyncio.get_running_loop().create_server(lambda: _Near(self), "127.0.0.1", self.port, backlog=128)

    def stop(self):
        def now():
            self.server.close()
            for pair in list(self.pairs):
                pair.abort()
        self.thread.call(now)


class _Near(asyncio.Protocol):
    """The gateway's side of a connection, and the pair of both."""

    def __init__(self, door):
        self.door, self.lies, self.loop = door, door.lies, door.thread.loop
        self.held, self.replies, self.early = bytearray(), bytearray(), b""
        self.asked = collections.deque()
        self.queue = collections.deque()  # (seconds to wait before, bytes) that are still to be said
        self.channels, self.far, self.is_open = [], None, True

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.door.pairs.add(self)
        self.loop.create_task(self._connect())

    async def _connect(self):
        try:
            self.far, _ = await self.loop.create_connection(lambda: _Far(self), "127.0.0.1", self.door.target)
        except OSError:
            self.abort()
            return
        if not self.is_open:
            self.far.abort()
        self.far.write(self.early)

    def abort(self):
        self.is_open = False
        self.door.pairs.discard(self)
        self.transport.abort()
        if self.far:
            self.far.abort()

    def connection_lost(self, exc):
        self.abort()

    # ---- commands

    def data_received(self, data):
        self.held += data
        at = 0
        while got := parse(self.held, at):
            command, at = Command(got[0]), got[1]
            if command.kind == "subscribe":
                self.channels = command.words[1:]
                self.lies.ids.append(self.channels[-1].rpartition(b":")[2])
                self.push_later()
            elif not self.channels:
                self.lies.hear(command)
                self.asked.append(command)
        del self.held[:at]
        if self.far:
            if not self.far.is_closing():
                self.far.write(data)
        else:
            self.early += data

    # ---- replies

    def take(self, data):
        self.replies += data
        at = 0
        while got := parse(self.replies, at):
            raw, at = bytes(self.replies[at:got[1]]), got[1]
            if self.channels:
                self.say(raw)
            else:
                self.answer(self.asked.popleft(), got[0], raw)
        del self.replies[:at]

    def answer(self, command, reply, raw):
        lies = self.lies
        lies.learn(command, reply)
        if not lies.is_lying:
            self.say(raw)
            return
        said = lies.bend(command, reply)
        if isinstance(said, Garbage):
            lies.garbled.append(self)
        data, way = raw if said is reply else pack(said), 1 if lies.is_stubborn else lies.dice.random()
        if way < 0.004:
            lies.told["swallowed"] += 1
        elif way < 0.008:
            lies.told["said twice"] += 1
            self.say(data + data)
        elif way < 0.014:
            lies.told["late"] += 1
            self.say(data, lies.dice.uniform(0.05, 0.5))
        elif way < 0.06 and len(data) < 100000:
            lies.told["in tiny pieces"] += 1
            self.drip(data)
        else:
            self.say(data)

    def drip(self, data):
        step = max(1, len(data) // 40)
        for at in range(0, len(data), step):
            self.say(data[at:at + step], 0.0003)

    def say(self, data, wait=0.0):
        """In order, and after WAIT seconds."""
        if not self.queue and not wait:
            self._write(data)
            return
        self.queue.append((wait, data))
        if len(self.queue) == 1:
            self.loop.call_later(wait, self._go_on)

    def _write(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def _go_on(self):
        self._write(self.queue.popleft()[1])
        while self.queue and not self.queue[0][0]:
            self._write(self.queue.popleft()[1])
        if self.queue:
            self.loop.call_later(self.queue[0][0], self._go_on)

    # ---- what nobody has published

    def push_later(self):
        self.loop.call_later(self.lies.dice.uniform(0.005, 0.08), self.push)

    def push(self):
        if not self.is_open:
            return
        if self.lies.is_lying and not self.lies.is_stubborn:
            said = self.lies.push(self.channels)
            if isinstance(said, Garbage):
                self.lies.garbled.append(self)
            self.say(pack(said))
        self.push_later()


class _Far(asyncio.Protocol):
    def __init__(self, near):
        self.near = near

    def data_received(self, data):
        if self.near.is_open:
            self.near.take(data)

    def connection_lost(self, exc):
        if self.near.is_open:
            self.near.abort()
