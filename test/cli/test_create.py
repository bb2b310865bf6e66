"""
New directories of masters and slaves, and their FURLs.
"""

import os
import re
import stat
from pathlib import Path
from unittest import mock

from buildbot_lite.cli.directories.create import PLACEHOLDER, sample
from buildbot_lite.master.grants import listening
from buildbot_lite.storage.lock import DirectoryLock

from .command_line_case import FURL, CommandLineCase


def mode(path: str) -> int:
    """
    The permission bits of *path*.
    """
    return stat.S_IMODE(os.stat(path).st_mode)


FARM = ["artifacts", "master.cfg", "master.tac", "private", "records", "streams", "web"]


class CreateMasterTests(CommandLineCase):
    def test_created(self) -> None:
        """
        create-master makes a private directory with a master.tac and a valid master.cfg.
        """
        said = self.command("create-master", "farm")

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertEqual(sorted(os.listdir("farm")), FARM)
        self.assertEqual(sorted(os.listdir("farm/web")), ["private", "web.tac"])
        for path in ("farm", "farm/private", "farm/records", "farm/streams", "farm/web", "farm/web/private"):
            self.assertEqual(mode(path), 0o700, path)
        for path in ("farm/master.cfg", "farm/web/web.tac"):
            self.assertEqual(mode(path), 0o600, path)
        self.assertIn("is good: 2 slaves, 3 builders", self.command("checkconfig", "farm").out)

    def test_port(self) -> None:
        """
        The port is chosen once, printed and stored.
        """
        port = re.findall(r"listen on port ([0-9]+)\.", self.command("create-master", "farm").out)[0]

        self.assertEqual(str(listening.kept_port("farm/private")), port)
        self.assertIn("on port 4242.", self.command("create-master", "--port", "4242", "other").out)
        self.assertEqual(listening.kept_port("other/private"), 4242)

    def test_host(self) -> None:
        """
        The output names the host for FURLs, and says that it was tested.
        """
        with mock.patch.object(listening, "choose_host", return_value=listening.HostTest("build.example")):
            said = self.command("create-master", "farm")
        with open("farm/private/location") as file:
            self.assertEqual(file.read(), "build.example\n")

        self.assertIn("will name the host build.example (checked: that name reaches this machine).", said.out)

    def test_no_host(self) -> None:
        """
        If no host name leads to this machine, the output says why, what that means, and what to do.
        """
        with mock.patch.object(
            listening, "choose_host", return_value=listening.HostTest("127.0.0.1", "x does not lead here")
        ):
            out = self.command("create-master", "farm").out

        self.assertIn("127.0.0.1, because x does not lead here: only slaves on this machine", out)
        self.assertIn("c['location']", out)

    def test_given_host(self) -> None:
        """
        A given host is tested too, and used whatever the result.
        """
        tested = listening.HostTest("farm.example", "farm.example does not lead to this machine (no such name)")
        with mock.patch.object(listening, "test_host", return_value=tested):
            out = self.command("create-master", "farm", "--host", "farm.example").out

        self.assertIn("the host farm.example, although farm.example does not lead to this machine", out)
        self.assertIn("is no host name", self.refused("create-master", "other", "--host", "a b"))

    def test_reason_of_a_failed_test(self) -> None:
        """
        The result of a failed test gives the reason in words.
        """
        with mock.patch("socket.create_connection", side_effect=OSError(-2, "Name or service not known")):
            self.assertEqual(
                listening.test_host("farm.example").problem,
                "farm.example does not lead to this machine (Name or service not known)",
            )

    def test_not_empty(self) -> None:
        """
        A directory that is not empty is refused and not changed.
        """
        self.write("farm/thing", "x")

        self.assertEqual(
            self.refused("create-master", "farm"), "farm is not empty.  Give a directory that is new or empty."
        )
        self.assertEqual(os.listdir("farm"), ["thing"])

    def test_file(self) -> None:
        """
        Where a file is, no directory is made, and the sentence says that it is a file.
        """
        self.write("thing", "x")
        for words in (("create-master", "thing"), ("create-slave", "thing", "-"), ("create-web", "thing")):
            self.assertEqual(self.refused(*words, stdin=FURL.encode()), "thing is not a directory.")

    def test_cannot_be_created(self) -> None:
        """
        If the directory cannot be created, the error is one sentence.
        """
        self.write("file", "x")

        self.assertRegex(self.refused("create-master", "file/farm"), r"^file/farm cannot be used: .+\.$")


