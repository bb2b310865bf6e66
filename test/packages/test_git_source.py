"""
The script that makes a checkout ready to become a source package.
"""

import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.building import checkout_limit
from buildbot_lite.packages.building.checkout_limit import within_disk

SCRIPT = files("buildbot_lite.packages.building").joinpath("git_source.sh").read_text("utf-8")
GET = files("buildbot_lite.master.steps").joinpath("git_get.sh").read_text("utf-8")


class CheckoutCase(SynchronousTestCase):
    """
    A repository in which scripts run.
    """

    def setUp(self) -> None:
        self.tree = Path(self.mktemp()) / "tree"
        (self.tree / "debian" / "source").mkdir(parents=True)
        self.write("debian/source/format", b"3.0 (quilt)\n")
        self.run_in_tree("git", "init", "-q")

    def write(self, name: str, contents: bytes) -> None:
        (self.tree / name).write_bytes(contents)

    def run_in_tree(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {**os.environ, **names, **more}
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


class ChangelogTests(CheckoutCase):
    """
    The file debian/changelog of a repository, which may have any contents.
    """

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


class FormatTests(CheckoutCase):
    """
    The file debian/source/format of a repository.
    """

    def test_links(self) -> None:
        """
        Promise 9.1: a link in place of it, or of its directory, is refused, also one that leads nowhere: the programs
        that make the package would follow it.
        """
        for link, leads_to in {"source/format": "../kept", "source": "kept-source"}.items():
            for there in (True, False):
                shutil.rmtree(self.tree / "debian", ignore_errors=True)
                (self.tree / "debian" / "source").mkdir(parents=True)
                self.write("debian/source/format", b"2.0\n")
                place = self.tree / "debian" / link
                place.rename(self.tree / "debian" / leads_to.removeprefix("../"))
                place.symlink_to(leads_to if there else "nowhere")
                said = self.said(b"greet (1.0-1) x\n")
                self.assertEqual(said, (1, "fatal: debian/source/format must be no link\n"), (link, there))


class PristineTarTests(CheckoutCase):
    """
    A repository with a branch that pristine-tar wrote.
    """

    def test_pristine_tar(self) -> None:
        """
        Promise 9.1: upstream sources that are only on the branch pristine-tar are refused with what to do instead;
        where they can be made of a tag, the log says that the branch was not used.
        """
        self.write("debian/changelog", b"greet (1.0-1) x\n")
        self.write("greet_1.0.orig.tar.gz.delta", b"delta")
        self.run_in_tree("git", "add", "greet_1.0.orig.tar.gz.delta")
        self.run_in_tree("git", "commit", "-q", "-m", "pristine-tar")
        self.run_in_tree("git", "update-ref", "refs/remotes/origin/pristine-tar", "HEAD")
        self.run_in_tree("git", "rm", "-q", "greet_1.0.orig.tar.gz.delta")
        self.run_in_tree("git", "add", "-A")
        self.run_in_tree("git", "commit", "-q", "-m", "words")
        self.run_in_tree("git", "update-ref", "refs/remotes/origin/main", "HEAD")
        words = ("sh", "-c", SCRIPT, "git-source", "deb", self.run_in_tree("git", "rev-parse", "HEAD").stdout.strip())
        refused = self.run_in_tree(*words)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(
            refused.stderr,
            "fatal: greet_1.0.orig.tar.* is only in the branch pristine-tar, which is not used here: commit it, or "
            "push the tag upstream/1.0, to make it from\n",
        )
        self.run_in_tree("git", "tag", "upstream/1.0")
        made = self.run_in_tree(*words)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("the branch pristine-tar is not used, so this archive may have other bytes", made.stdout)


class DiskLimitTests(CheckoutCase):
    """
    The bytes that a checkout may have on the disk of the slave.
    """

    def watched(self, script: str, limit: int = 1 << 20) -> "subprocess.CompletedProcess[str]":
        """
        The end of *script* with that *limit*.
        """
        return self.run_in_tree(*within_disk(["sh", "-c", script, "sh", "a b"], limit))

    def test_within(self) -> None:
        """
        A command that stays within the limit has its output and its exit code, and leaves no process.
        """
        ran = self.watched('echo "$1"; exit 7')
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (7, "a b\n", ""))
        self.assertEqual(self.watched("true").returncode, 0)

    def test_too_large(self) -> None:
        """
        Promise 9.1: a command that exceeds the limit is ended with a sentence, while it runs or at its end.
        """
        for after in ("exec sleep 100", "true"):
            ran = self.watched(f"head -c 2000000 /dev/zero >../orig; {after}")
            self.assertNotEqual(ran.returncode, 0, after)
            said = "fatal: the checkout has more than 1 MB, the limit (disk= of the target's root)\n"
            self.assertEqual(ran.stdout, said, after)

    def test_full(self) -> None:
        """
        Promise 9.1: a checkout that leaves too little free on the disk is ended with a sentence.
        """
        self.patch(checkout_limit, "RESERVE", 1 << 60)
        ran = self.watched("exec sleep 100")
        self.assertEqual(ran.stdout, f"fatal: the disk of the slave has less than {(1 << 60) // 10**6} MB left\n")

    def test_full_while_counting(self) -> None:
        """
        Promise 9.1: that little is left on the disk is seen while it is still being counted what the checkout has.
        """
        self.patch(checkout_limit, "RESERVE", 1 << 60)
        programs = self.tree.parent.resolve() / "bin"
        programs.mkdir()
        # It does not end before the command has been ended.
        (programs / "du").write_text('#!/bin/sh\nwhile kill -0 "$(cat ../pid)" 2>/dev/null; do sleep 0.1; done\n')
        (programs / "du").chmod(0o755)
        words = within_disk(["sh", "-c", "echo $$ >../pid; exec sleep 100"], 1 << 20)
        ran = self.run_in_tree(*words, PATH=f"{programs}:{os.environ['PATH']}")
        self.assertEqual(ran.stdout, f"fatal: the disk of the slave has less than {(1 << 60) // 10**6} MB left\n")

    def test_many_files(self) -> None:
        """
        Promise 9.1: a checkout of very many files, which may all be empty, is ended with a sentence.
        """
        self.patch(checkout_limit, "MOST_FILES", 100)
        for after in ("exec sleep 100", "true"):
            ran = self.watched(f"for n in $(seq 101); do : >../$n; done; {after}")
            self.assertEqual(ran.stdout, "fatal: the checkout has more than 100 files, the limit\n", after)
            self.assertNotEqual(ran.returncode, 0, after)


