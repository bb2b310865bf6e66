"""
Answers that are given again.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import NoAnswerError
from buildbot_lite.web.replies.kept_replies import LARGEST_KEPT, KeptReplies, PreparedReply
from buildbot_lite.web.serving.fair_places import Occupant
from buildbot_lite.web.serving.fair_turns import FairTurns
from buildbot_lite.web.serving.held_turn import HeldTurn
from buildbot_lite.web.view import Reply, Streamed

VISITOR, FLOODER = Occupant.at("192.0.2.1"), Occupant.at("192.0.2.9")
AT_ONCE = 8


class KeptRepliesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = FairTurns(self.clock.seconds, self.clock, AT_ONCE, 1000, 1000, 20, "Too many.")
        self.kept = KeptReplies(self.clock.seconds, self.turns)
        self.made: list[Deferred[Reply | Streamed]] = []

    def tearDown(self) -> None:
        """
        End what waits, which the garbage collector would otherwise do during another test.
        """
        for each in self.made:
            if not each.called:
                each.callback(Reply(404, b""))

    async def _make(self, turn: HeldTurn) -> Reply | Streamed:
        self.made.append(Deferred())
        return await self.made[-1]

    def _ask(
        self, version: int = 1, address: str = "/", occupant: Occupant = VISITOR
    ) -> Deferred[PreparedReply | Streamed]:
        return Deferred.fromCoroutine(self.kept.get_or_make(address, version, 1.0, occupant, self._make))

    def test_one_for_all(self) -> None:
        """
        Callers who ask at the same time, and in the time for which it is kept, get the same answer, compressed once.
        """
        one, other = self._ask(), self._ask()
        self.assertEqual(len(self.made), 1)
        self.made[0].callback(Reply(200, b"text " * 1000))
        found = self.successResultOf(one)
        self.assertIs(self.successResultOf(other), found)
        self.assertIs(self.successResultOf(self._ask()), found)
        assert isinstance(found, PreparedReply)
        self.assertIs(found.compressed, found.compressed)
        self.clock.advance(1.0)
        self.assertNoResult(self._ask())

    def test_another_version(self) -> None:
        """
        What is made for a former state of the farm is not given to those who ask after a change.
        """
        former = self._ask(version=1)
        later = self._ask(version=2)
        self.assertEqual(len(self.made), 2)
        self.made[0].callback(Reply(200, b"old"))
        self.successResultOf(former)
        self.assertNoResult(later)
        self.made[1].callback(Reply(200, b"new"))
        found = self.successResultOf(later)
        assert isinstance(found, PreparedReply)
        self.assertEqual(found.reply.body, b"new")

    def test_gone(self) -> None:
        """
        When the one for whom it is made hangs up, the others get that answer.
        """
        one, *others = [self._ask() for _ in range(300)]
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.made[0].callback(Reply(200, b"text"))
        found = {id(self.successResultOf(each)) for each in others}
        self.assertEqual((len(self.made), len(self.kept), len(found)), (1, 1, 1))

    def test_nothing_to_keep(self) -> None:
        """
        When there is nothing to keep, each other makes it anew, in turn.
        """
        one, *others = [self._ask() for _ in range(AT_ONCE)]
        self.made[0].callback(Reply(404, b""))
        self.successResultOf(one)
        self.assertEqual(len(self.made), 1 + AT_ONCE // 2)
        others[0].cancel()
        self.failureResultOf(others[0], CancelledError)
        self.assertEqual(len(self.made), 1 + AT_ONCE // 2)
        # Each that ends lets another begin.
        for each in self.made:
            if not each.called:
                each.callback(Reply(404, b""))
        for found in others[1:]:
            self.successResultOf(found)
        self.assertEqual(len(self.made), AT_ONCE)

    def test_failed(self) -> None:
        """
        When the making fails, another makes it for all, and not each for themselves.
        """
        one, *others = [self._ask() for _ in range(300)]
        self.made[0].errback(NoAnswerError("Too many."))
        self.failureResultOf(one, NoAnswerError)
        self.assertEqual(len(self.made), 2)
        self.made[1].callback(Reply(200, b"text"))
        for each in others:
            self.successResultOf(each)
        self.assertEqual((len(self.made), len(self.kept)), (2, 1))

    def test_always_failed(self) -> None:
        """
        An answer that always fails keeps nobody waiting for all others, one by one.
        """
        asked = [self._ask() for _ in range(20)]
        for number in range(3):
            self.assertEqual(len(self.made), number + 1)
            self.made[number].errback(NoAnswerError("Too many."))
        self.assertEqual(len(self.made), 3 + AT_ONCE // 2)
        # Each that ends lets another begin.
        for making in self.made:
            if not making.called:
                making.errback(NoAnswerError("Too many."))
        for each in asked:
            self.failureResultOf(each, NoAnswerError)

    def test_given_up(self) -> None:
        """
        What a making waits for outside of its turn is given up when the last of those who want the answer has hung up,
        and not before.
        """
        news: Deferred[str] = Deferred()

        async def make(turn: HeldTurn) -> Reply:
            await turn.outside(news)
            return Reply(200, b"text")

        asked = [Deferred.fromCoroutine(self.kept.get_or_make("/", 1, 1.0, VISITOR, make)) for _ in range(AT_ONCE)]
        for each in asked[:-1]:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertFalse(news.called)
        asked[-1].cancel()
        self.failureResultOf(asked[-1], CancelledError)
        self.assertTrue(news.called)
        self.assertEqual(self.turns._working.total(), 0)
        # The next one has it made anew.
        again = self._ask()
        self.made[0].callback(Reply(200, b"new"))
        self.successResultOf(again)

    def test_turn_of_gone(self) -> None:
        """
        Promise 10.10: who asks and hangs up, again and again, has no more made at a time than others: their turns end
        when the making does.
        """
        for number in range(400):
            gone = self._ask(address=f"/?{number}", occupant=FLOODER)
            gone.cancel()
            self.failureResultOf(gone, CancelledError)
        self.assertEqual(len(self.made), AT_ONCE // 2)
        mine = self._ask(address="/farm")
        self.made[-1].callback(Reply(200, b"the farm"))
        self.successResultOf(mine)
        self.made[0].callback(Reply(200, b""))
        for number in range(9):
            _ = self._ask(address=f"/again?{number}", occupant=FLOODER)
        self.assertEqual(len(self.made), AT_ONCE // 2 + 2)

    def test_streamed(self) -> None:
        """
        The file of an answer that is streamed is closed when its asker has gone, and otherwise by who writes it.
        """
        closed: list[str] = []

        async def write(request: object) -> None:
            pass

        def streamed(name: str) -> Streamed:
            return Streamed(write, close=lambda: closed.append(name))

        first, second, third = self._ask(), self._ask(), self._ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.made[0].callback(streamed("first"))
        self.assertEqual((closed, len(self.made)), (["first"], 3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.made[1].callback(streamed("second"))
        self.made[2].callback(streamed("third"))
        self.assertIsInstance(self.successResultOf(third), Streamed)
        self.assertEqual(closed, ["first", "second"])

    def test_own_turn(self) -> None:
        """
        Promise 10.10: a page that a flooder waits for costs others no more time than their own turn, and the flooder
        gets theirs.
        """
        flood = [self._ask(address=f"/?{number}", occupant=FLOODER) for number in range(AT_ONCE // 2 + 2)]
        theirs = self._ask(address="/farm", occupant=FLOODER)
        self.assertEqual(len(self.made), AT_ONCE // 2)
        mine = self._ask(address="/farm")
        self.made[-1].callback(Reply(200, b"the farm"))
        self.assertIs(self.successResultOf(mine), self.successResultOf(theirs))
        # Nobody waits for a turn who has got it without one.
        self.made[0].callback(Reply(200, b""))
        self.assertEqual([each.called for each in flood], [True, *[False] * 5])
        self.assertEqual(len(self.made), AT_ONCE // 2 + 2)

    def test_nobody_waits(self) -> None:
        """
        What is wanted by nobody any more, or by none who may wait, is not remembered.
        """
        for number in range(AT_ONCE // 2):
            _ = self._ask(address=f"/?{number}")
        waiting = [self._ask(address="/farm"), self._ask(address="/farm")]
        for each in waiting:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        refused = [self._ask(address="/queue") for _ in range(21)][-1]
        self.failureResultOf(refused, NoAnswerError)
        self.made[0].callback(Reply(200, b""))
        self.made[-1].callback(Reply(200, b""))
        self.assertEqual((self.kept.wanted, len(self.made)), (0, AT_ONCE // 2 + 1))

    def test_bounded(self) -> None:
        """
        Both forms of the kept answers count: the oldest give way.
        """
        third = Reply(200, b"x" * (LARGEST_KEPT // 6))
        for address in ("/a", "/b", "/c"):
            self.kept.keep(address, 1, 9.0, PreparedReply(third))
        self.assertIsNone(self.kept.get("/a", 1))
        self.assertIsNotNone(self.kept.get("/c", 1))

    def test_very_large(self) -> None:
        """
        Promise 10.10: very large answers, or very many, displace those of the same visitor, and none of others.
        """
        mine = PreparedReply(Reply(200, b"x" * (LARGEST_KEPT // 8)))
        large = PreparedReply(Reply(200, b"x" * LARGEST_KEPT))
        self.kept.keep("/mine", 1, 9.0, mine, VISITOR)
        self.kept.keep("/large", 1, 9.0, large, FLOODER)
        self.assertEqual(len(self.kept), 1)
        for number in range(20):
            self.kept.keep(f"/{number}", 1, 9.0, mine, FLOODER)
        self.assertIs(self.kept.get("/mine", 1), mine)
        self.assertEqual([self.kept.get(each, 1) is not None for each in ("/0", "/19", "/large")], [False, True, False])

    def test_addresses_count(self) -> None:
        """
        Many long addresses of small answers are bounded, too, and what has expired is dropped when more is kept.
        """
        for number in range(1100):
            self.kept.keep(f"/?{number}{'x' * 8000}", 1, 9.0, PreparedReply(Reply(200, b"")))
        self.assertLess(len(self.kept), 1000)
        self.clock.advance(9.0)
        one = self._ask()
        self.made[0].callback(Reply(200, b""))
        self.successResultOf(one)
        self.assertEqual(len(self.kept), 1)
