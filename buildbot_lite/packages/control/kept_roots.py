"""
Where the root of a build that failed is kept, as far as the master knows.

A slave removes a root earlier to make room for others.  Then its own sentence says so, when somebody tries to enter.
"""

from functools import partial
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError, RefusedError
from ...master.farm import Farm
from ...model.hello import Hello
from ...storage.records import builds
from ...storage.records.builds import Build
from ...wire.roles import Slave
from ...wire.shells import ShellHost
from ..building.kept_roots import KEPT, KEPT_FOR, kept_name
from ..building.overlay import overlay
from ..building.root import MOST_HOURS
from ..records.job_states import ArchState
from ..records.jobs import Job, JobArch, arches_by_name
from ..service.job_service import JobService


@frozen
class KeptRoot:
    """
    The root of *build*, which was to build *job* for *architecture*.  *until*: seconds since 1970.
    """

    job: Job
    architecture: str
    build: Build
    until: float

    def document(self) -> dict[str, Any]:
        """
        The kept root as a JSON object, for lists that people read.
        """
        return {
            "job": self.job.id,
            "title": self.job.title,
            "target": self.job.target,
            "architecture": self.architecture,
            "builder": self.build.builder,
            "number": self.build.number,
            "slave": self.build.slave,
            "until": self.until,
        }

    def entering(self, words: tuple[str, ...], term: str) -> tuple[str, ...]:
        """
        The words that run *words* (none: a shell) in the root, from the slave's ``work``.  *term*: the kind of the
        terminal.
        """
        enter = overlay("enter", KEPT, kept_name(self.build.builder, self.build.number), *words)
        return ("env", f"TERM={term}", *enter)


async def kept_root(farm: Farm, service: JobService, job: Job, architecture: str) -> KeptRoot:
    """
    The root of the latest build of *job* for *architecture*.  A `RefusedError` says why there is none.
    """
    arch = arches_by_name(job).get(architecture)
    if arch is None or arch.state is ArchState.SKIPPED:
        built = ", ".join(each.architecture for each in job.ordered)
        raise NotFoundError(f"{job.title} is not built for {architecture!r:.100}, but for {built}.")
    build = await farm.records.read(partial(_build, arch=arch))
    if arch.state is not ArchState.FAILED or build is None or build.finished is None:
        raise RefusedError(
            f"{job.title} has not failed for {architecture}: it is {arch.state}.  Only the roots of builds that failed "
            "are kept."
        )
    seconds = _permitted(service, job)
    if not seconds:
        raise RefusedError(
            f"The target {job.target} keeps no roots.  To keep those of the next builds that fail, give it "
            f"a root with keep_failed=HOURS in master.cfg; then: buildbot-lite package requeue {job.id}"
        )
    kept = KeptRoot(job, architecture, build, build.finished + min(seconds, _recorded(build) or seconds))
    if kept.until <= farm.wall():
        raise RefusedError(
            f"The root of {job.title} for {architecture} is not kept any more: its time is over.  To build it again: "
            f"buildbot-lite package requeue {job.id}"
        )
    return kept


def kept_until(connection: Connection, service: JobService, job: Job, arch: JobArch) -> float | None:
    """
    Seconds since 1970 until when, at most, a slave keeps the root of the latest build of *job* for *arch*; None if that
    build did not fail, or if its root was not kept.
    """
    build = _build(connection, arch) if arch.state is ArchState.FAILED else None
    seconds = 0.0 if build is None else min(_permitted(service, job), _recorded(build))
    return build.finished + seconds if build is not None and build.finished is not None and seconds else None


def shell_host(farm: Farm, kept: KeptRoot) -> tuple[Slave, ShellHost]:
    """
    The link to the slave that keeps the root, in both of its roles.  A `RefusedError` says why no shell can be opened
    there.
    """
    name = kept.build.slave
    member = farm.slaves.get(name)
    if member is None:
        raise RefusedError(f"The root is on {name}, which is no longer a slave of this farm.")
    link, hello = member.session.link, member.session.hello
    if link is None or hello is None:
        raise RefusedError(f"The root is on {name}, which is not connected now.  Try again when it is back.")
    _check(name, kept, hello)
    if not isinstance(link, ShellHost):
        raise RefusedError(f"The root is on {name}, which opens no shells.")
    return link, link


def _check(name: str, kept: KeptRoot, hello: Hello) -> None:
    if hello.home != kept.build.home:
        raise RefusedError(
            f"{name} has another directory now than when it built, and the root is not there.  To build it again: "
            f"buildbot-lite package requeue {kept.job.id}"
        )
    if hello.shells is None:
        raise RefusedError(
            f"The root is on {name}, whose buildbot_lite is too old for shells over the link.  Upgrade it, or run on "
            f"that machine: buildbot-lite package shell {kept.build.builder}/{kept.build.number} --slave DIRECTORY"
        )
    if not hello.shells:
        raise RefusedError(
            f"The root is on {name}, whose owner permits no shells.  Ask the owner to add shells=True to its slave.tac "
            "and to restart it."
        )


def _build(connection: Connection, arch: JobArch) -> Build | None:
    return None if arch.build is None else builds.get(connection, arch.build)


def _permitted(service: JobService, job: Job) -> float:
    """
    Seconds for which the target of *job* keeps roots now.
    """
    target = service.targets.get(job.target)
    return 0.0 if target is None else target.root.keep_failed


def _recorded(build: Build) -> float:
    """
    Seconds for which the slave said that it keeps the root of *build*; 0 if it did not.
    """
    seconds = build.properties.get(KEPT_FOR, [None])[0]
    return float(seconds) if isinstance(seconds, int) and 0 < seconds <= MOST_HOURS * 3600 else 0.0
