"""
FURLs that are revoked, rotated and granted, and a master restored into a new directory.
"""

import os
import shutil

from ..process_table import alive
from .farm import (
    Daemon,
    Farm,
    until,
)
from .farm_case import FarmCase

WAITS = "echo $$ > $WITNESS/pid-$$; echo begun; while ! test -e $WITNESS/go; do sleep 0.05; done; echo ended"


class RevocationTests(FarmCase):
    """
    Promises 3.9 and 3.17: FURLs that are handed out, limited and revoked.
    """

    def setUp(self) -> None:
        """
        Start a farm for each test.
        """
        type(self).farm = self.make().start()
        self.addCleanup(self.farm.close)

    @classmethod
    def setUpClass(cls) -> None:
        """
        Share nothing.
        """

    @classmethod
    def make(cls) -> Farm:
        """
        Create two slaves, and a build that waits for the test.
        """
        return Farm("bot1", "bot2").builder("b", WAITS).builder("quick", "echo hello")

    def command(self, *words: str) -> str:
        """
        Run ``buildbot-lite``, which must succeed; return its output.
        """
        done = self.farm.command(words[0], str(self.farm.master_directory), *words[1:])
        self.assertEqual(done.code, 0, done.err)
        return done.out.decode()

    def underway(self) -> tuple[object, int]:
        """
        Start a build on bot1; return it and its command's pid.
        """
        self.command("pause", "bot2")
        client = self.farm.submitting("b")
        until(lambda: b"begun" in client.out, "the build has begun")
        self.command("unpause", "bot2")
        (name,) = [each for each in os.listdir(self.farm.witness) if each.startswith("pid-")]
        return client, int(name.removeprefix("pid-"))

    def test_revoke(self) -> None:
        """
        Promise 17: a revoked slave is disconnected, logs one sentence, ends its commands, and tries again after an
        hour; its build is retried elsewhere.
        """
        client, pid = self.underway()
        out = self.command("revoke", "bot1")
        self.assertRegex(out, r"Revoked string #\d+ \(slave bot1\)\.")
        self.assertIn("b/1 is tried again.", out)
        sentence = "This string is no longer valid."
        until(lambda: sentence in self.farm.slave("bot1").log, "the slave says that it was revoked")
        until(lambda: not alive(pid), "the slave ends its commands")
        (self.farm.witness / "go").touch()
        done = client.wait()  # type: ignore[attr-defined]  # a Client

        self.assertEqual(done.code, 0, done.err)
        self.assertIn("the string of bot1 was revoked", done.err)
        self.assertIn("b/2 runs on bot2", done.err)
        self.assertEqual(self.farm.slave("bot1").log.count(sentence), 1)
        self.assertFalse((self.farm.master_directory / "furls" / "bot1.furl").exists())

    def test_kill(self) -> None:
        """
        Promise 17: with --kill the command is interrupted before the link is cut; with --cancel the build is not
        retried.
        """
        client, pid = self.underway()
        self.command("revoke", "bot1", "--kill", "--cancel")

        self.assertFalse(alive(pid))
        done = client.wait()  # type: ignore[attr-defined]  # a Client
        self.assertEqual(done.code, 4, done.err)

    def test_rotate(self) -> None:
        """
        Promise 17: after a rotation, the slave attaches with the new FURL, and only with that.
        """
        old = self.farm.furl("bot1")
        self.command("rotate", "bot1")
        until(lambda: "no longer valid" in self.farm.slave("bot1").log, "the old string is refused")
        new = self.farm.furl("bot1")
        self.assertNotEqual(old, new)
        self.farm.slave("bot1").stop()
        self.farm.write_slave_tac("bot1")
        self.farm.start_slave("bot1")

    def test_drain(self) -> None:
        """
        Promise 17: a drained slave stops by itself; started again, it takes builds.
        """
        self.assertIn("stops now", self.command("drain", "bot1"))
        self.assertEqual(self.farm.slave("bot1").wait(), 0)
        self.command("pause", "bot2")
        self.farm.start_slave("bot1")
        self.assertEqual(self.farm.submit("quick").code, 0)

    def test_drain_in_mid_build(self) -> None:
        """
        Promise 17: a slave that is drained during a build is told once, finishes the build, and stops.
        """
        client, _ = self.underway()
        self.assertIn("stops when these have ended: b/1", self.command("drain", "bot1"))
        until(lambda: "admin drains this slave" in self.farm.slave("bot1").log, "the slave knows")
        (self.farm.witness / "go").touch()
        done = client.wait()  # type: ignore[attr-defined]  # a Client

        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.farm.slave("bot1").wait(), 0)
        self.assertEqual(self.farm.slave("bot1").log.count("admin drains this slave"), 1)

    def test_grant(self) -> None:
        """
        Promise 15: a FURL for one use works once.  It is printed once, alone on standard output.
        """
        done = self.farm.command(
            "grant",
            "submit",
            str(self.farm.master_directory),
            "quick",
            "--uses",
            "1",
            "--expires",
            "1h",
            "--label",
            "x",
        )
        furl = done.out.decode().strip()
        self.assertRegex(furl, r"\Apb://\S+\Z")
        self.assertNotIn("pb://", done.err)
        first, second = self.farm.watch(furl), self.farm.watch(furl)

        self.assertEqual((first.code, first.out), (0, b"hello\n"), first.err)
        self.assertEqual((second.code, second.out), (2, b""))
        self.assertIn("good for 1 submission, and is used up", second.err)
        self.assertNotIn(furl.rpartition("/")[2], self.command("grants", "--json", "--all"))

    def test_restored_elsewhere(self) -> None:
        """
        Promise 18: the backup of docs/security.md is enough for a master in a new directory: slaves and submitters keep
        their FURLs.
        """
        submission = self.farm.furl("quick")
        self.farm.master.stop()
        new = self.farm.directory / "restored"
        new.mkdir(mode=0o700)
        for name in ("master.cfg", "master.tac"):
            shutil.copy2(self.farm.master_directory / name, new / name)
        for name in ("private", "records"):
            shutil.copytree(self.farm.master_directory / name, new / name)
        shutil.rmtree(self.farm.master_directory)
        self.farm.master_directory = new
        self.farm.master = Daemon("master", new, self.farm.env, "master.tac", "the master is ready at")
        self.farm.start_master()
        for name in ("bot1", "bot2"):
            slave = self.farm.slave(name)
            until(lambda slave=slave: slave.log.count("attached to the master") > 1, f"{name} is back")  # type: ignore[misc]

        self.assertEqual(self.farm.furl("quick"), submission)
        done = self.farm.watch(submission)
        self.assertEqual((done.code, done.out), (0, b"hello\n"), done.err)
        self.assertNotIn("refused", self.farm.master.log)
