"""
Which of the jobs that a machine holds back is tried, and when.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.service.target_troubles import FIRST_PAUSE, LONGEST_PAUSE, TargetTroubles


class TargetTroublesTests(SynchronousTestCase):
    """
    The troubles of targets, by a clock.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.tried: list[int] = []
        self.troubles = TargetTroubles(self.clock, self.clock.seconds, self.tried.append)

    def fail_jobs(self, *jobs: int, target: str = "f4") -> None:
        """
        Let the machine hold *jobs* back.
        """
        for job in jobs:
            self.troubles.failed(target, job, "The disk is full.")

    def test_unread(self) -> None:
        """
        A job whose record cannot be read belongs to the trouble that has it, and to no other target's.
        """
        self.fail_jobs(1, 2)
        self.fail_jobs(3, target="f5")
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual(self.tried, [1, 3])
        self.fail_jobs(1, target="")
        self.assertIsNone(self.troubles.of(""))
        self.clock.advance(2 * FIRST_PAUSE)
        self.assertEqual(self.tried, [1, 3, 2])
        self.troubles.went_on("", 2, worked=True)
        self.assertEqual(self.tried, [1, 3, 2, 1])
        self.troubles.went_on("", 3, worked=False)
        self.assertIsNone(self.troubles.of("f5"))
        self.assertIsNotNone(self.troubles.of("f4"))

    def test_unread_while_away(self) -> None:
        """
        So does a job that is doing something that takes long.
        """
        self.fail_jobs(1)
        self.troubles.takes_long("f4", 1)
        self.fail_jobs(1, target="")
        self.assertIsNone(self.troubles.of(""))
        self.assertIsNotNone(self.troubles.of("f4"))

    def test_worked(self) -> None:
        """
        Only a job that was held back says that the trouble is gone.
        """
        self.fail_jobs(1, 2)
        self.troubles.worked("f4", 3)
        self.troubles.went_on("f4", 3, worked=False)
        self.assertEqual(self.tried, [])
        self.troubles.worked("f4", 2)
        self.assertEqual(self.tried, [1])
        self.troubles.worked("f4", 1)
        self.assertIsNone(self.troubles.of("f4"))

    def test_takes_long(self) -> None:
        """
        Jobs that take long are tried one after each pause, the pauses grow when they fail, and one that ends well lets
        the next one be tried at once.
        """
        self.fail_jobs(1, 2, 3)
        for number, pause in enumerate((30.0, 60.0, 120.0, 240.0, 480.0, LONGEST_PAUSE, LONGEST_PAUSE)):
            self.clock.advance(pause - 1.0)
            self.assertEqual(len(self.tried), number)
            self.clock.advance(1.0)
            self.assertEqual(self.tried[number:], [number % 3 + 1])
            self.troubles.takes_long("f4", self.tried[-1])
            self.fail_jobs(self.tried[-1])
        del self.tried[:]
        self.clock.advance(LONGEST_PAUSE)
        self.troubles.takes_long("f4", 2)
        self.assertEqual(self.tried, [2])
        self.troubles.worked("f4", 2)
        self.assertEqual(self.tried, [2, 3])

    def test_last_away(self) -> None:
        """
        While the only job is doing something that takes long, nothing is said of a trouble, and its pauses are known.
        """
        self.fail_jobs(1)
        self.clock.advance(FIRST_PAUSE)
        self.troubles.takes_long("f4", 1)
        self.assertIsNone(self.troubles.of("f4"))
        self.clock.advance(3600.0)
        self.fail_jobs(1)
        self.clock.advance(2 * FIRST_PAUSE - 1.0)
        self.assertEqual(self.tried, [1])
        self.clock.advance(1.0)
        self.assertEqual(self.tried, [1, 1])
        self.troubles.takes_long("f4", 1)
        self.troubles.went_on("f4", 1, worked=False)
        self.fail_jobs(1)
        self.clock.advance(FIRST_PAUSE)
        self.assertEqual(self.tried, [1, 1, 1])
