"""
The time limits of a command, on a fake clock.
"""

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.loop import Loop
from buildbot_lite.keeper.timeouts import ONCE_MORE, Timeouts
from buildbot_lite.model.spec import Run

from .test_start_request import ordered
from .test_termination import FakeLoop

NO_OUTPUT = ("timeout", "There was no output for 60 s.")
TOO_LONG = ("max-time", "It was still running after 300 s.")


class TimeoutsTests(SynchronousTestCase):
    """
    A command that may be silent for a minute, and run for five.
    """

    def setUp(self) -> None:
        self.loop = FakeLoop()
        self.written = self.loop.now()
        self.exceeded: list[tuple[str, str]] = []
        self.timeouts = Timeouts(
            ordered(Run(argv=("x",), timeout=60, max_time=300)),
            loop=cast(Loop, self.loop),
            silence=lambda: self.loop.now() - self.written,
            exceeded=lambda *why: self.exceeded.append(why),
        )

    def passes(self, seconds: int, *, writing: bool = False) -> None:
        """
        So many seconds pass, in each of which the command may write.
        """
        for _ in range(seconds):
            self.loop.pass_by(1)
            if writing:
                self.written = self.loop.now()

    def pause(self, seconds: float) -> None:
        """
        No process of the machine runs for so long.
        """
        self.loop.time += seconds

    def test_silent(self) -> None:
        """
        Promise 8: a command that is silent for its timeout exceeds it then, and once.
        """
        self.passes(30, writing=True)
        self.passes(59)
        self.assertEqual(self.exceeded, [])
        self.passes(100)

        self.assertEqual(self.exceeded, [NO_OUTPUT])

    def test_long(self) -> None:
        """
        Promise 8: a command that writes exceeds its total time.
        """
        self.passes(299, writing=True)
        self.assertEqual(self.exceeded, [])
        self.passes(2, writing=True)

        self.assertEqual(self.exceeded, [TOO_LONG])

    def test_paused(self) -> None:
        """
        Of a pause of the machine, only the seconds until the next look was due count, for either limit.
        """
        self.passes(45)
        self.pause(1000)
        self.passes(1, writing=True)
        self.passes(10)
        self.pause(1000)
        self.passes(40)
        self.assertEqual(self.exceeded, [])
        self.passes(25)

        self.assertEqual(self.exceeded, [NO_OUTPUT])

    def test_paused_near_the_end(self) -> None:
        """
        After a pause, a command may still write, even if its time is over.
        """
        self.passes(59)
        self.pause(1000)
        self.loop.pass_by(ONCE_MORE / 2)
        self.assertEqual(self.exceeded, [])
        self.passes(10)

        self.assertEqual(self.exceeded, [NO_OUTPUT])

    def starved(self, late: float, *, writing: bool = False) -> float:
        """
        Each look at the clock is so many seconds late, until a limit is exceeded, or for half an hour; returns the
        seconds until then.
        """
        began = self.loop.now()
        while not self.exceeded and self.loop.now() < began + 1800:
            (due,) = [timer.due for timer in self.loop.timers if timer.call is not None]
            self.pause(due + late - self.loop.now())
            if writing:
                self.written = self.loop.now()
            self.loop.pass_by(0)
        return self.loop.now() - began

    def test_starved_and_silent(self) -> None:
        """
        On a machine so busy that each look is late, a silent command exceeds its timeout, later than otherwise: six
        periods, and one second more after a late look.
        """
        for late, after in ((1, 61), (8, 6 * 18 + 1 + 8), (16, 6 * 26 + 1 + 16)):
            with self.subTest(late=late):
                self.setUp()
                self.assertEqual((self.starved(late), self.exceeded), (after, [NO_OUTPUT]))

    def test_starved_and_writing(self) -> None:
        """
        The same for the total time of a command that writes all the time.
        """
        for late, after in ((1, 301), (8, 30 * 18 + 1 + 8), (16, 30 * 26 + 1 + 16)):
            with self.subTest(late=late):
                self.setUp()
                self.assertEqual((self.starved(late, writing=True), self.exceeded), (after, [TOO_LONG]))

    def test_cancelled(self) -> None:
        """
        Nothing is exceeded any more after `cancel`.
        """
        self.timeouts.cancel()
        self.passes(1000)

        self.assertEqual(self.exceeded, [])
