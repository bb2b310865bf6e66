"""
The commands that a step waits for.
"""

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError
from buildbot_lite.master.builds.live_commands import LiveCommands


class LiveCommandsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.live = LiveCommands()
        self.session = mock.Mock()
        self.drained: list[Any] = []

    async def command(self, id: str, end: Deferred[None]) -> None:
        """
        Run a command.
        """
        with self.live.running(id, self.session):
            await end

    def drain(self) -> None:
        """
        Wait until all commands have ended.
        """
        _ = Deferred.fromCoroutine(self.live.drained("stop")).addBoth(self.drained.append)

    def test_drained(self) -> None:
        """
        What waits for the commands goes on when all have ended, also if one of them has failed.
        """
        first, second = Deferred[None](), Deferred[None]()
        one, two = (Deferred.fromCoroutine(self.command(str(each), each)) for each in (first, second))
        self.drain()
        self.assertEqual(self.session.interrupt.call_count, 2)
        first.errback(LinkLostError())
        self.failureResultOf(one, LinkLostError)
        self.assertEqual((len(self.live.ids), self.drained), (1, []))
        second.callback(None)
        self.successResultOf(two)
        self.assertEqual((self.live.ids, self.drained), ((), [None]))

    def test_closed(self) -> None:
        """
        A command whose coroutine the garbage collector closes lets nobody go on.
        """
        running = self.command("1", Deferred())
        running.send(None)
        self.drain()
        running.close()
        self.assertEqual(self.drained, [])
