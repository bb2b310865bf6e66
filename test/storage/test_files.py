"""
Files that are written completely or not at all.
"""

import os
import stat
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, FileError, StorageError
from buildbot_lite.storage import files
from buildbot_lite.storage.files import (
    make_directory,
    read_or_make,
    readable_by_others,
    remove,
    write_whole,
)


def mode_of(path: str) -> int:
    """
    The permission bits of *path*.
    """
    return stat.S_IMODE(os.stat(path).st_mode)


class FilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An empty directory, and a umask of 0.
        """
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.path = os.path.join(self.directory, "buildslave.furls")
        self.addCleanup(os.umask, os.umask(0))

    def contents(self) -> bytes:
        """
        The contents of the file.
        """
        with open(self.path, "rb") as file:
            return file.read()

    def test_created_private(self) -> None:
        """
        Promise 2: only its owner can read a private file, even while it is being written.
        """
        modes: list[int] = []
        write = os.write

        def looking(descriptor: int, data: bytes) -> int:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return write(descriptor, data)

        self.patch(os, "write", looking)
        write_whole(self.path, b"bot1 pb://")

        self.assertEqual((modes, mode_of(self.path)), ([0o600], 0o600))
        self.assertFalse(readable_by_others(self.path))
        os.chmod(self.path, 0o640)
        self.assertTrue(readable_by_others(self.path))

    def test_mode(self) -> None:
        """
        A file has the requested mode, independent of the umask.
        """
        os.umask(0o077)
        write_whole(self.path, b"", mode=0o644)

        self.assertEqual(mode_of(self.path), 0o644)

    def test_replaced_at_once(self) -> None:
        """
        Promise 2: a reader with the old file open reads the old contents to the end; no reader sees a partial file.
        """
        write_whole(self.path, b"old")
        with open(self.path, "rb") as old:
            write_whole(self.path, b"new")
            self.assertEqual(old.read(), b"old")

        self.assertEqual(self.contents(), b"new")
        self.assertEqual(os.listdir(self.directory), ["buildslave.furls"])

    def test_failed_write(self) -> None:
        """
        When a write fails, the old file stays, and no partial file is left.
        """
        write_whole(self.path, b"old")

        def no_room(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        failing = self.patch(os, "fsync", no_room)
        with self.assertRaises(DiskFullError):
            write_whole(self.path, b"new")
        failing.restore()

        self.assertEqual(self.contents(), b"old")
        self.assertEqual(os.listdir(self.directory), ["buildslave.furls"])

    def test_directory_replaced(self) -> None:
        """
        Promise 10.7: a file is written into the directory that was opened, also when a link takes its place meanwhile;
        a link that was there before is refused where it is not wanted.
        """
        elsewhere, moved = f"{self.directory}-elsewhere", f"{self.directory}-moved"
        os.mkdir(elsewhere)
        write = os.write

        def replacing(descriptor: int, data: bytes) -> int:
            os.rename(self.directory, moved)
            os.symlink(os.path.abspath(elsewhere), self.directory)
            return write(descriptor, data)

        patched = self.patch(os, "write", replacing)
        write_whole(self.path, b"secret", follow=False)
        patched.restore()
        self.assertEqual((os.listdir(moved), os.listdir(elsewhere)), (["buildslave.furls"], []))
        for refused in (lambda: write_whole(self.path, b"x", follow=False), lambda: remove(self.path, follow=False)):
            self.assertIn("is a link, and must be a directory", str(self.assertRaises(FileError, refused)))
        write_whole(self.path, b"wanted")
        remove(self.path)
        self.assertEqual(os.listdir(elsewhere), [])

    def test_left_behind(self) -> None:
        """
        A partial file of a crashed attempt is replaced; a link in its place is not followed.
        """
        os.symlink("elsewhere", os.path.join(self.directory, ".buildslave.furls.new"))
        write_whole(self.path, b"new")

        self.assertEqual(os.listdir(self.directory), ["buildslave.furls"])

    def test_no_directory(self) -> None:
        """
        A file that cannot be written raises an error with its name.
        """
        with self.assertRaises(StorageError) as caught:
            write_whole(os.path.join(self.path, "x"), b"")

        self.assertIn("buildslave.furls/x", str(caught.exception))

    def test_made_once(self) -> None:
        """
        A missing file is created once; later calls return the same contents.
        """
        self.assertEqual(read_or_make(self.path, lambda: b"first"), b"first")
        self.assertEqual(read_or_make(self.path, lambda: b"second"), b"first")

    def test_directories(self) -> None:
        """
        A directory is created private, with its parents; an existing one stays unchanged.
        """
        path = os.path.join(self.directory, "farm", "private")
        make_directory(path)
        self.assertEqual(mode_of(path), 0o700)
        os.chmod(path, 0o755)
        make_directory(path)
        self.assertEqual(mode_of(path), 0o755)

        write_whole(self.path, b"")
        with self.assertRaises(StorageError):
            make_directory(self.path)

    def test_removed(self) -> None:
        """
        Removing a missing file succeeds.
        """
        write_whole(self.path, b"")
        remove(self.path)
        remove(self.path)

        self.assertEqual(os.listdir(self.directory), [])

    def test_imports(self) -> None:
        """
        The module needs neither SQLAlchemy nor Twisted, because slaves use it.
        """
        program = (
            f"import sys, {files.__name__}; "
            "sys.exit(bool({'sqlalchemy', 'twisted', 'backports', 'alembic'} & set(sys.modules)))"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", program], check=False).returncode, 0)
