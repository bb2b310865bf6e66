"""
What is to be told of a command: remarks while it lives, and in the end how it ended.

::

    failed(sentence) ------.
    killed(why, sentence) -+--> the first counts ---.
    reaped(status, usage) --> exit code or signal --+--> outcome(streams)
    remark(stream, offset, text) -------------------'

The outcome is the JSON of `buildbot_lite.model.outcome.Outcome`, which says what its fields mean.
"""

import contextlib
import os
import signal
import sys
import time
from typing import Any

from .loop import Loop

MOST_REMARKS = 200
LONGEST_SENTENCE = 1000
# Linux counts KiB, macOS bytes.
_PEAK_SHIFT = 10 if sys.platform == "darwin" else 0


class OutcomeRecorder:
    """
    Of one command, which begins now.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._started = time.time()
        self._began = loop.now()
        self._remarks: list[dict[str, Any]] = []
        self._failed = False
        self._why: str | None = None
        self._sentence = ""
        self._end: dict[str, Any] = {"exit_code": None, "signal": None, "usage": {}}
        self.is_reaped = False
        """Whether the main process has ended."""

    @property
    def elapsed(self) -> float:
        """
        Seconds since it began.
        """
        return self._loop.now() - self._began

    @property
    def life(self) -> str:
        """
        ``lost`` when the keeper itself had to end, so that nobody knows how far it might have come.
        """
        return "lost" if self._why == "" else "ended"

    def failed(self, sentence: str) -> None:
        """
        It could not be begun.
        """
        self._failed = True
        self._sentence = sentence

    def killed(self, why: str, sentence: str) -> None:
        """
        It is to be killed, for the reason *why*; "" is that the keeper must end.
        """
        if self._why is None:
            self._why, self._sentence = why, sentence

    def reaped(self, status: int, usage: Any) -> None:
        """
        Its main process ended so, as ``os.wait4`` tells it.
        """
        code = os.waitstatus_to_exitcode(status)
        self.is_reaped = True
        self._end = {
            "exit_code": code if code >= 0 else None,
            "signal": None if code >= 0 else _signal_name(-code),
            "usage": {"user": usage.ru_utime, "system": usage.ru_stime, "peak": usage.ru_maxrss >> _PEAK_SHIFT},
        }

    def remark(self, stream: str, offset: int, text: str) -> None:
        """
        A line of ours beside *stream*, at *offset*.  Only the first `MOST_REMARKS` are kept.
        """
        if len(self._remarks) >= MOST_REMARKS:
            return
        if len(self._remarks) == MOST_REMARKS - 1:
            text = "Further remarks are left out: there were too many."
        self._remarks.append({"stream": stream, "offset": offset, "when": time.time(), "text": text[:LONGEST_SENTENCE]})

    def outcome(self, streams: dict[str, dict[str, object]]) -> dict[str, Any]:
        """
        How it ended, with *streams* sealed.
        """
        return {
            "ending": self._ending(),
            **self._end,
            "why": self._why or None,
            "sentence": self._sentence[:LONGEST_SENTENCE],
            "streams": streams,
            "started": self._started,
            "elapsed": self.elapsed,
            "remarks": self._remarks,
        }

    def _ending(self) -> str:
        if self._failed:
            return "failed"
        if self._why is not None:
            return "killed" if self._why else "lost"
        return "signalled" if self._end["exit_code"] is None else "exited"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
