"""
No test can hang the run.
"""

from ..growing_limits import LIMITS, within_limits
from ..process_table import alive, kill
from .nested_pytest import NestedPytestCase, PytestResult

HANGING = """
    import os, re, subprocess, threading, time
    from twisted.internet.defer import Deferred
    from twisted.trial.unittest import SynchronousTestCase, TestCase

    def note(word):
        with open(os.environ["NOTES"], "a") as file:
            file.write(word + "\\n")

    class DeferredTests(TestCase):
        def test_never_fires(self):
            note("deferred")
            return Deferred()

        def test_rest(self):
            note("deferred rest")

    class BlockedTests(SynchronousTestCase):
        def test_before(self):
            note("before blocked")

        def test_blocked(self):
            note("blocked")
            # A daemon: it has a session of its own, and its parent exits.
            script = "setsid sh -c 'echo left $$ >>$NOTES; exec sleep 600' & sleep 0"
            subprocess.run(["sh", "-c", script], check=True)
            while True:
                try:
                    threading.Lock().acquire() and threading.Event().wait()
                except BaseException:
                    pass

        def test_rest(self):
            note("rest")

    class HoldingTests(SynchronousTestCase):
        def test_holding_the_interpreter(self):
            note("holding")
            re.match("(a*)*b", "a" * 60)

    class ClassTests(SynchronousTestCase):
        @classmethod
        def setUpClass(cls):
            note("class")
            while not os.path.exists("never"):
                time.sleep(0.1)

        def test_it(self):
            note("not reached")
    """


class HangingTests(NestedPytestCase):
    """
    All ways to hang, in one run of two workers.
    """

    plugins = ("test.harness.bounds", "test.harness.workers", "no:faulthandler")
    limit = 0.0

    def test_hanging(self) -> None:
        """
        Promise 6.2: a hanging test is ended once and fails, its stacks are printed, the rest of its class runs, and its
        processes are killed.
        """
        self.file("test_hanging.py", HANGING)
        notes = self.directory / "notes"

        def attempt(seconds: float) -> PytestResult | None:
            notes.unlink(missing_ok=True)
            self.limit = 2 * seconds
            ran = self.pytest(
                *("-n2", "-o", f"timeout={self.limit}", "-o", "timeout_method=thread"),
                env={"TEST_DEFERREDS": f"{seconds / 2}", "NOTES": str(notes)},
            )
            # A busy machine may give a test that does not hang no turn for so long.
            return ran if ran.ended_by_watchdogs == 3 else None

        ran = within_limits(attempt, LIMITS[:2])
        noted = notes.read_text().splitlines()
        [left] = [int(line.split()[1]) for line in noted if line.startswith("left")]
        self.addCleanup(kill, left)

        self.assertEqual(ran.code, 1, ran.text)
        self.assertRegex(ran.text.splitlines()[-1], r"4 failed, 3 passed in ")
        once = ["before blocked", "blocked", "class", "deferred", "deferred rest", "holding", "rest"]
        self.assertEqual(sorted(line for line in noted if not line.startswith("left")), once, ran.text)
        for test, function in (
            ("BlockedTests::test_blocked", "test_blocked"),
            ("HoldingTests::test_holding_the_interpreter", "test_holding_the_interpreter"),
            ("ClassTests::test_it", "setUpClass"),
        ):
            self.assertRegex(ran.text, rf"(?s){test} took longer than {self.limit:g} s.*?in {function}")
        self.assertIn("TimeoutError", ran.text)
        self.assertFalse(alive(left))

    def test_alone(self) -> None:
        """
        Without workers the stacks are printed on stderr, and the run ends.
        """
        self.file("test_hanging.py", HANGING)
        ran = self.pytest("-n0", "-k", "test_holding", "-o", "timeout=2", env={"NOTES": str(self.directory / "notes")})
        self.assertEqual(ran.code, 1, ran.text)
        self.assertIn("in test_holding_the_interpreter", ran.text)

    def test_ending(self) -> None:
        """
        A worker that does not end after its last test is ended, and its stacks are printed.
        """
        self.file("test_ending.py", "def test_it(): pass")
        self.file(
            "conftest.py",
            """
            import threading

            def pytest_sessionfinish(session):
                if hasattr(session.config, "workerinput"):
                    threading.Event().wait()
            """,
        )
        ran = self.pytest("-n1", "--max-worker-restart=0", "-o", "timeout=100", env={"TEST_ENDING": "2"})
        self.assertIn("1 passed", ran.text)
        self.assertRegex(ran.text, r"(?s)A worker did not end within 2 s after its last test:.*in pytest_sessionfinish")
