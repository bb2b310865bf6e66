"""
Package builds: submit a source package, and see it built for each architecture.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, Any

import click

from ...errors import InputError
from ...model.display import printable
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..builds.submitted import ADVICE
from ..command_line.groups import Commands
from ..command_line.next_commands import said_here
from ..output.printing import note
from . import jobs
from .chain import built_in_order, check_chain
from .fetch import fetch
from .files import examine_again, packages_of, submittable
from .git import built_of_git
from .log import log
from .rebuild import rebuild
from .shell import shell
from .signing import COMMANDS as SIGNING_COMMANDS
from .target import submitted_to
from .words import JobNumber, asked_revision

commands = Commands()

UNUSABLE = 2
"""The exit code when the submission cannot be used, as for flappclient."""


class PackageCommand(FarmCommand):
    """
    A `FarmCommand` whose string is that of a target.
    """

    furlfile_help = "A file with the string of a target, to build without a master's directory.  Leave DIR out then."


@commands.group("package", cls=Commands, short_help="Packages of Debian and RPM: build, list, sign, publish, …")
def package() -> None:
    """
    Build packages of Debian and RPM for the targets of a farm.
    """


@package.command("build", cls=PackageCommand, short_help="Build a source package, and show its logs.")
@click.argument("words", metavar="[TARGET] FILE...|[NAME] TAG", nargs=-1)
@click.option("--revision", metavar="REV", help="A tag, branch or commit in git, instead of TAG.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the builds.")
@click.option("--scratch", is_flag=True, help="Only to see whether it builds: the packages enter no repository.")
@click.option(
    "--priority", type=int, metavar="N", help="Below 0: after other jobs; above: before them, if the string permits it."
)
@click.option("--after", type=JobNumber(1, 1 << 53), metavar="JOB", help="Begin when the packages of JOB are there.")
def build(farm: FarmClient, words: tuple[str, ...], revision: str | None, no_wait: bool, **options: Any) -> Any:
    """
    Build source packages for each architecture that applies, and show the logs, each line after its builder's name.

    FILE is a .dsc, whose other files lie beside it, a source RPM, or a tar archive of all files.  The package is
    checked before it is sent.  The string is that of TARGET of the master in DIR, or the one in the file of --furlfile.

    With TAG, the farm makes the source package itself, from the git repository that master.cfg has for the package
    NAME; NAME may also be the address of a repository that is listed there, and is not needed if there is only one.  A
    word is a TAG if there is no such file and it does not look like the name of one; with --revision, any word is.

    Of several packages each is a job that begins when the packages of the one before it are in the target's repository
    for builds, and sees them.  When one fails, those after it are not built.

    The exit code is that of the worst build: 0 good, 1 failed, 2 exception, 4 cancelled or lost too often.  It is also
    1 if the master refuses what was built, and 2 if FILE is no package that can be built for TARGET.
    """
    from ...wire.furl import read_furl

    chosen = {name: value for name, value in options.items() if value not in (None, False)}
    named = words if farm.directory is None else words[1:]
    if not named and (revision is None or (farm.directory is not None and not words)):
        raise click.UsageError("Give TARGET and FILE or TAG, or --furlfile FILE and these without TARGET.")

    def submitted(work: Callable[[MasterLink], Awaitable[Any]]) -> Any:
        return (
            farm.connect(read_furl(farm.furlfile), work)
            if farm.directory is None
            else submitted_to(farm, words[0], work)
        )

    with ExitStack() as opened:
        try:
            if asked := asked_revision(named, revision):
                made = partial(built_of_git, asked=asked, options=chosen)
                return submitted(lambda link: made(link, wait=not no_wait))
            chain = [_checked(opened, paths) for paths in packages_of(named)]
            check_chain(chain, chosen)
            return submitted(lambda link: built_in_order(link, chain, chosen, wait=not no_wait))
        except InputError as error:
            # Found here, or by the master, which knows for what its targets are.
            note(printable(said_here(str(error))))
            return UNUSABLE
        except KeyboardInterrupt:
            note(f"\n{ADVICE}")
            raise click.Abort from None


def _checked(opened: ExitStack, paths: Sequence[str]) -> IO[bytes]:
    """
    The file to submit for *paths*, which *opened* closes, told on standard error.
    """
    file = opened.enter_context(submittable(paths))
    found = examine_again(file)
    note(f"# {found.package}: {file.seek(0, os.SEEK_END)} bytes")
    return file


for command in (*jobs.commands.commands.values(), log, fetch, rebuild, shell, *SIGNING_COMMANDS):
    package.add_command(command)
