"""
Submissions, followed to their end: one request as flappclient shows it, several side by side.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults

from ...errors import NotFoundError
from ...model.display import printable
from ...model.suggestions import nearest
from ..asking.connection import MasterLink
from ..asking.farm_command import FarmClient
from ..command_line.groups import HERE
from ..output.printing import note, on_a_terminal
from ..processes import is_there, need_a_master, strings_in
from .side_by_side import LaneOutput, LiveLanes, PlainLane

ADVICE = "Builds whose watch string was printed continue.  To see one: buildbot-lite follow -    (and paste the string)"


@frozen
class SubmittedRequest:
    """
    A submitted request: its *number*, its *builder*, and the FURL to *watch* it.
    """

    number: int
    builder: str
    watch: str


def submit_furl(farm: FarmClient, name: str) -> str:
    """
    The string of the Submit scheduler *name* of the master whose directory *farm* has; `NotFoundError` when there is
    none.
    """
    from ...wire.furl import read_furl

    directory = farm.directory or HERE
    need_a_master(directory)
    path = os.path.join(directory, "furls", f"{name}.furl")
    if "/" in name or not is_there(path):
        suggestion = nearest(name, strings_in(directory))
        near = f"Did you mean {suggestion!r}?" if suggestion else f"See: {farm.command('schedulers')}"
        raise NotFoundError(f"There is no string for {name!r:.100} in {directory}.  {near}")
    return read_furl(path)


def told_requests(answer: Mapping[str, Any]) -> list[SubmittedRequest]:
    """
    The requests in the master's *answer* to a submission, told on standard error with their watch string.
    """
    watch = str(answer["watch"])
    found = [
        SubmittedRequest(int(number), str(builder), watch)
        for number, builder in zip(answer["requests"], answer["builders"], strict=True)
    ]
    if title := answer.get("title"):
        note(f"# {printable(str(title))}")
    names = ", ".join(f"{each.builder} (request {each.number})" for each in found)
    note(f"# {printable(names)}: watch with {printable(watch)}")
    for name, reason in answer.get("skipped", {}).items():
        note(f"# not built for {printable(str(name))}: {printable(str(reason))}")
    return found


async def follow_all(link: MasterLink, submitted: Sequence[SubmittedRequest]) -> int:
    """
    Follow them to their ends; returns the exit code of the worst.
    """
    if len(submitted) == 1:
        (only,) = submitted
        return int((await link.at(only.watch).watch(ADVICE, request=only.number))["exit_code"])
    return await _side_by_side(link, submitted)


async def _side_by_side(link: MasterLink, found: Sequence[SubmittedRequest]) -> int:
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


async def _followed(link: MasterLink, request: SubmittedRequest, lane: LaneOutput) -> int:
    answer = await link.at(request.watch).watch(ADVICE, request=request.number, to=lane.take)
    code = int(answer["exit_code"])
    lane.ended(code)
    return code


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
