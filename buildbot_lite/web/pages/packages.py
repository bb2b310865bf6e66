"""
Packages: the jobs of each target, one job with its architectures, and what was built for each target.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from sqlalchemy import Connection

from ...errors import NotFoundError
from ...packages.records import job_documents, job_lists, job_records
from ...packages.records.job_states import JobState
from ...packages.records.jobs import Job, JobFilter
from ...status import build_details, build_documents, build_rows
from ...status.build_details import StoryRows
from ...status.build_rows import OneBuildRows
from ...storage.records.builds import Build
from ..html.rendering import page_of_build
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .build import opened_step, steps_of, tail_of
from .built_packages import built_packages

ON_PAGE = 40
MOST_PACKAGES = 300
"""Source packages on the page of a target."""
_FILTER = ("target", "state", "name", "submitter")


async def jobs(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/packages``.
    """
    given = {name: asked.field(name) or None for name in _FILTER}
    wanted = JobFilter(target=given["target"], state=given["state"], name=given["name"], submitter=given["submitter"])
    before = asked.before
    live = await view.told(asked, "package-targets")

    def read(connection: Connection) -> tuple[list[Job], dict[int, Build], list[tuple[str, str, int]]]:
        found = job_lists.page(connection, wanted, ON_PAGE, before)
        return found, job_lists.builds_of(connection, found), job_lists.counted(connection)

    found, builds, counted = await view.records.read(read)
    counts = job_lists.counts_of(counted)
    older = urlencode({**asked.query, "before": found[-1].id}) if len(found) == ON_PAGE else None
    return await view.page(
        asked,
        "packages.html",
        jobs=[job_documents.job_from(each, builds) for each in found],
        counts=counts,
        targets=live.get("targets") or [{"target": each} for each in counts],
        filter=given,
        states=[str(each) for each in JobState],
        older=older,
    )


async def job(view: FarmView, asked: PageRequest, number: int) -> Reply:
    """
    ``/packages/NUMBER``.
    """

    def read(connection: Connection) -> JobPageRows:
        found = job_records.get(connection, number)
        if found is None:
            raise NotFoundError(f"There is no job {number} (any more).")
        same = job_lists.page(connection, JobFilter(target=found.target, name=found.name), 20)
        builds = job_lists.builds_of(connection, [found, *same])
        built = {each.architecture: builds[each.build] for each in found.arches if each.build in builds}
        rows = {
            arch: (build_rows.of_one_build(connection, row), build_details.read_story(connection, row))
            for arch, row in built.items()
        }
        return JobPageRows(found, same, builds, rows)

    rows = await view.records.read(read)
    document = job_documents.job_from(rows.job, rows.builds)
    history = [job_documents.job_from(each, rows.builds) for each in rows.same]
    steps = {each.architecture: _steps(rows.built.get(each.architecture), view.wall()) for each in rows.job.arches}
    opened = []
    for architecture, of_arch in steps.items():
        step = opened_step(of_arch)
        if step is not None:
            step["tail"] = await view.logs.in_thread(partial(tail_of, view.places(), step["logs"]))
            if step["tail"]:
                opened.append((architecture, step))
    return await view.page(asked, "package.html", job=document, history=history, steps=steps, opened=opened)


@frozen
class JobPageRows:
    """
    What the page of a job is made of.  *same*: jobs of the same package.  *builds*: of all their architectures.
    *built*: by architecture, the last build of the job.
    """

    job: Job
    same: Sequence[Job]
    builds: Mapping[int, Build]
    built: Mapping[str, tuple[OneBuildRows, StoryRows]]


def _steps(built: tuple[OneBuildRows, StoryRows] | None, now: float) -> Sequence[dict[str, Any]]:
    """
    The steps of the last build of an architecture, each with the *place* of its logs, below the farm's first page.
    """
    if built is None:
        return ()
    rows, story = built
    steps = steps_of(build_documents.one_build_from(rows), build_details.story_from(story), now)
    page = page_of_build(rows.row.builder, rows.row.number)
    return [{**each, "place": f"{page}/steps/{each['number']}/logs/"} for each in steps]


async def repository(view: FarmView, asked: PageRequest, target: str) -> Reply:
    """
    ``/packages/targets/TARGET``: how its repository is used, and the newest finished jobs that are kept, a page of
    source packages at a time: those with names after the one in ``after``.  Where the target has a repository, its
    packages are listed instead; until it is published, or if it has too many, only the jobs that were published.
    """
    after, text = asked.field("after"), asked.field("name").lower()
    found = await built_packages(view, asked, target, after=after, text=text, most=MOST_PACKAGES)
    return await view.page(
        asked,
        "repository.html",
        target=target,
        known=found.known,
        packages=found.sources,
        after=after,
        following=found.following,
        pushed=found.is_pushed,
        is_published=found.is_published,
        versions=found.versions,
        text=text,
        use=found.use,
    )


ROUTES = (
    Route("/packages", jobs),
    Route("/packages/<int:number>", job),
    Route("/packages/targets/<target>", repository),
)
