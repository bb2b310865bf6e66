"""
Cancelling obsolete builds: those of a branch that has newer changes, and those of a buildset that has failed.

The services are `OldBuildCanceller` and `FailingBuildsetCanceller` in ``c['services']``.  What they cancel follows from
the records, so that a crash loses no cancellation: the number of the last change that was considered is recorded, and
at a start the unfinished buildsets are looked at for failed builds.

A build is older than a change if all its own changes are; without any, if it was submitted before the change came.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ...deferreds import background
from ...model.results import Result
from ...model.source_stamps import is_untrusted, stamps_of
from ...storage.records import changes, states
from ...storage.records import requests as records_of_requests
from ...storage.records.buildsets import Buildset
from ...storage.records.changes import RecordedChange
from ...storage.records.feed import Event
from ...storage.roles import Records
from ..config.cancellers import FailingBuildsetCanceller, OldBuildCanceller, StampView
from ..config.generations import Generations
from .queue import Queue
from .request_canceller import RequestCanceller
from .running_builds import RunningBuilds

_FAILED = (int(Result.FAILURE), int(Result.EXCEPTION))
_OWNER = "old-build-cancellers"
_MOST_CHANGES = 200
"""Changes that are considered at a time."""


class Cancelling:
    """
    Follows changes and the ends of builds, from `start` to `stop`.  *wall*: seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        queue: Queue,
        running: RunningBuilds,
        canceller: RequestCanceller,
        wall: Callable[[], float],
    ) -> None:
        self._records = records
        self._generations = generations
        self._queue = queue
        self._running = running
        self._canceller = canceller
        self._wall = wall
        self._turn = DeferredLock()
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._unsubscribe = self._records.on_commit(self._committed)
        background(self._resume(), self._log, "cancelling what a crash left")

    def configure(self) -> None:
        """
        Another configuration is in force.
        """
        if not self._services(OldBuildCanceller):
            background(self._forget(), self._log, "forgetting the changes that were considered")

    def stop(self) -> None:
        self._unsubscribe()

    def _services(self, kind: type[Any]) -> list[Any]:
        return [each for each in self._generations.config.services.values() if isinstance(each, kind)]

    def _committed(self, events: Sequence[Event]) -> None:
        added = [int(event.body["change"]) for event in events if event.kind == "change.added"]
        if added and self._services(OldBuildCanceller):
            background(self._follow(min(added) - 1), self._log, "cancelling builds of older changes")
        failing = self._services(FailingBuildsetCanceller)
        for event in events if failing else ():
            if event.kind == "build.finished" and event.body.get("result") in _FAILED:
                failed = next((each for each in self._unfinished() if each[0] == event.request), None)
                if failed is not None:
                    work = self._cancel_siblings(failing, *failed)
                    background(work, self._log, "cancelling the rest of a buildset")

    async def _resume(self) -> None:
        if self._services(OldBuildCanceller):
            await self._follow(await self._records.read(changes.last_id))
        else:
            await self._forget()
        failing = self._services(FailingBuildsetCanceller)
        buildsets = {buildset.id: buildset for _, _, buildset in self._unfinished()} if failing else {}
        for buildset in buildsets.values():
            read = partial(records_of_requests.of_buildset, buildset=buildset.id)
            for request in await self._records.read(read):
                if request.result is not None and int(request.result) in _FAILED:
                    await self._cancel_siblings(failing, request.id, request.builder, buildset)

    def _unfinished(self) -> list[tuple[int, str, Buildset]]:
        """
        Request, builder and buildset of every request that waits, begins or runs.
        """
        waiting = [(each.request, each.buildset) for each in (*self._queue.waiting(), *self._running.beginning())]
        running = [(each.request, each.buildset) for each in self._running.live().values()]
        return [(request.id, request.builder, buildset) for request, buildset in (*waiting, *running)]

    async def _follow(self, first: int) -> None:
        """
        Consider the changes after the recorded number, or after *first* if none is recorded.
        """
        await self._turn.run(lambda: Deferred.fromCoroutine(self._consider(first)))

    async def _consider(self, first: int) -> None:
        recorded = await self._records.read(lambda connection: states.get(connection, _OWNER))
        considered = first if recorded is None else int(recorded["considered"])
        if recorded is None:
            await self._record(considered)
        while found := await self._records.read(partial(changes.after, id=considered, most=_MOST_CHANGES)):
            for service in self._services(OldBuildCanceller):
                await self._cancel_old(service, found)
            considered = found[-1].id
            await self._record(considered)

    async def _forget(self) -> None:
        """
        Forget which changes were considered: a service that is configured later, for the first time or again, begins
        with the changes that arrive after that.
        """
        await self._turn.run(lambda: Deferred.fromCoroutine(self._put(None)))

    async def _record(self, considered: int) -> None:
        await self._put({"considered": considered})

    async def _put(self, value: Mapping[str, int] | None) -> None:
        await self._records.write(lambda connection: states.put(connection, _OWNER, value, self._wall()))

    async def _cancel_old(self, service: OldBuildCanceller, found: Sequence[RecordedChange]) -> None:
        try:
            newest = _newest_of_branches(service, found)
            candidates = [
                (request, buildset, newer)
                for request, builder, buildset in self._unfinished()
                if (newer := _newer(service, builder, buildset, newest)) is not None
            ]
        except Exception:  # noqa: BLE001 - functions of the user's
            self._log.failure("{service} failed; it cancels nothing", service=repr(service))
            return
        own = await self._records.read(
            lambda connection: {
                buildset.id: [each.id for each in changes.of_buildset(connection, buildset.id)]
                for _, buildset, _ in candidates
            }
        )
        for request, buildset, newer in candidates:
            ids = own[buildset.id]
            if max(ids) < newer.id if ids else buildset.submitted <= newer.received:
                branch, revision = newer.change.branch or "its branch", newer.change.revision or newer.id
                await self._canceller.cancel_unfinished([request], f"there is a newer change of {branch}: {revision}")

    async def _cancel_siblings(
        self, services: Sequence[FailingBuildsetCanceller], failed: int, failed_builder: str, buildset: Buildset
    ) -> None:
        stamps, matching = _views(buildset), []
        for service in services:
            try:
                matching.append(service.cancelled_by(failed_builder, stamps))
            except Exception:  # noqa: BLE001 - functions of the user's; another service's may be right
                self._log.failure("{service} failed; it cancels nothing", service=repr(service))
        siblings = [
            request
            for request, builder, of in self._unfinished()
            if of.id == buildset.id and request != failed and any(each(builder) for each in matching)
        ]
        await self._canceller.cancel_unfinished(siblings, f"the build of {failed_builder} in its buildset failed")


