"""
What both sides tell each other when a slave attaches.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import asdict, field, frozen

from ..errors import MessageError
from .display import printable
from .json_reader import JsonReader, encode

PROTOCOL = 1
LARGEST_HELLO = 4 << 20
# Of a thousand commands, each with as many streams as it may have.
MOST_VALUES = 250_000
MOST_HELD = 1000
MOST_HINTS = 20
"""Places at which a master may be found."""
LONGEST_FACT = 200


class Life(Enum):
    """
    How far a command is that a slave still holds.
    """

    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"  # claimed by a keeper that is gone: perhaps it ran
    LOST = "lost"  # was running under a keeper that is gone


@frozen
class HeldCommand:
    """
    A command that the slave holds: *lengths* are the bytes of each stream that it has so far.
    """

    id: str
    fingerprint: str
    life: Life
    lengths: Mapping[str, int] = field(factory=dict)


@frozen
class Hello:
    """
    What a slave says of itself.

    *home*: random, made once for its directory.  *incarnation*: random, one process.  *keeper*: the same of its keeper.
    *boot*: one run of the machine (boot id with the pid namespace).  *space*: free bytes for builds.
    *draining*: it wants no new builds.
    """

    home: str
    incarnation: str
    keeper: str
    boot: str
    version: str
    protocol: int = PROTOCOL
    space: int = 0
    draining: bool = False
    platform: Mapping[str, str] = field(factory=dict)
    held: tuple[HeldCommand, ...] = ()

    def to_bytes(self) -> bytes:
        """
        As it travels.
        """
        document: dict[str, Any] = asdict(self)
        for held, at in zip(document["held"], self.held, strict=True):
            held["life"] = at.life.value
        return encode(document)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Hello":
        """
        The greeting that travelled as *data*; `MessageError` when it is none.
        """
        reader = JsonReader.decode(data, "hello", LARGEST_HELLO, most=MOST_VALUES)
        facts = JsonReader(reader.mapping("platform", {}, most=100), "hello, platform")
        return cls(
            home=reader.prose("home", limit=64),
            incarnation=reader.prose("incarnation", limit=64),
            keeper=reader.prose("keeper", limit=64),
            boot=reader.prose("boot", limit=200),
            version=reader.prose("version", limit=40),
            protocol=reader.integer("protocol"),
            space=reader.integer("space", 0),
            draining=reader.flag("draining", default=False),
            platform={
                printable(name[:LONGEST_FACT]): facts.prose(name, limit=LONGEST_FACT)
                for name in reader.mapping("platform", {}, most=100)
            },
            held=tuple(reader.objects("held", _held, most=MOST_HELD)),
        )


@frozen
class Welcome:
    """
    What the master answers: the slave's *name* here, and the *hints* at which to find the master from now on.

    *idle*: no build is on this slave now, so that one which drains may leave.  *drain*: it is to do so, an admin says.
    """

    name: str
    version: str
    protocol: int = PROTOCOL
    hints: tuple[str, ...] = ()
    idle: bool = False
    drain: bool = False

    def to_bytes(self) -> bytes:
        """
        As it travels.
        """
        return encode(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Welcome":
        """
        The answer that travelled as *data*; `MessageError` when it is none.
        """
        reader = JsonReader.decode(data, "welcome", LARGEST_HELLO)
        return cls(
            name=reader.prose("name", limit=80),
            version=reader.prose("version", limit=40),
            protocol=reader.integer("protocol"),
            hints=tuple(reader.texts("hints", [], most=MOST_HINTS)),
            idle=reader.flag("idle", default=False),
            drain=reader.flag("drain", default=False),
        )


def _held(reader: JsonReader) -> HeldCommand:
    try:
        life = Life(reader.text("life", limit=20))
    except ValueError as error:
        raise MessageError(f"hello: {error}.") from None
    lengths = JsonReader(reader.mapping("lengths", {}, most=100), "hello, lengths")
    return HeldCommand(
        id=reader.prose("id", limit=100),
        fingerprint=reader.prose("fingerprint", limit=64),
        life=life,
        lengths={name: lengths.integer(name) for name in reader.mapping("lengths", {}, most=100)},
    )
