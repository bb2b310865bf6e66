"""
Outcome of a command on a slave.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import asdict, evolve, field, frozen

from ..errors import MessageError
from .json_reader import JsonReader, encode

LARGEST_OUTCOME = 1 << 20


class Ending(Enum):
    """
    How a command ended.
    """

    EXITED = "exited"  # by itself, with ``exit_code``
    SIGNALLED = "signalled"  # by ``signal``, which buildbot_lite did not send
    KILLED = "killed"  # by buildbot_lite, for the reason ``why``
    FAILED = "failed"  # it never ran, or a transfer failed; ``sentence`` has the reason
    LOST = "lost"  # the process that ran it has ended; how far it came is unknown


class Why(Enum):
    """
    Why buildbot_lite killed a command.
    """

    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    MAX_TIME = "max-time"
    CAP = "cap"
    LEASE = "lease"
    DISK_FULL = "disk-full"
    STORAGE = "storage"  # the master could not store its output or read its input


@frozen
class Seal:
    """
    The final *length* of a stream in bytes, and the SHA-256 of its contents, in hexadecimal.
    """

    length: int
    sha256: str


@frozen
class Remark:
    """
    A line of buildbot_lite about a log, stored beside it: at *offset* of *stream*.  *when*: seconds since 1970.
    """

    stream: str
    offset: int
    when: float
    text: str


@frozen
class Outcome:
    """
    How a command ended, with the seals of its streams.  The outcome is valid only when the master has all their bytes.

    *sentence*: for people.  *started*: when, in seconds since 1970.  *elapsed*: the duration in seconds.  *usage*:
    ``user`` and ``system`` CPU time in seconds, and ``peak`` memory in KiB.
    """

    ending: Ending
    exit_code: int | None = None
    signal: str | None = None
    why: Why | None = None
    sentence: str = ""
    streams: Mapping[str, Seal] = field(factory=dict)
    started: float = 0.0
    elapsed: float = 0.0
    usage: Mapping[str, float] = field(factory=dict)
    remarks: tuple[Remark, ...] = ()

    @property
    def succeeded(self) -> bool:
        """
        Whether the command ended by itself with exit code 0.
        """
        return self.ending is Ending.EXITED and self.exit_code == 0

    def to_document(self) -> dict[str, Any]:
        """
        The outcome as a JSON object.
        """
        return {
            **asdict(self, recurse=False),
            "ending": self.ending.value,
            "why": self.why.value if self.why else None,
            "streams": {name: asdict(seal) for name, seal in self.streams.items()},
            "usage": dict(self.usage),
            "remarks": [asdict(remark) for remark in self.remarks],
        }

    def to_bytes(self) -> bytes:
        """
        The outcome as sent: canonical JSON.
        """
        return encode(self.to_document())

    @classmethod
    def from_document(cls, document: object) -> "Outcome":
        """
        The outcome in the JSON object *document*; `MessageError` if it is not valid.
        """
        reader = JsonReader(document, "the outcome")
        try:
            ending = Ending(reader.text("ending", limit=20))
            why = Why(reader.text("why", limit=20)) if reader.has("why") else None
        except ValueError as error:
            raise MessageError(f"The outcome is not valid: {error}.") from None
        usage = JsonReader(reader.mapping("usage", {}, most=20), "the usage in the outcome")
        return cls(
            ending=ending,
            exit_code=reader.optional("exit_code", lambda name: reader.integer(name, least=-255, most=1 << 32)),
            signal=reader.optional("signal", lambda name: reader.prose(name, limit=20)),
            why=why,
            sentence=reader.prose("sentence", "", limit=2000, lines=True),
            streams=_seals(reader),
            started=reader.number("started", 0.0),
            elapsed=reader.number("elapsed", 0.0),
            usage={name: usage.number(name) for name in ("user", "system", "peak") if usage.has(name)},
            remarks=tuple(reader.objects("remarks", _remark, most=1000)),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Outcome":
        """
        The outcome in *data*; `MessageError` if it is not valid.
        """
        return cls.from_document(JsonReader.decode(data, "the outcome", LARGEST_OUTCOME).document)

    @classmethod
    def lost(cls, sentence: str) -> "Outcome":
        """
        The outcome of a command that was lost.  *sentence*: the reason, for people.
        """
        return cls(Ending.LOST, sentence=sentence)

    def but(self, **changes: Any) -> "Outcome":
        """
        A copy with *changes*.
        """
        return evolve(self, **changes)


def _seals(reader: JsonReader) -> dict[str, Seal]:
    streams = reader.mapping("streams", {}, most=100)
    readers = {name: JsonReader(value, f"{name} in the outcome") for name, value in streams.items()}
    return {name: Seal(at.integer("length"), at.prose("sha256", limit=64)) for name, at in readers.items()}


def _remark(at: JsonReader) -> Remark:
    return Remark(
        at.prose("stream", limit=200),
        at.integer("offset"),
        at.number("when"),
        at.prose("text", limit=2000, lines=True),
    )
