"""
The messages `Hello` and `Welcome`, which slave and master exchange when a slave attaches.
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
MOST_VALUES = 250_000
"""JSON values in a hello: enough for `MOST_HELD` commands, each with all streams that it may have."""
MOST_HELD = 1000
"""Commands in a hello."""
MOST_HINTS = 20
"""Connection hints (places at which the master may be found) in a welcome."""
LONGEST_FACT = 200
"""Characters of a name or value in *platform*."""
MOST_REMOVED = 20
"""Names in *removed* of a hello; the latest."""
LONGEST_REMOVED = 100
"""Characters of each."""
MOST_DIRECTORIES = 10_000
"""Directories of builders in a welcome."""


class Life(Enum):
    """
    State of a command that a slave still holds.
    """

    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"  # a keeper that is gone had accepted it: it may have run
    LOST = "lost"  # it was running under a keeper that is gone


@frozen
class HeldCommand:
    """
    A command that the slave holds.  *lengths*: bytes of each stream in the slave's spool.
    """

    id: str
    fingerprint: str
    life: Life
    lengths: Mapping[str, int] = field(factory=dict)


@frozen
class Hello:
    """
    The slave's first message.

    *home*: random id of the slave's directory, made once.  *incarnation*: random id of the slave's process; *keeper*:
    of its keeper's process.  *boot*: id of the machine's current run (boot id and pid namespace).  *space*: free bytes
    for builds.  *draining*: the slave accepts no new builds.  *epoch*: the highest `Welcome.epoch` that the slave has
    seen of a master with this key; 0: none.  *removed*: names of work directories that this process removed because
    less than `Welcome.minspace` was free, the latest at the end.
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
    epoch: int = 0
    removed: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """
        The message as sent: canonical JSON.
        """
        document: dict[str, Any] = asdict(self)
        for held, at in zip(document["held"], self.held, strict=True):
            held["life"] = at.life.value
        return encode(document)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Hello":
        """
        The hello in *data*; `MessageError` when it is not a valid one.
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
            epoch=reader.integer("epoch", 0),
            removed=tuple(
                printable(name, longest=LONGEST_REMOVED) for name in reader.texts("removed", [], most=MOST_REMOVED)
            ),
        )


@frozen
class Welcome:
    """
    The master's answer.

    *name*: the slave's name in master.cfg.  *hints*: the connection hints that the slave uses for this master from now
    on.  *idle*: no build uses this slave now, so a draining slave may stop.  *drain*: an admin wants the slave to
    drain.  *epoch*: of a farm that was restored from a backup, a number that is higher after each restore; 0: never
    restored.  *minspace*: bytes that must be free on the slave's disk before it gets a build.  *directories*: those in
    ``work`` that builders and unfinished builds of this slave use; None: not known, so none may be removed.
    """

    name: str
    version: str
    protocol: int = PROTOCOL
    hints: tuple[str, ...] = ()
    idle: bool = False
    drain: bool = False
    epoch: int = 0
    minspace: int = 0
    directories: tuple[str, ...] | None = None

    def to_bytes(self) -> bytes:
        """
        The message as sent: canonical JSON.
        """
        return encode(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Welcome":
        """
        The welcome in *data*; `MessageError` when it is not a valid one.
        """
        reader = JsonReader.decode(data, "welcome", LARGEST_HELLO)
        return cls(
            name=reader.prose("name", limit=80),
            version=reader.prose("version", limit=40),
            protocol=reader.integer("protocol"),
            hints=tuple(reader.texts("hints", [], most=MOST_HINTS)),
            idle=reader.flag("idle", default=False),
            drain=reader.flag("drain", default=False),
            epoch=reader.integer("epoch", 0),
            minspace=reader.integer("minspace", 0),
            directories=reader.optional("directories", lambda name: tuple(reader.texts(name, most=MOST_DIRECTORIES))),
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
