"""
A log for events that one peer can cause.
"""

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogPublisher, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.exposed import Exposed, Revocable
from buildbot_lite.wire.limits.limited_log import INTERVAL, LimitedLog


class LimitedLogTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Collect the lines of a log.
        """
        self.clock = Clock()
        self.lines: list[str] = []
        self.log = LimitedLog("test", self.clock.seconds)
        self.log.observer = LogPublisher(self.keep)  # type: ignore[arg-type]  # a bound method is an observer, too

    def keep(self, event: Any) -> None:
        """
        Record one line.
        """
        self.lines.append(formatEvent(event))

    def test_one_a_minute(self) -> None:
        """
        Promise 6.15: one line a minute is logged, and it says how many were left out.
        """
        for number in range(1000):
            self.log.warn("line {number}", number=number)
        self.clock.advance(INTERVAL)
        self.log.info("another {what}", what="one")
        self.clock.advance(INTERVAL)
        self.log.info("a third")

        left_out = "  (999 more lines like this were left out since the last one.)"
        self.assertEqual(self.lines, ["line 0", f"another one{left_out}", "a third"])

    def test_tracebacks(self) -> None:
        """
        Promise 6.15: tracebacks that a peer can cause repeatedly are limited as well.
        """
        for _ in range(10):
            self.log.failure("a call failed", Failure(ZeroDivisionError()))

        self.assertEqual(len(self.lines), 1)

    def test_not_a_desk(self) -> None:
        """
        Promise 6.15: a thousand calls of `not_a_desk` give one line.
        """
        revocable = Revocable()
        revocable.account.log = self.log
        for _ in range(1000):
            Exposed(revocable).remote_not_a_desk()

        self.assertEqual(len(self.lines), 1)
