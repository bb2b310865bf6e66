"""
Time limits of a command: total time, time without output, time without a message from the master (lease).

::

    max_time   since it began ----------.
    timeout    since its last output ---+---------------> Timeouts --> kill
    grace      since the last message, or the start ----> expired ---> kill, or do not begin

**Pauses.**  While the machine is suspended, or does not run because its host or a debugger stopped everything on it, no
command can work or write.  So this time does not count for `max_time` and `timeout`: `Timeouts` looks at the clock at
least every `LOOK` seconds, and of the time before a late look, only that until it was due counts.  A pause costs a
command at most `LOOK` seconds; and on a machine so busy that each look is late, the limits come later, but they come.
A pause does count for the lease, because the master, on another machine, may have given the command up meanwhile.
"""

from collections.abc import Callable

from ..model.lease import keeper_deadline
from .loop import Loop, Timers
from .start_request import StartRequest

LOOK = 10.0
"""Seconds between two looks at the clock."""
LATE = 5.0
"""Seconds by which a look is late after a pause.  Less is a busy machine, and counts."""
ONCE_MORE = 1.0
"""Seconds after a pause in which a command may write, or end.  Once for a limit, not after each pause."""
_SHORTEST = 0.001


class Timeouts:
    """
    `timeout` and `max_time` of *request*, for a command that begins now.

    *silence*: returns the seconds since its last output.  *exceeded*: called with a reason (of `model.outcome.Why`) and
    a sentence when a limit is exceeded.
    """

    def __init__(
        self, request: StartRequest, *, loop: Loop, silence: Callable[[], float], exceeded: Callable[[str, str], None]
    ) -> None:
        self._loop = loop
        self._timers = Timers(loop)
        self._silence = silence
        self._exceeded = exceeded
        self._timeout, self._max_time = request.timeout, request.max_time
        # Seconds in which this machine ran: since the command began, and since its last output.
        self._ran = self._silent = 0.0
        self._looked = loop.now()
        # Whether the latest look was late and found a limit exceeded.
        self._given_once_more = False
        self._look_later()

    def cancel(self) -> None:
        """
        Stop watching, because the command is being ended.
        """
        self._timers.clear()

    def _look_later(self, least: float = _SHORTEST) -> None:
        left = [LOOK]
        if self._timeout is not None:
            left.append(self._timeout - self._silent)
        if self._max_time is not None:
            left.append(self._max_time - self._ran)
        if len(left) > 1:
            self._due = self._looked + max(min(left), least)
            self._timers.set("look", self._due - self._loop.now(), self._look)

    def _look(self) -> None:
        now = self._loop.now()
        late = now - self._due >= LATE
        counted = max(0.0, (self._due if late else now) - self._looked)
        self._looked = now
        self._ran += counted
        self._silent = min(self._silence(), self._silent + counted)
        exceeded = self._found_exceeded()
        if exceeded is None or (late and not self._given_once_more):
            self._given_once_more = exceeded is not None
            self._look_later(ONCE_MORE if late else _SHORTEST)
        else:
            self._exceeded(*exceeded)

    def _found_exceeded(self) -> tuple[str, str] | None:
        if self._max_time is not None and self._ran >= self._max_time:
            return "max-time", f"It was still running after {self._max_time:g} s."
        if self._timeout is not None and self._silent >= self._timeout:
            return "timeout", f"There was no output for {self._timeout:g} s."
        return None


def expired(request: StartRequest, silence: float) -> str | None:
    """
    A sentence if the lease of *request* is over after *silence* seconds without a message from the master, else None.
    """
    if request.grace is None:
        return None
    lease = keeper_deadline(request.grace)
    return f"lease expired: no message from the master for {lease:.0f} s." if silence >= lease else None
