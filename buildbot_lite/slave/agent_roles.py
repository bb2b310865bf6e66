"""
The parts of the keeper's client and of a link that the agent uses.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..keeper.wrapper import UMASK
from ..model.spec import Run


class CommandKeeper(Protocol):
    """
    The part of the keeper's client that the agent uses.  No method waits: answers are events (`KeeperListener`).
    """

    def start(
        self,
        id: str,
        *,
        fingerprint: str,
        spec: Run,
        secrets: Mapping[str, str],
        workdir: str,
        env: Mapping[str, str],
        stdin_path: str | None,
        root: str | None = None,
        wrapper: Sequence[str] = (),
        owner: tuple[int, int] | None = None,
        umask: int = UMASK,
    ) -> None:
        """
        Run *spec*; the event ``claimed`` or ``refused`` follows.  The arguments are those of `KeeperClient.start`.
        """

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill the command; the event ``ended`` follows.
        """

    def forget(self, id: str) -> None:
        """
        Kill the command if it is running, and forget it; the event ``forgotten`` follows.
        """


class LinkEnd(Protocol):
    """
    The part of `link.AgentLink` that the agent uses.
    """

    def lost(self) -> None:
        """
        End this link, because a new one replaces it.
        """

    def streams_changed(self, id: str) -> None:
        """
        Note that the command *id* has new bytes or an outcome to send.
        """

    def fetches(self, id: str) -> bool:
        """
        Whether the standard input of *id* is being fetched.
        """

    @property
    def preparing(self) -> bool:
        """
        Whether a command that is not held yet is being prepared.
        """
