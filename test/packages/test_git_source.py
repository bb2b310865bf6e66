"""
The script that makes a checkout ready to become a source package.
"""

import os
import subprocess
from importlib.resources import files
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

SCRIPT = files("buildbot_lite.packages").joinpath("git_source.sh").read_text("utf-8")


class ChangelogTests(SynchronousTestCase):
    """
    The file debian/changelog of a repository, which may have any contents.
    """

    def setUp(self) -> None:
        self.tree = Path(self.mktemp()) / "tree"
        (self.tree / "debian" / "source").mkdir(parents=True)
        self.write("debian/source/format", b"3.0 (quilt)\n")
        self.run_in_tree("git", "init", "-q")

    def write(self, name: str, contents: bytes) -> None:
        (self.tree / name).write_bytes(contents)

    def run_in_tree(self, *words: str) -> "subprocess.CompletedProcess[str]":
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {**os.environ, **names}
        return subprocess.run(
            words, cwd=self.tree, env=env, capture_output=True, text=True, errors="replace", timeout=60, check=False
        )

    def said(self, changelog: bytes) -> tuple[int, str]:
        """
        The exit code and errors of the script for a commit with *changelog*.
        """
        self.write("debian/changelog", changelog)
        self.run_in_tree("git", "add", "-A")
        self.run_in_tree("git", "commit", "-q", "--allow-empty", "-m", "words")
        commit = self.run_in_tree("git", "rev-parse", "HEAD").stdout.strip()
        self.run_in_tree("git", "tag", "-f", "upstream/1.0")
        ran = self.run_in_tree("sh", "-c", SCRIPT, "git-source", "deb", commit)
        self.run_in_tree("git", "init", "-q")
        return ran.returncode, ran.stderr

    def test_contents(self) -> None:
        """
        Promise 9.1: no name and version in it is one sentence; bytes that are no text are no reason to refuse the rest.
        """
        for contents in (b"", b"\n\n\n"):
            self.assertEqual(self.said(contents), (1, "fatal: debian/changelog is empty\n"))
        names_none = "fatal: the first line of debian/changelog names no package and version\n"
        for contents in (b"words\n", b"greet 1.0\n", b"\xff\xfe\n"):
            self.assertEqual(self.said(contents), (1, names_none))
        for contents in (b"greet (1.0-1) x; urgency=low\n\0\n", b"\ngreet (1.0-1) x\n\xff\n"):
            self.assertEqual(self.said(contents)[0], 0, contents)
