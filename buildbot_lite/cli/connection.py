"""
The line to a running master.

Commands that ask a master are `FarmCommand`s: they take the master's directory, in which ``private/admin.furl`` is, or
with ``--furlfile`` that file from anywhere.  Then there is no DIR among the arguments.  Without DIR, where the other
arguments only make sense so, it is the current directory.

A reactor runs once in a process; so a command does all of its asking in one coroutine, which gets a `Line`.
"""

import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Any, Protocol, TypeVar

import click
from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from ..errors import (
    FurlError,
    LinkLostError,
    NoAnswerError,
)
from ..storage.permissions import refuse_loose
from .output import (
    Document,
    Pouring,
    Take,
)
from .processes import is_there, need_a_master
from .resuming import resumed

T = TypeVar("T")
LARGEST_FURL_FILE = 1 << 16
HERE = os.curdir


class Line(Protocol):
    """
    What a command does with a master.
    """

    async def ask(self, question: Document) -> Document:
        """
        The answer to *question*; an exception that is a sentence when there is none.
        """

    async def follow(self, question: Document, take: Take) -> Document:
        """
        The same, of something that grows; its bytes go to *take*.
        """

    async def pour(self, question: Document) -> Document:
        """
        The same, its bytes to standard output and standard error.
        """

    async def pour_to_the_end(self, question: Document, goes_on: str) -> Document:
        """
        The same, also over restarts of the master: see `resuming.resumed`.
        """

    async def watch(self, goes_on: str) -> Document:
        """
        The same, of the one request that a watch string is for.
        """

    async def pause(self, seconds: float) -> None:
        """
        Some time later.
        """

    def at(self, furl: str) -> "Line":
        """
        A line to what *furl* leads to instead.
        """


Visit = Callable[[str, Callable[[Line], Awaitable[Any]]], Any]
"""Runs a coroutine that gets a line to the master whose FURL is given; answers what it answers."""


@frozen
class NetworkLine:
    """
    A `Line` that connects anew for each question.
    """

    reactor: Any
    furl: str
    pouring: Take

    async def ask(self, question: Document) -> Document:
        """
        See `Line.ask`.
        """
        from ..wire.client import ask

        try:
            return await ask(self.reactor, self.furl, question)
        except LinkLostError:
            raise LinkLostError(
                "Lost the connection to the master before it answered.  The command may have taken effect: check "
                "before you repeat it."
            ) from None

    async def follow(self, question: Document, take: Take) -> Document:
        """
        See `Line.follow`.
        """
        from ..wire.client import follow

        return await follow(self.reactor, self.furl, question, take)

    async def pour(self, question: Document) -> Document:
        """
        See `Line.pour`.
        """
        return await self.follow(question, self.pouring)

    async def pour_to_the_end(self, question: Document, goes_on: str) -> Document:
        """
        See `Line.pour_to_the_end`.
        """
        return await resumed(lambda take: self.follow(question, take), self.pouring, pause=self.pause, goes_on=goes_on)

    async def watch(self, goes_on: str) -> Document:
        """
        See `Line.watch`.
        """
        from ..wire.client import watch

        return await resumed(
            lambda take: watch(self.reactor, self.furl, take), self.pouring, pause=self.pause, goes_on=goes_on
        )

    async def pause(self, seconds: float) -> None:
        """
        See `Line.pause`.
        """
        await deferLater(self.reactor, seconds)

    def at(self, furl: str) -> Line:
        """
        See `Line.at`.
        """
        return evolve(self, furl=furl)


def visit(furl: str, work: Callable[[Line], Awaitable[T]]) -> T:
    """
    See `Visit`.
    """
    outcome: list[T | Exception] = []
    pouring = Pouring()

    async def attempt(reactor: Any) -> None:
        try:
            outcome.append(await work(NetworkLine(reactor, furl, pouring.by(reactor))))
        except Exception as error:  # noqa: BLE001 - raised again below, where there is no reactor
            outcome.append(error)

    try:
        react(lambda reactor: Deferred.fromCoroutine(attempt(reactor)))
    except SystemExit:
        if pouring.refused is not None:
            raise pouring.refused from None
        if not outcome:
            # The reactor was stopped by Ctrl-C.
            raise KeyboardInterrupt from None
    result = outcome[0]
    if isinstance(result, Exception):
        raise result
    return result


