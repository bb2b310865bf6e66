"""
Watch the farm, a builder or a build in the terminal, live.

::

    the master's news, or a second ──► look (`documents`) ──► screen (`views`, `screen`)
                                                               └─► changed documents, as lines of JSON

A second passes between two looks at a farm at least, less at a build, and three times as long as the last one took:
the screen costs the master little, however large the farm is.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from attrs import define
from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ...errors import LinkLostError, NotFoundError, RefusedError
from ..asking.arguments import NUMBER
from ..asking.connection import MasterLink
from ..asking.farm_command import BuildCommand, FarmClient
from ..command_line.groups import Commands, need_master_packages
from ..output.printing import OUT, hung_up
from .documents import CountedChanges, Documents, Watched, WatchedBuild, WatchedBuilder, WatchedFarm

if TYPE_CHECKING:
    from ..asking.lasting_link import LastingLink
    from .navigation import Navigation
    from .screen import LiveScreen

commands = Commands()

LEAST_PAUSE = 1.0
"""Seconds between two looks, at the farm or of a master that tells no news."""
LONGEST_PAUSE = 10.0
"""Seconds until the next look without news, if the master tells news."""
_SHARE = 3.0


@commands.command(cls=BuildCommand, short_help="Watch the farm, or a build, in the terminal.")
@click.argument("builder", required=False)
@click.argument("number", type=NUMBER, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print each document whenever it changes, as a line of JSON.")
def watch(farm: FarmClient, builder: str | None, number: int | None, as_json: bool) -> None:
    """
    Watch the farm in the terminal, live; or BUILDER and its builds; or one build, with the end of its log.

    The string is that of an admin, or of buildbot-lite grant watch, or control.  q or Ctrl-C leaves.  If standard
    output is not a terminal, the present state is printed once.

    With --json, each line is an object with one document, and printed when it changes, until Ctrl-C.
    """
    watched = _watched(builder, number)
    if as_json:
        farm.call(lambda link: _print_changes(link, watched))
        return
    need_master_packages()
    from .navigation import Navigation
    from .screen import LiveScreen, can_show
    from .screen_layout import Space
    from .views import composition

    if not can_show():
        farm.call(watched.look)
        from ..output.layout import PLAIN_WIDTH

        space = Space(PLAIN_WIDTH, None, time.time())
        for line in composition(watched, space).overview(space):
            click.echo(line.plain.rstrip())
        return
    navigation = Navigation(watched)
    with LiveScreen(navigation.lines) as shown:
        farm.call(lambda link: _show(link, navigation, shown))


def _watched(builder: str | None, number: int | None) -> Watched:
    if builder is None:
        return WatchedFarm()
    return WatchedBuilder(builder) if number is None else WatchedBuild(builder, number)


async def _show(link: MasterLink, navigation: "Navigation", screen: "LiveScreen") -> None:
    """
    Keep *screen* current until the user leaves it.
    """
    from .screen import KeyReader, signals

    reactor, lasting = link.reactor, link.lasting()

    def draw() -> None:
        screen.draw(away_sentence(lasting) or navigation.problem)

    def pressed(keys: Sequence[str]) -> None:
        for key in keys:
            navigation.press(key)
        draw()

    screen.pressed = pressed
    ticking = LoopingCall(draw)
    ticking.clock = reactor
    with ExitStack() as leaving:
        leaving.enter_context(signals(screen, reactor.callFromThread, draw))
        if screen.keys is not None:
            reader = KeyReader(screen)
            reactor.addReader(reader)
            leaving.callback(reactor.removeReader, reader)
        drawing = ticking.start(1.0, now=True)
        leaving.callback(lambda: ticking.stop() if ticking.running else None)
        looking = Deferred.fromCoroutine(keep_looking(link, lasting, navigation, draw, navigation.turns))
        try:
            await until_one(drawing, looking, screen.left.wait())
        finally:
            await lasting.stop()


async def _print_changes(link: MasterLink, watched: Watched) -> None:
    """
    Print each document whenever it changes, and the loss of the link.
    """
    lasting, printed = link.lasting(), PrintedDocuments()
    try:
        await keep_looking(
            link, lasting, watched, lambda: printed.print(watched.documents()), before=check_that_somebody_reads
        )
    finally:
        await lasting.stop()


async def keep_looking(
    link: MasterLink,
    lasting: "LastingLink",
    watched: Watched,
    seen: Callable[[], object],
    turns: CountedChanges | None = None,
    before: Callable[[], object] = lambda: None,
) -> None:
    """
    Look at *watched* again and again, at once when it *turns* to something else; call *before* and *seen* before and
    after each look.  Fails when the master refuses.
    """
    news, turns = ToldChanges(), turns or CountedChanges()
    following = Deferred.fromCoroutine(news.follow(link, lasting))
    following.addErrback(lambda failure: failure.trap(CancelledError))  # type: ignore[unused-awaitable]  # in the background
    try:
        while True:
            before()
            begun = time.monotonic()
            known, turned = news.count, turns.count
            try:
                await watched.look(lasting)
            except LinkLostError:
                await link.pause(LEAST_PAUSE)
                continue
            seen()
            if turns.count != turned:
                continue
            pause = LEAST_PAUSE if watched.least_pause is None or not news.told else watched.least_pause
            pause = max(pause, _SHARE * (time.monotonic() - begun))
            await until_one(turns.next_change(), Deferred.fromCoroutine(link.pause(pause)))
            if news.told and news.count == known and turns.count == turned:
                waits = news.next_change(), turns.next_change(), Deferred.fromCoroutine(link.pause(LONGEST_PAUSE))
                await until_one(*waits)
    finally:
        following.cancel()


@define(eq=False)
class ToldChanges(CountedChanges):
    """
    That something has changed on the farm.  *told*: whether the master tells it.
    """

    told: bool = False

    async def follow(self, link: MasterLink, lasting: "LastingLink") -> None:
        """
        Follow the master's news as long as it tells them.
        """
        while True:
            try:
                await lasting.follow({"follow": "farm"}, self._take)
            except LinkLostError:
                self.told = False
                self.fire()
                await link.pause(LEAST_PAUSE)
            except (NotFoundError, RefusedError):
                # A master of an earlier version; or the string is refused, which the next question finds out as well.
                self.told = False
                self.fire()
                return

    def _take(self, chunk: bytes) -> None:
        self.told = True
        self.fire()


class PrintedDocuments:
    """
    Prints documents that have changed since they were printed last.
    """

    def __init__(self) -> None:
        self._printed: dict[tuple[str, str], str] = {}

    def print(self, documents: Documents) -> None:
        """
        Print those of *documents* that are new or have changed, each in a line.
        """
        lines = {key: json.dumps({key[0]: document}) for key, document in documents.items()}
        for key, line in lines.items():
            if self._printed.get(key) != line:
                click.echo(line)
        self._printed = lines


def check_that_somebody_reads() -> None:
    """
    Raise BrokenPipeError if the terminal at standard output was closed, or the reader of the pipe is gone.
    """
    if hung_up(OUT):
        raise BrokenPipeError


def away_sentence(lasting: "LastingLink") -> str:
    """
    That the link is lost, and since when; "" if it is not.
    """
    if (away := lasting.away) is None:
        return ""
    since = datetime.fromtimestamp(away.since).astimezone().strftime("%H:%M:%S")
    why = f" ({away.why})" if away.why else ""
    return f"No link to the master since {since}: this was so then.  Trying again{why}."


async def until_one(*events: Deferred[Any]) -> None:
    """
    Wait for one of *events*, and cancel the others; a failure is raised.
    """
    first: Deferred[Any] = DeferredList(events, fireOnOneCallback=True, fireOnOneErrback=True, consumeErrors=True)
    try:
        await first
    except FirstError as error:
        failure: Failure = error.subFailure
        failure.raiseException()
    finally:
        for each in events:
            each.cancel()
