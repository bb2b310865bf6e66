"""
The lock of a directory, which one process holds.
"""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DirectoryBusyError
from buildbot_lite.storage.lock import DirectoryLock

PROGRAM = """
import sys
from buildbot_lite.storage.lock import DirectoryLock
lock = DirectoryLock(sys.argv[1], "master")
print("held", flush=True)
sys.stdin.read()
"""


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A master's private directory.
        """
        self.farm = os.path.abspath(self.mktemp())
        self.directory = os.path.join(self.farm, "private")
        os.makedirs(self.directory)

    def test_second(self) -> None:
        """
        Promise 12: a second process in the directory gets an error with a remedy, until the first one releases the
        lock.
        """
        first = DirectoryLock(self.directory, "master")
        with self.assertRaises(DirectoryBusyError) as caught:
            DirectoryLock(self.directory, "master")
        self.assertIn(f"buildbot-lite stop {self.farm}", str(caught.exception))

        first.release()
        first.release()
        DirectoryLock(self.directory, "master").release()

    def test_killed(self) -> None:
        """
        A killed process holds no lock, and no file needs to be removed.
        """
        program = [sys.executable, "-c", PROGRAM, self.directory]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"held\n")
            with self.assertRaises(DirectoryBusyError):
                DirectoryLock(self.directory, "master")
            process.kill()
            process.wait()

        DirectoryLock(self.directory, "master").release()
