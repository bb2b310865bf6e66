"""
The link over which the web process asks its master.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, NoAnswerError, RevokedError, WrongVerbError
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.farm.master_watch import PATIENCE, PATIENCE_FOR_CODES, MasterWatch
from buildbot_lite.wire.certificate import new_certificate
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

    def test_refused(self) -> None:
        """
        Promise 10.7: when the master knows the string of the pages no more, that is told once, with the string, and
        said to who signs in, until there is another one.
        """
        self.patch(ControlClient, "start", lambda client: None)
        self.patch(ControlClient, "stop", lambda client: succeed(None))
        refused: list[str] = []
        made: list[Callable[[BuildbotLiteError], None]] = []
        init = ControlClient.__init__

        def seen(client: ControlClient, *arguments: Any, **more: Any) -> None:
            made.append(more["refused"])
            init(client, *arguments, **more)

        self.patch(ControlClient, "__init__", seen)
        watch = MasterWatch(Clock(), new_certificate(), lambda: None, refused.append)
        old, new = (f"pb://{'a' * 32}@127.0.0.1:1/{each * 32}" for each in "bc")
        watch.use(old)
        made[0](WrongVerbError())
        self.assertEqual((refused, watch.is_refused), ([], False))
        made[0](RevokedError())
        self.assertEqual((refused, watch.is_refused), ([old], True))
        sentence = str(self.failureResultOf(watch.ask({"ask": "redeem"}), NoAnswerError).value)
        self.assertIn("buildbot-lite rotate 'web pages'", sentence)
        watch.use(new)
        self.assertFalse(watch.is_refused)
        self.assertIn("is away", str(self.failureResultOf(watch.ask({"ask": "redeem"}), NoAnswerError).value))

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
