"""
Try the working tree: build its changes before they are committed.

::

    working tree ──► patch, base ──► each string: submitted ──► each builder: followed in a lane
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import click
from attrs import frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults

from ..errors import NotFoundError
from ..model.suggestions import nearest
from .commands import Commands
from .connection import FarmClient, FarmCommand, MasterLink
from .output import note, on_a_terminal
from .processes import is_there, need_a_master, strings_in
from .side_by_side import LaneOutput, LiveLanes, PlainLane
from .working_tree import WorkingPatch, working_patch

commands = Commands()

ADVICE = "The builds continue.  To see one: buildbot-lite follow -    (and paste the watch string)"


@frozen
class _Request:
    """
    A submitted request: its *number*, its *builder*, and the FURL to *watch* it.
    """

    number: int
    builder: str
    watch: str


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
    from ..wire.furl import read_furl

    if farm.directory is None:
        if names:
            raise click.UsageError("Give BUILDER or --furlfile FILE, not both: the string says what it builds.")
        return {farm.furlfile: read_furl(farm.furlfile)}
    if not names:
        raise click.UsageError("Give BUILDER, the name of a Submit scheduler, or --furlfile FILE.")
    need_a_master(farm.directory)
    found = {}
    for name in names:
        path = os.path.join(farm.directory, "furls", f"{name}.furl")
        if "/" in name or not is_there(path):
            suggestion = nearest(name, strings_in(farm.directory))
            near = f"Did you mean {suggestion!r}?" if suggestion else f"See: {farm.command('schedulers')}"
            raise NotFoundError(f"There is no string for {name!r:.100} in {farm.directory}.  {near}")
        found[name] = read_furl(path)
    return found


async def _tried(link: MasterLink, furls: Mapping[str, str], patch: WorkingPatch) -> int:
    """
    Submit *patch* to all *furls*, and follow what was requested; returns the exit code of the worst.
    """
    async with AsyncExitStack() as submitting:
        submitted: list[_Request] = []
        for furl in furls.values():
            # The submissions stay open to the end, for schedulers with cancelOnDisconnect.
            answer = await submitting.enter_async_context(link.at(furl).submit_patch(patch.file, patch.base))
            requests = _requests(answer)
            names = ", ".join(f"{each.builder} (request {each.number})" for each in requests)
            note(f"# {names}: watch with {answer['watch']}")
            submitted += requests
        if len(submitted) == 1:
            (only,) = submitted
            return int((await link.at(only.watch).watch(ADVICE, request=only.number))["exit_code"])
        return await _side_by_side(link, submitted)


def _requests(answer: Mapping[str, Any]) -> list[_Request]:
    watch = str(answer["watch"])
    return [
        _Request(int(number), str(builder), watch)
        for number, builder in zip(answer["requests"], answer["builders"], strict=True)
    ]


async def _side_by_side(link: MasterLink, found: Sequence[_Request]) -> int:
    labels = [each.builder for each in found]
    labels = [f"{each.builder} ({each.number})" if labels.count(each.builder) > 1 else each.builder for each in found]
    live = None
    lanes: Sequence[LaneOutput]
    if on_a_terminal():
        live = LiveLanes(labels, _print, shutil.get_terminal_size, time.monotonic)
        lanes = live.lanes
    else:
        longest = max(map(len, labels))
        lanes = [PlainLane(f"{label:{longest}}", link.to_output) for label in labels]
    following = [
        Deferred.fromCoroutine(_followed(link, request, lane)) for request, lane in zip(found, lanes, strict=True)
    ]
    try:
        codes: list[int] = await gatherResults(following, consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
        raise  # not reached
    if live is not None:
        live.finish()
    return max(codes)


async def _followed(link: MasterLink, request: _Request, lane: LaneOutput) -> int:
    answer = await link.at(request.watch).watch(ADVICE, request=request.number, to=lane.take)
    code = int(answer["exit_code"])
    lane.ended(code)
    return code


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
