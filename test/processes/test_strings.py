"""
The strings: the files in which they are looked up, and slaves that come with the wrong one.
"""

import os
import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from ..needs import needs
from .case import FarmCase
from .farm import (
    Daemon,
    Farm,
    until,
)

FURL = re.compile(r"pb://[a-z2-7]{32}@tcp:127\.0\.0\.1:\d+/[a-z2-7]{32,}")


class StringsTests(FarmCase):
    """
    A master without slaves, started with an umask that hides nothing.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Two slaves, two submissions.
        """
        farm = Farm("bot1", "bot2").builder("hello", "echo hello").builder("try", "cat", submit="stdin='patch'")
        farm.master.arguments = ("--umask=0", "-y", "master.tac")
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        No slave is needed.
        """
        cls.farm.write_config()
        cls.farm.start_master()

    def lines(self, name: str) -> dict[str, str]:
        """
        Name → string of one of the files, as documented: a line each, and comments.
        """
        text = (self.farm.master_directory / name).read_text()
        found = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
        for furl in found.values():
            self.assertRegex(furl, FURL)
        return found

    def files(self) -> dict[str, tuple[int, str]]:
        """
        Each file of ``furls``: which file it is, and its text.
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
        Promise 2: a line ``NAME FURL`` per slave and submission, and a file each with the same string.
        """
        slaves, submissions = self.lines("buildslave.furls"), self.lines("submit.furls")

        self.assertEqual(list(slaves), ["bot1", "bot2"])
        self.assertEqual(list(submissions), ["hello", "try"])
        both = {**slaves, **submissions}
        self.assertEqual(len(set(both.values())), 4)
        self.assertEqual({name: self.farm.furl(name) for name in both}, both)

    def test_modes(self) -> None:
        """
        Promise 2: whatever the umask, only their owner can read the files with strings and keys, and the records.
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
        Promise 6.13: the backup that docs/deployment.md says, of a running master, has what is needed, and nobody else
        can read any of it, whatever the umask and the modes of the files.
        """
        text = (Path(__file__).resolve().parents[2] / "docs" / "deployment.md").read_text()
        recipe = text.partition("## Backups")[2].partition("```\n")[2].partition("```")[0]
        (self.farm.directory / "farm").symlink_to(self.farm.master_directory)
        tac, backup = self.farm.master_directory / "master.tac", self.farm.directory / "backup"
        tac.chmod(0o644)
        try:
            self.farm.run(f"umask 022\n{recipe}")
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
        Promise 2: the strings are the same after a restart, also after kill -9; the files are not even touched.
        """
        before = self.lines("buildslave.furls"), self.lines("submit.furls"), self.files()
        for end in (self.farm.master.stop, self.farm.master.kill):
            end()
            self.farm.start_master()
            self.assertEqual((self.lines("buildslave.furls"), self.lines("submit.furls"), self.files()), before)

    def test_adding_and_removing(self) -> None:
        """
        Promise 2: a slave that is added or removed changes just its line and its file; back again, it has its string.
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
        Promise 6.5: the string of a Submit that was taken out of master.cfg submits no more, though it was shown;
        put back, it does again.
        """
        furl, whole = self.farm.furl("try"), (self.farm.master_directory / "master.cfg").read_text()
        self.addCleanup(self.reconfig)

        def answer() -> tuple[int, str]:
            done = self.farm.watch(furl)
            return done.code, done.err

        self.assertEqual(answer()[0], 2)
        self.farm.write_config(whole.replace("schedulers.Submit(name='try'", "schedulers.Submit(name='other'"))
        self.assertEqual(self.farm.command("reconfig", str(self.farm.master_directory)).code, 0)
        code, sentence = answer()
        self.assertEqual(code, 255)
        self.assertIn("try is not in master.cfg any more.  Ask the farm's admin for another string.", sentence)
        self.reconfig()
        self.assertEqual(answer()[0], 2)
        self.assertEqual(self.farm.furl("try"), furl)

    def test_by_name(self) -> None:
        """
        ``buildbot-lite furl`` prints the same string, and says which there are when there is none of that name.
        """
        done = self.farm.command("furl", str(self.farm.master_directory), "bot1")
        self.assertEqual(done.out.decode().strip(), self.farm.furl("bot1"))
        done = self.farm.command("furl", str(self.farm.master_directory), "bot9")
        self.assertEqual((done.code, done.out), (70, b""))
        self.assertRegex(done.err, r"\AThere is no string for 'bot9' in .*  There are: bot1, bot2, hello, try\.\n\Z")


