"""
A farm of real processes under random failures.  ``make torture`` does the same for longer.
"""

from twisted.trial.unittest import SynchronousTestCase

from .run import torture
from .schedules import (
    FAULTS,
    NUDGE,
    PUSHES,
    read,
    schedule,
    written,
)

MINUTES = 0.25


class ScheduleTests(SynchronousTestCase):
    def test_repeatable(self) -> None:
        """
        A seed always gives the same schedule, and so does the schedule's text.
        """
        self.assertEqual(written(schedule(7, 3)), written(schedule(7, 3)))
        self.assertNotEqual(schedule(7, 3), schedule(8, 3))
        self.assertEqual(written(read(written(schedule(7, 3)))), written(schedule(7, 3)))

    def test_everything_happens(self) -> None:
        """
        A long schedule contains every kind of failure.
        """
        self.assertEqual(
            {event.name for event in schedule(1, 60)}, {"submit", NUDGE, *PUSHES, *(fault.name for fault in FAULTS)}
        )


class TortureTests(SynchronousTestCase):
    """
    A fixed set of seeds.
    """

    def torture(self, seed: int) -> None:
        """
        Run the schedule of *seed*.
        """
        report = torture(schedule(seed, MINUTES))
        self.assertFalse(report.verdict.lost, f"seed {seed}:\n{report}")
        self.assertTrue(report.verdict.kept["exit codes"])

    def test_first_seed(self) -> None:
        """
        Promises 1 to 9: through the failures of one seed nothing is lost.
        """
        self.torture(1)

    def test_second_seed(self) -> None:
        """
        Promises 1 to 9: through the failures of another seed nothing is lost.
        """
        self.torture(2)
