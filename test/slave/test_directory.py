"""
The slave's directory.
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
        Other users can read nothing but the work directory.
        """
        for path in (self.home.private, self.home.keeper, self.home.transfers):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.home.work).st_mode), 0o755)

    def test_name(self) -> None:
        """
        A directory's name is created once; another directory has another.
        """
        name = self.home.name
        self.assertEqual(SlaveDirectory(self.home.directory).name, name)
        self.assertEqual(len(name), 32)
        other = SlaveDirectory(new_directory(self))
        other.make()
        self.assertNotEqual(other.name, name)

    def test_missing(self) -> None:
        """
        A missing directory is an error and is not created: the path was probably mistyped.
        """
        error = self.assertRaises(StorageError, SlaveDirectory("/nowhere/at/all").make)
        self.assertIn("create-slave", str(error))

    def test_lock(self) -> None:
        """
        Promise 12: the second slave in a directory is refused with the remedy; after the first has ended it starts.
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
        Hints are stored for the next process; an empty list changes nothing.
        """
        self.assertEqual(self.home.hints(), ())
        self.home.keep_hints(["tcp:a.example:1", "tcp:b.example:2"])
        self.home.keep_hints([])
        self.assertEqual(SlaveDirectory(self.home.directory).hints(), ("tcp:a.example:1", "tcp:b.example:2"))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.home.private, "hints")).st_mode), 0o600)

    def test_space(self) -> None:
        """
        Free space is that of the work directory's disk, or 0 when that is unknown.
        """
        self.assertGreater(self.home.space(), 0)
        os.rmdir(self.home.work)
        self.assertEqual(self.home.space(), 0)

    def test_facts(self) -> None:
        """
        The facts about this machine fit into `Hello`.
        """
        hello = Hello("h", "i", "k", "b", "0", platform=platform_facts())
        self.assertEqual(Hello.from_bytes(hello.to_bytes()), hello)
        self.assertTrue({"system", "machine", "cpus", "os"} <= set(hello.platform))

    def test_work_directory(self) -> None:
        """
        The facts contain the path of the work directory, unless it is too long for a fact or not printable.
        """
        hello = Hello("h", "i", "k", "b", "0", platform=self.home.facts())
        self.assertEqual(Hello.from_bytes(hello.to_bytes()).platform["work"], os.path.abspath(self.home.work))
        for name in ("x" * 201, "a\nb", os.fsdecode(b"\xff")):
            self.patch(self.home, "work", f"/{name}")
            self.assertNotIn("work", self.home.facts())

    def test_inherited(self) -> None:
        """
        Commands do not inherit the variables that a service manager sets for the slave.
        """
        self.assertEqual(inherited({"PATH": "/bin", "NOTIFY_SOCKET": "/run/x", "LISTEN_FDS": "1"}), {"PATH": "/bin"})
