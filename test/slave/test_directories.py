"""
Walking a directory tree by descriptors.
"""

import os
from contextlib import closing
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.slave import nofollow
from buildbot_lite.slave.nofollow import Walk

from .fakes import new_directory


class WalkTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A walk that starts at a directory with ``a/b/c`` and ``a/d`` below it.
        """
        self.top = new_directory(self)
        for path in ("a/b/c", "a/d"):
            os.makedirs(os.path.join(self.top, path))
        descriptor = os.open(self.top, nofollow.DIRECTORY)
        self.addCleanup(os.close, descriptor)
        self.walk = Walk(descriptor)
        self.addCleanup(self.walk.close)

    def at(self, path: str) -> os.stat_result:
        """
        Return the directory *path*, opened by name.
        """
        return os.stat(os.path.join(self.top, path))

    def to(self, path: str) -> os.stat_result:
        """
        Return the directory *path*, reached by the walk.
        """
        return os.stat(self.walk.to(os.fsencode(path).split(b"/") if path else []))

    def test_anywhere(self) -> None:
        """
        The walk reaches each directory from each other one, whether below, above or beside it.
        """
        for path in ("a/b/c", "a/b", "a/d", "a/d", "", "a", "a/b/c", ""):
            self.assertTrue(os.path.samestat(self.to(path), self.at(path)), path)

    def test_steps(self) -> None:
        """
        In depth-first order each directory costs one step.
        """
        with mock.patch.object(nofollow, "step_into", side_effect=nofollow.step_into) as step:
            for path in ("", "a", "a/b", "a/b/c"):
                self.to(path)
        self.assertEqual([call.args[1] for call in step.call_args_list], [b"a", b"b", b"c"])

    def test_after_a_failure(self) -> None:
        """
        A missing directory raises an error, and the walk continues to the next one.
        """
        self.assertRaises(FileNotFoundError, self.to, "a/b/missing/x")
        self.assertTrue(os.path.samestat(self.to("a/b/c"), self.at("a/b/c")))
        self.assertRaises(FileNotFoundError, self.to, "a/b/c/missing")
        self.assertTrue(os.path.samestat(self.to("a/d"), self.at("a/d")))

    def test_links(self) -> None:
        """
        The walk follows no symbolic link, at any level.
        """
        os.symlink(os.path.join(self.top, "a/b"), os.path.join(self.top, "a/link"))
        for before in ("", "a"):
            self.to(before)
            self.assertRaises(NotADirectoryError, self.to, "a/link/c")

    def test_descriptors(self) -> None:
        """
        The walk holds one descriptor, and none after it is closed.
        """
        before = len(os.listdir("/proc/self/fd"))
        with closing(Walk(self.walk.to([]))) as walk:
            for parts in ([b"a", b"b", b"c"], [b"a", b"d"], []):
                walk.to(parts)
                self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
