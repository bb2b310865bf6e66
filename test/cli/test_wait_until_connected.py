"""
``start`` of a slave: it waits until the slave is connected, or says why it is not.
"""

import os
from unittest import mock

from buildbot_lite.cli import processes
from buildbot_lite.cli.directories import connecting
from buildbot_lite.cli.directories.connecting import MASTER_AWAY, wait_until_connected
from buildbot_lite.cli.program import (
    FAILED,
    NO_ANSWER,
    exit_code,
)
from buildbot_lite.errors import BuildbotLiteError, NotRunningError
from buildbot_lite.slave import connection_state
from buildbot_lite.slave.connection_state import ConnectionState, State

from .command_line_case import CommandLineCase


class FakeTime:
    """
    A clock that advances only in `sleep`.  *changes*: times, and the states that are written then.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.changes: list[tuple[float, ConnectionState]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.changes and self.changes[0][0] <= self.now:
            connection_state.write("bot1/private", self.changes.pop(0)[1])


class WaitUntilConnectedTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A slave whose process seems to run.
        """
        super().setUp()
        os.makedirs("bot1/private")
        self.time = FakeTime()
        self.enterContext(mock.patch.object(connecting, "time", self.time))
        self.running = self.enterContext(mock.patch.object(processes, "running_in"))

    def set_future(self, *changes: tuple[float, ConnectionState]) -> None:
        """
        Set the future states of the connection, each with its time in seconds.
        """
        self.time.changes = list(changes)

    def not_connected(self, patience: float = 60.0) -> tuple[int, str]:
        """
        The exit code and the sentence of the error.
        """
        error = self.assertRaises(BuildbotLiteError, wait_until_connected, "bot1", patience)
        return exit_code(error), str(error)

    def test_connected(self) -> None:
        """
        Promise 6.12: `start` waits until the slave is connected, even if the master is unreachable for a moment.
        """
        away = ConnectionState(State.UNREACHABLE, "tcp:a:1: connection refused")
        self.set_future((0.2, ConnectionState(State.CONNECTING)), (0.5, away), (3.0, ConnectionState(State.CONNECTED)))
        wait_until_connected("bot1", 60.0)

        self.assertAlmostEqual(self.time.now, 3.0, places=0)

    def test_refused(self) -> None:
        """
        Promise 6.12: when the master refuses the slave, `start` says so at once, with the remedy.
        """
        for retry, again in ((60.0, "every minute"), (3600.0, "every 60 minutes")):
            connection_state.forget("bot1/private")
            self.set_future((self.time.now + 1, ConnectionState(State.REFUSED, "This string is void.", retry)))
            code, sentence = self.not_connected()

            self.assertEqual(code, FAILED)
            self.assertIn("The slave in bot1 runs, but the master refuses it: This string is void.  ", sentence)
            self.assertIn(f"The slave tries again {again}.", sentence)
            self.assertIn("buildbot-lite furl --replace bot1 -", sentence)

    def test_master_away(self) -> None:
        """
        Promise 6.12: when the master is unreachable, `start` says that the slave keeps trying.
        """
        self.set_future((0.1, ConnectionState(State.UNREACHABLE, "tcp:a:1: connection refused")))
        code, sentence = self.not_connected()

        self.assertEqual(code, NO_ANSWER)
        self.assertAlmostEqual(self.time.now, MASTER_AWAY, places=0)
        self.assertEqual(
            sentence,
            "The slave in bot1 runs, but no master answers at tcp:a:1: connection refused.  The slave keeps trying.",
        )

    def test_time_out(self) -> None:
        """
        `start` waits at most for the given time.
        """
        self.set_future((0.1, ConnectionState(State.CONNECTING)))
        code, sentence = self.not_connected(7.0)

        self.assertEqual(code, NO_ANSWER)
        self.assertIn("is not connected to its master after 7 s.", sentence)

    def test_ended(self) -> None:
        """
        When the slave's process has ended, `start` says so, whatever state the slave wrote before.
        """
        connection_state.write("bot1/private", ConnectionState(State.UNREACHABLE, "x"))
        self.running.side_effect = NotRunningError
        code, sentence = self.not_connected()

        self.assertEqual((code, self.time.now), (FAILED, 0.0))
        self.assertIn("The slave in bot1 started, and ended.", sentence)

    def test_state_file(self) -> None:
        """
        The state is read back as written, its file is private, and a damaged file counts as no state.
        """
        found = ConnectionState(State.REFUSED, "Nö.", 60.0)
        connection_state.write("bot1/private", found)
        path = "bot1/private/connection"

        self.assertEqual(connection_state.read("bot1/private"), found)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        for text in ("", "[]", "{}", '{"state": "odd", "reason": "", "retry": 1}', "\xff" * 99):
            self.write(path, text)
            self.assertIsNone(connection_state.read("bot1/private"))
        connection_state.forget("bot1/private")
        connection_state.forget("bot1/private")
        self.assertIsNone(connection_state.read("bot1/private"))
