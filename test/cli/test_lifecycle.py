"""
Starting and stopping several processes with one command.
"""

import json
import os

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.directories import starting
from buildbot_lite.cli.directories.lifecycle import in_turn
from buildbot_lite.cli.directories.stopping import left_running
from buildbot_lite.cli.processes import directories_of
from buildbot_lite.errors import BuildbotLiteError, NotRunningError
from buildbot_lite.storage.lock import DirectoryLock

from .command_line_case import CommandLineCase


class InTurnTests(SynchronousTestCase):
    def test_failures(self) -> None:
        """
        What follows a failure is done, too; the first failure is raised.
        """
        done: list[int] = []

        def failing(error: Exception) -> None:
            done.append(len(done))
            raise error

        first, second = NotRunningError("one"), OSError(13, "Permission denied", "farm")
        raised = self.assertRaises(
            BuildbotLiteError, in_turn, lambda: failing(first), lambda: done.append(7), lambda: failing(second)
        )
        self.assertIs(raised, first)
        self.assertEqual(done, [0, 7, 2])

    def test_interrupted(self) -> None:
        """
        Nothing follows Ctrl-C.
        """

        def interrupted() -> None:
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, in_turn, interrupted, self.fail)


class DirectoriesTests(CommandLineCase):
    def test_address(self) -> None:
        """
        The address of a web process, which may have written anything there, is printable.
        """
        self.write("web/address", "http://127.0.0.1:8010/\x1b[2J\n")
        self.assertEqual(starting._address("web"), "http://127.0.0.1:8010/?[2J")

    def test_of_a_farm(self) -> None:
        """
        A master and its web process belong together; without a web.tac, the directory web is something else; a web
        process of its own is alone.
        """
        self.make_farm()
        self.write("farm/web/x", "")
        self.assertEqual(directories_of("farm"), ["farm"])
        self.write("farm/web/web.tac", "")
        self.assertEqual(directories_of("farm"), ["farm", "farm/web"])
        self.assertEqual(directories_of("farm/web"), ["farm/web"])


class LeftRunningTests(CommandLineCase):
    def left(self, *graces: float | None) -> str:
        """
        What is said of commands with these graces, whose keeper runs.
        """
        os.makedirs("a bot/keeper", exist_ok=True)
        lock = DirectoryLock("a bot/keeper", "keeper")
        with open("a bot/keeper/claims", "w") as claims:
            claims.writelines(
                json.dumps({"record": "claim", "id": str(number), "grace": grace}) + "\n"
                for number, grace in enumerate(graces)
            )
        try:
            return left_running("a bot")
        finally:
            lock.release()

    def test_sentence(self) -> None:
        """
        After the end of a slave one sentence says what goes on, for how long, and how to kill it.
        """
        self.assertEqual(self.left(), "")
        self.assertEqual(
            self.left(1800.0),
            "A command of its builds goes on without it, for at most 29 min 30 s; the slave reports the outcome when "
            "it is started again.  To kill what goes on: buildbot-lite stop --kill 'a bot'",
        )
        self.assertIn("2 commands of its builds go on without it, for at most 59 min 30 s;", self.left(60.0, 3600.0))
        self.assertIn("2 commands of its builds go on without it to their end;", self.left(60.0, None))

    def test_dead_keeper(self) -> None:
        """
        Nothing goes on under a keeper that was killed, whatever its records say.
        """
        self.left(60.0)
        self.assertEqual(left_running("a bot"), "")
        self.assertEqual(left_running("nowhere"), "")
