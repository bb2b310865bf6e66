"""
The events of the feed about which reporters send messages, with the builds that they concern.
"""

from collections.abc import Sequence

from attrs import evolve, frozen
from sqlalchemy import Connection

from ...master.slaves.missing import EVENT as MISSING
from ...model.results import Result
from ...storage.records import buildsets, outbox, requests
from ...storage.records.feed import Event
from . import details as of
from .details import BuildDetails, FarmFacts

KINDS = frozenset({"build.started", "build.finished", "request.finished", MISSING, outbox.ADDED})


@frozen
class EventReport:
    """
    The report of one event: the builds, and whether they begin, end, or are a finished buildset.  *about*: the subject.
    """

    key: str
    about: str
    builds: Sequence[BuildDetails]
    of_set: bool = False
    starting: bool = False


def reports_of(connection: Connection, facts: FarmFacts, event: Event) -> list[EventReport]:
    """
    The reports of *event*; none if its kind is not for reporters, or it is superseded.
    """
    if event.kind == "request.finished" and event.request is not None:
        return _of_set(connection, facts, event)
    if event.kind not in KINDS or event.build is None:
        return []
    if event.body.get("result") == Result.RETRY:
        return []
    starting = event.kind == "build.started"
    details = of.of_build(connection, facts, event.build, tail=not starting)
    if details is None:
        return []
    if starting:
        # As it was then: it may have ended by now.
        details.build = evolve(details.build, finished=None, result=None, reason="")
        return [EventReport(f"{event.build}-started", f"build {event.build}", [details], starting=True)]
    return [EventReport(f"{event.build}-finished", f"build {event.build}", [details])]


def _of_set(connection: Connection, facts: FarmFacts, event: Event) -> list[EventReport]:
    request = requests.get(connection, event.request or 0)
    buildset = None if request is None else buildsets.get(connection, request.buildset)
    # The event of the last request has the time of the buildset's end.
    if request is None or buildset is None or buildset.finished != event.at:
        return []
    details = of.of_buildset(connection, facts, buildset.id)
    return [EventReport(f"set-{buildset.id}", f"buildset {buildset.id}", details, of_set=True)] if details else []
