"""
Starting and stopping several processes with one command.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli import starting
from buildbot_lite.cli.lifecycle import in_turn
from buildbot_lite.cli.processes import directories_of
from buildbot_lite.errors import BuildbotLiteError, NotRunningError

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
