"""
The oracle for changes, triggers, collapsing, cancelling and locks: the required contents of the records and the
witnesses' files.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from buildbot_lite.model.results import Result

from .autonomous import (
    ASKED_FOR,
    AUTONOMOUS_BUILDERS,
    CANCELLED_BUILDERS,
    CHANGE_SCHEDULERS,
    COLLAPSED_BUILDERS,
    ONE_BUILDER,
    PERIODIC,
    UNFINISHED,
)
from .evidence import Evidence, Note
from .timer_oracle import judge_timers

LOSSES = (
    "changes", "buildsets of changes", "requests of buildsets", "autonomous results", "collapsed", "never collapsed",
    "cancelled", "timers: twice", "timers: skipped", "triggers", "lock holders",
)  # fmt: skip
PATIENCE = 20.0
"""Seconds until what must be collapsed or cancelled was, on a machine that is busy."""
_GAVE_UP = "gave up after"
_ASKED = "select r.id, r.buildset, r.builder, b.scheduler, r.submitted, r.finished, r.result, r.reason, "
_ASKED += "r.collapsed_into, (select min(started) from builds where request = r.id), "
_ASKED += "(select count(*) from builds where request = r.id and result = 0), "
_ASKED += f"(select count(*) from builds where request = r.id and result is not {int(Result.RETRY)}) "
_ASKED += "from requests r join buildsets b on b.id = r.buildset order by r.id"


@frozen
class _Request:
    """
    A request as recorded.  *started*: its first build; None: it has none.  *successes*: builds that succeeded.
    *lasting*: builds that did not end RETRY, so that the request does not wait for another one.
    """

    id: int
    buildset: int
    builder: str
    scheduler: str
    submitted: float
    finished: float | None
    result: int | None
    reason: str
    into: int | None
    started: float | None
    successes: int
    lasting: int


@frozen
class _Records:
    """
    All requests by id, and the changes of each buildset: id, branch and time of arrival.
    """

    requests: Mapping[int, _Request]
    changes: Mapping[int, list[tuple[int, str, float]]]

    @classmethod
    def read(cls, evidence: Evidence) -> "_Records":
        requests = {row[0]: _Request(*row) for row in evidence.rows(_ASKED)}
        changes: dict[int, list[tuple[int, str, float]]] = {request.buildset: [] for request in requests.values()}
        for buildset, *change in evidence.rows(
            "select x.buildset, c.id, c.branch, c.received from buildset_changes x join changes c on c.id = x.change"
        ):
            changes.setdefault(buildset, []).append((change[0], change[1], change[2]))
        return cls(requests, changes)

    def of_builders(self, names: tuple[str, ...]) -> list[_Request]:
        return [each for each in self.requests.values() if each.builder in names]

    def branches(self, request: _Request) -> set[str]:
        return {branch for _, branch, _ in self.changes[request.buildset]}

    def ids(self, request: _Request) -> set[int]:
        return {id for id, _, _ in self.changes[request.buildset]}


def judge_autonomous(evidence: Evidence, note: Note) -> None:
    """
    Judge all actions that the farm did without a client.
    """
    records = _Records.read(evidence)
    _changes(evidence, note)
    _buildsets(evidence, records, note)
    _results(records, note)
    _collapsed(evidence, records, note)
    _cancelled(evidence, records, note)
    judge_timers(evidence, note)
    _triggers(evidence, note)
    for line in evidence.overfull:
        note("lock holders", False, line)
    for _ in evidence.holders:
        note("lock holders", True, "")


def _changes(evidence: Evidence, note: Note) -> None:
    found = Counter(evidence.rows("select branch, revision from changes"))
    for branch, revision in sorted(evidence.revisions | found.keys()):
        count = found[(branch, revision)]
        note("changes", count == 1, f"{revision} on {branch} is {count} changes")


def _buildsets(evidence: Evidence, records: _Records, note: Note) -> None:
    of_change: dict[tuple[str, int], list[_Request]] = {}
    for request in records.requests.values():
        for id in records.ids(request):
            of_change.setdefault((request.scheduler, id), []).append(request)
    for (change,) in evidence.rows("select id from changes order by id"):
        for scheduler in CHANGE_SCHEDULERS:
            found = {each.id: each for each in of_change.get((scheduler, change), ())}
            # The changes of a collapsed request are handed over, so they are in two buildsets.
            count = len(found) - sum(each.into in found for each in found.values())
            note("buildsets of changes", count == 1, f"change {change} is in {count} buildsets of {scheduler}")
    each_alone = [request for request in records.requests.values() if request.scheduler == "each"]
    for request in each_alone:
        count = len(records.ids(request))
        note("buildsets of changes", count == 1, f"request {request.id} of 'each' has {count} changes")
    for buildset, scheduler, count in evidence.rows(
        "select b.id, b.scheduler, count(r.id) from buildsets b left join requests r on r.buildset = b.id group by b.id"
    ):
        wanted = {PERIODIC: 2, **dict.fromkeys(ONE_BUILDER, 1)}.get(scheduler)
        if wanted is not None:
            note("requests of buildsets", count == wanted, f"buildset {buildset} of {scheduler} has {count} requests")


def _results(records: _Records, note: Note) -> None:
    """
    Judge the end of each request: built, or served by another one, or cancelled, or all its retries used up.
    """
    for request in records.of_builders(AUTONOMOUS_BUILDERS):
        if request.result is None and request.scheduler in UNFINISHED:
            continue
        right = {
            Result.SUCCESS: request.successes == 1,
            Result.SKIPPED: request.into is not None,
            Result.CANCELLED: request.builder in CANCELLED_BUILDERS,
            Result.EXCEPTION: request.reason.startswith(_GAVE_UP),
            # A part that was given up is the failure of the whole.
            Result.FAILURE: request.builder == "whole",
        }.get(Result.RETRY if request.result is None else Result(request.result), False)
        name = f"request {request.id} of {request.builder}"
        note("autonomous results", right, f"{name} ended with {request.result}, {request.reason!r}")


def _collapsed(evidence: Evidence, records: _Records, note: Note) -> None:
    for request in records.requests.values():
        if request.into is not None:
            note("collapsed", _rightly_collapsed(records, request), f"{request} was collapsed into {request.into}")
        if request.scheduler in ASKED_FOR or request.scheduler == "each":
            note("never collapsed", request.into is None, f"{request} was collapsed")
    for request in records.of_builders(COLLAPSED_BUILDERS):
        newer = next(
            (
                each
                for each in records.of_builders((request.builder,))
                if each.id > request.id
                and each.submitted >= request.submitted
                and records.branches(each) == records.branches(request)
            ),
            None,
        )
        if request.into is None and newer is not None and request.started is not None:
            late = request.started > evidence.latest(newer.submitted, PATIENCE)
            note(
                "collapsed", not late, f"request {request.id} was built, long after {newer.id}, which asks for the same"
            )


def _rightly_collapsed(records: _Records, request: _Request) -> bool:
    into = records.requests.get(request.into or 0)
    return (
        into is not None
        and into.id > request.id
        and into.builder == request.builder
        and request.builder in COLLAPSED_BUILDERS
        and not request.lasting
        and records.branches(into) == records.branches(request)
        and records.ids(into) >= records.ids(request)
    )


def _cancelled(evidence: Evidence, records: _Records, note: Note) -> None:
    """
    Judge `OldBuildCanceller`: each cancelled request had a newer change of its branch, and each request with a newer
    change was cancelled.
    """
    arrived: dict[str, list[tuple[int, float]]] = {}
    for id, branch, received in evidence.rows("select id, branch, received from changes order by id"):
        arrived.setdefault(branch, []).append((id, received))
    for request in records.requests.values():
        own = max(records.ids(request), default=0)
        newer = [at for branch in records.branches(request) for id, at in arrived[branch] if id > own]
        if request.result == Result.CANCELLED:
            said = any(f"a newer change of {branch}:" in request.reason for branch in records.branches(request))
            ended = request.finished or 0.0
            before = any(at <= ended or evidence.is_ahead(at) != evidence.is_ahead(ended) for at in newer)
            right = request.builder in CANCELLED_BUILDERS and before
            note("cancelled", right and said, f"{request} was cancelled, and there was no newer change of its branch")
        elif request.builder in CANCELLED_BUILDERS and newer and request.finished is not None:
            late = request.finished > evidence.latest(max(min(newer), request.submitted), PATIENCE)
            note("cancelled", not late, f"{request} was not cancelled, though there was a newer change")


def _triggers(evidence: Evidence, note: Note) -> None:
    for parent, count in evidence.rows(
        "select parent, count(*) from buildsets where scheduler = 'parts' group by parent"
    ):
        note("triggers", parent is not None and count == 1, f"{parent} triggered {count} buildsets")
    for buildset, builder in evidence.rows(
        "select s.id, b.builder from buildsets s left join builds b on b.id = s.parent_build "
        "where s.scheduler = 'parts'"
    ):
        note("triggers", builder == "whole", f"buildset {buildset} was triggered by a build of {builder}")
    for build, triggered in evidence.rows(
        "select b.id, (select count(*) from buildsets s where s.parent_build = b.id) from builds b "
        "where b.builder = 'whole' and b.result = 0"
    ):
        note("triggers", triggered == 1, f"build {build} triggered {triggered} buildsets")


def missing_kinds(evidence: Evidence, judged: Counter[str]) -> list[str]:
    """
    The kinds of actions that the campaign contained and of which none was *judged*.
    """
    had: dict[str, Any] = {
        "changes": evidence.revisions,
        "buildsets of changes": evidence.rows("select 1 from changes limit 1"),
        "requests of buildsets": evidence.rows("select 1 from buildsets limit 1"),
        "autonomous results": True,
        "collapsed": evidence.rows("select 1 from requests where collapsed_into is not null limit 1"),
        "never collapsed": evidence.rows("select 1 from changes limit 1"),
        "cancelled": evidence.rows("select 1 from requests where result = 6 limit 1"),
        "timers: twice": evidence.ended - evidence.began > 2 * 60,
        "timers: skipped": True,
        "triggers": True,
        "lock holders": True,
    }
    return [kind for kind in LOSSES if had[kind] and not judged[kind]]
