"""
Lists of builds: of the farm, and of one builder, with a plot of their durations.
"""

import statistics
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError
from ...model.results import Result
from ...status import build_documents
from ...storage.records import cells, history
from ...storage.records.cells import BuildCell
from ...storage.records.history import Filter, Page
from ..farm.live import Document
from ..html.rows import PlottedBuild
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

ON_PAGE = 50
LEAST_BARS = 40
"""Bars for which the plot has room: with fewer builds they would be as wide as blocks."""
PLOTTED = 120
"""Builds in the plot of a builder."""
_GOOD = {Result.SUCCESS, Result.WARNINGS}


async def builds(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/builds``: all builds that pass the filter in the address.
    """
    wanted = filter_in(asked)
    page = await view.records.read(lambda connection: history.page(connection, wanted, ON_PAGE, asked.before))
    return await view.page(asked, "builds.html", filter=wanted, page=page, older=_older(asked, page), query=asked.query)


async def builder(view: FarmView, asked: PageRequest, builder: str) -> Reply:
    """
    ``/builders/NAME``.
    """
    www, status = await view.told(asked, "www"), await view.told(asked, "status")
    configured: Document | None = next((each for each in www.get("builders") or () if each["builder"] == builder), None)
    wanted = Filter(builder)

    def read(connection: Connection) -> tuple[Page, list[BuildCell]]:
        return (
            history.page(connection, wanted, ON_PAGE, asked.before),
            cells.newest(connection, builder, PLOTTED + 20),
        )

    page, newest = await view.records.read(read)
    if configured is None and not newest:
        raise build_documents.no_builder(builder, [each["builder"] for each in www.get("builders") or ()])
    return await view.page(
        asked,
        "builder.html",
        builder=builder,
        configured=configured,
        is_gone=configured is None and bool(www.get("builders")),
        waiting=[each for each in status.get("waiting", ()) if each["builder"] == builder][:ON_PAGE],
        page=page,
        older=_older(asked, page),
        plot=plot_of(newest),
    )


def filter_in(asked: PageRequest) -> Filter:
    """
    The filter in the address of a list: builder, branch, slave, result; an unknown result is refused.
    """
    result = asked.field("result")
    results: Sequence[Result | None] = ()
    if result == "running":
        results = (None,)
    elif result:
        if result not in Result.__members__:
            raise NotFoundError(f"There is no result {result!r:.60}.  The results are: {', '.join(Result.__members__)}")
        results = (Result[result],)
    return Filter(
        builder=asked.field("builder") or None,
        branch=asked.field("branch") or None,
        slave=asked.field("slave") or None,
        results=results,
    )


def _older(asked: PageRequest, page: Page) -> str | None:
    """
    The query of the next page; None: this is the last.
    """
    return None if page.before is None else urlencode({**asked.query, "before": page.before})


@frozen
class Plot:
    """
    Durations of the newest builds, the oldest at the left.  *median* and *longest*: seconds.  *good*: per cent of those
    builds that had a result of their own.
    """

    bars: Sequence[PlottedBuild]
    width: int
    longest: float
    median: float
    median_height: float
    good: int


HEIGHT = 60.0


def plot_of(newest: Sequence[BuildCell]) -> Plot | None:
    """
    The plot of the *newest* builds that have ended; None if none has.
    """
    ended = [(each, max(0.0, each.finished - each.started)) for each in newest if each.finished is not None]
    shown = list(reversed(ended[:PLOTTED]))
    if not shown:
        return None
    durations = sorted(seconds for _, seconds in shown)
    longest, median = max(durations[-1], 0.001), statistics.median(durations)
    bars = [
        PlottedBuild(build, index * 6.0, round(max(2.0, HEIGHT * seconds / longest), 2))
        for index, (build, seconds) in enumerate(shown)
    ]
    judged: list[Any] = [
        build.result for build, _ in shown if build.result in {*_GOOD, Result.FAILURE, Result.EXCEPTION}
    ]
    good = round(100 * sum(each in _GOOD for each in judged) / len(judged)) if judged else 0
    return Plot(bars, max(LEAST_BARS, len(shown)) * 6, longest, median, round(HEIGHT * median / longest, 2), good)


ROUTES = (Route("/builds", builds), Route("/builders/<builder>", builder))
