"""
Programs that the master runs for itself on its own machine, such as git or gpgv: bounded in time and output.

They run in a thread, never in the reactor's own: a program may take minutes, and starting one takes milliseconds.
"""

import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import ENOENT
from threading import Event, Thread
from typing import IO

from attrs import frozen

from .errors import BuildbotLiteError, ConfigError
from .model.display import printable

LARGEST_OUTPUT = 64 << 20
LARGEST_ERRORS = 64 << 10
"""Bytes of standard error that are kept: the first ones."""
LOOK_AGAIN = 0.2
"""Seconds between two checks whether the result is still wanted."""
LONGEST_COMPLAINT = 300
"""Characters."""
TO_END = 5.0
"""Seconds between SIGTERM, after which git removes its locks, and SIGKILL."""
TO_BE_KILLED = 30.0
"""Seconds after SIGKILL in which a program ends that can be killed; one that has become another user's cannot."""
LOOK_ENDED = 0.02
"""Seconds between two checks whether a program has ended that was told to."""
PIECE = 1 << 16


class ProgramError(BuildbotLiteError):
    """
    A program of the master's machine failed.
    """


@frozen(kw_only=True)
class ChildProgram:
    """
    *argv* in the directory *cwd*, with exactly *env*, and *stdin*.

    It may take *seconds* and print *largest* bytes.  *memory*: bytes of its address space; 0: no limit.  With a limit
    it has *seconds* of processor time, too.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    stdin: bytes = b""
    seconds: float
    largest: int = LARGEST_OUTPUT
    memory: int = 0

    @property
    def command(self) -> Sequence[str]:
        """
        *argv*, with the limits (prlimit(1) of util-linux; a function that runs between fork and exec is not safe in a
        program with threads).
        """
        if not self.memory:
            return self.argv
        return ["prlimit", f"--as={self.memory}", f"--cpu={int(self.seconds) + 1}", "--", *self.argv]


@frozen
class Ran:
    """
    Its exit *code*, *output* and *errors*.  *cut_off*: it printed too much, and was ended.
    """

    code: int
    output: bytes
    errors: bytes
    cut_off: bool = False


def last_complaint(errors: bytes) -> str:
    """
    The last line of *errors*, what a program wrote to standard error, without its full stop; "" if it wrote nothing.
    """
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return printable(lines[-1], longest=LONGEST_COMPLAINT).rstrip(".") if lines else ""


def run_here(program: ChildProgram, unwanted: Event) -> Ran:
    """
    Run *program* in this thread; end it when *unwanted* is set.  When the program has ended, the processes that it left
    are killed, unless they made sessions of their own (setsid(2)) or are another user's.  `ProgramError` when it takes
    too long or, as another user's, cannot be ended.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(program.stdin)
        stdin.seek(0)
        try:
            if program.memory and shutil.which(program.argv[0], path=program.env.get("PATH")) is None:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
            process = subprocess.Popen(
                program.command,
                cwd=program.cwd,
                env=dict(program.env),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            # Without it, no program is run that reads what others made.
            missing = program.memory and shutil.which("prlimit", path=program.env.get("PATH")) is None
            name = (
                "prlimit"
                if missing and shutil.which(program.argv[0], path=program.env.get("PATH"))
                else program.argv[0]
            )
            raise ConfigError(f"The program {name!r:.200} cannot be run: {error.strerror}.") from None
    try:
        return _watched(process, program, unwanted)
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        if process.returncode is None:
            # Its exit code is taken whenever it ends; nobody waits for that.
            Thread(target=process.wait, name=f"waiting for process {process.pid}", daemon=True).start()


def _watched(process: "subprocess.Popen[bytes]", program: ChildProgram, unwanted: Event) -> Ran:
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
        pause = LOOK_AGAIN
        while True:
            # What it left may hold its output for ever: once it has ended, only what is there already is read.
            ended = _has_ended(process)
            ready = selector.select(0 if ended else pause)
            for key, _ in ready:
                _take(selector, key.fileobj, found)  # type: ignore[arg-type]  # they are streams
            del errors[LARGEST_ERRORS:]
            if unwanted.is_set() or len(output) > program.largest or time.monotonic() > deadline:
                break
            if ended and not ready:
                break
            if not selector.get_map():
                pause = LOOK_ENDED  # it has closed its output, and may still run
        late = time.monotonic() > deadline and not _has_ended(process)
        gone = _end(process)
    if late:
        raise ProgramError(f"{program.argv[0]} did not end within {program.seconds:.0f} s.")
    if not gone:
        raise ProgramError(f"{program.argv[0]} cannot be ended, and may still run.")
    return Ran(process.wait(), bytes(output[: program.largest]), bytes(errors), len(output) > program.largest)


def _take(selector: selectors.BaseSelector, stream: IO[bytes], found: dict[int, bytearray]) -> None:
    data = os.read(stream.fileno(), PIECE)
    if data:
        found[stream.fileno()] += data
    else:
        selector.unregister(stream)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    # Without taking its exit code: until that is taken, no other group of processes can have its number.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: "subprocess.Popen[bytes]") -> bool:
    """
    End the program and its descendants.  False if the program cannot be ended.
    """
    if not _has_ended(process):
        _signal(process, signal.SIGTERM)
        _ends_within(process, TO_END)
    _signal(process, signal.SIGKILL)
    if not _ends_within(process, TO_BE_KILLED):
        return False
    process.wait()
    return True


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # It may have become another user's, as with "exec sudo …".
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _ends_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not (ended := _has_ended(process)) and time.monotonic() < until:
        time.sleep(LOOK_ENDED)
    return ended
