"""
A log for what one peer can cause as often as it likes.
"""

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from ...model.token_bucket import once_every

EVERY = 60.0
"""Seconds between two lines."""


class LimitedLog(Logger):
    """
    A logger that writes one line a minute, and says how many it left out before that.  *now* tells the seconds.

    (Not for a class attribute: a `Logger` there makes another of itself each time that it is asked for.)
    """

    def __init__(self, namespace: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(namespace)
        self._lines = once_every(EVERY, now)
        self._left_out = 0

    def emit(self, level: Any, format: str | None = None, **fields: Any) -> None:  # noqa: A002 - Logger's
        """
        See `Logger.emit`.
        """
        if not self._lines.take():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        if left_out:
            format = f"{format}  ({{left_out}} more lines about this string were left out since its last one.)"  # noqa: A001 - Logger's
            fields["left_out"] = left_out
        super().emit(level, format, **fields)
