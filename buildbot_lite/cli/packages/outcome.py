"""
What the master does with the packages of a job after its builds: it keeps them, or refuses them.
"""

from collections.abc import Iterator, Sequence

from ...errors import BuildbotLiteError, NotFoundError
from ...model.display import printable
from ..asking.connection import MasterLink
from ..builds.submitted import SubmittedRequest, follow_all
from ..command_line.next_commands import command_here, said_here
from ..output.printing import Document, note
from .job_following import job_follower

FIRST_LOOK = 0.5
"""Seconds between the first two questions whether the packages are checked; the later ones are rarer."""
LONGEST_LOOK = 10.0
LOOKING = 600.0
"""Seconds until the command ends without knowing it."""
_CHECKED_NEXT = ("waiting", "building", "repowait")
_REFUSED = ("failed", "killed")


async def follow_packages(link: MasterLink, requests: Sequence[SubmittedRequest]) -> int:
    """
    Follow the builds of one job, and then the master's check of what they made.  Returns the exit code: that of the
    worst build, or 1 if all are good and the packages are refused.
    """
    return await follow_all(link, requests) or await _checked(link, requests[0].number)


async def _checked(link: MasterLink, request: int) -> int:
    """
    1 if the master refuses the packages; else 0, the code of the builds, also when the master tells nothing.
    """
    try:
        async with job_follower(link, "the builds were good") as follower:
            job = await follower.job_when({"ask": "package-show", "request": request}, _is_checked, _looks())
    except NotFoundError:
        # The string of a scheduler with stdin="tar", whose builders do with the package what they like.
        note(
            "# no job of packages belongs to these builds, so no repository takes what was built.  (A Submit scheduler "
            "that is no target makes none; targets are written in c['targets'] of master.cfg.)"
        )
        return 0
    except BuildbotLiteError as error:
        # The builds are good nevertheless.
        note(f"# it is not known whether the master takes what was built: {printable(said_here(str(error))).strip()}")
        return 0
    state, reason = job["state"], printable(said_here(job["reason"]))
    if state in _REFUSED:
        note(f"# job {job['job']} {state}: {reason}")
        return 1
    if state in _CHECKED_NEXT and reason:
        # The machine's fault; the master tries again.
        note(f"# job {job['job']} waits: {reason}")
    elif state in _CHECKED_NEXT:
        note(f"# job {job['job']} is still being checked; to see it: {command_here('package show', job['job'])}")
    return 0


def _is_checked(job: Document) -> bool:
    return job["state"] not in _CHECKED_NEXT or bool(job["reason"])


def _looks() -> Iterator[float]:
    left, delay = LOOKING, FIRST_LOOK
    while left > 0:
        yield delay
        left -= delay
        delay = min(2 * delay, LONGEST_LOOK)
