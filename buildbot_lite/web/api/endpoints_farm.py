"""
Endpoints of the farm as it is now: builders, queue, slaves, schedulers.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from attrs import asdict, frozen
from sqlalchemy import Connection

from ...errors import NoAnswerError, NotFoundError
from ...model.estimates import SAMPLES, estimate
from ...model.suggestions import there_is_no
from ...status import build_documents, build_rows, outbox_documents
from ...status.build_documents import Document
from ...status.build_rows import BuildRows
from ...storage.records import cells, durations, history, listed_builds
from ...storage.records import slaves as records_of_slaves
from ...storage.records.cells import BuildCell
from ...storage.records.history import Page
from ..farm.live import Document as LiveDocument
from ..farm.slave_states import one_slave
from ..pages.about import about_farm
from ..pages.queue import waiting_requests
from ..pages.slaves import known_slaves, told_slaves
from .cursors import cursor, page_by_name, place
from .definitions import PAGE, ApiEndpoint, ApiRequest, Parameter, TextKind, path_parameter
from .live_builds import with_live
from .unknown_builders import refuse_unknown

_BUILDER = path_parameter("builder", TextKind(), "Its name; a slash in it is written %252F.")
_SLAVE = path_parameter("slave", TextKind(), "Its name.")
MOST_BUILDERS = 10_000
# Not "builders" and "slaves": earlier cursors of these kinds have a place, which would be taken as a name.
_BUILDERS_LIST, _SLAVES_LIST = "builder", "slave"
# Not "queue": earlier cursors of this kind have a time.
_QUEUE_LIST = "waiting"


async def _known(request: ApiRequest, question: str) -> LiveDocument:
    """
    The master's answer, or the last one while it is away.
    """
    answer = await request.view.told(request.asked, question)
    if not answer:
        raise _not_told()
    return answer


def _not_told() -> NoAnswerError:
    return NoAnswerError("The master does not answer, and nothing is known of before.  Try again later.")


async def farm(request: ApiRequest) -> Document:
    """
    ``/farm``.
    """
    return {**await _known(request, "status"), "away_since": request.view.live.away_since}


async def builders(request: ApiRequest) -> Document:
    """
    ``/builders``.
    """
    entries = await _all_builders(request)
    page = page_by_name(_BUILDERS_LIST, request.cursor, entries, lambda each: each["builder"], request.limit)
    return {"builders": await _with_builds(request, page.entries), "next": page.next}


async def builder(request: ApiRequest) -> Document:
    """
    ``/builders/NAME``.
    """
    name = request.given["builder"]
    entries = await _all_builders(request)
    found = [each for each in entries if each["builder"] == name]
    # Where the configuration is known, this one is not in it.
    is_known = any(each["configured"] for each in entries)
    (document,) = await _with_builds(request, found or [{"builder": name, "configured": False if is_known else None}])
    if not found and document["last"] is None:
        raise build_documents.no_builder(name, [each["builder"] for each in entries])
    return document


async def _all_builders(request: ApiRequest) -> Sequence[LiveDocument]:
    """
    The builders of the configuration; while it is not known, those that have builds.
    """
    known = (await request.view.told(request.asked, "www")).get("builders")
    if known is not None:
        return [{"configured": True, **each} for each in known]
    names = await request.view.records.read(lambda connection: cells.builders(connection, MOST_BUILDERS))
    return [{"builder": name, "configured": None} for name in names]


async def _with_builds(request: ApiRequest, shown: Sequence[LiveDocument]) -> list[Document]:
    status = await request.view.told(request.asked, "status")
    waiting = Counter(each["builder"] for each in status.get("waiting", ()))
    names = [each["builder"] for each in shown]
    found = await request.view.records.read(lambda connection: _read_builds(connection, names))
    documents = with_live(build_documents.builds_from(found.newest), status)
    last = {each["builder"]: each for each in documents}
    running: dict[str, list[int]] = defaultdict(list)
    for cell in found.running:
        running[cell.builder].append(cell.number)
    return [
        {
            "builder": each["builder"],
            "configured": each["configured"],
            "description": each.get("description") or "",
            "tags": list(each.get("tags", ())),
            "slaves": each.get("slaves"),
            "running": running[each["builder"]],
            "waiting": waiting[each["builder"]],
            "takes": estimate(found.durations.get(each["builder"], ()), ()).build,
            "last": last.get(each["builder"]),
        }
        for each in shown
    ]


@frozen
class BuilderRows:
    """
    The newest build of each builder, all builds that run, and how long the latest good builds took.
    """

    newest: BuildRows
    running: Sequence[BuildCell]
    durations: Mapping[str, Sequence[float]]


def _read_builds(connection: Connection, names: Sequence[str]) -> BuilderRows:
    return BuilderRows(
        build_rows.of_builds(connection, Page(history.newest_of_each(connection, names), None)),
        cells.running(connection),
        durations.of_each(connection, names, SAMPLES),
    )


async def queue(request: ApiRequest) -> Document:
    """
    ``/queue``.

    Which requests wait is read from the records, because the master tells only those that build first: where each of
    these stands, and why it waits.
    """
    status = await request.view.told(request.asked, "status")
    after = place(_QUEUE_LIST, request.cursor) or 0
    builder = request.given.get("builder")
    found = await request.view.records.read(lambda c: listed_builds.waiting_after(c, request.limit, after, builder))
    if builder is not None and request.cursor is None and not found:
        await refuse_unknown(request, builder)
    following = found[-1].request.id if len(found) == request.limit else None
    return {
        "queue": waiting_requests(found, status),
        "next": cursor(_QUEUE_LIST, following),
        "total": status.get("waiting_total"),
        "away_since": request.view.live.away_since,
    }


async def slaves(request: ApiRequest) -> Document:
    """
    ``/slaves``.
    """
    everyone = await known_slaves(request.view, request.asked)
    page = page_by_name(_SLAVES_LIST, request.cursor, everyone, lambda each: each["slave"], request.limit)
    return {"slaves": page.entries, "next": page.next}


async def slave(request: ApiRequest) -> LiveDocument:
    """
    ``/slaves/NAME``.
    """
    name = request.given["slave"]
    told = await told_slaves(request.view, request.asked)
    row = await request.view.records.read(lambda connection: records_of_slaves.get(connection, name))
    found = one_slave(told, name, row)
    if found is None and told is None:
        raise _not_told()
    if found is None:
        raise NotFoundError(there_is_no("slave", name, [each["slave"] for each in told or ()]))
    return found


async def schedulers(request: ApiRequest) -> Document:
    """
    ``/schedulers``.
    """
    answer = await _known(request, "schedulers")
    return {"schedulers": answer["schedulers"], "away_since": request.view.live.away_since}


async def reporters(request: ApiRequest) -> Document:
    """
    ``/reporters``.
    """
    found = await request.view.records.read(outbox_documents.read_reporters)
    return {"unsent": outbox_documents.reporters_from(found)}


async def about(request: ApiRequest) -> Document:
    """
    ``/about``.
    """
    return asdict(await about_farm(request.view, request.asked))


ENDPOINTS = (
    ApiEndpoint("/farm", "The farm at a glance: slaves, running builds, waiting requests.", farm, "Farm"),
    ApiEndpoint("/builders", "The builders by name, each with its newest build.", builders, "Builders", PAGE),
    ApiEndpoint("/builders/{builder}", "One builder.", builder, "Builder", (_BUILDER,)),
    ApiEndpoint(
        "/queue",
        "All waiting requests with the reasons, in the order of their numbers; `position` counts from the next one to "
        "build.  Of those behind the 1,000 that build first, it is null, and of all before the master answered for the "
        "first time.",
        queue,
        "Queue",
        (Parameter("builder", TextKind(), "Requests for this builder."), *PAGE),
    ),
    ApiEndpoint("/slaves", "The slaves by name, each with its state.", slaves, "Slaves", PAGE),
    ApiEndpoint(
        "/slaves/{slave}",
        "One slave, also one that is in the records alone: `state` is `not-configured`, or `unknown` while the master "
        "has never answered.",
        slave,
        "Slave",
        (_SLAVE,),
    ),
    ApiEndpoint("/schedulers", "The schedulers, each with what it waits for.", schedulers, "Schedulers"),
    ApiEndpoint(
        "/about",
        "What serves this farm: versions, how far its records go back, and the packages that it stands on.",
        about,
        "About",
        kept=10.0,
    ),
    ApiEndpoint("/reporters", "Messages of reporters that are not sent yet, or were given up.", reporters, "Reporters"),
)
