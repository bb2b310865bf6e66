"""
Chains in a running master: requests of a job are held until the packages of the one before it are in the repository.

::

    submitted, requeued ──► held ──► the one before it changes its state ──► is it in the repository? ──► released
                              ▲                                                │ will it never be?
                              '── at a start; again with each change of it ◄───'──► killed, and so are those after it

The event of the commit that adds a request holds it, so it is held before the queue has it.  The event of the commit
that removes the packages of the job before it holds it again.  Requests are released in the turn of the target.
Killing a job and removing packages from the repository also need that turn, so the repository cannot change between the
check and the release.
"""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, evolve, field
from sqlalchemy import Connection
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ...deferreds import background
from ...errors import BuildbotLiteError
from ...master.farm import Farm
from ...storage.records.feed import Event
from ...storage.retrying import read_retrying
from ..records import chain_records, job_records
from ..records.chain_records import CHAINED, ChainedJob, Standing, standing_of
from ..records.job_records import EVENT
from ..records.job_states import ENDS, JobState
from ..records.jobs import Job
from ..targets.target import Target
from .job_service import JobService
from .target_repository import RepositoryOf

LOOK_AGAIN = 60.0
"""Seconds until all chained jobs are checked again after a repository could not be read."""

_BUILT = frozenset({JobState.WAITING.value, JobState.BUILDING.value})
_IN_DOUBT = frozenset({JobState.NEEDSIGN.value, JobState.PUSHED.value, *ENDS})
"""States of the job before it in which its packages may be in the repository, or will never be."""


@define(eq=False)
class Chains:
    """
    The chained jobs of *service* on *farm*.  *repository_of*: the repositories of a target.
    """

    farm: Farm
    service: JobService
    repository_of: RepositoryOf
    _jobs: dict[int, ChainedJob] = field(factory=dict)
    _followers: dict[int, set[int]] = field(factory=dict)
    _held: set[int] = field(factory=set)
    _again: IDelayedCall | None = None
    _unsubscribe: Callable[[], None] = lambda: None
    _log: Logger = field(factory=Logger)

    async def start(self) -> None:
        """
        Hold the requests of chained jobs, before the queue opens, and release those whose packages are in the
        repository.
        """
        self._unsubscribe = self.farm.records.on_commit(self._committed)
        self.farm.reconfiguration.on_applied(lambda config: self._look_at_all())
        for chained in await self.farm.records.read(chain_records.unfinished):
            self._hold(chained)
        self._look_at_all()

    def stop(self) -> None:
        """
        Follow no more jobs.
        """
        self._unsubscribe()
        if self._again is not None and self._again.active():
            self._again.cancel()

    def _committed(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == CHAINED:
                chained = ChainedJob.of_event(event)
                self._hold(chained)
                self._look_soon(chained.job)
            elif event.kind == EVENT:
                self._changed(event.body["job"], event.body["state"])
            elif event.kind == "request.finished" and event.request in self._held:
                self._release([event.request])
            elif event.kind == "request.retried" and event.request in self._held:
                # It was built when it was held again, and so the job was not ended then.
                self._look_for(event.request)

    def _changed(self, number: int, state: str) -> None:
        if number in self._jobs and state not in _BUILT:
            # Its requests may be in the middle of a cancellation, so they stay held until they have ended.
            chained = self._jobs.pop(number)
            self._followers[chained.after].discard(number)
            if not self._followers[chained.after]:
                del self._followers[chained.after]
        for follower in tuple(self._followers.get(number, ())):
            self._hold(evolve(self._jobs[follower], state=state))
            if state in _IN_DOUBT:
                self._look_soon(follower)

    def _hold(self, chained: ChainedJob) -> None:
        self._jobs[chained.job] = chained
        self._followers.setdefault(chained.after, set()).add(chained.job)
        self._held.update(chained.requests)
        self.farm.queue.hold(dict.fromkeys(chained.requests, chained.reason))

    def _release(self, requests: Sequence[int]) -> None:
        self._held.difference_update(requests)
        self.farm.queue.release(requests)

    def _look_for(self, request: int) -> None:
        for number, chained in self._jobs.items():
            if request in chained.requests:
                self._look_soon(number)

    def _look_at_all(self) -> None:
        for number in tuple(self._jobs):
            self._look_soon(number)

    def _look_soon(self, number: int) -> None:
        background(self._look(number), self._log, f"looking at the one before job {number}")

    async def _look(self, number: int) -> None:
        # The event of new requests comes before the queue has them, and only the queue can cancel them.
        await deferLater(self.farm.clock, 0)
        chained = self._jobs.get(number)
        target = None if chained is None else self.service.targets.get(chained.target)
        if target is None:
            return
        try:
            async with self.service.turn(target.name):
                ended = await self._decide(number, target)
        except BuildbotLiteError:
            if self._again is None or not self._again.active():
                self._again = self.farm.clock.callLater(LOOK_AGAIN, self._look_at_all)
            raise
        if ended is not None:
            await self.service.cancel_builds(ended)

    async def _decide(self, number: int, target: Target) -> Job | None:
        """
        Release the job *number*, or kill and return it, or leave it held.
        """
        chained = self._jobs.get(number)
        if chained is None:
            return None
        find = partial(job_records.get, id=chained.after)
        earlier: Job | None = await read_retrying(self.farm.records, find, self.farm.clock)
        standing = standing_of(earlier)
        if earlier is not None and standing is Standing.STAYING and await self._shown(earlier, target):
            # An event that came meanwhile causes another check.
            if self._jobs.get(number) is chained:
                self._release(chained.requests)
            return None
        if standing is Standing.COMING or (earlier is not None and earlier.state is JobState.NEEDSIGN):
            return None
        return await self._end(chained, earlier)

    async def _shown(self, job: Job, target: Target) -> bool:
        repository = self.repository_of(target)
        return repository is not None and await repository.shows(job, await self.service.results_of(job, target))

    async def _end(self, chained: ChainedJob, earlier: Job | None) -> Job | None:
        now = self.farm.wall()

        def change(connection: Connection) -> Job | None:
            return chain_records.end(connection, chained, earlier, now)

        return await self.farm.records.write(change)
