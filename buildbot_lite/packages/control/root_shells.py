"""
Shells in the roots of builds that failed, for people far from the slave.

A right of its own permits them: a string of the verb `SHELL_VERB`, for the jobs of one target or, with the number of a
submit string, only those that were submitted with it.  No other string does but an admin's, who could hand one out.

::

    client ──open_shell──► QuestionDesk ──► RootShells ──► ShellRelay ◄──► slave
                                                │
                                                '──► the feed and the log: who, where, when; never what was typed
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import TimeoutError as NotInTimeError
from twisted.logger import Logger

from ...control.questions import Answer
from ...control.shell_relay import ShellRelay
from ...deferreds import OneShot, background, shielded
from ...errors import BuildbotLiteError, MessageError, NotFoundError, RefusedError
from ...master.farm import Farm
from ...master.grants.verbs import SUBMIT, Expose, Verb
from ...model.json_reader import JsonReader
from ...model.shell_request import ShellRequest, window_size
from ...storage.records import feed
from ...storage.records.grants import Grant
from ...wire.shells import OpenShell, ShellHost, ShellTerminal
from ..service.served_targets import no_target
from .job_questions import SHELL_VERB, JobQuestions, who
from .kept_roots import KeptRoot, kept_root, shell_host

MOST_OF_A_GRANT = 4
"""Shells of the holders of one string at a time."""
MOST_ON_A_SLAVE = 8
"""Shells on one slave at a time, with those that it was asked for and has not opened yet."""
LONGEST_OPENING = 30.0
"""Seconds that a slave may take to open a shell."""
MOST_WORDS, LARGEST_COMMAND = 900, 100_000
"""Words, and characters, of a command to run."""
EVENT = "package.shell"

_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,40}\Z")


class RootShells:
    """
    The shells on *farm*.  *jobs*: the questions about jobs, which say who may see which.
    """

    _log = Logger()

    def __init__(self, farm: Farm, jobs: JobQuestions) -> None:
        self._farm = farm
        self._jobs = jobs
        self._open: Counter[int] = Counter()
        self._on_slaves: Counter[str] = Counter()

    async def about(self, grant: Grant, question: JsonReader) -> Answer:
        """
        Where the root of a job for an architecture is, and until when.  A `RefusedError` says why it cannot be entered.
        """
        kept = await self._kept(grant, question)
        shell_host(self._farm, kept)
        return {"root": kept.document()}

    async def open_shell(self, grant: Grant, question: JsonReader, terminal: ShellTerminal) -> OpenShell:
        """
        Open a shell in the root of a job for an architecture, as `control.questions.ShellExtension`.
        """
        kept = await self._kept(grant, question)
        request = _request(kept, question)
        if self._open[grant.id] >= MOST_OF_A_GRANT:
            raise RefusedError(f"{MOST_OF_A_GRANT} shells are open with this string already.  Leave one of them first.")
        if (obstacle := self._farm.records.obstacle) is not None:
            raise RefusedError(
                f"{obstacle}  Shells are recorded, so none is opened.  Try again when the database works."
            )
        link, host = shell_host(self._farm, kept)
        self._open[grant.id] += 1
        over: OneShot[None] = OneShot()
        relay = ShellRelay(terminal, partial(self._closed, grant, kept, over))
        name = kept.build.slave
        try:
            # First, so that nothing runs of which there is no record.
            await self._record(grant, kept, {"state": "asked"})
            # The relay hangs up a shell that comes late.
            opening = shielded(self._opened(name, host, request, relay, over))
            await opening.addTimeout(LONGEST_OPENING, self._farm.clock)
            if not relay.is_over:
                await self._record(grant, kept, {"state": "opened"})
        except NotInTimeError:
            relay.not_opened()
            raise RefusedError(
                f"The slave {name} has not opened a shell within {LONGEST_OPENING:.0f} seconds, so none is.  Try "
                "again later; if it never does, its owner has to restart it."
            ) from None
        except BaseException:
            relay.not_opened()
            raise
        if not relay.is_over:
            self._log.info("{who} entered the root of {what} on {slave}", **_words(grant, kept))
        link.when_lost(lambda: relay.slave_lost(f"The connection to the slave {name} was lost, and the shell ended."))
        return relay

    async def _opened(
        self, name: str, host: ShellHost, request: ShellRequest, relay: ShellRelay, over: OneShot[None]
    ) -> None:
        """
        Let the slave *name* open a shell for *relay*.  *over*: that nobody uses it any more.
        """
        if self._on_slaves[name] >= MOST_ON_A_SLAVE:
            raise RefusedError(f"{MOST_ON_A_SLAVE} shells are open on the slave {name}, the most.  Try again later.")
        self._on_slaves[name] += 1
        # An unanswered question takes room on the slave as a shell does.
        try:
            relay.opened(await host.open_shell(request, relay))
        except BaseException:
            self._leave(name)
            raise
        over.wait().addCallback(lambda _: self._leave(name))  # type: ignore[unused-awaitable]  # it cannot fail

    def _leave(self, name: str) -> None:
        self._on_slaves[name] -= 1
        if not self._on_slaves[name]:
            del self._on_slaves[name]

    async def _kept(self, grant: Grant, question: JsonReader) -> KeptRoot:
        job = await self._jobs.permitted_job(grant, question)
        return await kept_root(self._farm, self._jobs.service, job, question.text("architecture", limit=80))

    def _closed(self, grant: Grant, kept: KeptRoot, over: OneShot[None], was_open: bool, exit_code: int | None) -> None:
        over.fire(None)
        self._open[grant.id] -= 1
        if not self._open[grant.id]:
            del self._open[grant.id]
        if was_open:
            self._log.info("{who} is no longer in the root of {what} on {slave}", **_words(grant, kept))
        what = {"state": "closed", "exit_code": exit_code} if was_open else {"state": "not opened"}
        background(self._record(grant, kept, what), self._log, "recording a shell")

    async def _record(self, grant: Grant, kept: KeptRoot, what: Mapping[str, Any]) -> None:
        build, now = kept.build, self._farm.wall()
        body = {"job": kept.job.id, "architecture": kept.architecture, "slave": build.slave, "grant": grant.id, **what}

        def write(connection: Connection) -> None:
            feed.publish(connection, EVENT, now=now, request=build.request, build=build.id, body=body)

        await self._farm.records.write(write)


def shell_verb(farm: Farm, jobs: JobQuestions, expose: Expose) -> Verb:
    """
    The verb of FURLs for shells in roots of a target.  *expose*: makes what they lead to.
    """

    async def designate(name: str) -> tuple[str, str]:
        target, _, number = name.partition(" ")
        if target not in jobs.service.targets:
            raise no_target(target, jobs.service.targets)
        if not number:
            return target, target
        try:
            of = farm.grants.in_force(int(number))
        except (ValueError, BuildbotLiteError):
            of = None
        if of is None or of.verb != SUBMIT or jobs.target_of(of) != target:
            raise NotFoundError(
                f"{number!r:.40} is not the number of a submit string for {target}: buildbot-lite grants"
            )
        return f"{target} {of.id}", f"{target}, jobs of string {of.id}"

    return Verb(SHELL_VERB, expose, designate, preauth=True, counts_lookups=True, takes="TARGET")


def _request(kept: KeptRoot, question: JsonReader) -> ShellRequest:
    words = tuple(question.texts("command", [], most=MOST_WORDS))
    if sum(map(len, words)) > LARGEST_COMMAND or any("\0" in word for word in words):
        raise MessageError(f"The command has more than {LARGEST_COMMAND} characters, or one that no argument can have.")
    size = question.optional("size", lambda name: window_size(JsonReader(question.mapping(name), f"the {name}")))
    term = question.text("term", "dumb", limit=100)
    return ShellRequest(kept.entering(words, term if _TERM.match(term) else "dumb"), size)


def _words(grant: Grant, kept: KeptRoot) -> dict[str, str]:
    return {
        "who": f"{who(grant)} (string {grant.id})",
        "what": f"{kept.job.title} for {kept.architecture}",
        "slave": kept.build.slave,
    }
