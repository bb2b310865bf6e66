"""
Packages under random failures.  ``make torture`` does the same for longer.
"""

from twisted.trial.unittest import SynchronousTestCase

from test.needs import needs

from .package_campaign import PROGRAMS, VERBS, package_schedule, torture_packages
from .package_oracle import LOSSES

MINUTES = 0.5


@needs(*PROGRAMS)
class PackageTortureTests(SynchronousTestCase):
    """
    One seed.
    """

    def test_seed(self) -> None:
        """
        Promise 9.9: through random failures, and the verbs of people at any time, no job is lost or built twice, none
        is half-entered, and each repository's index equals its files.
        """
        verdict, table = torture_packages(3, MINUTES)
        self.assertFalse(verdict.lost, table)
        for kind in ("jobs", "ends", "index", "files", "published"):
            self.assertTrue(verdict.kept[kind], table)
        self.assertLessEqual(verdict.kept.keys(), set(LOSSES))


class PackageScheduleTests(SynchronousTestCase):
    def test_everything_happens(self) -> None:
        """
        A seed always gives the same schedule; a long one contains every verb.
        """
        self.assertEqual(package_schedule(7, 3), package_schedule(7, 3))
        verbs = {event.words[0] for event in package_schedule(1, 20) if event.name == "people"}
        self.assertEqual(verbs, set(VERBS))