@frozen
class Farm:
    """
    A master, as a command was told of it.  *directory* is None when it was told of a file with its string.
    """

    directory: str | None
    furlfile: str
    visit: Visit

    def ask(self, question: Document) -> Document:
        """
        The master's answer.
        """
        return self.call(lambda line: line.ask(question))

    def call(self, work: Callable[[Line], Awaitable[T]]) -> T:
        """
        What *work* answers, when it has a line to the master.
        """
        result: T = self.visit(self._furl(), work)
        return result

    def command(self, name: str, *arguments: object) -> str:
        """
        What to type for another command about the same master.
        """
        words = [] if self.directory in {None, HERE} else [self.directory]
        named = ["--furlfile", self.furlfile] if self.directory is None else []
        return shlex.join(["buildbot-lite", name, *map(str, [*words, *arguments, *named])])

    def _furl(self) -> str:
        if self.directory is not None and not is_there(self.furlfile):
            need_a_master(self.directory)
            raise NoAnswerError(
                f"The master in {self.directory} has never run.  Start it with: "
                f"buildbot-lite start {shlex.quote(self.directory)}"
            )
        if self.directory is not None:
            refuse_loose([self.furlfile])
        return read_furl(self.furlfile)


class FarmCommand(click.Command):
    """
    A command whose function gets *farm*, a `Farm`, instead of a directory.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        arguments = [param for param in self.params if isinstance(param, click.Argument)]
        self._least = sum(param.required for param in arguments)
        self._most = len(arguments) if all(param.nargs == 1 for param in arguments) else None
        directory = click.Argument(["directory"], metavar="[DIR]", default=HERE)
        furlfile = click.Option(
            ["--furlfile"],
            metavar="FILE",
            help="A copy of private/admin.furl, to ask a master from elsewhere.  Leave DIR out then.",
        )
        self.params = [directory, *self.params, furlfile]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """
        Put DIR where it was left out: with --furlfile always, otherwise see `_begins_with_dir`.
        """
        options, words = self._apart(args)
        directory = HERE
        if "--furlfile" not in {option.partition("=")[0] for option, *_ in options} and self._begins_with_dir(words):
            directory, *words = words
        flat = [part for option in options for part in option]
        return super().parse_args(ctx, [*flat, "--", directory, *self.named(words)])

    def named(self, words: list[str]) -> list[str]:
        """
        The arguments without DIR, as they were written; for commands that take one of them in several spellings.
        """
        return words

    def _begins_with_dir(self, words: list[str]) -> bool:
        """
        Whether the first of *words* is DIR: it is a master's directory; or there are more words than would do without
        it, and we are in no master's directory, or too many words for that.
        """
        if not words:
            return False
        if os.path.exists(os.path.join(words[0], "master.cfg")):
            return True
        too_many = self._most is not None and len(words) > self._most
        return too_many or (len(words) > self._least and not os.path.exists("master.cfg"))

    def _apart(self, args: list[str]) -> tuple[list[list[str]], list[str]]:
        """
        The options, each with its value, and the words of *args*.
        """
        with_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag and not param.count
            for name in param.opts
        }
        options: list[list[str]] = []
        words: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                words += rest
            elif arg == "-" or not arg.startswith("-"):
                words.append(arg)
            else:
                options.append([arg, *islice(rest, int(_last_option(arg, with_value) in with_value))])
        return options, words

    def invoke(self, ctx: click.Context) -> Any:
        """
        Say it as a `Farm`.
        """
        directory, furlfile = ctx.params.pop("directory"), ctx.params.pop("furlfile")
        visiting: Visit = ctx.obj or visit
        if furlfile is None:
            farm = Farm(directory, os.path.join(directory, "private", "admin.furl"), visiting)
        else:
            farm = Farm(None, furlfile, visiting)
        ctx.params["farm"] = farm
        return super().invoke(ctx)


def _last_option(arg: str, with_value: Collection[str]) -> str:
    """
    Of ``-fn`` the ``-n``, which may want the next word as its value; "" where it has its value with it: ``-n5``.
    """
    if arg.startswith("--"):
        return arg
    for at, letter in enumerate(arg[1:], 2):
        if f"-{letter}" in with_value:
            return f"-{letter}" if at == len(arg) else ""
    return ""


def read_furl(path: str) -> str:
    """
    The first line of the file *path* that begins with ``pb://``; `FurlError` when there is none.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            text = file.read(LARGEST_FURL_FILE)
    except OSError as error:
        raise FurlError(f"{path} cannot be read: {error.strerror}.") from None
    found = next((line.strip() for line in text.splitlines() if line.strip().startswith("pb://")), None)
    if found is None:
        raise FurlError(f"No line of {path} begins with pb://.")
    return found


def furls_in(text: str) -> list[str]:
    """
    The strings in *text*: alone in their lines, or after a name as in ``buildslave.furls``.
    """
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return [words[-1] for words in lines if len(words) in {1, 2} and words[-1].startswith("pb://")]


def stdin_text() -> str:
    """
    What is on standard input, at most as much as a file with a string may have.
    """
    return sys.stdin.buffer.read(LARGEST_FURL_FILE).decode("utf-8-sig", "replace")
