"""
Submitting the source of a job once more, or letting the job go on to submit it, by the holder of a FURL.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from ...master.farm import Farm
from ...master.scheduling.new_buildset import NewBuildset
from ...storage.records import grants
from ...storage.records.buildsets import Buildset
from ...storage.records.grants import Grant
from ...storage.records.requests import SubmittedBuildset
from ..records.jobs import Job


def as_before(original: Buildset, job: Job, builders: Sequence[str], why: str) -> NewBuildset:
    """
    A buildset for *builders* with the source of *job*, like its first buildset *original*.  *why*: the reason, for
    people.
    """
    return NewBuildset(
        scheduler=original.scheduler,
        builders=builders,
        reason=f"{job.title}, {why}",
        properties={name: (value, origin) for name, (value, origin) in original.properties.items()},
        source=original.source,
        input=original.input,
        priority=job.priority,
        by_grant=job.by_grant,
    )


async def submit_within_limits(
    farm: Farm,
    new: NewBuildset,
    record: Callable[[Connection, SubmittedBuildset], Buildset | None],
    grant: Grant | None,
    *,
    requests: int = 0,
    committed: Callable[[], None] = lambda: None,
) -> None:
    """
    Record *new*, and what *record* adds in the same transaction, as one use of *grant*; `RefusedError` when its limits
    do not permit that.  None: nothing limits it.  *requests*: as how many it counts; 0: as many as it has.
    *committed*: called after the commit.
    """
    if grant is None:
        await farm.requests.submit(new, in_transaction=record, committed=committed)
        return

    def spent() -> None:
        farm.submit_limits.spent(admission.grant)
        committed()

    def in_transaction(connection: Connection, submitted: SubmittedBuildset) -> Buildset | None:
        grants.used(connection, grant.id, farm.wall())
        return record(connection, submitted)

    with farm.submit_limits.admit(grant.id, requests or len(new.builders), with_input=False) as admission:
        await farm.requests.submit(new, in_transaction=in_transaction, committed=spent)


async def change_within_limits(
    farm: Farm,
    change: Callable[[Connection], Job],
    grant: Grant | None,
    *,
    requests: int,
    committed: Callable[[Job], None],
) -> None:
    """
    Record the *change* of a job that will submit so many *requests*, as one use of *grant*; `RefusedError` when its
    limits do not permit that.  None: nothing limits it.  *committed*: called after the commit.
    """
    if grant is None:
        committed(await farm.records.write(change))
        return

    def in_transaction(connection: Connection) -> Job:
        grants.used(connection, grant.id, farm.wall())
        return change(connection)

    with farm.submit_limits.admit(grant.id, requests, with_input=False) as admission:
        job = await farm.records.write(in_transaction)
        farm.submit_limits.spent(admission.grant)
        committed(job)
