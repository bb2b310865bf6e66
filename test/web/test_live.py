"""
What the master answered, while its next answer is awaited.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    BuildbotLiteError,
    DefectError,
    FileError,
    LimitError,
    LinkLostError,
    MessageError,
    NoAnswerError,
    NotFoundError,
    RecordsFailingError,
    RefusedError,
    RevokedError,
)
from buildbot_lite.web.farm.live import FRESH, HOLDS, MOST_AGE, Document, Live, is_private


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

    def answer(self, question: str = "status") -> Deferred[Document]:
        """
        The answer to a *question*.
        """
        return Deferred.fromCoroutine(self.live.answer(question))

    def failing(self, error: BuildbotLiteError, question: str = "status") -> Document:
        """
        The answer to a *question* that the master is asked now, and answers with *error*.
        """
        waiting = self.answer(question)
        self.assertNoResult(waiting)
        self.master.questions.pop().errback(error)
        return self.successResultOf(waiting)

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

    def test_errors(self) -> None:
        """
        An error that is no refusal, such as too many questions at once, a failing database, a defect of the master or
        an answer that is none, changes nothing: what was known stays known, and the master is asked again, but not by
        everybody who comes.
        """
        defect = DefectError()
        self.clock.advance(HOLDS)
        for error in (LimitError(), RecordsFailingError(), FileError(), MessageError(), LinkLostError(), defect):
            self.assertEqual(self.failing(error), {"number": 1}, error)
            for wait in (0.0, FRESH / 2):
                self.clock.advance(wait)
                self.assertEqual(self.successResultOf(self.answer()), {"number": 1}, error)
            self.assertEqual(self.master.questions, [], error)
            self.clock.advance(FRESH / 2)

    def test_error_at_first(self) -> None:
        """
        A question that was never answered is not asked by everybody who comes, either; only by who wants no former
        answer, and after a change.
        """
        self.assertEqual(self.failing(RecordsFailingError(), "slaves"), {})
        self.assertEqual(self.successResultOf(self.answer("slaves")), {})
        self.assertNoResult(Deferred.fromCoroutine(self.live.answer("slaves", fresh=0.0)))
        self.master.questions.pop().errback(RecordsFailingError())
        self.live.expire()
        self.assertNoResult(self.answer("slaves"))

    def test_refused(self) -> None:
        """
        A refusal, or a question that an older master does not know, is an empty answer, which is kept like others.
        """
        for error in (RefusedError(), RevokedError(), NotFoundError()):
            self.clock.advance(HOLDS)
            self.assertEqual(self.failing(error), {}, error)
            self.assertEqual(self.successResultOf(self.answer()), {}, error)

    def told(self, *, private: bool) -> None:
        """
        The master is asked now whether the farm is private, and says it.
        """
        self.clock.advance(HOLDS)
        asking = self.answer("www")
        self.master.questions.pop().callback({"private": private, "title": "A farm"})
        self.assertEqual(is_private(self.successResultOf(asking)), private)

    def test_private(self) -> None:
        """
        Promise 10.7: as long as nobody has said whether a farm is private, it is; what was said holds while the master
        is away, or is asked too much.
        """
        self.assertTrue(is_private(self.failing(RecordsFailingError(), "www")))
        for private in (False, True):
            self.told(private=private)
            for error in (LimitError(), LinkLostError(), NoAnswerError(), RecordsFailingError()):
                self.clock.advance(MOST_AGE)
                asking = self.answer("www")
                self.master.questions.pop().errback(error)
                self.assertEqual(is_private(self.successResultOf(asking)), private, error)
            self.live.is_here()

    def test_hanging(self) -> None:
        """
        Promise 10.6: while a master that is linked does not answer, only who asked first waits for it; pages show what
        it said last, and since when it is away.  With its next answer it is here again.
        """
        links: list[None] = []
        self.live.on_link(links.append)
        self.assertEqual(self.unanswered(), {"number": 1})
        self.assertEqual((self.live.away_since, len(links)), (1.0, 1))
        for question, known in (("status", {"number": 1}), ("queue", {})):
            self.assertEqual(self.successResultOf(self.answer(question)), known)
        self.assertEqual(len(self.master.questions), 2)
        self.master.questions.pop(0).callback({"number": 2})
        self.assertEqual((self.live.away_since, len(links)), (None, 2))
        self.assertNoResult(self.answer())
        self.master.questions.pop().callback({"number": 3})
        self.assertEqual(self.successResultOf(self.answer()), {"number": 3})

    def unanswered(self) -> Document:
        """
        The answer to a question that the master is asked now, and does not answer for long.
        """
        self.clock.advance(HOLDS)
        return self.failing(NoAnswerError())

    def test_private_while_failing(self) -> None:
        """
        Promise 10.7: a farm whose master is here and fails to say whether it is private counts as private until it says
        it, and who reads without a string is cut; the rest of what it said stays known.
        """
        cut: list[None] = []
        self.live.on_private(cut.append)
        for error in (RecordsFailingError(), FileError(), MessageError(), DefectError()):
            self.told(private=False)
            cut.clear()
            for _ in range(2):
                self.clock.advance(HOLDS)
                self.assertEqual(self.failing(error, "www"), {"private": True, "title": "A farm"}, error)
                self.assertEqual(cut, [None], error)
        self.live.is_away()
        self.assertTrue(is_private(self.successResultOf(self.answer("www"))))

    def test_private_by_refusal(self) -> None:
        """
        Promise 10.7: who reads without a string is cut also when the master says no more who may.
        """
        cut: list[None] = []
        self.live.on_private(cut.append)
        self.told(private=False)
        self.clock.advance(HOLDS)
        self.assertTrue(is_private(self.failing(RevokedError(), "www")))
        self.assertEqual(cut, [None])
