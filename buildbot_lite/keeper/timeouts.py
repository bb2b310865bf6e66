"""
For how long a command may run, be silent, and go without word from its master.

::

    max_time   since it began ---------------------------.
    timeout    since it last wrote something ------------+--> Limits --> kill
    grace      since the master was heard, or asked for it --> expired --> kill, or do not begin at all
"""

from collections.abc import Callable
from functools import partial

from .loop import Loop, Timers
from .start_request import Order


class Limits:
    """
    What *order* sets to a command that begins now.

    *silence* answers for how many seconds it has written nothing.  *passed* is told, with the reason and a sentence,
    what the command did for too long.
    """

    def __init__(
        self, order: Order, *, loop: Loop, silence: Callable[[], float], passed: Callable[[str, str], None]
    ) -> None:
        self._timers = Timers(loop)
        self._silence = silence
        self._passed = passed
        if order.timeout is not None:
            self._timers.set("timeout", order.timeout, partial(self._listen, order.timeout))
        if order.max_time is not None:
            sentence = f"It was still running after {order.max_time:g} s."
            self._timers.set("max-time", order.max_time, partial(passed, "max-time", sentence))

    def lift(self) -> None:
        """
        It is ending: how long that takes is not its own matter any more.
        """
        self._timers.clear()

    def _listen(self, limit: float) -> None:
        silent = self._silence()
        if silent >= limit:
            self._passed("timeout", f"There was no output for {limit:g} s.")
        else:
            self._timers.set("timeout", max(limit - silent, 0.001), partial(self._listen, limit))


def expired(order: Order, silent: float) -> str | None:
    """
    The sentence that says why *order* may not run when the master was *silent* for so many seconds; None if it may.

    The master tries elsewhere 30 s after its grace.  We are to be done 30 s before it, or a quarter of a short grace: a
    master that has nothing to say is heard every 20 s only.
    """
    if order.grace is None:
        return None
    lease = order.grace - min(30.0, order.grace / 4)
    return f"lease expired: no word from the master for {lease:.0f} s." if silent >= lease else None
