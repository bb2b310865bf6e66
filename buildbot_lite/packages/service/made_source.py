"""
Source packages that a build has made from a git repository: examined and built like submitted ones.

::

    job in prep:  artifact source.tar ──► inputs ──► examine ──► plan ──► buildset, architectures, "waiting"
                                                                  (one transaction)

The slave's result is trusted no more than a submission, so it passes the same checks.  A master that dies in the middle
begins again, and gives the file the same name in the inputs.
"""

import os
from functools import partial

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...errors import InputError
from ...master.config.submit_scheduler import SKIPPED
from ...master.farm import Farm
from ...master.scheduling.new_buildset import NewBuildset
from ...storage.files import file_error
from ...storage.inputs import IncomingInput, InputFile
from ...storage.records import builds, buildsets, inputs
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import SubmittedBuildset
from ...storage.retrying import read_retrying
from ..building.source_steps import MADE
from ..formats.architectures import BuildPlan
from ..formats.source_package import SourcePackage
from ..formats.submitted_package import SubmittedPackage, examine
from ..records import chain_records, job_records
from ..records.job_states import JobState
from ..records.jobs import Job, NewJob, Origin
from ..records.results import output_of
from ..targets.package_scheduler import OF_SOURCE
from ..targets.target import Target

GONE = "The source package that was made is not stored any more.  Make it again: buildbot-lite package requeue."

_PIECE = 1 << 20
_KIND = "file"


@frozen
class MadeSource:
    """
    *package*: the examined source package.  *kept*: its archive, among the inputs.  *plan*: the architectures for which
    *target* builds it.  *origin*: with the commit.
    """

    package: SourcePackage
    kept: InputFile
    plan: BuildPlan
    origin: Origin


async def examine_made(farm: Farm, job: Job, target: Target) -> MadeSource:
    """
    The source package that the build of *job* made; `InputError` when *target* does not accept it.
    """
    path, origin = await read_retrying(farm.records, partial(_artifact, job=job), farm.clock)
    incoming = farm.inputs.receive()
    place = os.path.join(farm.stream_storage.artifacts, path)
    kept, submitted = await farm.in_thread(partial(_take, place, incoming))
    package = submitted.package
    target.check_source(submitted)
    expected = target.sources.name_in(origin.repository)
    if expected and package.name != expected:
        raise InputError(
            f"The repository {expected} makes the source package {package.name}; they must have the same name."
        )
    return MadeSource(package, kept, target.plan(package), origin)


async def submit_made(farm: Farm, job: Job, target: Target, made: MadeSource) -> None:
    """
    Submit *made* for *job*, unless the job has changed its state.
    """
    original = await read_retrying(farm.records, lambda c: buildsets.get(c, job.buildset), farm.clock)
    if original is None:
        raise InputError("The records no longer have the submission.  Submit it again.")
    builders = {arch: builder.name for arch, builder in target.builders_of(made.plan).items()}
    now = farm.wall()

    def record(connection: Connection, submitted: SubmittedBuildset) -> None:
        current = job_records.get(connection, job.id)
        if current is None or current.state is not JobState.PREP:
            raise InputError("The job was ended meanwhile.")
        numbers = {request.builder: request.id for request in submitted.requests}
        new = NewJob(
            target=job.target,
            name=made.package.name,
            version=made.package.full_version,
            submitter=job.submitter,
            by_grant=job.by_grant,
            buildset=submitted.buildset.id,
            builders={arch: (builder, numbers[builder]) for arch, builder in builders.items()},
            skipped=made.plan.skipped,
            origin=made.origin,
        )
        chain_records.tell(connection, job_records.source_made(connection, current, new, now), now)

    await farm.requests.submit(
        _buildset(original, job, target, made, list(builders.values()), now), in_transaction=record
    )


def _buildset(
    original: Buildset, job: Job, target: Target, made: MadeSource, builders: list[str], now: float
) -> NewBuildset:
    properties = {name: (value, origin) for name, (value, origin) in original.properties.items()}
    found = {
        "package": made.package.name,
        "package_version": made.package.full_version,
        "got_revision": made.origin.commit,
        SKIPPED: dict(made.plan.skipped),
        **target.properties(made.plan),
    }
    return NewBuildset(
        scheduler=original.scheduler.removesuffix(OF_SOURCE),
        builders=builders,
        reason=f"{made.package}, made from {made.origin.repository} at {made.origin.revision}",
        properties={**properties, **{name: (value, "PackageScheduler") for name, value in found.items()}},
        source=original.source,
        input=inputs.adding(made.kept, _KIND, MADE, now),
        priority=job.priority,
        by_grant=job.by_grant,
    )


def _artifact(connection: Connection, job: Job) -> tuple[str, Origin]:
    """
    The path of the archive below ``artifacts``, and its origin.
    """
    assert job.source is not None and job.origin is not None
    output = output_of(connection, job.source)
    path = next((each.path for each in output.artifacts if each.name == MADE), None)
    build = builds.get(connection, job.source.build or 0)
    if path is None or build is None:
        raise InputError(GONE)
    commit, _ = build.properties.get("got_revision", ("", ""))
    return path, evolve(job.origin, commit=f"{commit:.64}" if isinstance(commit, str) else "")


def _take(path: str, incoming: IncomingInput) -> tuple[InputFile, SubmittedPackage]:
    """
    Examine the file *path*, and copy it to the inputs.
    """
    try:
        with open(path, "rb") as file:
            submitted = examine(file)
        # Examining an archive closes its file.
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                incoming.write(piece)
        return incoming.keep(), submitted
    except FileNotFoundError:
        raise InputError(GONE) from None
    except OSError as error:
        raise file_error(error, "the source package that was made", cannot="be read") from error
    finally:
        incoming.abandon()
