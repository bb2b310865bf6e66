"""
Ask a running master.

A reactor runs once in a process; so a command sends all of its questions in one coroutine, which gets a `MasterLink`.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

import click
from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from ...errors import LinkLostError
from ...model.patch_base import PatchBase
from ..output.printing import Document, TakeChunk
from ..output.writer import OutputWriter
from .resuming import resumed

if TYPE_CHECKING:
    from ...wire.client import SubmitClient
    from .lasting_link import LastingLink
    from .shell_terminal import ShellLink

T = TypeVar("T")


class MasterLink(Protocol):
    """
    A link to a master, as commands use it.
    """

    async def ask(self, question: Document) -> Document:
        """
        Send *question* and return the answer.
        """

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        """
        Send *question*, pass the chunks that arrive to *take*, and return the answer at the end.
        """

    async def follow_to_output(self, question: Document) -> Document:
        """
        `follow`, to standard output and standard error.
        """

    async def follow_to_end(self, question: Document, advice: str) -> Document:
        """
        `follow_to_output`, over restarts of the master.  *advice*: what to do if no master answers.
        """

    @property
    def to_output(self) -> TakeChunk:
        """
        Writes chunks to standard output and standard error.
        """

    async def watch(self, advice: str, *, request: int | None = None, to: TakeChunk | None = None) -> Document:
        """
        `follow_to_end` of the requests of a watch FURL, or only of *request*.  *to*: takes the chunks; None:
        `to_output`.
        """

    def submit_patch(self, patch: IO[bytes], base: PatchBase) -> AbstractAsyncContextManager[Document]:
        """
        Submit a patch; the connection stays until the end of the context.  The answer is that of
        `wire.client.SubmitClient.submit_patch`.
        """

    def submit_file(self, file: IO[bytes], options: Document | None = None) -> AbstractAsyncContextManager[Document]:
        """
        Submit a file that is no patch, in the same way.  *options*: for the scheduler that examines it.
        """

    async def pause(self, seconds: float) -> None:
        """
        Return after so many seconds.
        """

    def at(self, furl: str) -> "MasterLink":
        """
        A link for *furl* instead.
        """

    def lasting(self, on_away: Callable[[], None] | None = None) -> "LastingLink":
        """
        A link that stays, for many questions.  With *on_away*, which is called whenever the master is lost, questions
        wait for it up to `resuming.KEEP_TRYING` seconds, also at first, and the string may be that of a submission.
        """

    def connection(self) -> AbstractAsyncContextManager["ShellLink"]:
        """
        A connection that stays until the end of the context.
        """

    @property
    def reactor(self) -> Any:
        """
        The reactor in which the command runs.
        """


Connect = Callable[[str, Callable[[MasterLink], Awaitable[Any]]], Any]
"""Runs a coroutine function with a link to the master of a FURL, and returns its result: `connect`, or a fake."""


@frozen
class NetworkLink:
    """
    A `MasterLink` that connects anew for each question.
    """

    reactor: Any
    furl: str
    to_output: TakeChunk

    async def ask(self, question: Document) -> Document:
        from ...wire.client import ask

        try:
            return await ask(self.reactor, self.furl, question)
        except LinkLostError:
            raise LinkLostError(
                "Lost the connection to the master before it answered.  The command may have taken effect: check "
                "before you repeat it."
            ) from None

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        from ...wire.client import follow

        return await follow(self.reactor, self.furl, question, take)

    async def follow_to_output(self, question: Document) -> Document:
        return await self.follow(question, self.to_output)

    async def follow_to_end(self, question: Document, advice: str) -> Document:
        return await resumed(lambda take: self.follow(question, take), self.to_output, pause=self.pause, advice=advice)

    async def watch(self, advice: str, *, request: int | None = None, to: TakeChunk | None = None) -> Document:
        from ...wire.client import watch

        return await resumed(
            lambda take: watch(self.reactor, self.furl, take, request),
            to or self.to_output,
            pause=self.pause,
            advice=advice,
        )

    def submit_patch(self, patch: IO[bytes], base: PatchBase) -> AbstractAsyncContextManager[Document]:
        return self._submitted(lambda client: client.submit_patch(patch, base))

    def submit_file(self, file: IO[bytes], options: Document | None = None) -> AbstractAsyncContextManager[Document]:
        return self._submitted(lambda client: client.submit_file(file, options))

    @asynccontextmanager
    async def _submitted(self, submit: Callable[["SubmitClient"], Awaitable[Document]]) -> AsyncIterator[Document]:
        from ...wire.client import SubmitClient

        client = SubmitClient(self.reactor, self.furl)
        client.start()
        try:
            try:
                answer = await submit(client)
            except LinkLostError:
                raise LinkLostError(
                    "Lost the connection to the master before it answered.  It may have been submitted: see "
                    "buildbot-lite queue before you try again."
                ) from None
            yield answer
        finally:
            await client.stop()

    async def pause(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)

    def at(self, furl: str) -> MasterLink:
        return evolve(self, furl=furl)

    def connection(self) -> AbstractAsyncContextManager["ShellLink"]:
        from ...wire.client import control_connection

        return control_connection(self.reactor, self.furl)

    def lasting(self, on_away: Callable[[], None] | None = None) -> "LastingLink":
        from .lasting_link import NetworkLastingLink

        return NetworkLastingLink(self.reactor, self.furl, on_away=on_away, submissions=on_away is not None)


def connect(furl: str, work: Callable[[MasterLink], Awaitable[T]]) -> T:
    """
    Run *work* in a reactor, with a link to the master whose FURL is *furl*, and return its result.
    """
    outcome: list[T | BaseException] = []
    writer = OutputWriter()

    async def attempt(reactor: Any) -> None:
        try:
            outcome.append(await work(NetworkLink(reactor, furl, writer.by(reactor))))
        except Exception as error:  # noqa: BLE001 - raised again below, where there is no reactor
            outcome.append(error)

    def begin(reactor: Any) -> Deferred[None]:
        # The outcome, if Ctrl-C stops the reactor; not what the work raises then because its connections end.
        reactor.addSystemEventTrigger("before", "shutdown", outcome.append, KeyboardInterrupt())
        # The work begins when the reactor runs and takes Ctrl-C: `react` logs a KeyboardInterrupt of the work.
        return deferLater(reactor, 0).addCallback(lambda _: Deferred.fromCoroutine(attempt(reactor)))

    with suppress(SystemExit):
        react(begin)
    if writer.refused is not None:
        raise writer.refused
    result = outcome[0]
    if isinstance(result, BaseException):
        raise result
    return result


@contextmanager
def interruptible() -> Iterator[None]:
    """
    For a part of the work that blocks the reactor, such as a question to the user: Ctrl-C ends it with `click.Abort`.
    The reactor's own handler would only have it stop afterwards.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort from None
    finally:
        signal.signal(signal.SIGINT, before)