class CreateSlaveTests(CommandLineCase):
    def test_from_stdin(self) -> None:
        """
        With `-`, the FURL is read from standard input and written to slave.tac, which is private.
        """
        said = self.command("create-slave", "bot1", "-", stdin=f"  {FURL}\n".encode())

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertIn("will connect to tcp:farm.example:9989.", said.out)
        self.assertNotIn("s" * 32, said.out)
        self.assertEqual((mode("bot1"), mode("bot1/slave.tac")), (0o700, 0o600))
        with open("bot1/slave.tac") as file:
            self.assertEqual(file.read(), sample("slave.tac.sample").replace(PLACEHOLDER, FURL))

    def test_created_private(self) -> None:
        """
        Promise 2: slave.tac is created with mode 0600, whatever the umask.
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

    def test_furl_file(self) -> None:
        """
        The contents of a file of furls/ are accepted as well as the FURL alone.
        """
        self.assertEqual(self.command("create-slave", "b", "-", stdin=f"# slave b\n{FURL}\n".encode()).code, 0)

    def test_as_argument(self) -> None:
        """
        A FURL as an argument works, with a warning.
        """
        said = self.command("create-slave", "bot1", FURL)

        self.assertEqual(said.code, 0)
        self.assertIn("every user of this machine could read that string", said.err)
        self.assertNotIn(FURL, said.out + said.err)

    def test_path_as_argument(self) -> None:
        """
        Of a path, given by mistake, nothing says that others could read a string; of a damaged string it is said.
        """
        for words in (("create-slave", "bot1", "/nowhere"), ("create-web", "web", "/nowhere")):
            sentence = self.refused(*words)
            self.assertIn("A FURL begins with pb://", sentence)
            self.assertNotIn("could read", sentence)
        self.assertIn("could read that string", self.refused("create-slave", "bot1", FURL[3:]))

    def test_line_of_a_list(self) -> None:
        """
        A line of buildslave.furls is accepted; several FURLs are not.
        """
        other = FURL.replace("ssss", "tttt")
        sentence = self.refused("create-slave", "bot1", "-", stdin=f"# a remark\nbot0 {other}\nbot1 {FURL}\n".encode())
        self.assertIn("These are several strings", sentence)

        self.command("create-slave", "bot1", "-", stdin=f"bot1 {FURL}\n".encode())
        with open("bot1/slave.tac") as file:
            self.assertIn(FURL, file.read())

    def test_no_furl(self) -> None:
        """
        Promise 3: text without a valid FURL is refused with the remedy before anything is created, and is not repeated.
        """
        for text in ("", "hello", FURL[:-30], "my bot1 " + FURL, FURL.replace("@", ""), "pb://" + "s" * 5000):
            sentence = self.refused("create-slave", "bot1", "-", stdin=text.encode())

            self.assertRegex(sentence, "Copy the whole string|Give |mend that first", text)
            self.assertNotIn("ssssssss", sentence)
        self.assertFalse(os.path.exists("bot1"))

    def test_not_empty(self) -> None:
        """
        An existing slave's directory is refused.
        """
        self.command("create-slave", "bot1", "-", stdin=FURL.encode())

        self.assertIn("bot1 is not empty", self.refused("create-slave", "bot1", "-", stdin=FURL.encode()))


class CreateWebTests(CommandLineCase):
    def test_elsewhere(self) -> None:
        """
        With a string, create-web makes a directory of a web process anywhere; its web.tac has the string.
        """
        said = self.command("create-web", "hooks", "-", stdin=FURL.encode())

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertIn("hand them to the master at tcp:farm.example:9989.\nNow:  buildbot-lite start hooks", said.out)
        with open("hooks/web.tac") as file:
            self.assertIn(f'    webhooks="{FURL}",\n', file.read())
        self.assertEqual((mode("hooks"), mode("hooks/web.tac"), mode("hooks/private")), (0o700, 0o600, 0o700))

    def test_beside_the_master(self) -> None:
        """
        Without a string, create-web adds the web process to a farm that has none; its web.tac is that of create-master.
        """
        self.command("create-master", "farm")
        os.rename("farm/web", "web")
        said = self.command("create-web", "farm/web/")

        self.assertEqual((said.code, said.err), (0, ""))
        self.assertIn("the web process of farm.\nNow:  buildbot-lite restart farm", said.out)
        with open("farm/web/web.tac") as file, open("web/web.tac") as other:
            self.assertEqual(file.read(), other.read())
        self.assertIn("farm/web is not empty", self.refused("create-web", "farm/web"))

    def test_needs_a_string(self) -> None:
        """
        Where no master will write the strings, create-web asks for one, with the commands, and makes nothing.
        """
        self.make_farm()
        for directory in ("web", "farm/hooks"):
            sentence = self.refused("create-web", directory)
            self.assertIn(f"grant webhooks FARM | buildbot-lite create-web {directory} -", sentence)
            self.assertFalse(os.path.exists(directory))


class FurlTests(CommandLineCase):
    def test_printed(self) -> None:
        """
        `furl` prints exactly the FURL.
        """
        self.make_farm()
        self.write("farm/furls/bot1.furl", f"# slave bot1\n{FURL}\n")

        self.assertEqual(self.command("furl", "farm", "bot1").out, f"{FURL}\n")
        self.assertEqual(self.command("furl", "farm", "bot1", "--to", "bot1.furl").out, "")
        self.assertEqual(Path("bot1.furl").read_text(), f"{FURL}\n")
        self.assertIn("bot1.furl exists already", self.refused("furl", "farm", "bot1", "--to", "bot1.furl"))
        self.assertEqual(
            self.refused("furl", "farm", "../private/admin"),
            "There is no string for '../private/admin' in farm.  There are: bot1.",
        )

    def test_none_yet(self) -> None:
        """
        If the master has never run, `furl` says when FURLs are written, and nobody is told to start one that starts.
        """
        self.command("create-master", "farm")

        said = "There are no strings in farm yet: the master writes them when it starts.  "
        self.assertEqual(self.refused("furl", "farm", "bot1"), f"{said}Start it with: buildbot-lite start farm")
        lock = DirectoryLock("farm/private", "master")
        self.addCleanup(lock.release)
        self.assertIn(f"{said}It is starting: ", self.refused("furl", "farm", "bot1"))

    def test_of_a_slave(self) -> None:
        """
        `furl` refuses the directory of a slave or web process, and one that does not exist.
        """
        self.write("bot1/slave.tac", "")

        self.assertEqual(
            self.refused("furl", "bot1", "bot1"), "bot1 is a slave's directory; its string is in slave.tac."
        )
        self.assertEqual(self.refused("furl", "none", "bot1"), "There is no directory none.")
        self.write("web/web.tac", "")
        self.assertIn("its string is in web.tac or private", self.refused("furl", "web", "bot1"))
        self.assertIn("buildbot-lite rotate 'web pages'", self.refused("furl", "--replace", "web", "-"))

    def test_replaced(self) -> None:
        """
        Promise 6.14: `furl --replace` changes only the FURL in slave.tac, makes the file private, and deletes the
        connection hints of the old master.
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
        `furl --replace` changes nothing if the text is no FURL, or if slave.tac has no FURL or several.
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
