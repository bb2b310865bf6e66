"""
The master's end of one command on a slave.

A `DispatchedCommand` outlives links: each time the slave attaches, the session resumes the same command on the new
link, and the slave sends the part of its streams that is missing here::

    append(stream, offset, data) ──► stream file ──► notification of followers
    finished(outcome) ──► all bytes stored?  checksums right?  synced? ──► when_over()
                                                                           │ the journal commits
    answer to finished  ◄────────────────────────────────── committed() ◄──┘

Its states (`_NEXT` has the transitions)::

    OPEN ──END──────► ENDED ──────RELEASE──► RELEASED     the slave reported an outcome, or refused the command
      └────GIVE_UP──► GIVEN_UP ───RELEASE──► DISOWNED     the master ended it, whatever the slave may still report

While a command is ENDED or GIVEN_UP, its outcome is not committed yet, and the session still has the slave keep the
command.  Otherwise the slave could forget it, and a master that died before the commit would find an intent without an
outcome after its restart, and start the command a second time.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto

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
    Why,
)
from ...model.spec import Spec, fingerprint
from ...wire.roles import LATER
from .command_streams import EntryStreams, Source, StreamBounds

MOST_ROUNDS = 20
"""How often a slave may report an end with wrong checksums before the command fails."""
NOT_NOW = "The master cannot store this now.  The reason is in its log."
OVER = "This command has ended."


class _State(Enum):
    OPEN = auto()
    ENDED = auto()
    GIVEN_UP = auto()
    RELEASED = auto()
    DISOWNED = auto()


class _Event(Enum):
    END = auto()
    GIVE_UP = auto()
    RELEASE = auto()


# An event without an entry for the current state changes nothing: the first end counts, and a release happens once.
_NEXT = {
    (_State.OPEN, _Event.END): _State.ENDED,
    (_State.OPEN, _Event.GIVE_UP): _State.GIVEN_UP,
    (_State.ENDED, _Event.RELEASE): _State.RELEASED,
    (_State.GIVEN_UP, _Event.RELEASE): _State.DISOWNED,
}


class DispatchedCommand:
    """
    One command on one slave, from its start to the commit of its outcome.

    *id*: its name on the wire.  *secrets*: name → value, which the keeper inserts and masks.  *grace*: seconds for
    which the slave may be disconnected before the command counts as lost; None: no limit.  *streams*: where its output
    is stored.  *sources*: name → what it may read.  *home*: the identity of the slave's directory when the build began;
    None if unknown.  *unwanted*: the command only has to be ended: it is over when the slave was told to disown it, or
    when its lease has expired.  *resumed*: whether an earlier run of the master may have sent it.  *room*: returns
    whether the master may store a number of further bytes now.
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
        self.received = 0
        """The number of stored chunks, by which the session notices progress."""
        self._room = room
        self._streams = streams
        self._bounds = StreamBounds(spec, streams)
        self._sources = sources
        self._state = _State.OPEN
        self._damaged_reports = 0
        self._sealing = DeferredLock()
        self._outcome: OneShot[Outcome] = OneShot(self._unawaited)
        self._committed: OneShot[None] = OneShot()
        self._released: OneShot[None] = OneShot()

    @property
    def is_given_up(self) -> bool:
        """
        Whether the master gave the command up, so that the slave must disown it, whatever it still reports.
        """
        return self._state in {_State.GIVEN_UP, _State.DISOWNED}

    # For the session.

    def stored_lengths(self) -> dict[str, int] | None:
        """
        The length in bytes of each stored stream.  None if that cannot be read, which ends the command.
        """
        try:
            return self._streams.lengths()
        except FileError as error:
            self._fail(error)
            return None

    def lose(self, sentence: str) -> None:
        """
        Give the command up because its outcome will never be known.  *sentence*: the reason, for people.
        """
        if self._end(_Event.GIVE_UP, Outcome.lost(sentence)) and self.unwanted:
            self._pass(_Event.RELEASE)

    def refused(self, sentence: str) -> None:
        """
        End the command because the slave refused to start it.  If an earlier run of the master may have sent it, the
        slave may have run it before, so it counts as lost.
        """
        if self.resumed:
            self.lose(sentence)
        elif self._end(_Event.END, Outcome(Ending.FAILED, sentence=sentence)):
            self._pass(_Event.RELEASE)

    def when_released(self) -> Deferred[None]:
        """
        A Deferred that fires when the slave need not keep the command any longer: its outcome is committed, or no build
        waits for it.
        """
        return self._released.wait()

    # For the build.

    def when_over(self) -> Deferred[Outcome]:
        """
        A Deferred that fires with the outcome, when all bytes of the streams are synced to the disk.
        """
        return self._outcome.wait()

    def committed(self) -> None:
        """
        Let the slave forget the command, because its outcome is committed.
        """
        self._committed.fire(None)
        self._pass(_Event.RELEASE)

    # For the slave: the role `wire.roles.Command`.

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        try:
            return succeed(self._append(stream, offset, data))
        except DiskFullError:
            return succeed(LATER)
        except FileError as error:
            return fail(self._fail(error))
        except (MessageError, RefusedError) as error:
            return fail(error)

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        if name not in self._sources or offset < 0:
            return fail(MessageError(f"This command may not read {name!r:.60}."))
        try:
            return succeed(self._sources[name].read(offset, size))
        except (FileError, NotFoundError) as error:
            return fail(self._fail(error))

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        return Deferred.fromCoroutine(self._finish(outcome))

    def _append(self, name: str, offset: int, data: bytes) -> int:
        self._bounds.check_place(name, offset)
        if self._state is not _State.OPEN:
            raise RefusedError(OVER)
        stream = self._streams.stream(name)
        if offset <= stream.length:
            self._bounds.check_end(name, offset + len(data))
        if not self._room(len(data)):
            return LATER
        length = stream.append(offset, data)
        self.received += 1
        return length

    async def _finish(self, outcome: Outcome) -> tuple[str, ...]:
        for name in outcome.streams:
            self._bounds.check_name(name)
        try:
            # The slave may report the end again on a new link, while a long stream is still being synced.
            damaged = await self._sealing.run(lambda: Deferred.fromCoroutine(self._seal(outcome)))
            if damaged:
                return damaged
        except DiskFullError:
            raise RefusedError(NOT_NOW) from None
        except FileError as error:
            self._fail(error)
        # All reports of the end, on whatever link, are answered after the commit.
        await self._committed.wait()
        return ()

    async def _seal(self, outcome: Outcome) -> tuple[str, ...]:
        """
        End the command with *outcome* if all its streams are complete; return the names of the streams that must be
        sent again.
        """
        if self._state is not _State.OPEN:
            return ()
        damaged = [name for name, seal in outcome.streams.items() if not await self._streams.stream(name).seal(seal)]
        repeated = tuple(name for name in damaged if "~" not in name)
        self._damaged_reports += bool(repeated)
        if repeated and self._damaged_reports <= MOST_ROUNDS:
            self._log.warn("checksums of {streams} differ in {id}; sent again", streams=repeated, id=self.id)
            return repeated
        self._end(_Event.END, _differing(outcome, damaged[0]) if damaged else outcome)
        return ()

    def _fail(self, error: FileError | NotFoundError) -> RefusedError:
        """
        Give the command up because the master cannot store its output, or read its input.

        Returns the error for the slave, which reveals nothing about the master's files.
        """
        if self._state is _State.OPEN:
            self._log.error("{id} is ended: {why}", id=self.id, why=str(error))
            if isinstance(error, NameRefusedError):
                # The mistake is the step's, which chose the name, and not the disk's.
                outcome = Outcome(Ending.FAILED, sentence=str(error))
            else:
                outcome = Outcome(Ending.KILLED, why=Why.STORAGE, sentence=str(error))
            self._end(_Event.GIVE_UP, outcome)
        return RefusedError(OVER)

    def _unawaited(self) -> None:
        """
        End the command, so that nothing more is stored: the build that waited for the outcome may have ended.
        """
        self._end(_Event.END, Outcome.lost("No build waits for it any more."))

    def _end(self, event: _Event, outcome: Outcome) -> bool:
        """
        Let *event* end the command with *outcome*; return whether it did.
        """
        ends = self._pass(event)
        if ends:
            self._outcome.fire(outcome)
        return ends

    def _pass(self, event: _Event) -> bool:
        """
        Apply *event*; return whether it changed the state.
        """
        state = _NEXT.get((self._state, event))
        if state is None:
            return False
        self._state = state
        if event is _Event.RELEASE:
            self._released.fire(None)
        return True


def _differing(outcome: Outcome, stream: str) -> Outcome:
    return Outcome(
        Ending.FAILED,
        sentence=f"{stream} was sent twice, and did not arrive with the slave's checksum "
        f"{outcome.streams[stream].sha256}.  Look for a failing disk or memory on either machine.",
        started=outcome.started,
        elapsed=outcome.elapsed,
    )
