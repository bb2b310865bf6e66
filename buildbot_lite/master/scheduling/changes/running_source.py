"""
One change source of the configuration in force: started, polled again and again, stopped.

::

    waiting ──► activate ──► (pause ──► poll)* ──► deactivate
                   │  ▲                   │
                   '──'  error: again     '── error: a longer pause

No error ends a source: it is logged once, shown in ``buildbot-lite status``, and the source tries again.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve, frozen
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ....deferreds import shielded
from ....errors import BuildbotLiteError, RecordsClosedError
from ....model.change import Change
from ....model.display import printable
from ....model.time_limit import never_interrupted, unlimited
from ....model.urls import without_passwords
from ....storage.records import states
from ....storage.records.changes import RecordedChange
from ....storage.roles import Records
from ...builds.streams import InThread
from ...config.change_sources import UNCHANGED, ChangeSource, PollingChangeSource
from ...config.generations import Generations
from ...config.overrides import is_shipped
from ..code_time import CodeTime
from ..wakeup import Wakeup
from .recorder import ChangeRecorder

LEAST_PAUSE = 1.0
"""Seconds between two polls of a source at least, however often it is woken."""
FIRST_PAUSE = 60.0
"""Seconds after a first error, unless the interval is shorter; each further error doubles the pause."""
LONGEST_PAUSE = 600.0
"""Seconds between two attempts after errors at most, unless the interval is longer."""
LONGEST_POLL = 7200.0
"""Seconds after which a poll is given up."""
LONGEST_END = 60.0
"""Seconds that a source may take to deactivate."""
JITTER = 0.1
"""The largest part of a pause that is added to it at random, so that sources do not poll in step."""
LONGEST_ERROR = 500


@frozen
class SourceStatus:
    """
    The status of a source.  Times are in seconds since 1970.

    *polling*: when the present poll began; None: it does not poll now.  *polled*: the end of the last poll that
    succeeded.  *error*: why the last attempt failed, in a sentence.  *failures*: how many attempts in succession
    failed.  *next*: when it tries again.  *remark*: that of the last poll.
    """

    polling: float | None = None
    polled: float | None = None
    error: str | None = None
    failures: int = 0
    next: float | None = None
    remark: str | None = None


@frozen(kw_only=True)
class SourceSurroundings:
    """
    The parts of the farm that sources use.  *in_thread*: calls a function in one of a few threads.
    """

    basedir: str
    recorder: ChangeRecorder
    records: Records
    generations: Generations
    clock: IReactorTime
    wall: Callable[[], float]
    in_thread: InThread
    code_time: CodeTime


class RunningSource:
    """
    A running *source*, from the time when *after* has fired to `stop`, and its `SourceContext`.  *status*: that of the
    earlier source with the same name.
    """

    _log = Logger()

    def __init__(
        self, source: ChangeSource, farm: SourceSurroundings, status: SourceStatus, after: Deferred[None]
    ) -> None:
        self.source = source
        self.basedir = farm.basedir
        self.in_thread = farm.in_thread
        self.status = evolve(status, polling=None)
        self._farm = farm
        self._wakeup = Wakeup(farm.clock)
        self._remark_before = status.remark
        self._ended_at = -LEAST_PAUSE
        source.context = self
        self._run = Deferred.fromCoroutine(self._until_stopped(after))
        self._run.addErrback(self._ended)  # type: ignore[unused-awaitable]  # `stop` waits for it

    def stop(self) -> Deferred[None]:
        """
        Stop; fires when the source has ended, or was given up.
        """
        self._run.cancel()
        self._wakeup.set_after(None)
        self.status = evolve(self.status, polling=None)
        ended = self._call("deactivate").addTimeout(LONGEST_END, self._farm.clock)
        return ended.addErrback(self._not_ended).addCallback(lambda _: None)

    def polls(self, repository: str) -> bool:
        return (
            isinstance(self.source, PollingChangeSource) and bool(repository) and (self.source.repository == repository)
        )

    def poll_soon(self) -> None:
        """
        Poll now; if it polls already, again after that.
        """
        self._wakeup.set()

    # The role `SourceContext`.

    def wall(self) -> float:
        return self._farm.wall()

    @never_interrupted
    async def record(self, changes: Sequence[Change], state: Any = UNCHANGED) -> list[RecordedChange]:
        owner, now = f"source:{self.source.name}", self.wall()
        if state is UNCHANGED:
            return await self._farm.recorder.add(changes)
        return await self._farm.recorder.add(changes, lambda connection: states.put(connection, owner, state, now))

    @never_interrupted
    async def state(self) -> Any:
        owner = f"source:{self.source.name}"
        return await self._farm.records.read(lambda connection: states.get(connection, owner))

    @never_interrupted
    async def secret(self, name: str) -> str:
        config = self._farm.generations.config
        if not config.slow_secrets:
            return config.secret(name)
        found: str = await self.in_thread(lambda: config.secret(name))
        return found

    def remark(self, sentence: str) -> None:
        unlimited(self._remark, sentence)

    def _remark(self, sentence: str) -> None:
        shown = _shown(sentence)
        if shown != self._remark_before:
            # Log a repeated remark once.
            self._log.info("{source}: {remark}", source=self.source.name, remark=shown)
        self.status = evolve(self.status, remark=shown)

    # From start to stop.

    async def _until_stopped(self, after: Deferred[None]) -> None:
        await after
        while not await self._attempt("begin", "activate"):
            woken = self._wakeup.next()
            self._sleep(self._pause(FIRST_PAUSE))
            await woken
        if not isinstance(self.source, PollingChangeSource):
            return
        woken = self._wakeup.next()
        self._sleep(self._first_pause(self.source))
        while True:
            await woken
            await self._not_too_often()
            # Created before the poll begins, so that a call of `poll_soon` meanwhile leads to another poll.
            woken = self._wakeup.next()
            self._wakeup.set_after(None)
            self._remark_before = self.status.remark
            self.status = evolve(self.status, polling=self.wall(), next=None, remark=None)
            if await self._attempt("poll", "poll"):
                self.status = evolve(self.status, polled=self.wall())
            self.status = evolve(self.status, polling=None)
            self._ended_at = self._farm.clock.seconds()
            self._sleep(self._next_pause(self.source))

    async def _not_too_often(self) -> None:
        """
        Wait if the source has just polled: hooks may wake it at any rate.
        """
        pause = self._ended_at + LEAST_PAUSE - self._farm.clock.seconds()
        if pause > 0:
            await deferLater(self._farm.clock, pause)

    def _call(self, method: str) -> Deferred[Any]:
        """
        The result of a *method* of the source, which may be the user's.
        """
        call = getattr(self.source, method)
        if is_shipped(call):
            return maybeDeferred(call)
        code_time = self._farm.code_time.of(f"source {self.source.name}")
        return Deferred.fromCoroutine(code_time.run(f"{type(self.source).__name__}.{method}", call))

    async def _attempt(self, action: str, method: str) -> bool:
        """
        Call *method* of the source; return False if that failed, which is noted.
        """
        doing: Deferred[Any] = self._call(method).addTimeout(LONGEST_POLL, self._farm.clock)
        # The failure is kept as a value, to distinguish it from the cancellation by `stop`: the source's code may raise
        # CancelledError, too.
        outcome: Deferred[tuple[Failure, ...]] = doing.addCallbacks(lambda _: (), lambda failure: (failure,))
        try:
            failures = await shielded(outcome)
        except CancelledError:
            doing.cancel()
            raise
        for failure in failures:
            failure.trap(Exception)
            if failure.check(RecordsClosedError):
                failure.raiseException()
            self._failed(action, failure)
            return False
        if self.status.error is not None:
            self._log.info("{source} works again", source=self.source.name)
        self.status = evolve(self.status, error=None, failures=0)
        return True

    def _failed(self, action: str, failure: Failure) -> None:
        ours = failure.check(BuildbotLiteError, defer.TimeoutError)
        if ours is defer.TimeoutError:
            sentence = f"It did not end within {LONGEST_POLL / 60:.0f} min, and was given up."
        elif ours:
            sentence = _shown(str(failure.value))
        else:
            sentence = _shown(f"{type(failure.value).__name__}: {failure.value}")
        if sentence != self.status.error:
            # Log a repeated error once: a repository that is unreachable for a night is one line.
            self._log.warn("{source} cannot {what}: {why}", source=self.source.name, what=action, why=sentence)
            if not ours:
                self._log.failure("{source} failed", failure=failure, source=self.source.name)
        self.status = evolve(self.status, error=sentence, failures=self.status.failures + 1)

    def _first_pause(self, source: PollingChangeSource) -> float | None:
        if self.status.failures:
            return 0.0
        if source.pollAtLaunch:
            return self._random_delay(source)
        if self.status.next is not None:
            # The time at which the earlier source would have polled: reconfigurations must not postpone polls again and
            # again.
            return max(0.0, min(self.status.next - self.wall(), source.pollInterval or LONGEST_PAUSE))
        return self._next_pause(source)

    def _next_pause(self, source: PollingChangeSource) -> float | None:
        if self.status.failures:
            return self._pause(source.pollInterval)
        if not source.pollInterval:
            return None
        delay = self._random_delay(source)
        return source.pollInterval + delay if delay else self._with_jitter(source.pollInterval)

    def _random_delay(self, source: PollingChangeSource) -> float:
        return random.uniform(source.pollRandomDelayMin, source.pollRandomDelayMax)  # noqa: S311 - no secret

    def _pause(self, interval: float) -> float:
        first = min(interval or LONGEST_PAUSE, FIRST_PAUSE)
        longest = max(interval, LONGEST_PAUSE)
        return self._with_jitter(min(longest, first * 2.0 ** min(self.status.failures - 1, 20)))

    def _with_jitter(self, pause: float) -> float:
        return pause * random.uniform(1, 1 + JITTER)  # noqa: S311 - no secret

    def _sleep(self, pause: float | None) -> None:
        """
        Wait for *pause* seconds, or for `poll_soon`; None: only for `poll_soon`.
        """
        self.status = evolve(self.status, next=None if pause is None else self.wall() + pause)
        self._wakeup.set_after(pause)

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError, RecordsClosedError):
            self._log.failure("{source} ended", failure=failure, source=self.source.name)

    def _not_ended(self, failure: Failure) -> None:
        why = _shown(f"{failure.type.__name__}: {failure.getErrorMessage()}" if failure.type else "")
        self._log.warn("{source} could not be deactivated: {why}", source=self.source.name, why=why)


def _shown(sentence: str) -> str:
    return printable(without_passwords(sentence), longest=LONGEST_ERROR)
