"""
A shell in the root of a package build that failed, on the slave's machine.
"""

import os
import pty
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from ..packages.overlay import entering, kept_name


@click.command("shell", short_help="Enter the root of a build that failed.")
@click.argument("builder")
@click.argument("number", type=click.IntRange(1))
@click.option(
    "--slave",
    "directory",
    metavar="DIR",
    default=".",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory of the slave that built it.",
)
def shell(builder: str, number: int, directory: Path) -> int:
    """
    Start a shell in the root of build NUMBER of BUILDER, which failed, as the build left it.

    Run this on the slave's machine, as the slave's user.  The target needs Overlay(keep_failed=HOURS).  The files of
    the build are in /build; there is no network.  What you change stays until the root is removed.

    The exit code is that of the shell.
    """
    return run_apart(entering(directory.resolve(), kept_name(builder, number)))


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
    return os.waitstatus_to_exitcode(pty.spawn(argv))
