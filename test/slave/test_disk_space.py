"""
Work directories that no builder uses are removed while a slave's disk has too little space.
"""

import os
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.keeper.tree_removal import remove_tree
from buildbot_lite.model.hello import MOST_REMOVED
from buildbot_lite.slave.disk_space import INTERVAL, DiskSpace
from buildbot_lite.slave.served import ServedDirectories

from .fakes import SimulatedMachine, new_directory

NEEDED = 1000


class DiskSpaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A slave whose disk has no space, and gets *each* bytes back for each directory that is removed.
        """
        self.machine = SimulatedMachine(new_directory(self))
        self.each = 0
        self.space: int | None = 0
        self.idle = True
        self.made: list[str] = []
        self.served = ServedDirectories(os.path.join(self.machine.directory, "served"))
        self.disk = DiskSpace(self.machine.context, served=self.served, free=self.free, idle=lambda: self.idle)

    def free(self) -> int | None:
        return None if self.space is None else self.space + self.each * (len(self.made) - len(self.left()))

    def left(self) -> list[str]:
        return sorted(os.listdir(self.machine.work))

    def make(self, *names: str) -> None:
        """
        Create work directories of builders, with a file in a subdirectory; the first is the oldest.
        """
        self.served.note([each.casefold() for each in names])
        for name in names:
            path = os.path.join(self.machine.work, name)
            os.makedirs(os.path.join(path, "build"))
            with open(os.path.join(path, "build", "file"), "w"):
                pass
            self.made.append(name)
            self.date(name, 1000 + len(self.made))

    def date(self, name: str, seconds: int) -> None:
        for each in (os.path.join(name, "build"), name):
            os.utime(os.path.join(self.machine.work, each), (seconds, seconds))

    def watch(self, *directories: str, reported: int = 0, needed: int = NEEDED) -> Deferred[None]:
        return Deferred.fromCoroutine(self.disk.watch(needed, directories, reported))

    def assert_left(self, *names: str) -> None:
        self.assertEqual(self.left(), sorted(names))

    def test_oldest_first(self) -> None:
        """
        Promise 8.9: the directory that was changed the longest time ago is removed first, and no more than needed; then
        the removal is reported to the master.
        """
        self.make("b", "c", "a", "used")
        self.each = NEEDED // 2
        self.successResultOf(self.watch("used"))
        self.assert_left("a", "used")
        self.assertEqual(self.disk.removed, ("b", "c"))

    def test_newest_entry_counts(self) -> None:
        """
        The date of a directory is that of the newest entry directly in it, such as a checkout's.
        """
        self.make("b", "c")
        self.each = NEEDED
        os.utime(os.path.join(self.machine.work, "b", "build"), (5000, 5000))
        self.successResultOf(self.watch())
        self.assert_left("b")

    def test_used(self) -> None:
        """
        Promise 8.9: a directory of a builder of this slave is never removed, also if its name is a nested path, differs
        in case or Unicode form, or leads through a link; then the slave reports nothing.
        """
        self.make("plain", "nested", "Case", "real", "a\u0308")
        os.symlink("real", os.path.join(self.machine.work, "link"))
        watching = self.watch("plain", "nested/deep/er", "case", "link/x", "\xe4")
        self.assertNoResult(watching)
        self.assert_left("plain", "nested", "Case", "real", "link", "a\u0308")
        self.assertEqual(self.disk.removed, ())

    def test_never_served(self) -> None:
        """
        Promise 8.9: a directory is removed only if an earlier welcome named it as a builder's; this holds also after a
        restart of the slave.
        """
        os.makedirs(os.path.join(self.machine.work, "cache"))
        self.space = NEEDED
        self.assertNoResult(self.watch("served", reported=NEEDED))
        os.makedirs(os.path.join(self.machine.work, "served"))
        self.space = 0
        again = DiskSpace(self.machine.context, served=self.served, free=self.free, idle=lambda: self.idle)
        watching = Deferred.fromCoroutine(again.watch(NEEDED, ("other",), 0))
        self.successResultOf(watching)
        self.assert_left("cache")
        self.assertEqual(again.removed, ("served",))

    def test_unreadable_names(self) -> None:
        """
        When the names cannot be kept, nothing is removed.
        """
        self.make("stale")
        with mock.patch("buildbot_lite.slave.served.write_whole", side_effect=StorageError("full")):
            self.assertNoResult(self.watch("used"))
        self.assert_left("stale")

    def test_many_names(self) -> None:
        """
        The latest names are kept.
        """
        with mock.patch("buildbot_lite.slave.served.MOST_NAMES", 3):
            for names in (("a", "b"), ("c",), ("d", "a")):
                self.served.note(names)
            self.assertEqual(self.served.names(), {"a", "c", "d"})

    def test_only_directories(self) -> None:
        """
        Promise 8.9: links, their targets, files and directories that begin with a dot stay.
        """
        outside = os.path.join(self.machine.directory, "outside")
        os.mkdir(outside)
        os.symlink(outside, os.path.join(self.machine.work, "link"))
        with open(os.path.join(self.machine.work, "file"), "w"):
            pass
        self.make(".shared", "stale")
        os.symlink(outside, os.path.join(self.machine.work, "stale", "inner"))
        with open(os.path.join(outside, "kept"), "w"):
            pass
        self.successResultOf(self.watch())
        self.assert_left("link", "file", ".shared")
        self.assertEqual(os.listdir(outside), ["kept"])

    def test_swapped_for_a_link(self) -> None:
        """
        A directory that becomes a link just before it is removed: the link goes, its target stays.
        """
        self.make("stale", "target")
        self.served.note(["moved"])  # now, because that renames a file
        work, rename = self.machine.work, os.rename

        def swapped(*args: object, **more: object) -> None:
            rename(os.path.join(work, "stale"), os.path.join(work, "moved"))
            os.symlink("target", os.path.join(work, "stale"))
            rename(*args, **more)  # type: ignore[arg-type]  # as they came

        with mock.patch("buildbot_lite.slave.disk_space.os.rename", swapped):
            self.each = NEEDED
            watching = self.watch("target", "moved")
        self.assertTrue(os.path.exists(os.path.join(work, "target", "build", "file")))
        self.assert_left("target", "moved")
        self.successResultOf(watching)

    def test_not_said(self) -> None:
        """
        Promise 8.9: when the welcome has no list of directories, or one that cannot be understood, nothing is removed.
        """
        self.make("stale")
        for directories in (None, ("..",), ("/etc",), (".",), ("b", "a/../..")):
            self.assertNoResult(Deferred.fromCoroutine(self.disk.watch(NEEDED, directories, 0)))
            self.assert_left("stale")

    def test_enough(self) -> None:
        """
        With enough space nothing is removed; when the space becomes too little, the slave attaches again before it
        removes anything.
        """
        self.make("stale")
        self.space = NEEDED
        watching = self.watch(reported=NEEDED)
        self.machine.clock.advance(INTERVAL)
        self.assertNoResult(watching)
        self.space = NEEDED - 1
        self.machine.clock.advance(INTERVAL)
        self.successResultOf(watching)
        self.assert_left("stale")

    def test_enough_again(self) -> None:
        """
        When other users free the space, the slave reports that and removes nothing.
        """
        self.make("stale")
        self.idle = False
        watching = self.watch()
        self.space, self.idle = NEEDED, True
        self.machine.clock.advance(INTERVAL)
        self.successResultOf(watching)
        self.assert_left("stale")

    def test_unknown_space(self) -> None:
        """
        When the free space is unknown, nothing is removed.
        """
        self.make("stale")
        self.space = None
        self.assertNoResult(self.watch())
        self.assert_left("stale")

    def test_busy(self) -> None:
        """
        Promise 8.9: while a command is held nothing is removed; the removal begins when the last command is forgotten.
        """
        self.make("stale")
        self.idle = False
        watching = self.watch()
        self.machine.clock.advance(INTERVAL)
        self.assertNoResult(watching)
        self.assert_left("stale")
        self.idle = True
        self.machine.clock.advance(INTERVAL)
        self.successResultOf(watching)
        self.assert_left()

    def test_one_at_a_time(self) -> None:
        """
        Promise 8.9: the removal of a directory begins when the previous one has ended.
        """
        self.make("b", "c")
        self.machine.busy = True
        watching = self.watch()
        self.assertEqual(len(self.machine.threads), 1)
        self.assertEqual([name for name in self.left() if not name.startswith(".removed-")], ["c"])
        self.machine.busy = False
        self.machine.threads.pop()()
        self.successResultOf(watching)
        self.assert_left()

    def test_interrupted(self) -> None:
        """
        Promise 8.9: an interrupted removal leaves its directory under a name that no builder has.  It is removed after
        the next welcome, even if there is enough space, unless the welcome has no list of directories.
        """
        self.make("stale")
        self.machine.busy = True
        watching = self.watch()
        watching.cancel()
        self.failureResultOf(watching, CancelledError)
        self.assertEqual(self.machine.killed, 1)
        (left,) = self.left()
        self.assertRegex(left, r"\A\.removed-[0-9a-f]{32}\Z")
        self.machine.busy = False
        self.assertNoResult(Deferred.fromCoroutine(self.disk.watch(NEEDED, None, 0)))
        self.assert_left(left)
        self.space = NEEDED
        self.assertNoResult(self.watch(reported=NEEDED))
        self.assert_left()

    def test_failing(self) -> None:
        """
        A directory that cannot be removed is logged and not counted; the next one is removed.
        """
        self.make("b", "c")

        def failing(name: bytes, directory: int) -> None:
            if os.path.exists(os.path.join(self.machine.work, "c")):
                raise PermissionError(1, "Operation not permitted", name)
            remove_tree(name, directory)

        with mock.patch("buildbot_lite.slave.safe_paths.remove_tree", failing):
            self.successResultOf(self.watch())
        self.assertEqual(self.disk.removed, ("c",))

    def test_mount_point(self) -> None:
        """
        A directory that cannot be renamed, such as a mount point, stays, and is tried once.
        """
        self.make("stale")
        with mock.patch("buildbot_lite.slave.disk_space.os.rename", side_effect=OSError(16, "Device or resource busy")):
            self.assertNoResult(self.watch())
        self.assert_left("stale")
        self.assertEqual(self.disk.removed, ())

    def test_bounded(self) -> None:
        """
        The report contains the latest names, a bounded number of them.
        """
        self.make(*(f"b{number:02}" for number in range(MOST_REMOVED + 5)))
        self.successResultOf(self.watch())
        self.assertEqual(self.disk.removed, tuple(f"b{number:02}" for number in range(5, MOST_REMOVED + 5)))
