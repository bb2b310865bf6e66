"""
The keeper's messages: decoded, and delivered to a listener.

Each is a JSON object with an ``event``.  The keeper, which survives an upgrade of the slave, may have another version:
unknown events are ignored, and an outcome that cannot be decoded counts as lost.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import frozen

from ..errors import MessageError
from ..model.hello import MOST_HELD, Life
from ..model.json_reader import JsonReader
from ..model.outcome import Outcome

Holding = tuple[str, Life, Mapping[str, int]]
"""Of a command that the keeper holds: fingerprint, life, and the length of each stream in bytes."""


class KeeperListener(Protocol):
    """
    The receiver of the keeper's events.
    """

    def attached(self, held: Mapping[str, Holding]) -> None:
        """
        A keeper, perhaps not the same as before, is attached, and holds the commands *held*, by id.

        `ended` follows for each one that is over.
        """

    def claimed(self, id: str) -> None:
        """
        The keeper has claimed *id*, which is never started a second time.
        """

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        """
        The spools of *id* have these lengths, in bytes.
        """

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        The command is over; *outcome* is recorded, but perhaps not synced yet.  May be repeated.
        """

    def refused(self, id: str, sentence: str) -> None:
        """
        The command was not started, and never will be, for the reason *sentence*.
        """

    def forgotten(self, id: str) -> None:
        """
        The keeper has removed everything of *id*.
        """


@frozen
class KeeperHello:
    """
    A keeper's first message: identifiers of this run of the *keeper* and of the machine (*boot*); the commands *held*.
    """

    keeper: str
    boot: str
    held: Mapping[str, Holding]

    @classmethod
    def read(cls, message: JsonReader) -> "KeeperHello":
        """
        Decode *message*; `MessageError` when a field is missing or too long.
        """
        return cls(
            message.text("keeper", limit=64),
            message.text("boot", limit=200),
            dict(message.objects("held", _holding, most=2 * MOST_HELD)),
        )


def deliver(message: JsonReader, listener: KeeperListener) -> None:
    """
    Call the method of *listener* for an event about one command.  `MessageError` when the message is malformed.
    """
    event = message.text("event", limit=40)
    id = message.text("id", limit=100)
    match event:
        case "claimed":
            listener.claimed(id)
        case "grew":
            listener.grew(id, _lengths(message.mapping("lengths")))
        case "ended":
            listener.ended(id, *_ended(message))
        case "refused":
            listener.refused(id, message.text("sentence"))
        case "forgotten":
            listener.forgotten(id)


def _ended(message: JsonReader) -> tuple[Outcome, Life]:
    try:
        outcome = Outcome.from_document(message.mapping("outcome"))
    except MessageError as error:
        return Outcome.lost(
            f"The keeper has another version, so the outcome of the command is unknown: {error}"
        ), Life.LOST
    return outcome, _life(message.text("life", Life.ENDED.value, limit=20), otherwise=Life.UNKNOWN)


def _holding(command: JsonReader) -> tuple[str, Holding]:
    return command.text("id", limit=100), (
        command.text("fingerprint", limit=64),
        # RUNNING for an unknown word: if the command is over, `ended` follows.
        _life(command.text("life", limit=20), otherwise=Life.RUNNING),
        _lengths(command.mapping("lengths", {}, most=1000)),
    )


def _life(word: str, *, otherwise: Life) -> Life:
    """
    The `Life` called *word*; *otherwise* for a word of another version.
    """
    try:
        return Life(word)
    except ValueError:
        return otherwise


def _lengths(document: dict[str, Any]) -> dict[str, int]:
    lengths = JsonReader(document, "the lengths in the message of the keeper")
    return {stream: lengths.integer(stream) for stream in document}
