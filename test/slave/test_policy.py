"""
The policy that slave.tac sets for commands.
"""

import errno
import os
import shutil
import tarfile
import tempfile
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    ConfigError,
    FileError,
    UnsafePathError,
)
from buildbot_lite.slave.directory import SlaveDirectory
from buildbot_lite.slave.file_jobs import perform, unpack_job
from buildbot_lite.slave.policy import Policy
from buildbot_lite.slave.safe_paths import SafePaths
from buildbot_lite.storage.archive_input import Bounds

from .fakes import make_deep, new_directory

ENVIRONMENT = {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "LC_TIME": "C", "TOKEN": "x", "NOTIFY_SOCKET": "x"}
USER = "nobody"


class PolicyTests(SynchronousTestCase):
    def test_no_policy(self) -> None:
        """
        Without a policy, commands run as the slave's user, with its environment except for the service manager's
        variables.
        """
        policy = Policy.of()
        self.assertEqual((policy.words, policy.owner_of_files, policy.directories), ([], None, ()))
        self.assertEqual(sorted(policy.inherited(ENVIRONMENT)), ["HOME", "LC_ALL", "LC_TIME", "PATH", "TOKEN"])

    def test_environment(self) -> None:
        """
        Promise 16: only the named variables are passed on.
        """
        policy = Policy.of(environment=["PATH", "LC_*", "NOTIFY_SOCKET", "NONE"])
        self.assertEqual(policy.inherited(ENVIRONMENT), {"PATH": "/bin", "LC_ALL": "C", "LC_TIME": "C"})
        self.assertEqual(Policy.of(environment=[]).inherited(ENVIRONMENT), {})

    def test_wrapper(self) -> None:
        """
        The wrapper's program is looked up once, so a command's PATH has no influence on it.
        """
        self.assertEqual(Policy.of(wrapper=["nice", "-n", "{id}"]).words, [shutil.which("nice"), "-n", "{id}"])

    def test_user(self) -> None:
        """
        Promise 16: commands run as the configured user, with that user's home.
        """
        if os.geteuid() != 0:
            error = self.assertRaises(ConfigError, Policy.of, user=USER)
            self.assertIn("Only root can run commands as", str(error))
            return
        policy = Policy.of(user=USER, wrapper=["env"])
        self.assertEqual(policy.words[0], shutil.which("setpriv"))
        self.assertEqual(policy.words[-1], shutil.which("env"))
        self.assertEqual(policy.inherited(ENVIRONMENT)["USER"], USER)
        self.assertNotEqual(policy.inherited(ENVIRONMENT)["HOME"], "/root")

    def test_mistakes(self) -> None:
        """
        Promise 16: a policy that cannot be applied is an error in one sentence, and nothing starts.
        """
        mistakes: list[tuple[dict[str, Any], str]] = [
            ({"user": "no-such-user"}, "no user 'no-such-user'"),
            ({"directories": "/srv"}, "must be a list"),
            ({"umask": 0o100}, "umask in slave.tac is 64: give an octal number"),
            ({"umask": "022"}, "umask in slave.tac is '022'"),
            ({"umask": True}, "umask in slave.tac is True"),
            ({"umask": -1}, "umask in slave.tac is -1"),
            ({"directories": ["srv"]}, "absolute"),
            ({"directories": ["/"]}, "not all of them"),
            ({"directories": ["/no/such"]}, "not a directory"),
            ({"environment": "PATH"}, "must be a list"),
            ({"environment": ["*"]}, "names of variables"),
            ({"environment": ["A=b"]}, "names of variables"),
            ({"wrapper": "bwrap"}, "must be a list"),
            ({"wrapper": ["no-such-program"]}, "is not a program on this machine"),
            ({"wrapper": ["./env"]}, "is not a program on this machine"),
            (
                {"wrapper": ["env", "{builder}"]},
                "{builder}, but only these are replaced: {workdir}, {work}, {private}, {id}",
            ),
            ({"wrapper": ["env", ""]}, "not empty"),
        ]
        if os.geteuid() == 0:
            mistakes.append(({"user": "root"}, "may do everything"))
        for policy, sentence in mistakes:
            self.assertIn(sentence, str(self.assertRaises(ConfigError, Policy.of, **policy)))

    def test_programs_are_found_once(self) -> None:
        """
        Promise 16: a command cannot replace the wrapper's program, also when PATH contains the current directory.
        """
        directory = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory)
        for name in ("wrapper", "setpriv"):
            with open(name, "w") as program:
                os.fchmod(program.fileno(), 0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f".:{os.environ['PATH']}"})
        self.assertEqual(Policy.of(wrapper=["wrapper", "x"]).words, [os.path.join(directory, "wrapper"), "x"])
        if os.geteuid() == 0:
            self.assertEqual(Policy.of(user=USER).words[0], os.path.join(directory, "setpriv"))


