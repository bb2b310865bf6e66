"""
The master's end of one live command.

A `RemoteCommand` is what a step wants done on a slave, together with the place where the answer goes.  It outlives
links: every time the slave attaches, it is handed the same order again, and the wire syncs the tail of its streams.

::

    append(stream, offset, data) ──► stream file ──► growth (live logs)
    finished(outcome) ──► all bytes here?  checksums right?  on the disk? ──► when_over()
                                                                                 │ (the journal commits)
    answer to finished  ◄──────────────────────────────────────── committed() ◄──┘
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.logger import Logger

from ...deferreds import OneShot
from ...errors import (
    DiskFullError,
    FileError,
    MessageError,
    NameRefusedError,
    NotFoundError,
    RefusedError,
)
from ...model.outcome import (
    Ending,
    Outcome,
    Seal,
    Why,
)
from ...model.spec import (
    Run,
    Spec,
    Upload,
    UploadDirectory,
    fingerprint,
)
from ...wire.roles import LATER

ARTIFACT = "artifact"
"""What a slave calls the stream of an upload."""
MOST_ROUNDS = 20
"""How often a slave may report an end whose bytes are not here, until it is not believed any more."""
_GENERATIONS = ("", "~1", "~2")
NOT_NOW = "The master cannot store this now.  The reason is in its log."
OVER = "This command is over."


class WritableStream(Protocol):
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
        Add what is new of *data*; answer the length.  `DiskFullError` when there is no room, `FileError` when the file
        cannot be written.
        """

    def seal(self, seal: Seal) -> Deferred[bool]:
        """
        Whether these are all the bytes and their checksum is right; then they are on the disk.
        """


class EntryStreams(Protocol):
    """
    Where the streams of one journal entry stand.
    """

    def stream(self, name: str) -> WritableStream:
        """
        The stream called *name*; it is made at its first byte.  `FileError` when it cannot be.
        """

    def lengths(self) -> dict[str, int]:
        """
        The bytes of every stream that exists already.  `FileError` when that cannot be read.
        """


class Source(Protocol):
    """
    Something that a slave may read.
    """

    def read(self, offset: int, size: int) -> bytes:
        """
        At most *size* bytes from *offset* on.  `FileError` or `NotFoundError` when they cannot be read.
        """


