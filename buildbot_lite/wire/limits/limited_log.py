"""
A logger for events that one peer can cause without limit.
"""

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from ...model.token_bucket import once_every

INTERVAL = 60.0
"""Seconds between two lines."""


class LimitedLog(Logger):
    """
    A logger that writes one line a minute, with the number of lines that it left out before.

    *now*: returns seconds on a monotonic clock.  Do not use it as a class attribute: there, Twisted's `Logger` makes a
    new object on each access.
    """

    def __init__(self, namespace: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(namespace)
        self._lines = once_every(INTERVAL, now)
        self._left_out = 0

    def emit(self, level: Any, format: str | None = None, **fields: Any) -> None:  # noqa: A002 - Logger's
        """
        Log the event, or count it as left out.
        """
        if not self._lines.take():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        if left_out:
            format = f"{format}  ({{left_out}} more lines like this were left out since the last one.)"  # noqa: A001 - Logger's
            fields["left_out"] = left_out
        super().emit(level, format, **fields)
