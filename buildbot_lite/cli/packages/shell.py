"""
A shell in the root of a package build that failed: over the link to the slave, or on the slave's own machine.
"""

import os
import pty
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from ...errors import LinkLostError
from ...packages.building.kept_roots import entering, kept_name
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient
from ..asking.raw_mode import RawMode, is_interactive, terminal_size
from ..command_line.build_names import separated
from ..output.printing import Document, note
from ..processes import need_a_directory
from .jobs import JobCommand


class ShellInRootCommand(JobCommand):
    """
    A `JobCommand` whose last arguments are another command, and whose first ones may be BUILDER/NUMBER.
    """

    furlfile_help = "A file with a string that buildbot-lite grant shell made, instead of DIR."

    def named(self, words: list[str]) -> list[str]:
        return separated(words)


@click.command("shell", cls=ShellInRootCommand, short_help="Enter the root of a build that failed.")
@click.argument("job")
@click.argument("arch")
@click.argument("command", nargs=-1, metavar="[-- COMMAND...]")
@click.option(
    "--slave",
    "directory",
    metavar="SLAVEDIR",
    type=click.Path(readable=False, path_type=Path),
    help="The directory of the slave, on its own machine.  JOB and ARCH are then BUILDER/NUMBER of the build.",
)
def shell(farm: FarmClient, job: str, arch: str, command: tuple[str, ...], directory: Path | None) -> int:
    """
    Run COMMAND, or start a shell, in the root of JOB for ARCH, whose build failed, as the build left it.  It runs on
    the slave that built it, wherever that is.

    The root of the target needs keep_failed=HOURS, and the slave's owner must permit it (shells=True in slave.tac).
    The files of the build are in /build (mock: /builddir/build); there is no network.  What you change stays until the
    root is removed.  In a root of mock's, the user, the environment and the network are those of mock's configuration.

    Without a terminal, standard input, output and error are passed on as they are.  The exit code is that of COMMAND or
    of the shell.

    The slave's owner needs no string: with --slave SLAVEDIR, as the slave's user, on the slave's machine.
    """
    if directory is not None:
        need_a_directory(str(directory))
        words = entering(directory.resolve(), kept_name(job, _number(arch, "The number of the build")), *command)
        return run_apart(words)
    question = {"job": _number(job, "JOB"), "architecture": arch}
    with RawMode() as raw:
        mode = raw if is_interactive() else None
        code, reason = farm.call(lambda link: _entered(link, question, command, mode))
    if reason:
        note(f"# {reason}")
    return code


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:18]) > 0):
        raise click.UsageError(
            f"{what} must be a number, and not {text!r:.100}.  On the slave's own machine: "
            "buildbot-lite package shell BUILDER/NUMBER --slave SLAVEDIR"
        )
    return int(text[:18])


async def _entered(link: MasterLink, where: Document, command: Sequence[str], raw: RawMode | None) -> tuple[int, str]:
    from ..asking.shell_terminal import LocalTerminal

    async with link.connection() as connection:
        root = (await connection.ask({"ask": "package-root", **where}))["root"]
        terminal = LocalTerminal(link.reactor, link.to_output, raw)
        question: dict[str, Any] = {**where, "command": list(command)}
        note(_place(root))
        if raw is not None:
            question.update(size=asdict(terminal_size()), term=os.environ.get("TERM", "dumb"))
        try:
            return await terminal.run(connection, question)
        except LinkLostError:
            raise LinkLostError(
                "Lost the connection to the master, so the shell ends.  What was changed in the root stays: enter it "
                "again."
            ) from None


def _place(root: Document) -> str:
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(root["until"]))
    return (
        f"# {root['title']} for {root['architecture']}, on the slave {root['slave']}.  The root is kept until {until}, "
        "unless it must make room.\n# The shell ends after an hour without input or output."
    )


# Whoever has a terminal open can put text into its input, as if it had been typed there (TIOCSTI, ioctl_tty(2)).
_IN_SIZE = 'stty rows "$1" cols "$2"; shift 2; exec "$@"'


def run_apart(words: Sequence[str]) -> int:
    """
    The exit code of *words*.  On a terminal, they get one of their own: what was built in a root must not reach the
    shell from which somebody enters it.
    """
    if not os.isatty(0):
        return subprocess.run(words, check=False).returncode
    size = shutil.get_terminal_size()
    argv = ["/bin/sh", "-c", _IN_SIZE, "sh", str(size.lines), str(size.columns), *words]
    with RawMode() as raw:
        # It enters the mode, too, and leaves it, but not when a signal ends this process.
        raw.enter()
        return os.waitstatus_to_exitcode(pty.spawn(argv))
