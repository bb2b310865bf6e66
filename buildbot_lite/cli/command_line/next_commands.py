"""
The command lines that people are told to run next.
"""

import re
import shlex

import click

from .groups import HERE

_PROGRAM = re.compile(r"(?<=buildbot-lite )(?:[a-z-]+(?: |\b))+")
_NOT_PERMITTED = re.compile(r"(?<=^This string does not permit )'[^']*'")


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


def for_caller(said: str, directory: str | None, furlfile: str) -> str:
    """
    The sentence *said* of a master, for the caller: its command lines are for the same master, as those of
    `command_line`, and what is not permitted is the command that was given, not the name of the master's question.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return said
    root = context.find_root()
    given = context.command_path.removeprefix(root.command_path).strip()
    said = _NOT_PERMITTED.sub(repr(given), said)
    where = shlex.join(["--furlfile", furlfile] if directory is None else [directory])
    if directory == HERE or "--furlfile" in said:
        return said

    def placed(found: re.Match[str]) -> str:
        name, command = _command_named(root, found[0].split())
        rest = found.string[found.start() + len(name) :]
        # Strings for others are made by the admin, with another string than the caller's.
        if command is None or name.startswith("grant ") or rest.startswith((" --help", f" {where}")):
            return found[0]
        return f"{name} {where}{found[0][len(name) :]}"

    return _PROGRAM.sub(placed, said)


def _command_named(root: click.Context, words: list[str]) -> tuple[str, click.Command | None]:
    """
    The command with which *words* begin, and its name; None if it asks no master.
    """
    command: click.Command | None = root.command
    count = 0
    while isinstance(command, click.Group) and count < len(words):
        command, count = command.get_command(root, words[count]), count + 1
    asks = command is not None and any("--furlfile" in each.opts for each in command.params)
    return " ".join(words[:count]), command if asks else None
