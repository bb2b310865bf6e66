"""
Commands that ask a master.

They are `FarmCommand`s, and find its FURL in ``private/admin.furl`` of its directory, or in the file that
``--furlfile`` names.
"""

import os
import shlex
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
from attrs import frozen

from ...errors import BuildbotLiteError, NoAnswerError
from ...storage.permissions import refuse_loose
from ..command_line.build_names import BuildName, names_no_directory, separated
from ..command_line.groups import DIRECTORY, FURLFILE, HERE, Subcommand
from ..command_line.next_commands import command_line, said_here
from ..output.printing import Document, read_secret
from ..processes import is_there, need_a_master
from .connection import Connect, MasterLink, connect

T = TypeVar("T")


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
        from ...wire.furl import furl_in, read_furl

        return (
            furl_in(read_secret("The string"), "standard input") if self.furlfile == "-" else read_furl(self.furlfile)
        )


class FarmCommand(Subcommand):
    """
    A command whose function gets *farm*, a `FarmClient`.

    The master's directory is the value of ``buildbot-lite -C``, or the first word, or the current directory.

    The command lines in the sentences of its errors, its own and the master's, are for the caller (`said_here`).
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
            ctx.meta[FURLFILE] = values.get("furlfile")
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
        try:
            return super().invoke(ctx)
        except BuildbotLiteError as error:
            error.args = (said_here(str(error)),)
            raise


class BuildCommand(FarmCommand):
    """
    A command about one build, which accepts BUILDER/NUMBER, as lists show it, for BUILDER NUMBER.
    """

    def named(self, words: list[str]) -> list[str]:
        return separated(words)

    def _begins_with_dir(self, words: list[str]) -> bool:
        if super()._begins_with_dir(words):
            return True
        if len(words) < 2 or BuildName.read(words[1]) is None:
            return False
        # BUILDER/NUMBER is two arguments in one word; after a build, it is a step or a path that looks like one.
        return BuildName.read(words[0]) is None or os.path.isdir(words[0])


def _is_a_masters(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, "master.cfg"))
