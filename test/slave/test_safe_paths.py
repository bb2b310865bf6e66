"""
Paths below work/: symbolic links may point anywhere inside, and never outside.
"""

import errno
import os
import stat
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FileError, UnsafePathError
from buildbot_lite.slave.safe_paths import ResolvedPath, SafePaths

from .fakes import new_directory


class SafePathsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A tree, and a file outside of it that must not change.
        """
        self.outside = new_directory(self)
        self.secret = os.path.join(self.outside, "secret")
        with open(self.secret, "w") as out:
            out.write("secret")
        self.root = os.path.join(new_directory(self), "work")
        self.paths = SafePaths(self.root)
        self.paths.make(".")

    def write(self, path: str, text: str) -> None:
        """
        Write a file of the tree.
        """
        with open(os.path.join(self.root, path), "w") as out:
            out.write(text)

    def read(self, path: str) -> str:
        """
        Return the contents of *path*, opened through the tree.
        """
        with open(self.paths.open_to_read(path)) as opened:
            return opened.read()

    def test_make(self) -> None:
        """
        A directory is created with its parents, readable by others whatever the umask; repeating that is no error.
        """
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        self.assertEqual(self.paths.make("a/b/c").path, os.path.join(self.root, "a/b/c"))
        self.assertEqual(self.paths.make("a/b/c").path, os.path.join(self.root, "a/b/c"))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.root, "a")).st_mode), 0o755)

    def test_make_with_umask(self) -> None:
        """
        Promise 6.23: directories get the umask of builds, whatever the umask of the slave.
        """
        SafePaths(self.root, umask=0o007).make("a/b")
        for path in ("a", "a/b"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.root, path)).st_mode), 0o770)

    def test_make_over_a_file(self) -> None:
        """
        No directory is created where a file exists.
        """
        self.write("a", "")
        self.assertRaises(OSError, self.paths.make, "a/b")

    def test_outside(self) -> None:
        """
        Absolute paths, ".." and links that leave the tree are refused by every operation.
        """
        os.symlink(self.outside, os.path.join(self.root, "out"))
        os.symlink("../../..", os.path.join(self.root, "up"))
        os.symlink(self.secret, os.path.join(self.root, "file"))
        self.paths.make("deep")
        os.symlink("../out", os.path.join(self.root, "deep/indirect"))
        for path in ("/etc/passwd", "../x", "a/../../x", "out/secret", "up/etc/passwd", "file", "deep/indirect/secret"):
            for ask in (
                self.paths.open_to_read,
                self.paths.make,
                self.paths.absolute,
                self.paths.open_directory,
                lambda path: self.paths.open_partial(path, "1"),
                lambda path: self.paths.complete(path, "1"),
            ):
                self.assertRaises(UnsafePathError, ask, path)
        self.assertRaises(UnsafePathError, self.paths.remove, "out/secret")
        self.assertTrue(os.path.exists(self.secret))

    def test_links_inside(self) -> None:
        """
        A link to another place in the tree is followed, relative or absolute.
        """
        self.paths.make("releases/2")
        self.write("releases/2/x.tar", "two")
        os.symlink("releases/2", os.path.join(self.root, "latest"))
        os.symlink(os.path.join(self.root, "latest"), os.path.join(self.root, "newest"))
        os.symlink("../2/x.tar", os.path.join(self.root, "releases/2/same"))
        self.assertEqual(self.read("newest/x.tar"), "two")
        self.assertEqual(self.read("latest/same"), "two")

    def test_circle(self) -> None:
        """
        A cycle of links is refused.
        """
        os.symlink("b", os.path.join(self.root, "a"))
        os.symlink("a", os.path.join(self.root, "b"))
        self.assertRaises(UnsafePathError, self.paths.open_to_read, "a")

    def test_swapped(self) -> None:
        """
        A link that appears after the path was resolved is not followed.
        """
        self.paths.make("a")
        self.write("a/secret", "mine")

        class Swapping(SafePaths):
            def _resolved(self, path: str) -> ResolvedPath:
                parts = super()._resolved(path)
                os.rename(os.path.join(self.root, "a"), os.path.join(self.root, "b"))
                os.symlink(outside, os.path.join(self.root, "a"))
                return parts

        outside = self.outside
        self.assertRaises(OSError, Swapping(self.root).open_to_read, "a/secret")

    def test_no_files(self) -> None:
        """
        Only regular files can be read; a FIFO does not block.
        """
        os.mkfifo(os.path.join(self.root, "fifo"))
        for path in ("fifo", "."):
            self.assertRaises(UnsafePathError, self.paths.open_to_read, path)
        self.paths.make("directory")
        self.assertRaises(UnsafePathError, self.paths.open_to_read, "directory")
        self.assertRaises(FileNotFoundError, self.paths.open_to_read, "nothing")

    def test_partial(self) -> None:
        """
        A partial file replaces the target atomically when it is complete, and no temporary file remains.
        """
        self.paths.make("a")
        self.write("a/x", "old")
        os.close(self.paths.open_partial("a/x", "1"))
        with open(self.paths.open_partial("a/x", "1"), "w") as out:
            out.write("new")
        self.assertEqual(self.read("a/x"), "old")
        self.paths.complete("a/x", "1")
        self.assertEqual(self.read("a/x"), "new")
        self.assertEqual(os.listdir(os.path.join(self.root, "a")), ["x"])

    def test_discard(self) -> None:
        """
        A partial file can be discarded; without one, nothing happens.
        """
        os.close(self.paths.open_partial("a/" + "x" * 255, "1"))
        self.paths.discard("a/" + "x" * 255, "1")
        self.paths.discard("a/" + "x" * 255, "1")
        self.paths.discard("nowhere/x", "1")
        self.assertEqual(os.listdir(os.path.join(self.root, "a")), [])

    def test_remove(self) -> None:
        """
        A directory is removed with its contents, also write-protected ones; removing a missing one is no error.
        """
        self.paths.make("a/b/c")
        self.write("a/b/c/x", "")
        os.symlink(self.outside, os.path.join(self.root, "a/out"))
        os.chmod(os.path.join(self.root, "a/b/c"), 0o555)
        os.chmod(os.path.join(self.root, "a/b"), 0o500)
        self.paths.remove("a")
        self.paths.remove("a")
        self.paths.remove("never/was")
        self.assertEqual(os.listdir(self.root), [])
        self.assertTrue(os.path.exists(self.secret))

    def test_remove_what_cannot_be_removed(self) -> None:
        """
        The error names the entry that could not be removed.
        """
        self.paths.make("a/b/c")
        with (
            mock.patch.object(os, "rmdir", side_effect=OSError(errno.EBUSY, "Device or resource busy")),
            self.assertRaises(FileError) as caught,
        ):
            self.paths.remove("a/b")
        self.assertEqual(str(caught.exception), "'a/b/c' cannot be removed: Device or resource busy.")

    def test_remove_link(self) -> None:
        """
        Removing a link keeps its target.
        """
        os.symlink(self.outside, os.path.join(self.root, "out"))
        self.paths.remove("out")
        self.assertEqual(os.listdir(self.root), [])
        self.assertTrue(os.path.exists(self.secret))

    def test_remove_everything(self) -> None:
        """
        The work directory itself cannot be removed.
        """
        for path in (".", "", "a/.."):
            self.assertRaises(UnsafePathError, self.paths.remove, path)

    def test_root_may_be_a_link(self) -> None:
        """
        The work directory may be a link to another disk; absolute links into that disk count as inside.
        """
        link = os.path.join(new_directory(self), "work")
        os.symlink(self.root, link)
        self.write("x", "here")
        os.symlink(os.path.join(link, "x"), os.path.join(self.root, "y"))
        with open(SafePaths(link).open_to_read("y")) as opened:
            self.assertEqual(opened.read(), "here")
