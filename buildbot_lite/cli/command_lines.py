"""
The command lines that people are told to run next.
"""

import shlex

import click

from .commands import HERE


def command_line(directory: str | None, furlfile: str, name: str, *arguments: object) -> str:
    """
    The command line of the command *name*, of one or more words, for the master in *directory*, or if that is None for
    the one of *furlfile*.
    """
    words = [] if directory in {None, HERE} else [directory]
    named = ["--furlfile", furlfile] if directory is None else []
    return shlex.join(["buildbot-lite", *name.split(), *map(str, [*words, *arguments, *named])])


def command_here(name: str, *arguments: object) -> str:
    """
    A command line for the master that the running command asks; without DIR or --furlfile where none runs.
    """
    context = click.get_current_context(silent=True)
    farm = context.params.get("farm") if context is not None else None
    where = (HERE, "") if farm is None else (farm.directory, farm.furlfile)
    return command_line(*where, name, *arguments)
