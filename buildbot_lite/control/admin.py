"""
Answers to the questions of the ``buildbot-lite`` command: the role `wire.control.Control`.

A question is a JSON object.  Its field ``ask`` (or ``follow``) names the question; the other fields are its arguments.
Followed output arrives in chunks.  The first byte of a chunk is `OUT` for the requested bytes, `ERR` for remarks.
"""

import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from attrs import Factory, field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from ..deferreds import background
from ..errors import (
    ConfigError,
    InputError,
    NotFoundError,
    RefusedError,
    WrongValuesError,
)
from ..master.farm import Farm
from ..master.scheduling.dispatcher import WaitingPlace
from ..model.display import remark_lines
from ..model.json_reader import JsonReader
from ..status import build_documents, documents, farm_metrics, outbox_documents, slave_documents
from ..status.build_filter import filter_of
from ..status.estimating import MOST_SIMULATED, Estimates, Estimator
from ..status.farm_news import FarmNews
from ..status.following import LogFollower
from ..status.log_output import (
    LogQuery,
    LogSender,
    send_file,
)
from ..storage.records import history
from ..storage.records.builds import Build
from ..wire.control import NO_SHELL, Follower
from ..wire.limits.account import Account
from ..wire.shells import OpenShell, ShellTerminal
from .admin_changes import ChangeAdmin
from .admin_grants import GrantAdmin
from .admin_marks import BuildMarks
from .admin_slaves import SlaveAdmin
from .followers import FramedClient, followed
from .log_tails import LogTails
from .questions import QuestionDesk, questions_of, sendings_of
from .rights import not_permitted, verbs_for
from .web_answers import WebAnswers
from .web_codes import WebCodes

MOST_BUILDS = 1000
STOPPED_WITHIN = 60.0
"""Seconds that the client of ``idle`` has to stop the idle master; after that builds start again."""
RECORDED = frozenset({"force", "sendchange", "keep", "unkeep", "pause", "grant", "unpin", "reconfig", "redeem"})
"""Questions that are refused while the database fails: their answers would wait for its repair."""
LARGEST_POSITION = 1_000_000_000

T = TypeVar("T")

Answer = Mapping[str, Any]


