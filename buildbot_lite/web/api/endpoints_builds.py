"""
Endpoints of builds: steps, logs, properties, artifacts, and the requests that they come from.
"""

import os
from collections.abc import Sequence
from typing import Any

from attrs import evolve
from sqlalchemy import Connection

from ...errors import LimitError, NotFoundError
from ...model.display import file_name
from ...model.results import Result
from ...status import build_documents, build_rows
from ...status.build_documents import Document
from ...status.build_filter import RUNNING
from ...status.build_rows import BuildRows
from ...storage.records import history, listed_builds, marks, steps, streams
from ...storage.records.builds import Build
from ...storage.records.history import Filter
from ...storage.records.steps import Step
from ...storage.records.streams import Stream
from ..html.rendering import segment
from ..logs.log_reader import LogPart, LogReader
from ..pages.log import raw
from ..replies.downloads import raw_reply
from ..replies.reading_rights import until_revoked
from ..view import Reply, Streamed
from .cursors import cursor, place
from .definitions import (
    PAGE,
    ApiEndpoint,
    ApiRequest,
    ChoiceKind,
    Parameter,
    PropertyKind,
    TextKind,
    WholeKind,
    path_parameter,
)
from .live_builds import with_live
from .problems import problem
from .unknown_builders import refuse_unknown

MOST_LINES = 1000
LONGEST_TEXT = 1 << 20
"""Bytes of lines in one answer."""
_LINE_WITHIN = 3.0
_BUILDER = path_parameter("builder", TextKind(), "The builder's name; a slash in it is written %252F.")
_NUMBER = path_parameter("number", WholeKind(1), "The build's number.")
_STEP = path_parameter("step", TextKind(), "The step's number, or its name.")
_LOG = path_parameter("log", TextKind(), "The log's name, such as stdio.")
_OF_BUILD = (_BUILDER, _NUMBER)
_FILTER = (
    Parameter("builder", TextKind(), "Builds of this builder."),
    Parameter("branch", TextKind(1000), "Builds of this branch."),
    Parameter("result", ChoiceKind((*Result.__members__, RUNNING)), "With one of these results.", many=10),
    Parameter("slave", TextKind(), "On this slave."),
    Parameter("since", WholeKind(), "Started at this time or later: seconds since 1970."),
    Parameter("property", PropertyKind(), "With all of these properties.", many=20),
)
_BYTES = {206: "A range of the bytes."}
_SANDBOX = {"content-security-policy": "sandbox; default-src 'none'"}


async def builds(request: ApiRequest) -> Document:
    """
    ``/builds``.
    """
    given = request.given
    wanted = Filter(
        builder=given.get("builder"),
        branch=given.get("branch"),
        results=[None if word == RUNNING else Result[word] for word in given.get("result", ())],
        slave=given.get("slave"),
        since=given.get("since"),
        properties=dict(given.get("property", ())),
    )
    before = place("builds", request.cursor)

    def read(connection: Connection) -> BuildRows:
        return build_rows.of_builds(connection, history.page(connection, wanted, request.limit, before))

    status = await request.view.told(request.asked, "status")
    found = await request.view.records.read(read)
    if wanted.builder is not None and before is None and not found.entries:
        await refuse_unknown(request, wanted.builder)
    return {
        "builds": with_live(build_documents.builds_from(found), status),
        "next": cursor("builds", found.before),
    }


async def kept(request: ApiRequest) -> Document:
    """
    ``/kept``.
    """
    after = place("kept", request.cursor) or 0
    found = await request.view.records.read(lambda c: marks.page(c, after, request.limit))
    following = found[-1].id if len(found) == request.limit else None
    return {
        "kept": [{"builder": each.builder, "number": each.number, "reason": each.reason} for each in found],
        "next": cursor("kept", following),
    }


def _of_build(connection: Connection, request: ApiRequest) -> Build:
    return build_documents.the_build(connection, request.given["builder"], request.given["number"], ())


