"""
The scheduler of a target: what a submitted file becomes.

::

    a source package ──► examined, planned ──► a job, and builds of its packages
    a revision in git ──► a job, and the build that makes its source package (then: made_source)
"""

from collections.abc import Mapping
from functools import partial
from typing import IO, ClassVar

from sqlalchemy import Connection

from ...errors import InputError
from ...master.config.schedulers import Examination, RecordedSubmission, Submit
from ...model.json_reader import JsonReader
from ...model.properties import Json
from ...storage.records import grants
from ...storage.records.requests import SubmittedBuildset
from ..building.git_sources import name_of_address
from ..building.steps import BUILT_AFTER, SINGLE_FILE
from ..formats.git_request import REPOSITORY, REVISION, GitRequest, read_request
from ..formats.submitted_package import examine
from ..records import chain_records, job_records
from ..records.job_options import AFTER, MOST_PRIORITY, SOURCES, JobOptions
from ..records.job_states import BEFORE_SOURCE
from ..records.jobs import SOURCE, NewJob, Origin
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
        reader = JsonReader(dict(options), "options")
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
        if request is not None:
            return self._from_git(request, asked)
        found = examine(file)
        self.target.check_source(found)
        plan = self.target.plan(found.package)
        builders = {arch: builder.name for arch, builder in self.target.builders_of(plan).items()}
        package = found.package
        properties: dict[str, Json] = {"package": package.name, "package_version": package.full_version}
        if asked.sources:
            properties[BUILT_AFTER] = list(asked.sources)
        if not found.main:
            properties[SINGLE_FILE] = package.source_rpm

        def record(connection: Connection, submitted: SubmittedBuildset, submitter: str) -> RecordedSubmission:
            requests = {request.builder: request.id for request in submitted.requests}
            new = NewJob(
                target=self.target.name,
                name=package.name,
                version=package.full_version,
                submitter=submitter,
                by_grant=submitted.buildset.by_grant,
                buildset=submitted.buildset.id,
                builders={arch: (builder, requests[builder]) for arch, builder in builders.items()},
                skipped=plan.skipped,
                scratch=asked.scratch,
                priority=asked.priority,
                after_job=asked.after,
            )
            job = job_records.add(connection, new, submitted.buildset.submitted)
            chain_records.tell(connection, job, submitted.buildset.submitted)
            after = "" if asked.after is None else f", after job {asked.after}"
            return RecordedSubmission(f"{job.title} for {self.target.name} ({', '.join(builders)}){after}", job.id)

        return Examination(
            title=str(package),
            builders=list(builders.values()),
            skipped=plan.skipped,
            properties={**properties, **self.target.properties(plan)},
            record=record,
            priority=asked.priority,
        )

    def _from_git(self, request: GitRequest, asked: JobOptions) -> Examination:
        address = self.target.sources.address(request, self.target.name)
        builder = self.target.source_builder
        assert builder is not None  # there are sources
        name = request.package or self.target.sources.name_in(address) or name_of_address(address)
        new = partial(
            NewJob,
            target=self.target.name,
            name=name,
            # No package has a version with a space, so no package's results can be taken for this job's.
            version=f"at {request.revision}",
            origin=Origin(address, request.revision),
            scratch=asked.scratch,
            priority=asked.priority,
            after_job=asked.after,
        )

        def record(connection: Connection, submitted: SubmittedBuildset, submitter: str) -> RecordedSubmission:
            (made,) = submitted.requests
            buildset = submitted.buildset
            job = job_records.add(
                connection,
                new(
                    submitter=submitter,
                    by_grant=buildset.by_grant,
                    buildset=buildset.id,
                    builders={SOURCE: (builder.name, made.id)},
                ),
                buildset.submitted,
            )
            after = "" if asked.after is None else f", after job {asked.after}"
            return RecordedSubmission(f"{job.title} for {self.target.name}, from {address}{after}", job.id)

        return Examination(
            title=f"{name} {request.revision}",
            builders=[builder.name],
            skipped={},
            properties={
                "package": name,
                REPOSITORY: address,
                REVISION: request.revision,
                **({BUILT_AFTER: list(asked.sources)} if asked.sources else {}),
            },
            record=record,
            priority=asked.priority,
            recorded_as=f"{self.name}{OF_SOURCE}",
            keeps_file=False,
            becomes=len(self.target.builders),
        )
