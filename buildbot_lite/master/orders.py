"""
The master's end of one live command.

An `Order` is what a step wants done on a slave, together with the place where the answer goes.  It outlives links:
every time the slave attaches, it is handed the same order again, and the wire syncs the tail of its streams.

::

    append(stream, offset, data) ──► stream file ──► growth (live logs)
    finished(outcome) ──► all bytes here?  checksums right?  on the disk? ──► when_over()
                                                                                 │ (the journal commits)
    answer to finished  ◄──────────────────────────────────────── committed() ◄──┘
"""

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from ..errors import DiskFullError, MessageError, NotFoundError
from ..model.outcome import Ending, Outcome, Seal
from ..model.spec import Spec, fingerprint
from ..wire.roles import LATER

MOST_STREAMS = 40
_STREAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +@-]{0,99}(~[1-9])?\Z")


class Stream(Protocol):
    """
    An append-only file on the master; see `storage.streams`.
    """

    @property
    def length(self) -> int:
        """
        Bytes so far.
        """

    def append(self, offset: int, data: bytes) -> int:
        """
        Add what is new of *data*; answer the length.  `DiskFullError` when there is no room.
        """

    def seal(self, seal: Seal) -> Deferred[bool]:
        """
        Whether these are all the bytes and their checksum is right; then they are on the disk.
        """


class Shelf(Protocol):
    """
    Where the streams of one journal entry stand.
    """

    def stream(self, name: str) -> Stream:
        """
        The stream called *name*; it is made at its first byte.
        """

    def lengths(self) -> dict[str, int]:
        """
        The bytes of every stream that exists already.
        """


class Source(Protocol):
    """
    Something that a slave may read.
    """

    def read(self, offset: int, size: int) -> bytes:
        """
        At most *size* bytes from *offset* on.
        """


class Order:
    """
    One command for one slave, and what became of it.

    *grace*: seconds for which the slave may be away before the command counts as lost; None: for ever.  *home*: the
    slave directory to which it went when it was first sent; None when this is not known.  *unwanted*: it is only to be
    made sure that the command does not run: it is lost when the slave was told, or when its lease has run out.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        id: str,
        spec: Spec,
        secrets: Mapping[str, str],
        grace: float | None,
        shelf: Shelf,
        sources: Mapping[str, Source],
        home: str | None = None,
        unwanted: bool = False,
    ) -> None:
        self.id = id
        self.spec = spec
        self.secrets = secrets
        self.fingerprint = fingerprint(spec)
        self.grace = grace
        self.home = home
        self.unwanted = unwanted
        self._shelf = shelf
        self._sources = sources
        self._over: Deferred[Outcome] = Deferred()
        self._is_committed = False
        self._askers: list[Deferred[None]] = []
        self._released: Callable[[], None] = _nothing

    # What the session asks.

    def have(self) -> dict[str, int]:
        """
        How many bytes of each stream are here.
        """
        return self._shelf.lengths()

    def lose(self, sentence: str) -> None:
        """
        Nobody will ever know how far it came.
        """
        if not self._over.called:
            self._over.callback(Outcome.lost(sentence))
            self._release()

    def fail(self, sentence: str) -> None:
        """
        The slave will not do it.
        """
        if not self._over.called:
            self._over.callback(Outcome(Ending.FAILED, sentence=sentence))
            self._release()

    def when_released(self, released: Callable[[], None]) -> None:
        """
        Call *released* once, when the slave need not hold the command any longer: its outcome is committed, or nobody
        waits for one.  Until then it is the session's: a slave that comes back in between is not to disown it.
        """
        self._released = released

    # What the build asks.

    def when_over(self) -> Deferred[Outcome]:
        """
        Fires with the outcome, when every byte that belongs to it is on the disk.  Ask once.
        """
        return self._over

    def committed(self) -> None:
        """
        The outcome is recorded: the slave may forget the command.
        """
        self._is_committed = True
        self._release()
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.callback(None)

    # What the slave asks: the role `Command`.

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        """
        See `Command.append`.
        """
        if not _STREAM.match(stream) or offset < 0:
            return fail(MessageError(f"{stream!r:.60} at {offset} is no place in a stream."))
        try:
            kept = self._shelf.stream(stream)
            return succeed(kept.append(offset, data))
        except DiskFullError:
            return succeed(LATER)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        """
        See `Command.read`.
        """
        if name not in self._sources or offset < 0:
            return fail(NotFoundError(f"This command may not read {name!r:.60}."))
        return succeed(self._sources[name].read(offset, size))

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        """
        See `Command.finished`.
        """
        return Deferred.fromCoroutine(self._finish(outcome))

    def _release(self) -> None:
        released, self._released = self._released, _nothing
        released()

    async def _finish(self, outcome: Outcome) -> tuple[str, ...]:
        if not self._over.called:
            wrong = []
            for name, seal in outcome.streams.items():
                if not await self._shelf.stream(name).seal(seal):
                    wrong.append(name)
            if again := tuple(name for name in wrong if "~" not in name):
                self._log.warn("checksums of {streams} differ in {id}; sent again", streams=again, id=self.id)
                return again
            if wrong:
                outcome = _differing(outcome, wrong[0])
            if not self._over.called:
                self._over.callback(outcome)
        # Each link may ask; all are answered by the one commit.
        if not self._is_committed:
            answer: Deferred[None] = Deferred()
            self._askers.append(answer)
            await answer
        return ()


def _nothing() -> None:
    """
    Nobody asked.
    """


def _differing(outcome: Outcome, stream: str) -> Outcome:
    return Outcome(
        Ending.FAILED,
        sentence=f"The bytes of {stream} arrived twice with another checksum than {outcome.streams[stream].sha256} "
        "(the slave's).  Look for a failing disk or memory on either machine.",
        started=outcome.started,
        elapsed=outcome.elapsed,
    )
