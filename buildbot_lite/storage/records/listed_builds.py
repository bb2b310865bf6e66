"""
What lists of builds show of each: steps, names of logs, and which build triggered which.

Each of these queries is about all builds of a page at once, so a page of fifty costs as many queries as one build.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from attrs import frozen
from sqlalchemy import Connection, String, bindparam, exists, func, or_, select

from ...model.results import BY_NUMBER, Result
from .. import schema
from ..statements import Query, selecting
from .requests import Request, request_from_row
from .steps import Step, step_from_row

_buildsets, _requests, _builds = schema.buildsets, schema.requests, schema.builds
_steps, _streams = schema.steps, schema.streams
_NO_BOUND = 1 << 62
_wanted = select(func.json_each(bindparam("builds")).table_valued("value", name="wanted_here").c.value)


class StepOfBuild(NamedTuple):
    """
    A step: the id of its build, and its number.
    """

    build: int
    step: int


class TriggeredBuild(NamedTuple):
    """
    A request of a Trigger step or a change, with the *number* of its newest build; None: it has none.  *result*: of the
    request.
    """

    request: int
    builder: str
    number: int | None
    result: Result | None


_STEPS = Query(
    selecting(_steps, Step).where(_steps.c.build.in_(_wanted)).order_by(_steps.c.build, _steps.c.number), step_from_row
)
_LOGS = Query(
    select(_streams.c.build, _streams.c.step, _streams.c.name)
    .where(_streams.c.build.in_(_wanted), _streams.c.kind == "log")
    .order_by(_streams.c.build, _streams.c.step, _streams.c.ordinal, _streams.c.id),
    lambda build, step, name: (StepOfBuild(build, step), name),
)
_parent = _builds.alias("parent")
_PARENTS = Query(
    select(_builds.c.id, _parent.c.builder, _parent.c.number)
    .join_from(_builds, _requests, _requests.c.id == _builds.c.request)
    .join(_buildsets, _buildsets.c.id == _requests.c.buildset)
    .join(_parent, _parent.c.id == _buildsets.c.parent_build)
    .where(_builds.c.id.in_(_wanted)),
    lambda build, builder, number: (build, (builder, number)),
)
# The newest build of a request has the highest number: a builder's numbers grow.
_TRIGGERED = Query(
    select(
        _buildsets.c.parent_build,
        _requests.c.id,
        _requests.c.builder,
        select(func.max(_builds.c.number)).where(_builds.c.request == _requests.c.id).scalar_subquery(),
        _requests.c.result,
    )
    .join_from(_buildsets, _requests, _requests.c.buildset == _buildsets.c.id)
    .where(_buildsets.c.parent_build.in_(_wanted))
    .order_by(_buildsets.c.id, _requests.c.id),
    lambda parent, request, builder, number, result: (
        parent,
        TriggeredBuild(request, builder, number, BY_NUMBER[result]),
    ),
)
_of_changes = schema.buildset_changes
_CAUSED = Query(
    select(
        _of_changes.c.change,
        _requests.c.id,
        _requests.c.builder,
        select(func.max(_builds.c.number)).where(_builds.c.request == _requests.c.id).scalar_subquery(),
        _requests.c.result,
    )
    .join_from(_of_changes, _requests, _requests.c.buildset == _of_changes.c.buildset)
    .where(_of_changes.c.change.in_(_wanted))
    # The newest first, for these are read: the bound leaves out the oldest.
    .order_by(_of_changes.c.change.desc(), _requests.c.id)
    .limit(bindparam("most")),
    lambda change, request, builder, number, result: (
        change,
        TriggeredBuild(request, builder, number, BY_NUMBER[result]),
    ),
)
MOST_CAUSED = 20_000
"""Requests that a page of changes has in all: those of the newest changes."""


def caused_by(
    connection: Connection, changes: Collection[int], most: int | None = None
) -> Mapping[int, Sequence[TriggeredBuild]]:
    """
    The requests that *changes* (their ids) caused, by change, in one query: at most *most* (None: `MOST_CAUSED`), of
    the newest changes.
    """
    caused: dict[int, list[TriggeredBuild]] = defaultdict(list)
    for change, request in _CAUSED.all(connection, builds=json.dumps(list(changes)), most=most or MOST_CAUSED):
        caused[change].append(request)
    return caused


_REQUESTS = Query(
    selecting(_requests, Request)
    .add_columns(_buildsets.c.scheduler)
    .join_from(_requests, _buildsets, _buildsets.c.id == _requests.c.buildset)
    .where(_requests.c.id < bindparam("before"))
    .order_by(_requests.c.id.desc())
    .limit(bindparam("most")),
    lambda *row: (request_from_row(*row[:-1]), row[-1]),
)
_ATTEMPTS = Query(
    select(_builds.c.request, _builds.c.builder, _builds.c.number, _builds.c.result)
    .where(_builds.c.request.in_(_wanted))
    .order_by(_builds.c.id),
    lambda request, builder, number, result: (
        request,
        Attempt(builder, number, BY_NUMBER[result]),
    ),
)


class Attempt(NamedTuple):
    """
    A build of a request.
    """

    builder: str
    number: int
    result: Result | None


@frozen
class ListedRequest:
    """
    A request, the scheduler that made it, and its builds, the oldest first.
    """

    request: Request
    scheduler: str
    builds: Sequence[Attempt]


def requests_before(connection: Connection, most: int, before: int | None) -> list[ListedRequest]:
    """
    At most *most* requests, newest first; with *before* only those with a smaller id.
    """
    found = _REQUESTS.all(connection, most=most, before=_NO_BOUND if before is None else before)
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for request, attempt in _ATTEMPTS.all(connection, builds=json.dumps([each.id for each, _ in found])):
        attempts[request].append(attempt)
    return [ListedRequest(request, scheduler, attempts[request.id]) for request, scheduler in found]


_OF_ANY = bindparam("builder", type_=String)
_WAITING = Query(
    selecting(_requests, Request)
    .add_columns(_buildsets.c.scheduler)
    .join_from(_requests, _buildsets, _buildsets.c.id == _requests.c.buildset)
    .where(
        _requests.c.finished.is_(None),
        _requests.c.id > bindparam("after"),
        or_(_OF_ANY.is_(None), _requests.c.builder == _OF_ANY),
        ~exists().where(_builds.c.request == _requests.c.id, _builds.c.finished.is_(None)),
    )
    .order_by(_requests.c.id)
    .limit(bindparam("most")),
    lambda *row: ListedRequest(request_from_row(*row[:-1]), row[-1], ()),
)


def waiting_after(connection: Connection, most: int, after: int, builder: str | None = None) -> Sequence[ListedRequest]:
    """
    At most *most* requests that wait for a build (of *builder*; None: of any), without their earlier builds, in the
    order of their numbers: those with a larger number than *after*.
    """
    return _WAITING.all(connection, most=most, after=after, builder=builder)


@frozen
class ListedDetails:
    """
    The details of some builds.  *steps*, *parents* (builder and number) and *triggered*: by the build's id.  *logs*:
    names, each once.
    """

    steps: Mapping[int, Sequence[Step]]
    logs: Mapping[StepOfBuild, Sequence[str]]
    parents: Mapping[int, tuple[str, int]]
    triggered: Mapping[int, Sequence[TriggeredBuild]]


def details(connection: Connection, builds: Collection[int]) -> ListedDetails:
    """
    The details of *builds* (their ids), in four queries.
    """
    wanted = json.dumps(list(builds))
    steps: dict[int, list[Step]] = defaultdict(list)
    for step in _STEPS.all(connection, builds=wanted):
        steps[step.build].append(step)
    logs: dict[StepOfBuild, list[str]] = {}
    for place, name in _LOGS.all(connection, builds=wanted):
        # A step has few logs, and the streams of one are seldom several.
        names = logs.setdefault(place, [name])
        if name not in names:
            names.append(name)
    triggered: dict[int, list[TriggeredBuild]] = defaultdict(list)
    for parent, child in _TRIGGERED.all(connection, builds=wanted):
        triggered[parent].append(child)
    return ListedDetails(
        steps,
        logs,
        dict(_PARENTS.all(connection, builds=wanted)),
        triggered,
    )
