"""
`follow` with a watch FURL.
"""

from unittest import mock

from buildbot_lite.cli.program import USAGE

from .command_line_case import (
    FURL,
    CommandLineCase,
    FakeMaster,
)


class FollowCommandTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A master that reports a failed build.
        """
        super().setUp()
        self.master.answers = {"watch": {"exit_code": 1}}

    def test_string(self) -> None:
        """
        Promise 6.14: the FURL is read from a file or from standard input, alone or in the line that a submission
        printed.
        """
        for text in (FURL, f"{FURL}\n", f"# request 7: watch with {FURL}\n", f"# mine\n{FURL}\n"):
            self.write("watch.furl", text)
            for words, stdin in ((("follow", "watch.furl"), b""), (("follow", "-"), text.encode())):
                self.assertEqual(self.command(*words, stdin=stdin).code, 1)
        self.assertEqual(set(self.master.furls), {FURL})

    def test_no_string(self) -> None:
        """
        A text with no FURL or several is refused; a FURL among the arguments is refused too.
        """
        self.write("two.furl", f"{FURL}\n{FURL}\n")
        self.assertIn("In two.furl there is more than one string", self.refused("follow", "two.furl"))
        self.assertIn("On standard input there is no string", self.refused("follow", "-", stdin=b"hello"))
        self.assertIn("cannot be read", self.refused("follow", "nowhere"))
        self.assertIn("Every user of this machine", self.refused("follow", FURL, code=USAGE))
        self.assertEqual(self.master.furls, [])

    def test_ctrl_c(self) -> None:
        """
        After Ctrl-C, the command says that the build continues and how to follow it again.
        """
        self.write("a b", FURL)
        with mock.patch.object(FakeMaster, "watch", side_effect=KeyboardInterrupt):
            said = self.command("follow", "a b")

        self.assertEqual(said.code, 130)
        self.assertIn("The build continues.  To see it: buildbot-lite follow 'a b'\n", said.err)
