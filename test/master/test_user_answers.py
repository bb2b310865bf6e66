"""
Answers of functions of a master.cfg that decide about the queue.
"""

import contextlib  # trial has a meaning for a name "suppress" in a module
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import UserFunctionOverdueError
from buildbot_lite.master.scheduling.user_answers import (
    FAILED,
    GOOD_FOR,
    LONGEST_CALL,
    MOST_PENDING,
    PENDING,
    UserAnswers,
)


class UserAnswersTests(SynchronousTestCase):
    """
    `UserAnswers` with a function that answers later.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.changes = 0
        self.asked: list[Deferred[Any]] = []
        self.answers = UserAnswers(clock=self.clock, changed=self.changed)

    def changed(self) -> None:
        """
        An answer has arrived.
        """
        self.changes += 1

    def later(self) -> Deferred[Any]:
        """
        The function.
        """
        self.asked.append(Deferred())
        return self.asked[-1]

    def ask(self, about: Any = None, variant: Any = None) -> Any:
        """
        Ask the function.
        """
        return self.answers.answer("f", self.later, about, variant)

    def test_most_pending(self) -> None:
        """
        However many questions there are, a bounded number of calls is pending; the others of the same function wait,
        and another function is asked.
        """
        for number in range(MOST_PENDING + 5):
            self.assertIs(self.ask(number), PENDING)
        self.assertEqual(len(self.asked), MOST_PENDING)
        self.assertEqual(self.answers.answer("g", lambda: 5), 5)
        self.asked[0].callback("a")
        self.assertIs(self.ask(MOST_PENDING), PENDING)
        self.assertEqual(len(self.asked), MOST_PENDING + 1)

    def test_ignores_cancellation(self) -> None:
        """
        A function that ignores its cancellation counts as failed after the longest time, with a line in the log.
        """

        async def stubborn() -> None:
            while True:
                with contextlib.suppress(CancelledError):
                    await Deferred()

        self.assertIs(self.answers.answer("f", stubborn), PENDING)
        with capturedLogs() as logged:
            self.clock.advance(LONGEST_CALL)
        self.assertIs(self.answers.answer("f", stubborn), FAILED)
        self.assertEqual(self.changes, 1)
        self.assertIn("has not answered", str([each.get("log_format") for each in logged]))

    def test_variants(self) -> None:
        """
        One call about a thing is pending at a time, and the answer is that of its variant.
        """
        self.assertIs(self.ask(1, "x"), PENDING)
        self.assertIs(self.ask(1, "y"), PENDING)
        self.asked[0].callback("a")
        self.assertEqual(self.ask(1, "x"), "a")
        self.assertIs(self.ask(1, "y"), PENDING)
        self.assertEqual(len(self.asked), 2)

    def test_kept(self) -> None:
        """
        Answers are kept for a time, and then forgotten when the next one arrives.
        """
        for number in range(3):
            self.ask(number)
            self.asked[-1].callback(number)
            self.clock.advance(GOOD_FOR / 2)
        self.assertEqual([self.answers.knows("f", number) for number in range(3)], [False, True, True])
        self.assertEqual(self.ask(2), 2)
        self.clock.advance(GOOD_FOR)
        self.assertIs(self.ask(2), PENDING)

    def spend(self, seconds: float) -> float:
        """
        A function that takes *seconds* before it answers.
        """
        self.asked.append(Deferred())
        self.clock.rightNow += seconds
        return seconds

    def test_slow(self) -> None:
        """
        Functions that take long have a second in each decision; the rest is asked after a pause as long as they took,
        and answers that took long are kept for it.
        """
        self.answers.begin()
        asking = [self.answers.answer("f", lambda: self.spend(0.6), number) for number in range(3)]
        self.assertEqual(asking, [0.6, 0.6, PENDING])
        self.assertAlmostEqual(self.answers.again or 0.0, 1.2)
        self.answers.begin()
        asking = [self.answers.answer("f", lambda: self.spend(0.6), number) for number in range(3)]
        self.assertEqual(asking, [0.6, 0.6, 0.6])
        self.assertEqual((len(self.asked), self.answers.again), (3, None))

    def test_slow_failure(self) -> None:
        """
        A function that was ended because it took too long is not asked the same again at once.
        """

        def overdue() -> None:
            self.spend(5.0)
            raise UserFunctionOverdueError

        for _ in range(2):
            self.answers.begin()
            self.assertIs(self.answers.answer("f", overdue), FAILED)
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(len(self.flushLoggedErrors(UserFunctionOverdueError)), 1)

    def test_quick(self) -> None:
        """
        An answer that comes at once is not kept: the function is asked with every decision.
        """
        for _ in range(2):
            self.answers.begin()
            self.answers.answer("f", lambda: self.spend(0.0))
        self.assertEqual(len(self.asked), 2)

    def test_forgotten(self) -> None:
        """
        What is forgotten is cancelled: nothing is logged, changed or kept of it.
        """
        self.ask(1)
        self.answers.forget(1)
        self.answers.forget(2)
        self.assertTrue(self.asked[0].called)
        with capturedLogs() as logged:
            self.clock.advance(LONGEST_CALL)
        self.assertEqual((list(logged), self.changes, self.answers.knows("f", 1)), ([], 0, False))
