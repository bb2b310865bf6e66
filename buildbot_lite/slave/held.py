"""
What a slave holds for its master: commands under the keeper and transfers, seen alike.
"""

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from ..model.hello import Life
from ..wire.roles import Command
from .stream_sender import StreamSource


class SlaveCommand(StreamSource, Protocol):
    """
    One thing that was asked for, from its claim until it is forgotten.
    """

    @property
    def id(self) -> str:
        """
        The command's id.
        """

    @property
    def fingerprint(self) -> str:
        """
        That of its spec.
        """

    @property
    def life(self) -> Life:
        """
        How far it is.
        """

    def when_claimed(self) -> Deferred[None]:
        """
        Fires when nothing can start it a second time; fails when it was refused.
        """

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        The master has this much of each stream: also which generations it knows.
        """

    def linked(self, command: Command) -> None:
        """
        Here is the master's end of it, until `unlinked`.
        """

    def unlinked(self) -> None:
        """
        The link is gone.
        """

    def interrupt(self, reason: str) -> None:
        """
        End it; its outcome follows.
        """

    def leave(self) -> None:
        """
        This process ends; the next one takes it from here.
        """

    def forget(self) -> Deferred[None]:
        """
        End it if it still goes on, and leave no trace of it.  Fires when that is done.
        """
