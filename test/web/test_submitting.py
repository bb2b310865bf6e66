"""
Submission with the string of the moment.
"""

from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import NoAnswerError
from buildbot_lite.web.webhooks import submitting
from buildbot_lite.web.webhooks.submitting import Submitting
from buildbot_lite.wire.client import Take


class FakeClient:
    """
    In the role of `SubmitClient`: its connection ends when the test says so.
    """

    def __init__(self, furl: str, events: list[str], ends: list[Deferred[None]]) -> None:
        self.furl = furl
        self.events = events
        self.ends = ends

    def start(self) -> None:
        """
        Note the start.
        """
        self.events.append(f"start {self.furl}")

    def stop(self) -> Deferred[None]:
        """
        Note the stop, which takes a while.
        """
        self.events.append(f"stop {self.furl}")
        self.ends.append(Deferred())
        return self.ends[-1]

    async def submit(self, data: bytes, take: Take) -> int:
        """
        Note the submission.
        """
        self.events.append(f"submit {self.furl}")
        return 0


class SubmittingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        No string yet.
        """
        self.events: list[str] = []
        self.ends: list[Deferred[None]] = []
        self.patch(submitting, "SubmitClient", lambda reactor, furl, _: FakeClient(furl, self.events, self.ends))
        self.submitting = Submitting(Clock(), b"certificate")

    def submit(self) -> Deferred[int]:
        """
        Submit something.
        """
        return Deferred.fromCoroutine(self.submitting.submit(BytesIO(), lambda chunk: None))

    def test_no_string(self) -> None:
        """
        Without a string, and after it was taken away, the master counts as away.
        """
        self.failureResultOf(self.submit(), NoAnswerError)
        self.submitting.use("a")
        self.submitting.use(None)
        self.failureResultOf(self.submit(), NoAnswerError)

    def test_other_string(self) -> None:
        """
        A connection with another string starts when the former one has ended.
        """
        self.submitting.use("a")
        self.submitting.use("b")
        self.submitting.use("c")
        self.assertEqual(self.events, ["start a", "stop a"])
        self.ends.pop().callback(None)
        self.assertEqual(self.events, ["start a", "stop a", "start b", "stop b"])
        self.ends.pop().callback(None)
        self.successResultOf(self.submit())
        self.assertEqual(self.events[-2:], ["start c", "submit c"])
        stopped = self.submitting.stop()
        self.assertNoResult(stopped)
        self.ends.pop().callback(None)
        self.successResultOf(stopped)
