"""
What the page of one build shows beside the build's document: its neighbours, commands, changes, remarks, log sizes.

Everything is read in one transaction, as rows, and all of it is bounded; what is shown is made of them afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, literal_column, or_, select

from ..errors import BuildbotLiteError
from ..model.command_lines import command_line
from ..model.json_reader import JsonReader
from ..model.results import Result
from ..model.spec import Run
from ..storage import schema
from ..storage.records import buildsets, changes, journal, listed_builds, remarks, requests, streams
from ..storage.records.builds import Build
from ..storage.records.buildsets import Buildset
from ..storage.records.changes import RecordedChange
from ..storage.records.durations import is_good
from ..storage.records.journal import JournalRow
from ..storage.records.listed_builds import TriggeredBuild
from ..storage.records.remarks import Remark
from ..storage.records.streams import Stream
from ..storage.statements import Query

LOOKED_AT = 2000
"""Numbers of builds that are searched for the last good one."""
MOST_ELSEWHERE = 100
"""Builds of the same changes that are shown."""
MOST_REMARKS = 1000
MOST_COMMANDS = 500
MOST_STREAMS = 5000
"""Streams of logs: a log has one for each command that wrote into it."""
LONGEST_COMMAND = 4000
UNREADABLE = "a command that this version does not understand"

_builds = schema.builds
_LAST_GOOD = Query(
    # Ends with the first that it finds: a window as a subquery would be filled first.
    select(_builds.c.number)
    .where(
        _builds.c.builder == bindparam("builder"),
        _builds.c.number < bindparam("number"),
        _builds.c.number >= bindparam("number") - LOOKED_AT,
        is_good(_builds.c.result),
    )
    .order_by(_builds.c.number.desc())
    .limit(1),
    int,
)
_bad = (Result.FAILURE, Result.EXCEPTION)
_FIRST_BAD = Query(
    select(_builds.c.number)
    .where(
        _builds.c.builder == bindparam("builder"),
        _builds.c.number > bindparam("after"),
        _builds.c.number <= bindparam("number"),
        or_(*(_builds.c.result == literal_column(str(int(each))) for each in _bad)),
    )
    .order_by(_builds.c.number)
    .limit(1),
    int,
)
_NEXT = Query(
    select(_builds.c.number)
    .where(_builds.c.builder == bindparam("builder"), _builds.c.number > bindparam("number"))
    .order_by(_builds.c.number)
    .limit(1),
    int,
)
_PREVIOUS = Query(
    select(_builds.c.number)
    .where(_builds.c.builder == bindparam("builder"), _builds.c.number < bindparam("number"))
    .order_by(_builds.c.number.desc())
    .limit(1),
    int,
)


@frozen
class Neighbours:
    """
    Numbers of builds of the same builder; None: there is none.  *first_bad*: the first one that failed after the last
    good one, for a build that failed.
    """

    previous: int | None
    following: int | None
    last_good: int | None
    first_bad: int | None


@frozen
class ShownCommand:
    """
    A command of *step*: its *line* as one would type it, without secrets; *workdir*; the names of its variables.
    """

    step: int
    line: str
    workdir: str
    env: Sequence[str]


@frozen
class BuildStory:
    """
    *logs*: the streams of each step's logs, in the order of the log's parts.  *elsewhere*: builds of the same changes:
    builder, number, result's name.  *request*: its document.
    """

    neighbours: Neighbours
    commands: Mapping[int, Sequence[ShownCommand]]
    logs: Mapping[int, Mapping[str, Sequence[Stream]]]
    remarks: Mapping[int, Sequence[Remark]]
    changes: Sequence[RecordedChange]
    elsewhere: Sequence[tuple[str, int, str | None]]
    source: Mapping[str, Any]
    reason: str


@frozen
class StoryRows:
    """
    What a `BuildStory` is made of.  *changes*: the last 50.  *caused*: by the last five of them.
    """

    row: Build
    neighbours: Neighbours
    commands: Sequence[JournalRow]
    logs: Sequence[Stream]
    remarks: Sequence[Remark]
    changes: Sequence[RecordedChange]
    caused: Mapping[int, Sequence[TriggeredBuild]]
    buildset: Buildset | None


def of_build(connection: Connection, row: Build) -> BuildStory:
    """
    The details of the build *row*.
    """
    return story_from(read_story(connection, row))


def read_story(connection: Connection, row: Build) -> StoryRows:
    """
    The rows for the details of the build *row*.
    """
    request = requests.get(connection, row.request)
    buildset = buildsets.get(connection, request.buildset) if request else None
    of_it = changes.of_buildset(connection, buildset.id) if buildset else []
    return StoryRows(
        row,
        _neighbours(connection, row),
        journal.commands_of(connection, row.id, MOST_COMMANDS),
        streams.logs_of(connection, row.id, MOST_STREAMS),
        remarks.last_of(connection, row.id, MOST_REMARKS),
        of_it[-50:],
        listed_builds.caused_by(connection, [change.id for change in of_it[-5:]]),
        buildset,
    )


def story_from(rows: StoryRows) -> BuildStory:
    """
    The details in *rows*.
    """
    return BuildStory(
        rows.neighbours,
        _by_step(_shown_command(entry.step, entry.intent.get("spec", {})) for entry in rows.commands),
        _logs(rows.logs),
        _by_step(rows.remarks),
        rows.changes,
        _elsewhere(rows.row, rows.caused),
        rows.buildset.source if rows.buildset else {},
        rows.buildset.reason if rows.buildset else "",
    )


def _neighbours(connection: Connection, row: Build) -> Neighbours:
    here: dict[str, Any] = {"builder": row.builder, "number": row.number}
    last_good = _LAST_GOOD.first(connection, **here)
    failed = row.result in _bad
    return Neighbours(
        _PREVIOUS.first(connection, **here),
        _NEXT.first(connection, **here),
        last_good,
        _FIRST_BAD.first(connection, **here, after=last_good or 0) if failed else None,
    )


def _shown_command(step: int, spec: Mapping[str, Any]) -> ShownCommand:
    if spec.get("kind") != Run.kind:
        return ShownCommand(step, str(spec.get("kind", "")), str(spec.get("path", ".")), ())
    try:
        run = Run.read(JsonReader(spec, "the spec"))
    except BuildbotLiteError:
        # Of another version, whose commands may be others: the rest of the build is shown.
        return ShownCommand(step, UNREADABLE, str(spec.get("workdir", "."))[:LONGEST_COMMAND], ())
    names = sorted(name for name, value in run.env.items() if value is not None)
    return ShownCommand(step, command_line(run)[:LONGEST_COMMAND], run.workdir, names)


def _by_step(found: Iterable[Any]) -> Mapping[int, Sequence[Any]]:
    by_step: dict[int, list[Any]] = {}
    for each in found:
        by_step.setdefault(each.step, []).append(each)
    return by_step


def _logs(found: Iterable[Stream]) -> Mapping[int, Mapping[str, Sequence[Stream]]]:
    logs: dict[int, dict[str, list[Stream]]] = {}
    for stream in found:
        logs.setdefault(stream.step, {}).setdefault(stream.name, []).append(stream)
    return logs


def _elsewhere(row: Build, caused: Mapping[int, Sequence[TriggeredBuild]]) -> Sequence[tuple[str, int, str | None]]:
    found = {each.request: each for requested in caused.values() for each in requested}
    return [
        (each.builder, each.number, None if each.result is None else each.result.name)
        for each in found.values()
        if each.number is not None and (each.builder, each.number) != (row.builder, row.number)
    ][:MOST_ELSEWHERE]
