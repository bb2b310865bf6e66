"""
Results that give way to others of their version: those that nobody has published, and that no job needs.

::

    of a job that is not remembered, or nobody knows of which ──────────────────────────► stay
    a job of the version was in repowait, is finished, or has a build with a mark ──────► stay
    another job of the version has not ended ───────────────────────────────────────────► stay
    a package of them is in a repository, or in a snapshot that waits for signatures ───► stay
    everything else ────────────────────────────────────────────────────────────────────► give way

A master that is killed when it has stored results, but not recorded that, leaves such ones if their job is refused or
killed then.  Before ``repowait`` nobody has seen them: neither users nor builds.  What stays has a sentence that says
for whom, with what the submitter can do.
"""

import os
from collections.abc import Collection

from attrs import frozen
from sqlalchemy import Connection

from ...master.farm import Farm
from ...storage.retrying import read_retrying
from ..records import job_records, results
from ..records.job_records import MOST_STATES
from ..records.job_states import ENDS, JobState
from ..records.jobs import Job
from ..records.results import OTHER_VERSION
from ..targets.target import Target
from .result_retention import needs_of
from .served_targets import ServedTargets

_SEEN = frozenset({JobState.REPOWAIT, JobState.NEEDSIGN, JobState.PUSHED, JobState.FINISHED})
"""States from which on others may have seen the packages of a job."""
_ARE = {JobState.FINISHED: "is finished", JobState.FAILED: "failed", JobState.KILLED: "was killed"}


@frozen
class ResultHolder:
    """
    A *job* whose results are in a directory, or would be.  *lasting*: it keeps them as long as it is remembered.
    """

    job: Job
    lasting: bool

    @property
    def is_seen(self) -> bool:
        """
        Whether others may have seen its packages.
        """
        # A longer history is shortened, and may have lost that.
        return len(self.job.history) >= MOST_STATES or any(state in _SEEN for state, _ in self.job.history)


async def why_kept(farm: Farm, served: ServedTargets, job: Job, target: Target, place: str, name: str) -> str:
    """
    Why results in the directory *place*, which have the package *name* with other bytes than *job* of *target* has made
    now, do not give way; "": they do.  Called in the turn of the target.
    """
    if job.scratch:
        return ""  # In a directory of its own, which nothing else reads.
    owners = await farm.in_thread(lambda: results.owners(place))
    found = await read_retrying(
        farm.records, lambda connection: _holders(connection, target, place, owners), farm.clock
    )
    reason = why_holders_keep(job, found, owners)
    repository = served.repository(job, target)
    if not reason and repository is not None:
        below = await farm.in_thread(lambda: results.packages_below(place))
        if not below.isdisjoint(await repository.all_names()):
            reason = f"in the repository of {target.name}: {OTHER_VERSION}"
    return f"{name} is there already, with other bytes, {reason}." if reason else ""


def why_holders_keep(job: Job, holders: Collection[ResultHolder], owners: Collection[int | None]) -> str:
    """
    The end of the sentence that says why results do not give way to those of *job*; "": because of their jobs they may.
    *holders*: all jobs of their version.  *owners*: the numbers of those that stored them.
    """
    if not {each.job.id for each in holders}.issuperset(owners):
        return f"of a job that is not remembered any more: {OTHER_VERSION}"
    for each in sorted(holders, key=lambda each: each.job.id):
        other = each.job
        of = f"of job {other.id}, which {_ARE.get(other.state, f'is in the state {other.state}')}"
        if each.is_seen:
            seen = "of an earlier build of this job, which others may have seen" if other.id == job.id else of
            return f"{seen}: {OTHER_VERSION}"
        if other.id == job.id:
            continue
        if other.state not in ENDS:
            return (
                f"and job {other.id} builds this version, too: kill that one (buildbot-lite package kill {other.id}) "
                f"and requeue this job, or {OTHER_VERSION}"
            )
        if each.lasting:
            return f"{of} and has a build that is kept (buildbot-lite kept): {OTHER_VERSION}"
    return ""


def _holders(connection: Connection, target: Target, place: str, owners: Collection[int | None]) -> list[ResultHolder]:
    path = tuple(place.split(os.sep)[-2:])
    lasting = {
        need.job: need.lasting for need in needs_of(connection, target.name) if need.place(target.built_version) == path
    }
    jobs = [job_records.get(connection, number) for number in {*lasting, *owners} if number is not None]
    return [ResultHolder(each, lasting.get(each.id, False)) for each in jobs if each is not None]
