"""
FURLs: the files that hold them, and slaves with the wrong one.
"""

import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from buildbot_lite.wire.furl import PLACEHOLDER

from ..needs import needs
from .farm import (
    Daemon,
    Farm,
    until,
)
from .farm_case import FarmCase

TRY = "stdin='patch'"
FURL = re.compile(r"pb://[a-z2-7]{32}@tcp:127\.0\.0\.1:\d+/[a-z2-7]{32,}")


class FurlsTests(FarmCase):
    """
    A master without running slaves, started with umask 0.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create two slaves and two submissions.
        """
        farm = Farm("bot1", "bot2").builder("hello", "echo hello").builder("try", "cat", submit=TRY)
        farm.master.arguments = ("--umask=0", "-y", "master.tac")
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        Start the master alone.
        """
        cls.farm.write_config()
        cls.farm.start_master()

    def lines(self, name: str) -> dict[str, str]:
        """
        Return the FURLs in one of the files by name, parsed as documented: one line each, and comments.
        """
        text = (self.farm.master_directory / name).read_text()
        found = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
        for furl in found.values():
            self.assertRegex(furl, FURL)
        return found

    def files(self) -> dict[str, tuple[int, str]]:
        """
        Return the inode and the text of each file of ``furls``.
        """
        return {
            path.name: (path.stat().st_ino, path.read_text())
            for path in (self.farm.master_directory / "furls").iterdir()
        }

    def reconfig(self) -> None:
        """
        Apply the configuration.
        """
        self.farm.write_config()
        done = self.farm.command("reconfig", str(self.farm.master_directory))
        self.assertEqual((done.code, done.err), (0, ""))

    def test_lines(self) -> None:
        """
        Promise 2: each slave and submission has a line ``NAME FURL``, and a file of its own with the same FURL.
        """
        slaves, submissions = self.lines("buildslave.furls"), self.lines("submit.furls")

        self.assertEqual(list(slaves), ["bot1", "bot2"])
        self.assertEqual(list(submissions), ["hello", "try"])
        both = {**slaves, **submissions}
        self.assertEqual(len(set(both.values())), 4)
        self.assertEqual({name: self.farm.furl(name) for name in both}, both)

    def test_modes(self) -> None:
        """
        Promise 2: whatever the umask, only their owner can read the records and the files with FURLs and keys.
        """
        directory = self.farm.master_directory
        for path in (
            *directory.glob("*.furls"),
            *directory.glob("furls/*"),
            *directory.glob("private/*.furl"),
            *directory.glob("private/*.pem"),
            *directory.glob("records/farm.sqlite*"),
        ):
            self.assertEqual(oct(stat.S_IMODE(path.stat().st_mode)), "0o600", path)
        for path in (directory / "furls", directory / "private", directory / "records", directory / "inputs"):
            self.assertEqual(oct(stat.S_IMODE(path.stat().st_mode)), "0o700", path)

    @needs("sqlite3")
    def test_documented_backup(self) -> None:
        """
        Promise 6.13: the backup of docs/deployment.md, taken from a running master, is complete, and no other user can
        read any of it, whatever the umask and the modes of the files.
        """
        text = (Path(__file__).resolve().parents[2] / "docs" / "deployment.md").read_text()
        lines = text.partition("## Backups")[2].partition("```\n")[2].splitlines()
        backing_up, restoring = lines[0], lines[2]
        (self.farm.directory / "farm").symlink_to(self.farm.master_directory)
        tac, backup = self.farm.master_directory / "master.tac", self.farm.directory / "backup"
        tac.chmod(0o644)
        backup.mkdir(mode=0o700)
        recipe = f"{backing_up}\n{restoring}".replace("/backup/", f"{backup}/").replace("farm2", f"{backup}/farm")
        try:
            self.farm.run(f"umask 022\n{recipe}")
            self.assertEqual((backup / "farm.tar").stat().st_mode & 0o777, 0o600)
            for above, _, names in os.walk(backup):
                for path in (Path(above), *(Path(above, name) for name in names)):
                    self.assertEqual(path.stat().st_mode & 0o077, 0, path)
            for name in ("master.cfg", "private/tub.pem", "private/admin.furl", "furls/bot1.furl"):
                original = self.farm.master_directory / name
                self.assertEqual((backup / "farm" / name).read_bytes(), original.read_bytes())
            self.assertFalse((backup / "farm" / "own").exists())
            with closing(sqlite3.connect(backup / "farm" / "records" / "farm.sqlite")) as copy:
                slaves = {slave for (slave,) in copy.execute("select name from grants where verb = 'slave'")}
            self.assertLessEqual({"bot1", "bot2"}, slaves)
        finally:
            shutil.rmtree(backup)

    def test_restart(self) -> None:
        """
        Promise 2: the FURLs stay the same after a restart and after kill -9; the files are not rewritten.
        """
        before = self.lines("buildslave.furls"), self.lines("submit.furls"), self.files()
        for end in (self.farm.master.stop, self.farm.master.kill):
            end()
            self.farm.start_master()
            self.assertEqual((self.lines("buildslave.furls"), self.lines("submit.furls"), self.files()), before)

    def test_adding_and_removing(self) -> None:
        """
        Promise 2: adding or removing a slave changes only its line and its file; added again, it has the same FURL.
        """
        lines, files = self.lines("buildslave.furls"), self.files()
        self.addCleanup(self.reconfig)
        self.addCleanup(self.farm.slave_options.pop, "bot3", None)

        self.farm.slave_options["bot3"] = ""
        self.reconfig()
        new = self.lines("buildslave.furls")
        self.assertEqual({name: new[name] for name in lines}, lines)
        self.assertEqual(set(new) - set(lines), {"bot3"})
        self.assertEqual(self.files().keys() - files.keys(), {"bot3.furl"})
        self.assertEqual({name: each for name, each in self.files().items() if name in files}, files)

        del self.farm.slave_options["bot3"]
        self.reconfig()
        self.assertEqual((self.lines("buildslave.furls"), self.files()), (lines, files))

        self.farm.slave_options["bot3"] = ""
        self.reconfig()
        self.assertEqual(self.lines("buildslave.furls"), new)

    def test_removed_submission(self) -> None:
        """
        Promise 6.5: the FURL of a Submit that was removed from master.cfg submits nothing, although it was shown
        before; after the Submit is added again, it submits.
        """
        furl = self.farm.furl("try")
        self.addCleanup(self.reconfig)
        self.addCleanup(self.farm.builder, "try", "cat", submit=TRY)

        def answer() -> tuple[int, str]:
            done = self.farm.watch(furl)
            return done.code, done.err

        self.assertEqual(answer()[0], 2)
        self.farm.builder("try", "cat", submit=None)
        self.reconfig()
        code, sentence = answer()
        self.assertEqual(code, 255)
        self.assertIn("try is not in master.cfg any more.  Ask the farm's admin for another string.", sentence)
        self.farm.builder("try", "cat", submit=TRY)
        self.reconfig()
        self.assertEqual(answer()[0], 2)
        self.assertEqual(self.farm.furl("try"), furl)

    def test_by_name(self) -> None:
        """
        ``buildbot-lite furl`` prints the same FURL; for an unknown name it lists the known ones.
        """
        done = self.farm.command("furl", str(self.farm.master_directory), "bot1")
        self.assertEqual(done.out.decode().strip(), self.farm.furl("bot1"))
        done = self.farm.command("furl", str(self.farm.master_directory), "bot9")
        self.assertEqual((done.code, done.out), (70, b""))
        self.assertRegex(done.err, r"\AThere is no string for 'bot9' in .*  There are: bot1, bot2, hello, try\.\n\Z")


class WrongFurlsTests(FarmCase):
    """
    A farm with one attached slave, and slaves with wrong FURLs.
    """

    number: ClassVar[int] = 0

    @classmethod
    def make(cls) -> Farm:
        """
        Create one slave that stays, and one that leaves.
        """
        return Farm("bot1", "bot2").builder("hello", "echo hello").config("c['builders'][0].slavenames = ('bot1',)\n")

    def stranger(self, furl: str) -> Daemon:
        """
        Start another slave with the FURL *furl*.
        """
        type(self).number += 1
        stranger = self.farm.spawn_slave(f"stranger{self.number}", furl)
        self.addCleanup(stranger.kill)
        return stranger

    def refused(self, furl: str, sentence: str) -> Daemon:
        """
        Start a slave with *furl*, and wait until it has logged *sentence*.
        """
        stranger = self.stranger(furl)
        until(lambda: re.search(sentence, stranger.log), f"the slave logs: {sentence}\nbut it was:\n{stranger.log}")
        errors = [line for line in stranger.log.splitlines() if re.search(sentence, line)]
        self.assertEqual(len(errors), 1, "one sentence")
        self.assertNotIn("Traceback", stranger.log)
        self.assertIn("#error", errors[0])
        return stranger

    def master_says(self, sentence: str) -> None:
        """
        Wait until the master has logged the sentence in one line.
        """
        until(lambda: re.search(sentence, self.farm.master.log), f"the master logs: {sentence}\n{self.farm.master.log}")
        lines = [line for line in self.farm.master.log.splitlines() if re.search(sentence, line)]
        self.assertEqual(len(lines), 1, "one sentence")

    def test_wrong_kind(self) -> None:
        """
        Promise 3: a slave with a submitter's FURL logs which file has slaves' FURLs, and so does the master.
        """
        sentence = r"Slaves take theirs from buildslave\.furls"
        self.refused(self.farm.furl("hello"), sentence)
        self.master_says(sentence)

    def test_unknown(self) -> None:
        """
        Promise 3: a slave with an unknown FURL logs the remedy, and so does the master.
        """
        # A master that has not said so in the last minute, of the string of another test.
        self.farm.master.stop()
        self.farm.start_master()
        furl = self.farm.furl("bot2")
        letter = "a" if furl[-1] != "a" else "b"
        sentence = r"The farm does not know this string\.\s+Copy the whole of it again"
        self.refused(furl[:-1] + letter, sentence)
        self.master_says(sentence)

    def test_cut_short(self) -> None:
        """
        Promise 3: a slave with a truncated FURL logs the remedy, and so does the master.
        """
        self.refused(self.farm.furl("bot2")[:-4], r"The farm does not know this string\.\s+Copy the whole")

    def test_another_farm(self) -> None:
        """
        Promise 3: a slave whose FURL has a wrong TubID logs that the master is another one, or the FURL was mistyped.
        """
        furl = self.farm.furl("bot2")
        letter = "a" if furl[6] != "a" else "b"
        self.refused(furl[:6] + letter + furl[7:], r"The master that answers at .* is not the one of this string")

    def test_mistyped(self) -> None:
        """
        Promise 3: a slave with an invalid FURL exits at once, with one sentence on the terminal.
        """
        whole = r"\A[A-Z][^\n]*\.  Copy the whole string[^\n]*\n\Z"
        for furl, sentence in (
            ("bot1", whole),
            ("pb://", whole),
            (self.farm.furl("bot2").replace("pb://", "pb:/"), whole),
            (PLACEHOLDER, r"\Aslave\.tac has no string yet[^\n]*\.  Put the slave's string there[^\n]*\n\Z"),
        ):
            stranger = self.stranger(furl)
            self.assertEqual(stranger.wait(), 1)
            self.assertRegex(stranger.said, sentence)
            self.assertNotIn(self.farm.furl("bot2").rpartition("/")[2], stranger.said)

    def test_second_in_use(self) -> None:
        """
        Promise 3: a second slave with a FURL in use is refused on both sides with the remedy; the first continues.
        """
        sentence = r"buildbot-lite unpin [^ ]* ?bot1"
        self.refused(self.farm.furl("bot1"), sentence)
        self.master_says(sentence)

        self.assertEqual(self.farm.submit("hello").out, b"hello\n")

    def test_removed(self) -> None:
        """
        Promise 3: a slave that was removed from master.cfg is disconnected and logs the reason; added again, it
        attaches.
        """
        furl, bot2 = self.farm.furl("bot2"), self.farm.slave("bot2")
        options = self.farm.slave_options.pop("bot2")
        self.reconfig()
        until(lambda: "not in master.cfg any more" in bot2.log, "the slave was told")
        self.assertFalse((self.farm.master_directory / "furls" / "bot2.furl").exists())
        self.farm.slave_options["bot2"] = options
        self.reconfig()
        self.assertEqual(self.farm.furl("bot2"), furl)
        bot2.kill()
        bot2.start()

    def reconfig(self) -> None:
        """
        Apply the configuration.
        """
        self.farm.write_config()
        done = self.farm.command("reconfig", str(self.farm.master_directory))
        self.assertEqual((done.code, done.err), (0, ""))


class UnpinTests(FarmCase):
    """
    A farm whose slave moves to another machine.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create one slave.
        """
        return Farm("bot1").builder("hello", "echo hello; pwd")

    def test_unpin(self) -> None:
        """
        Promise 3: after ``unpin``, the next machine that shows the FURL is the slave from then on.
        """
        self.farm.slave().stop()
        done = self.farm.command("unpin", str(self.farm.master_directory), "bot1")
        self.assertEqual((done.code, done.err), (0, ""))
        other = self.farm.spawn_slave("other", self.farm.furl("bot1"))
        other.wait_ready()

        where = Path(self.farm.submit("hello").out.decode().split()[-1])
        self.assertTrue(where.is_relative_to(other.directory))
