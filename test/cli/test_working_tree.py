"""
The patch of a working tree, with real repositories.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.builds.working_tree import WorkingPatch, working_patch
from buildbot_lite.errors import BuildbotLiteError, NotFoundError
from buildbot_lite.model.patch_base import PatchBase

PATH = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
HG, SVN, SVNADMIN = (shutil.which(name, path=PATH) for name in ("hg", "svn", "svnadmin"))
BINARY = bytes(range(256)) * 4


class WorkingTreeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="farm-"))
        self.addCleanup(shutil.rmtree, self.directory)
        identity = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "A"), ("EMAIL", "a@example.org"))
        }
        environment = {
            "PATH": PATH,
            "HOME": self.directory,
            "HGRCPATH": "",
            "HGUSER": "A",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.path.join(self.directory, "gitconfig"),
            **identity,
        }
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        self.addCleanup(patch.stop)

    def run_in(self, where: str, *words: str, stdin: bytes = b"") -> str:
        """
        What a program prints.
        """
        path = os.path.join(self.directory, where)
        done = subprocess.run(words, cwd=path, check=False, capture_output=True, input=stdin)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout.decode().strip()

    def write(self, path: str, data: bytes) -> None:
        """
        Write a file below the directory.
        """
        path = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def files(self, where: str) -> dict[str, bytes]:
        """
        The files of a working tree, without those of version control.
        """
        found = {}
        top = os.path.join(self.directory, where)
        for above, directories, names in os.walk(top):
            directories[:] = [name for name in directories if name not in (".git", ".hg", ".svn")]
            for name in names:
                with open(os.path.join(above, name), "rb") as file:
                    found[os.path.relpath(os.path.join(above, name), top)] = file.read()
        return found

    def patch_of(self, where: str = "tree", base: str | None = None) -> WorkingPatch:
        """
        The patch of that working tree.
        """
        found = working_patch(os.path.join(self.directory, where), base)
        self.addCleanup(found.file.close)
        return found

    def data(self, found: WorkingPatch) -> bytes:
        """
        The bytes of a patch.
        """
        found.file.seek(0)
        return found.file.read()


class GitTreeTests(WorkingTreeCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_in(".", "git", "init", "-q", "-b", "main", "origin")
        for name, data in (("a.c", b"one\ntwo\n"), ("gone", b"x\n"), ("image", BINARY), ("sub/b.c", b"b\n")):
            self.write(f"origin/{name}", data)
        self.write("origin/.gitignore", b"*.o\n")
        self.run_in("origin", "git", "add", ".")
        self.run_in("origin", "git", "commit", "-qm", "first")
        self.run_in(".", "git", "clone", "-q", "origin", "tree")
        self.head = self.run_in("tree", "git", "rev-parse", "HEAD")

    def change(self) -> None:
        """
        Change the tree in all ways.
        """
        self.write("tree/a.c", b"one\nstaged\n")
        self.run_in("tree", "git", "add", "a.c")
        self.write("tree/a.c", b"one\nstaged\nunstaged\n")
        self.write("tree/new/\xe4 b.c", b"new\n")
        self.write("tree/image", BINARY[::-1])
        self.write("tree/other image", b"\0\1\2" * 100)
        self.write("tree/a.o", b"ignored")
        os.unlink(os.path.join(self.directory, "tree/gone"))
        os.chmod(os.path.join(self.directory, "tree/sub/b.c"), 0o755)

    def applies(self, found: WorkingPatch) -> None:
        """
        Check that the patch makes the tree of its base, as a `Git` step applies it.
        """
        self.run_in(".", "git", "clone", "-q", "origin", "farm")
        self.run_in("farm", "git", "checkout", "-q", str(found.base.revision))
        self.run_in("farm", "git", "apply", "--index", "-p1", stdin=self.data(found))
        wanted = self.files("tree")
        wanted.pop("a.o", None)
        self.assertEqual(self.files("farm"), wanted)

    def test_everything(self) -> None:
        """
        Promise 8.3: the patch has what is staged, unstaged, new, binary or deleted, and not what is ignored; the index
        stays as it was.
        """
        self.change()
        before = self.run_in("tree", "git", "status", "--porcelain", "-z")
        with open(os.path.join(self.directory, "tree/.git/index"), "rb") as file:
            index = file.read()
        found = self.patch_of()
        with open(os.path.join(self.directory, "tree/.git/index"), "rb") as file:
            self.assertEqual(file.read(), index)
        self.assertEqual(self.run_in("tree", "git", "status", "--porcelain", "-z"), before)
        self.assertEqual(found.base, PatchBase(self.head, "main"))
        self.assertIn(b"old mode 100644\nnew mode 100755", self.data(found))
        self.applies(found)

    def test_changed_at_once(self) -> None:
        """
        A file that changed in the same instant as git last looked at it, and kept its size, is in the patch: git tells
        by the time of the index (Documentation/technical/racy-git).
        """
        self.run_in("tree", "git", "config", "core.trustctime", "false")
        index, path = (os.path.join(self.directory, "tree", name) for name in (".git/index", "a.c"))
        before = 1_700_000_000 * 10**9
        os.utime(path, ns=(before, before))
        self.run_in("tree", "git", "update-index", "--refresh")
        self.write("tree/a.c", b"one\nTWO\n")
        for each in (index, path):
            os.utime(each, ns=(before, before))
        self.assertIn(b"+TWO", self.data(self.patch_of()))

    def test_local_commits(self) -> None:
        """
        Promise 8.3: commits that the server does not have are in the patch; it applies to the newest that it has, also
        where the branch follows none.
        """
        for branch in ("main", "topic"):
            if branch == "topic":
                self.run_in("tree", "git", "checkout", "-q", "--no-track", "-b", "topic")
            self.write(f"tree/{branch}", b"local\n")
            self.run_in("tree", "git", "add", ".")
            self.run_in("tree", "git", "commit", "-qm", "local")
            self.assertEqual(self.patch_of().base, PatchBase(self.head, "main"), branch)
        self.change()
        self.applies(self.patch_of())

    def test_server_is_ahead(self) -> None:
        """
        What the server has beyond the working tree is not undone by the patch.
        """
        self.write("origin/later", b"x")
        self.run_in("origin", "git", "add", ".")
        self.run_in("origin", "git", "commit", "-qm", "second")
        self.run_in("tree", "git", "fetch", "-q")
        self.write("tree/a.c", b"mine\n")
        found = self.patch_of()
        self.assertEqual(found.base.revision, self.head)
        self.assertNotIn(b"later", self.data(found))

    def test_base(self) -> None:
        """
        --base compares with that commit; an unknown one, also one that looks like an option, is refused.
        """
        self.write("tree/new", b"x\n")
        self.run_in("tree", "git", "add", ".")
        self.run_in("tree", "git", "commit", "-qm", "local")
        self.write("tree/newer", b"y\n")
        local = self.run_in("tree", "git", "rev-parse", "HEAD")
        found = self.patch_of(base="HEAD")
        self.assertEqual(found.base, PatchBase(local))
        self.assertNotIn(b"b/new\n", self.data(found))
        for unknown in ("nothing", "--output=x"):
            with self.assertRaisesRegex(NotFoundError, "There is no commit"):
                self.patch_of(base=unknown)

    def test_settings_of_users(self) -> None:
        """
        Settings for people (colours, other prefixes, external programs) do not reach the patch.
        """
        for name, value in {
            "color.ui": "always",
            "diff.noprefix": "true",
            "diff.mnemonicPrefix": "true",
            "diff.external": "false",
            "diff.relative": "true",
            "core.quotePath": "false",
            "diff.renames": "copies",
        }.items():
            self.run_in(".", "git", "config", "--file", "gitconfig", name, value)
        self.change()
        os.makedirs(os.path.join(self.directory, "tree/sub/deep"))
        found = self.patch_of("tree/sub/deep")
        os.rmdir(os.path.join(self.directory, "tree/sub/deep"))
        self.applies(found)

    def test_linked_tree(self) -> None:
        """
        A linked working tree (git worktree) has a patch of its own.
        """
        self.run_in("tree", "git", "worktree", "add", "-q", "-b", "other", "../linked")
        self.write("linked/new", b"x\n")
        self.assertIn(b"b/new", self.data(self.patch_of("linked")))

    def test_no_remote(self) -> None:
        """
        Without a remote the patch applies to HEAD.
        """
        self.write("origin/new", b"x\n")
        self.assertEqual(self.patch_of("origin").base, PatchBase(self.head))

    def test_nothing(self) -> None:
        """
        An unchanged tree, one without a commit, and a directory that is no working tree are refused.
        """
        with self.assertRaisesRegex(BuildbotLiteError, "There is nothing to try"):
            self.patch_of()
        self.run_in(".", "git", "init", "-q", "empty")
        with self.assertRaisesRegex(BuildbotLiteError, "There is no commit"):
            self.patch_of("empty")
        with self.assertRaisesRegex(NotFoundError, "is not in a working tree"):
            self.patch_of(".")

    def test_no_program(self) -> None:
        """
        Where git is missing, that is said.
        """
        with mock.patch.dict(os.environ, {"PATH": self.directory}), self.assertRaisesRegex(NotFoundError, "not inst"):
            self.patch_of()


class HgTreeTests(WorkingTreeCase):
    if HG is None:
        skip = "hg is not installed"

    def test_everything(self) -> None:
        """
        Promise 8.3: the patch has local commits, changes and added files, binary ones too, from the newest public
        commit on; files that were not added are named.
        """
        self.run_in(".", "hg", "init", "origin")
        self.write("origin/a.c", b"one\n")
        self.run_in("origin", "hg", "commit", "-Am", "first")
        self.run_in(".", "hg", "clone", "-q", "origin", "tree")
        head = self.run_in("tree", "hg", "log", "-r", ".", "-T", "{node}")
        self.write("tree/local", b"x\n")
        self.run_in("tree", "hg", "commit", "-Am", "local")
        self.write("tree/a.c", b"changed\n")
        self.write("tree/image", BINARY)
        self.run_in("tree", "hg", "add", "image")
        self.write("tree/unknown", b"x\n")
        found = self.patch_of()
        self.assertEqual(found.base, PatchBase(head, "default"))
        self.assertEqual(list(found.remarks), ["not in the patch, because they were not added (hg add): unknown"])

        self.run_in(".", "hg", "clone", "-q", "origin", "farm")
        self.run_in("farm", "hg", "import", "--no-commit", "-q", "-", stdin=self.data(found))
        wanted = self.files("tree")
        del wanted["unknown"]
        self.assertEqual(self.files("farm"), wanted)


class SvnTreeTests(WorkingTreeCase):
    if SVN is None or SVNADMIN is None:
        skip = "svn is not installed"

    def test_everything(self) -> None:
        """
        Promise 8.3: the patch has changes and added files, and applies to the checked-out revision; files that were not
        added are named.
        """
        self.run_in(".", "svnadmin", "create", "origin")
        self.run_in(".", "svn", "checkout", "-q", f"file://{self.directory}/origin", "tree")
        self.write("tree/a.c", b"one\n")
        self.run_in("tree", "svn", "add", "-q", "a.c")
        self.run_in("tree", "svn", "commit", "-qm", "first")
        self.run_in("tree", "svn", "update", "-q")
        self.write("tree/a.c", b"changed\n")
        self.write("tree/new", b"new\n")
        self.write("tree/image", BINARY)
        self.run_in("tree", "svn", "add", "-q", "new", "image")
        self.write("tree/unknown", b"x\n")
        found = self.patch_of()
        self.assertEqual(found.base, PatchBase("1"))
        self.assertEqual(list(found.remarks), ["not in the patch, because they were not added (svn add): unknown"])

        self.run_in(".", "svn", "checkout", "-q", f"file://{self.directory}/origin", "farm")
        self.write("patch", self.data(found))
        self.run_in("farm", "svn", "patch", "../patch")
        wanted = self.files("tree")
        del wanted["unknown"]
        self.assertEqual(self.files("farm"), wanted)
