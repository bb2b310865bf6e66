"""
The waterfall: a column for each builder, time downwards, the newest at the top.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...storage.records import cells
from ...storage.records.cells import BuildCell
from ..html.rows import block, more_blocks
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .waterfall_lanes import MOST_LANES, Extent, laid_out

HOURS = (6, 24, 72, 168)
MOST_BUILDS = 400
COLUMN = 110
"""Width of a column, in units of the drawing."""
WIDTH = COLUMN - 9
"""The same without the gap between two."""
MOST_IN_ORDER = 30
"""Columns of which the first ones may be of anybody; nobody looks for what happens now among hundreds."""
HEIGHT = 1100
LEAST_HEIGHT = 14
MARGIN = 64
MOST_TICKS = 14
"""Times at the side of the drawing."""
_STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800, 21600, 86400)
"""Seconds between two of them: the newest builds of a busy farm may be those of a minute."""


async def waterfall(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/waterfall``.
    """
    hours = next((each for each in HOURS if str(each) == asked.field("hours")), 24)
    now = view.wall()
    since = now - hours * 3600
    tag = asked.field("tag")
    www = await view.told(asked, "www")
    tagged = {each["builder"] for each in www.get("builders") or () if tag in each.get("tags", ())}

    # Not filtered by the time of their start: that would look at thousands.
    newest = await view.records.read(lambda connection: cells.newest_of_all(connection, MOST_BUILDS))
    found = [each for each in newest if each.started >= since and (not tag or each.builder in tagged)]
    cut = len(newest) == MOST_BUILDS and newest[-1].started > since
    if cut:
        since = newest[-1].started
    of: dict[str, list[BuildCell]] = defaultdict(list)
    for each in found:
        of[each.builder].append(each)
    builders = _in_order(of, [each["builder"] for each in www.get("builders") or ()])
    places = {name: MARGIN + COLUMN * place for place, name in enumerate(builders)}
    return await view.page(
        asked,
        "waterfall.html",
        builders=[{"name": name, "x": x} for name, x in places.items()],
        blocks=Markup("".join(_column(of[name], x, since, now) for name, x in places.items())),  # noqa: S704 - ours
        shown=len(found),
        ticks=_ticks(since, now),
        hours=hours,
        choices=HOURS,
        tag=tag,
        tags=sorted({tag for each in www.get("builders") or () for tag in each.get("tags", ())}),
        cut=cut,
        width=MARGIN + COLUMN * max(1, len(builders)),
        height=HEIGHT,
        column=COLUMN,
    )


def _in_order(of: Mapping[str, Sequence[BuildCell]], configured: Sequence[str]) -> list[str]:
    """
    The builders of the builds *of* them, which are from the newest to the oldest, in the order of their columns: that
    of master.cfg; but of more than `MOST_IN_ORDER`, those that build or have built last come first.
    """
    order = {name: place for place, name in enumerate(configured)}
    builders = sorted(of, key=lambda name: (order.get(name, len(order)), name))
    if len(builders) > MOST_IN_ORDER:
        builders.sort(key=lambda name: (all(each.finished is not None for each in of[name]), -of[name][0].started))
    return builders


def _column(builds: Sequence[BuildCell], x: int, since: float, now: float) -> str:
    """
    The blocks of one builder, as markup.
    """
    scale = HEIGHT / max(1.0, now - since)
    lanes, crowds = laid_out(_extent(each, scale, now) for each in builds)
    blocks = []
    for at, number, count in lanes:
        width = WIDTH // count
        blocks.append(block(at.what, now, x + number * width, at.top, width - 1, at.bottom - at.top))
    width = WIDTH // MOST_LANES
    for crowd in crowds:
        left, height = x + WIDTH - width, crowd.bottom - crowd.top
        blocks.append(more_blocks(builds[0].builder, crowd.count, left, crowd.top, width - 1, height))
    return "".join(blocks)


def _extent(build: BuildCell, scale: float, now: float) -> Extent[BuildCell]:
    """
    Where *build* is drawn.  *scale*: units of the drawing for a second.
    """
    top = min(scale * (now - (build.finished or now)), HEIGHT - LEAST_HEIGHT)
    # In whole units, which are those of a screen.
    y, bottom = round(top), round(scale * (now - build.started))
    return Extent(build, y, max(y + LEAST_HEIGHT, bottom))


def _ticks(since: float, now: float) -> list[dict[str, Any]]:
    span = max(1.0, now - since)
    step = next(each for each in _STEPS if span / each <= MOST_TICKS)
    first = int(now // step) * step
    places = range(first, int(since), -step)
    return [{"at": at, "y": round(HEIGHT * (now - at) / span, 1)} for at in places]


ROUTES = (Route("/waterfall", waterfall),)
