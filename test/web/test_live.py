"""
What the master answered, while its next answer is awaited.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.farm.live import FRESH, HOLDS, Document, Live


class SlowMaster:
    """
    The role `AnsweringMaster`; a test answers by itself.
    """

    def __init__(self) -> None:
        self.questions: list[Deferred[Document]] = []

    def ask(self, question: Document) -> Deferred[Document]:
        self.questions.append(Deferred())
        return self.questions[-1]


class LiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.master = SlowMaster()
        self.live = Live(self.master, self.clock.seconds, lambda: 1.0)
        first = self.answer()
        self.master.questions.pop().callback({"number": 1})
        self.assertEqual(self.successResultOf(first), {"number": 1})

    def answer(self) -> Deferred[Document]:
        """
        The answer to a question.
        """
        return Deferred.fromCoroutine(self.live.answer("status"))

    def test_asked_beside(self) -> None:
        """
        While there is no news, nobody waits for the next answer, which is asked for once.
        """
        self.clock.advance(FRESH)
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.answer()), {"number": 1})
        (question,) = self.master.questions
        question.callback({"number": 2})
        self.assertEqual(self.successResultOf(self.answer()), {"number": 2})

    def test_news(self) -> None:
        """
        After news, an answer that was asked for before holds no longer: the next one is awaited.
        """
        self.live.changed()
        self.assertEqual(self.successResultOf(self.answer()), {"number": 1})
        self.clock.advance(FRESH)
        waiting = self.answer()
        self.assertNoResult(waiting)
        self.live.changed()
        self.master.questions[0].callback({"number": 2})
        self.assertEqual(self.successResultOf(waiting), {"number": 2})
        self.clock.advance(FRESH)
        self.assertNoResult(self.answer())

    def test_too_old(self) -> None:
        """
        An answer that is too old is not shown, even if there was no news.
        """
        self.clock.advance(HOLDS)
        self.assertNoResult(self.answer())

    def test_asked_at_once(self) -> None:
        """
        Who does not take a former answer waits for the next.
        """
        self.assertNoResult(Deferred.fromCoroutine(self.live.answer("status", fresh=0.0)))
