"""
The master's end of one command on a slave.

A `DispatchedCommand` outlives links: each time the slave attaches, the session resumes the same command on the new
link, and the slave sends the part of its streams that is missing here::

    append(stream, offset, data) ──► stream file ──► notification of followers
    finished(outcome) ──► all bytes here?  checksums right?  synced? ──► when_over()
                                                                           │ the journal commits
    answer to finished  ◄────────────────────────────────── committed() ◄──┘

Its states (`_NEXT` has the transitions)::

    OPEN ──END──────► ENDED ──────RELEASE──► RELEASED     the slave reported an outcome, or refused the command
      └────GIVE_UP──► GIVEN_UP ───RELEASE──► DISOWNED     the master ended it, whatever the slave may still report

While a command is ended or given up, but not released, its outcome is on the way to the records and the session keeps
it: if the slave forgot the command and this master died before the commit, the next master would find an intent without
an outcome, and start the command a second time.
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
OVER = "This command is over."


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


# An event without an entry for the present state changes nothing: the first end counts, and a release happens once.
_NEXT = {
    (_State.OPEN, _Event.END): _State.ENDED,
    (_State.OPEN, _Event.GIVE_UP): _State.GIVEN_UP,
    (_State.ENDED, _Event.RELEASE): _State.RELEASED,
    (_State.GIVEN_UP, _Event.RELEASE): _State.DISOWNED,
}


class DispatchedCommand:
    """
    One command on one slave, from its start to the commit of its outcome.

    *secrets*: by name, the values that the keeper inserts and masks.  *grace*: seconds for which the slave may be away
    before the command counts as lost; None: for ever.  *streams*: where its output goes.  *sources*: what it may read,
    by name.  *home*: the directory of the slave to which the command was first sent; None if unknown.  *unwanted*: the
    command is only to be stopped; it is over when the slave has disowned it, or when its lease has ended.  *resumed*:
    an earlier master may have sent it.  *room*: returns whether the master may store a number of further bytes now.
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
        """The number of stored pieces of streams, by which the session sees progress."""
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
        Whether the master ended the command, so that the slave must disown it, whatever it may still report.
        """
        return self._state in {_State.GIVEN_UP, _State.DISOWNED}

    # For the session.

    def stored_lengths(self) -> dict[str, int] | None:
        """
        The length in bytes of each stream that is here; None when this cannot be read, which ends the command.
        """
        try:
            return self._streams.lengths()
        except FileError as error:
            self._fail(error)
            return None

    def lose(self, sentence: str) -> None:
        """
        Give the command up because its outcome will never be known; *sentence* says why.
        """
        if self._end(_Event.GIVE_UP, Outcome.lost(sentence)) and self.unwanted:
            self._pass(_Event.RELEASE)

    def refused(self, sentence: str) -> None:
        """
        The slave refused to start the command.  If an earlier master may have sent it, the slave may have run it, so it
        counts as lost.
        """
        if self.resumed:
            self.lose(sentence)
        elif self._end(_Event.END, Outcome(Ending.FAILED, sentence=sentence)):
            self._pass(_Event.RELEASE)

    def when_released(self) -> Deferred[None]:
        """
        Fires when the slave need not hold the command any longer: its outcome is committed, or no build waits for one.
        """
        return self._released.wait()

    # For the build.

    def when_over(self) -> Deferred[Outcome]:
        """
        Fires with the outcome, when every byte that belongs to it is on the disk.
        """
        return self._outcome.wait()

    def committed(self) -> None:
        """
        The outcome is recorded: the slave may forget the command.
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
            # A slave that attached again reports the end again, perhaps while a long stream is still being synced.
            damaged = await self._sealing.run(lambda: Deferred.fromCoroutine(self._seal(outcome)))
            if damaged:
                return damaged
        except DiskFullError:
            raise RefusedError(NOT_NOW) from None
        except FileError as error:
            self._fail(error)
        # The slave may report the end on several links; one commit answers all of them.
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

        Answers the error for the slave, which says nothing about the master's files.
        """
        if self._state is _State.OPEN:
            self._log.error("{id} is ended: {why}", id=self.id, why=str(error))
            if isinstance(error, NameRefusedError):
                # The step chose a bad name: the mistake is the step's, not the disk's.
                outcome = Outcome(Ending.FAILED, sentence=str(error))
            else:
                outcome = Outcome(Ending.KILLED, why=Why.STORAGE, sentence=str(error))
            self._end(_Event.GIVE_UP, outcome)
        return RefusedError(OVER)

    def _unawaited(self) -> None:
        """
        Store nothing more: the build that waited for the outcome may have ended.
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
        sentence=f"The bytes of {stream} arrived twice with another checksum than {outcome.streams[stream].sha256} "
        "(the slave's).  Look for a failing disk or memory on either machine.",
        started=outcome.started,
        elapsed=outcome.elapsed,
    )
