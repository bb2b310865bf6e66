"""
The groups in which command modules define their commands, and the program that joins them.

A command module has a `Commands` and defines its commands in it.  `cli.program` adds these groups to the `Program`; so
does whoever starts the program with commands of another package::

    program.add_source(commands)

The module imports no other command module, and nothing imports it but the place that adds it.
"""

import os
from importlib import import_module
from typing import Any

import click

from ...errors import BuildbotLiteError

HERE = os.curdir
DIRECTORY = "buildbot_lite.directory"
"""The key in a click context's *meta* of DIR: from ``buildbot-lite -C``, or the first word of a command."""
FURLFILE = "buildbot_lite.furlfile"
"""The key in a click context's *meta* of the value of --furlfile."""
MASTER_PACKAGES = frozenset({"sqlalchemy", "alembic", "rich", "backports", "jinja2"})
"""Packages that only ``pip install 'buildbot-lite[master]'`` installs."""
FILE = click.Path(readable=False)
"""The name of a file, which shells complete.  Whether it is there, and can be read, the command itself says."""


class Subcommand(click.Command):
    """
    A command whose sentences about a wrong command line name its own help.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            # click does not tell the command when an option lacks its value.
            error.ctx = error.ctx or ctx
            raise


class Commands(click.Group):
    """
    Commands in the order of their definition.
    """

    command_class = Subcommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class Program(click.CommandCollection):
    """
    All commands, in the order in which their groups were added.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headings: dict[str, list[str]] = {}

    def add_source(self, group: click.Group, heading: str = "Other commands") -> None:
        """
        Add the commands of *group*, which the help shows below *heading*; `BuildbotLiteError` if one of their names is
        taken.
        """
        names = {name for source in self.sources for name in source.commands}
        if clashes := sorted(names & set(group.commands)):
            raise BuildbotLiteError(f"There are two commands of one name: {', '.join(clashes)}.")
        super().add_source(group)
        self._headings.setdefault(heading, []).extend(group.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """
        Write the commands for the help, those of each heading together.
        """
        shown = {name: self.get_command(ctx, name) for names in self._headings.values() for name in names}
        widest = max(map(len, shown), default=0)
        # In one column under all headings.
        room = formatter.width - 6 - widest
        for heading, names in self._headings.items():
            with formatter.section(heading):
                found = [(name, command) for name in names if (command := shown[name]) is not None]
                formatter.write_dl(
                    [(name.ljust(widest), each.get_short_help_str(room)) for name, each in found if not each.hidden]
                )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for source in self.sources for name in source.list_commands(ctx)]


def need_master_packages() -> None:
    """
    Raise `ModuleNotFoundError` if only the slave's packages are installed.
    """
    for name in MASTER_PACKAGES:
        import_module(name)


def _given_directory() -> str:
    directory: str = click.get_current_context().meta.get(DIRECTORY, HERE)
    return directory


def not_empty(ctx: click.Context, param: click.Parameter, path: str) -> str:
    """
    *path*, an argument; `click.BadParameter` if it is an empty word.
    """
    if not path:
        raise click.BadParameter("this is an empty word.", ctx, param)
    return path


def _check_given_once(ctx: click.Context, param: click.Parameter, directory: str) -> str:
    if DIRECTORY in ctx.meta and directory != ctx.meta[DIRECTORY]:
        raise click.UsageError("Give -C DIR, or DIR as an argument, not both.", ctx)
    return not_empty(ctx, param, directory)


directory_argument = click.argument("directory", metavar="[DIR]", default=_given_directory, callback=_check_given_once)
"""DIR of commands that do not ask a master: an argument, or the value of ``buildbot-lite -C``, or the current one."""
