"""
Try the working tree: build its changes before they are committed.

::

    working tree ──► patch, base ──► each string: submitted ──► each builder: followed in a lane
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import click

from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands
from ..output.printing import note
from .submitted import ADVICE, SubmittedRequest, follow_all, submit_furl, told_requests
from .working_tree import WorkingPatch, working_patch

commands = Commands()


class TryCommand(FarmCommand):
    """
    A `FarmCommand` whose string may be that of a submission.
    """

    furlfile_help = "A file with the string of a Submit scheduler, instead of DIR and BUILDER."


@commands.command("try", cls=TryCommand, short_help="Build the changes in the working tree.")
@click.argument("names", metavar="[BUILDER]...", nargs=-1)
@click.option(
    "--base", metavar="REVISION", help="The revision to compare with, instead of the newest commit that the server has."
)
@click.option("--print", "only_print", is_flag=True, help="Print the patch, and submit nothing.")
def try_(farm: FarmClient, names: tuple[str, ...], base: str | None, only_print: bool) -> Any:
    """
    Build the changes in the working tree (git, Mercurial, Subversion) before they are committed, and show the logs.

    BUILDER is the name of a Submit scheduler of the master in DIR, which takes a patch (stdin="patch" in master.cfg).
    All builders of that scheduler build it.

    The exit code is that of the worst build: 0 for success and warnings, 1 for a failure, 2 for an exception, 4 if a
    build was cancelled or its retries were used up.
    """
    patch = working_patch(os.curdir, base)
    for remark in patch.remarks:
        note(f"# {remark}")
    if only_print:
        patch.file.seek(0)
        shutil.copyfileobj(patch.file, sys.stdout.buffer)
        return 0
    furls = _furls(farm, names)
    note(f"# trying {patch.length} bytes of changes{_of(patch)}")
    first = next(iter(furls.values()))
    try:
        return farm.connect(first, lambda link: _tried(link, furls, patch))
    except KeyboardInterrupt:
        note(f"\n{ADVICE}")
        raise click.Abort from None


def _of(patch: WorkingPatch) -> str:
    base = patch.base
    branch = f" of {base.branch}" if base.branch else ""
    return f" to {base.revision[:12]}{branch}" if base.revision else ""


def _furls(farm: FarmClient, names: Sequence[str]) -> Mapping[str, str]:
    """
    The strings to submit to, by name.
    """
    from ...wire.furl import read_furl

    if farm.directory is None:
        if names:
            raise click.UsageError("Give BUILDER or --furlfile FILE, not both: the string says what it builds.")
        return {farm.furlfile: read_furl(farm.furlfile)}
    if not names:
        raise click.UsageError("Give BUILDER, the name of a Submit scheduler, or --furlfile FILE.")
    return {name: submit_furl(farm, name) for name in names}


async def _tried(link: MasterLink, furls: Mapping[str, str], patch: WorkingPatch) -> int:
    """
    Submit *patch* to all *furls*, and follow what was requested; returns the exit code of the worst.
    """
    async with AsyncExitStack() as submitting:
        submitted: list[SubmittedRequest] = []
        for furl in furls.values():
            # The submissions stay open to the end, for schedulers with cancelOnDisconnect.
            answer = await submitting.enter_async_context(link.at(furl).submit_patch(patch.file, patch.base))
            submitted += told_requests(answer)
        return await follow_all(link, submitted)
