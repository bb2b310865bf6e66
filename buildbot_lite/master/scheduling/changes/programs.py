"""
Programs that change sources run on the master's machine, such as git: bounded in time and output, in threads.
"""

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event
from typing import IO

from attrs import frozen
from twisted.internet.defer import CancelledError

from ....errors import BuildbotLiteError, ConfigError
from ...config.change_sources import SourceContext

LARGEST_OUTPUT = 64 << 20
LARGEST_ERRORS = 64 << 10
"""Bytes of standard error that are kept: the first ones."""
LOOK_AGAIN = 0.2
"""Seconds between two checks whether the result is still wanted."""
TO_END = 5.0
"""Seconds between SIGTERM, after which git removes its locks, and SIGKILL."""
PIECE = 1 << 16
LONGEST_COMPLAINT = 300


class ProgramError(BuildbotLiteError):
    """
    A program of a change source failed.
    """


class TooMuchOutputError(ProgramError):
    """
    A program printed more than it may.
    """


@frozen(kw_only=True)
class SourceProgram:
    """
    *argv* in the directory *cwd*, with exactly *env*, and *stdin*.

    It may take *seconds* and print *largest* bytes.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    stdin: bytes = b""
    seconds: float
    largest: int = LARGEST_OUTPUT


@frozen
class Ran:
    """
    Its exit *code*, *output* and *errors*.  *cut_off*: it printed too much, and was ended.
    """

    code: int
    output: bytes
    errors: bytes
    cut_off: bool = False


async def run(context: SourceContext, program: SourceProgram) -> Ran:
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
    What *argv* prints, in the master's own environment; `ProgramError` when it fails *trying* something,
    `TooMuchOutputError` when that is more than *largest* bytes.
    """
    env = {**os.environ, "LC_ALL": "C.UTF-8", "HGPLAIN": "1", "HGENCODING": "utf-8"}
    program = SourceProgram(argv=argv, cwd=context.basedir, env=env, stdin=stdin, seconds=seconds, largest=largest)
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


def run_here(program: SourceProgram, unwanted: Event) -> Ran:
    """
    Run *program* in this thread; end it when *unwanted* is set.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(program.stdin)
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                program.argv,
                cwd=program.cwd,
                env=dict(program.env),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"The program {program.argv[0]!r:.200} cannot be run: {error.strerror}.") from None
    with process:
        return _watched(process, program, unwanted)


def _watched(process: "subprocess.Popen[bytes]", program: SourceProgram, unwanted: Event) -> Ran:
    deadline = time.monotonic() + program.seconds
    found: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
            found[stream.fileno()] = bytearray()
        assert process.stdout is not None
        assert process.stderr is not None
        output, errors = found[process.stdout.fileno()], found[process.stderr.fileno()]
        while selector.get_map():
            for key, _ in selector.select(LOOK_AGAIN):
                _take(selector, key.fileobj, found)  # type: ignore[arg-type]  # they are streams
            del errors[LARGEST_ERRORS:]
            if unwanted.is_set() or len(output) > program.largest or time.monotonic() > deadline:
                _end(process)
                break
        if time.monotonic() > deadline:
            raise ProgramError(f"{program.argv[0]} did not end within {program.seconds:.0f} s.")
    code = _code(process, deadline)
    return Ran(code, bytes(output[: program.largest]), bytes(errors), len(output) > program.largest)


def _take(selector: selectors.BaseSelector, stream: IO[bytes], found: dict[int, bytearray]) -> None:
    data = os.read(stream.fileno(), PIECE)
    if data:
        found[stream.fileno()] += data
    else:
        selector.unregister(stream)


def _code(process: "subprocess.Popen[bytes]", deadline: float) -> int:
    try:
        return process.wait(max(TO_END, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # the program closed its output and still runs
        _end(process)
        return process.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """
    End the program and its descendants.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(TO_END)
