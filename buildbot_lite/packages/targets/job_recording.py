"""
The job of a submission, recorded in the transaction of its requests.
"""

from collections.abc import Mapping

from attrs import field, frozen
from sqlalchemy import Connection

from ...master.config.submit_scheduler import RecordedSubmission
from ...storage.records.requests import SubmittedBuildset
from ..records import chain_records, job_records
from ..records.job_options import JobOptions
from ..records.jobs import NewJob, Origin


@frozen(kw_only=True)
class JobRecording:
    """
    The job that a submission to *target* becomes, with the options *asked* for.  It is the `Examination.record` of the
    submission.

    *builders*: the builder of each architecture.  *skipped*: architecture → reason.  *origin*: of a job whose source
    package is to be made first.  *about*: what the submitter reads after the title of the job and its target.
    """

    target: str
    name: str
    version: str
    asked: JobOptions
    builders: Mapping[str, str]
    skipped: Mapping[str, str] = field(factory=dict)
    origin: Origin | None = None
    about: str

    def __call__(self, connection: Connection, submitted: SubmittedBuildset, submitter: str) -> RecordedSubmission:
        """
        Record the job, by *submitter*, to which the requests in *submitted* belong.
        """
        requests = {request.builder: request.id for request in submitted.requests}
        buildset = submitted.buildset
        new = NewJob(
            target=self.target,
            name=self.name,
            version=self.version,
            submitter=submitter,
            by_grant=buildset.by_grant,
            buildset=buildset.id,
            builders={arch: (builder, requests[builder]) for arch, builder in self.builders.items()},
            skipped=self.skipped,
            scratch=self.asked.scratch,
            priority=self.asked.priority,
            after_job=self.asked.after,
            origin=self.origin,
        )
        job = job_records.add(connection, new, buildset.submitted)
        # The build that makes a source package waits for no other job.
        if self.origin is None:
            chain_records.tell(connection, job, buildset.submitted)
        after = "" if self.asked.after is None else f", after job {self.asked.after}"
        return RecordedSubmission(f"{job.title} for {self.target}{self.about}{after}", job.id)
