"""
The farm at a glance: a row for each builder, what waits and why, and the slaves.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ..storage.records import cells
from ..storage.records.cells import BuildCell, RunningStep
from .live import Document
from .view import FarmView, PageRequest, Reply, Route

CELLS = 12
"""Results in the row of a builder."""
MOST_BUILDERS = 1000
MOST_GROUPS = 30
"""Groups of waiting requests that are shown."""
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

    def passes(self, builder: Document, last: BuildCell | None) -> bool:
        """
        Whether the row of *builder*, whose last finished build is *last*, is shown.
        """
        if self.text and self.text.lower() not in f"{builder['builder']} {builder.get('description', '')}".lower():
            return False
        if self.tag and self.tag not in builder.get("tags", ()):
            return False
        if self.slave and self.slave not in (builder.get("slaves") or ()):
            return False
        return not self.result or (last is not None and last.result is not None and last.result.name == self.result)


@frozen
class _Snapshot:
    """
    What the records say, in one transaction.
    """

    cells: Mapping[str, Sequence[BuildCell]]
    running: Sequence[BuildCell]
    steps: Mapping[int, RunningStep]


async def farm(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/``.
    """
    www, status = await view.live.answer("www"), await view.live.answer("status")
    wanted = FarmFilter(**{name: asked.query.get(name, "")[:200] for name in ("text", "tag", "slave", "result")})
    known = www.get("builders")
    names = None if known is None else [each["builder"] for each in known[:MOST_BUILDERS]]
    snapshot = await view.records.read(lambda connection: _read(connection, names))
    builders = known or [{"builder": name, "tags": (), "slaves": ()} for name in snapshot.cells]
    rows = _rows(builders, wanted, snapshot, status)
    return await view.page(
        asked,
        "farm.html",
        filter=wanted,
        rows=rows,
        total=len(builders),
        tags=sorted({tag for each in builders for tag in each.get("tags", ())}),
        running=len(snapshot.running),
        waiting=_waiting(status),
        waiting_total=status.get("waiting_total", 0),
        slaves=_slaves(status),
    )


def _read(connection: Connection, names: Sequence[str] | None) -> _Snapshot:
    names = cells.builders(connection, MOST_BUILDERS) if names is None else names
    return _Snapshot(
        {name: cells.newest(connection, name, CELLS + 4) for name in names},
        cells.running(connection),
        cells.running_steps(connection),
    )


def _rows(
    builders: Sequence[Document], wanted: FarmFilter, snapshot: _Snapshot, status: Document
) -> list[dict[str, Any]]:
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
    rows = []
    for builder in builders:
        name = builder["builder"]
        ended = [each for each in snapshot.cells.get(name, ()) if each.result is not None][:CELLS]
        if wanted.passes(builder, ended[0] if ended else None):
            rows.append(
                {
                    "name": name,
                    "description": builder.get("description", ""),
                    "tags": builder.get("tags", ()),
                    "cells": ended,
                    "running": running[name],
                    "waiting": waiting[name],
                }
            )
    return rows


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


def _slaves(status: Document) -> dict[str, Any]:
    """
    The slaves, each with its state; of many, the quiet ones are only counted.
    """
    everyone = [{**each, "state": state_of(each)} for each in status.get("slaves", ())]
    states = Counter(each["state"] for each in everyone)
    shown = everyone
    if len(everyone) > MOST_SLAVES:
        shown = [each for each in everyone if each["state"] != "here" or each["running"]]
    return {"shown": shown[:MOST_SLAVES], "states": states, "total": len(everyone)}


def state_of(slave: Document) -> str:
    """
    The state of *slave* as one word; of an older master's answer, what its other fields say.
    """
    if slave.get("state"):
        return str(slave["state"])
    if not slave["connected"]:
        return "away" if slave.get("since") else "never seen"
    return next((state.replace("_", " ") for state in ("paused", "draining", "low_space") if slave.get(state)), "here")


ROUTES = (Route("/", farm),)
