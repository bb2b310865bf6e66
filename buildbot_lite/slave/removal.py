"""
Runs programs that remove what builds have left, in a thread, as a command of a build would run.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ..child_programs import ChildProgram, last_complaint, run_here
from ..errors import BuildbotLiteError

LONGEST_REMOVAL = 3600.0
"""Seconds after which the program is ended; the next one goes on."""
LARGEST_OUTPUT = 1 << 20
"""Bytes that the program may print."""


@frozen
class Removal:
    """
    Programs in the directory *cwd* with *env*.  *in_thread*: runs a function that blocks in a thread.
    """

    cwd: str
    env: Mapping[str, str]
    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]

    async def run(self, words: Sequence[str], unwanted: Event) -> str:
        """
        Run *words*, and end them when *unwanted* is set.  Returns why they failed, or "".
        """
        try:
            program = ChildProgram(
                argv=words, cwd=self.cwd, env=self.env, seconds=LONGEST_REMOVAL, largest=LARGEST_OUTPUT
            )
            ran = await self.in_thread(partial(run_here, program, unwanted))
        except (BuildbotLiteError, OSError) as error:
            return str(error)
        return (last_complaint(ran.errors) or f"exit code {ran.code}") if ran.code else ""