class WrongStringsTests(FarmCase):
    """
    A farm with one good slave, and others whose string is not theirs.
    """

    number: ClassVar[int] = 0

    @classmethod
    def make(cls) -> Farm:
        """
        One slave that is here, one that leaves.
        """
        return Farm("bot1", "bot2").builder("hello", "echo hello").config("c['builders'][0].slavenames = ('bot1',)\n")

    def stranger(self, furl: str) -> Daemon:
        """
        Another slave, with that string.
        """
        type(self).number += 1
        stranger = self.farm.spawn_slave(f"stranger{self.number}", furl)
        self.addCleanup(stranger.kill)
        return stranger

    def refused(self, furl: str, sentence: str) -> Daemon:
        """
        A slave with *furl*, once it has logged *sentence*.
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
        So does the master's log, in one line.
        """
        until(lambda: re.search(sentence, self.farm.master.log), f"the master logs: {sentence}\n{self.farm.master.log}")
        lines = [line for line in self.farm.master.log.splitlines() if re.search(sentence, line)]
        self.assertEqual(len(lines), 1, "one sentence")

    def test_wrong_kind(self) -> None:
        """
        Promise 3: a slave with a submitter's string reads where slaves take theirs from, and so does the master's log.
        """
        sentence = r"Slaves take theirs from buildslave\.furls"
        self.refused(self.farm.furl("hello"), sentence)
        self.master_says(sentence)

    def test_unknown(self) -> None:
        """
        Promise 3: a slave with a string that the farm does not know reads what to do, and so does the master's log.
        """
        furl = self.farm.furl("bot2")
        letter = "a" if furl[-1] != "a" else "b"
        sentence = r"The farm does not know this string\.\s+Copy the whole of it again"
        self.refused(furl[:-1] + letter, sentence)
        self.master_says(sentence)

    def test_cut_short(self) -> None:
        """
        Promise 3: so does one whose string was not copied whole.
        """
        self.refused(self.farm.furl("bot2")[:-4], r"The farm does not know this string\.\s+Copy the whole")

    def test_another_farm(self) -> None:
        """
        Promise 3: a mistyped key is told apart; only the slave can know of it.
        """
        furl = self.farm.furl("bot2")
        letter = "a" if furl[6] != "a" else "b"
        self.refused(
            furl[:6] + letter + furl[7:], r"is not the master of this string: the string was mistyped, or that"
        )

    def test_mistyped(self) -> None:
        """
        Promise 3: what is no string at all ends the slave at once, with one sentence on the terminal.
        """
        for furl in (
            "bot1",
            "pb://",
            self.farm.furl("bot2").replace("pb://", "pb:/"),
            "pb://PUT-THE-SLAVES-STRING-HERE",
        ):
            stranger = self.stranger(furl)
            self.assertEqual(stranger.wait(), 1)
            self.assertRegex(stranger.said, r"\A[A-Z][^\n]*\.  Copy the whole string[^\n]*\n\Z")
            self.assertNotIn(self.farm.furl("bot2").rpartition("/")[2], stranger.said)

    def test_second_in_use(self) -> None:
        """
        Promise 3: a second slave with a string in use is refused on both sides with the remedy; the first goes on.
        """
        sentence = r"buildbot-lite unpin [^ ]* ?bot1"
        self.refused(self.farm.furl("bot1"), sentence)
        self.master_says(sentence)

        self.assertEqual(self.farm.submit("hello").out, b"hello\n")

    def test_removed(self) -> None:
        """
        Promise 3: a slave that is not in master.cfg any more is cut off and reads so; put back, it is let in.
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
        One slave.
        """
        return Farm("bot1").builder("hello", "echo hello; pwd")

    def test_unpin(self) -> None:
        """
        Promise 3: the remedy works: unpinned, the next machine that shows the string is the slave from then on.
        """
        self.farm.slave().stop()
        done = self.farm.command("unpin", str(self.farm.master_directory), "bot1")
        self.assertEqual((done.code, done.err), (0, ""))
        other = self.farm.spawn_slave("other", self.farm.furl("bot1"))
        other.wait_ready()

        where = Path(self.farm.submit("hello").out.decode().split()[-1])
        self.assertTrue(where.is_relative_to(other.directory))
