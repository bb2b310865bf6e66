"""
Mail to submitters about the end of their jobs.

The first `MailNotifier` of ``c['services']`` sends it, to the address in the label of the grant with which the job was
submitted; without an address there, nobody gets mail.  That the ``repo_script`` failed after a job had become public is
also told to its ``extraRecipients``: the script is the admin's.  The number of the last event that was considered is
recorded with the messages that followed from it, so that no message is lost or stored twice.
"""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field
from sqlalchemy import Connection
from twisted.logger import Logger

from ...deferreds import RepeatedWork
from ...master.farm import Farm
from ...model.display import printable
from ...status.reporters.details import log_tail, page_of
from ...status.reporters.mail import MailNotifier
from ...storage.records import builds, feed, outbox, states, steps
from ...storage.records.feed import Event
from ..records import job_records
from ..records.job_records import EVENT
from ..records.job_states import ENDS, ArchState, JobState
from ..records.jobs import Job, JobArch

EVENTS_AT_ONCE = 500

_OWNER = "package-mail"
_LOGS_THAT_MATTER = {"building": "build.log", "make_srpm": "make_srpm", "prepping": "root.log", "checkout": "checkout"}


@define(eq=False)
class JobMail:
    """
    The mail about jobs of *farm*.
    """

    farm: Farm
    _log: Logger = field(factory=Logger)
    _unsubscribe: Callable[[], None] = lambda: None
    _storing: RepeatedWork = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._storing = RepeatedWork(self._store_all, self._log, "mail about jobs")

    async def start(self) -> None:
        """
        Begin, with the jobs that ended since the last event that was considered.
        """
        self._unsubscribe = self.farm.records.on_commit(self._committed)
        await self.farm.records.write(partial(_begin, now=self.farm.wall()))
        self._storing.ask()

    def stop(self) -> None:
        """
        Store no more messages.
        """
        self._unsubscribe()

    def _committed(self, events: Sequence[Event]) -> None:
        if any(event.kind == EVENT for event in events):
            self._storing.ask()

    async def _store_all(self) -> None:
        while await self.farm.records.write(self._store_some):
            pass

    def _store_some(self, connection: Connection) -> bool:
        """
        Store the messages that follow from the next events; False: there are no more.
        """
        seq = int((states.get(connection, _OWNER) or {"seq": 0})["seq"])
        events = feed.since(connection, seq, most=EVENTS_AT_ONCE)
        if not events:
            return False
        now, notifier = self.farm.wall(), self._notifier()
        stored = [
            self._store(connection, notifier, event, now)
            for event in events
            if notifier is not None and event.kind == EVENT and event.body["state"] in ENDS
        ]
        if any(stored):
            feed.publish(connection, outbox.ADDED, now=now)
        states.put(connection, _OWNER, {"seq": events[-1].seq}, now)
        return True

    def _notifier(self) -> MailNotifier | None:
        services = self.farm.config.services.values()
        return next((each for each in services if isinstance(each, MailNotifier)), None)

    def _store(self, connection: Connection, notifier: MailNotifier, event: Event, now: float) -> bool:
        job = job_records.get(connection, int(event.body["job"]))
        if job is None:
            return False
        title = printable(f"{job.name} {job.shown_version} for {job.target}: {event.body['state']} (job {job.id})")
        text = text_of(connection, job, self.farm.stream_storage.streams, self.farm.config.buildbot_url)
        body = notifier.compose_for(job.submitter, title, text, to_extra=_script_failed(job))
        if body is None:
            return False
        key = f"package-job-{job.id}-{event.seq}"
        return outbox.add(connection, reporter=notifier.name, key=key, subject=f"job {job.id}", body=body, now=now)


def text_of(connection: Connection, job: Job, logs: str, url: str | None) -> str:
    """
    The text of a mail about *job*: the states of its architectures, and the end of the log of the first that failed.
    *logs*: the directory of the logs.  *url*: where the farm's pages begin; with it, each build has the address of its
    page.
    """
    lines = [printable(f"Job {job.id}, {job.name} {job.shown_version} for {job.target}, is {job.state}.")]
    if job.reason:
        lines += ["", printable(job.reason)]
    width = max((len(each.architecture) for each in job.arches), default=0)
    lines += ["", *(_line(each, width) for each in job.arches)]
    failed = next((each for each in job.arches if each.state is ArchState.FAILED), None)
    log, tail = ("", "") if failed is None else log_that_matters(connection, failed, logs)
    if failed is not None and tail:
        lines += ["", f"The last lines of {log} for {failed.architecture}:", ""]
        lines += [f"  {each}" for each in tail.split("\n")]
    lines += ["", *_where_more_is(connection, job, url)]
    return "".join(f"{line}\n" for line in lines)


def _where_more_is(connection: Connection, job: Job, url: str | None) -> list[str]:
    # No watch string, because others can read mail on its way; and only commands that the string of a target permits.
    lines = [f"To see more: buildbot-lite package show {job.id}"]
    if url is not None:
        found = [builds.get(connection, each.build) for each in job.arches if each.build is not None]
        lines += [page_of(url, build) for build in found if build is not None]
    return lines


def log_that_matters(connection: Connection, arch: JobArch, logs: str) -> tuple[str, str]:
    """
    The name of the log that most likely shows why *arch* failed, and the last lines of that log: build.log if the build
    had begun, or else root.log.  For a source package: the log of the step that makes it, or of the checkout.
    """
    numbers = {step.name: step.number for step in steps.of_build(connection, arch.build or 0)}
    for step, log in _LOGS_THAT_MATTER.items():
        if step in numbers and (tail := log_tail(connection, logs, arch.build or 0, numbers[step])):
            return log, tail
    return "", ""


def _script_failed(job: Job) -> bool:
    """
    Whether *job* is public, and what follows on that failed.
    """
    return (
        bool(job.reason) and job.state is JobState.FINISHED and any(each == JobState.PUSHED for each, _ in job.history)
    )


def _line(arch: JobArch, width: int) -> str:
    reason = f": {printable(arch.reason)}" if arch.reason else ""
    return f"{arch.architecture:{width}}  {arch.state}{reason}"


def _begin(connection: Connection, now: float) -> None:
    if states.get(connection, _OWNER) is None:
        states.put(connection, _OWNER, {"seq": feed.last(connection)}, now)
