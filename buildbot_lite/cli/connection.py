"""
Ask a running master.

Commands that ask a master are `FarmCommand`s.  They find its FURL in ``private/admin.furl`` of its directory, or in the
file that ``--furlfile`` names.

A reactor runs once in a process; so a command sends all of its questions in one coroutine, which gets a `MasterLink`.
"""

import os
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

import click
from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from ..errors import (
    LinkLostError,
    NoAnswerError,
)
from ..model.patch_base import PatchBase
from ..storage.permissions import refuse_loose
from .build_names import names_no_directory
from .command_lines import command_line
from .commands import DIRECTORY, HERE, Subcommand
from .output import (
    Document,
    OutputWriter,
    TakeChunk,
    read_secret,
)
from .processes import is_there, need_a_master
from .resuming import resumed

if TYPE_CHECKING:
    from ..wire.client import SubmitClient
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
        from ..wire.client import ask

        try:
            return await ask(self.reactor, self.furl, question)
        except LinkLostError:
            raise LinkLostError(
                "Lost the connection to the master before it answered.  The command may have taken effect: check "
                "before you repeat it."
            ) from None

    async def follow(self, question: Document, take: TakeChunk) -> Document:
        from ..wire.client import follow

        return await follow(self.reactor, self.furl, question, take)

    async def follow_to_output(self, question: Document) -> Document:
        return await self.follow(question, self.to_output)

    async def follow_to_end(self, question: Document, advice: str) -> Document:
        return await resumed(lambda take: self.follow(question, take), self.to_output, pause=self.pause, advice=advice)

    async def watch(self, advice: str, *, request: int | None = None, to: TakeChunk | None = None) -> Document:
        from ..wire.client import watch

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
        from ..wire.client import SubmitClient

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
        from ..wire.client import control_connection

        return control_connection(self.reactor, self.furl)

    def lasting(self, on_away: Callable[[], None] | None = None) -> "LastingLink":
        from .lasting_link import NetworkLastingLink

        return NetworkLastingLink(self.reactor, self.furl, on_away=on_away, submissions=on_away is not None)


def connect(furl: str, work: Callable[[MasterLink], Awaitable[T]]) -> T:
    """
    Run *work* in a reactor, with a link to the master whose FURL is *furl*, and return its result.
    """
    outcome: list[T | Exception] = []
    writer = OutputWriter()

    async def attempt(reactor: Any) -> None:
        try:
            outcome.append(await work(NetworkLink(reactor, furl, writer.by(reactor))))
        except Exception as error:  # noqa: BLE001 - raised again below, where there is no reactor
            outcome.append(error)

    try:
        react(lambda reactor: Deferred.fromCoroutine(attempt(reactor)))
    except SystemExit:
        if writer.refused is not None:
            raise writer.refused from None
        if not outcome:
            # The reactor was stopped by Ctrl-C.
            raise KeyboardInterrupt from None
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result


@frozen
class FarmClient:
    """
    A master, found through its *directory* or, if that is None, through *furlfile* alone.
    """

    directory: str | None
    furlfile: str
    connect: Connect

    def ask(self, question: Document) -> Document:
        """
        Send *question* and return the master's answer.
        """
        return self.call(lambda link: link.ask(question))

    def call(self, work: Callable[[MasterLink], Awaitable[T]]) -> T:
        """
        Run *work* with a link to the master, and return its result.
        """
        result: T = self.connect(self._furl(), work)
        return result

    def command(self, name: str, *arguments: object) -> str:
        """
        The command line of another command for the same master.  *name*: of one or more words.
        """
        return command_line(self.directory, self.furlfile, name, *arguments)

    def _furl(self) -> str:
        if self.directory is not None and not is_there(self.furlfile):
            need_a_master(self.directory)
            raise NoAnswerError(
                f"The master in {self.directory} has never run.  Start it with: "
                f"buildbot-lite start {shlex.quote(self.directory)}"
            )
        if self.directory is not None:
            refuse_loose([self.furlfile])
        from ..wire.furl import furl_in, read_furl

        return (
            furl_in(read_secret("The string"), "standard input") if self.furlfile == "-" else read_furl(self.furlfile)
        )


class FarmCommand(Subcommand):
    """
    A command whose function gets *farm*, a `FarmClient`.

    The master's directory is the value of ``buildbot-lite -C``, or the first word, or the current directory.
    """

    furlfile_help = "A file with a string, such as a copy of private/admin.furl, instead of DIR; - is standard input."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arguments: list[click.Parameter] = [param for param in self.params if isinstance(param, click.Argument)]
        self._least = sum(param.required for param in self._arguments)
        furlfile = click.Option(
            ["--furlfile"],
            metavar="FILE",
            help=self.furlfile_help,
        )
        self.params = [*self.params, furlfile]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        options, *arguments = super().collect_usage_pieces(ctx)
        return [options, "[DIR]", *arguments]

    def make_parser(self, ctx: click.Context) -> Any:
        """
        A parser that first parses the options, then takes DIR from the words, then distributes the others.
        """
        options: list[click.Parameter] = [param for param in self.params if isinstance(param, click.Option)]
        parser = click.Command(self.name, params=options).make_parser(ctx)
        arguments = click.Command(self.name, params=self._arguments, add_help_option=False).make_parser(ctx)
        parse_options = parser.parse_args

        def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            values, words, order = parse_options(args)
            if not ("furlfile" in values or DIRECTORY in ctx.meta) and self._begins_with_dir(words):
                ctx.meta[DIRECTORY] = words.pop(0)
            others, rest, order_of_others = arguments.parse_args(["--", *self.named(words)])
            return {**values, **others}, rest, [*order, *order_of_others]

        parser.parse_args = parse_args  # type: ignore[method-assign]  # click's parser has no place for this
        return parser

    def named(self, words: list[str]) -> list[str]:
        """
        *words*, the arguments without DIR; for commands that accept an argument in several spellings.
        """
        return words

    def _begins_with_dir(self, words: list[str]) -> bool:
        """
        Whether the first word is DIR: it is a master's directory; or the current directory is not, and the command
        needs fewer words, of which this cannot be one.
        """
        if not words:
            return False
        if _is_a_masters(words[0]):
            return True
        may_be = os.path.isdir(words[0]) or not names_no_directory(words[0])
        return may_be and len(words) > self._least and not _is_a_masters(HERE)

    def invoke(self, ctx: click.Context) -> Any:
        """
        Call the function with a `FarmClient`.
        """
        furlfile, directory = ctx.params.pop("furlfile"), ctx.meta.get(DIRECTORY)
        if furlfile is not None and directory is not None:
            raise click.UsageError("Give -C DIR or --furlfile FILE, not both.", ctx)
        if furlfile == "":
            raise click.UsageError("--furlfile needs a file, and this is an empty word.", ctx)
        connector: Connect = ctx.obj or connect
        if furlfile is None:
            directory = directory or HERE
            farm = FarmClient(directory, os.path.join(directory, "private", "admin.furl"), connector)
        else:
            farm = FarmClient(None, furlfile, connector)
        ctx.params["farm"] = farm
        return super().invoke(ctx)


def _is_a_masters(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, "master.cfg"))
