"""
Submit a request for a source package that the farm makes of a git repository, and follow what is built.
"""

import io
from contextlib import AsyncExitStack
from itertools import repeat

from ...errors import InputError
from ...model.display import printable
from ...packages.formats.git_request import read_request, request_text
from ..asking.connection import MasterLink
from ..builds.submitted import SubmittedRequest, follow_all, told_requests
from ..command_line.next_commands import said_here
from ..output.printing import Document, note
from .job_following import job_follower
from .outcome import follow_packages
from .words import AskedRevision

SECONDS_BETWEEN = 1.0
"""Between two questions whether the master has examined a source package that was made."""
_MAKING = ("initialize", "checkout", "make_srpm", "prep")


async def built_of_git(link: MasterLink, *, asked: AskedRevision, options: Document, wait: bool) -> int:
    """
    Submit a request for *asked* with *options*; if *wait* is set, follow the build that makes the source package, and
    those of its packages.  Returns the exit code.
    """
    async with AsyncExitStack() as submitting:
        try:
            request = io.BytesIO(request_text(asked.source, asked.revision))
            read_request(request)
            answer = await submitting.enter_async_context(link.submit_file(request, options))
        except InputError as error:
            raise InputError(f"{asked.reading}{error}") from None
        requests = told_requests(answer)
        if not wait:
            return 0
        return await follow_all(link, requests) or await _packages_built(link, requests[0])


async def _packages_built(link: MasterLink, source: SubmittedRequest) -> int:
    """
    Follow the builds of the source package that *source* has made; returns the exit code.
    """
    told = {""}

    def is_made(job: Document) -> bool:
        if job["state"] not in _MAKING:
            return True
        if job["reason"] not in told:
            told.add(job["reason"])
            note(f"# job {job['job']} waits: {printable(said_here(job['reason']))}")
        return False

    async with job_follower(link, "the source package was made") as follower:
        question = {"ask": "package-show", "request": source.number}
        job = await follower.job_when(question, is_made, repeat(SECONDS_BETWEEN))
    builds = [each for each in job["arches"] if each["request"] is not None and each["request"] != source.number]
    if not builds:
        raise InputError(f"Job {job['job']} is {job['state']}: {said_here(job['reason'])}")
    note(f"# {printable(job['name'])} {printable(job['version'])}, of commit {printable(job['origin']['commit'])}")
    for each in job["arches"]:
        if each["state"] == "skipped":
            note(f"# not built for {printable(each['architecture'])}: {printable(each['reason'])}")
    return await follow_packages(
        link, [SubmittedRequest(each["request"], each["builder"], source.watch) for each in builds]
    )
