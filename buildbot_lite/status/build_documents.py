"""
Changes, builds and artifacts as JSON documents, from the records alone: of `build_rows`, which a transaction fetched.

The fields are as stable as those of `documents`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from ..errors import NotFoundError
from ..model.results import Result
from ..model.suggestions import did_you_mean, there_is_no
from ..storage.records import builds
from ..storage.records.builds import Build
from ..storage.records.changes import RecordedChange
from ..storage.records.feed import Event
from ..storage.records.history import HistoryEntry, Page
from ..storage.records.journal import JournalRow
from ..storage.records.listed_builds import ListedDetails, ListedRequest, StepOfBuild, TriggeredBuild
from ..storage.records.steps import Step
from ..storage.records.streams import Stream
from . import build_rows
from .build_rows import BuildRows, ChangeRows, OneBuildRows

Document = dict[str, Any]


def of_changes(connection: Connection, most: int, before: int | None = None) -> list[Document]:
    """
    At most *most* changes, newest first, each with the builds that it caused; with *before* only older ones.
    """
    return changes_from(build_rows.of_changes(connection, most, before))


def changes_from(rows: ChangeRows) -> list[Document]:
    """
    The changes in *rows*, each with the builds that it caused.
    """
    return [_of_change(each, rows.caused.get(each.id, ())) for each in rows.changes]


def _of_change(recorded: RecordedChange, caused: Sequence[TriggeredBuild]) -> Document:
    change = recorded.change
    return {
        "change": recorded.id,
        "received": recorded.received,
        "when": change.happened,
        "author": change.author,
        "committer": change.committer,
        "comments": change.comments,
        "files": list(change.files),
        "revision": change.revision,
        "branch": change.branch,
        "repository": change.repository,
        "project": change.project,
        "codebase": change.codebase,
        "category": change.category,
        "revlink": change.revlink,
        "properties": dict(change.properties),
        "source": change.source,
        "untrusted": change.untrusted,
        "requests": [_of_request(each) for each in caused],
    }


def _of_request(caused: TriggeredBuild) -> Document:
    # Not `asdict`: a page of changes has a thousand of these.
    return {
        "request": caused.request,
        "builder": caused.builder,
        "number": caused.number,
        "result": _name(caused.result),
    }


def requests_from(rows: Iterable[ListedRequest]) -> list[Document]:
    """
    The requests in *rows*, each with its builds.
    """
    return [
        {
            "request": each.request.id,
            "builder": each.request.builder,
            "scheduler": each.scheduler,
            "submitted": each.request.submitted,
            "priority": each.request.priority,
            "retries": each.request.retries,
            "finished": each.request.finished,
            "result": _name(each.request.result),
            "reason": each.request.reason,
            "builds": [{**attempt._asdict(), "result": _name(attempt.result)} for attempt in each.builds],
        }
        for each in rows
    ]


def of_builds(connection: Connection, page: Page) -> list[Document]:
    """
    The builds of a page, newest first, each with its steps and its origin.
    """
    return builds_from(build_rows.of_builds(connection, page))


def builds_from(rows: BuildRows) -> list[Document]:
    """
    The builds in *rows*, each with its steps and its origin.
    """
    return [_of_entry(entry, rows.details) for entry in rows.entries]


def of_build(connection: Connection, entry: HistoryEntry) -> Document:
    """
    One build with its steps and its origin.
    """
    return of_builds(connection, Page([entry], None))[0]


def _of_entry(entry: HistoryEntry, details: ListedDetails) -> Document:
    row, origin = entry.build, entry.origin
    parent = details.parents.get(row.id)
    return {
        "id": row.id,
        "builder": row.builder,
        "number": row.number,
        "request": row.request,
        "result": _name(row.result),
        "reason": row.reason,
        "slave": row.slave,
        "started": row.started,
        "finished": row.finished,
        "branch": entry.branch,
        "revision": entry.revision,
        "asked": {
            "by": origin.by,
            "scheduler": origin.scheduler,
            "reason": origin.reason,
            "at": origin.at,
        },
        "steps": [
            _of_step(step, details.logs.get(StepOfBuild(row.id, step.number), ()))
            for step in details.steps.get(row.id, ())
        ],
        "triggered_by": None if parent is None else {"builder": parent[0], "number": parent[1]},
        "triggered": [_of_request(each) for each in details.triggered.get(row.id, ())],
    }


def of_one_build(connection: Connection, row: Build) -> Document:
    """
    One build with the details that are too long for lists: its properties, name → [value, source]; its host; the names
    of the environment variables that its steps set for commands.
    """
    return one_build_from(build_rows.of_one_build(connection, row))


def one_build_from(rows: OneBuildRows) -> Document:
    """
    The build in *rows*, as `of_one_build`.
    """
    return {
        **builds_from(rows.listed)[0],
        "properties": {**rows.row.properties},
        "host": _host(rows.begun),
        "environment": _environment(rows.commands),
    }


def of_artifacts(connection: Connection, row: Build) -> list[Document]:
    """
    The files that a build produced, without incomplete ones.
    """
    return artifacts_from(build_rows.of_artifacts(connection, row))


def artifacts_from(streams: Iterable[Stream]) -> list[Document]:
    """
    The artifacts in *streams*.
    """
    return [
        {"name": name, "length": stream.length, "sha256": stream.sha256, "step": stream.step}
        for name, stream in _artifacts(streams).items()
    ]


def the_artifact(connection: Connection, row: Build, name: str) -> Stream:
    """
    The artifact *name* of a build; `NotFoundError`, which lists the existing ones, if there is none.
    """
    streams = _artifacts(build_rows.of_artifacts(connection, row))
    if name not in streams:
        near = did_you_mean(name, streams, see="buildbot-lite artifacts list")
        raise NotFoundError(f"{row.builder}/{row.number} has no artifact {name!r:.200} that is complete.{near}")
    return streams[name]


def no_builder(name: str, known: Iterable[str]) -> NotFoundError:
    """
    The refusal of *name*, which is none of the *known* builders.
    """
    return NotFoundError(there_is_no("builder", name, known, see="buildbot-lite builders"))


def the_build(connection: Connection, builder: str, number: int | None, known: Collection[str]) -> Build:
    """
    Build *number* of *builder*, None: the newest; `NotFoundError`, which names the newest, if there is none.  *known*:
    the builders of the configuration; there may be builds of others.
    """
    if number is not None and (row := builds.by_number(connection, builder, number)) is not None:
        return row
    newest = builds.newest(connection, builder, most=1)
    if number is None and newest:
        return newest[0]
    if builder not in known and not newest:
        raise no_builder(builder, known)
    if number is None:
        raise NotFoundError(f"{builder!r:.100} has not built anything.")
    if newest:
        raise NotFoundError(f"There is no build {builder}/{number}; the newest is {builder}/{newest[0].number}.")
    raise NotFoundError(f"There is no build {builder}/{number}: {builder!r:.100} has not built anything.")


def _host(begun: Sequence[Event]) -> str | None:
    """
    The host name of the slave's machine when the build began; None for builds of 0.1.0.
    """
    host = begun[0].body.get("host") if begun else None
    return str(host) if host else None


def _environment(commands: Iterable[JournalRow]) -> list[str]:
    """
    The environment variables that steps set for *commands*.  Values may be secret, names are not.
    """
    specs = (entry.intent["spec"] for entry in commands)
    return sorted({name for spec in specs for name, value in (spec.get("env") or {}).items() if value is not None})


def _of_step(step: Step, logs: Sequence[str]) -> Document:
    return {
        "name": step.name,
        "number": step.number,
        "result": _name(step.result),
        "summary": step.summary,
        "started": step.started,
        "finished": step.finished,
        "hidden": step.hidden,
        "logs": list(logs),
    }


def _artifacts(streams: Iterable[Stream]) -> dict[str, Stream]:
    """
    The complete artifacts by name.  If two have the same name, the later one counts.
    """
    # The path of an artifact is BUILDER/NUMBER/NAME.
    return {stream.path.split("/", 2)[2]: stream for stream in streams}


# The attribute `name` is looked up by functions of Python.
_NAMES: Mapping[Result | None, str | None] = {None: None, **{result: result.name for result in Result}}


def _name(result: Result | None) -> str | None:
    return _NAMES[result]