class RemoteCommand:
    """
    One command for one slave, and what became of it.

    *grace*: seconds for which the slave may be away before the command counts as lost; None: for ever.  *home*: the
    slave directory to which it went when it was first sent; None when this is not known.  *unwanted*: it is only to be
    made sure that the command does not run: it is lost when the slave was told, or when its lease has run out.
    *resumed*: an earlier master may have sent it.  *room*: whether so many bytes of it may be written now.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        id: str,
        spec: Spec,
        secrets: Mapping[str, str],
        grace: float | None,
        streams: EntryStreams,
        sources: Mapping[str, Source],
        home: str | None = None,
        unwanted: bool = False,
        resumed: bool = False,
        room: Callable[[int], bool] = lambda size: True,
    ) -> None:
        self.id = id
        self.spec = spec
        self.secrets = secrets
        self.fingerprint = fingerprint(spec)
        self.grace = grace
        self.home = home
        self.unwanted = unwanted
        self.resumed = resumed
        self._room = room
        self._streams = streams
        self._sources = sources
        self._stream_names = streams_of(spec)
        self._ends: dict[str, int] | None = None
        self._rounds = 0
        self.is_lost = False
        """Whether we have given it up, whatever the slave may still say."""
        self.received = 0
        """How many pieces of streams came."""
        self._over: Deferred[Outcome] = Deferred()
        self._sealing = DeferredLock()
        self._committed: OneShot[None] = OneShot()
        self._released: Callable[[], None] = _nothing

    # What the session asks.

    def have(self) -> dict[str, int] | None:
        """
        How many bytes of each stream are here; None when this cannot be read, and the command is over for that reason.
        """
        try:
            return self._streams.lengths()
        except FileError as error:
            self._fail(error)
            return None

    def lose(self, sentence: str) -> None:
        """
        Nobody will ever know how far it came.

        It stays the session's until that is committed, like any other outcome: if the slave were told to forget it and
        this master died before, the next one would find an intent without an outcome, and ask for it anew.
        """
        if not self._over.called:
            self.is_lost = True
            self._over.callback(Outcome.lost(sentence))
            if self.unwanted:
                self._release()

    def refused(self, sentence: str) -> None:
        """
        The slave will not do it.  If it was asked before, by an earlier master, it may have done it already.
        """
        if self.resumed:
            self.lose(sentence)
        elif not self._over.called:
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
        self._committed.fire(None)
        self._release()

    # What the slave asks: the role `Command`.

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        """
        See `Command.append`.
        """
        if stream not in self._stream_names or offset < 0:
            return fail(MessageError(f"{stream!r:.60} at {offset} is no place in a stream of this command."))
        if self._over.called:
            return fail(RefusedError(OVER))
        try:
            kept = self._streams.stream(stream)
            most = self._most
            if most is not None and offset <= kept.length and self._too_much(most, stream, offset + len(data)):
                return fail(MessageError(f"This command may send at most {most} bytes."))
            if not self._room(len(data)):
                return succeed(LATER)
            length = kept.append(offset, data)
            self.received += 1
            return succeed(length)
        except DiskFullError:
            return succeed(LATER)
        except FileError as error:
            return fail(self._fail(error))

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        """
        See `Command.read`.
        """
        if name not in self._sources or offset < 0:
            return fail(MessageError(f"This command may not read {name!r:.60}."))
        try:
            return succeed(self._sources[name].read(offset, size))
        except (FileError, NotFoundError) as error:
            return fail(self._fail(error))

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        """
        See `Command.finished`.
        """
        return Deferred.fromCoroutine(self._finish(outcome))

    def _release(self) -> None:
        released, self._released = self._released, _nothing
        released()

    @property
    def _most(self) -> int | None:
        """
        How many bytes the slave may send, of all streams of one generation; None: as many as there are.
        """
        if isinstance(self.spec, Run):
            return self.spec.cap
        return self.spec.largest if isinstance(self.spec, Upload | UploadDirectory) else None

    def _too_much(self, most: int, stream: str, end: int) -> bool:
        # A slave's keeper sees to it; this is for one that does not.
        if self._ends is None:
            self._ends = self._streams.lengths()
        mark = stream.partition("~")[2]
        self._ends[stream] = max(end, self._ends.get(stream, 0))
        return sum(length for name, length in self._ends.items() if name.partition("~")[2] == mark) > most

    def _fail(self, error: FileError | NotFoundError) -> RefusedError:
        """
        End the command, because the master cannot store what it sends, or read what it asks for.

        Answers what the slave is told, which is nothing about the master's files.  It is told to disown the command
        when this outcome is committed.
        """
        if not self._over.called:
            self._log.error("{id} is ended: {why}", id=self.id, why=str(error))
            self.is_lost = True
            if isinstance(error, NameRefusedError):
                # Another name would have done: this is a mistake of the step's.
                self._over.callback(Outcome(Ending.FAILED, sentence=str(error)))
            else:
                self._over.callback(Outcome(Ending.KILLED, why=Why.STORAGE, sentence=str(error)))
        return RefusedError(OVER)

    async def _finish(self, outcome: Outcome) -> tuple[str, ...]:
        for name in outcome.streams:
            if name not in self._stream_names:
                raise MessageError(f"{name!r:.60} is no stream of this command.")
        try:
            # A slave that dialled again reports the end again, while a long stream may still be on its way to the disk.
            again = await self._sealing.run(lambda: Deferred.fromCoroutine(self._seal(outcome)))
            return again or await self._answer()
        except DiskFullError:
            raise RefusedError(NOT_NOW) from None
        except FileError as error:
            self._fail(error)
            return await self._answer()

    async def _seal(self, outcome: Outcome) -> tuple[str, ...]:
        if not self._over.called:
            wrong = []
            for name, seal in outcome.streams.items():
                if not await self._streams.stream(name).seal(seal):
                    wrong.append(name)
            again = tuple(name for name in wrong if "~" not in name)
            self._rounds += bool(again)
            if again and self._rounds <= MOST_ROUNDS:
                self._log.warn("checksums of {streams} differ in {id}; sent again", streams=again, id=self.id)
                return again
            if wrong:
                outcome = _differing(outcome, wrong[0])
            if not self._over.called:
                self._over.callback(outcome)
        return ()

    async def _answer(self) -> tuple[str, ...]:
        # Each link may ask; all are answered by the one commit.
        await self._committed.wait()
        return ()


def streams_of(spec: Spec) -> frozenset[str]:
    """
    The streams that a slave may send of *spec*, in all generations.
    """
    names: set[str] = set()
    if isinstance(spec, Run):
        names = {"stdio", *spec.logfiles, *(["stderr"] if spec.separate_stderr else [])}
    elif isinstance(spec, Upload | UploadDirectory):
        names = {ARTIFACT}
    return frozenset(name + mark for name in names for mark in _GENERATIONS)


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
