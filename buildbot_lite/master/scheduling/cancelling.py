"""
Cancelling what nobody needs any more: builds of a branch that moved on, and of a buildset that has failed.

The services are `OldBuildCanceller` and `FailingBuildsetCanceller` in ``c['services']``.  They look at committed
events: a new change, and the end of a build.  What a new change makes obsolete is what waits or runs at that moment;
requests that schedulers make for the change come later.
"""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from ...deferreds import background
from ...model.results import Result
from ...model.source_stamps import stamps_of
from ...storage.records import changes
from ...storage.records.feed import Event
from ...storage.records.requests import Buildset
from ...storage.writer import Records
from ..config.cancellers import FailingBuildsetCanceller, OldBuildCanceller, StampView
from ..config.generations import Generations
from .queue import Queue
from .running_builds import RunningBuilds
from .submission import Submissions

_FAILED = (int(Result.FAILURE), int(Result.EXCEPTION))


class Cancelling:
    """
    Follows the events from `start` to `stop`.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        queue: Queue,
        running: RunningBuilds,
        submissions: Submissions,
    ) -> None:
        self._records = records
        self._generations = generations
        self._queue = queue
        self._running = running
        self._submissions = submissions
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """
        Begin.
        """
        self._unsubscribe = self._records.on_commit(self._committed)

    def stop(self) -> None:
        """
        Look at nothing any more.
        """
        self._unsubscribe()

    def _committed(self, events: Sequence[Event]) -> None:
        services = self._generations.config.services.values()
        old = [each for each in services if isinstance(each, OldBuildCanceller)]
        failing = [each for each in services if isinstance(each, FailingBuildsetCanceller)]
        for event in events:
            if old and event.kind == "change.added":
                work = self._cancel_old(old, int(event.body["change"]), self._unfinished())
                background(work, self._log, "cancelling builds of older changes")
            elif failing and event.kind == "build.finished" and event.body.get("result") in _FAILED:
                background(self._cancel_siblings(failing, event), self._log, "cancelling the rest of a buildset")

    def _unfinished(self) -> list[tuple[int, str, Buildset]]:
        """
        Request, builder and buildset of all that waits, begins or runs.
        """
        waiting = [(each.request, each.buildset) for each in (*self._queue.waiting(), *self._running.beginning())]
        running = [(each.request, each.buildset) for each in self._running.live().values()]
        return [(request.id, request.builder, buildset) for request, buildset in (*waiting, *running)]

    async def _cancel_old(
        self, services: Sequence[OldBuildCanceller], id: int, unfinished: Sequence[tuple[int, str, Buildset]]
    ) -> None:
        recorded = await self._records.read(lambda connection: changes.get(connection, id))
        if recorded is None:
            return
        change = recorded.change
        new = StampView(change.project, change.codebase, change.repository, change.branch)
        obsolete = [
            request
            for request, builder, buildset in unfinished
            if any(_is_older(service, builder, stamp, new) for service in services for stamp in _views(buildset))
        ]
        reason = f"there is a newer change of {change.branch or 'its branch'}: {change.revision or id}"
        await self._submissions.cancel_unfinished(obsolete, reason)

    async def _cancel_siblings(self, services: Sequence[FailingBuildsetCanceller], event: Event) -> None:
        unfinished = self._unfinished()
        failed = next((each for each in unfinished if each[0] == event.request), None)
        if failed is None:
            return
        id, failed_builder, buildset = failed
        stamps = _views(buildset)
        which = [service.cancelled_by(failed_builder, stamps) for service in services]
        siblings = [
            request
            for request, builder, of in unfinished
            if of.id == buildset.id and request != id and any(each(builder) for each in which)
        ]
        await self._submissions.cancel_unfinished(siblings, f"the build of {failed_builder} in its buildset failed")


def _views(buildset: Buildset) -> list[StampView]:
    return [
        StampView(stamp.get("project") or "", codebase, stamp.get("repository") or "", stamp.get("branch"))
        for codebase, stamp in stamps_of(buildset.source).items()
    ]


def _is_older(service: OldBuildCanceller, builder: str, stamp: StampView, new: StampView) -> bool:
    same = (stamp.project, stamp.codebase, stamp.repository) == (new.project, new.codebase, new.repository)
    return (
        same
        and service.branch_key(stamp.to_document()) == service.branch_key(new.to_document())
        and service.tracks(builder, stamp)
    )
