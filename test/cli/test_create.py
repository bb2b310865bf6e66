"""
New directories, and the strings in them.
"""

import os
import re
import stat
from unittest import mock

from buildbot_lite.cli.create import PLACEHOLDER, sample
from buildbot_lite.master.grants import listening

from .ground import FURL, CommandCase


def mode(path: str) -> int:
    """
    Permission bits.
    """
    return stat.S_IMODE(os.stat(path).st_mode)


class CreateMasterTests(CommandCase):
    def test_made(self) -> None:
        """
        A master's directory has a master.tac and a master.cfg that is good as it is; nobody else can read it.
        """
        said = self.command("create-master", "farm")

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertEqual(sorted(os.listdir("farm")), ["master.cfg", "master.tac", "private"])
        for path, bits in (("farm", 0o700), ("farm/private", 0o700), ("farm/master.cfg", 0o600)):
            self.assertEqual(mode(path), bits, path)
        self.assertIn("is good: 2 slaves, 3 builders", self.command("checkconfig", "farm").out)

    def test_port(self) -> None:
        """
        The port is chosen once, said, and kept.
        """
        port = re.findall(r"listen on port ([0-9]+)\.", self.command("create-master", "farm").out)[0]

        self.assertEqual(str(listening.kept_port("farm/private")), port)
        self.assertIn("on port 4242.", self.command("create-master", "--port", "4242", "other").out)
        self.assertEqual(listening.kept_port("other/private"), 4242)

    def test_host(self) -> None:
        """
        It says which host goes into strings, and that this was tested.
        """
        with mock.patch.object(listening, "choose_host", return_value=listening.HostTest("build.example")):
            said = self.command("create-master", "farm")
        with open("farm/private/location") as file:
            self.assertEqual(file.read(), "build.example\n")

        self.assertIn("will name the host build.example (checked: that name reaches this machine).", said.out)

    def test_no_host(self) -> None:
        """
        When no name leads here, it says why, what that means, and what to do.
        """
        with mock.patch.object(
            listening, "choose_host", return_value=listening.HostTest("127.0.0.1", "x does not lead here")
        ):
            out = self.command("create-master", "farm").out

        self.assertIn("127.0.0.1, because x does not lead here: only slaves on this machine", out)
        self.assertIn("c['location']", out)

    def test_given_host(self) -> None:
        """
        A host that is given is tested, too, and used whatever comes of it.
        """
        tested = listening.HostTest("farm.example", "farm.example does not lead to this machine (no such name)")
        with mock.patch.object(listening, "test_host", return_value=tested):
            out = self.command("create-master", "farm", "--host", "farm.example").out

        self.assertIn("the host farm.example, although farm.example does not lead to this machine", out)
        self.assertIn("is no host name", self.refused("create-master", "other", "--host", "a b"))

    def test_why_it_does_not(self) -> None:
        """
        The reason is in words.
        """
        with mock.patch("socket.create_connection", side_effect=OSError(-2, "Name or service not known")):
            self.assertEqual(
                listening.test_host("farm.example").problem,
                "farm.example does not lead to this machine (Name or service not known)",
            )

    def test_not_empty(self) -> None:
        """
        A directory with anything in it is refused and left alone.
        """
        self.write("farm/thing", "x")

        self.assertEqual(
            self.refused("create-master", "farm"), "farm is not empty.  Give a directory that is new or empty."
        )
        self.assertEqual(os.listdir("farm"), ["thing"])
        self.assertIn("is not empty", self.refused("create-master", "farm/thing"))

    def test_not_allowed(self) -> None:
        """
        A place where nothing can be made is a sentence.
        """
        self.write("file", "x")

        self.assertRegex(self.refused("create-master", "file/farm"), r"^file/farm cannot be used: .+\.$")


