"""
What became of something that a slave was asked to do.
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

    EXITED = "exited"  # by itself, with exit_code
    SIGNALLED = "signalled"  # by a signal that we did not send
    KILLED = "killed"  # by us; ``why`` says for what
    FAILED = "failed"  # it never ran, or a transfer could not be done; ``sentence`` says why
    LOST = "lost"  # what ran it is gone; nobody knows how far it came


class Why(Enum):
    """
    Why we killed a command.
    """

    INTERRUPTED = "interrupted"
    TIMEOUT = "timeout"
    MAX_TIME = "max-time"
    CAP = "cap"
    LEASE = "lease"
    DISK_FULL = "disk-full"
    STORAGE = "storage"  # the master could not store what it sent, or read what it asked for


@frozen
class Seal:
    """
    The final *length* in bytes of a stream, and the checksum of them all.
    """

    length: int
    sha256: str


@frozen
class Remark:
    """
    A line of ours beside a log, never in it: at *offset* of *stream*, *when* in seconds since 1970.
    """

    stream: str
    offset: int
    when: float
    text: str


@frozen
class Outcome:
    """
    How a command ended, and everything that must be on the master before that counts.

    *sentence* is for people; *elapsed* in seconds; *usage* holds ``user`` and ``system`` seconds and ``peak`` KiB.
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
        Whether it ended by itself with exit code 0.
        """
        return self.ending is Ending.EXITED and self.exit_code == 0

    def to_document(self) -> dict[str, Any]:
        """
        As a JSON object.
        """
        document = asdict(self)
        document["ending"] = self.ending.value
        document["why"] = self.why.value if self.why else None
        document["remarks"] = list(document["remarks"])
        return document

    def to_bytes(self) -> bytes:
        """
        As it travels.
        """
        return encode(self.to_document())

    @classmethod
    def from_document(cls, document: object) -> "Outcome":
        """
        The outcome in a JSON object; `MessageError` when it is none.
        """
        reader = JsonReader(document, "outcome")
        try:
            ending = Ending(reader.text("ending", limit=20))
            why = Why(reader.text("why", limit=20)) if reader.has("why") else None
        except ValueError as error:
            raise MessageError(f"outcome: {error}.") from None
        seals = {
            name: Seal(at.integer("length"), at.prose("sha256", limit=64))
            for name, at in (
                (n, JsonReader(v, f"outcome, {n}")) for n, v in reader.mapping("streams", {}, most=100).items()
            )
        }
        usage = JsonReader(reader.mapping("usage", {}, most=20), "outcome, usage")
        return cls(
            ending=ending,
            exit_code=reader.optional("exit_code", lambda name: reader.integer(name, least=-255, most=1 << 32)),
            signal=reader.optional("signal", lambda name: reader.prose(name, limit=20)),
            why=why,
            sentence=reader.prose("sentence", "", limit=2000, lines=True),
            streams=seals,
            started=reader.number("started", 0.0),
            elapsed=reader.number("elapsed", 0.0),
            usage={name: usage.number(name) for name in ("user", "system", "peak") if usage.has(name)},
            remarks=tuple(
                reader.objects(
                    "remarks",
                    lambda at: Remark(
                        at.prose("stream", limit=200),
                        at.integer("offset"),
                        at.number("when"),
                        at.prose("text", limit=2000, lines=True),
                    ),
                    most=1000,
                )
            ),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Outcome":
        """
        The outcome that travelled as *data*.
        """
        return cls.from_document(JsonReader.decode(data, "outcome", LARGEST_OUTCOME).document)

    @classmethod
    def lost(cls, sentence: str) -> "Outcome":
        """
        Nobody knows how far it came.
        """
        return cls(Ending.LOST, sentence=sentence)

    def but(self, **changes: Any) -> "Outcome":
        """
        The same with *changes*.
        """
        return evolve(self, **changes)
