"""
What a job needs of a target's repositories, as a role: the seam between jobs and repositories.

::

    building ──► results ──► enter ──► repowait … needsign ──► publish ──► pushed ──► announce ──► finished

Each method may be called again for the same job, because the master may have died before it could record that the
method had succeeded; a second call changes nothing.  The master calls one method at a time for each target, except
`announce`, which may take long and runs beside others.  `InputError` says, in one sentence for the submitter, what is
wrong with the job.  Any other error is a defect, or a condition of the machine (a full disk); then the job stays where
it is, with the error as its remark, and is tried again at the next start, or with ``package requeue``.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from ..records.jobs import Job
from ..records.results import JobResults
from ..targets.target import Target


class TargetRepository(Protocol):
    """
    The repositories of one target: *build* and *public*.
    """

    async def enter(self, job: Job, results: JobResults) -> None:
        """
        Check the *results* of *job*, and add them to *build*; `InputError` fails the job.
        """

    async def keep_only(self, waiting: Collection[str]) -> None:
        """
        Remove old versions from *build*, and packages that are neither in *public* nor in *waiting*, the file names of
        the packages of jobs that have not ended.
        """

    async def shows(self, job: Job, results: JobResults) -> bool:
        """
        Whether all packages of *results* are in the repository from which builds of the target install packages.
        """

    async def all_names(self) -> Collection[str]:
        """
        The file names of all packages in *build*, in *public*, and in the snapshot that is prepared for *public*.
        """

    async def needs_signature(self, job: Job) -> bool:
        """
        Whether signatures of *job* are still missing before it can be published.
        """

    async def publish(self, job: Job, results: JobResults) -> Collection[int]:
        """
        Add the signed results of *job* to *public*; with an `InputError` the job stays in needsign, with the reason.
        Returns the numbers of all jobs that are published with it: its own, and those of the jobs that were signed
        together with it.
        """

    async def announce(self, job: Job) -> None:
        """
        Do what follows once *job* is in *public*, such as running the ``repo_script``.  An `InputError` becomes the
        reason of the job, which is finished all the same.
        """


RepositoryOf = Callable[[Target], TargetRepository | None]
"""The repositories of a target; None: it has none."""


def no_repository(target: Target) -> TargetRepository | None:
    """
    A `RepositoryOf`: no target has one.
    """
    return None
