"""
What the builds of a job left: files, such as packages, ``.buildinfo`` and the list of installed packages, and logs.

The submitter of a job, and the holder of a string for the jobs of its target or for the farm, may see the job and have
both, which come from the submitted source.  A string for shells does not permit that.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ...control.questions import Answer, Question, Sending, SendingLog
from ...errors import NotFoundError
from ...master.farm import Farm
from ...master.grants.verbs import CONTROL, SUBMIT, WATCH
from ...model.json_reader import JsonReader
from ...model.suggestions import did_you_mean
from ...status.build_documents import of_artifacts, the_artifact
from ...status.log_output import LogQuery, send_file
from ...status.send_window import SendWindow
from ...storage.records import builds
from ...storage.records.builds import Build
from ...storage.records.grants import Grant
from ..records.jobs import Job
from .job_questions import JOBS_VERB, JobQuestions

VERBS = frozenset({SUBMIT, JOBS_VERB, WATCH, CONTROL})


@frozen
class JobFiles:
    """
    The files of jobs on *farm*.  *jobs*: the questions about jobs, which say who may see which.
    """

    farm: Farm
    jobs: JobQuestions

    def questions(self) -> Sequence[Question]:
        """
        The lists.
        """
        return (Question(name="package-files", answer=self._list, verbs=VERBS),)

    def sendings(self) -> Sequence[Sending | SendingLog]:
        """
        The contents, and the logs.
        """
        return (
            Sending(name="package-file", send=self._send, verbs=VERBS),
            SendingLog(name="package-log", query=self._log, verbs=VERBS),
        )

    async def _list(self, grant: Grant, question: JsonReader) -> Answer:
        job = await self.jobs.permitted_job(grant, question)
        return {"state": job.state.value, "files": await self.farm.records.read(partial(_files, job=job))}

    async def _send(self, grant: Grant, question: JsonReader, output: SendWindow) -> Answer:
        job = await self.jobs.permitted_job(grant, question)
        architecture = question.text("architecture", limit=80)
        name = question.text("name", limit=1024)

        def read(connection: Connection) -> Any:
            found = _builds(connection, job)
            if architecture not in found:
                raise NotFoundError(f"{job.title} has no files for {architecture!r:.100}, but for {', '.join(found)}.")
            artifacts = _artifacts(connection, found[architecture])
            if name not in artifacts:
                raise NotFoundError(
                    f"{job.title} has no file {name!r:.200} for {architecture}.{did_you_mean(name, artifacts)}"
                )
            return the_artifact(connection, found[architecture], artifacts[name]["name"])

        stream = await self.farm.records.read(read)
        await send_file(os.path.join(self.farm.stream_storage.artifacts, stream.path), output)
        return {"length": stream.length, "sha256": stream.sha256}

    async def _log(self, grant: Grant, question: JsonReader) -> LogQuery:
        job = await self.jobs.permitted_job(grant, question)
        architecture = question.text("architecture", limit=80)
        found = await self.farm.records.read(partial(_builds, job=job))
        if architecture not in found:
            raise NotFoundError(_no_build(job, architecture, found))
        build = found[architecture]
        # Of a client that was cut off, and has printed a part of the log of that build.
        if question.optional("number", question.integer) not in (None, build.number):
            raise NotFoundError(
                f"{job.title} is built again for {architecture}: the log went on to the end of an earlier build.  That "
                f"of {build.builder}/{build.number} is another; ask for it anew."
            )
        return LogQuery(
            build=build,
            step=question.optional("step", partial(question.text, limit=80)),
            remarks=question.flag("remarks", default=False),
            to_the_end=question.flag("to_the_end", default=False),
        )


def _no_build(job: Job, architecture: str, found: Collection[str]) -> str:
    """
    Why there is no log of *job* for *architecture*, with the architectures that have one, *found*.
    """
    state = {each.architecture: each for each in job.arches}
    if architecture not in state:
        return f"{job.title} is not for {architecture!r:.100}, but for {', '.join(state)}."
    arch, others = state[architecture], f"  There are logs for {', '.join(found)}." if found else ""
    why = f": {arch.reason.rstrip('.')}" if arch.reason else ""
    return f"{job.title} has no build for {architecture}, which is {arch.state.value}{why}.{others}"


def _builds(connection: Connection, job: Job) -> Mapping[str, Build]:
    """
    The latest build for each architecture that was built.
    """
    found = {each.architecture: builds.get(connection, each.build) for each in job.arches if each.build is not None}
    return {architecture: build for architecture, build in found.items() if build is not None}


def _files(connection: Connection, job: Job) -> list[dict[str, Any]]:
    return [
        {"architecture": architecture, "name": name, "length": file["length"], "sha256": file["sha256"]}
        for architecture, build in _builds(connection, job).items()
        for name, file in _artifacts(connection, build).items()
    ]


def _artifacts(connection: Connection, build: Build) -> dict[str, Mapping[str, Any]]:
    """
    The artifacts of a build, by their names for people: without the directory that all of them are in.
    """
    return {each["name"].rpartition("/")[2]: each for each in of_artifacts(connection, build)}
