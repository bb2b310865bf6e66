"""
Files and directories that others created, perhaps with bad intentions: the slave's transfers, and their errors.
"""

import bz2
import contextlib
import io
import re
import signal
import tarfile
from pathlib import Path

from .farm import (
    Farm,
    Rss,
    until,
)
from .farm_case import FarmCase

MAKE_DEEP = """\
import os
os.makedirs("d", exist_ok=True); os.chdir("d")
for number in range(1500):
    os.makedirs("x", exist_ok=True); os.chdir("x")
"""
UPLOAD = "steps.DirectoryUpload(slavesrc='d', masterdest='d')"
REMOVE = "steps.RemoveDirectory(dir='build')"
DEEP = f"steps.ShellCommand(command=['python3', '-c', {MAKE_DEEP!r}])"


LASTING = 8 << 30
"""Bytes that may be unpacked, and take a while."""


def bomb(size: int) -> bytes:
    """
    Return a few KB that unpack to one file of *size* zero bytes.
    """
    header = tarfile.TarInfo("zeros")
    header.size = size
    stream = bz2.compress(bytes(64 << 20))
    return bz2.compress(header.tobuf(tarfile.GNU_FORMAT)) + (size >> 26) * stream


class FilesTests(FarmCase):
    """
    A farm with one slave.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder for each kind of transfer.
        """
        farm = Farm("bot1").secret("token", "hunter2222")
        farm.config("c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n")
        return (
            farm.builder("unpack", REMOVE, "steps.Unpack()", "ls -A", submit="stdin='tar'")
            .builder("brief", "steps.Unpack(maxTime=1)", submit="stdin='tar'")
            .builder("small", "steps.Unpack(maxsize=5000000)", submit="stdin='tar'")
            .builder("deep", DEEP, UPLOAD, REMOVE)
            .builder("pipes", "mkdir d; mkfifo d/pipe", UPLOAD)
            .builder(
                "links",
                "ln -sf $PWD/../../../slave.tac upload.conf; ln -sf ../../../slave.tac upload.conf.part",
                "steps.StringDownload(s=util.Interpolate('%(secret:token)s'), slavedest='upload.conf')",
                "test ! -h upload.conf && rm upload.conf",
            )
            # Until the new process has become sleep, it is named like the shell.
            .builder("behind", "sleep 600 >&- 2>&- & until grep -q sleep /proc/$!/comm; do :; done; echo done")
            .builder(
                "names",
                "echo x > ü; ln -s ü ä",
                "steps.FileUpload(slavesrc='ü', masterdest='u')",
                "steps.StringDownload(s='€', slavedest='ö/€')",
                "cat ö/€",
                "steps.DirectoryUpload(slavesrc='ö', masterdest='o')",
                "steps.RemoveDirectory(dir='build/ö')",
                "ls",
            )
        )  # fmt: skip

    @property
    def transfers(self) -> Path:
        """
        Return the directory of the slave's running transfers.
        """
        return self.farm.slave_directory("bot1") / "transfers"

    def unpacked(self) -> list[tuple[int, int]]:
        """
        Return the size of the staged files, and the time at which their directory changed.
        """
        found = []
        for each in self.transfers.glob("*.tree/zeros"):
            with contextlib.suppress(FileNotFoundError):  # it is just starting again
                found.append((each.stat().st_size, each.parent.stat().st_mtime_ns))
        return found

    def test_bomb(self) -> None:
        """
        Promise 6.15: a decompression bomb uses no memory of the slave, is unpacked again by the slave's next process,
        and ends when it is cancelled; then no file of it is left, and the slave runs the next build.
        """
        slave = self.farm.slave()
        memory = Rss({"slave": slave.pid})
        client = self.farm.submitting("unpack", bomb(LASTING))
        until(lambda: any(size > 64 << 20 for size, _ in self.unpacked()), "it is being unpacked")
        memory.sample()
        self.assertLess(memory.above_idle()["slave"], 40)

        slave.stop(signal.SIGTERM)
        [(_, first)] = self.unpacked()
        slave.start()
        until(lambda: any(changed > first for _, changed in self.unpacked()), "it is begun again")

        [request] = re.findall(r"# request (\d+)", client.err)
        cancelled = self.farm.command("cancel", str(self.farm.master_directory), request)
        self.assertEqual(cancelled.code, 0, cancelled.err)
        self.assertEqual(client.wait().code, 4)
        until(lambda: not [*self.transfers.iterdir()], "nothing of it is left")
        self.assertEqual(self.farm.submit("behind").code, 0)

    def test_bounds(self) -> None:
        """
        Promise 6.15: an archive that unpacks to more than the limit, or takes longer, fails with a sentence.
        """
        done = self.farm.submit("small", bomb(64 << 20))
        self.assertEqual(done.code, 1)
        self.assertIn("The archive unpacks to more than 5000000 bytes", done.err)
        done = self.farm.submit("brief", bomb(LASTING))
        self.assertEqual(done.code, 1)
        self.assertIn("The step took longer than its maxTime of 1 s", done.err)

    def test_cut(self) -> None:
        """
        Promise 6.22: an archive that is truncated between two files fails the build, and nothing of it is unpacked.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as made:
            for name in "abc":
                entry = tarfile.TarInfo(name)
                entry.size = 512
                made.addfile(entry, io.BytesIO(bytes(512)))
        done = self.farm.submit("unpack", archive.getvalue())
        self.assertEqual((done.code, done.out), (0, b"a\nb\nc\n"))
        done = self.farm.submit("unpack", archive.getvalue()[:2048])
        self.assertEqual((done.code, done.out), (1, b""))
        self.assertIn("only a part of one", done.err)
        self.assertFalse((self.farm.slave_directory("bot1") / "work/unpack/build").exists())

    def test_deep(self) -> None:
        """
        Promises 6.16 and 6.22: directories 1500 deep are uploaded and removed.
        """
        done = self.farm.submit("deep")
        self.assertEqual(done.code, 0, done.err)
        self.assertFalse((self.farm.slave_directory("bot1") / "work/deep/build").exists())

    def test_left_out(self) -> None:
        """
        Promise 6.22: a remark names the files that an upload leaves out.
        """
        done = self.farm.submit("pipes")
        self.assertEqual(done.code, 0)
        self.assertIn("# Left out, because an archive can contain only files, directories and links: pipe.", done.err)

    def test_links(self) -> None:
        """
        Promise 6.16: a secret is not written through links in the sources.
        """
        tac = self.farm.slave_directory("bot1") / "slave.tac"
        before = tac.read_text()
        done = self.farm.submit("links")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(tac.read_text(), before)

    def test_left_behind(self) -> None:
        """
        Promise 6.23: a remark names the processes that a command left behind.
        """
        done = self.farm.submit("behind")
        self.assertEqual(done.code, 0)
        self.assertRegex(done.err, r"# Killed processes that the command left running: sleep \(\d+\)\.")

    def test_names(self) -> None:
        """
        Promise 6.21: in any locale, the slave's commands and its transfers use the same file names.
        """
        slave = self.farm.slave()
        slave.stop()
        usual = slave.env
        # An ASCII locale, without Python's coercion to UTF-8.
        slave.env = {**usual, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        slave.start()
        done = self.farm.submit("names")
        self.assertEqual((done.code, done.out.decode()), (0, "€ä\nü\n"), done.err)
        [path] = self.farm.directory.glob("master/artifacts/**/u")
        self.assertEqual(path.read_bytes(), b"x\n")
        slave.stop()
        slave.env = usual
        slave.start()
