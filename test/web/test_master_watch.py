"""
The link over which the web process asks its master.
"""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import NoAnswerError
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.farm.master_watch import PATIENCE, PATIENCE_FOR_CODES, MasterWatch
from buildbot_lite.wire.control_client import ControlClient


class MasterWatchTests(SynchronousTestCase):
    def test_patience(self) -> None:
        """
        Promise 10.6: a master that is linked and does not answer is waited for no longer than `PATIENCE`; what it
        answers later is dropped.
        """
        clock, answer = Clock(), Deferred[Document]()
        self.patch(ControlClient, "ask", lambda client, question: answer)
        self.patch(ControlClient, "start", lambda client: None)
        watch = MasterWatch(clock, b"", lambda: None)
        watch.use(f"pb://{'a' * 32}@127.0.0.1:1/{'b' * 32}")
        asked = watch.ask({"ask": "status"})
        clock.advance(PATIENCE - 1)
        self.assertNoResult(asked)
        clock.advance(1)
        self.failureResultOf(asked, NoAnswerError)
        answer.callback({})

    def test_patience_for_codes(self) -> None:
        """
        A one-time code is lost if nobody waits for what it became, so that is waited for longer.
        """
        clock, answers = Clock(), [Deferred[Document](), Deferred[Document]()]
        left = iter(answers)
        self.patch(ControlClient, "ask", lambda client, question: next(left))
        self.patch(ControlClient, "start", lambda client: None)
        watch = MasterWatch(clock, b"", lambda: None)
        watch.use(f"pb://{'a' * 32}@127.0.0.1:1/{'b' * 32}")
        late, never = (watch.ask({"ask": "redeem", "code": each}) for each in ("one", "other"))
        clock.advance(PATIENCE_FOR_CODES - 1)
        answers[0].callback({"furl": "pb://…"})
        self.assertEqual(self.successResultOf(late), {"furl": "pb://…"})
        clock.advance(1)
        self.failureResultOf(never, NoAnswerError)
