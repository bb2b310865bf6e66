"""
Builds the packages of a job once more, to see whether they come out the same bit for bit.

A rebuild is a scratch job from the same stored source package, so it enters no repository.  The comparison is made from
the records: the results of the first job, and the artifacts of the second one's builds.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...errors import RefusedError
from ...master.farm import Farm
from ...storage.records import builds, buildsets
from ...storage.records.buildsets import Buildset
from ...storage.records.grants import Grant
from ...storage.records.requests import SubmittedBuildset
from ..building.farm_repository import SNAPSHOT, SNAPSHOTS
from ..building.same_packages import INSTALLED, LARGEST_INSTALLED, LISTS
from ..building.steps import ROOT_ARCHITECTURE, ROOTS, ROOTS_BEFORE
from ..records import job_records
from ..records.job_states import ArchState, JobState
from ..records.jobs import Job, JobArch, NewJob, names_of
from ..records.results import PACKAGES, JobResults, output_of
from ..service.job_service import JobService
from ..targets.target import Target
from .job_submission import as_before, submit_within_limits

MOST_SHOWN = 20
"""Lines of a difference."""

SAME, DIFFERENT, INCOMPARABLE, FAILED, RUNNING = "same", "different", "incomparable", "failed", "running"
_OTHER_ROOT = "the packages differ, but so do the packages that were installed in the roots"
_WITH_RESULTS = (JobState.REPOWAIT, JobState.NEEDSIGN, JobState.PUSHED, JobState.FINISHED)


@frozen
class Rebuilding:
    """
    Rebuilds jobs of *service* on *farm*.
    """

    farm: Farm
    service: JobService

    async def rebuild(self, job: Job, by: str, grant: Grant | None = None, *, same: bool = False) -> int:
        """
        Submit the source of *job* again, for the same architectures; returns the number of the new job.  *grant*: a
        FURL to submit with, whose limits apply; `RefusedError`.  *same*: give the roots the packages of the first
        builds; refused if no slave runs one of these roots.
        """
        if job.state not in _WITH_RESULTS:
            raise RefusedError(f"Job {job.id} is in the state {job.state}; only what was built can be rebuilt.")
        original = await self.farm.records.read(lambda connection: buildsets.get(connection, job.buildset))
        if original is None or original.input is None:
            raise RefusedError(f"The source of job {job.id} is not kept any more.")
        if missing := [each for each in job.built if each.builder not in self.farm.config.builders]:
            raise RefusedError(f"{job.target} in master.cfg is not built for {names_of(missing)} any more.")
        numbers: list[int] = []

        def record(connection: Connection, submitted: SubmittedBuildset) -> Buildset | None:
            made = {request.builder: request.id for request in submitted.requests}
            new = NewJob(
                target=job.target,
                name=job.name,
                version=job.version,
                submitter=by,
                by_grant=job.by_grant,
                buildset=submitted.buildset.id,
                builders={each.architecture: (each.builder, made[each.builder]) for each in job.built},
                scratch=True,
                origin=job.origin,
            )
            numbers.append(job_records.add(connection, new, submitted.buildset.submitted).id)
            return buildsets.get(connection, submitted.buildset.id)

        new = as_before(original, job, [each.builder for each in job.built], "to be compared")
        if same:
            roots = await self._recorded(job, ROOT_ARCHITECTURE)
            self._check_roots(job, roots)
            before = {
                LISTS: await self._lists(job),
                SNAPSHOTS: await self._recorded(job, SNAPSHOT),
                ROOTS_BEFORE: roots,
            }
            said = {name: (value, "Rebuild") for name, value in before.items()}
            new = evolve(new, properties={**new.properties, **said})
        await submit_within_limits(self.farm, new, record, grant)
        # A repeated transaction has appended a number each time; the last one is recorded.
        return numbers[-1]

    async def compare(self, job: Job, other: Job) -> list[dict[str, Any]]:
        """
        The comparison of *job* with its rebuild *other*, for each architecture.  ``verdict``: `SAME`, `DIFFERENT`,
        `INCOMPARABLE` (``reason`` says why), `FAILED` or `RUNNING`; ``files``: the names of packages that differ or
        that one of them lacks; ``alone``: the latter; ``installed``: the lines in which the lists of installed packages
        differ, with "-" or "+" before each; None: one of the lists is missing.

        Only names and digests are compared here, because a package may be made to harm the program that unpacks it.
        Another program, on the user's machine, finds out where packages differ.
        """
        if (job.target, job.name, job.version) != (other.target, other.name, other.version):
            raise RefusedError(f"Job {job.id} is {job.title}, and job {other.id} is {other.title}.")
        results = await self.service.results_of(job, self._target(job))
        again = {each.architecture: each for each in other.built}
        return [
            await self._compared(each.architecture, results, again[each.architecture])
            for each in job.built
            if each.architecture in again
        ]

    def _target(self, job: Job) -> Target:
        target = self.service.targets.get(job.target)
        if target is None:
            raise RefusedError(f"{job.target} is no target in master.cfg any more.")
        return target

    def _check_roots(self, job: Job, roots: Mapping[str, str]) -> None:
        """
        `RefusedError` if none of a builder's slaves runs the root that the builder has in *roots*.
        """
        for name, root in roots.items():
            builder = self.farm.config.builders[name]
            if root not in builder.properties.get(ROOTS, ()):
                # The target has lost the architecture, so the build takes another root.
                continue
            slaves = [self.farm.slaves.get(each) for each in builder.slavenames]
            # A slave that has not said what machine it is may run it.
            if not any(root in (slave.architectures or [root]) for slave in slaves if slave is not None):
                raise RefusedError(
                    f"Job {job.id} cannot be compared: the root of its first build was one of {root}, and no slave of "
                    f"{name} runs programs of that; add one that does, or rebuild it without --compare."
                )

    async def _lists(self, job: Job) -> dict[str, str]:
        results = await self.service.results_of(job, self._target(job))
        return {each.builder: _list_of(results, each.architecture, self.farm.basedir) for each in job.built}

    async def _recorded(self, job: Job, name: str) -> dict[str, str]:
        """
        The property *name* of the builds of *job*, by builder.
        """
        ids = {each.build: each.builder for each in job.built if each.build is not None}

        def read(connection: Connection) -> dict[str, str]:
            found = {ids[id]: builds.get(connection, id) for id in ids}
            return {
                builder: str(build.properties[name][0])
                for builder, build in found.items()
                if build is not None and name in build.properties
            }

        return await self.farm.records.read(read)

    async def _compared(self, architecture: str, results: JobResults, arch: JobArch) -> dict[str, Any]:
        said: dict[str, Any] = {
            "architecture": architecture,
            "verdict": FAILED,
            "files": [],
            "alone": [],
            "installed": None,
            "reason": "",
        }
        if arch.state is not ArchState.DONE:
            ended = arch.state in (ArchState.FAILED, ArchState.KILLED, ArchState.SKIPPED)
            if ended and arch.state is ArchState.FAILED and not _was_built(arch):
                return {**said, "verdict": INCOMPARABLE, "reason": arch.reason}
            return said if ended else {**said, "verdict": RUNNING}
        output = await self.farm.records.read(partial(output_of, arch=arch))
        before = {each.name: each.sha256 for each in results.packages if each.architecture == architecture}
        after = {each.name: each.sha256 for each in output.artifacts if each.name.endswith(PACKAGES)}
        files = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        places = {each.name: each.path for each in output.artifacts}
        old = os.path.join(results.directory, architecture, INSTALLED)
        new = os.path.join(self.farm.stream_storage.artifacts, places.get(INSTALLED, INSTALLED))
        installed = await self.farm.in_thread(partial(_differences, Path(old), Path(new)))
        said |= {"files": files, "alone": sorted(before.keys() ^ after.keys()), "installed": installed}
        if files and installed != []:
            return {**said, "verdict": INCOMPARABLE, "reason": _OTHER_ROOT}
        return {**said, "verdict": DIFFERENT if files else SAME}


def _list_of(results: JobResults, architecture: str, basedir: str) -> str:
    return os.path.relpath(os.path.join(results.directory, architecture, INSTALLED), basedir)


def _was_built(arch: JobArch) -> bool:
    """
    Whether the last build of the architecture got as far as its step ``building``.
    """
    states = [state for state, _ in arch.history]
    last = max((place for place, state in enumerate(states) if state == ArchState.WAITING), default=0)
    return ArchState.BUILDING in states[last:]


def _differences(old: Path, new: Path) -> list[str] | None:
    try:
        before, after = _lines(old), _lines(new)
    except OSError:
        return None
    lines = [f"-{each}" for each in sorted(before - after)] + [f"+{each}" for each in sorted(after - before)]
    return lines[:MOST_SHOWN]


def _lines(path: Path) -> set[str]:
    with path.open("rb") as file:
        return set(file.read(LARGEST_INSTALLED).decode("utf-8", "replace").splitlines())
