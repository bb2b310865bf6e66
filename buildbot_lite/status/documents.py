"""
A farm as JSON documents, for people and programs.

The documents are stable: fields are added, never renamed or given another meaning.  Times are seconds since 1970, sizes
are bytes, results are the names of `Result`; absent or unknown values are null.

Builds come from the records.  Only unrecorded state (waiting requests with their reasons, connected slaves) comes from
the running farm.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from .. import __version__
from ..errors import NotFoundError
from ..master.builds.build_context import COMMAND
from ..master.farm import Farm
from ..master.scheduling.changes.sources import RunningSource
from ..master.scheduling.queue import Urgency, WaitingRequest
from ..master.scheduling.running_builds import LiveBuild
from ..master.slaves.registry import Member
from ..model.estimates import UNKNOWN, Estimate
from ..model.results import Result
from ..model.wait_reasons import WaitKind
from ..storage.records import (
    builds,
    feed,
    history,
    journal,
    outbox,
    requests,
    retention,
    steps,
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
from ..storage.records.requests import Request
from ..storage.records.steps import Step
from ..storage.records.streams import Stream
from ..wire.contract import JITTER, REFUSED_DELAY
from .estimating import Estimates, expected_end, starts_of

Document = dict[str, Any]

NO_ESTIMATES: Estimates = {}
_WAITS_FOR = {"Submit": "a submission", "ForceScheduler": "buildbot-lite force", "Triggerable": "a Trigger step"}
"""What schedulers that decide nothing wait for; the others begin when they have read the records."""
MOST_WAITING = 1000
"""Requests in one answer.  Of a longer queue `of_queue` gives the next page."""


def of_farm(farm: Farm, estimates: Estimates = NO_ESTIMATES) -> Document:
    """
    The farm at a glance.  *estimates*: by builder.
    """
    members = farm.slaves.everyone()
    return {
        "title": farm.config.title,
        "url": farm.config.buildbot_url,
        "version": __version__,
        "slaves": [of_slave(farm, member) for member in members],
        "running": [
            {
                "builder": live.row.builder,
                "number": live.row.number,
                "slave": live.row.slave,
                "request": live.request.id,
                "started": live.row.started,
                "waits_for": _lock(live),
                "expected_end": expected_end(live.row.started, estimates.get(live.row.builder, UNKNOWN)),
            }
            for live in farm.running.live().values()
        ],
        "waiting": of_queue(farm, estimates=estimates)["queue"],
        "waiting_total": len(farm.queue),
        "change_sources": [_of_source(running) for running in farm.change_sources.everyone()],
    }


def _of_source(running: RunningSource) -> Document:
    """
    One change source: when it polled, why it cannot, and when it tries again.
    """
    status = running.status
    return {
        "name": running.source.name,
        "kind": type(running.source).__name__,
        "description": str(running.source.describe()),
        "polling": status.polling,
        "polled": status.polled,
        "next": status.next,
        "error": status.error,
        "failures": status.failures,
        "remark": status.remark,
    }


def of_retention(connection: Connection) -> Document:
    """
    How far the records go back: when the oldest build started, and the oldest one that still has a log; and how many
    builds have a mark.
    """
    builds_since, logs_since = retention.oldest(connection)
    return {"builds_since": builds_since, "logs_since": logs_since, "marked": len(retention.marked(connection))}


def with_live(farm: Farm, documents: Sequence[Document], estimates: Estimates) -> Sequence[Document]:
    """
    *documents* of builds, with what the running farm knows: "waits_for" says for which lock the present step waits,
    "expected_end" when a running build is expected to end, "expected" how many seconds each of its steps takes; null
    when for none, or unknown.
    """
    live = {each.row.id: each for each in farm.running.live().values()}
    return [_with_live(each, live.get(each["id"]), estimates.get(each["builder"], UNKNOWN)) for each in documents]


def _with_live(document: Document, live: LiveBuild | None, of: Estimate) -> Document:
    of = UNKNOWN if document["finished"] is not None else of
    return {
        **document,
        "waits_for": _lock(live),
        "expected_end": expected_end(document["started"], of),
        "steps": [{**step, "expected": of.steps.get(step["name"])} for step in document["steps"]],
    }


def _lock(live: LiveBuild | None) -> str | None:
    reason = None if live is None else live.build.waits_for_lock
    return None if reason is None else reason.sentence


def of_reporters(connection: Connection) -> list[Document]:
    """
    The messages that could not be sent yet: the reporter, the failure, and when it is tried again.
    """
    return [
        {"reporter": each.reporter, "since": each.created, "failure": each.failure, "next": each.not_before}
        for each in outbox.failing(connection)
    ]


def of_queue(
    farm: Farm, most: int = MOST_WAITING, after: Urgency | None = None, *, estimates: Estimates = NO_ESTIMATES
) -> Document:
    """
    At most *most* of the waiting requests, with the reasons; the next one to build comes first.

    *after*, and "next" in the answer, are places in the queue: the end of the previous page, and of this one.
    "position" counts from 1.  "expected_start" follows from *estimates*, by builder, on the first page only; or null.
    """
    page = farm.dispatcher.waiting(most, after)
    first = 1 if after is None else 1 + farm.queue.ahead_of((after[0], after[1] + 1))
    starts = {} if after is not None else starts_of(farm, page, estimates)
    return {
        "queue": [
            {**_of_waiting(waiting), "position": position, "expected_start": starts.get(waiting.request.id)}
            for position, waiting in enumerate(page, first)
        ],
        "next": None if len(page) < most else {"priority": page[-1].request.priority, "request": page[-1].request.id},
        "total": len(farm.queue),
    }


def _of_waiting(waiting: WaitingRequest) -> Document:
    return {
        "request": waiting.request.id,
        "builder": waiting.request.builder,
        "scheduler": waiting.buildset.scheduler,
        "submitted": waiting.request.submitted,
        "priority": waiting.request.priority,
        "retries": waiting.request.retries,
        "why": {"kind": waiting.reason.kind.value, "sentence": waiting.reason.sentence},
    }


def of_schedulers(farm: Farm) -> list[Document]:
    """
    The schedulers, in the order of master.cfg.  The field ``next``: when it fires; ``error``: what went wrong last.
    """
    entries = []
    for scheduler in farm.config.schedulers.values():
        state = farm.schedulers.describe(scheduler)
        error = state["error"]
        entries.append(
            {
                "scheduler": scheduler.name,
                "kind": scheduler.kind,
                "builders": None if scheduler.builders_to_render is not None else list(scheduler.builder_names),
                "waits_for": state["waits_for"] or _WAITS_FOR.get(scheduler.kind, "the records of the farm"),
                "next": state["next"],
                "error": None if error is None else {"at": error[0], "sentence": error[1]},
            }
        )
    return entries


def of_slave(farm: Farm, member: Member) -> Document:
    """
    One slave.  The field ``obstacle`` is the reason for which it takes no builds; ``low_space``: that is its disk.
    """
    hello = member.session.hello
    obstacle = member.obstacle()
    return {
        "slave": member.name,
        "connected": hello is not None,
        "since": member.attached_at if hello is not None else member.lost_at,
        "paused": member.paused,
        "draining": member.draining,
        "revoked": member.revoked,
        "refused": _refused(member),
        "breach": None if member.breach is None else {"at": member.breach[0], "reason": member.breach[1]},
        "obstacle": None if obstacle is None else obstacle.sentence,
        "running": sorted(running.label for running in farm.slots.on(member.name)),
        "max_builds": member.config.max_builds,
        "builders": [builder.name for builder in farm.config.builders_on(member.name)],
        "version": None if hello is None else hello.version,
        "space": None if hello is None else hello.space,
        "low_space": obstacle is not None and obstacle.kind is WaitKind.LOW_SPACE,
        "removed": [] if hello is None else list(hello.removed),
        "platform": None if hello is None else dict(hello.platform),
    }


def _refused(member: Member) -> Document | None:
    """
    The last refusal of a slave that is not connected: when, why, and the latest time of its next attempt.
    """
    if member.refused is None or member.session.hello is not None:
        return None
    at, reason = member.refused
    if at < (member.lost_at or 0.0):
        return None  # another one was connected at that time
    return {"at": at, "reason": reason, "asks_again_by": at + REFUSED_DELAY * (1 + JITTER)}


def of_builders(farm: Farm, connection: Connection, estimates: Estimates = NO_ESTIMATES) -> list[Document]:
    """
    Every builder, in the order of master.cfg, with its newest build.  "takes": estimated seconds of a build.
    """
    running = [live.row for live in farm.running.live().values()]
    return [
        {
            "builder": builder.name,
            "description": builder.description or "",
            "tags": list(builder.tags),
            "slaves": list(builder.slavenames),
            "running": sorted(row.number for row in running if row.builder == builder.name),
            "waiting": farm.queue.count_of_builder(builder.name),
            "takes": estimates.get(builder.name, UNKNOWN).build,
            "last": next(iter(of_builds(connection, history.page(connection, Filter(builder.name), most=1))), None),
        }
        for builder in farm.config.builders.values()
    ]


def of_changes(connection: Connection, most: int, before: int | None = None) -> list[Document]:
    """
    At most *most* changes, newest first, each with the builds that it caused; with *before* only older ones.
    """
    return [_of_change(connection, each) for each in records_of_changes.newest(connection, most, before)]


def _of_change(connection: Connection, recorded: RecordedChange) -> Document:
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
        "requests": [
            _of_caused(connection, request)
            for buildset in records_of_changes.buildsets_of(connection, recorded.id)
            for request in requests.of_buildset(connection, buildset)
        ],
    }


def _of_caused(connection: Connection, request: Request) -> Document:
    attempts = builds.of_request(connection, request.id)
    return {
        "request": request.id,
        "builder": request.builder,
        "number": attempts[-1].number if attempts else None,
        "result": _name(request.result),
    }


def of_builds(connection: Connection, page: Page) -> list[Document]:
    """
    The builds of a page, newest first.
    """
    return [of_build(connection, entry) for entry in page.entries]


def of_build(connection: Connection, entry: HistoryEntry) -> Document:
    """
    One build with its steps and its origin.
    """
    row, origin = entry.build, entry.origin
    logs = streams.of_build(connection, row.id)
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
        "steps": [_of_step(step, logs) for step in steps.of_build(connection, row.id)],
        "triggered_by": _parent(connection, row),
        "triggered": _children(connection, row),
    }


def of_one_build(connection: Connection, row: Build) -> Document:
    """
    One build with everything that is too long for lists: its properties, name → [value, source]; its host; the names
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
        names = ", ".join(list(streams)[:50]) or "none"
        raise NotFoundError(
            f"{row.builder}/{row.number} has no artifact {name!r:.200} that is complete.  There are: {names}."
        )
    return streams[name]


