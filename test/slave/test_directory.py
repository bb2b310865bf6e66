"""
A slave's directory.
"""

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DirectoryBusyError, StorageError
from buildbot_lite.model.hello import Hello
from buildbot_lite.slave.directory import (
    SlaveDirectory,
    inherited,
    platform_facts,
)

from .fakes import new_directory


class SlaveDirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory that was never used.
        """
        self.home = SlaveDirectory(new_directory(self))
        self.home.make()

    def test_private(self) -> None:
        """
        Nobody else may look at anything but the work directory.
        """
        for path in (self.home.private, self.home.keeper, self.home.transfers):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.home.work).st_mode), 0o755)

    def test_name(self) -> None:
        """
        Its name is made once, and another directory has another.
        """
        name = self.home.name
        self.assertEqual(SlaveDirectory(self.home.directory).name, name)
        self.assertEqual(len(name), 32)
        other = SlaveDirectory(new_directory(self))
        other.make()
        self.assertNotEqual(other.name, name)

    def test_missing(self) -> None:
        """
        A directory that is not there is not made: it was probably mistyped.
        """
        error = self.assertRaises(StorageError, SlaveDirectory("/nowhere/at/all").make)
        self.assertIn("create-slave", str(error))

    def test_lock(self) -> None:
        """
        Promise 12: the second slave in a directory is told so, and what to do; when the first is gone it may work.
        """
        self.home.lock()
        second = SlaveDirectory(self.home.directory)
        error = self.assertRaises(DirectoryBusyError, second.lock)
        self.assertIn(f"buildbot-lite stop {self.home.directory}", str(error))
        self.home.unlock()
        self.home.unlock()
        second.lock()
        second.unlock()

    def test_hints(self) -> None:
        """
        Hints are kept for the next process; none at all change nothing.
        """
        self.assertEqual(self.home.hints(), ())
        self.home.keep_hints(["tcp:a.example:1", "tcp:b.example:2"])
        self.home.keep_hints([])
        self.assertEqual(SlaveDirectory(self.home.directory).hints(), ("tcp:a.example:1", "tcp:b.example:2"))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.home.private, "hints")).st_mode), 0o600)

    def test_space(self) -> None:
        """
        Free space is that of the work directory's disk; when that cannot be said, none.
        """
        self.assertGreater(self.home.space(), 0)
        os.rmdir(self.home.work)
        self.assertEqual(self.home.space(), 0)

    def test_facts(self) -> None:
        """
        The facts of this machine fit into a greeting.
        """
        hello = Hello("h", "i", "k", "b", "0", platform=platform_facts())
        self.assertEqual(Hello.from_bytes(hello.to_bytes()), hello)
        self.assertTrue({"system", "machine", "cpus", "os"} <= set(hello.platform))

    def test_inherited(self) -> None:
        """
        Commands do not inherit what a service manager told the slave.
        """
        self.assertEqual(inherited({"PATH": "/bin", "NOTIFY_SOCKET": "/run/x", "LISTEN_FDS": "1"}), {"PATH": "/bin"})
