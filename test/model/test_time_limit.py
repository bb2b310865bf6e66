"""
Time limits for code in the main thread.
"""

import os
import signal
import threading
import time
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model import time_limit
from buildbot_lite.model.time_limit import OverdueError, call_within, limited_time, unlimited


def endless() -> None:
    """
    Never end.
    """
    while True:
        pass


class TimeLimitTests(SynchronousTestCase):
    def tearDown(self) -> None:
        """
        No timer is left, and a signal that comes late does nothing.
        """
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))
        call_within(1000.0, int)
        os.kill(os.getpid(), signal.SIGALRM)

    def test_ended(self) -> None:
        """
        Code that takes too long is interrupted, in a loop or in a sleep.
        """
        for code in (endless, lambda: time.sleep(1000)):
            with self.assertRaises(OverdueError):
                call_within(0.05, code)

    def test_in_time(self) -> None:
        """
        Code that ends in time, or has no limit, is not interrupted; its result and its exceptions are its own.
        """
        for seconds in (1000.0, None):
            self.assertEqual(call_within(seconds, int, "11", base=2), 3)
            with self.assertRaises(ValueError):
                call_within(seconds, int, "x")

    def test_interrupted_at_its_beginning(self) -> None:
        """
        A limit that ends before its function has begun, because the process was stopped for a while, leaves no timer
        that would interrupt other code.
        """
        begin = time_limit._begin

        def late(seconds: float, kind: type[float]) -> None:
            begin(seconds, kind)
            os.kill(os.getpid(), signal.SIGALRM)

        self.patch(time_limit, "_begin", late)
        with self.assertRaises(OverdueError):
            call_within(1000.0, int)
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))

    def test_another_thread(self) -> None:
        """
        In another thread there is no limit, and no timer that could interrupt the main thread.
        """
        found: list[Any] = []
        thread = threading.Thread(target=call_within, args=(0.05, lambda: found.append(signal.getitimer(0))))
        thread.start()
        thread.join()
        self.assertEqual(found, [(0.0, 0.0)])

    def test_catches_everything(self) -> None:
        """
        Code that catches the interruption and goes on is interrupted again.
        """

        def stubborn() -> None:
            try:
                endless()
            except:  # noqa: E722 - as users write it
                endless()

        with self.assertRaises(OverdueError):
            call_within(0.05, stubborn)

    def test_inner_in_time(self) -> None:
        """
        The end of an inner limit does not end the outer one.
        """

        def outer() -> None:
            call_within(1000.0, int)
            endless()

        with self.assertRaises(OverdueError):
            call_within(0.05, outer)

    def test_inner_overdue(self) -> None:
        """
        An inner limit that is exceeded leaves the outer one as it was.
        """

        def outer() -> str:
            with self.assertRaises(OverdueError):
                call_within(0.05, endless)
            self.assertGreater(signal.getitimer(signal.ITIMER_REAL)[0], 1.0)
            return "went on"

        self.assertEqual(call_within(1000.0, outer), "went on")

    def test_outer_overdue(self) -> None:
        """
        An outer limit interrupts what has a longer one, and then its own code, too.
        """

        def outer() -> None:
            with self.assertRaises(OverdueError):
                call_within(1000.0, endless)
            endless()

        with self.assertRaises(OverdueError):
            call_within(0.05, outer)

    def test_unlimited(self) -> None:
        """
        A function that limited code calls as unlimited is not interrupted; what it calls with a limit has that; and the
        limit around it holds again after it.
        """

        def ours() -> str:
            os.kill(os.getpid(), signal.SIGALRM)
            with self.assertRaises(OverdueError):
                call_within(0.05, endless)
            return "whole"

        def outer() -> None:
            self.assertEqual(unlimited(ours), "whole")
            endless()

        with self.assertRaises(OverdueError):
            call_within(0.2, outer)

    def test_unlimited_time(self) -> None:
        """
        The time of unlimited code does not count, and counts once as such when more of it is within it.
        """
        now = [0.0]

        def ours(seconds: float) -> None:
            now[0] += seconds

        def both() -> None:
            ours(500.0)
            unlimited(ours, 1000.0)

        def outer() -> None:
            before = limited_time()
            unlimited(both)
            # Tests before this one leave a sum of seconds, which rounds differently for each starting point.
            self.assertAlmostEqual(limited_time(), before)
            self.assertGreater(signal.getitimer(signal.ITIMER_REAL)[0], 900.0)
            ours(3.0)
            self.assertAlmostEqual(limited_time(), before + 3.0)

        # Without the unlimited time of the tests before, all sums here are exact.
        with (
            mock.patch("buildbot_lite.model.time_limit._unlimited_time", 0.0),
            mock.patch("time.monotonic", lambda: now[0]),
        ):
            call_within(1000.0, outer)
