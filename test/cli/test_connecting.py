"""
``start`` of a slave: connected, or why not.
"""

import os
from unittest import mock

from buildbot_lite.cli import connecting, processes
from buildbot_lite.cli.connecting import MASTER_AWAY, wait_until_connected
from buildbot_lite.cli.main import (
    FAILED,
    NO_ANSWER,
    exit_code,
)
from buildbot_lite.errors import BuildbotLiteError, NotRunningError
from buildbot_lite.slave import connection_state
from buildbot_lite.slave.connection_state import ConnectionState, State

from .ground import CommandCase


class Passing:
    """
    Time that passes only while somebody sleeps; *then* is called at each such moment with the seconds that passed.
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


class ConnectingTests(CommandCase):
    def setUp(self) -> None:
        """
        A slave whose process runs, as far as anybody can see.
        """
        super().setUp()
        os.makedirs("bot1/private")
        self.time = Passing()
        self.enterContext(mock.patch.object(connecting, "time", self.time))
        self.running = self.enterContext(mock.patch.object(processes, "running_in"))

    def will_be(self, *changes: tuple[float, ConnectionState]) -> None:
        """
        What becomes of it, and after how many seconds.
        """
        self.time.changes = list(changes)

    def not_connected(self, patience: float = 60.0) -> tuple[int, str]:
        """
        The exit code and the sentence.
        """
        error = self.assertRaises(BuildbotLiteError, wait_until_connected, "bot1", patience)
        return exit_code(error), str(error)

    def test_connected(self) -> None:
        """
        Promise 6.12: a slave is waited for until it is connected, also when its master was away for a moment.
        """
        away = ConnectionState(State.UNREACHABLE, "tcp:a:1: connection refused")
        self.will_be((0.2, ConnectionState(State.CONNECTING)), (0.5, away), (3.0, ConnectionState(State.CONNECTED)))
        wait_until_connected("bot1", 60.0)

        self.assertAlmostEqual(self.time.now, 3.0, places=0)

    def test_refused(self) -> None:
        """
        Promise 6.12: a string that is dead, or in use elsewhere, is said at once, with what to do.
        """
        for retry, again in ((60.0, "every minute"), (3600.0, "every 60 minutes")):
            connection_state.forget("bot1/private")
            self.will_be((self.time.now + 1, ConnectionState(State.REFUSED, "This string is void.", retry)))
            code, sentence = self.not_connected()

            self.assertEqual(code, FAILED)
            self.assertIn("The slave in bot1 runs, but the master refuses it: This string is void.  ", sentence)
            self.assertIn(f"The slave tries again {again}.", sentence)
            self.assertIn("buildbot-lite furl --replace bot1 -", sentence)

    def test_master_away(self) -> None:
        """
        Promise 6.12: a slave may be started while its master is away; then it is said that it goes on trying.
        """
        self.will_be((0.1, ConnectionState(State.UNREACHABLE, "tcp:a:1: connection refused")))
        code, sentence = self.not_connected()

        self.assertEqual(code, NO_ANSWER)
        self.assertAlmostEqual(self.time.now, MASTER_AWAY, places=0)
        self.assertEqual(
            sentence,
            "The slave in bot1 runs, but no master answers at tcp:a:1: connection refused.  The slave keeps trying.",
        )

    def test_undecided(self) -> None:
        """
        Nothing is waited for without end.
        """
        self.will_be((0.1, ConnectionState(State.CONNECTING)))
        code, sentence = self.not_connected(7.0)

        self.assertEqual(code, NO_ANSWER)
        self.assertIn("is not connected to its master after 7 s.", sentence)

    def test_ended(self) -> None:
        """
        One that ended is said to have, whatever it wrote before.
        """
        connection_state.write("bot1/private", ConnectionState(State.UNREACHABLE, "x"))
        self.running.side_effect = NotRunningError
        code, sentence = self.not_connected()

        self.assertEqual((code, self.time.now), (FAILED, 0.0))
        self.assertIn("The slave in bot1 started, and ended.", sentence)

    def test_the_file(self) -> None:
        """
        The state is read as it was written, by its owner alone; what is no state is none.
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
