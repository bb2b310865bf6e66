"""
Questions about jobs and targets, from the holders of FURLs.

The holder of a target's FURL sees and changes the jobs that were submitted with that FURL.  The holder of a `JOBS_VERB`
FURL sees and changes all jobs of one target.  The holder of a `SHELL_VERB` FURL sees the jobs whose roots it permits to
enter.  A FURL to watch the farm shows all jobs; one to control it, or an admin's, changes them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ...control.questions import Answer, Question
from ...master.farm import Farm
from ...master.grants.verbs import ADMIN, CONTROL, SUBMIT, WATCH, Expose, Verb
from ...model.json_reader import JsonReader
from ...storage.records.grants import Grant
from ..records import job_lists, job_records
from ..records.job_documents import of_job, of_target
from ..records.jobs import Job, JobFilter
from ..service.job_service import JobService
from ..service.paused import paused_targets
from ..service.served_targets import no_target
from .job_actions import LONGEST_PAUSE_REASON, JobActions, no_job
from .kept_roots import kept_until
from .rebuilding import Rebuilding

JOBS_VERB = "jobs"
"""The verb of FURLs for all jobs of one target."""
SHELL_VERB = "shell"
"""The verb of FURLs for shells in the roots of builds that failed; their object: "TARGET", or "TARGET GRANT"."""
MOST_JOBS = 200
"""Jobs of one answer."""


@frozen
class JobQuestions:
    """
    The questions about the jobs of *service* on *farm*.
    """

    farm: Farm
    service: JobService

    def questions(self) -> Sequence[Question]:
        own, everybody = (
            frozenset({SUBMIT, JOBS_VERB, CONTROL}),
            frozenset({SUBMIT, JOBS_VERB, WATCH, CONTROL, SHELL_VERB}),
        )
        of_targets = frozenset({JOBS_VERB, CONTROL})
        return (
            Question(name="package-list", answer=self._list, verbs=everybody),
            Question(name="package-show", answer=self._show, verbs=everybody),
            Question(name="package-targets", answer=self._targets, verbs=everybody),
            Question(name="package-kill", answer=self._kill, verbs=own, changes=True),
            Question(name="package-requeue", answer=self._requeue, verbs=own, changes=True),
            Question(name="package-rebuild", answer=self._rebuild, verbs=own, changes=True),
            Question(name="package-compare", answer=self._compare, verbs=everybody),
            Question(name="package-finish", answer=self._finish, verbs=of_targets, changes=True),
            Question(name="package-pause", answer=self._pause, verbs=of_targets, changes=True),
            Question(name="package-unpause", answer=self._unpause, verbs=of_targets, changes=True),
        )

    async def _list(self, grant: Grant, question: JsonReader) -> Answer:
        most = question.integer("most", 20, least=1, most=MOST_JOBS)
        before = question.optional("before", question.integer)
        only, target = self.target_of(grant), question.optional("target", partial(question.text, limit=80))
        if None not in (only, target) and only != target:
            return {"jobs": [], "before": None}
        wanted = JobFilter(
            target=only or target,
            state=question.optional("state", partial(question.text, limit=20)),
            submitter=question.optional("submitter", partial(question.text, limit=200)),
            by_grant=_only_of(grant),
            active=question.flag("active", default=False),
        )
        found = await self._documents(lambda connection: job_lists.page(connection, wanted, most, before))
        return {"jobs": found, "before": found[-1]["job"] if len(found) == most else None}

    async def _show(self, grant: Grant, question: JsonReader) -> Answer:
        request = question.optional("request", partial(question.integer, least=1))
        job = await (self.permitted_job(grant, question) if request is None else self._of_request(grant, request))
        (document,) = await self._documents(lambda connection: [job_records.get(connection, job.id) or job])
        return {"job": document}

    async def _targets(self, grant: Grant, question: JsonReader) -> Answer:
        def read(connection: Connection) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
            return job_lists.counts(connection), paused_targets(connection)

        counts, paused = await self.farm.records.read(read)
        only = self.target_of(grant)
        return {
            "targets": [
                of_target(target, counts.get(name, {}), paused.get(name), self.service.trouble(name))
                for name, target in self.service.targets.items()
                if only in (None, name)
            ]
        }

    async def _kill(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.permitted_job(grant, question)
        return {"job": job.id, "state": (await self._actions.kill(job.id, who(grant))).state}

    async def _requeue(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.permitted_job(grant, question)
        again, arches = await self._actions.requeue(job.id, _limited(grant))
        return {"job": job.id, "state": again.state, "architectures": list(arches)}

    async def _rebuild(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.permitted_job(grant, question)
        rebuilding = Rebuilding(self.farm, self.service)
        same = question.flag("same", default=False)
        return {"job": job.id, "rebuild": await rebuilding.rebuild(job, who(grant), _limited(grant), same=same)}

    async def _compare(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.permitted_job(grant, question)
        other = await self.permitted_job(grant, question, "rebuild")
        return {"job": job.id, "arches": await Rebuilding(self.farm, self.service).compare(job, other)}

    async def _finish(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.permitted_job(grant, question)
        return {"job": job.id, "state": (await self._actions.finish(job.id, who(grant))).state}

    async def _pause(self, grant: Grant, question: JsonReader) -> Answer:
        target = self._named_target(grant, question)
        reason = question.prose("reason", "", limit=LONGEST_PAUSE_REASON)
        await self._actions.pause(target, reason, who(grant))
        return {"target": target}

    async def _unpause(self, grant: Grant, question: JsonReader) -> Answer:
        target = self._named_target(grant, question)
        await self._actions.unpause(target)
        return {"target": target}

    @property
    def _actions(self) -> JobActions:
        return JobActions(self.farm, self.service)

    async def permitted_job(self, grant: Grant, question: JsonReader, name: str = "job") -> Job:
        """
        The job that *question* names; `NotFoundError` if there is none that the holder of *grant* may see.
        """
        number = question.integer(name, least=1)
        job = await self.farm.records.read(lambda connection: job_records.get(connection, number))
        return self._permitted(grant, job, number)

    async def _of_request(self, grant: Grant, request: int) -> Job:
        job = await self.farm.records.read(lambda connection: job_records.of_request(connection, request))
        return self._permitted(grant, job, 0)

    def _permitted(self, grant: Grant, job: Job | None, number: int) -> Job:
        only, only_of = self.target_of(grant), _only_of(grant)
        if job is None or only not in (None, job.target) or only_of not in (None, job.by_grant):
            raise no_job(number)
        return job

    def target_of(self, grant: Grant) -> str | None:
        """
        The only target whose jobs the holder of *grant* may see; None: all.
        """
        if grant.verb == SHELL_VERB:
            return grant.object.partition(" ")[0]
        if grant.verb not in (SUBMIT, JOBS_VERB):
            return None
        targets = self.service.targets.values()
        aliases = {name: target.name for target in targets for name in target.names}
        return aliases.get(grant.object, grant.object)

    def _named_target(self, grant: Grant, question: JsonReader) -> str:
        name = question.text("target", limit=80)
        if name not in self.service.targets or self.target_of(grant) not in (None, name):
            raise no_target(name, self.service.targets)
        return name

    async def _documents(self, read: Callable[[Connection], Sequence[Job]]) -> list[dict[str, Any]]:
        why = self.farm.dispatcher.why
        found = await self.farm.records.read(lambda connection: [self._of(connection, job) for job in read(connection)])
        for document in found:
            for arch in document["arches"]:
                waits = why(arch["request"]) if arch["state"] == "waiting" and arch["request"] is not None else None
                if waits is not None:
                    arch["reason"] = waits.sentence
        return found

    def _of(self, connection: Connection, job: Job) -> dict[str, Any]:
        document, now = of_job(connection, job), self.farm.wall()
        for arch, shown in zip(job.arches, document["arches"], strict=True):
            until = kept_until(connection, self.service, job, arch)
            shown["kept_until"] = until if until is not None and until > now else None
        return document


def jobs_verb(service: JobService, expose: Expose) -> Verb:
    """
    The verb of FURLs for all jobs of a target.  *expose*: makes what they lead to.
    """

    async def designate(name: str) -> tuple[str, str]:
        if name not in service.targets:
            raise no_target(name, service.targets)
        return name, name

    return Verb(JOBS_VERB, expose, designate, preauth=True, counts_lookups=True, takes="TARGET")


def _limited(grant: Grant) -> Grant | None:
    return grant if grant.verb == SUBMIT else None


def _only_of(grant: Grant) -> int | None:
    """
    The grant with which a job must have been submitted for the holder of *grant* to see it; None: any.
    """
    if grant.verb == SHELL_VERB:
        number = grant.object.partition(" ")[2]
        return int(number) if number else None
    return grant.id if grant.verb == SUBMIT else None


def who(grant: Grant) -> str:
    """
    The holder of *grant*, for people.
    """
    return grant.label or ("the admin" if grant.verb == ADMIN else grant.name)
