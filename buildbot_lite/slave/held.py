"""
The common interface of everything that a slave holds: commands in the keeper, and transfers.
"""

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from ..model.hello import Life
from ..wire.roles import Command
from .stream_sender import StreamSource


class SlaveCommand(StreamSource, Protocol):
    """
    The slave's side of one command, from its claim until it is forgotten.
    """

    @property
    def id(self) -> str:
        """
        As the master gave it.
        """

    @property
    def fingerprint(self) -> str:
        """
        The fingerprint of its spec (`model.spec.fingerprint`).
        """

    @property
    def life(self) -> Life:
        """
        The stage that is reported in `hello`.
        """

    def when_claimed(self) -> Deferred[None]:
        """
        Fires when it is claimed, so that nothing starts it again; fails with `RefusedError` when it was refused.
        """

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        The master has *lengths*, in bytes by stream; the names include the generations that it knows.
        """

    def linked(self, command: Command) -> None:
        """
        *command* is the master's end until `unlinked`.
        """

    def unlinked(self) -> None:
        """
        The link is lost.
        """

    def interrupt(self, reason: str) -> None:
        """
        End it for *reason*; its outcome follows.
        """

    def leave(self) -> None:
        """
        Stop, so that the next process can continue: this one ends.
        """

    def forget(self) -> Deferred[None]:
        """
        End it if it is running, and remove everything of it.  Fires when that is done.
        """
