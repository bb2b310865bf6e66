"""
The farm at a glance: a row for each builder, what waits and why, and the slaves.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...model.results import Result
from ...storage.records import cells
from ...storage.records.cells import BuildCell, RunningStep
from ..farm.live import Document
from ..farm.slave_states import state_of, with_states
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .stretches import Stretch, stretch

CELLS = 12
"""Results in the row of a builder."""
MOST_ROWS = 200
"""Builders on one page."""
MOST_BUSY = 100
"""Builders of further pages that are on the first one as well, because they build or, if there is room, wait."""
_IDLE = 2
MOST_BUILDERS = 1000
"""Builders whose last results are looked at by the filter."""
MOST_GROUPS = 30
"""Groups of waiting requests that are shown."""
FAILING = "failing"
"""The value of the filter by result for builders whose last build failed or ended with an exception."""
_BAD = frozenset({Result.FAILURE.name, Result.EXCEPTION.name})
MOST_COUNTED = 300
"""Builders of a farm whose failing ones are counted: of a thousand, that would take longer than all the rest."""
_LOOKED_AT = 4
"""Newest builds of a builder among which the last one that ended is looked for, to count the builders that fail."""
MOST_SLAVES = 60
"""Slaves that are shown one by one; of more, those with something to say."""


@frozen
class FarmFilter:
    """
    The filter in the address of the page; "" excludes nothing.
    """

    text: str = ""
    tag: str = ""
    slave: str = ""
    result: str = ""

    def passes(self, builder: Document, slaves: "MatchingSlaves") -> bool:
        """
        Whether *builder* passes, apart from its last result.  *slaves*: those of the filter.
        """
        if self.text and self.text.lower() not in f"{builder['builder']} {builder.get('description', '')}".lower():
            return False
        if self.tag and self.tag not in builder.get("tags", ()):
            return False
        return not self.slave or slaves.build(builder)


class MatchingSlaves:
    """
    The slaves that the filter *text* means: the one of that name, or else all whose names contain it, in letters of any
    case.  *www*: what the master tells.
    """

    def __init__(self, www: Document, text: str) -> None:
        names: Sequence[str] = www.get("slaves") or ()
        self._names = {text} if text in names else {each for each in names if text.lower() in each.lower()}
        places = {place for place, name in enumerate(names) if name in self._names}
        self._pools = {place for place, pool in enumerate(www.get("pools") or ()) if not places.isdisjoint(pool)}

    def build(self, builder: Document) -> bool:
        """
        Whether one of these slaves builds for *builder*; True where it is not known, of a builder with very many
        slaves.
        """
        pool = builder.get("pool", -1)
        return pool is None or pool in self._pools or not self._names.isdisjoint(builder.get("slaves") or ())


@frozen
class FarmRows:
    """
    What the records say of the builders, in one transaction: their newest *cells*; of those that are only counted, the
    newest few (*others*).
    """

    cells: Mapping[str, Sequence[BuildCell]]
    others: Mapping[str, Sequence[BuildCell]]
    running: Sequence[BuildCell]
    steps: Mapping[int, RunningStep]


@frozen
class _Snapshot:
    """
    What is shown of the builders: *total*, of which those of *shown* have a row, and *failing* fail (None: they are too
    many to be counted).
    """

    total: int
    failing: int | None
    tags: Sequence[str]
    shown: Stretch[Document]
    cells: Mapping[str, Sequence[BuildCell]]
    running: Sequence[BuildCell]
    steps: Mapping[int, RunningStep]


async def farm(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/``.
    """
    www, status = await view.told(asked, "www"), await view.told(asked, "status")
    wanted = FarmFilter(**{name: asked.field(name) for name in ("text", "tag", "slave", "result")})
    waits = frozenset(each["builder"] for each in status.get("waiting", ()))
    known = await _known(view, www)
    snapshot = await _snapshot(view, asked, wanted, known, MatchingSlaves(www, wanted.slave), waits)
    return await view.page(
        asked,
        "farm.html",
        filter=wanted,
        rows=_rows(snapshot, status),
        newer=snapshot.shown.newer,
        older=snapshot.shown.older,
        total=snapshot.total,
        failing=snapshot.failing,
        tags=snapshot.tags,
        running=len(snapshot.running),
        is_known=bool(status),
        waiting=_waiting(status),
        waiting_total=status.get("waiting_total", 0),
        slaves=_slaves(status, view.wall()),
        names=names if len(names := www.get("slaves") or ()) <= MOST_SLAVES else (),
    )


async def _known(view: FarmView, www: Document) -> Sequence[Document]:
    """
    The builders of the configuration; while it is not known, those that have builds.
    """
    known: Sequence[Document] | None = www.get("builders")
    if known is None:
        names = await view.records.read(lambda connection: cells.builders(connection, MOST_BUILDERS))
        known = [{"builder": name, "tags": (), "slaves": ()} for name in names]
    return known


