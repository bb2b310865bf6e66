"""
Inputs and artifacts on the disk.
"""

import errno
import hashlib
import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    DiskFullError,
    InputError,
    NotFoundError,
    StorageError,
)
from buildbot_lite.storage.artifacts import ArtifactFile
from buildbot_lite.storage.inputs import InputFile, InputStore

SUM = hashlib.sha256(b"abcdef").hexdigest()


class InputTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A store without inputs.
        """
        self.directory = os.path.join(self.mktemp(), "inputs")
        self.store = InputStore(self.directory, largest=100)

    def test_kept(self) -> None:
        """
        Promise 5: when an input is acknowledged, it is on the disk under its checksum; it can be read from any offset.
        """
        incoming = self.store.receive()
        incoming.write(b"abc")
        incoming.write(b"def")
        self.assertEqual(incoming.length, 6)
        self.assertEqual(incoming.keep(), InputFile(6, SUM))
        incoming.abandon()

        self.assertEqual(os.listdir(self.directory), [SUM])
        self.assertEqual(self.store.read(SUM, 2, 3), b"cde")
        self.assertEqual(self.store.read(SUM, 6, 3), b"")
        self.assertEqual(stat.S_IMODE(os.stat(self.store.path(SUM)).st_mode), 0o600)

    def test_twice(self) -> None:
        """
        The same input twice is stored once, also when both come at the same time.
        """
        both = [self.store.receive(), self.store.receive()]
        for piece in (b"abc", b"def"):
            for each in both:
                each.write(piece)

        self.assertEqual({each.keep() for each in both}, {InputFile(6, SUM)})
        self.assertEqual(os.listdir(self.directory), [SUM])

    def test_empty(self) -> None:
        """
        An empty input is stored.
        """
        kept = self.store.receive().keep()

        self.assertEqual((kept.length, self.store.read(kept.sha256, 0, 10)), (0, b""))

    def test_aborted(self) -> None:
        """
        An aborted upload leaves nothing; after a crash, the next start removes its remains.
        """
        first, second = self.store.receive(), self.store.receive()
        first.write(b"abc")
        second.write(b"abc")
        first.abandon()
        self.assertEqual(len(os.listdir(self.directory)), 1)

        InputStore(self.directory)
        self.assertEqual(os.listdir(self.directory), [])

    def test_too_large(self) -> None:
        """
        An input that is too large is refused with a sentence and deleted.
        """
        incoming = self.store.receive()
        incoming.write(bytes(100))
        with self.assertRaises(InputError) as caught:
            incoming.write(b"x")

        self.assertIn("100 bytes", str(caught.exception))
        self.assertEqual(os.listdir(self.directory), [])

    def test_disk_full(self) -> None:
        """
        On a full disk the submitter gets an error; no file is left, and a later submission can succeed.
        """

        def no_room(descriptor: int, data: bytes) -> int:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

        incoming = self.store.receive()
        failing = self.patch(os, "write", no_room)
        with self.assertRaises(DiskFullError):
            incoming.write(b"abc")
        failing.restore()

        self.assertEqual(os.listdir(self.directory), [])

    def test_no_directory(self) -> None:
        """
        Other errors of storing are raised with a sentence too.
        """
        os.rmdir(self.directory)
        with self.assertRaises(StorageError) as caught:
            self.store.receive().keep()

        self.assertNotIsInstance(caught.exception, DiskFullError)

    def test_unknown(self) -> None:
        """
        An input that does not exist, or has an impossible name, is not found.
        """
        for name in ("0" * 64, "../private", ""):
            with self.assertRaises(NotFoundError):
                self.store.read(name, 0, 10)

    def test_discarded(self) -> None:
        """
        Inputs that nothing needs are removed; needed ones, new ones and those that are being received stay.
        """
        needed, old, new = [self._kept(contents) for contents in (b"needed", b"old", b"new")]
        self.store.receive().write(b"a part")
        for each in (needed, old):
            os.utime(self.store.path(each), (100.0, 100.0))
        self.store.discard_all_but({needed}, 200.0)

        names = os.listdir(self.directory)
        self.assertEqual((needed in names, old in names, new in names, len(names)), (True, False, True, 3))

    def _kept(self, contents: bytes) -> str:
        arriving = self.store.receive()
        arriving.write(contents)
        return arriving.keep().sha256


class ArtifactTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An artifact without any byte yet.
        """
        above = self.mktemp()
        self.directory = os.path.join(above, "1")
        self.path = os.path.join(self.directory, "hello.tar")
        self.incoming = os.path.join(above, ".incoming", "1-0-0")
        self.file = ArtifactFile(self.path, self.incoming)

    def test_named_when_whole(self) -> None:
        """
        An artifact gets its name only when it is complete.
        """
        self.file.append(0, b"abc")
        self.assertEqual((os.path.exists(self.directory), os.path.exists(self.incoming)), (False, True))
        self.assertFalse(self.file.seal(3, SUM))
        self.assertEqual((os.path.exists(self.directory), os.path.exists(self.incoming)), (False, True))
        self.file.append(3, b"def")
        self.assertTrue(self.file.seal(6, SUM))

        self.assertEqual((os.listdir(self.directory), os.path.exists(self.incoming)), (["hello.tar"], False))
        self.assertEqual(self.file.path, os.path.abspath(self.path))
        self.assertEqual(self.file.read(0, 10), b"abcdef")

    def test_after_restart(self) -> None:
        """
        A new process continues with the stored part; a complete artifact is sealed again.
        """
        self.file.append(0, b"abc")
        again = ArtifactFile(self.path, self.incoming)
        self.assertEqual(again.append(3, b"def"), 6)
        self.assertTrue(again.seal(6, SUM))

        third = ArtifactFile(self.path, self.incoming)
        self.assertEqual(third.append(0, b"abcdef"), 6)
        self.assertTrue(third.seal(6, SUM))
        self.assertEqual(os.listdir(self.directory), ["hello.tar"])

    def test_empty(self) -> None:
        """
        An artifact without a byte is an empty file.
        """
        self.assertTrue(self.file.seal(0, hashlib.sha256().hexdigest()))

        self.assertEqual(os.listdir(self.directory), ["hello.tar"])

    def test_sent_again(self) -> None:
        """
        An artifact sent again contains nothing of the first attempt.
        """
        self.file.append(0, b"xyz")
        again = ArtifactFile(self.path, self.incoming + "~1")
        self.assertEqual(again.length, 0)
        again.append(0, b"abcdef")
        self.assertTrue(again.seal(6, SUM))
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), b"abcdef")

    def test_existing_directory(self) -> None:
        """
        If the artifact's name is a directory, sealing raises an error.
        """
        self.file.append(0, b"abcdef")
        os.makedirs(os.path.join(self.path, "x"))
        with self.assertRaises(StorageError):
            self.file.seal(6, SUM)
