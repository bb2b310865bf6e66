"""
The targets of a running master, with their repositories and a turn for each.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from ...deferreds import CoroutineLock
from ...errors import NotFoundError
from ...master.farm import Farm
from ...model.suggestions import did_you_mean
from ..records import results
from ..records.jobs import Job
from ..targets.target import Target
from .target_repository import RepositoryOf, TargetRepository

T = TypeVar("T")


class ServedTargets:
    """
    The targets of *farm*.  *repository_of*: the repositories of a target.
    """

    def __init__(self, farm: Farm, repository_of: RepositoryOf) -> None:
        self._farm = farm
        self.repository_of = repository_of
        self._writers: dict[str, CoroutineLock] = {}

    @property
    def by_name(self) -> dict[str, Target]:
        """
        The targets of the configuration in force, by name.
        """
        return {target.name: target for target in self._farm.config.extension("targets")}

    def turn(self, target: str) -> CoroutineLock:
        """
        The lock for changes of the results and repositories of *target*.
        """
        return self._writers.setdefault(target, CoroutineLock())

    async def in_turn(self, target: Target, work: Callable[[], Awaitable[T]]) -> T:
        """
        Run *work* in the turn of the target: one at a time for each target.
        """
        async with self.turn(target.name):
            return await work()

    def repository(self, job: Job, target: Target) -> TargetRepository | None:
        """
        The repositories that the packages of *job* enter; None for a scratch build, and where *target* has none.
        """
        return None if job.scratch else self.repository_of(target)

    def place(self, job: Job, target: Target) -> str:
        """
        The directory of the results of *job*.
        """
        return results.place_of(self._farm.basedir, job, job.built_version or target.built_version(job.version))


def no_target(name: str, targets: Collection[str]) -> NotFoundError:
    """
    The error for a target that is not among *targets*, the names of those in master.cfg.
    """
    if not targets:
        return NotFoundError(
            f"There is no target {name!r:.100}, and no other.  Targets are written in c['targets'] of master.cfg; "
            "docs/packages.md has examples."
        )
    near = did_you_mean(name, targets, see="buildbot-lite package targets")
    return NotFoundError(f"There is no target {name!r:.100}.{near}")
