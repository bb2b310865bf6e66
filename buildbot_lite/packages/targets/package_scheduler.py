"""
The scheduler of a target: what a submitted file becomes.

::

    a source package ──► examined, planned ──► a job, and builds of its packages
    a revision in git ──► a job, and the build that makes its source package (then: made_source)
"""

from collections.abc import Mapping
from typing import IO, ClassVar

from sqlalchemy import Connection

from ...errors import InputError
from ...master.config.submit_scheduler import Examination, Submit
from ...model.json_reader import JsonReader
from ...model.properties import Json
from ...storage.records import grants
from ..building.git_sources import name_of_address
from ..building.steps import BUILT_AFTER, SINGLE_FILE
from ..formats.git_request import REPOSITORY, REVISION, GitRequest, read_request
from ..formats.submitted_package import SubmittedPackage, examine
from ..records import chain_records
from ..records.job_options import AFTER, MOST_PRIORITY, SOURCES, JobOptions
from ..records.job_states import BEFORE_SOURCE
from ..records.jobs import SOURCE, Origin
from .job_recording import JobRecording
from .target import Target

OF_SOURCE = " (source)"
"""Appended to the scheduler's name in the records of builds that make a source package.  So a `Dependent` of the
scheduler, which waits for packages, does not take these builds for theirs."""


class PackageScheduler(Submit):
    """
    Takes source packages for a *target*, and submits builds for the architectures of its plan.
    """

    examines: ClassVar[bool] = True

    def __init__(self, target: Target, name: str) -> None:
        builders = [builder.name for builder in target.all_builders]
        super().__init__(name, builders, stdin="file", file="file")
        self.target = target

    @property
    def most_requests(self) -> int:
        return len(self.target.builders)

    def resolve(self, connection: Connection, options: Mapping[str, Json], grant: int) -> Mapping[str, Json]:
        limits = grants.get(connection, grant)
        most = None if limits is None else limits.most_priority
        # The master sets this, whatever the submitter sends.
        options = {**options, MOST_PRIORITY: self.priority if most is None else most}
        reader = JsonReader(dict(options), "the options")
        if not reader.has(AFTER):
            return options
        self.target.check_chain()
        before = chain_records.before(connection, reader.integer(AFTER, least=1), self.target.name, grant)
        for each in before:
            making = each.state in BEFORE_SOURCE
            if each.origin is not None and making and not self.target.sources.name_in(each.origin.repository):
                raise InputError(f"The source package of job {each.id} is not made yet, so its name is not known.")
        return {**options, SOURCES: list(dict.fromkeys(each.name for each in before))}

    def examine(self, file: IO[bytes], options: Mapping[str, Json]) -> Examination:
        asked = JobOptions.read(options, self.priority)
        request = read_request(file)
        return self._of_package(examine(file), asked) if request is None else self._from_git(request, asked)

    def _of_package(self, found: SubmittedPackage, asked: JobOptions) -> Examination:
        self.target.check_source(found)
        package, plan = found.package, self.target.plan(found.package)
        builders = {arch: builder.name for arch, builder in self.target.builders_of(plan).items()}
        properties: dict[str, Json] = {"package": package.name, "package_version": package.full_version}
        if not found.main:
            properties[SINGLE_FILE] = package.source_rpm
        return Examination(
            title=str(package),
            builders=list(builders.values()),
            skipped=plan.skipped,
            properties={**properties, **_built_after(asked), **self.target.properties(plan)},
            record=JobRecording(
                target=self.target.name,
                name=package.name,
                version=package.full_version,
                asked=asked,
                builders=builders,
                skipped=plan.skipped,
                about=f" ({', '.join(builders)})",
            ),
            priority=asked.priority,
        )

    def _from_git(self, request: GitRequest, asked: JobOptions) -> Examination:
        address = self.target.sources.address(request, self.target.name)
        builder = self.target.source_builder
        assert builder is not None  # there are sources
        name = request.package or self.target.sources.name_in(address) or name_of_address(address)
        properties = {"package": name, REPOSITORY: address, REVISION: request.revision}
        return Examination(
            title=f"{name} {request.revision}",
            builders=[builder.name],
            skipped={},
            properties={**properties, **_built_after(asked)},
            record=JobRecording(
                target=self.target.name,
                name=name,
                # No package has a version with a space, so no package's results can be taken for this job's.
                version=f"at {request.revision}",
                asked=asked,
                builders={SOURCE: builder.name},
                origin=Origin(address, request.revision),
                about=f", from {address}",
            ),
            priority=asked.priority,
            recorded_as=f"{self.name}{OF_SOURCE}",
            keeps_file=False,
            becomes=len(self.target.builders),
        )


def _built_after(asked: JobOptions) -> Mapping[str, Json]:
    """
    The property with the packages before it in its chain, if there are any.
    """
    return {BUILT_AFTER: list(asked.sources)} if asked.sources else {}
