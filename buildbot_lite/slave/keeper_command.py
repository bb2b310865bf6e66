"""
The agent's view of a command that runs in the keeper.
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
    The part of the keeper's client that a command uses.
    """

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill the command; the event ``ended`` follows.
        """

    def forget(self, id: str) -> None:
        """
        Kill the command if it is running, and forget it; the event ``forgotten`` follows.
        """


class KeeperCommand:
    """
    A `SlaveCommand`.  *directory*: the keeper's, with the spools.
    """

    def __init__(self, id: str, fingerprint: str, keeper: CommandControl, directory: str) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self.life = Life.RUNNING
        self.interrupted = False
        """Whether it was interrupted, so that it must not be started later."""
        self._keeper = keeper
        self._directory = directory
        self._outcome: Outcome | None = None
        self._lengths: dict[str, int] = {}
        # The name of the generation that is sent to the master, by the keeper's name of the stream, where they differ.
        self._generations: dict[str, str] = {}
        self._settled: OneShot[None] = OneShot()
        self._forgotten: OneShot[None] = OneShot()

    # The keeper's events.

    def claimed(self) -> None:
        self._settled.fire(None)

    def refused(self, sentence: str) -> None:
        self._settled.fire(Failure(RefusedError(sentence)))

    def grew(self, lengths: Mapping[str, int]) -> None:
        for stream, length in lengths.items():
            self._lengths[stream] = max(length, self._lengths.get(stream, 0))

    def held(self, life: Life, lengths: Mapping[str, int]) -> None:
        """
        Note that the keeper which was just attached holds the command, with this life and these lengths.
        """
        self.life = life
        self.grew(lengths)
        self._settled.fire(None)

    def ended(self, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        Note that the command is over; *outcome* has the final lengths.
        """
        self.life = life
        self.grew({stream: seal.length for stream, seal in outcome.streams.items()})
        self._outcome = outcome
        self._settled.fire(None)

    def forgotten(self) -> None:
        self._forgotten.fire(None)

    # StreamSource.

    @property
    def outcome(self) -> Outcome | None:
        """
        The outcome, with the master's names of the streams.
        """
        if self._outcome is None or not self._generations:
            return self._outcome
        streams = {self._generations.get(name, name): seal for name, seal in self._outcome.streams.items()}
        return self._outcome.but(streams=streams)

    def lengths(self) -> Mapping[str, int]:
        """
        Length in bytes by the master's name of the stream.
        """
        return {self._generations.get(stream, stream): length for stream, length in self._lengths.items()}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        """
        Read from the spool.  If that fails, the command counts as lost.
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
        # Another program changed the keeper's directory, or the disk is damaged.
        self._lengths.clear()
        self.ended(Outcome.lost(f"The spool of {stream} on the slave cannot be read: {problem}."), Life.LOST)
        return b""

    def resend(self, stream: str) -> None:
        """
        Send *stream* once more, as its next generation.
        """
        self._generations[stream.partition("~")[0]] = next_generation(stream)

    def confirm(self) -> bool:
        """
        Return True: the keeper's outcome is final.
        """
        return True

    # SlaveCommand.

    @property
    def settled(self) -> bool:
        """
        Whether the keeper has claimed or refused the command.
        """
        return self._settled.fired

    def when_claimed(self) -> Deferred[None]:
        return self._settled.wait()

    def have(self, lengths: Mapping[str, int]) -> None:
        for stream, latest in latest_generations(lengths).items():
            if latest != stream:
                self._generations[stream] = latest

    def linked(self, command: Command) -> None:
        """
        Do nothing: the stream sender sends everything.
        """

    def unlinked(self) -> None:
        """
        Do nothing: the command goes on in the keeper.
        """

    def interrupt(self, reason: str) -> None:
        self.interrupted = True
        if self._outcome is None:
            self._keeper.interrupt(self.id, reason)

    def leave(self) -> None:
        """
        Do nothing: the command goes on in the keeper.
        """

    def forget(self) -> Deferred[None]:
        forgotten = self._forgotten.wait()
        self._keeper.forget(self.id)
        return forgotten
