"""
Walking by descriptors.
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
        A walk that begins at a directory with ``a/b/c`` and ``a/d`` below it.
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
        The directory *path*, by its name.
        """
        return os.stat(os.path.join(self.top, path))

    def to(self, path: str) -> os.stat_result:
        """
        The directory *path*, as the walk finds it.
        """
        return os.stat(self.walk.to(os.fsencode(path).split(b"/") if path else []))

    def test_anywhere(self) -> None:
        """
        Each directory is found from each other, whether it is below, above or beside it.
        """
        for path in ("a/b/c", "a/b", "a/d", "a/d", "", "a", "a/b/c", ""):
            self.assertTrue(os.path.samestat(self.to(path), self.at(path)), path)

    def test_steps(self) -> None:
        """
        In the order of a tree each directory costs one step.
        """
        with mock.patch.object(nofollow, "step_into", side_effect=nofollow.step_into) as step:
            for path in ("", "a", "a/b", "a/b/c"):
                self.to(path)
        self.assertEqual([call.args[1] for call in step.call_args_list], [b"a", b"b", b"c"])

    def test_after_a_failure(self) -> None:
        """
        A directory that is not there fails, and the next one is found.
        """
        self.assertRaises(FileNotFoundError, self.to, "a/b/missing/x")
        self.assertTrue(os.path.samestat(self.to("a/b/c"), self.at("a/b/c")))
        self.assertRaises(FileNotFoundError, self.to, "a/b/c/missing")
        self.assertTrue(os.path.samestat(self.to("a/d"), self.at("a/d")))

    def test_links(self) -> None:
        """
        A link is not followed, be it the first step or one from further down.
        """
        os.symlink(os.path.join(self.top, "a/b"), os.path.join(self.top, "a/link"))
        for before in ("", "a"):
            self.to(before)
            self.assertRaises(NotADirectoryError, self.to, "a/link/c")

    def test_descriptors(self) -> None:
        """
        It holds one descriptor, and none when it is closed.
        """
        before = len(os.listdir("/proc/self/fd"))
        with closing(Walk(self.walk.to([]))) as walk:
            for parts in ([b"a", b"b", b"c"], [b"a", b"d"], []):
                walk.to(parts)
                self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
