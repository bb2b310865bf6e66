"""
Records the remarks and the end of a command, from which it makes the outcome.

::

    failed(sentence) ------.
    killed(why, sentence) -+--> the first counts ---.
    reaped(status, usage) --> exit code or signal --+--> outcome(streams)
    remark(stream, offset, text) -------------------'

The outcome is the JSON of `buildbot_lite.model.outcome.Outcome`, which documents the fields.
"""

import contextlib
import os
import signal
import sys
import time
from typing import Any, NamedTuple

from .loop import Loop

MOST_REMARKS = 200
LONGEST_SENTENCE = 1000
# The unit of ru_maxrss (getrusage(2)) is KiB on Linux, and one byte on macOS.
_PEAK_SHIFT = 10 if sys.platform == "darwin" else 0


class _Reason(NamedTuple):
    """
    Why the command did not end by itself: an *ending* of the outcome, its *why*, and the *sentence* for people.
    """

    ending: str
    why: str | None
    sentence: str


class OutcomeRecorder:
    """
    Records one command, which begins now.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._started = time.time()
        self._began = loop.now()
        self._remarks: list[dict[str, Any]] = []
        self._reason: _Reason | None = None
        self._end: dict[str, Any] = {"exit_code": None, "signal": None, "usage": {}}
        self.is_reaped = False
        """Whether the main process has ended."""

    @property
    def elapsed(self) -> float:
        """
        Seconds since the command was claimed.
        """
        return self._loop.now() - self._began

    @property
    def life(self) -> str:
        """
        ``ended``, or ``lost`` when it was killed because the keeper had to exit.
        """
        return "lost" if self._ending() == "lost" else "ended"

    def failed(self, sentence: str) -> None:
        """
        Note that the command could not be spawned.
        """
        self._note(_Reason("failed", None, sentence))

    def killed(self, why: str, sentence: str) -> None:
        """
        Note that the command is being killed, for the reason *why*; "": the keeper has to exit.
        """
        self._note(_Reason("killed", why, sentence) if why else _Reason("lost", None, sentence))

    def reaped(self, status: int, usage: Any) -> None:
        """
        Note that the main process ended; *status* and *usage* are those of ``os.wait4``.
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
        Add a remark at *offset* of *stream*.  Only the first `MOST_REMARKS` are kept.
        """
        if len(self._remarks) >= MOST_REMARKS:
            return
        if len(self._remarks) == MOST_REMARKS - 1:
            text = f"There were more than {MOST_REMARKS} remarks; the others are left out."
        self._remarks.append({"stream": stream, "offset": offset, "when": time.time(), "text": text[:LONGEST_SENTENCE]})

    def outcome(self, streams: dict[str, dict[str, object]]) -> dict[str, Any]:
        """
        Return the outcome; *streams*: length and checksum of each stream.
        """
        return {
            "ending": self._ending(),
            **self._end,
            "why": self._reason and self._reason.why,
            "sentence": self._reason.sentence[:LONGEST_SENTENCE] if self._reason else "",
            "streams": streams,
            "started": self._started,
            "elapsed": self.elapsed,
            "remarks": self._remarks,
        }

    def _note(self, reason: _Reason) -> None:
        # What comes after the first is a consequence, such as a log that cannot be sealed.
        if self._reason is None:
            self._reason = reason

    def _ending(self) -> str:
        if self._reason is not None:
            return self._reason.ending
        return "signalled" if self._end["exit_code"] is None else "exited"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
