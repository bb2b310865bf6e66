"""
The end of sessions with the process that kept them.
"""

import gc

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, NoAnswerError, RefusedError
from buildbot_lite.web.farm.live import Document, Live
from buildbot_lite.web.holders.session_end import LONGEST, end_former_sessions, end_sessions


class FakeMaster:
    """
    A master that answers with *error*, with nothing while it is None, or not at all while it *hangs*.
    """

    def __init__(self) -> None:
        self.error: BuildbotLiteError | None = None
        self.hangs = False
        self.asked: list[Document] = []

    def ask(self, question: Document) -> Deferred[Document]:
        """
        The role `live.AnsweringMaster`.
        """
        self.asked.append(question)
        if self.hangs:
            return Deferred()
        return succeed({}) if self.error is None else fail(self.error)


class SessionEndTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A master that nothing was asked yet.
        """
        self.clock = Clock()
        self.master = FakeMaster()
        self.live = Live(self.master, self.clock.seconds, self.clock.seconds)

    def tearDown(self) -> None:
        """
        What waits for a master for ever is collected.
        """
        gc.collect()

    def test_at_the_beginning(self) -> None:
        """
        Promise 10.7: the sessions of an earlier process end with the first answer of the master, and then no more.
        """
        ending = Deferred.fromCoroutine(end_former_sessions(self.live))
        self.assertEqual(self.master.asked, [])
        self.master.error = NoAnswerError("away")
        self.live.is_away()
        self.assertNoResult(ending)
        self.master.error = None
        self.live.is_here()
        self.successResultOf(ending)
        self.live.is_here()
        self.assertEqual(self.master.asked, [{"ask": "end-sessions"}] * 2)

    def test_older_master(self) -> None:
        """
        A master that does not know the question is asked once.
        """
        ending = Deferred.fromCoroutine(end_former_sessions(self.live))
        self.master.error = RefusedError("unknown")
        self.live.is_here()
        self.successResultOf(ending)

    def test_at_the_end(self) -> None:
        """
        Promise 10.7: a process that ends has the sessions end, and waits for the master a bounded time.
        """
        self.successResultOf(Deferred.fromCoroutine(end_sessions(self.live, self.clock)))
        self.assertEqual(self.master.asked, [{"ask": "end-sessions"}])
        self.master.error = NoAnswerError("away")
        self.successResultOf(Deferred.fromCoroutine(end_sessions(self.live, self.clock)))
        self.master.hangs = True
        ending = Deferred.fromCoroutine(end_sessions(self.live, self.clock))
        self.assertNoResult(ending)
        self.clock.advance(LONGEST)
        self.successResultOf(ending)