def _views(buildset: Buildset) -> list[StampView]:
    return [
        StampView(
            stamp.get("project") or "",
            codebase,
            stamp.get("repository") or "",
            stamp.get("branch"),
            revision=stamp.get("revision"),
        )
        for codebase, stamp in stamps_of(buildset.source).items()
    ]


_Branch = tuple[Any, ...]


def _branch_of(service: OldBuildCanceller, stamp: StampView) -> _Branch:
    return stamp.project, stamp.codebase, stamp.repository, service.branch_key(stamp.to_document())


def _newest_of_branches(
    service: OldBuildCanceller, found: Iterable[RecordedChange]
) -> Mapping[tuple[bool, _Branch], RecordedChange]:
    """
    The newest change of each branch, those from forks for themselves.
    """
    newest = {}
    for each in found:
        change = each.change
        stamp = StampView(change.project, change.codebase, change.repository, change.branch, revision=change.revision)
        newest[change.untrusted, _branch_of(service, stamp)] = each
    return newest


def _newer(
    service: OldBuildCanceller,
    builder: str,
    buildset: Buildset,
    newest: Mapping[tuple[bool, _Branch], RecordedChange],
) -> RecordedChange | None:
    """
    The change that may make a build of *buildset* obsolete.  A change from a fork cannot, if the build is not of one.
    """
    trusts = (True, False) if is_untrusted(buildset.source) else (False,)
    for stamp in _views(buildset) if newest else ():
        branch = _branch_of(service, stamp)
        found = [newest[trust, branch] for trust in trusts if (trust, branch) in newest]
        if found and service.tracks(builder, stamp):
            return max(found, key=lambda each: each.id)
    return None
