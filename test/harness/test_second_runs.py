"""
Second runs of failed tests with real processes.
"""

from shutil import rmtree

from ..growing_limits import LIMITS, within_limits
from .nested_pytest import NestedPytestCase, PytestResult

# Each test fails as often as its name says.  Its count is in a file, because a second run is another process.
RACES = """
    import os, threading
    from twisted.trial.unittest import SynchronousTestCase

    def fails(name, times):
        path = os.path.join(os.environ["COUNTS"], name)
        with open(path, "a+") as file:
            file.write("x")
            file.flush()
            return os.path.getsize(path) <= times

    class RaceTests(SynchronousTestCase):
        def test_never(self):
            assert not fails("never", 0)

        def test_once(self):
            assert not fails("once", 1), "the bad luck of the first time"

    class ClassTests(SynchronousTestCase):
        @classmethod
        def setUpClass(cls):
            assert not fails("class", 1)

        def test_it(self):
            pass

    class HangTests(SynchronousTestCase):
        def test_it(self):
            fails("hang", 1) and threading.Event().wait()
    """
TWICE = """
    from test_races import *
    class TwiceTests(SynchronousTestCase):
        def test_twice(self):
            assert not fails("twice", 2)
    """


class SecondRunTests(NestedPytestCase):
    plugins = ("test.harness.bounds", "test.harness.outcomes", "test.harness.second_runs", "test.harness.workers")

    def run_(self, *words: str, paths: str = "test_races.py", limit: float = 100.0) -> PytestResult:
        """
        Run the tests.  *limit*: seconds for each.
        """
        rmtree(self.directory / "counts", ignore_errors=True)
        (self.directory / "counts").mkdir()
        self.file("test_races.py", RACES)
        env = {"TEST_SECOND_RUNS": paths, "COUNTS": str(self.directory / "counts")}
        return self.pytest("-q", "-p", "no:faulthandler", "-o", f"timeout={limit}", *words, env=env)

    def times(self, name: str) -> int:
        """
        Return how often that test ran.
        """
        return len((self.directory / "counts" / name).read_text())

    def test_once(self) -> None:
        """
        Promise 6.2: a test that fails once, by itself, by its class or by hanging, runs a second time, is printed under
        a heading of its own with its first failure, and does not fail the run.
        """

        def attempt(seconds: float) -> PytestResult | None:
            ran = self.run_("-n2", "--write-outcomes=outcomes", limit=2 * seconds)
            # A busy machine may give a test that does not hang no turn for so long.
            return ran if ran.ended_by_watchdogs == 1 else None

        ran = within_limits(attempt, LIMITS[:2])
        self.assertEqual(ran.code, 0, ran.text)
        self.assertIn("Run a second time: a defect to mend first", ran.text)
        for test in ("RaceTests::test_once", "ClassTests::test_it", "HangTests::test_it"):
            self.assertIn(f"test_races.py::{test}: failed, then passed", ran.text)
        self.assertIn("the bad luck of the first time", ran.text)
        self.assertRegex(ran.text.splitlines()[-1], r"^4 passed, 3 run twice in ")
        self.assertEqual([self.times(name) for name in ("never", "once", "class", "hang")], [1, 2, 2, 2])
        self.assertNotIn("failed", (self.directory / "outcomes").read_text())
        after = self.pytest("-q", "-n0", "--after=outcomes")
        self.assertIn("Run a second time before: a defect to mend first", after.text)
        self.assertIn("    test_races.py::RaceTests::test_once", after.text)
        self.assertRegex(after.text.splitlines()[-1], r"^4 passed, 4 deselected, 3 run twice in ")

    def test_twice(self) -> None:
        """
        Promise 6.2: a test that fails twice fails the run.
        """
        self.file("test_twice.py", TWICE)
        ran = self.run_("-n0", "-k", "RaceTests or TwiceTests", paths="test_twice.py test_races.py")
        self.assertEqual(ran.code, 1, ran.text)
        self.assertIn("test_twice.py::TwiceTests::test_twice: failed, then failed", ran.text)
        self.assertEqual((self.times("once"), self.times("twice")), (3, 2))

    def test_in_memory(self) -> None:
        """
        A test without processes has no second run.
        """
        ran = self.run_("-n0", "-k", "RaceTests", paths="test/processes/")
        self.assertEqual(ran.code, 1, ran.text)
        self.assertEqual(self.times("once"), 1)
