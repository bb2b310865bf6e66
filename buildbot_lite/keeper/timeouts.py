"""
Time limits of a command: total time, time without output, time without a message from the master (lease).

::

    max_time   since it began ----------.
    timeout    since its last output ---+---------------> Timeouts --> kill
    grace      since the last message, or the start ----> expired ---> kill, or do not begin
"""

from collections.abc import Callable
from functools import partial

from ..model.lease import keeper_deadline
from .loop import Loop, Timers
from .start_request import StartRequest


class Timeouts:
    """
    `timeout` and `max_time` of *request*, for a command that begins now.

    *silence*: returns the seconds since its last output.  *exceeded*: called with a reason (of `model.outcome.Why`) and
    a sentence when a limit is exceeded.
    """

    def __init__(
        self, request: StartRequest, *, loop: Loop, silence: Callable[[], float], exceeded: Callable[[str, str], None]
    ) -> None:
        self._timers = Timers(loop)
        self._silence = silence
        self._exceeded = exceeded
        if request.timeout is not None:
            self._timers.set("timeout", request.timeout, partial(self._check_silence, request.timeout))
        if request.max_time is not None:
            sentence = f"It was still running after {request.max_time:g} s."
            self._timers.set("max-time", request.max_time, partial(exceeded, "max-time", sentence))

    def cancel(self) -> None:
        """
        Stop watching, because the command is being ended.
        """
        self._timers.clear()

    def _check_silence(self, limit: float) -> None:
        silence = self._silence()
        if silence >= limit:
            self._exceeded("timeout", f"There was no output for {limit:g} s.")
        else:
            self._timers.set("timeout", max(limit - silence, 0.001), partial(self._check_silence, limit))


def expired(request: StartRequest, silence: float) -> str | None:
    """
    A sentence if the lease of *request* is over after *silence* seconds without a message from the master, else None.
    """
    if request.grace is None:
        return None
    lease = keeper_deadline(request.grace)
    return f"lease expired: no message from the master for {lease:.0f} s." if silence >= lease else None
