"""
The common interface of the commands that a slave holds: commands in the keeper, and transfers.
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
        The id that the master gave it.
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
        Fires when it is claimed, after which it is never started again; fails with `RefusedError` when it was refused.
        """

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        Note that the master has *lengths*, in bytes by stream, of which the names include generations.
        """

    def linked(self, command: Command) -> None:
        """
        Use *command*, the master's end, until `unlinked`.
        """

    def unlinked(self) -> None:
        """
        Note that the link is lost, or that streams are not sent any more.
        """

    def interrupt(self, reason: str) -> None:
        """
        End it for *reason*; its outcome follows.
        """

    def leave(self) -> None:
        """
        Stop, because this process exits; the next one continues.
        """

    def forget(self) -> Deferred[None]:
        """
        End it if it is running, and remove all of its files.  Fires when that is done.
        """
