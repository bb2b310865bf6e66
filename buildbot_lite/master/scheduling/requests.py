"""
Requests: each is kept from its submission to its result.

::

    submit ──► waits in the queue ──► build ──► finished
                    ▲                   │
                    '── RETRY, after a back-off, at most maxRetries times

A request is a promise to its submitter; builds are attempts to keep it.  When the last request of a submission ends,
the FURLs that watch the submission get their expiry date, in the same transaction.
"""

from collections.abc import Callable, Sequence

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...deferreds import OneShot, RepeatedWork, shielded
from ...model.results import Result
from ...storage.records import builds, buildsets, feed
from ...storage.records import changes as records_of_changes
from ...storage.records import grants as records_of_grants
from ...storage.records import requests as records_of_requests
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request, SubmittedBuildset
from ...storage.retrying import read_retrying
from ...storage.roles import Records
from ..builds.build_progress import Ended
from ..config.generations import Generations
from ..grants.registry import GrantRegistry
from .collapsing import CollapseRule
from .new_buildset import NewBuildset, add_buildset
from .queue import Queue

WATCH_AFTER_END = 7 * 86400.0
"""Seconds until the FURL that watches a submission expires, from the end of the submission."""
MOST_UNCOUNTED = 10
"""Retries of one request for one reason that are not counted.  Further ones are: code that never repeats what its
journal says would be tried again at each start of the master, without an end."""
FIRST_BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0


def back_off(retries: int) -> float:
    """
    Seconds to wait before retry number *retries* (from 1).
    """
    return float(min(FIRST_BACK_OFF * 4 ** (retries - 1), LONGEST_BACK_OFF))


