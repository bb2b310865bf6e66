"""
Hostile inputs, generated from a seed.

A `Conversation` is the list of inputs that one hostile peer sends over one connection, from the first token on.  It
does not depend on the answers, so the same seed gives the same inputs everywhere.  The peers are a *stranger* without a
FURL, a *slave* with a slave's FURL, and a *submitter* with FURLs of submissions.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import frozen

from buildbot_lite.model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Remark,
    Seal,
)

from ..wire.tokens import (
    begin,
    call,
    end,
    integer,
    number,
    reference,
    string,
)

Tokens = dict[bytes, bytes]

ROLES = ("stranger", "slave", "submitter")

WORDS = [
    b"call", b"answer", b"error", b"arguments", b"my-reference", b"your-reference", b"their-reference", b"reference",
    b"copyable", b"list", b"tuple", b"dict", b"set", b"immutable-set", b"unicode", b"boolean", b"decimal", b"none",
    b"module", b"class", b"instance", b"method", b"function", b"set-vocab", b"add-vocab", b"attrdict", b"failure",
    b"twisted.python.failure.Failure", b"getReferenceByName", b"decref", b"decgift", b"attach", b"append", b"read",
    b"finished", b"execute", b"putfile", b"not_a_desk", b"feed_stdin", b"close_stdin", b"ask", b"follow", b"start",
    b"__init__", b"__class__", b"doRemoteCall", b"revocable", b"name", b"clid", b"count", b"slave", b"hello",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 7, 127, 128, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 62, 1 << 63, 1 << 64, 1 << 300]
TEXTS = [
    "", "stdio", "artifact", "stdio~1", "stdio~9", "..", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "é" * 60,
    "x" * 100, "x" * 5000, "\n", "\x1b[2J", "con", "a/b", ".", "~1", "%s%n", "{0.__class__}", "${PATH}", "\u202e",
    "log-x", "0" * 64, "f" * 64, "'; drop table grants; --",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 1 << 62, 1 << 63, 10**30, 1.5, -0.0, 1e308, [], {}, [[]], {"": {}}, [None] * 50,
    {"a": "b"}, [{}], *TEXTS,
]  # fmt: skip
RAW_JSON = [
    b"", b"{", b"[", b"null", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 20_000, b'{"a":' * 5000,
    b'"\\ud800"', b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"{}" * 3, b"\0", b'{"\\u0000":0}',
]  # fmt: skip


@frozen
class FurlsToTry:
    """
    The swissnums that hostile peers know: of a slave, of submissions that run a command or take a file, and of a
    watched build.
    """

    slave: str
    submissions: Sequence[str]


class Conversation:
    """
    The inputs of one peer.
    """

    def __init__(self, random: Random, strings: FurlsToTry, role: str | None = None) -> None:
        self._random = random
        self._strings = strings
        self._sequences = 0
        self._requests = 0
        self._offered = 0
        self.role = role or random.choice(ROLES)
        self.inputs: list[bytes] = []
        self._begin()
        for _ in range(random.choice((1, 3, 10, 30))):
            self.inputs.append(self._input())

    # Valid messages.

    def _call(self, target: int, method: bytes, /, **arguments: bytes) -> bytes:
        self._requests += 1
        self._sequences += 2
        named = {name.encode(): value for name, value in arguments.items()}
        return call(self._requests, self._sequences - 2, target, method, named)

    def _reference(self, interface: bytes = b"") -> bytes:
        self._offered += 1
        self._sequences += 1
        return reference(self._sequences + 1000, self._offered, interface)

    def _begin(self) -> None:
        """
        Send the valid calls that the role's FURL allows.
        """
        random = self._random
        if self.role == "slave":
            self.inputs.append(self._call(0, b"getReferenceByName", name=string(self._strings.slave.encode())))
            if random.random() < 0.8:
                self.inputs.append(self._attach(hello(random).to_bytes()))
        elif self.role == "submitter":
            for swissnum in random.sample(list(self._strings.submissions), random.randint(1, 2)):
                self.inputs.append(self._call(0, b"getReferenceByName", name=string(swissnum.encode())))
            if random.random() < 0.7:
                self.inputs.append(self._submit(1))

    def _attach(self, hello: bytes) -> bytes:
        return self._call(1, b"attach", slave=self._reference(b"RISlave.buildbot-lite"), hello=string(hello))

    def _submit(self, target: int) -> bytes:
        if self._random.random() < 0.6:
            return self._call(target, b"execute", watcher=self._reference())
        return self._call(target, b"putfile", name=string(self._bytes()), source=self._reference())

    # Inputs of each kind.

    def _input(self) -> bytes:
        random = self._random
        chance = random.random()
        if chance < 0.15:
            return random.randbytes(random.choice((1, 5, 40, 300)))
        if chance < 0.35:
            return b"".join(self._token() for _ in range(random.randint(1, 25)))
        if chance < 0.5:
            return self._mutated(self._hostile_call())
        if chance < 0.6:
            return self._answer()
        return self._hostile_call()

    def _token(self) -> bytes:
        random = self._random
        kinds: list[Callable[[], bytes]] = [
            lambda: begin(random.choice((0, 1, 2, 3, 1 << 20)), random.choice(WORDS)),
            lambda: begin(random.randint(0, 5)),
            lambda: end(random.randint(0, 5)),
            lambda: string(random.choice(WORDS)),
            lambda: string(b"x" * random.randint(0, 50), random.choice((None, 1 << 31, 60, 70_000))),
            lambda: integer(random.choice(NUMBERS) * random.choice((1, 1, -1))),
            lambda: number(random.choice(NUMBERS[:11]), random.randint(0x80, 0x91)),
            lambda: b"\x84" + random.randbytes(8),
            lambda: number(random.randint(0, 40), 0x87),
            lambda: number(random.randint(0, 3), random.choice((0x8A, 0x8D, 0x8E, 0x8F))),
            lambda: b"\x01" * random.randint(60, 70),
        ]
        return random.choice(kinds)()

    def _mutated(self, message: bytes) -> bytes:
        random = self._random
        data = bytearray(message)
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(data) + 1)
            match random.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([random.randrange(256)])
                case 1:
                    del data[at : at + random.randint(1, 20)]
                case 2:
                    data[at:at] = self._token()
                case _:
                    data[at:at] = data[: random.randint(0, 40)]
        return bytes(data)

    def _answer(self) -> bytes:
        random = self._random
        self._sequences += 1
        count = self._sequences - 1
        which = number(random.randint(0, 12))
        if random.random() < 0.5:
            return begin(count, b"answer") + which + self._value() + end(count)
        fields: Tokens = {
            b"type": string(random.choice((b"buildbot_lite.errors.RefusedError", b"x" * 200, b"BlockingIOError"))),
            b"value": string(self._bytes()[:1000]),
            b"traceback": string(b""),
            random.choice((b"parents", b"__class__", b"value")): begin(count + 1, b"list") + end(count + 1),
        }
        self._sequences += 2
        copied = begin(count + 2, b"copyable", b"twisted.python.failure.Failure")
        body = b"".join(string(name) + value for name, value in fields.items())
        return begin(count, b"error") + which + copied + body + end(count + 2) + end(count)

    def _hostile_call(self) -> bytes:
        random = self._random
        if random.random() < 0.1:
            target = random.choice((0, 1, 2, 3, 4, 9, 1 << 40))
            words = {random.choice(WORDS).decode(): self._value() for _ in range(random.randint(0, 10))}
            return self._call(target, random.choice(WORDS), **words)
        if self.role == "stranger" or random.random() < 0.1:
            return self._of_object_0()
        return self._of_a_slave() if self.role == "slave" else self._of_a_submitter()

    def _of_object_0(self) -> bytes:
        random = self._random
        if random.random() < 0.5:
            return self._call(0, b"getReferenceByName", name=string(self._bytes()[:110]))
        return self._call(0, b"decref", clid=self._integer(), count=self._integer())

    def _of_a_slave(self) -> bytes:
        random = self._random
        match random.randrange(6):
            case 0:
                return self._attach(self._document(hello(random).to_bytes()))
            case 1 | 2:
                data = random.choice((b"", b"x", b"y" * 1000, b"z" * 70_000))
                return self._call(
                    random.randint(1, 4), b"append", stream=string(self._bytes()[:300]), offset=self._integer(),
                    data=string(data),
                )  # fmt: skip
            case 3:
                return self._call(
                    random.randint(1, 4), b"read", name=string(self._bytes()[:300]), offset=self._integer(),
                    size=self._integer(),
                )  # fmt: skip
            case 4:
                return self._call(
                    random.randint(1, 4), b"finished", outcome=string(self._document(outcome(random).to_bytes()))
                )
            case _:
                return self._call(random.randint(0, 4), b"decref", clid=self._integer(), count=self._integer())

    def _of_a_submitter(self) -> bytes:
        random = self._random
        match random.randrange(8):
            case 0:
                return self._submit(random.randint(1, 3))
            case 1 | 2:
                return self._call(
                    random.randint(1, 4), b"feed_stdin", data=string(self._bytes() * random.randint(1, 50))
                )
            case 3:
                return self._call(random.randint(1, 4), b"close_stdin")
            case 4:
                return self._call(random.randint(1, 4), b"attach", slave=self._reference(), hello=string(b"{}"))
            case _:
                return self._answer()

    # Values.

    def _integer(self) -> bytes:
        random = self._random
        return integer(random.choice((random.randint(0, 5), random.choice(NUMBERS), -random.choice(NUMBERS))))

    def _bytes(self) -> bytes:
        random = self._random
        text = random.choice(TEXTS).encode("utf-8", "surrogatepass")
        return random.choice((text, text, random.randbytes(random.randint(0, 120))))

    def _value(self) -> bytes:
        random = self._random
        self._sequences += 1
        count = self._sequences - 1
        return random.choice(
            (
                self._integer(),
                string(self._bytes()),
                begin(count, b"none") + end(count),
                begin(count, random.choice(WORDS)) + string(self._bytes()) + end(count),
                self._reference(random.choice((b"", b"RICommand.buildbot-lite", b"RISlave.buildbot-lite", b"x" * 90))),
            )
        )

    def _document(self, data: bytes) -> bytes:
        """
        Return the JSON *data* with up to two parts replaced, damaged as bytes, or replaced by other JSON.
        """
        random = self._random
        chance = random.random()
        if chance < 0.2:
            return random.choice(RAW_JSON)
        if chance < 0.3:
            return self._mutated(data)
        document = json.loads(data)
        for _ in range(random.randint(0, 2)):
            _change(random, document)
        return json.dumps(document).encode()


def _change(random: Random, document: Any) -> None:
    """
    Replace a random part of *document*.
    """
    while True:
        keys: list[Any] = list(document) if isinstance(document, Mapping) else list(range(len(document)))
        if not keys:
            return
        key = random.choice(keys)
        inside = document[key]
        if isinstance(inside, (dict, list)) and inside and random.random() < 0.6:
            document = inside
            continue
        if isinstance(document, dict) and random.random() < 0.2:
            document[random.choice(TEXTS)] = document.pop(key)
        else:
            document[key] = copy.deepcopy(random.choice(VALUES))
        return


def hello(random: Random) -> Hello:
    """
    Return a `Hello` of random, individually valid parts.
    """
    ids = [f"{random.getrandbits(128):032x}-1", "0" * 32, "x"]
    held = [
        HeldCommand(random.choice(ids), "f" * 64, random.choice(list(Life)), {random.choice(["stdio", "x", "~1"]): 7})
        for _ in range(random.choice((0, 0, 1, 5)))
    ]
    return Hello(
        home=random.choice(("h" * 16, "other")),
        incarnation=f"{random.getrandbits(64):x}",
        keeper="k",
        boot="b",
        version="0.1.0",
        space=random.choice((0, 1 << 40)),
        draining=random.random() < 0.1,
        platform={"system": "Linux", random.choice(("node", "x")): random.choice(("a", "b" * 100))},
        held=tuple(held),
    )


def outcome(random: Random) -> Outcome:
    """
    Return an `Outcome` of random, individually valid parts.
    """
    streams = {
        name: Seal(random.choice((0, 1, 1 << 40)), random.choice(("0" * 64, hashlib.sha256(b"").hexdigest(), "x")))
        for name in random.sample(["stdio", "stderr", "artifact", "log-x", "x"], random.randint(0, 3))
    }
    return Outcome(
        ending=random.choice(list(Ending)),
        exit_code=random.choice((None, 0, 1, 255)),
        streams=streams,
        elapsed=random.choice((0.0, 1e17)),
        remarks=tuple(Remark("stdio", 0, 1.0, "r" * random.randint(0, 100)) for _ in range(random.choice((0, 1, 20)))),
    )
