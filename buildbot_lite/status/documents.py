"""
A running farm as JSON documents, for people and programs.

The documents are stable: fields are added, never renamed or given another meaning.  Times are seconds since 1970, sizes
are bytes, results are the names of `Result`; absent or unknown values are null.

These documents have the state that no record has: waiting requests with their reasons, connected slaves, the next time
of a scheduler.  `build_documents` makes those of recorded builds.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from .. import __version__
from ..master.farm import Farm
from ..master.scheduling.builder_queue import WaitingRequest
from ..master.scheduling.changes.running_source import RunningSource
from ..master.scheduling.dispatcher import WaitingPlace
from ..master.scheduling.running_builds import LiveBuild
from ..model.estimates import UNKNOWN, Estimate
from ..storage.records import (
    history,
    marks,
    retention,
)
from ..storage.records.history import (
    Filter,
)
from . import build_documents
from .build_documents import Document
from .estimating import Estimates, expected_end, starts_of
from .slave_documents import of_slave

NO_ESTIMATES: Estimates = {}
_WAITS_FOR = {"Submit": "a submission", "ForceScheduler": "buildbot-lite force", "Triggerable": "a Trigger step"}
"""The event for which a scheduler without a state waits, by kind.  Others begin when they have read the records."""
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
    return {"builds_since": builds_since, "logs_since": logs_since, "marked": marks.count(connection)}


def with_live(farm: Farm, documents: Sequence[Document], estimates: Estimates) -> Sequence[Document]:
    """
    *documents* of builds, with the state of the running farm: "waits_for" is the lock for which the present step waits,
    "expected_end" the time at which a running build is expected to end, "expected" the estimated seconds of each of its
    steps.  Each is null when there is none, or when it is unknown.
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


def of_queue(
    farm: Farm, most: int = MOST_WAITING, after: WaitingPlace | None = None, *, estimates: Estimates = NO_ESTIMATES
) -> Document:
    """
    At most *most* of the waiting requests, with the reasons; the next one to build comes first.

    *after*, and "next" in the answer, are places in the list: the end of the previous page, and of this one.
    "position" counts from 1; 0: its build begins.  "expected_start" follows from *estimates*, by builder, on the first
    page only; or null.
    """
    first, page = farm.dispatcher.waiting(most, after)
    starts = {} if after is not None else starts_of(farm, page, estimates)
    entries = [
        {**_of_waiting(waiting), "position": max(0, position), "expected_start": starts.get(waiting.request.id)}
        for position, waiting in enumerate(page, first)
    ]
    place = {"request": page[-1].request.id, "position": first + len(page) - 1} if page else {}
    return {"queue": entries, "next": None if len(page) < most else place, "total": len(farm.queue)}


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
    The schedulers, in the order of master.cfg.  The field ``next`` is the time at which a scheduler fires next,
    ``error`` its last failure.
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
            "last": next(
                iter(build_documents.of_builds(connection, history.page(connection, Filter(builder.name), most=1))),
                None,
            ),
        }
        for builder in farm.config.builders.values()
    ]