class Requests:
    """
    All requests.  *wall*: seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        records: Records,
        queue: Queue,
        collapse_rule: CollapseRule,
        grants: GrantRegistry,
        wall: Callable[[], float],
        generations: Generations,
        clock: IReactorTime,
    ) -> None:
        self._records = records
        self._queue = queue
        self._collapse_rule = collapse_rule
        self._fresh: list[int] = []
        self._collapsing = RepeatedWork(self._collapse_older, self._log, "collapsing requests")
        self._grants = grants
        self._wall = wall
        self._generations = generations
        self._clock = clock
        # Cancellations that are being recorded, by request: later callers wait for the first.
        self._cancelling: dict[int, OneShot[None]] = {}
        self._awaited: dict[int, OneShot[Result]] = {}
        self._subscribers: list[Callable[[], None]] = []

    async def submit(
        self,
        new: NewBuildset,
        *,
        in_transaction: Callable[[Connection, SubmittedBuildset], Buildset | None] | None = None,
        committed: Callable[[], None] = lambda: None,
    ) -> SubmittedBuildset:
        """
        Record *new*.  Once this returns, its requests survive a crash.

        *in_transaction* is called in the same transaction, unless there is an earlier buildset with the same parent; it
        returns the buildset if it has changed it.  *committed* is called after the commit.
        """
        now = self._wall()

        def change(connection: Connection) -> tuple[SubmittedBuildset, bool]:
            submitted, fresh = add_buildset(connection, new, now)
            if fresh and in_transaction is not None:
                changed = in_transaction(connection, submitted)
                submitted = evolve(submitted, buildset=changed or submitted.buildset)
            return submitted, fresh

        submitted, fresh = await self._records.write(change)
        committed()
        if fresh:
            self._enqueue(submitted)
        return submitted

    async def submit_all(
        self, new: Sequence[NewBuildset], in_transaction: Callable[[Connection], object]
    ) -> Sequence[SubmittedBuildset]:
        """
        Record all of *new* in one transaction, in which *in_transaction* is called, too.
        """
        now = self._wall()

        def change(connection: Connection) -> list[tuple[SubmittedBuildset, bool]]:
            added = [add_buildset(connection, each, now) for each in new]
            in_transaction(connection)
            return added

        added = await self._records.write(change)
        for submitted, fresh in added:
            if fresh:
                self._enqueue(submitted)
        return [submitted for submitted, _ in added]

    def subscribe(self, ended: Callable[[], None]) -> None:
        """
        Call *ended* after each commit that ended a buildset.
        """
        self._subscribers.append(ended)

    def _enqueue(self, submitted: SubmittedBuildset) -> None:
        for request in submitted.requests:
            self._queue.add(request, submitted.buildset)
            self._fresh.append(request.id)
        self._collapsing.ask()

    def postpone(self, request: Request, buildset: Buildset, until: float) -> None:
        """
        Put *request* back into the queue, because its build could not be recorded.  *until*: seconds since 1970.
        """
        self._queue.add(evolve(request, not_before=until), buildset)

    async def finished(self, request: Request, buildset: Buildset, build: builds.Build, ended: Ended) -> bool:
        """
        Record the end of a build of *request*.  True: the request waits again, for a retry.
        """
        now = self._wall()
        most = self._generations.config.max_retries

        def change(connection: Connection) -> tuple[Request | None, Buildset | None]:
            builds.finish(connection, build.id, ended.result, now, ended.reason)
            body = {"builder": build.builder, "result": int(ended.result), "reason": ended.reason}
            feed.publish(connection, "build.finished", now=now, request=request.id, build=build.id, body=body)
            if ended.result is not Result.RETRY:
                return None, self._end(connection, request.id, ended.result, now, ended.reason)
            current = records_of_requests.get(connection, request.id) or request
            counts = ended.counts or _for_the_reason(connection, current, ended.reason) > MOST_UNCOUNTED
            if counts and current.retries >= most:
                return None, self._end(connection, request.id, Result.EXCEPTION, now, _used_up(connection, current))
            retry = current.retries + 1
            wait = back_off(retry)
            if not records_of_requests.requeue(connection, request.id, now + wait, counts=counts):
                return None, None  # the request was finished meanwhile
            body = {"retry": retry if counts else None, "of": most, "reason": ended.reason, "wait": wait}
            feed.publish(connection, "request.retried", now=now, request=request.id, body=body)
            return records_of_requests.get(connection, request.id), None

        again, over = await self._records.write(change)
        self._ended(over, now)
        if again is not None:
            self._queue.add(again, buildset)
        return again is not None

    async def cancel(self, request: int, reason: str) -> bool:
        """
        Cancel a request in the queue; False when it is not there.

        The request stays in the queue until its end is recorded, and if recording fails.
        """
        if request in self._cancelling:
            await self._cancelling[request].wait()
            return request not in self._queue
        if not self._queue.withdraw(request):
            return False
        # The caller may be cancelled; the transaction cannot.
        await shielded(self._cancel(request, reason))
        return True

    async def _cancel(self, request: int, reason: str) -> None:
        self._cancelling[request] = OneShot()
        try:
            await self._record_cancelled(request, reason)
        except BaseException:
            self._queue.restore(request)
            raise
        finally:
            self._cancelling.pop(request).fire(None)

    async def _record_cancelled(self, request: int, reason: str) -> None:
        now = self._wall()

        def change(connection: Connection) -> Buildset | None:
            return self._end(connection, request, Result.CANCELLED, now, reason)

        buildset = await self._records.write(change)
        self._queue.remove(request)
        self._ended(buildset, now)

    async def _collapse_older(self) -> None:
        """
        Collapse older requests into those that came since the last time.  Many may come in one turn of the reactor.
        """
        while self._fresh:
            await deferLater(self._clock, 0)
            fresh, self._fresh = self._fresh, []
            for id in sorted(fresh, reverse=True):
                if (newer := self._queue.get(id)) is not None:
                    older = await self._collapse_rule.older(newer)
                    await self.collapse([each.request.id for each in older], into=newer.request)

    async def collapse(self, requests: Sequence[int], *, into: Request) -> None:
        """
        End those of *requests* that are still in the queue with SKIPPED, because the build of *into* serves them, too.
        """
        collapsible = [each for each in requests if each not in self._cancelling and self._queue.withdraw(each)]
        if not collapsible:
            return
        now = self._wall()
        buildsets = {
            each.request.id: each.buildset.id for each in map(self._queue.get, collapsible) if each is not None
        }
        reason = f"collapsed into request {into.id}, which asks for the same and is newer"

        def change(connection: Connection) -> list[Buildset | None]:
            over = []
            for request, buildset in buildsets.items():
                records_of_requests.collapse(connection, request, into.id)
                records_of_changes.hand_over(connection, buildset, into.buildset)
                over.append(self._end(connection, request, Result.SKIPPED, now, reason))
            return over

        try:
            over = await self._records.write(change)
        except BaseException:
            for request in collapsible:
                self._queue.restore(request)
            raise
        for request in collapsible:
            self._queue.remove(request)
        for each in over:
            self._ended(each, now)

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with the result of *buildset*, also when it finished earlier.
        """

        def forget() -> None:
            # Another event may have replaced this one.
            if self._awaited.get(buildset) is finished:
                del self._awaited[buildset]

        finished = self._awaited.setdefault(buildset, OneShot(forget))
        waiting = finished.wait()

        def known(row: Buildset | None) -> None:
            if row is not None and row.result is not None:
                self._tell(row)

        def unknown(failure: Failure) -> None:
            forget()
            finished.fire(failure)

        asking = read_retrying(self._records, lambda c: buildsets.get(c, buildset), self._clock)
        Deferred.fromCoroutine(asking).addCallbacks(known, unknown)  # type: ignore[unused-awaitable]  # both ends are given
        return waiting

    def _end(self, connection: Connection, request: int, result: Result, now: float, reason: str) -> Buildset | None:
        body = {"result": int(result), "reason": reason}
        feed.publish(connection, "request.finished", now=now, request=request, body=body)
        buildset = records_of_requests.finish(connection, request, result, now, reason)
        if buildset is not None:
            records_of_grants.expire_watches(connection, buildset.id, now + WATCH_AFTER_END)
        return buildset

    def _ended(self, buildset: Buildset | None, now: float) -> None:
        if buildset is not None:
            self._grants.watches_expire(buildset.id, now + WATCH_AFTER_END)
            self._tell(buildset)
            for ended in tuple(self._subscribers):
                ended()

    def _tell(self, buildset: Buildset) -> None:
        if buildset.result is not None and (finished := self._awaited.pop(buildset.id, None)):
            finished.fire(buildset.result)


def _retried(connection: Connection, request: Request) -> list[builds.Build]:
    return [build for build in builds.of_request(connection, request.id) if build.result is Result.RETRY]


def _for_the_reason(connection: Connection, request: Request, reason: str) -> int:
    """
    How many builds of *request* ended with RETRY for this *reason*, with its last build.
    """
    return sum(build.reason == reason for build in _retried(connection, request))


def _used_up(connection: Connection, request: Request) -> str:
    retried = _retried(connection, request)
    reasons = dict.fromkeys(build.reason for build in retried if build.reason)
    return f"gave up after {len(retried) - 1} retries: " + "; ".join(reasons)