async def build(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER``.
    """
    status = await request.view.told(request.asked, "status")
    found = await request.view.records.read(
        lambda connection: build_rows.of_one_build(connection, _of_build(connection, request))
    )
    return with_live([build_documents.one_build_from(found)], status)[0]


async def properties(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/properties``.
    """
    row = await request.view.records.read(lambda connection: _of_build(connection, request))
    return {"properties": {**row.properties}}


async def logs(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/logs``.
    """

    def read(connection: Connection) -> tuple[list[Step], list[Stream]]:
        row = _of_build(connection, request)
        return steps.of_build(connection, row.id), streams.of_build(connection, row.id)

    return _logs(*await request.view.records.read(read))


def _logs(of_build: Sequence[Step], files: Sequence[Stream]) -> Document:
    names = {step.number: step.name for step in of_build}
    lengths: dict[tuple[int, str], int | None] = {}
    for each in files:
        if each.kind == "log":
            before = lengths.get((each.step, each.name), 0)
            lengths[each.step, each.name] = None if before is None or each.length is None else before + each.length
    return {
        "logs": [
            {
                "step": step,
                "step_name": names.get(step, ""),
                "log": name,
                "length": length,
                "raw": f"logs/{step}/{segment(name)}",
            }
            for (step, name), length in lengths.items()
        ]
    }


async def log(request: ApiRequest) -> Reply | Streamed:
    """
    ``/builds/BUILDER/NUMBER/logs/STEP/LOG``.
    """
    given = request.given
    found = await raw(request.view, request.asked, given["builder"], given["number"], given["step"], given["log"])
    return _refused_range(found)


async def lines(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/logs/STEP/LOG/lines``.
    """
    given, view = request.given, request.view
    stored = await view.logs.find(
        view.records, view.news, given["builder"], given["number"], given["step"], given["log"]
    )
    if stored.removed:
        raise NotFoundError(f"The logs of {given['builder']}/{given['number']} were removed (c['retention']).")
    reader = view.logs.reader(stored, view.places().streams)
    try:
        first, most = given.get("first", 1), given.get("lines", 100)
        start = await request.asked.outside_turn(view.logs.offset_of_line(reader, first, _LINE_WITHIN))
        if start is None:
            raise LimitError("The lines of this log are not counted yet.  Try again in some seconds.")
        data = reader.read(start, min(LONGEST_TEXT, reader.length - start))
        return {**_lines(data, first, most, at_end=start + len(data) >= reader.length), "ended": stored.ended}
    finally:
        reader.close()


def _lines(data: bytes, first: int, most: int, *, at_end: bool) -> dict[str, Any]:
    """
    At most *most* lines of *data*.  A line that is longer than `LONGEST_TEXT` is cut there.
    """
    found = data.split(b"\n")
    rest = found.pop()
    if rest and (at_end or not found):
        found.append(rest)
    shown = found[:most]
    more = len(shown) < len(found) or not at_end
    return {
        "first": first,
        "lines": [each.decode("utf-8", "replace") for each in shown],
        "next": first + len(shown) if more else None,
    }


async def artifacts(request: ApiRequest) -> Document:
    """
    ``/builds/BUILDER/NUMBER/artifacts``.
    """
    found = await request.view.records.read(
        lambda connection: build_rows.of_artifacts(connection, _of_build(connection, request))
    )
    return {
        "artifacts": [
            {**each, "raw": "artifacts/" + "/".join(segment(part) for part in each["name"].split("/"))}
            for each in build_documents.artifacts_from(found)
        ]
    }


async def artifact(request: ApiRequest) -> Reply | Streamed:
    """
    ``/builds/BUILDER/NUMBER/artifacts/NAME``.
    """
    view, name = request.view, request.given["name"]
    stream = await view.records.read(
        lambda connection: build_documents.the_artifact(connection, _of_build(connection, request), name)
    )
    path = os.path.join(view.places().artifacts, stream.path)
    if not _is_file(path):
        raise NotFoundError(f"The file of {name!r:.200} is not there any more.")
    reader = LogReader([LogPart(path, stream.length or 0)], view.logs.shared.open)
    reply = raw_reply(request.asked, reader, view.logs, name=file_name(os.path.basename(name)), ended=True)
    reply = evolve(reply, headers={**reply.headers, **_SANDBOX})
    return _refused_range(until_revoked(view, request.asked, reply))


def _refused_range(found: Reply | Streamed) -> Reply | Streamed:
    return problem(416, "There are no bytes in this range.", found.headers) if found.status == 416 else found


def _is_file(path: str) -> bool:
    return os.path.isfile(path)


async def one_request(request: ApiRequest) -> Document:
    """
    ``/requests/NUMBER``.
    """
    number = request.given["number"]
    status = await request.view.told(request.asked, "status")
    found = await request.view.records.read(lambda c: listed_builds.requests_before(c, 1, number + 1))
    if not found or found[0].request.id != number:
        raise NotFoundError(f"There is no request {number} (any more).")
    return _with_reason(build_documents.requests_from(found)[0], status)


async def requests(request: ApiRequest) -> Document:
    """
    ``/requests``.
    """
    before = place("requests", request.cursor)
    status = await request.view.told(request.asked, "status")
    found = await request.view.records.read(lambda c: listed_builds.requests_before(c, request.limit, before))
    older = found[-1].request.id if len(found) == request.limit else None
    documents = build_documents.requests_from(found)
    return {"requests": [_with_reason(each, status) for each in documents], "next": cursor("requests", older)}


def _with_reason(document: Document, status: Any) -> Document:
    waiting = (each["why"] for each in status.get("waiting", ()) if each["request"] == document["request"])
    return {**document, "why": next(waiting, None)}


OF_LOG = (*_OF_BUILD, _STEP, _LOG)
LOG_PATH = "/builds/{builder}/{number}/logs/{step}/{log}"
ENDPOINTS = (
    ApiEndpoint(
        "/builds",
        "Builds, newest first.  With a filter but that of a builder, a page examines 10,000 at most: it may be short, "
        "and not the last one.",
        builds,
        "Builds",
        (*_FILTER, *PAGE),
    ),
    ApiEndpoint(
        "/kept",
        "Builds that retention does not remove, because somebody said so; the oldest first.",
        kept,
        "KeptBuilds",
        PAGE,
    ),
    ApiEndpoint("/builds/{builder}/{number}", "One build, with its properties.", build, "OneBuild", _OF_BUILD),
    ApiEndpoint("/builds/{builder}/{number}/properties", "Its properties.", properties, "Properties", _OF_BUILD),
    ApiEndpoint("/builds/{builder}/{number}/logs", "The logs of its steps.", logs, "Logs", _OF_BUILD),
    ApiEndpoint(
        LOG_PATH,
        "The bytes of a log, or a range of them.",
        log,
        None,
        OF_LOG,
        media="text/plain",
        statuses=_BYTES,
        kept=0,
    ),
    ApiEndpoint(
        f"{LOG_PATH}/lines",
        "Lines of a log as text.",
        lines,
        "Lines",
        (
            *OF_LOG,
            Parameter("first", WholeKind(1), "The number of the first line; 1 if it is not given."),
            Parameter("lines", WholeKind(1, MOST_LINES), "How many at most; 100 if it is not given."),
        ),
    ),
    ApiEndpoint("/builds/{builder}/{number}/artifacts", "The files that it made.", artifacts, "Artifacts", _OF_BUILD),
    ApiEndpoint(
        "/builds/{builder}/{number}/artifacts/{name}",
        "The bytes of an artifact, or a range of them.",
        artifact,
        None,
        (*_OF_BUILD, path_parameter("name", TextKind(400), "The artifact's name.")),
        media="text/plain",
        statuses=_BYTES,
        kept=0,
    ),
    ApiEndpoint("/requests", "Requests for builds, newest first.", requests, "Requests", PAGE),
    ApiEndpoint(
        "/requests/{number}",
        "One request, with its builds, or why it waits.",
        one_request,
        "Request",
        (path_parameter("number", WholeKind(1), "Its number."),),
    ),
)
