"""
A command that runs under the keeper, as the slave's agent sees it.
"""

import os
from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import RefusedError
from ..keeper.command_store import spool_path
from ..model.hello import Life
from ..model.outcome import Outcome
from ..wire.roles import Command
from .stream_sender import latest_generations, next_generation


class CommandControl(Protocol):
    """
    The part of the keeper's client that an errand needs.
    """

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill the command; its outcome follows.
        """

    def forget(self, id: str) -> None:
        """
        Kill the command if it still runs, and forget it.
        """


class KeeperCommand:
    """
    One `SlaveCommand`.  *directory*: the keeper's, where the spools are.
    """

    def __init__(self, id: str, fingerprint: str, keeper: CommandControl, directory: str) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self.life = Life.RUNNING
        self.interrupted = False
        """Whether it was to be killed: then it is not to begin, either."""
        self._keeper = keeper
        self._directory = directory
        self._outcome: Outcome | None = None
        self._lengths: dict[str, int] = {}
        # By the keeper's name of a stream, the name under which the master gets it, when that is another.
        self._generations: dict[str, str] = {}
        self._settled: OneShot[None] = OneShot()
        self._forgotten: OneShot[None] = OneShot()

    # What the keeper tells.

    def claimed(self) -> None:
        """
        The keeper has it: it will not be started twice.
        """
        self._settled.fire(None)

    def refused(self, sentence: str) -> None:
        """
        The keeper will not have it.
        """
        self._settled.fire(Failure(RefusedError(sentence)))

    def grew(self, lengths: Mapping[str, int]) -> None:
        """
        There is more to read.
        """
        for stream, length in lengths.items():
            self._lengths[stream] = max(length, self._lengths.get(stream, 0))

    def held(self, life: Life, lengths: Mapping[str, int]) -> None:
        """
        A keeper has just said how it is.
        """
        self.life = life
        self.grew(lengths)
        self._settled.fire(None)

    def ended(self, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        It is over; *outcome* has the final lengths.
        """
        self.life = life
        self.grew({stream: seal.length for stream, seal in outcome.streams.items()})
        self._outcome = outcome
        self._settled.fire(None)

    def forgotten(self) -> None:
        """
        The keeper has forgotten it.
        """
        self._forgotten.fire(None)

    # What the courier asks.

    @property
    def outcome(self) -> Outcome | None:
        """
        How it ended, in the master's names of the streams.
        """
        if self._outcome is None or not self._generations:
            return self._outcome
        streams = {self._generations.get(name, name): seal for name, seal in self._outcome.streams.items()}
        return self._outcome.but(streams=streams)

    def lengths(self) -> Mapping[str, int]:
        """
        By the master's names.
        """
        return {self._generations.get(stream, stream): length for stream, length in self._lengths.items()}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        """
        Straight from the spool; it is in the page cache, because it was just written.
        """
        path = spool_path(self._directory, self.id, stream.partition("~")[0])
        try:
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                data = os.pread(opened, size, offset)
            finally:
                os.close(opened)
        except OSError as error:
            data, problem = b"", error.strerror
        else:
            problem = "it is too short"
        if len(data) == size:
            return data
        # Somebody tampered with the keeper's directory, or the disk did.
        self._lengths.clear()
        self.ended(Outcome.lost(f"The spool of {stream} on the slave cannot be read: {problem}."), Life.LOST)
        return b""

    def resend(self, stream: str) -> None:
        """
        Send it once more, under its next name.
        """
        self._generations[stream.partition("~")[0]] = next_generation(stream)

    def confirm(self) -> bool:
        """
        What the keeper said, stays.
        """
        return True

    # What the agent asks.

    @property
    def settled(self) -> bool:
        """
        Whether the keeper has claimed or refused the command.
        """
        return self._settled.fired

    def when_claimed(self) -> Deferred[None]:
        """
        See `SlaveCommand`.
        """
        return self._settled.wait()

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        See `SlaveCommand`.
        """
        for stream, latest in latest_generations(lengths).items():
            if latest != stream:
                self._generations[stream] = latest

    def linked(self, command: Command) -> None:
        """
        The courier does it all.
        """

    def unlinked(self) -> None:
        """
        The keeper goes on.
        """

    def interrupt(self, reason: str) -> None:
        """
        See `SlaveCommand`.
        """
        self.interrupted = True
        if self._outcome is None:
            self._keeper.interrupt(self.id, reason)

    def leave(self) -> None:
        """
        The keeper goes on.
        """

    def forget(self) -> Deferred[None]:
        """
        See `SlaveCommand`.
        """
        forgotten = self._forgotten.wait()
        self._keeper.forget(self.id)
        return forgotten
