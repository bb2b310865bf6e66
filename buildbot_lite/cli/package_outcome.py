"""
What the master does with the packages of a job after its builds: it keeps them, or refuses them.
"""

from collections.abc import Sequence

from ..model.display import printable
from .connection import MasterLink
from .output import note
from .submitted import SubmittedRequest, follow_all

LOOK = 0.5
"""Seconds between two questions whether the packages are checked."""
MOST_LOOKS = 1200
_CHECKED_NEXT = ("waiting", "building", "repowait")
_REFUSED = ("failed", "killed")


async def follow_packages(link: MasterLink, requests: Sequence[SubmittedRequest]) -> int:
    """
    Follow the builds of one job, and then the master's check of what they made.  Returns the exit code: that of the
    worst build, or 1 if all are good and the packages are refused.
    """
    return await follow_all(link, requests) or await _checked(link, requests[0].number)


async def _checked(link: MasterLink, request: int) -> int:
    for _ in range(MOST_LOOKS):
        job = (await link.ask({"ask": "package-show", "request": request}))["job"]
        state, reason = job["state"], printable(job["reason"])
        if state in _REFUSED:
            note(f"# job {job['job']} {state}: {reason}")
            return 1
        if state not in _CHECKED_NEXT:
            return 0
        if reason:
            # The machine's fault; the master tries again.
            note(f"# job {job['job']} waits: {reason}")
            return 0
        await link.pause(LOOK)
    note(f"# job {job['job']} is still being checked; to see it: buildbot-lite package show {job['job']}")
    return 0
