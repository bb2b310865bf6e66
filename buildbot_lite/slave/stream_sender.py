"""
Sends the streams of one command to the master, and finally its outcome.

::

    streams_changed ──► next chunk ──append──► master     spool   ░░░░░░░░░▓▓▓▓▓▓▓▓▓▒▒▒▒
         ▲                                        │               acked    sent     available
         └────────── acked: its length ◄──────────┘

    all acknowledged, outcome known ──finished──► ()     forget the command
                                              └─► names  send those again, as their next generation

What a sender does now::

    waiting ──streams_changed──► sending ──streams_changed──► again
       ▲ ▲                        │ ▲                          │
       │ └──── all is sent ───────┘ └───── look once more ─────┘
       └─ after a while ─ pausing ◄── LATER or an error, in any of these        any ──stop──► stopped

A sender belongs to one link.  When the link is lost, the sender is stopped, and the next link gets a new one, which
begins at the lengths that the master has; so no sender gets answers from another link.  The answer to an append is the
length that the master has.  It alone determines where to continue, whether the chunk was new, was there already, or
came after a gap.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Protocol

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background, shielded
from ..errors import LinkLostError
from ..model.outcome import Outcome
from ..wire.flow_control import FlowControl, SentChunk
from ..wire.roles import LATER, Command

MOST_IN_FLIGHT = 4
"""Appends of one stream without an answer."""
SHORTEST_WAIT = 1.0
"""Seconds until sending continues after `LATER` or an error; doubled each time, up to `LONGEST_WAIT`."""
LONGEST_WAIT = 30.0


class StreamSource(Protocol):
    """
    Append-only streams and an outcome that are to be sent.
    """

    @property
    def outcome(self) -> Outcome | None:
        """
        The outcome; None while the command runs.  After that, no stream grows.
        """

    def lengths(self) -> Mapping[str, int]:
        """
        The number of bytes that can be read, by stream.
        """

    def read(self, stream: str, offset: int, size: int) -> bytes:
        """
        Exactly *size* bytes at *offset*, which are within `lengths`; ``b""`` if they cannot be read, after which
        `lengths` or `outcome` have changed.
        """

    def resend(self, stream: str) -> None:
        """
        Replace *stream* with its next generation, because the master's copy is damaged.
        """

    def confirm(self) -> bool:
        """
        Check the source before the outcome is sent.  False if it has changed, so that there is more to send.
        """


def next_generation(stream: str) -> str:
    """
    The name under which *stream* is sent again: ``stdio`` → ``stdio~1`` → ``stdio~2``.
    """
    kind, _, number = stream.partition("~")
    return f"{kind}~{int(number or 0) + 1}"


def latest_generations(streams: Iterable[str]) -> dict[str, str]:
    """
    For each name without a generation, the latest of its generations among *streams*.
    """
    latest: dict[str, str] = {}
    for stream in sorted(streams, key=lambda name: int(name.partition("~")[2] or 0)):
        latest[stream.partition("~")[0]] = stream
    return latest


@define
class _Mirror:
    """
    The progress of one stream in bytes.  *in_flight*: appends without an answer.  *rewinds*: how often `sent` was set
    back, by which answers to appends from before that are recognised.
    """

    acked: int = 0
    sent: int = 0
    in_flight: int = 0
    rewinds: int = 0


class _Activity(Enum):
    """
    What a sender does now.
    """

    WAITING = auto()  # for the source to grow, or for answers
    SENDING = auto()
    AGAIN = auto()  # sending, and the source may have changed since it was looked at
    PAUSING = auto()  # because the master cannot take more now
    STOPPED = auto()  # for good


_BUSY = frozenset({_Activity.SENDING, _Activity.AGAIN})


class StreamSender:
    """
    Sends *source* to *command*, the master's end.  *have*: what the master has already, length in bytes by stream.
    """

    _log = Logger()

    def __init__(
        self,
        id: str,
        source: StreamSource,
        command: Command,
        *,
        have: Mapping[str, int],
        flow_control: FlowControl,
        clock: IReactorTime,
    ) -> None:
        self._id = id
        self._source = source
        self._command = command
        self._flow_control = flow_control
        self._clock = clock
        self._mirrors = {stream: _Mirror(acked=length, sent=length) for stream, length in have.items()}
        self._wait = SHORTEST_WAIT
        self._activity = _Activity.WAITING
        self._pause: Deferred[None] = succeed(None)
        self._mirrored: Deferred[None] | None = None
        self._task: Deferred[None] = succeed(None)

    def start(self) -> Deferred[None]:
        """
        Send everything; fires when the master has committed the outcome, fails with `CancelledError` after `stop`.
        """
        self._task = Deferred.fromCoroutine(self._run())
        return self._task

    def stop(self) -> None:
        """
        Stop sending, because the link is lost or the command was disowned.
        """
        self._activity = _Activity.STOPPED
        self._flow_control.stop_waiting(self.streams_changed)
        self._pause.cancel()
        self._task.cancel()

    def streams_changed(self) -> None:
        """
        Send what is new, because the source may have grown or ended.
        """
        if self._activity in _BUSY:
            # An answer came during the call.  The loop below goes on, as recursion would take a stack frame for each
            # chunk of a log.
            self._activity = _Activity.AGAIN
        elif self._activity is _Activity.WAITING:
            try:
                while self._look_and_send() is _Activity.AGAIN:
                    pass
            finally:
                if self._activity in _BUSY:
                    self._activity = _Activity.WAITING

    def _look_and_send(self) -> _Activity:
        """
        Send what is available now; return what came of it, after which there may be more.
        """
        self._activity = _Activity.SENDING
        self._send_available()
        return self._activity

    async def _run(self) -> None:
        while True:
            await self._when_mirrored()
            if not self._source.confirm() or (outcome := self._source.outcome) is None:
                continue
            resend = await self._finished(outcome)
            if resend == ():
                return
            for stream in resend or ():
                self._source.resend(stream)

    def _send_available(self) -> None:
        lengths = self._source.lengths()
        ended = self._source.outcome is not None
        for stream, length in lengths.items():
            mirror = self._mirrors.setdefault(stream, _Mirror())
            if not self._send(stream, mirror, length, ended=ended):
                return
        if ended and self._mirrored is not None and self._complete(lengths):
            mirrored, self._mirrored = self._mirrored, None
            mirrored.callback(None)

    def _complete(self, lengths: Mapping[str, int]) -> bool:
        return all(self._mirrors[stream].acked >= length for stream, length in lengths.items())

    def _send(self, stream: str, mirror: _Mirror, length: int, *, ended: bool) -> bool:
        """
        Send the available bytes of one stream, as far as flow control allows; return whether to go on with the next.
        """
        while mirror.sent < length and mirror.in_flight < MOST_IN_FLIGHT:
            size = min(length - mirror.sent, self._flow_control.chunk)
            if mirror.in_flight and size < self._flow_control.chunk and not ended:
                break  # wait for the next answer, when there are more bytes for one call
            if not self._flow_control.room:
                self._flow_control.wait(self.streams_changed)
                break
            offset = mirror.sent
            data = self._source.read(stream, offset, size)
            if not data:
                self.streams_changed()  # the source has
                return False
            mirror.sent += len(data)
            mirror.in_flight += 1
            chunk = self._flow_control.sent(len(data))
            answer = shielded(self._command.append(stream, offset, data))
            answering = self._answered(answer, mirror, offset + len(data), chunk)
            background(answering, self._log, f"sending {self._id} to the master")
            if self._activity not in _BUSY:
                return False  # the answer came during the call, and was LATER or an error
        return True

    async def _answered(self, answer: Deferred[int], mirror: _Mirror, end: int, chunk: SentChunk) -> None:
        rewinds = mirror.rewinds
        length = await self._accepted_length(answer)
        mirror.in_flight -= 1
        self._flow_control.answered(chunk, measure=length != LATER)
        if rewinds != mirror.rewinds:
            mirror.acked = max(mirror.acked, length)
            mirror.sent = max(mirror.sent, mirror.acked)
        elif length == LATER:
            self._rewind(mirror)
            self._pause_sending()
        else:
            self._wait = SHORTEST_WAIT
            mirror.acked = length
            if length < end:
                self._rewind(mirror)
            # The master may have more than in *have*, from an append on an earlier link.
            mirror.sent = max(mirror.sent, length)
        self.streams_changed()

    async def _accepted_length(self, answer: Deferred[int]) -> int:
        try:
            return await answer
        except (LinkLostError, CancelledError):
            pass  # the link stops this sender
        except Exception:  # noqa: BLE001 - the bytes are sent again, whatever error the master has
            self._warn(Failure())
        return LATER

    def _rewind(self, mirror: _Mirror) -> None:
        mirror.sent = mirror.acked
        mirror.rewinds += 1

    def _pause_sending(self) -> None:
        if self._activity not in (_Activity.PAUSING, _Activity.STOPPED):
            self._activity = _Activity.PAUSING
            self._pause = self._after_a_while()
            background(self._resumed(self._pause), self._log, "waiting")

    async def _resumed(self, pause: Deferred[None]) -> None:
        try:
            await pause
        except CancelledError:
            return  # stopped
        self._activity = _Activity.WAITING
        self.streams_changed()

    def _after_a_while(self) -> Deferred[None]:
        wait, self._wait = self._wait, min(2 * self._wait, LONGEST_WAIT)
        return deferLater(self._clock, wait)

    def _when_mirrored(self) -> Deferred[None]:
        mirrored = self._mirrored = Deferred[None]()
        self.streams_changed()
        return mirrored

    async def _finished(self, outcome: Outcome) -> tuple[str, ...] | None:
        """
        The master's answer; None after an error, when the outcome must be sent again.
        """
        try:
            return await shielded(self._command.finished(outcome))
        except (LinkLostError, CancelledError):
            raise
        except Exception:  # noqa: BLE001 - the outcome is sent again, whatever error the master has
            self._warn(Failure())
            await self._after_a_while()
            return None

    def _warn(self, failure: Failure) -> None:
        self._log.warn(
            "the master did not take {id} ({problem}); trying again", id=self._id, problem=failure.getErrorMessage()
        )