async def _snapshot(
    view: FarmView,
    asked: PageRequest,
    wanted: FarmFilter,
    known: Sequence[Document],
    slaves: MatchingSlaves,
    waits: Collection[str],
) -> _Snapshot:
    """
    What is shown of the builders that are *known*, of which those in *waits* have requests that wait.  If they are more
    than a page has, the first one begins with those that build, and then those that wait.
    """
    passing = [each for each in known if wanted.passes(each, slaves)]
    names = [each["builder"] for each in passing]
    # A filter by result needs the cells of all builders; otherwise those of one page, and of the busy ones of later
    # pages.
    page = stretch(asked, names, MOST_ROWS)
    read = names[:MOST_BUILDERS] if wanted.result else page.rows
    further = [] if wanted.result or page.newer is not None else names[MOST_ROWS:]
    counted = [each["builder"] for each in known] if len(known) <= MOST_COUNTED else []
    rows = await view.records.read(lambda connection: _read(connection, read, further, waits, counted))
    ended = {name: _ended(found) for name, found in rows.cells.items()}
    if wanted.result:
        results = _BAD if wanted.result == FAILING else {wanted.result}
        passing = [each for each in passing if _last_result(ended.get(each["builder"], ())) in results]
    shown = stretch(asked, passing, MOST_ROWS)
    if shown.newer is None and shown.older is not None:
        shown = evolve(shown, rows=_busy_first(passing, _Busy(rows.running, waits)))
    return _Snapshot(
        len(known),
        _failing(ended, rows.others) if counted or not known else None,
        sorted({tag for each in known for tag in each.get("tags", ())}),
        shown,
        ended,
        rows.running,
        rows.steps,
    )


def _read(
    connection: Connection,
    names: Sequence[str],
    further: Sequence[str],
    waits: Collection[str],
    counted: Sequence[str],
) -> FarmRows:
    """
    The newest builds of the builders *names*, and of at most `MOST_BUSY` of *further* that build or are in *waits*; of
    the others that are *counted*, the newest few.
    """
    running = cells.running(connection)
    busy_names = _Busy(running, waits).first_of(further)
    newest = cells.newest_of_each(connection, [*names, *busy_names], CELLS + 4)
    others = [name for name in counted if name not in newest]
    return FarmRows(
        newest,
        cells.newest_of_each(connection, others, _LOOKED_AT) if others else {},
        running,
        cells.running_steps(connection),
    )


class _Busy:
    """
    The builders that build (*running*), and those that only wait (*waits*).  Those that build come first: a queue of
    hundreds must not hide what happens now.
    """

    def __init__(self, running: Sequence[BuildCell], waits: Collection[str]) -> None:
        self._builds = frozenset(each.builder for each in running)
        self._waits = waits

    def place(self, builder: str) -> int:
        """
        0 if *builder* builds, 1 if it waits, 2 otherwise.
        """
        return 0 if builder in self._builds else 1 if builder in self._waits else _IDLE

    def first_of(self, builders: Sequence[str]) -> list[str]:
        """
        At most `MOST_BUSY` of *builders* that build or wait.
        """
        return sorted((each for each in builders if self.place(each) < _IDLE), key=self.place)[:MOST_BUSY]


def _busy_first(builders: Sequence[Document], busy: _Busy) -> Sequence[Document]:
    """
    The rows of the first page of *builders*: with those that are *busy*, also of further pages, before the others.
    They keep their places on those pages, so that nobody who goes through them misses one that is idle meanwhile.
    """
    further = {*busy.first_of([each["builder"] for each in builders[MOST_ROWS:]])}
    shown = [*builders[:MOST_ROWS], *(each for each in builders[MOST_ROWS:] if each["builder"] in further)]
    return sorted(shown, key=lambda each: busy.place(each["builder"]))


def _failing(shown: Mapping[str, Sequence[BuildCell]], others: Mapping[str, Sequence[BuildCell]]) -> int:
    """
    How many builders fail, of those that are *shown*, whose builds have ended, and of *others*.
    """
    return sum(_last_result(found) in _BAD for found in (*shown.values(), *map(_ended, others.values())))


def _ended(newest: Sequence[BuildCell]) -> Sequence[BuildCell]:
    """
    Those of the *newest* builds of a builder that have ended.
    """
    return [each for each in newest if each.result is not None and each.finished is not None][:CELLS]


def _last_result(ended: Sequence[BuildCell]) -> str | None:
    return ended[0].result.name if ended and ended[0].result is not None else None


def _rows(snapshot: _Snapshot, status: Document) -> list[dict[str, Any]]:
    expected = {(each["builder"], each["number"]): each for each in status.get("running", ())}
    waiting = Counter(each["builder"] for each in status.get("waiting", ()))
    running: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for cell in snapshot.running:
        live = expected.get((cell.builder, cell.number), {})
        running[cell.builder].append(
            {
                "cell": cell,
                "step": snapshot.steps.get(cell.id),
                "waits_for": live.get("waits_for"),
                "expected_end": live.get("expected_end"),
            }
        )
    return [
        {
            "name": (name := builder["builder"]),
            "description": builder.get("description", ""),
            "tags": builder.get("tags", ()),
            "cells": snapshot.cells.get(name, ()),
            "running": running[name],
            "waiting": waiting[name],
        }
        for builder in snapshot.shown.rows
    ]


def _waiting(status: Document) -> list[dict[str, Any]]:
    """
    The waiting requests, in groups of one builder and one reason, in the order of the queue.
    """
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for each in status.get("waiting", ()):
        key = (each["builder"], each["why"]["sentence"])
        group = groups.setdefault(
            key, {"builder": key[0], "why": key[1], "count": 0, "since": each["submitted"], "starts": None}
        )
        group["count"] += 1
        group["since"] = min(group["since"], each["submitted"])
        group["starts"] = group["starts"] or each.get("expected_start")
    return list(groups.values())[:MOST_GROUPS]


def _slaves(status: Document, now: float) -> dict[str, Any]:
    """
    The slaves, each with its state; of many, the quiet ones are only counted.
    """
    everyone = status.get("slaves", ())
    states = Counter(map(state_of, everyone))
    shown = everyone
    if len(everyone) > MOST_SLAVES:
        shown = [each for each in everyone if each["running"] or state_of(each) != "here"]
    return {"shown": with_states(shown[:MOST_SLAVES], now), "states": states, "total": len(everyone)}


ROUTES = (Route("/", farm),)
