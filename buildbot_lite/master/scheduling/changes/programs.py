"""
Programs that change sources run on the master's machine, such as git.
"""

import os
from collections.abc import Sequence
from functools import partial
from threading import Event

from twisted.internet.defer import CancelledError

from ....child_programs import LARGEST_OUTPUT, ChildProgram, ProgramError, Ran, run_here
from ...config.change_sources import SourceContext

LONGEST_COMPLAINT = 300


class TooMuchOutputError(ProgramError):
    """
    A program printed more than it may.
    """


async def run(context: SourceContext, program: ChildProgram) -> Ran:
    """
    Run *program*; `ProgramError` when it takes too long, `ConfigError` when it does not exist.  Cancelling ends it.
    """
    unwanted = Event()
    try:
        return await context.in_thread(partial(run_here, program, unwanted))
    except CancelledError:
        unwanted.set()
        raise


async def output_of(
    context: SourceContext,
    argv: Sequence[str],
    *,
    trying: str,
    seconds: float,
    stdin: bytes = b"",
    largest: int = LARGEST_OUTPUT,
) -> bytes:
    """
    The output of *argv*, in the master's own environment; `ProgramError` when it fails *trying* something,
    `TooMuchOutputError` when the output has more than *largest* bytes.
    """
    env = {**os.environ, "LC_ALL": "C.UTF-8", "HGPLAIN": "1", "HGENCODING": "utf-8"}
    program = ChildProgram(argv=argv, cwd=context.basedir, env=env, stdin=stdin, seconds=seconds, largest=largest)
    ran = await run(context, program)
    if ran.cut_off:
        raise TooMuchOutputError(f"{argv[0]} could not {trying}: it printed more than {largest} bytes.")
    if ran.code:
        lines = ran.errors.decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in lines if line.startswith(("abort:", "svn: E"))), lines[-1] if lines else "")
        raise ProgramError(
            f"{argv[0]} could not {trying}: {said[:LONGEST_COMPLAINT].rstrip('.') or 'no reason given'}."
        )
    return ran.output
