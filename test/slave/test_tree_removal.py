"""
Removing trees that commands created: deep, wide, without permissions, and changed meanwhile.
"""

import os
import stat
import unittest
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper import tree_removal
from buildbot_lite.keeper.tree_removal import remove_tree

from .fakes import (
    as_nobody,
    make_deep,
    new_directory,
)


class RemovalTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory to remove entries of, and a file outside of it that must not change.
        """
        self.directory = new_directory(self)
        self.secret = os.path.join(new_directory(self), "secret")
        with open(self.secret, "w") as out:
            out.write("secret")

    def remove(self, name: str = "x") -> None:
        """
        Remove the entry *name* of the directory.
        """
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            remove_tree(os.fsencode(name), directory)
        finally:
            os.close(directory)

    def make(self, path: str) -> str:
        """
        Create the directory *path* below the directory.
        """
        made = os.path.join(self.directory, path)
        os.makedirs(made, exist_ok=True)
        return made

    def make_deep(self, levels: int) -> None:
        """
        Create directories deeper than a system call's longest path, with a file in the lowest.
        """
        here = make_deep(self.make("x"), "deeper", levels)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)

    def test_deep(self) -> None:
        """
        Promise 6.16: a tree deeper than the longest path and the limit of open descriptors is removed.
        """
        self.make_deep(5000)
        self.remove()
        self.assertEqual(os.listdir(self.directory), [])

    def test_descriptors(self) -> None:
        """
        Few descriptors are open at a time, and none afterwards.
        """
        self.make_deep(300)
        before = len(os.listdir("/proc/self/fd"))
        seen = []
        unlink = os.unlink

        def count(name: bytes, *, dir_fd: int) -> None:
            seen.append(len(os.listdir("/proc/self/fd")) - before)
            unlink(name, dir_fd=dir_fd)

        with mock.patch.object(os, "unlink", count):
            self.remove()
        self.assertLessEqual(max(seen), 2 * tree_removal.MOST_OPEN + 3)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_links(self) -> None:
        """
        Links are removed, and their targets stay.
        """
        inside = self.make("x/y")
        os.symlink(os.path.dirname(self.secret), os.path.join(inside, "directory"))
        os.symlink(self.secret, os.path.join(inside, "file"))
        os.symlink("nowhere", os.path.join(inside, "dangling"))
        self.remove()
        self.assertEqual(os.listdir(self.directory), [])
        self.assertTrue(os.path.exists(self.secret))

    def test_files_and_nothing(self) -> None:
        """
        Files, links and FIFOs are removed; removing a missing entry succeeds.
        """
        os.symlink(self.secret, os.path.join(self.directory, "link"))
        os.mkfifo(os.path.join(self.directory, "pipe"))
        for name in ("link", "pipe", "nothing"):
            self.remove(name)
        self.assertEqual(os.listdir(self.directory), [])
        self.assertTrue(os.path.exists(self.secret))

    def test_swapped_for_a_link(self) -> None:
        """
        A directory that is replaced by a link after it was examined is not followed.
        """
        self.make("x/y")
        outside = os.path.dirname(self.secret)
        unlinked = tree_removal._unlinked

        def swap(name: bytes, directory: int) -> bool:
            gone = unlinked(name, directory)
            if name == b"y" and not gone:
                os.rmdir(name, dir_fd=directory)
                os.symlink(outside, name, dir_fd=directory)
            return gone

        with mock.patch.object(tree_removal, "_unlinked", swap):
            error = self.assertRaises(OSError, self.remove)
        self.assertEqual(error.filename, b"x/y")
        self.assertTrue(os.path.exists(self.secret))

    def test_still_written_to(self) -> None:
        """
        Entries that a process adds during the removal are removed, too.
        """
        where = self.make("x/y")
        os.close(os.open(os.path.join(where, "first"), os.O_CREAT))
        more = [f"more{number}" for number in range(50)]
        rmdir = os.rmdir

        def add(name: bytes, *, dir_fd: int) -> None:
            if name == b"y" and more:
                os.close(os.open(os.path.join(where, more.pop()), os.O_CREAT))
            rmdir(name, dir_fd=dir_fd)

        with mock.patch.object(os, "rmdir", add):
            self.remove()
        self.assertEqual(os.listdir(self.directory), [])
        self.assertEqual(more, [])

    def test_names(self) -> None:
        """
        Names that are not UTF-8 are removed as their bytes.
        """
        os.makedirs(os.path.join(os.fsencode(self.directory), b"x", b"\xff\xfe", "ü".encode("latin-1")))
        self.remove()
        self.assertEqual(os.listdir(self.directory), [])

    def test_what_cannot_be_removed(self) -> None:
        """
        The error names the entry that could not be removed, relative to the start of the removal.
        """
        self.make("x/y/z")
        rmdir = os.rmdir

        def busy(name: bytes, *, dir_fd: int) -> None:
            if name == b"z":
                raise OSError(16, "Device or resource busy")
            rmdir(name, dir_fd=dir_fd)

        with mock.patch.object(os, "rmdir", busy):
            error = self.assertRaises(OSError, self.remove)
        self.assertEqual((error.filename, error.strerror), (b"x/y/z", "Device or resource busy"))


@unittest.skipUnless(os.geteuid() == 0, "becomes an ordinary user for a while, which needs root")
class OrdinaryUserTests(SynchronousTestCase):
    def test_locked(self) -> None:
        """
        Promise 6.20: an ordinary user's directories without write permission, as in Go's module cache, or without any
        permission, are removed with their contents.
        """
        directory = new_directory(self)
        os.chmod(directory, 0o777)
        here = os.open(directory, os.O_RDONLY)
        self.addCleanup(os.close, here)
        with as_nobody():
            for mode in (0o555, 0o000, 0o444, 0o222, 0o111):
                inside = os.path.join(directory, "x", oct(mode))
                os.makedirs(os.path.join(inside, "deeper"))
                with open(os.path.join(inside, "file"), "w") as out:
                    out.write("x")
                os.chmod(os.path.join(inside, "deeper"), mode)
                os.chmod(inside, mode)
            os.chmod(os.path.join(directory, "x"), 0o555)
            remove_tree(b"x", here)
        self.assertEqual(os.listdir(directory), [])

    def test_deep_and_locked(self) -> None:
        """
        Directories without permissions are removed, also when they are so deep that the removal moves them up first.
        """
        directory = new_directory(self)
        os.chmod(directory, 0o777)
        here = os.open(directory, os.O_RDONLY)
        self.addCleanup(os.close, here)
        with as_nobody():
            path = os.path.join(directory, "x", *["d"] * (3 * tree_removal.MOST_OPEN))
            os.makedirs(path)
            while path != directory:
                os.chmod(path, 0o500)
                path = os.path.dirname(path)
            remove_tree(b"x", here)
        self.assertEqual(os.listdir(directory), [])

    def test_of_another_user(self) -> None:
        """
        The error names an entry of another user, whose permissions stay unchanged.
        """
        directory = new_directory(self)
        os.chmod(directory, 0o777)
        here = os.open(directory, os.O_RDONLY)
        self.addCleanup(os.close, here)
        with as_nobody():
            os.mkdir(os.path.join(directory, "x"))
        os.makedirs(os.path.join(directory, "x", "roots", "own"), mode=0o755)
        with as_nobody():
            error = self.assertRaises(OSError, remove_tree, b"x", here)
        self.assertEqual((error.filename, error.strerror), (b"x/roots/own", "Permission denied"))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(directory, "x", "roots")).st_mode), 0o755)
