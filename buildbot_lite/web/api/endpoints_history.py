"""
Endpoints of changes to sources, and of packages.
"""

from sqlalchemy import Connection

from ...errors import NotFoundError
from ...packages.records import job_documents, job_lists, job_records
from ...packages.records.job_states import JobState
from ...packages.records.jobs import Job, JobFilter
from ...status import build_documents, build_rows
from ...status.build_documents import Document
from ...storage.records.builds import Build
from ..farm.live import Document as LiveDocument
from .cursors import cursor, place
from .definitions import PAGE, ApiEndpoint, ApiRequest, ChoiceKind, Parameter, TextKind, WholeKind, path_parameter

_NUMBER = (path_parameter("number", WholeKind(1), "Its number."),)


async def changes(request: ApiRequest) -> Document:
    """
    ``/changes``.
    """
    before = place("changes", request.cursor)
    page = await request.view.records.read(lambda c: build_rows.page_of_changes(c, request.limit, before))
    return {"changes": build_documents.changes_from(page), "next": cursor("changes", page.before)}


async def change(request: ApiRequest) -> Document:
    """
    ``/changes/NUMBER``.
    """
    number = request.given["number"]
    found = await request.view.records.read(lambda c: build_rows.of_changes(c, 1, number + 1))
    if not found.changes or found.changes[0].id != number:
        raise NotFoundError(f"There is no change {number} (any more).")
    return build_documents.changes_from(found)[0]


async def targets(request: ApiRequest) -> Document:
    """
    ``/packages/targets``.
    """
    answer = await request.view.told(request.asked, "package-targets")
    return {"targets": [target_document(each) for each in answer.get("targets", ())]}


def target_document(told: LiveDocument) -> Document:
    """
    The document of a target, as the master has *told* it.
    """
    # A master of an earlier version says nothing of troubles and aliases.
    return {"aliases": [], "trouble": None, **told}


async def jobs(request: ApiRequest) -> Document:
    """
    ``/packages/jobs``.
    """
    given = request.given
    wanted = JobFilter(
        target=given.get("target"),
        state=given.get("state"),
        name=given.get("name"),
        submitter=given.get("submitter"),
    )
    before = place("jobs", request.cursor)

    def read(connection: Connection) -> tuple[list[Job], dict[int, Build]]:
        found = job_lists.page(connection, wanted, request.limit, before)
        return found, job_lists.builds_of(connection, found)

    found, builds = await request.view.records.read(read)
    older = found[-1].id if len(found) == request.limit else None
    return {"jobs": [job_documents.job_from(each, builds) for each in found], "next": cursor("jobs", older)}


async def job(request: ApiRequest) -> Document:
    """
    ``/packages/jobs/NUMBER``.
    """
    number = request.given["number"]

    def read(connection: Connection) -> tuple[Job, dict[int, Build]]:
        found = job_records.get(connection, number)
        if found is None:
            raise NotFoundError(f"There is no job {number} (any more).")
        return found, job_lists.builds_of(connection, [found])

    return job_documents.job_from(*await request.view.records.read(read))


_JOB_FILTER = (
    Parameter("target", TextKind(80), "Jobs of this target."),
    Parameter("state", ChoiceKind([str(each) for each in JobState]), "In this state."),
    Parameter("name", TextKind(), "Of the source package of this name."),
    Parameter("submitter", TextKind(), "Of this submitter."),
)
ENDPOINTS = (
    ApiEndpoint(
        "/changes",
        "Changes to sources, newest first, each with its builds; with more than 1,000 builds, a page has fewer.",
        changes,
        "Changes",
        PAGE,
    ),
    ApiEndpoint("/changes/{number}", "One change.", change, "Change", _NUMBER),
    ApiEndpoint("/packages/targets", "What packages are built for; empty if the master is away.", targets, "Targets"),
    ApiEndpoint("/packages/jobs", "Jobs of packages, newest first.", jobs, "Jobs", (*_JOB_FILTER, *PAGE)),
    ApiEndpoint("/packages/jobs/{number}", "One job.", job, "Job", _NUMBER),
)