class CreateSlaveTests(CommandCase):
    def test_from_stdin(self) -> None:
        """
        With - the string comes from standard input, and is in slave.tac, which nobody else can read.
        """
        said = self.command("create-slave", "bot1", "-", stdin=f"  {FURL}\n".encode())

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertIn("will connect to tcp:farm.example:9989.", said.out)
        self.assertNotIn("s" * 32, said.out)
        self.assertEqual((mode("bot1"), mode("bot1/slave.tac")), (0o700, 0o600))
        with open("bot1/slave.tac") as file:
            self.assertEqual(file.read(), sample("slave.tac.sample").replace(PLACEHOLDER, FURL))

    def test_0600_from_birth(self) -> None:
        """
        Promise 2: the file was never readable by others, whatever the umask.
        """
        modes = []
        real = os.open

        def opened(path: str, flags: int, bits: int = 0o777, **more: int) -> int:
            descriptor = real(path, flags, bits, **more)
            if flags & os.O_CREAT:
                modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

        before = os.umask(0)
        try:
            with mock.patch.object(os, "open", opened):
                self.command("create-slave", "bot1", "-", stdin=FURL.encode())
        finally:
            os.umask(before)

        self.assertEqual(modes, [0o600])

    def test_a_whole_file(self) -> None:
        """
        A file of furls/ is as good as the string in it.
        """
        self.assertEqual(self.command("create-slave", "b", "-", stdin=f"# slave b\n{FURL}\n".encode()).code, 0)

    def test_as_argument(self) -> None:
        """
        As an argument it works, with a word of warning.
        """
        said = self.command("create-slave", "bot1", FURL)

        self.assertEqual(said.code, 0)
        self.assertIn("every user of this machine could read that string", said.err)
        self.assertNotIn(FURL, said.out + said.err)

    def test_a_line(self) -> None:
        """
        A slave's line of buildslave.furls will do, as it is; the whole file, with others' strings, will not.
        """
        other = FURL.replace("ssss", "tttt")
        sentence = self.refused("create-slave", "bot1", "-", stdin=f"# a remark\nbot0 {other}\nbot1 {FURL}\n".encode())
        self.assertIn("These are several strings", sentence)

        self.command("create-slave", "bot1", "-", stdin=f"bot1 {FURL}\n".encode())
        with open("bot1/slave.tac") as file:
            self.assertIn(FURL, file.read())

    def test_no_furl(self) -> None:
        """
        Promise 3: what is no FURL is refused with the remedy, before anything is made, and is not repeated.
        """
        for text in ("", "hello", FURL[:-30], "my bot1 " + FURL, FURL.replace("@", ""), "pb://" + "s" * 5000):
            sentence = self.refused("create-slave", "bot1", "-", stdin=text.encode())

            self.assertRegex(sentence, "Copy the whole string|Give ", text)
            self.assertNotIn("ssssssss", sentence)
        self.assertFalse(os.path.exists("bot1"))

    def test_not_empty(self) -> None:
        """
        A slave's directory is not made twice.
        """
        self.command("create-slave", "bot1", "-", stdin=FURL.encode())

        self.assertIn("bot1 is not empty", self.refused("create-slave", "bot1", "-", stdin=FURL.encode()))


class FurlTests(CommandCase):
    def test_printed(self) -> None:
        """
        It is the one string, and nothing else.
        """
        self.make_farm()
        self.write("farm/furls/bot1.furl", f"# slave bot1\n{FURL}\n")

        self.assertEqual(self.command("furl", "farm", "bot1").out, f"{FURL}\n")
        self.assertEqual(
            self.refused("furl", "farm", "../private/admin"),
            "There is no string for '../private/admin' in farm.  There are: bot1.",
        )

    def test_none_yet(self) -> None:
        """
        A master that never ran has written no strings.
        """
        self.command("create-master", "farm")

        self.assertIn("the master writes them when it starts", self.refused("furl", "farm", "bot1"))

    def test_of_a_slave(self) -> None:
        """
        Strings are the master's.
        """
        self.write("bot1/slave.tac", "")

        self.assertEqual(
            self.refused("furl", "bot1", "bot1"), "bot1 is a slave's directory; its string is in slave.tac."
        )
        self.assertEqual(self.refused("furl", "none", "bot1"), "There is no directory none.")

    def test_replaced(self) -> None:
        """
        Promise 6.14: a slave gets another string, and keeps whatever else its slave.tac says; places where its old
        master was found are forgotten.
        """
        self.command("create-slave", "bot1", "-", stdin=FURL.encode())
        with open("bot1/slave.tac") as file:
            before = file.read().replace("# umask=0o077", "umask=0o077")
        self.write("bot1/slave.tac", f"# not this one: {FURL}\n{before}")
        os.chmod("bot1/slave.tac", 0o644)
        self.write("bot1/private/hints", "tcp:old.example:1\n")
        other = FURL.replace("farm.example", "other.example")

        said = self.command("furl", "--replace", "bot1", "-", stdin=f"bot1 {other}\n".encode())

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertIn("will connect to tcp:other.example:9989.", said.out)
        self.assertNotIn("s" * 32, said.out)
        with open("bot1/slave.tac") as file:
            self.assertEqual(file.read(), f"# not this one: {FURL}\n{before.replace(FURL, other)}")
        self.assertEqual(mode("bot1/slave.tac"), 0o600)
        self.assertFalse(os.path.exists("bot1/private/hints"))

    def test_not_replaced(self) -> None:
        """
        What is no string, and a slave.tac in which it cannot be seen what to replace, change nothing.
        """
        for tac, stdin, sentence in (
            (f'f("{FURL}")\n', b"nonsense", "pb://"),
            ("f(furlfile='x')\n", FURL.encode(), "has no string"),
            (f'f("{FURL}")\ng("{FURL}")\n', FURL.encode(), "has several strings"),
        ):
            self.write("bot1/slave.tac", tac)
            self.assertIn(sentence, self.refused("furl", "--replace", "bot1", "-", stdin=stdin))
            with open("bot1/slave.tac") as file:
                self.assertEqual(file.read(), tac)
        self.make_farm()
        self.assertIn("rotate NAME", self.refused("furl", "--replace", "farm", "-", stdin=FURL.encode()))