class ForkTests(CheckoutCase):
    """
    Commits that a server answers with, although nobody who may write to the repository put them there.
    """

    def test_commit_of_a_fork(self) -> None:
        """
        Promise 9.1: a commit is taken only if a branch or tag of the repository leads to it.
        """
        self.write("debian/changelog", b"greet (1.0) x\n")
        self.write("debian/source/format", b"3.0 (native)\n")
        self.run_in_tree("git", "config", "uploadpack.allowAnySHA1InWant", "true")
        commits = {}
        for ref in ("refs/heads/topic", "refs/tags/v1", "refs/pull/5/head"):
            self.run_in_tree("git", "add", "-A")
            tree = self.run_in_tree("git", "write-tree").stdout.strip()
            commits[ref] = self.run_in_tree("git", "commit-tree", "-m", ref, tree).stdout.strip()
            self.run_in_tree("git", "update-ref", ref, commits[ref])
        self.assertEqual(self.got(commits["refs/pull/5/head"], GIT_GET_LISTED=""), 0)
        self.assertEqual(self.source_of(commits["refs/pull/5/head"]).returncode, 1)
        self.assertIn("no branch and no tag", self.source_of(commits["refs/pull/5/head"]).stderr)
        for ref, code in {"refs/heads/topic": 0, "refs/tags/v1": 0, "refs/pull/5/head": 3}.items():
            self.assertEqual(self.got(commits[ref], GIT_GET_LISTED="yes"), code, ref)
            if code == 0:
                self.assertEqual(self.source_of(commits[ref]).returncode, 0, ref)

    def got(self, commit: str, **env: str) -> int:
        """
        The exit code of the checkout of *commit* in a new directory.
        """
        place = self.tree.parent / "files" / "got"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        words = ("sh", "-c", f'cd ../files/got && set -- "$@" && {{ {GET}\n}}', "git-get")
        address = f"file://{self.tree.absolute()}"
        return self.run_in_tree(*words, "fresh", "leave", address, "", commit, "--tags", **env).returncode

    def source_of(self, commit: str) -> "subprocess.CompletedProcess[str]":
        words = ("sh", "-c", f"cd ../files/got && {{ {SCRIPT}\n}}", "git-source", "deb", commit)
        return self.run_in_tree(*words)
