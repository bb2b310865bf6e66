"""
The limits that all FURLs of a holder share.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LimitError
from buildbot_lite.wire.contract import (
    HOLDER_BURST,
    HOLDER_SHARE,
    MOST_FOLLOWERS,
    MOST_QUESTIONS,
    QUESTIONS_AT_ONCE,
)
from buildbot_lite.wire.limits.account import Account


class AccountTests(SynchronousTestCase):
    """
    An account; the tests set the CPU time of the work.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.spent = 0.0
        self.account = Account(lambda: self.spent)
        self.bucket = self.account.cpu_bucket(self.clock)
        self.waiting: list[Deferred[str]] = []
        self.asked: list[Deferred[str]] = []

    def tearDown(self) -> None:
        """
        Cancel the open questions.
        """
        for asked in reversed(self.asked):
            asked.addErrback(lambda failure: failure.trap(CancelledError)).cancel()

    def work(self, cost: float = 0.0) -> Callable[[], Coroutine[Any, Any, str]]:
        """
        Answer a question in two turns, each of which takes *cost* seconds of CPU time.
        """

        async def work() -> str:
            self.spent += cost
            self.waiting.append(Deferred())
            answer = await self.waiting[-1]
            self.spent += cost
            return answer

        return work

    def ask(self, cost: float = 0.0) -> Deferred[str]:
        """
        Ask a question.
        """
        self.asked.append(Deferred.fromCoroutine(self.account.question(self.work(cost))))
        return self.asked[-1]

    def test_few_at_a_time(self) -> None:
        """
        Promise 6.15: only a few questions of one holder are answered at a time; each answer lets the next question
        start.
        """
        asked = [self.ask() for _ in range(QUESTIONS_AT_ONCE + 3)]
        self.assertEqual(len(self.waiting), QUESTIONS_AT_ONCE)
        self.waiting[0].callback("first")
        self.assertEqual(self.successResultOf(asked[0]), "first")
        self.assertEqual(len(self.waiting), QUESTIONS_AT_ONCE + 1)

    def test_failing(self) -> None:
        """
        A failing question also lets the next one start, and its error reaches the caller.
        """
        asked = [self.ask() for _ in range(QUESTIONS_AT_ONCE + 1)]
        self.waiting[0].errback(ZeroDivisionError())
        self.failureResultOf(asked[0], ZeroDivisionError)
        self.assertEqual(len(self.waiting), QUESTIONS_AT_ONCE + 1)

    def test_most(self) -> None:
        """
        Promise 6.15: the number of unanswered questions is bounded; one more is refused with a sentence.
        """
        for _ in range(MOST_QUESTIONS):
            self.assertNoResult(self.ask())
        self.assertIn("Send fewer at a time", str(self.failureResultOf(self.ask(), LimitError).value))
        self.waiting[0].callback("")
        self.assertNoResult(self.ask())

    def test_each_turn_is_charged(self) -> None:
        """
        Promise 6.15: work after a Deferred is charged; the next question waits until the debt is paid.
        """
        first = self.ask(cost=HOLDER_BURST)
        self.assertEqual(self.bucket.left, 0.0)
        self.waiting[0].callback("")
        self.successResultOf(first)
        self.assertEqual(self.bucket.left, -HOLDER_BURST)
        later = self.ask()
        self.assertEqual(len(self.waiting), 1)
        self.clock.advance(HOLDER_BURST / HOLDER_SHARE + 0.01)
        self.assertEqual(len(self.waiting), 2)
        self.waiting[1].callback("at last")
        self.assertEqual(self.successResultOf(later), "at last")

    def test_threads_are_charged(self) -> None:
        """
        Promise 6.15: the work of a thread for a question is charged, also if it fails.
        """

        def query(given: int) -> int:
            self.spent += 1.0
            return 1 // given

        self.assertEqual(self.account.charged(query)(1), 1)
        self.assertRaises(ZeroDivisionError, self.account.charged(query), 0)
        self.assertEqual(self.bucket.left, HOLDER_BURST - 2.0)

    def test_most_followers(self) -> None:
        """
        Promise 6.15: the followers of all FURLs of a holder are counted together.
        """
        following = [self.account.following() for _ in range(MOST_FOLLOWERS)]
        for each in following:
            each.__enter__()
        self.assertRaises(LimitError, self.account.check_following)
        following[0].__exit__(None, None, None)
        self.account.check_following()