class OwnerTests(SynchronousTestCase):
    """
    The owner of files of a slave that runs as root, with commands that run as another user.
    """

    if os.geteuid() != 0:
        skip = "only root can give files away"

    def setUp(self) -> None:
        """
        A slave's directory.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.policy = Policy.of(user=USER)
        self.owner = self.policy.owner_of_files

    def test_made_for_the_user(self) -> None:
        """
        Promise 16: directories, downloads and unpacked files belong to the commands' user.
        """
        paths = SafePaths(os.path.join(self.directory, "work"), owner=self.owner)
        paths.make("a/b")
        os.close(paths.open_partial("c/file", "x"))
        paths.complete("c/file", "x")
        archive = os.path.join(self.directory, "archive")
        with tarfile.open(archive, "w") as made:
            made.addfile(tarfile.TarInfo("d/e/f"))
            link = tarfile.TarInfo("d/link")
            link.type, link.linkname = tarfile.SYMTYPE, "e/f"
            made.addfile(link)
        perform(unpack_job(paths, "a", archive, os.path.join(self.directory, "staged"), bounds=Bounds(1 << 20, 10)))
        for path in ("a", "a/b", "c", "c/file", "a/d", "a/d/e", "a/d/e/f", "a/d/link"):
            status = os.lstat(os.path.join(self.directory, "work", path))
            self.assertEqual((status.st_uid, status.st_gid), self.owner, path)

    def test_reach(self) -> None:
        """
        A directory that the commands' user cannot enter is an error with the remedy.
        """
        home = SlaveDirectory(self.directory)
        home.make()
        assert self.owner is not None
        home.share(self.owner)
        sentence = self.policy.why_unreachable(home.work)
        self.assertIn(f"chmod o+x {self.directory}", sentence or "")
        os.chmod(self.directory, 0o711)
        self.assertIs(self.policy.why_unreachable(home.work), None)
        self.assertEqual(os.stat(home.private).st_mode & 0o777, 0o700)


class DirectoriesTests(SynchronousTestCase):
    """
    Allowed directories outside of ``work``.
    """

    def setUp(self) -> None:
        """
        An allowed directory, a forbidden one, and links to both.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("work", "cache", "cache-private"):
            os.mkdir(os.path.join(self.directory, name))
            os.symlink(os.path.join(self.directory, name), os.path.join(self.directory, "work", f"to-{name}"))
        policy = Policy.of(directories=[os.path.join(self.directory, "cache")])
        self.paths = SafePaths(os.path.join(self.directory, "work"), beyond=policy.directories)

    def test_within(self) -> None:
        """
        Promise 16: links lead to the directories that slave.tac names, and nowhere else.
        """
        place = self.paths.make("to-cache/deep")
        self.assertEqual(place, (os.fsencode(os.path.join(self.directory, "cache")), [b"deep"]))
        self.assertTrue(os.path.isdir(os.path.join(self.directory, "cache/deep")))
        for path in ("to-cache-private", "to-cache-private/x"):
            self.assertRaises(UnsafePathError, self.paths.make, path)

    def test_not_out_again(self) -> None:
        """
        Promise 16: links in an allowed directory, and "..", do not leave it.
        """
        os.symlink("..", os.path.join(self.directory, "cache/up"))
        os.symlink("/etc", os.path.join(self.directory, "cache/etc"))
        for path in ("to-cache/up", "to-cache/up/cache-private", "to-cache/etc/passwd"):
            self.assertRaises(UnsafePathError, self.paths.absolute, path)
        os.symlink(os.path.join(self.directory, "work"), os.path.join(self.directory, "cache/back"))
        self.assertEqual(self.paths.absolute("to-cache/back/x"), os.path.join(self.directory, "work/x"))


