"""
Runs ``buildbot-lite`` in this process, with a fake master.
"""

import io
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any, TextIO
from unittest import mock

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.asking.connection import MasterLink
from buildbot_lite.cli.output.printing import TakeChunk
from buildbot_lite.cli.program import FAILED, run
from buildbot_lite.model.patch_base import PatchBase

FURL = "pb://" + "a" * 32 + "@tcp:farm.example:9989/" + "s" * 32


@frozen
class CommandResult:
    """
    The exit code and the output of one command.
    """

    code: int
    out: str
    err: str


@define(eq=False)
class FakeMaster:
    """
    Answers each question from *answers*, by the question's name; an answer that is an exception is raised.  Plays
    `Connect` and `MasterLink`.
    """

    answers: Mapping[str, Any] = field(factory=dict)
    chunks: Sequence[bytes] = ()
    furls: list[str] = field(factory=list)
    questions: list[Mapping[str, Any]] = field(factory=list)
    output: list[bytes] = field(factory=list)
    patches: list[tuple[bytes, PatchBase]] = field(factory=list)
    submitted_files: list[bytes] = field(factory=list)
    submitted_options: list[dict[str, Any]] = field(factory=list)
    submitting: int = 0
    watched_while_submitting: list[int] = field(factory=list)
    connections: int = 0

    def connect(self, furl: str, work: Callable[[MasterLink], Awaitable[Any]]) -> Any:
        self.furls.append(furl)
        self.connections += 1
        results: list[Any] = []
        _ = Deferred.fromCoroutine(work(self)).addBoth(results.append)  # type: ignore[arg-type]  # they are coroutines
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        self.questions.append(question)
        answer = self.answers[question.get("ask", question.get("follow", ""))]
        if isinstance(answer, Exception):
            raise answer
        return {"answer": answer} if not isinstance(answer, Mapping) else answer

    async def follow(self, question: Mapping[str, Any], take: TakeChunk) -> Mapping[str, Any]:
        answer = await self.ask(question)
        for chunk in self.chunks:
            take(chunk)
        return answer

    async def follow_to_output(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.follow(question, self.output.append)

    async def follow_to_end(self, question: Mapping[str, Any], advice: str) -> Mapping[str, Any]:
        return await self.follow_to_output(question)

    def at(self, furl: str) -> "FakeMaster":
        self.furls.append(furl)
        return self

    @property
    def to_output(self) -> TakeChunk:
        return self.output.append

    async def watch(self, advice: str, *, request: int | None = None, to: TakeChunk | None = None) -> Mapping[str, Any]:
        self.watched_while_submitting.append(self.submitting)
        which = {} if request is None else {"request": request}
        answer: Any = await self.follow({"follow": "watch", **which}, to or self.to_output)
        # One answer for all requests, or one for each.
        found: Mapping[str, Any] = answer.get(request, answer)
        return found

    @asynccontextmanager
    async def submit_patch(self, patch: IO[bytes], base: PatchBase) -> AsyncIterator[Mapping[str, Any]]:
        patch.seek(0)
        self.patches.append((patch.read(), base))
        async with self._submitted("submit_patch") as answer:
            yield answer

    @asynccontextmanager
    async def submit_file(
        self, file: IO[bytes], options: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        file.seek(0)
        self.submitted_options.append(dict(options or {}))
        self.submitted_files.append(file.read())
        async with self._submitted("submit_file") as answer:
            yield answer

    @asynccontextmanager
    async def _submitted(self, question: str) -> AsyncIterator[Mapping[str, Any]]:
        self.submitting += 1
        try:
            yield await self.ask({"ask": question})
        finally:
            self.submitting -= 1

    async def pause(self, seconds: float) -> None:
        pass

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        yield self

    def lasting(self, on_away: Callable[[], None] | None = None) -> Any:
        return self

    reactor: Any = None
    away: Any = None

    async def stop(self) -> None:
        pass


class CommandLineCase(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Make an empty directory the current one.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        before = os.getcwd()
        os.chdir(self.directory)
        self.addCleanup(os.chdir, before)
        self.master = FakeMaster()

    def command(self, *words: str, stdin: bytes = b"", out: TextIO | None = None) -> CommandResult:
        """
        Run ``buildbot-lite`` with *words*.  *out*: its standard output; by default it is in the result.
        """
        kept, err = io.StringIO(), io.StringIO()
        before = self.master.connections
        with (
            redirect_stdout(out or kept),
            redirect_stderr(err),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        ):
            code = run(list(words), self.master.connect)
        # A process has one reactor, which runs once.
        self.assertLessEqual(self.master.connections, before + 1, f"{words} connects more than once")
        return CommandResult(code, kept.getvalue(), err.getvalue())

    def refused(self, *words: str, stdin: bytes = b"", code: int = FAILED) -> str:
        """
        The sentence with which the command refuses; its exit code must be *code*.
        """
        said = self.command(*words, stdin=stdin)
        self.assertEqual((said.code, said.out), (code, ""), said)
        self.assertNotIn("Traceback", said.err)
        return said.err.rstrip("\n")

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """
        Write a file, with the directories above it.
        """
        os.makedirs(os.path.dirname(os.path.join(self.directory, path)), exist_ok=True)
        with open(os.path.join(self.directory, path), "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def make_farm(self) -> None:
        """
        Make a master's directory as if the master had run.
        """
        self.write("farm/master.cfg", "")
        self.write("farm/private/admin.furl", f"# admin\n{FURL}\n")
