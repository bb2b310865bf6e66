"""
Follow a job of packages until something is known about it, over restarts of the master.

::

    question ──► answer ──► not known yet ──► pause ──► question …      on one link, which is renewed by itself
        ▲ lost                                                          (30 minutes without a master end it)
        └─── pause
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from ...errors import LinkLostError
from ..asking.connection import MasterLink
from ..asking.resuming import KEEP_TRYING
from ..output.printing import Document, note

if TYPE_CHECKING:
    from ..asking.lasting_link import LastingLink

AFTER_LOSS = 1.0
"""Seconds until a question is asked again whose answer was lost with the link."""


@frozen
class JobFollower:
    """
    Asks the master of *lasting*, for as long as it takes.  *link*: where pauses come from.
    """

    link: MasterLink
    lasting: "LastingLink"

    async def ask(self, question: Document) -> Document:
        """
        The answer to *question*, which is asked again after a loss of the link, so it must change nothing.
        `NoAnswerError` when the master stays away.
        """
        while True:
            try:
                return await self.lasting.ask(question)
            except LinkLostError:
                # The link may not know yet that it is lost.
                await self.link.pause(AFTER_LOSS)

    async def job_when(
        self, question: Document, known: Callable[[Document], bool], pauses: Iterable[float]
    ) -> Document:
        """
        The job that answers *question*, as soon as *known* is true of it, or as it is when *pauses* are over: seconds
        until the next question, one after the other.
        """
        left = iter(pauses)
        while True:
            job: Document = (await self.ask(question))["job"]
            pause = None if known(job) else next(left, None)
            if pause is None:
                return job
            await self.link.pause(pause)


@asynccontextmanager
async def job_follower(link: MasterLink, going_on: str) -> AsyncIterator[JobFollower]:
    """
    A context with a `JobFollower` to the master of *link*.  *going_on*: what the remark about a lost link says of the
    builds.
    """

    def tell() -> None:
        note(
            f"# lost the connection to the master; {going_on}.  Trying to reach the master again for up to "
            f"{KEEP_TRYING / 60:.0f} minutes."
        )

    lasting = link.lasting(tell)
    try:
        yield JobFollower(link, lasting)
    finally:
        await lasting.stop()