class MergeTests(SynchronousTestCase):
    """
    Merging a staged directory into its place.
    """

    def setUp(self) -> None:
        """
        A staged directory, and a directory to merge it into.
        """
        self.directory = new_directory(self)
        self.paths = SafePaths(os.path.join(self.directory, "work"))
        self.paths.make("into")
        self.staged = os.path.join(self.directory, "staged")
        os.makedirs(os.path.join(self.staged, "sub"))
        for name in ("sub/new", "file"):
            with open(os.path.join(self.staged, name), "w") as file:
                file.write(name)

    def merge(self) -> None:
        """
        Merge.
        """
        staged = os.open(self.staged, os.O_RDONLY)
        try:
            self.paths.merge(staged, "into")
        finally:
            os.close(staged)

    def path(self, name: str) -> str:
        """
        Return a path in the directory.
        """
        return os.path.join(self.directory, "work/into", name)

    def test_over_what_is_there(self) -> None:
        """
        Files of the same names are replaced, others stay.
        """
        self.paths.make("into/sub")
        for name in ("sub/old", "file"):
            with open(self.path(name), "w") as file:
                file.write("old")
        self.merge()
        contents = {}
        for name in ("sub/old", "sub/new", "file"):
            with open(self.path(name)) as file:
                contents[name] = file.read()
        self.assertEqual(contents, {"sub/old": "old", "sub/new": "sub/new", "file": "file"})

    def test_links(self) -> None:
        """
        Promise 16: nothing is written through a link that a command created in the target.
        """
        outside = os.path.join(self.directory, "outside")
        os.mkdir(outside)
        os.symlink(outside, self.path("sub"))
        os.symlink(os.path.join(outside, "target"), self.path("file"))
        error = self.assertRaises(FileError, self.merge)
        self.assertIn("'sub' cannot be moved to its place", str(error))
        os.unlink(self.path("sub"))
        self.merge()
        self.assertEqual(os.listdir(outside), [])
        self.assertFalse(os.path.islink(self.path("file")))

    def test_deep(self) -> None:
        """
        Both trees may be deep; new entries are added at the lowest level.
        """
        os.close(make_deep(self.path("."), "d", 1500))
        lowest = make_deep(self.staged, "d", 1500)
        os.mkdir("new", dir_fd=lowest)
        os.close(lowest)
        self.merge()
        self.assertEqual(os.listdir(self.path(os.path.join(*["d"] * 1500))), ["new"])

    def test_in_the_way(self) -> None:
        """
        A file does not replace a directory, nor a directory a file; the error names the entry.
        """
        self.paths.make("into/file")
        error = self.assertRaises(FileError, self.merge)
        self.assertEqual(str(error), "'file' cannot be moved to its place: Is a directory.")

    def test_on_another_disk(self) -> None:
        """
        Entries that cannot be renamed to another disk are copied, with contents, permissions and links.
        """
        os.chmod(os.path.join(self.staged, "file"), 0o755)
        os.symlink("new", os.path.join(self.staged, "sub/link"))
        with mock.patch.object(os, "rename", side_effect=OSError(errno.EXDEV, "Invalid cross-device link")):
            self.merge()
        with open(self.path("sub/new")) as file:
            self.assertEqual(file.read(), "sub/new")
        self.assertEqual(os.readlink(self.path("sub/link")), "new")
        self.assertTrue(os.access(self.path("file"), os.X_OK))
