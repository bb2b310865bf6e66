"""
What a commit changed since it left a branch.
"""

import json
import os
import shutil
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps
from buildbot_lite.testing import command, replay, run

from .git_repository import NO_SEARCH_ABOVE, GitRepository
from .local_machine import LocalMachine

CHANGED = """\
diff --git a/changed b/changed
index 1..2 100644
--- a/changed
+++ b/changed
@@ -1 +1,2 @@ somewhere
--- a/other
+++ b/other
+diff --git a/x b/x
@@ -9,2 +10,0 @@
-a
-b
diff --git a/with blank b/with blank
new file mode 100644
index 0..2
--- /dev/null
+++ b/with blank
@@ -0,0 +1 @@
+x
\\ No newline at end of file
diff --git "a/q\\"\\303\\244" "b/q\\"\\303\\244"
deleted file mode 100644
Binary files "a/q\\"\\303\\244" and /dev/null differ
diff --git a/old b/new name
similarity index 100%
rename from old
rename to new name
"""


def file(
    source: str, target: str, *hunks: tuple[int, int, int, int], binary: bool = False, rename: bool = False
) -> Any:
    """
    The dictionary of a file.
    """
    return {
        "source_file": source,
        "target_file": target,
        "is_binary": binary,
        "is_rename": rename,
        "hunks": [dict(zip(("ss", "sl", "ts", "tl"), each, strict=True)) for each in hunks],
    }


EXPECTED = [
    file("changed", "changed", (1, 1, 1, 2), (9, 2, 10, 0)),
    file("/dev/null", "with blank", (0, 0, 1, 1)),
    file('q"\u00e4', "/dev/null", binary=True),
    file("old", "new name", rename=True),
]


class GitDiffInfoTests(SynchronousTestCase):
    """
    Promise 8.6: the differences to a branch.
    """

    def test_arguments(self) -> None:
        """
        What each argument makes of the command, the log and the property; lines of a file are no headers.
        """
        rows: list[tuple[dict[str, Any], str, str]] = [
            ({}, "master", "diffinfo-master"),
            ({"compareToRef": "origin/main"}, "origin/main", "diffinfo-master"),
            ({"dataName": "changed", "workdir": "w", "env": {"A": "1"}}, "master", "changed"),
        ]
        for given, branch, name in rows:
            with self.subTest(given):
                answer = command(f"*diff-info {branch}").exits(0, CHANGED)
                ran = replay(steps.GitDiffInfo(**given), answer)
                self.assertEqual((ran.result, ran.summary), (Result.SUCCESS, "4 files changed"))
                self.assertEqual(json.loads(ran.logs[name]), EXPECTED)
                self.assertEqual(ran.properties[name], EXPECTED)

    def test_many(self) -> None:
        """
        A list that is too long for a property is in the log, and a remark says it.
        """
        many = "".join(f"diff --git a/{i:0100} b/{i:0100}\n" for i in range(1000))
        ran = run(steps.GitDiffInfo(), command().exits(0, many))
        self.assertEqual(len(json.loads(ran.logs["diffinfo-master"])), 1000)
        self.assertNotIn("diffinfo-master", ran.properties)
        self.assertTrue(any("is not set" in each for each in ran.remarks), ran.remarks)

    def test_hostile(self) -> None:
        """
        The number of lines that a hunk claims is not counted to; too many parts are refused.
        """
        claims = f"diff --git a/x b/x\n@@ -1,{'9' * 18} +1 @@\n-a\n"
        ran = run(steps.GitDiffInfo(), command().exits(0, claims))
        self.assertEqual((ran.result, ran.summary), (Result.SUCCESS, "1 file changed"))
        ran = run(steps.GitDiffInfo(), command().exits(0, "diff --git a/x b/x\n" + "@@ -1,0 +1,0 @@\n" * 100_000))
        self.assertEqual((ran.result, list(ran.logs)), (Result.FAILURE, ["stdio"]))
        self.assertIn("100000 parts or more", ran.summary)

    def test_git(self) -> None:
        """
        Real git: changes of the branch itself do not count, and a missing branch is said.
        """
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        repository = GitRepository(os.path.join(directory, "origin"))
        repository.commit(one="1\n2\n3\n", two="2\n")
        repository.git("checkout", "-q", "-b", "side")
        repository.commit(one="1\n3\n4\n", new="x\n")
        repository.git("checkout", "-q", "main")
        repository.commit(two="3\n")
        machine = LocalMachine(os.path.join(directory, "slave"), env=NO_SEARCH_ABOVE)
        self.assertEqual(machine.run(steps.Git(repourl=repository.path, branch="side")), Result.SUCCESS)
        main = repository.git("rev-parse", "main").strip()
        machine.run(steps.ShellCommand(command=["git", "fetch", repository.path, "main"]))
        self.assertEqual(machine.run(steps.GitDiffInfo(compareToRef=main)), Result.SUCCESS, machine.output)
        expected = [file("/dev/null", "new", (0, 0, 1, 1)), file("one", "one", (2, 1, 1, 0), (3, 0, 3, 1))]
        self.assertEqual(machine.view.getProperty("diffinfo-master"), expected)
        missing = steps.GitDiffInfo(compareToRef="none")
        self.assertEqual(machine.run(missing), Result.FAILURE)
        self.assertIn("none", missing.summary)
