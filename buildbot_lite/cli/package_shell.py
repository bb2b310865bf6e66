"""
A shell in the root of a package build that failed, on the slave's machine.
"""

import subprocess
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
    Enter the root of build NUMBER of BUILDER, which failed, as it was then.

    Run this on the slave's machine, as the slave's user.  The target needs Overlay(keep_failed=HOURS).  The files of
    the build are in /build; there is no network.  What you change stays until the root is removed.

    The exit code is that of the shell.
    """
    words = entering(directory.resolve(), kept_name(builder, number))
    return subprocess.run(words, check=False).returncode
