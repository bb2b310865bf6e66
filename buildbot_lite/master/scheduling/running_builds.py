"""
Running builds: the table of them, and operations on them (stop, remark, wait for the end).

::

    chosen by the queue ──► beginning: being recorded ──► live ──► ended
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...deferreds import OneShot
from ...model.results import Result
from ...model.token_bucket import TokenBucket
from ...storage.records import builds as records_of_builds
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from ..builds.build import Build
from ..slaves.slots import Slots
from .builder_queue import WaitingRequest

# Bounds on the remarks that the links of one slave add to its builds.
REMARKS_AT_ONCE = 1000
REMARKS_PER_SECOND = 20.0


@define
class LiveBuild:
    """
    A build that runs: its row, its request and buildset, and the coroutine.
    """

    row: records_of_builds.Build
    request: Request
    buildset: Buildset
    build: Build


@frozen
class BeginningBuild:
    """
    A build that is being recorded; its request has left the queue.

    *request*: as it stood in the queue, or None for a build that an earlier master began.  *recorded*: fired once the
    build is live, or could not be recorded.
    """

    slave: str
    buildset: Buildset
    request: WaitingRequest | None = None
    recorded: OneShot[None] = field(factory=OneShot)


class RunningBuilds:
    """
    All builds that begin or run now, by the number of their request.
    """

    def __init__(self, slots: Slots, clock: IReactorTime) -> None:
        self._slots = slots
        self._clock = clock
        self._live: dict[int, LiveBuild] = {}
        self._by_row: dict[int, LiveBuild] = {}
        self._beginning: dict[int, BeginningBuild] = {}
        self._remarks: dict[str, TokenBucket] = {}
        self._idle: OneShot[None] = OneShot()
        self._left: dict[str, OneShot[None]] = {}

    # Questions about running builds.

    def live(self) -> Mapping[int, LiveBuild]:
        """
        Every live build, by the number of its request.
        """
        return self._live

    def beginning(self) -> Sequence[WaitingRequest]:
        """
        The requests from the queue whose builds are being recorded.
        """
        return [each.request for each in self._beginning.values() if each.request is not None]

    def requested_with(self, grant: int) -> Sequence[int]:
        """
        The requests that begin or run and were submitted with the FURL of *grant*.
        """
        begun: Iterable[tuple[int, LiveBuild | BeginningBuild]] = (*self._live.items(), *self._beginning.items())
        return [request for request, each in begun if each.buildset.by_grant == grant]

    def on(self, slave: str) -> Sequence[LiveBuild]:
        """
        Every live build on *slave*.
        """
        return [live for live in self._live.values() if live.row.slave == slave]

    def remark(self, slave: str, text: str) -> None:
        """
        Put the remark *text* about *slave* beside the log of every build on it.

        Bounded: a slave that reconnects without end must not occupy the database, so remarks above the bound are
        dropped.
        """
        allowance = TokenBucket(self._clock.seconds, REMARKS_AT_ONCE, REMARKS_PER_SECOND)
        allowed = self._remarks.setdefault(slave, allowance)
        for live in self.on(slave):
            if allowed.take():
                live.build.remark(text)

    def parent(self, buildset: Buildset) -> int | None:
        """
        The request whose build waits for *buildset*, if any.
        """
        above = None if buildset.parent_build is None else self._by_row.get(buildset.parent_build)
        return above.request.id if above is not None and buildset.id in above.build.waits_for else None

    def parent_of(self, request: int) -> int | None:
        """
        The request whose build waits for the build of *request*, which begins or runs; None if none does.
        """
        begun = self._live.get(request) or self._beginning.get(request)
        return None if begun is None else self.parent(begun.buildset)

    async def stop(self, request: int, reason: str, result: Result = Result.CANCELLED) -> bool:
        """
        End the build of *request*; False when none runs.  Returns once the decision is recorded; the build ends soon
        after.
        """
        if request in self._beginning:
            await self._beginning[request].recorded.wait()
        live = self._live.get(request)
        if live is None:
            return False
        await live.build.stop(reason, result)
        return True

    async def stop_all_on(self, slave: str, reason: str, result: Result) -> None:
        """
        End every build that begins or runs on *slave*.  Returns once the decision is recorded.
        """
        for live in self.on(slave):
            await live.build.stop(reason, result)
        for request in self._beginning_on(slave):
            await self.stop(request, reason, result)

    def when_left(self, slave: str) -> Deferred[None]:
        """
        Fires when no build begins or runs on *slave*.  Cancel it to stop waiting.
        """
        waiting = self._left.setdefault(slave, OneShot()).wait()
        self._fire_left(slave)
        return waiting

    def when_idle(self) -> Deferred[None]:
        """
        Fires when no build begins or runs.
        """
        waiting = self._idle.wait()
        self._fire_idle()
        return waiting

    # Reports of the runner.

    def begin(self, request: int, beginning: BeginningBuild) -> None:
        """
        The build of *request* is being recorded.
        """
        self._beginning[request] = beginning

    def begun(self, request: int, live: LiveBuild | None = None) -> None:
        """
        The build of *request* is *live*; without *live*, it will not run.
        """
        if live is not None:
            self._live[request] = self._by_row[live.row.id] = live
        if beginning := self._beginning.pop(request, None):
            beginning.recorded.fire(None)
            self._fire_left(beginning.slave)

    def remove(self, request: int) -> LiveBuild | None:
        """
        The end of the build of *request* is recorded.  Returns the build, if it was live.
        """
        ended = self._live.pop(request, None)
        if ended is not None:
            del self._by_row[ended.row.id]
        return ended

    def left(self, slave: str) -> None:
        """
        A slot of *slave* is free.
        """
        self._fire_left(slave)
        self._fire_idle()

    def _beginning_on(self, slave: str) -> list[int]:
        return [request for request, each in self._beginning.items() if each.slave == slave]

    def _fire_left(self, slave: str) -> None:
        if slave in self._left and not self.on(slave) and not self._beginning_on(slave):
            self._left.pop(slave).fire(None)

    def _fire_idle(self) -> None:
        if not self._live and not len(self._slots):
            idle, self._idle = self._idle, OneShot()
            idle.fire(None)
