"""
The command lines that people are told to run next.
"""

import re
import shlex

import click

from .groups import DIRECTORY, FURLFILE, HERE

_PROGRAM = re.compile(r"(?<=buildbot-lite )(?:[a-z-]+(?: |\b))+")
_START = re.compile(r"buildbot-lite start DIR\b")
_WITHOUT_MASTER = re.compile(r"(?: [^ ;]+)* --slave ")
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
    return command_line(*_asked(), name, *arguments)


def said_here(said: str) -> str:
    """
    The sentence *said* about a master, for the caller of the running command: its command lines are for the same
    master, as those of `command_here`, and what is not permitted is the command that was given, not the name of the
    master's question.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return said
    directory, furlfile = _asked()
    root = context.find_root()
    given = context.command_path.removeprefix(root.command_path).strip()
    said = _NOT_PERMITTED.sub(repr(given), said)
    if directory is not None:
        start = command_line(directory, "", "start")
        said = _START.sub(lambda _: start, said)
    where = shlex.join(["--furlfile", furlfile] if directory is None else [directory])
    if directory == HERE or "--furlfile" in said:
        return said

    def placed(found: re.Match[str]) -> str:
        name, command = _command_named(root, found[0].split())
        rest = found.string[found.start() + len(name) :]
        # Strings for others are made by the admin, with another string than the caller's; roots of builds are entered
        # on the slave's machine without one.
        elsewhere = name.startswith("grant ") or _WITHOUT_MASTER.match(rest)
        if command is None or elsewhere or rest.startswith((" --help", f" {where}")):
            return found[0]
        if not _asks_a_master(command):
            # The rest of a sentence begins with its end.
            takes_string = directory is None and any(each.name == "furlfile" for each in command.params)
            return f"{found[0]} {shlex.quote(furlfile)}" if takes_string and not rest.startswith(" ") else found[0]
        return f"{name} {where}{found[0][len(name) :]}"

    return _PROGRAM.sub(placed, said)


def _asked() -> tuple[str | None, str]:
    """
    The directory and the file by which the running command finds its master: if the former is None, the latter alone.
    """
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    furlfile = meta.get(FURLFILE)
    return (meta.get(DIRECTORY, HERE), "") if furlfile is None else (None, furlfile)


def _command_named(root: click.Context, words: list[str]) -> tuple[str, click.Command | None]:
    """
    The command with which *words* begin, and its name.
    """
    command: click.Command | None = root.command
    count = 0
    while isinstance(command, click.Group) and count < len(words):
        command, count = command.get_command(root, words[count]), count + 1
    return " ".join(words[:count]), command


def _asks_a_master(command: click.Command) -> bool:
    return any("--furlfile" in each.opts for each in command.params)
