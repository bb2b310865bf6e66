"""
The command, run in this process, with a master that answers from a list.
"""

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TextIO
from unittest import mock

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.connection import MasterLink
from buildbot_lite.cli.main import FAILED, run
from buildbot_lite.cli.output import TakeChunk

FURL = "pb://" + "a" * 32 + "@tcp:farm.example:9989/" + "s" * 32


@frozen
class CommandResult:
    """
    What the command did: its exit code, and what it printed.
    """

    code: int
    out: str
    err: str


@define(eq=False)
class FakeMaster:
    """
    Answers questions from *answers*, by what is asked; an exception is raised.  It is a `Connect` and a `MasterLink`.
    """

    answers: Mapping[str, Any] = field(factory=dict)
    chunks: Sequence[bytes] = ()
    furls: list[str] = field(factory=list)
    questions: list[Mapping[str, Any]] = field(factory=list)
    poured: list[bytes] = field(factory=list)

    def connect(self, furl: str, work: Callable[[MasterLink], Awaitable[Any]]) -> Any:
        self.furls.append(furl)
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
        return await self.follow(question, self.poured.append)

    async def follow_to_end(self, question: Mapping[str, Any], advice: str) -> Mapping[str, Any]:
        return await self.follow_to_output(question)

    def at(self, furl: str) -> "FakeMaster":
        self.furls.append(furl)
        return self

    async def watch(self, advice: str) -> Mapping[str, Any]:
        return await self.follow_to_output({"follow": "watch"})

    async def pause(self, seconds: float) -> None:
        """
        See `MasterLink.pause`.
        """


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An empty directory, which is the current one.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        before = os.getcwd()
        os.chdir(self.directory)
        self.addCleanup(os.chdir, before)
        self.master = FakeMaster()

    def command(self, *words: str, stdin: bytes = b"", out: TextIO | None = None) -> CommandResult:
        """
        Run ``buildbot-lite`` with these *words*.  *out*: its standard output, if that is not to be read here.
        """
        kept, err = io.StringIO(), io.StringIO()
        with (
            redirect_stdout(out or kept),
            redirect_stderr(err),
            mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        ):
            code = run(list(words), self.master.connect)
        return CommandResult(code, kept.getvalue(), err.getvalue())

    def refused(self, *words: str, stdin: bytes = b"", code: int = FAILED) -> str:
        """
        The one sentence with which it does not do it, with the exit code *code*.
        """
        said = self.command(*words, stdin=stdin)
        self.assertEqual((said.code, said.out), (code, ""), said)
        self.assertNotIn("Traceback", said.err)
        return said.err.rstrip("\n")

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """
        A file, with the directories above it.
        """
        os.makedirs(os.path.dirname(os.path.join(self.directory, path)), exist_ok=True)
        with open(os.path.join(self.directory, path), "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def make_farm(self) -> None:
        """
        A master's directory, as if it had run.
        """
        self.write("farm/master.cfg", "")
        self.write("farm/private/admin.furl", f"# admin\n{FURL}\n")