def the_build(connection: Connection, builder: str, number: int | None) -> Build:
    """
    Build *number* of *builder*, None: the newest; `NotFoundError`, which names the newest, if there is none.
    """
    newest = builds.newest(connection, builder, most=1)
    row = next(iter(newest), None) if number is None else builds.by_number(connection, builder, number)
    if row is not None:
        return row
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
    specs = (entry.intent["spec"] for entry in journal.of_build(connection, row.id) if entry.kind == COMMAND)
    return sorted({name for spec in specs for name, value in (spec.get("env") or {}).items() if value is not None})


def _parent(connection: Connection, row: Build) -> Document | None:
    """
    The build whose Trigger step requested this one.
    """
    request = requests.get(connection, row.request)
    buildset = requests.buildset(connection, request.buildset) if request else None
    parent = builds.get(connection, buildset.parent_build) if buildset and buildset.parent_build else None
    return {"builder": parent.builder, "number": parent.number} if parent else None


def _children(connection: Connection, row: Build) -> list[Document]:
    """
    The requests from Trigger steps of this build, each with its newest build.
    """
    return [
        _of_caused(connection, request)
        for buildset in requests.of_parent(connection, row.id)
        for request in requests.of_buildset(connection, buildset.id)
    ]


def _of_step(step: Step, logs: Sequence[Stream]) -> Document:
    return {
        "name": step.name,
        "number": step.number,
        "result": _name(step.result),
        "summary": step.summary,
        "started": step.started,
        "finished": step.finished,
        "hidden": step.hidden,
        "logs": list(dict.fromkeys(log.name for log in logs if log.step == step.number and log.kind == "log")),
    }


def _artifacts(connection: Connection, row: Build) -> dict[str, Stream]:
    """
    The complete artifacts by name; of two with one name, the later one.
    """
    # Their paths are BUILDER/NUMBER/NAME.
    return {
        stream.path.split("/", 2)[2]: stream
        for stream in streams.of_build(connection, row.id)
        if stream.kind == "artifact" and stream.length is not None
    }


def _name(result: Result | None) -> str | None:
    return None if result is None else result.name