@frozen
class AdminDesk:
    """
    The object that FURLs of admins lead to, and FURLs to watch or control the farm.

    *may*: the permitted questions; None: all.  *account*: the limits that the holders of one FURL share.  *by_grant*:
    the number of the grant.  *estimates*, *news*, *codes*: may be shared.  *others*: the questions that extensions
    answer.
    """

    farm: Farm
    follower: LogFollower
    may: Collection[str] | None = None
    account: Account = field(factory=Account)
    by_grant: int | None = None
    estimates: Estimator = field(default=Factory(lambda desk: Estimator(desk.farm.records), takes_self=True))
    others: QuestionDesk | None = None
    news: FarmNews = field(default=Factory(lambda desk: FarmNews(desk.farm), takes_self=True))
    codes: WebCodes = field(default=Factory(lambda desk: WebCodes(desk.farm.clock.seconds), takes_self=True))
    log: ClassVar[Logger] = Logger()

    def ask(self, question: Answer) -> Deferred[Answer]:
        return self.account.answered(question, self._ask)

    def follow(self, question: Answer, follower: Follower) -> Deferred[Answer]:
        if self.others is not None and str(question.get("follow")) in sendings_of(self.farm):
            return self.others.follow(question, follower)
        return followed(question, follower, self.account, self._follow)

    def open_shell(self, question: Answer, terminal: ShellTerminal) -> Deferred[OpenShell]:
        return fail(RefusedError(NO_SHELL)) if self.others is None else self.others.open_shell(question, terminal)

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions of the farm's own, each with the method that answers it.
        """
        return {
            "status": self._status,
            "queue": self._queue,
            "slaves": self._slaves,
            "builders": self._builders,
            "schedulers": self._schedulers,
            "metrics": self._metrics,
            "builds": self._builds,
            "build": self._one_build,
            "first-bad": self._first_bad,
            "artifacts": self._artifacts,
            "reconfig": self._reconfig,
            "force": self._force,
            "rebuild": self._rebuild,
            "cancel": self._cancel,
            **BuildMarks(self.farm).answers(),
            **ChangeAdmin(self.farm, self._read).answers(),
            **GrantAdmin(self.farm).answers(),
            **SlaveAdmin(self.farm).answers(),
            **WebAnswers(self.farm, self.may, self.by_grant, self.codes).answers(),
            **LogTails(self.farm, self._read).answers(),
        }

    async def _ask(self, question: JsonReader) -> Answer:
        command_text = question.text("ask", limit=40)
        answer = self.answers().get(command_text)
        if answer is None and self.others is not None and command_text in questions_of(self.farm):
            return await self.others.answer(question)
        if answer is None:
            raise _unknown()
        self._check(command_text)
        if command_text in RECORDED and (obstacle := self.farm.records.obstacle) is not None:
            raise RefusedError(f"{obstacle}  Nothing was changed.  Repeat the command when the database works.")
        return await answer(question)

    def senders(self) -> Mapping[str, Callable[[JsonReader, FramedClient], Awaitable[Answer]]]:
        """
        What can be followed, each with the method that sends it.
        """
        return {
            "request": self._request,
            "log": self._log,
            "artifact": self._artifact,
            "idle": self._idle,
            "farm": self._news,
        }

    async def _follow(self, question: JsonReader, client: FramedClient) -> Answer:
        watched = question.text("follow", limit=40)
        send = self.senders().get(watched)
        if send is None:
            raise _unknown()
        self._check(watched)
        return await send(question, client)

    def _check(self, name: str) -> None:
        if self.may is not None and name not in self.may:
            raise not_permitted(self.farm, name, verbs_for(name))

    # Answers.

    async def _status(self, question: JsonReader) -> Answer:
        retention = await self._read(documents.of_retention)
        unsent = await self._read(outbox_documents.of_reporters)
        document = documents.of_farm(self.farm, await self._estimates())
        return {"status": {**document, "kept": retention, "unsent": unsent}}

    async def _queue(self, question: JsonReader) -> Answer:
        most = question.integer("most", documents.MOST_WAITING, least=1, most=documents.MOST_WAITING)
        place = question.optional("after", question.mapping)
        after = None if place is None else _place(JsonReader(place, "the place after"))
        return documents.of_queue(self.farm, most, after, estimates=await self._estimates())

    async def _slaves(self, question: JsonReader) -> Answer:
        return {"slaves": [slave_documents.of_slave(self.farm, member) for member in self.farm.slaves.everyone()]}

    async def _builders(self, question: JsonReader) -> Answer:
        estimates = await self.estimates.of(self.farm.config.builders)
        return {"builders": await self._read(lambda c: documents.of_builders(self.farm, c, estimates))}

    async def _schedulers(self, question: JsonReader) -> Answer:
        return {"schedulers": documents.of_schedulers(self.farm)}

    async def _metrics(self, question: JsonReader) -> Answer:
        return {**farm_metrics.of_metrics(self.farm), **await self._read(farm_metrics.of_records)}

    async def _builds(self, question: JsonReader) -> Answer:
        query = filter_of(question)
        most = question.integer("most", 20, least=1, most=MOST_BUILDS)
        before = question.optional("before", question.integer)

        def read(connection: Connection) -> tuple[list[build_documents.Document], int | None]:
            page = history.page(connection, query, most, before)
            return build_documents.of_builds(connection, page), page.before

        entries, older = await self._read(read)
        if not entries and query.builder is not None and query.builder not in self.farm.config.builders:
            raise build_documents.no_builder(query.builder, self.farm.config.builders)
        return {"builds": await self._with_live(entries), "before": older}

    async def _one_build(self, question: JsonReader) -> Answer:
        build = await self._build(question)
        document = await self._read(lambda c: build_documents.of_one_build(c, build))
        return {"build": (await self._with_live([document]))[0]}

    async def _first_bad(self, question: JsonReader) -> Answer:
        query, after = filter_of(question), question.integer("after")

        def read(connection: Connection) -> build_documents.Document | None:
            entry = history.first_after(connection, query, after)
            return None if entry is None else build_documents.of_build(connection, entry)

        return {"build": await self._read(read)}

    async def _with_live(self, entries: Sequence[build_documents.Document]) -> Sequence[build_documents.Document]:
        running = {each["builder"] for each in entries if each["finished"] is None}
        return documents.with_live(self.farm, entries, await self.estimates.of(running))

    async def _estimates(self) -> Estimates:
        """
        The estimates of all builders that build now, or have requests at the head of the queue.
        """
        running = {live.row.builder for live in self.farm.running.live().values()}
        waiting = {each.request.builder for each in self.farm.dispatcher.waiting(MOST_SIMULATED)[1]}
        return await self.estimates.of(running | waiting)

    async def _artifacts(self, question: JsonReader) -> Answer:
        build = await self._build(question)
        return {"artifacts": await self._read(lambda c: build_documents.of_artifacts(c, build))}

    async def _reconfig(self, question: JsonReader) -> Answer:
        before = self.farm.config
        try:
            applied = await self.farm.reconfiguration.apply()
        except ConfigError as error:
            # In the answer, because a refusal is one sentence, and mistakes may be two hundred.
            return {"applied": False, "mistakes": str(error).splitlines()}
        after = applied.generation.config
        return {
            "applied": True,
            "remarks": list(applied.remarks),
            "slaves": _difference(before.slaves, after.slaves),
            "builders": _difference(before.builders, after.builders),
            "schedulers": _difference(before.schedulers, after.schedulers),
        }

    async def _force(self, question: JsonReader) -> Answer:
        builder = question.text("builder", limit=200)
        reason = question.prose("reason", "", limit=1000) or None
        scheduler = question.text("scheduler", "", limit=200) or None
        says_all = question.flag("problems", default=False)
        properties = question.mapping("properties", {})
        forcing = self.farm.config.forced_by(builder, scheduler)
        try:
            submitted = await self.farm.forcing.force(
                builder, properties, reason, by_grant=self.by_grant, scheduler=scheduler
            )
        except WrongValuesError as error:
            if not says_all:  # a client of an earlier version
                raise InputError(str(error)) from None
            # In the answer, because a refusal is one sentence.
            return {"problems": [{"name": name, "sentence": sentence} for name, sentence in error.problems]}
        told = {"request": submitted.requests[0].id, "buildset": submitted.buildset.id}
        if forcing is None or not question.flag("remarks", default=False):
            return told
        return {**told, "remarks": forcing.remarks_on(properties)}

    async def _rebuild(self, question: JsonReader) -> Answer:
        submitted = await self.farm.forcing.rebuild(await self._build(question), by_grant=self.by_grant)
        return {"request": submitted.requests[0].id, "buildset": submitted.buildset.id}

    async def _cancel(self, question: JsonReader) -> Answer:
        request = question.integer("request")
        reason = question.prose("reason", "cancelled by an admin", limit=1000)
        also = [] if self.farm.records.obstacle else await self.farm.canceller.waited_for_by(request)
        cancelling = Deferred.fromCoroutine(self.farm.canceller.cancel(request, reason))
        if not cancelling.called and (obstacle := self.farm.records.obstacle) is not None:
            # The cancellation waits for the database, in order with all other writes; the admin need not wait.
            background(cancelling, self.log, f"cancelling request {request}")
            return {"request": request, "waits": str(obstacle)}
        await cancelling
        return {"request": request, "also": [{"request": child.request, "build": child.label} for child in also]}

    async def _read(self, query: Callable[[Connection], T]) -> T:
        """
        Read the records, and charge the time of the thread to the holder's account.
        """
        return await self.farm.records.read(self.account.charged(query))

    # Answers that are followed.

    async def _request(self, question: JsonReader, client: FramedClient) -> Answer:
        return {"exit_code": await self.follower.follow(question.integer("buildset"), client, self.account)}

    async def _log(self, question: JsonReader, client: FramedClient) -> Answer:
        query = LogQuery(
            build=await self._build(question),
            step=question.optional("step", question.text),
            log=question.optional("log", question.text),
            remarks=question.flag("remarks", default=False),
            to_the_end=question.flag("to_the_end", default=False),
        )
        sender = LogSender(
            records=self.farm.records,
            follower=self.follower,
            directory=self.farm.stream_storage.streams,
            query=query,
            client=client,
            holder=self.account,
        )
        await sender.run()
        return {}

    async def _artifact(self, question: JsonReader, client: FramedClient) -> Answer:
        build, name = await self._build(question), question.text("name", limit=1024)
        stream = await self._read(lambda c: build_documents.the_artifact(c, build, name))
        path = os.path.join(self.farm.stream_storage.artifacts, stream.path)
        await send_file(path, self.follower.output_to(client, self.account))
        return {"length": stream.length, "sha256": stream.sha256}

    async def _news(self, question: JsonReader, client: FramedClient) -> Answer:
        await self.news.follow(client, self.account)

    async def _idle(self, question: JsonReader, client: FramedClient) -> Answer:
        """
        Start no more builds, and answer when none runs.  If the client disconnects before that, builds start again.
        """
        self.farm.hold.begin()
        try:
            for live in tuple(self.farm.running.live().values()):
                label = f"{live.row.builder}/{live.row.number}"
                await client.stderr(remark_lines(f"{label} runs on {live.row.slave}").encode())
            await self.farm.running.when_idle()
        except BaseException:
            self.farm.hold.end()
            raise
        # The client stops the master now.  If it does not, builds start again.
        self.farm.clock.callLater(STOPPED_WITHIN, self.farm.hold.end)
        return {}

    async def _build(self, question: JsonReader) -> Build:
        """
        The build that *question* names; without a number, the newest of its builder.
        """
        builder, number = question.text("builder", limit=200), question.optional("number", question.integer)
        known = self.farm.config.builders
        return await self._read(lambda connection: build_documents.the_build(connection, builder, number, known))


def _place(place: JsonReader) -> WaitingPlace:
    return WaitingPlace(place.integer("request"), place.integer("position", LARGEST_POSITION, most=LARGEST_POSITION))


def _difference(before: Collection[str], after: Collection[str]) -> dict[str, Any]:
    return {
        "all": len(after),
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
    }


def _unknown() -> NotFoundError:
    return NotFoundError("This master does not know that question.  Install the same buildbot_lite on both sides.")
