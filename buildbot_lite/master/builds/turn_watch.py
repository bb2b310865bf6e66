"""
A watch on the reactor's thread: code of the configuration that keeps it is named in the log, and interrupted.

::

    reactor: beat ─ 1 s ─ beat ─ 1 s ─ beat ── a callback that never returns ────────────────────────────────
    thread:    tick ─ 1 s ─ tick ─ 1 s ─ tick ─ … ─ 10 ticks without a beat: a line in the log
                                                 … ─ 60 ticks: the callback is interrupted, each second from then on

Most code of the configuration has a limit of its own (`model.time_limit`), which comes first.  What the reactor calls
by itself has none: a callback that a step added to its own ``deferLater``.

The thread counts its own ticks, and reads no clock: a process that was stopped, or a machine that was suspended, is not
a reactor that hangs.  While a function of a library in C keeps Python's lock (GIL), no thread runs, this one neither.

Only code of the user's is interrupted, and never the process ended: what keeps the reactor in this program's own code
is a defect of ours, whose state would be unknown afterwards.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from inspect import getattr_static
from types import FrameType
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ...deferreds import background
from ...model.code_owner import is_users_file
from ...model.time_limit import allow_interruptions, interrupt_unlimited
from ..steps.step import BuildStep

TICK = 1.0
"""Seconds between two beats of the reactor, and two looks of the thread."""
SAY_AFTER = 10
"""Ticks without a beat after which the log says who keeps the reactor; again each minute."""
INTERRUPT_AFTER = 60
"""Ticks without a beat after which code of the user's is interrupted."""
_AGAIN = 60
_UNKNOWN = "nothing is known about its thread"


class TurnWatch:
    """
    Watches the thread that calls `start`, which is the reactor's.  *stack*: returns the innermost frame of that thread.
    *interrupt*: interrupts code of the user's in it.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        *,
        stack: Callable[[], FrameType | None] | None = None,
        interrupt: Callable[[], None] = interrupt_unlimited,
    ) -> None:
        self._beat = LoopingCall(self.beat)
        self._beat.clock = clock
        self._stack = stack or _stack_of(threading.get_ident())
        self._interrupt = interrupt
        self._ticks = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="turn-watch", daemon=True)

    def start(self) -> None:
        """
        Begin to watch.
        """
        allow_interruptions()
        background(self._beat.start(TICK), self._log, "the beat of the reactor")
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread.
        """
        if self._beat.running:
            self._beat.stop()
        self._stopped.set()
        self._thread.join()

    def beat(self) -> None:
        """
        The reactor turns.
        """
        ticks, self._ticks = self._ticks, 0
        if ticks >= SAY_AFTER:
            self._log.warn("the master works again, after about {seconds:.0f} s", seconds=ticks * TICK)

    def tick(self) -> None:
        """
        A second of the thread has passed.
        """
        self._ticks += 1
        if self._ticks >= SAY_AFTER and (self._ticks - SAY_AFTER) % _AGAIN == 0:
            self._say()
        if self._ticks >= INTERRUPT_AFTER:
            self._interrupt()

    def _say(self) -> None:
        try:
            who = described(self._stack())
        except Exception:  # noqa: BLE001 - the frames belong to a thread that may run on, and objects to the user
            who = _UNKNOWN
        self._log.warn(
            "the master has done nothing else for about {seconds:.0f} s: {who}", seconds=self._ticks * TICK, who=who
        )

    def _watch(self) -> None:
        while not self._stopped.wait(TICK):
            self.tick()


def described(innermost: FrameType | None) -> str:
    """
    What the thread with that *innermost* frame does, for people: the step with its build, if one can be found, and the
    user's code, or else the place in the program.  No code of the user's is called.
    """
    frames = list(_frames(innermost))
    if not frames:
        return _UNKNOWN
    users = next((frame for frame in frames if is_users_file(frame.f_code.co_filename)), None)
    shown = frames[0] if users is None else users
    place = f"{shown.f_code.co_name}, {shown.f_code.co_filename} line {shown.f_lineno}"
    step = next(filter(_is_step, (found for frame in frames for found in list(frame.f_locals.values()))), None)
    if step is None:
        return f"it runs {place}"
    return f"the step {_name(step)!r:.100}{_of_build(step)} runs {place}"


def _is_step(found: Any) -> bool:
    # `isinstance` would ask the object, too.
    return issubclass(type(found), BuildStep)


def _name(step: BuildStep) -> str:
    name = getattr_static(step, "name")
    # A property is the user's code.
    return name if type(name) is str else type(step).__name__


def _of_build(step: BuildStep) -> str:
    bench = getattr_static(step, "bench", None)
    if bench is None:
        return ""
    properties = bench.view.properties
    return f" of {properties.get('buildername')}/{properties.get('buildnumber')}"


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _stack_of(thread: int) -> Callable[[], FrameType | None]:
    return lambda: sys._current_frames().get(thread)  # noqa: SLF001 - its documented name
