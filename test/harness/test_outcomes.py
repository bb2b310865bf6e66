"""
Two runs whose outcomes add up.
"""

import json

from .nested_pytest import NestedPytestCase, PytestResult

TESTS = """
    import os
    from twisted.trial.unittest import SynchronousTestCase

    class Tests(SynchronousTestCase):
        def test_always(self):
            with open("ran", "a") as file:
                file.write("always\\n")

        def test_complete(self):
            if "COMPLETE" not in os.environ:
                self.skipTest("ps is not installed")
            with open("ran", "a") as file:
                file.write("complete\\n")

        def test_reason(self):
            if os.environ.get("COMPLETE") != "very":
                self.skipTest(os.environ.get("REASON", "zstd is not installed"))
    """


class OutcomesTests(NestedPytestCase):
    plugins = ("test.harness.outcomes",)

    def two_runs(self, **env: str) -> PytestResult:
        """
        Run both; return the output of the second.
        """
        self.file("test_it.py", TESTS)
        first = self.pytest("-q", "--write-outcomes=outcomes")
        self.assertEqual(first.code, 0, first.text)
        self.assertIn("2 tests were skipped here", first.text)
        self.assertEqual(
            json.loads((self.directory / "outcomes").read_text()),
            {
                "test_it.py::Tests::test_always": ["passed", ""],
                "test_it.py::Tests::test_complete": ["skipped", "ps is not installed"],
                "test_it.py::Tests::test_reason": ["skipped", "zstd is not installed"],
            },
        )
        return self.pytest("-q", "--after=outcomes", "-n2", env=env)

    def test_sum(self) -> None:
        """
        Promise 6.1: the second run runs the tests that the first skipped and no other; the closing line counts all.
        """
        ran = self.two_runs(COMPLETE="very")
        self.assertEqual(ran.code, 0, ran.text)
        self.assertEqual((self.directory / "ran").read_text(), "always\ncomplete\n")
        self.assertIn("before: ps is not installed; here: passed", ran.text)
        self.assertRegex(ran.text.splitlines()[-1], r"^3 passed in ")

    def test_skipped_in_both(self) -> None:
        """
        Promise 6.1: a test that is skipped in both runs fails the second one, which names it.
        """
        ran = self.two_runs(COMPLETE="yes")
        self.assertEqual(ran.code, 1, ran.text)
        self.assertIn("FAILED: skipped in both, so never run", ran.text)
        self.assertIn("before: zstd is not installed; here: skipped zstd is not installed:", ran.text)
        self.assertRegex(ran.text.splitlines()[-1], r"^2 passed, 1 skipped in ")

    def test_excused(self) -> None:
        """
        A test that this kind of machine cannot run is named, and does not fail the run.
        """
        ran = self.two_runs(COMPLETE="yes", REASON="systemd does not run for a user here")
        self.assertEqual(ran.code, 0, ran.text)
        self.assertIn("skipped in both: not possible on these machines", ran.text)
