"""
``buildbot-lite try`` with a real repository, a real working tree and a real farm.
"""

import subprocess

from .farm import BIN, Done, Farm
from .farm_case import FarmCase


class TryTests(FarmCase):
    """
    A Submit scheduler with two builders, whose Git steps check out the repository of the working tree.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        A repository whose main branch moved on after somebody cloned it.
        """
        farm = Farm("bot1")
        farm.run(
            "git init -q -b main origin && cd origin && printf 'one\\ntwo\\n' > file && git add . &&"
            " git -c user.name=me -c user.email=me@example.org commit -q -m first && cd .. &&"
            " git clone -q origin tree && cd origin && echo rewritten > file &&"
            " git -c user.name=me -c user.email=me@example.org commit -q -a -m second"
        )
        git = f"steps.Git(repourl={str(farm.directory / 'origin')!r}, haltOnFailure=True)"
        farm.builder("good", git, "cat file new; cksum < image", submit=None)
        farm.builder("bad", git, "cat file; exit 1", submit=None)
        farm.builder("forced", git, "cat file", submit=None)
        return farm.config(
            "c['schedulers'] = [schedulers.Submit('try', ['good', 'bad'], stdin='patch'), schedulers.ForceScheduler("
            "'force', ['forced'], codebases=[util.CodebaseParameter('', patch=util.PatchParameter())])]\n"
        )

    def test_try(self) -> None:
        """
        Promise 8.3: both builders of the string build the changes in a working tree (commits, changed and new files,
        binary ones) on the revision from which the tree derives.  Their logs come side by side, and the exit code is
        that of the worse result.
        """
        farm = self.farm
        tree = farm.directory / "tree"
        image = bytes(range(256))
        (tree / "file").write_text("one\ntwo\ncommitted\n")
        farm.run("cd tree && git -c user.name=me -c user.email=me@example.org commit -q -a -m local")
        (tree / "file").write_text("one\ntwo\ncommitted\nchanged\n")
        (tree / "new").write_text("a new file\n")
        (tree / "image").write_bytes(image)

        done = self.tried("--furlfile", farm.private_furl(farm.furl("try")))
        self.assertEqual(done.code, 1, done)
        lines = done.out.decode().splitlines()
        for line in ("good | changed", "good | a new file", "bad  | changed"):
            self.assertIn(line, lines)
        cksum = subprocess.run(["cksum"], input=image, capture_output=True, check=True).stdout.decode().strip()
        self.assertIn(f"good | {cksum}", lines)
        self.assertNotIn("rewritten", done.out.decode())
        self.assertRegex(done.err, r"good \| # good/1: SUCCESS\n")
        self.assertRegex(done.err, r"bad  \| # bad/1: FAILURE")

    def test_forced_patch(self) -> None:
        """
        Promise 8.2: a patch of `force` is applied, at its level.
        """
        patch = b"--- file\n+++ file\n@@ -1 +1 @@\n-rewritten\n+patched by force\n"
        done = self.farm.client(
            "buildbot-lite", "force", str(self.farm.master_directory), "forced",
            "--file", "patch.body=-", "-p", "patch.level=0", "-p", "branch=main", "--wait", stdin=patch,
        ).wait()  # fmt: skip
        self.assertEqual((done.code, "patched by force" in done.out.decode().splitlines()), (0, True), done)

    def tried(self, *words: str) -> Done:
        """
        Return the result of ``buildbot-lite try`` in the working tree.
        """
        return self.farm.client(
            "/usr/bin/env", f"--chdir={self.farm.directory}/tree", str(BIN / "buildbot-lite"), "try", *words
        ).wait()
