"""
What the master does with the packages of a job after its builds: it keeps them, or refuses them.
"""

from collections.abc import Sequence

from ..errors import BuildbotLiteError, LinkLostError, NoAnswerError
from ..model.display import printable
from .connection import MasterLink
from .output import Document, TakeChunk, note
from .resuming import resumed
from .submitted import SubmittedRequest, follow_all

FIRST_LOOK = 0.5
"""Seconds between the first two questions whether the packages are checked; the later ones are rarer."""
LONGEST_LOOK = 10.0
LOOKING = 600.0
"""Seconds until the command ends without knowing it."""
_CHECKED_NEXT = ("waiting", "building", "repowait")
_REFUSED = ("failed", "killed")
_ANSWERED = b"1"
"""A chunk of output without a byte: for `resumed`, the master answers."""


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
    left, delay = LOOKING, FIRST_LOOK

    async def look(take: TakeChunk) -> Document:
        nonlocal left, delay
        try:
            async with link.connection() as connection:
                while True:
                    job: Document = (await connection.ask({"ask": "package-show", "request": request}))["job"]
                    take(_ANSWERED)
                    if job["state"] not in _CHECKED_NEXT or job["reason"] or left <= 0:
                        return job
                    await link.pause(delay)
                    left -= delay
                    delay = min(2 * delay, LONGEST_LOOK)
        except NoAnswerError:
            # It answered a moment ago, when the builds ended: it restarts.
            raise LinkLostError from None

    try:
        job = await resumed(look, link.to_output, pause=link.pause, advice="", going_on="the builds were good")
    except BuildbotLiteError as error:
        # The builds are good nevertheless.
        note(f"# it is not known whether the master takes what was built: {printable(str(error)).strip()}")
        return 0
    state, reason = job["state"], printable(job["reason"])
    if state in _REFUSED:
        note(f"# job {job['job']} {state}: {reason}")
        return 1
    if state in _CHECKED_NEXT and reason:
        # The machine's fault; the master tries again.
        note(f"# job {job['job']} waits: {reason}")
    elif state in _CHECKED_NEXT:
        note(f"# job {job['job']} is still being checked; to see it: buildbot-lite package show {job['job']}")
    return 0
