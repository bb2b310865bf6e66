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
"""The most JSON values in a hello: enough for `MOST_HELD` commands with all streams that they may have."""
MOST_HELD = 1000
"""The most commands in a hello."""
MOST_HINTS = 20
"""The most connection hints (addresses of the master) in a welcome."""
LONGEST_FACT = 200
"""The most characters of a name or a value in *platform*."""
MOST_REMOVED = 20
"""The most names in *removed* of a hello; the latest are sent."""
LONGEST_REMOVED = 100
"""The most characters of each of these names."""
MOST_DIRECTORIES = 10_000
"""The most directories of builders in a welcome."""


class Life(Enum):
    """
    The state of a command that a slave still keeps.
    """

    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"  # a keeper that has ended had accepted it: it may have run
    LOST = "lost"  # it was running when its keeper ended


@frozen
class HeldCommand:
    """
    A command that the slave keeps.  *lengths*: stream → bytes in the slave's spool.
    """

    id: str
    fingerprint: str
    life: Life
    lengths: Mapping[str, int] = field(factory=dict)


@frozen
class Hello:
    """
    The slave's first message.

    *home*: a random id of the slave's directory, made once.  *incarnation*: a random id of the slave's process.
    *keeper*: a random id of its keeper's process.  *boot*: an id of the machine's current run (boot id and pid
    namespace).  *space*: bytes that are free for builds.  *draining*: whether the slave refuses new builds.
    *platform*: facts about the machine.  *held*: the commands that the slave keeps.  *epoch*: the highest
    `Welcome.epoch` that the slave has got from a master with this key; 0: none.  *removed*: names of work directories
    that this process removed because less than `Welcome.minspace` was free, oldest first.  *shells*: whether the
    slave's policy permits shells; None: the slave is too old for them.
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
    shells: bool | None = None

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
        The hello in *data*; `MessageError` if it is not valid.
        """
        reader = JsonReader.decode(data, "the hello", LARGEST_HELLO, most=MOST_VALUES)
        facts = JsonReader(reader.mapping("platform", {}, most=100), "the platform in the hello")
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
            shells=reader.optional("shells", reader.flag),
        )


@frozen
class Welcome:
    """
    The master's answer.

    *name*: the slave's name in master.cfg.  *hints*: the connection hints for this master that the slave uses from now
    on.  *idle*: whether no build runs on the slave, so that a draining slave may stop.  *drain*: whether an admin wants
    the slave to drain.  *epoch*: a number that grows each time the farm is restored from a backup; 0: never restored.
    *minspace*: bytes that must be free on the slave's disk before it gets a build.  *directories*: the directories in
    ``work`` that builders and unfinished builds of this slave use; None: unknown, so none may be removed.  *building*:
    the directories in ``work`` of the unfinished builds of this slave; None: unknown, so what builds have left stays.
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
    building: tuple[str, ...] | None = None

    def to_bytes(self) -> bytes:
        """
        The message as sent: canonical JSON.
        """
        return encode(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Welcome":
        """
        The welcome in *data*; `MessageError` if it is not valid.
        """
        reader = JsonReader.decode(data, "the welcome", LARGEST_HELLO)
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
            building=reader.optional("building", lambda name: tuple(reader.texts(name, most=MOST_DIRECTORIES))),
        )


def _held(reader: JsonReader) -> HeldCommand:
    try:
        life = Life(reader.text("life", limit=20))
    except ValueError as error:
        raise MessageError(f"The hello is not valid: {error}.") from None
    lengths = JsonReader(reader.mapping("lengths", {}, most=100), "the lengths in the hello")
    return HeldCommand(
        id=reader.prose("id", limit=100),
        fingerprint=reader.prose("fingerprint", limit=64),
        life=life,
        lengths={name: lengths.integer(name) for name in reader.mapping("lengths", {}, most=100)},
    )
