"""
Jobs of packages as values, as the records have them.

A job exists before its builds begin, waits after them (for a signature, perhaps for days), and has further builds after
a ``requeue``.  Each state that it had is in its history, with the time.
"""

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from .job_states import ArchState, JobState

SOURCE = "source"
"""The architecture, as Debian calls it, of the build that makes the source package of a job from a git repository."""

JOB_NUMBER = "package_job"
"""The property of builds with the number of their job."""

History = tuple[tuple[str, float], ...]
"""States and the times, in seconds since 1970, when they began."""


@frozen
class Origin:
    """
    The origin of a source package that the farm made: *revision* in the git repository at the address *repository*.
    *commit*: the commit that was checked out; "" until then.
    """

    repository: str
    revision: str
    commit: str = ""


@frozen
class JobArch:
    """
    One architecture of a job.

    *builder*, *request*, *build* (a row): what builds it; "" and None for one that is skipped.  *reason*: why it is
    skipped, failed, or was killed.
    """

    job: int
    architecture: str
    place: int
    builder: str
    request: int | None
    build: int | None
    state: ArchState
    reason: str
    history: History


@frozen
class Job:
    """
    A job: one source package at one target.

    *version*: of the source package, with epoch and release.  *built_version*: that of the packages, with what the
    target appends; None until they are built, and for jobs that were built by versions before 0.2.  *submitter*: the
    label of the grant *by_grant*, or the target's name.  *buildset*: the first one that builds its packages; until
    there is a source package, the one that makes it.  *reason*: why it failed, was killed, or cannot go on.  Times are
    seconds since 1970; *changed*: since when it is in its state.  *origin*: None if the source package was submitted.
    Until the farm has made the source package, *version* is "at" and the revision.  *after_job*: the number of the job
    before it in its chain; None: it is built after no other.
    """

    id: int
    target: str
    name: str
    version: str
    submitter: str
    by_grant: int | None
    scratch: bool
    priority: int
    buildset: int
    state: JobState
    reason: str
    created: float
    changed: float
    finished: float | None
    history: History
    after_job: int | None = None
    origin: Origin | None = None
    built_version: str | None = None
    arches: tuple[JobArch, ...] = ()

    @property
    def title(self) -> str:
        """
        Number, package and version, for people.
        """
        return f"{self.numbered}{self.name} {self.shown_version}"

    @property
    def numbered(self) -> str:
        """
        What every `title` of the job begins with.
        """
        return f"job {self.id}: "

    @property
    def shown_version(self) -> str:
        """
        The version for people: of the packages, once they are built.
        """
        return self.built_version or self.version

    @property
    def built(self) -> tuple[JobArch, ...]:
        """
        The architectures that are not skipped.
        """
        left_out = (ArchState.SKIPPED,)
        return tuple(each for each in self.arches if each.state not in left_out and each.architecture != SOURCE)

    @property
    def source(self) -> JobArch | None:
        """
        The build that makes the source package; None where that was submitted.
        """
        return next((each for each in self.arches if each.architecture == SOURCE), None)

    @property
    def ordered(self) -> tuple[JobArch, ...]:
        """
        All architectures and the source package for which builds were requested.
        """
        return self.built if self.source is None else (self.source, *self.built)


@frozen(kw_only=True)
class NewJob:
    """
    A job to record.  *builders*: architecture → builder and request.  *skipped*: architecture → reason.  *origin*: for
    one whose source is to be made first, or was made from git for another job.  *after_job*: the job before it in
    its chain.
    """

    target: str
    name: str
    version: str
    submitter: str
    by_grant: int | None
    buildset: int
    builders: Mapping[str, tuple[str, int]]
    skipped: Mapping[str, str] = field(factory=dict)
    scratch: bool = False
    priority: int = 0
    after_job: int | None = None
    origin: Origin | None = None


@frozen(kw_only=True)
class JobFilter:
    """
    Which jobs a list has; None: any.  *active*: only those that have not ended.
    """

    target: str | None = None
    state: str | None = None
    name: str | None = None
    submitter: str | None = None
    by_grant: int | None = None
    active: bool = False


def arches_by_name(job: Job) -> Mapping[str, JobArch]:
    """
    The architectures of *job* by name.
    """
    return {each.architecture: each for each in job.arches}


def names_of(arches: Sequence[JobArch]) -> str:
    """
    The names of *arches*, for a sentence.
    """
    return ", ".join(each.architecture for each in arches)
