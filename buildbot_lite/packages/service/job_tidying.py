"""
What is removed when a job of a target has ended: old results, and packages that no one will need.
"""

import math
import os
from functools import partial

from sqlalchemy import Connection
from twisted.logger import Logger

from ...deferreds import background
from ...master.farm import Farm
from ...storage.retrying import read_retrying
from ..records import job_lists, job_records, results
from ..records.job_states import JobState
from ..records.jobs import Job
from ..targets.target import Target
from .result_retention import LOOKED_EVERY, needs_of, remove_unpublished, unneeded
from .served_targets import ServedTargets
from .target_repository import TargetRepository


class JobTidying:
    """
    Tidies after the jobs of the targets *served* by *farm*.
    """

    _log = Logger()

    def __init__(self, farm: Farm, served: ServedTargets) -> None:
        self._farm = farm
        self._served = served
        self._results_looked: dict[str, float] = {}

    def tidy(self, name: str) -> None:
        """
        Remove old results of scratch builds of the target *name*, and from its repository for builds all packages that
        are not published and never will be.
        """
        removing = self._farm.in_thread(
            partial(results.remove_old_scratch, self._farm.basedir, name, self._farm.wall())
        )
        background(removing, self._log, f"removing results of scratch builds of {name}")
        target = self._served.by_name.get(name)
        repository = None if target is None else self._served.repository_of(target)
        if target is not None and repository is not None:
            tidying = self._served.in_turn(target, partial(self._keep_only, target, repository))
            background(tidying, self._log, f"tidying the repository of {name}")
        now = self._farm.clock.seconds()
        if target is not None and now - self._results_looked.get(name, -math.inf) >= LOOKED_EVERY:
            self._results_looked[name] = now
            looking = self._served.in_turn(target, partial(self._remove_unpublished, target, repository))
            background(looking, self._log, f"removing unpublished results of {name}")

    async def _remove_unpublished(self, target: Target, repository: TargetRepository | None) -> None:
        """
        Remove the results of jobs that ended long ago without being published.  In the turn, so no results are stored
        and no packages enter a repository meanwhile.
        """
        needs = await read_retrying(self._farm.records, partial(needs_of, target=target.name), self._farm.clock)
        places = unneeded(needs, target.built_version, self._farm.wall())
        published = await repository.all_names() if repository is not None else ()
        removed = await self._farm.in_thread(
            partial(remove_unpublished, self._farm.basedir, target.name, places, published)
        )
        if removed:
            self._log.info(
                "{count} results of {target} that were not published are removed",
                count=len(removed),
                target=target.name,
            )

    async def _keep_only(self, target: Target, repository: TargetRepository) -> None:
        jobs = await read_retrying(self._farm.records, _needed, self._farm.clock)
        places = [self._served.place(job, target) for job in jobs if job.target == target.name and not job.scratch]

        def waiting() -> set[str]:
            there = [results.load(place) for place in places if os.path.isdir(place)]
            return {file.name for each in there for file in each.packages}

        await repository.keep_only(await self._farm.in_thread(waiting))


def _needed(connection: Connection) -> list[Job]:
    """
    The jobs that have not ended; and those that are published, and before one of these in its chain: it is to see their
    packages, even if the repository for builds has later versions enough.
    """
    jobs = job_lists.unfinished(connection)
    before = [job_records.get(connection, number) for number in {job.after_job for job in jobs} if number is not None]
    return [*jobs, *(job for job in before if job is not None and _is_published(job))]


def _is_published(job: Job) -> bool:
    return any(state == JobState.PUSHED for state, _ in job.history)
