"""
A link that lasts, and jobs that are followed over it.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.asking import lasting_link
from buildbot_lite.cli.asking.lasting_link import NetworkLastingLink
from buildbot_lite.cli.asking.resuming import KEEP_TRYING
from buildbot_lite.cli.packages.job_following import AFTER_LOSS, job_follower
from buildbot_lite.errors import LinkLostError, NoAnswerError, RevokedError

FURL = "pb://x"


class FakeTub:
    """
    A Tub whose connections the test makes; at its end they are cut.
    """

    def startService(self) -> None:
        pass

    def stopService(self) -> Deferred[None]:
        FakeConnection.last.lose()
        return succeed(None)


class FakeConnection:
    """
    A `ControlConnection` whose events the test causes.
    """

    last: "FakeConnection"

    def __init__(
        self, tub: Any, furl: str, on_control: Any, on_refused: Any, on_unreachable: Any, *, submissions: bool
    ) -> None:
        self.arrived, self.refused, self.unreachable = on_control, on_refused, on_unreachable
        self.submissions = submissions
        self.stopped = False
        self.lose: Callable[[], None] = lambda: None
        FakeConnection.last = self

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.lose = callback

    def stop(self) -> None:
        self.stopped = True


class FakeControl:
    """
    Answers each question with the next of *answers*.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def ask(self, question: Any) -> Deferred[Any]:
        answer = self.answers.pop(0)
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)


class PausedLink:
    """
    A `MasterLink` as a follower uses it; a pause lasts until the test ends it.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pauses: list[tuple[float, Deferred[None]]] = []

    def lasting(self, on_away: Callable[[], None]) -> NetworkLastingLink:
        return NetworkLastingLink(self.clock, FURL, self.clock.seconds, on_away=on_away, submissions=True)

    def pause(self, seconds: float) -> Deferred[None]:
        paused: Deferred[None] = Deferred()
        self.pauses.append((seconds, paused))
        return paused

    def go_on(self) -> float:
        """
        End the pause; returns its length.
        """
        seconds, paused = self.pauses.pop()
        paused.callback(None)
        return seconds


class FollowingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(lasting_link, "make_tub", lambda reactor, certificate: FakeTub())
        self.patch(lasting_link, "ControlConnection", FakeConnection)
        self.clock = Clock()
        self.away: list[float] = []

    @property
    def connection(self) -> FakeConnection:
        """
        The connection that was made last.
        """
        return FakeConnection.last

    def link(self, *, patient: bool = True) -> NetworkLastingLink:
        """
        A link, which notes when the master went away.
        """
        on_away = (lambda: self.away.append(self.clock.seconds())) if patient else None
        return NetworkLastingLink(self.clock, FURL, self.clock.seconds, on_away=on_away)

    def ask(self, link: NetworkLastingLink) -> Deferred[Any]:
        """
        The answer to a question.
        """
        return Deferred.fromCoroutine(link.ask({"ask": "x"}))


class LastingLinkTests(FollowingCase):
    """
    The link itself.
    """

    def test_again(self) -> None:
        """
        A question waits for the link, also after a loss, and a master that does not answer at first is one that is
        away.
        """
        link = self.link()
        first = self.ask(link)
        self.connection.unreachable("tcp:here:1: connection refused")
        self.clock.advance(KEEP_TRYING - 1)
        self.assertNoResult(first)
        self.connection.arrived(FakeControl({"a": 1}), self.connection)
        self.assertEqual((self.successResultOf(first), link.away), ({"a": 1}, None))
        self.connection.lose()
        second = self.ask(link)
        self.connection.unreachable("gone")
        assert link.away is not None
        self.assertEqual((link.away.since, link.away.why), (KEEP_TRYING - 1, "gone"))
        self.clock.advance(KEEP_TRYING - 1)
        self.connection.arrived(FakeControl({"a": 2}), self.connection)
        self.assertEqual(self.successResultOf(second), {"a": 2})
        self.assertEqual(self.away, [0.0, KEEP_TRYING - 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gives_up(self) -> None:
        """
        Questions fail when the master is away for half an hour, or refuses; nothing is left when the link is stopped.
        """
        link = self.link()
        asked = self.ask(link)
        self.connection.unreachable("gone")
        self.clock.advance(KEEP_TRYING)
        self.assertEqual(str(self.failureResultOf(asked, NoAnswerError).value), "No master answered for 30 minutes.")
        other = self.link()
        self.connection.arrived(FakeControl(), self.connection)
        self.connection.lose()
        asked = self.ask(other)
        self.connection.refused(RevokedError("Revoked."))
        self.failureResultOf(asked, RevokedError)
        self.successResultOf(Deferred.fromCoroutine(other.stop()))
        self.assertEqual((self.connection.stopped, self.clock.getDelayedCalls()), (True, []))

    def test_impatient(self) -> None:
        """
        Without somebody to tell, a master that does not answer at first is an error at once, and one that was there is
        waited for without a bound.
        """
        link = self.link(patient=False)
        asked = self.ask(link)
        self.connection.unreachable("tcp:here:1: connection refused")
        self.assertIn("No master answers at tcp:here:1", str(self.failureResultOf(asked, NoAnswerError).value))
        link = self.link(patient=False)
        self.connection.arrived(FakeControl(), self.connection)
        self.connection.lose()
        asked = self.ask(link)
        self.clock.advance(10 * KEEP_TRYING)
        self.assertNoResult(asked)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class JobFollowerTests(FollowingCase):
    """
    Questions about a job, over one link.
    """

    def test_over_losses(self) -> None:
        """
        Promise 9.5, 9.8: all questions about a job go over one link; one whose answer is lost is asked again after a
        pause, so that the link knows of its loss; the link is stopped at the end.
        """
        link: Any = PausedLink(self.clock)
        building, ended = {"job": {"state": "building"}}, {"job": {"state": "finished"}}

        async def follow() -> Any:
            async with job_follower(link, "the builds continue") as follower:
                return await follower.job_when({"ask": "x"}, lambda job: job["state"] == "finished", iter([3.0, 4.0]))

        following = Deferred.fromCoroutine(follow())
        connection = self.connection
        self.assertTrue(connection.submissions)
        connection.arrived(FakeControl(building, LinkLostError()), connection)
        self.assertEqual(link.go_on(), 3.0)
        connection.lose()
        connection.arrived(FakeControl(building, ended), connection)
        self.assertEqual(link.go_on(), AFTER_LOSS)
        self.assertEqual(link.go_on(), 4.0)
        self.assertEqual(self.successResultOf(following), {"state": "finished"})
        self.assertIs(self.connection, connection)
        self.assertEqual((connection.stopped, link.pauses, self.clock.getDelayedCalls()), (True, [], []))

    def test_pauses_end(self) -> None:
        """
        When the pauses are over, the job is returned as it is.
        """
        link: Any = PausedLink(self.clock)

        async def follow() -> Any:
            async with job_follower(link, "the builds continue") as follower:
                return await follower.job_when({"ask": "x"}, lambda job: False, [])

        following = Deferred.fromCoroutine(follow())
        with redirect_stderr(io.StringIO()) as told:
            self.connection.arrived(FakeControl({"job": {"state": "building"}}), self.connection)
        self.assertEqual(self.successResultOf(following), {"state": "building"})
        self.assertEqual((told.getvalue(), self.clock.getDelayedCalls()), ("", []))
