"""
The reasons for which requests wait, sent to followers.
"""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError
from buildbot_lite.model.wait_reasons import (
    WaitReason,
    absent,
    paused,
    starting,
)
from buildbot_lite.status.explaining import EXPLAIN_EVERY, WaitExplainer


class WaitExplainerTests(SynchronousTestCase):
    """
    Requests whose reasons the test sets.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.reasons: dict[int, WaitReason] = {}
        self.lookups: list[int] = []
        self.decided = 0
        self.sent: list[tuple[str, str]] = []
        self.explaining = WaitExplainer(why=self.why, decided=lambda: self.decided, clock=self.clock)

    def why(self, request: int) -> WaitReason | None:
        self.lookups.append(request)
        return self.reasons.get(request)

    def add(self, name: str, request: int, answer: Deferred[None] | None = None) -> None:
        """
        Add the follower *name*, which takes each sentence when *answer* fires.
        """

        def say(sentence: str) -> Deferred[None]:
            self.sent.append((name, sentence))
            return succeed(None) if answer is None else answer

        self.addCleanup(self.explaining.add(request, say))

    def decide(self, reason: WaitReason, request: int = 1) -> None:
        """
        Have the queue decide *reason*, and advance the clock.
        """
        self.reasons[request] = reason
        self.decided += 1
        self.clock.advance(EXPLAIN_EVERY)

    def test_new_kinds(self) -> None:
        """
        Each follower gets a sentence when the kind of the reason changes, except when the build starts.
        """
        self.add("a", 1)
        self.decide(starting())
        self.decide(absent("bot1", "never seen"))
        self.decide(absent("bot1", "since noon"))
        self.add("b", 1)
        self.decide(paused("bot1"))
        self.assertEqual([name for name, _ in self.sent], ["a", "a", "b"])

    def test_lookups(self) -> None:
        """
        Promise 6.15: without a decision of the queue, no reason is looked up; several followers of a request share one
        lookup.
        """
        for name in "abc":
            self.add(name, 1)
        self.decide(paused("bot1"))
        self.assertEqual(self.lookups, [1])
        self.clock.pump([EXPLAIN_EVERY] * 10)
        self.assertEqual(self.lookups, [1])

    def test_new_follower(self) -> None:
        """
        A new follower gets the present reason although the queue decided nothing since.
        """
        self.add("a", 1)
        self.decide(paused("bot1"))
        self.add("b", 1)
        self.clock.advance(EXPLAIN_EVERY)
        self.assertEqual([name for name, _ in self.sent], ["a", "b"])

    def test_follower_that_does_not_read(self) -> None:
        """
        A follower that does not take a sentence gets no other; a lost link is no error.
        """
        self.add("deaf", 1, Deferred())
        self.add("gone", 1, fail(LinkLostError()))
        for _ in range(3):
            self.decide(paused("bot1"))
            self.decide(absent("bot1", "never seen"))
        self.assertEqual([name for name, _ in self.sent].count("deaf"), 1)

    def test_stopped(self) -> None:
        """
        Without followers, there is no timer.
        """
        stop = self.explaining.add(1, lambda sentence: succeed(None))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
