"""
For how long a command may run, be silent, and go without word from its master.

::

    max_time   since it began ---------------------------.
    timeout    since it last wrote something ------------+--> Limits --> kill
    grace      since the master was heard, or asked for it --> expired --> kill, or do not begin at all
"""

from collections.abc import Callable
from functools import partial

from ..model.lease import keeper_deadline
from .loop import Loop, Timers
from .start_request import StartRequest


class Timeouts:
    """
    What *request* sets to a command that begins now.

    *silence* answers for how many seconds it has written nothing.  *passed* is told, with the reason and a sentence,
    what the command did for too long.
    """

    def __init__(
        self, request: StartRequest, *, loop: Loop, silence: Callable[[], float], passed: Callable[[str, str], None]
    ) -> None:
        self._timers = Timers(loop)
        self._silence = silence
        self._passed = passed
        if request.timeout is not None:
            self._timers.set("timeout", request.timeout, partial(self._listen, request.timeout))
        if request.max_time is not None:
            sentence = f"It was still running after {request.max_time:g} s."
            self._timers.set("max-time", request.max_time, partial(passed, "max-time", sentence))

    def cancel(self) -> None:
        """
        It is ending: how long that takes is not its own matter any more.
        """
        self._timers.clear()

    def _listen(self, limit: float) -> None:
        silence = self._silence()
        if silence >= limit:
            self._passed("timeout", f"There was no output for {limit:g} s.")
        else:
            self._timers.set("timeout", max(limit - silence, 0.001), partial(self._listen, limit))


def expired(request: StartRequest, silence: float) -> str | None:
    """
    A sentence if the lease of *request* is over after *silence* seconds without a message from the master, else None.
    """
    if request.grace is None:
        return None
    lease = keeper_deadline(request.grace)
    return f"lease expired: no word from the master for {lease:.0f} s." if silence >= lease else None
