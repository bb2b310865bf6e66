"""
One build: what was asked, what came of it, and each of its steps.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from markupsafe import Markup
from sqlalchemy import Connection
from twisted.internet.threads import deferToThread

from ...errors import FileError
from ...status import build_details, build_documents, build_rows
from ...status.build_details import BuildStory, StoryRows
from ...status.build_rows import OneBuildRows
from ...storage.compressed_streams import open_stream
from ...storage.records import marks
from ...storage.records.streams import Stream
from ..farm.live import Document
from ..farm.stored_farm import Places
from ..logs.terminal import Terminal
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

TAIL = 12 << 10
"""Bytes of the log of the failed or the running step that the page shows."""
MOST_LINES = 24
MOST_PROPERTIES = 300


async def build(view: FarmView, asked: PageRequest, builder: str, number: int) -> Reply:
    """
    ``/builders/NAME/NUMBER``.
    """
    status = await view.told(asked, "status")
    rows = await view.records.read(lambda connection: _read(connection, builder, number))
    document = build_documents.one_build_from(rows.build)
    details = build_details.story_from(rows.story)
    empty: Document = {}
    live = next((each for each in status.get("running", ()) if _is(each, builder, number)), empty)
    steps = steps_of(document, details, view.wall())
    opened = opened_step(steps)
    if opened is not None:
        opened["tail"] = await deferToThread(tail_of, view.places(), opened["logs"])
    end = document["finished"] or view.wall()
    return await view.page(
        asked,
        "build.html",
        build=document,
        builder=builder,
        details=details,
        steps=steps,
        artifacts=build_documents.artifacts_from(rows.artifacts),
        why_kept=rows.why_kept,
        live=live,
        spent=end - document["started"],
        properties=sorted(document["properties"].items())[:MOST_PROPERTIES],
    )


def _is(each: Document, builder: str, number: int) -> bool:
    return bool(each["builder"] == builder and each["number"] == number)


@frozen
class BuildPageRows:
    """
    What the page of a build is made of.
    """

    build: OneBuildRows
    story: StoryRows
    artifacts: Sequence[Stream]
    why_kept: str | None


def _read(connection: Connection, builder: str, number: int) -> BuildPageRows:
    row = build_documents.the_build(connection, builder, number, ())
    return BuildPageRows(
        build_rows.of_one_build(connection, row),
        build_details.read_story(connection, row),
        build_rows.of_artifacts(connection, row),
        marks.why_kept(connection, row.id),
    )


def steps_of(document: Document, details: BuildStory, now: float) -> list[dict[str, Any]]:
    """
    The steps, each with its bar: the part of the build's time that it took, in per cent.
    """
    begun = document["started"]
    whole = max(0.001, (document["finished"] or now) - begun)
    shown = []
    for step in document["steps"]:
        end = step["finished"] or now
        shown.append(
            {
                **step,
                "spent": max(0.0, end - step["started"]),
                "from": round(100 * min(1.0, max(0.0, step["started"] - begun) / whole), 2),
                "width": round(max(0.4, 100 * min(1.0, max(0.0, end - step["started"]) / whole)), 2),
                "logs": [
                    {"name": name, "size": _size(parts), "parts": parts}
                    for name, parts in details.logs.get(step["number"], {}).items()
                ],
                "commands": details.commands.get(step["number"], ()),
                "remarks": details.remarks.get(step["number"], ()),
                "tail": (),
            }
        )
    return shown


def _size(parts: Sequence[Any]) -> int | None:
    """
    The size of a log whose streams are *parts*; None while one of them grows.
    """
    return None if any(each.length is None for each in parts) else sum(each.length for each in parts)


def opened_step(steps: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """
    The step that is opened at its tail: the first that failed, or the one that runs.
    """
    for step in steps:
        if step["result"] in {"FAILURE", "EXCEPTION"} and step["logs"]:
            return step
    running = [step for step in steps if step["result"] is None and step["logs"]]
    return running[-1] if running else None


def tail_of(places: Places, logs: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """
    The last lines of the first of *logs*, as a terminal shows them; none if it is blank.  Reads files: for a thread.
    """
    path = os.path.join(places.streams, logs[0]["parts"][-1].path)
    try:
        reader = open_stream(path)
    except FileError:
        return []
    try:
        data = reader.read(max(0, reader.length - TAIL), TAIL)
    except FileError:
        return []
    finally:
        reader.close()
    if not data.strip():
        return []
    lines = data.removesuffix(b"\n").split(b"\n")[1 if len(data) == TAIL else 0 :]
    terminal = Terminal()
    return [Markup(terminal.show(line).html) for line in lines[-MOST_LINES:]]  # noqa: S704 - the terminal escapes


ROUTES = (Route("/builders/<builder>/<int:number>", build),)
