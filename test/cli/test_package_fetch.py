"""
``package fetch`` and ``package log``.
"""

import hashlib
import os
from typing import Any

from buildbot_lite.cli.program import USAGE

from .command_line_case import FURL, CommandLineCase


def file(name: str, architecture: str = "amd64", data: bytes = b"deb") -> dict[str, Any]:
    """
    A file of a job.
    """
    digest = hashlib.sha256(data).hexdigest()
    return {"architecture": architecture, "name": name, "length": len(data), "sha256": digest}


class PackageFetchTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A target's string, and a job with a file.
        """
        super().setUp()
        self.write("t.furl", FURL)
        self.has(file("a.deb"))

    def has(self, *files: dict[str, Any], sent: dict[str, Any] | None = None) -> None:
        """
        The job has these *files*; the first of them is *sent*, or described otherwise.
        """
        self.master.answers = {"package-files": {"files": list(files)}, "package-file": sent or (files or [{}])[0]}
        self.master.chunks = [b"1de", b"1b"]

    def fetch(self, *words: str) -> Any:
        return self.command("package", "fetch", "7", *words, "--furlfile", "t.furl")

    def test_fetched(self) -> None:
        """
        Promise 9.8: each file goes into the directory of its architecture; only those that are named are fetched.
        """
        self.has(file("a.deb"), file("a.deb", "i386"))
        self.assertEqual(self.fetch("--to", "got").out, "got/amd64/a.deb\ngot/i386/a.deb\n")
        with open("got/i386/a.deb", "rb") as got:
            self.assertEqual(got.read(), b"deb")
        self.assertEqual(self.fetch("i386").out, "./i386/a.deb\n")
        self.assertEqual(
            self.master.questions[-1],
            {"follow": "package-file", "job": 7, "architecture": "i386", "name": "a.deb"},
        )

    def test_there_already(self) -> None:
        """
        A file that is there is replaced only with --overwrite.
        """
        self.write("amd64/a.deb", "mine")
        said = self.fetch()
        self.assertIn("exists already.  To replace it: --overwrite", said.err)
        with open("amd64/a.deb") as kept:
            self.assertEqual(kept.read(), "mine")
        self.assertEqual(self.fetch("--overwrite").code, 0)

    def test_damaged(self) -> None:
        """
        Promise 9.8: what arrives with another digest, or with more bytes, is not kept.
        """
        for files, sent, part in (
            ([file("a.deb")], file("a.deb", data=b"dab"), "has the wrong checksum"),
            ([file("a.deb", data=b"d")], None, "sent more of"),
        ):
            self.has(*files, sent=sent)
            said = self.fetch()
            self.assertEqual(said.code, 70)
            self.assertIn(part, said.err)
            self.assertEqual(os.listdir("amd64"), [])

    def test_names(self) -> None:
        """
        Promise 9.8: names that lead out of the directory are refused, whether of a file or of an architecture.
        """
        for name, architecture in (("../../x", "amd64"), ("x", ".."), ("x", "/tmp"), ("..", "a")):
            self.has(file(name, architecture))
            self.assertEqual(self.fetch("--to", "got").code, 70, (name, architecture))
        self.assertFalse(os.path.exists("x"))

    def test_nothing(self) -> None:
        """
        A job without files, or without some for the architecture, is one sentence.
        """
        self.assertIn("Job 7 has no files for 'arm64', but for amd64.", self.fetch("arm64").err)
        self.has()
        self.assertIn("Job 7 has no files: its builds made none", self.fetch().err)
        self.assertIn("See: buildbot-lite package show 7 --furlfile t.furl", self.fetch().err)
        self.assertIn(
            "is no number of a job", self.refused("package", "fetch", "x", "--furlfile", "t.furl", code=USAGE)
        )

    def test_listed(self) -> None:
        """
        --list and --json fetch nothing.
        """
        self.assertIn("amd64         a.deb      3  ", self.fetch("--list").out)
        self.assertIn('"sha256"', self.fetch("--json").out)
        self.assertEqual({each.get("follow") for each in self.master.questions}, {None})

    def test_state(self) -> None:
        """
        Of a job that failed, was killed or goes on, one sentence says so; nothing is said of one that was taken, nor
        with a master of an earlier version, which tells no state.
        """
        for state, said in (
            ("failed", "# job 7 failed: what was built may be incomplete, or be refused\n"),
            ("killed", "# job 7 was killed: what was built may be incomplete, or be refused\n"),
            ("building", "# job 7 is not finished: what was built may be incomplete, or be refused\n"),
            ("repowait", "# job 7 is not finished: what was built may be incomplete, or be refused\n"),
            ("needsign", ""),
            ("finished", ""),
            (None, ""),
        ):
            told = {} if state is None else {"state": state}
            self.master.answers = {**self.master.answers, "package-files": {"files": [file("a.deb")], **told}}
            fetched = self.fetch("--overwrite")
            self.assertEqual((fetched.code, fetched.out, fetched.err), (0, "./amd64/a.deb\n", said))


class PackageLogTests(CommandLineCase):
    def test_log(self) -> None:
        """
        Promise 9.8: logs are asked for by job and architecture, all of them or those of one step; of the build that
        is the latest at the beginning, also after a lost connection.
        """
        self.write("t.furl", FURL)
        arches = [{"architecture": "i386", "build": None}, {"architecture": "amd64", "build": 3}]
        self.master.answers = {"package-log": {}, "package-show": {"job": {"arches": arches}}}
        for words, step, remarks, to_the_end in (
            ((), None, False, False),
            (("building", "--remarks", "--follow"), "building", True, True),
        ):
            self.assertEqual(self.command("package", "log", "7", "amd64", *words, "--furlfile", "t.furl").code, 0)
            question = {"job": 7, "architecture": "amd64", "step": step, "remarks": remarks, "to_the_end": to_the_end}
            self.assertEqual(self.master.questions[-1], {"follow": "package-log", **question, "number": 3})
        self.assertEqual(self.command("package", "log", "7", "i386", "--furlfile", "t.furl").code, 0)
        self.assertNotIn("number", self.master.questions[-1])
