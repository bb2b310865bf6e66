"""
Why requests wait, told to followers.
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


class ExplainingTests(SynchronousTestCase):
    """
    Requests whose reasons the test gives.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.reasons: dict[int, WaitReason] = {}
        self.asked: list[int] = []
        self.decided = 0
        self.said: list[tuple[str, str]] = []
        self.explaining = WaitExplainer(why=self.why, decided=lambda: self.decided, clock=self.clock)

    def why(self, request: int) -> WaitReason | None:
        self.asked.append(request)
        return self.reasons.get(request)

    def add(self, name: str, request: int, answer: Deferred[None] | None = None) -> None:
        """
        A follower called *name*, which takes what it is told when *answer* fires.
        """

        def say(sentence: str) -> Deferred[None]:
            self.said.append((name, sentence))
            return succeed(None) if answer is None else answer

        self.addCleanup(self.explaining.add(request, say))

    def look(self, reason: WaitReason, request: int = 1) -> None:
        """
        The queue decides, and time passes.
        """
        self.reasons[request] = reason
        self.decided += 1
        self.clock.advance(EXPLAIN_EVERY)

    def test_new_kinds(self) -> None:
        """
        Each follower is told when the kind of the reason is new, and not of beginnings.
        """
        self.add("a", 1)
        self.look(starting())
        self.look(absent("bot1", "never seen"))
        self.look(absent("bot1", "since noon"))
        self.add("b", 1)
        self.look(paused("bot1"))
        self.assertEqual([name for name, _ in self.said], ["a", "a", "b"])

    def test_costs_nothing(self) -> None:
        """
        Promise 6.15: while the queue decides nothing, nobody's reason is asked for; several followers ask once.
        """
        for name in "abc":
            self.add(name, 1)
        self.look(paused("bot1"))
        self.assertEqual(self.asked, [1])
        self.clock.pump([EXPLAIN_EVERY] * 10)
        self.assertEqual(self.asked, [1])

    def test_newcomer(self) -> None:
        """
        One that comes later is told although nothing was decided since.
        """
        self.add("a", 1)
        self.look(paused("bot1"))
        self.add("b", 1)
        self.clock.advance(EXPLAIN_EVERY)
        self.assertEqual([name for name, _ in self.said], ["a", "b"])

    def test_deaf(self) -> None:
        """
        One that takes nothing is told once; one whose line is cut is nobody's error.
        """
        self.add("deaf", 1, Deferred())
        self.add("gone", 1, fail(LinkLostError()))
        for _ in range(3):
            self.look(paused("bot1"))
            self.look(absent("bot1", "never seen"))
        self.assertEqual([name for name, _ in self.said].count("deaf"), 1)

    def test_stopped(self) -> None:
        """
        When nobody follows, no clock runs.
        """
        stop = self.explaining.add(1, lambda sentence: succeed(None))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
