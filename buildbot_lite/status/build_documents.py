"""
Changes, builds and artifacts as JSON documents, from the records alone.

The fields are as stable as those of `documents`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ..errors import NotFoundError
from ..model.results import Result
from ..model.suggestions import did_you_mean, there_is_no
from ..storage.records import (
    builds,
    feed,
    history,
    journal,
    listed_builds,
    streams,
)
from ..storage.records import changes as records_of_changes
from ..storage.records.builds import Build
from ..storage.records.changes import RecordedChange
from ..storage.records.history import (
    Filter,
    HistoryEntry,
    Page,
)
from ..storage.records.listed_builds import ListedDetails, StepOfBuild, TriggeredBuild
from ..storage.records.steps import Step
from ..storage.records.streams import Stream

Document = dict[str, Any]

MOST_REQUESTS = 1000
"""Requests on one page of changes."""
MOST_COMMANDS = 2000
"""Commands of a build whose variables are named."""


@frozen
class PageOfChanges:
    """
    *changes*, newest first.  *before*: the bound for the next page; None: this is the last one.
    """

    changes: Sequence[Document]
    before: int | None


def of_changes(connection: Connection, most: int, before: int | None = None) -> list[Document]:
    """
    At most *most* changes, newest first, each with the builds that it caused; with *before* only older ones.
    """
    found = records_of_changes.newest(connection, most, before)
    caused = listed_builds.caused_by(connection, [each.id for each in found])
    return [_of_change(each, caused.get(each.id, ())) for each in found]


def page_of_changes(connection: Connection, most: int, before: int | None = None) -> PageOfChanges:
    """
    As `of_changes`, but with fewer changes if they caused more than `MOST_REQUESTS` requests: it ends with the last one
    that is shown with all of its requests.
    """
    found = records_of_changes.newest(connection, most, before)
    caused = listed_builds.caused_by(connection, [each.id for each in found], MOST_REQUESTS)
    shown = found
    if sum(map(len, caused.values())) >= MOST_REQUESTS:
        last = min(caused)
        shown = [each for each in found if each.id > last] or [each for each in found if each.id == last]
    following = shown[-1].id if len(shown) < len(found) or len(found) == most else None
    return PageOfChanges([_of_change(each, caused.get(each.id, ())) for each in shown], following)


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


def of_requests(connection: Connection, most: int, before: int | None = None) -> list[Document]:
    """
    At most *most* requests, newest first, each with its builds; with *before* only older ones.
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
        for each in listed_builds.requests_before(connection, most, before)
    ]


def of_builds(connection: Connection, page: Page) -> list[Document]:
    """
    The builds of a page, newest first, each with its steps and its origin.
    """
    details = listed_builds.details(connection, [entry.build.id for entry in page.entries])
    return [_of_entry(entry, details) for entry in page.entries]


def of_build(connection: Connection, entry: HistoryEntry) -> Document:
    """
    One build with its steps and its origin.
    """
    return _of_entry(entry, listed_builds.details(connection, [entry.build.id]))


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
    page = history.page(connection, Filter(row.builder), most=1, before=row.number + 1)
    return {
        **of_build(connection, page.entries[0]),
        "properties": {**row.properties},
        "host": _host(connection, row),
        "environment": _environment(connection, row),
    }


def of_artifacts(connection: Connection, row: Build) -> list[Document]:
    """
    The files that a build produced, without incomplete ones.
    """
    streams = _artifacts(connection, row)
    return [
        {"name": name, "length": stream.length, "sha256": stream.sha256, "step": stream.step}
        for name, stream in streams.items()
    ]


def the_artifact(connection: Connection, row: Build, name: str) -> Stream:
    """
    The artifact *name* of a build; `NotFoundError`, which lists the existing ones, if there is none.
    """
    streams = _artifacts(connection, row)
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


def _host(connection: Connection, row: Build) -> str | None:
    """
    The host name of the slave's machine when the build began; None for builds of 0.1.0.
    """
    begun = feed.since(connection, 0, build=row.id, most=1)
    host = begun[0].body.get("host") if begun else None
    return str(host) if host else None


def _environment(connection: Connection, row: Build) -> list[str]:
    """
    The environment variables that steps set for commands of the build.  Values may be secret, names are not.
    """
    specs = (entry.intent["spec"] for entry in journal.commands_of(connection, row.id, MOST_COMMANDS))
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


def _artifacts(connection: Connection, row: Build) -> dict[str, Stream]:
    """
    The complete artifacts by name.  If two have the same name, the later one counts.
    """
    # The path of an artifact is BUILDER/NUMBER/NAME.
    return {
        stream.path.split("/", 2)[2]: stream
        for stream in streams.of_build(connection, row.id)
        if stream.kind == "artifact" and stream.length is not None
    }


# The attribute `name` is looked up by functions of Python.
_NAMES: Mapping[Result | None, str | None] = {None: None, **{result: result.name for result in Result}}


def _name(result: Result | None) -> str | None:
    return _NAMES[result]
