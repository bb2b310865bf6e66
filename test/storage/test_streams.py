"""
The master's copy of a stream.
"""

import errno
import hashlib
import os
import stat

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, StorageError
from buildbot_lite.storage import compressed_streams, streams
from buildbot_lite.storage.artifacts import ArtifactFile
from buildbot_lite.storage.streams import StreamFile, seal_stream

EVERY_BYTE = bytes(range(256))


def sha256_of(data: bytes) -> str:
    """
    The SHA-256 of *data*.
    """
    return hashlib.sha256(data).hexdigest()


class StreamFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A stream without any byte.
        """
        self.path = os.path.join(self.mktemp(), "7", "stdio")
        self.file = self.open()

    def open(self) -> StreamFile:
        """
        Open the stream as a new process does.
        """
        file = StreamFile(self.path)
        self.addCleanup(file.close)
        return file

    def contents(self) -> bytes:
        """
        The contents of the file.
        """
        with open(self.path, "rb") as file:
            return file.read()

    def test_private(self) -> None:
        """
        Promise 6.18: with any umask, logs, artifacts and their directories are private, also empty and compressed ones.
        """
        self.addCleanup(os.umask, os.umask(0))
        farm = os.path.join(self.mktemp(), "farm")
        artifacts = os.path.join(farm, "artifacts", "b")
        for file, data in (
            (StreamFile(os.path.join(farm, "streams", "0", "7", "stdio")), b"line\n" * 10_000),
            (ArtifactFile(f"{artifacts}/1/app", f"{artifacts}/.incoming/1"), b"line\n" * 10_000),
            (ArtifactFile(f"{artifacts}/2/deep/empty", f"{artifacts}/.incoming/2"), b""),
        ):
            file.append(0, data)
            self.assertTrue(file.seal(len(data), sha256_of(data)))
        self.assertTrue(compressed_streams.compress(os.path.join(farm, "streams", "0", "7", "stdio")))

        modes = {
            os.path.relpath(os.path.join(above, name), farm): stat.S_IMODE(os.stat(os.path.join(above, name)).st_mode)
            for above, directories, files in os.walk(farm)
            for name in directories + files
        }
        directories = ("streams", "streams/0", "streams/0/7", "artifacts", "artifacts/b", "artifacts/b/1")
        more = ("artifacts/b/.incoming", "artifacts/b/2", "artifacts/b/2/deep")
        files = ("streams/0/7/stdio.zst", "artifacts/b/1/app", "artifacts/b/2/deep/empty")
        self.assertEqual(modes, {**dict.fromkeys((*directories, *more), 0o700), **dict.fromkeys(files, 0o600)})

    def test_created_at_first_byte(self) -> None:
        """
        There is no file or directory before the first byte; a stream without any byte can be sealed.
        """
        self.assertEqual(self.file.append(0, b""), 0)
        self.assertEqual(self.file.read(0, 10), b"")
        self.assertTrue(self.file.seal(0, sha256_of(b"")))

        self.assertFalse(os.path.exists(os.path.dirname(self.path)))

    def test_appended(self) -> None:
        """
        Promise 6: appended bytes are stored exactly, and the new length is returned.
        """
        self.assertEqual(self.file.append(0, EVERY_BYTE), 256)
        self.assertEqual(self.file.append(256, b"no newline at the end"), 277)

        self.assertEqual(self.contents(), EVERY_BYTE + b"no newline at the end")
        self.assertEqual(self.file.read(250, 10), EVERY_BYTE[250:] + b"no n")
        self.assertEqual(self.file.read(277, 10), b"")

    def test_overlap(self) -> None:
        """
        Bytes that are stored already are not written again (invariant I2).
        """
        self.file.append(0, b"abcdef")

        self.assertEqual(self.file.append(0, b"XXX"), 6)
        self.assertEqual(self.file.append(3, b"XXXghi"), 9)
        self.assertEqual(self.contents(), b"abcdefghi")

    def test_gap(self) -> None:
        """
        Bytes after a gap are refused, with the present length.
        """
        self.file.append(0, b"abc")

        self.assertEqual(self.file.append(4, b"e"), 3)
        self.assertEqual(self.contents(), b"abc")

    @given(
        st.binary(min_size=1, max_size=300),
        st.lists(st.tuples(st.integers(0, 310), st.integers(0, 60), st.booleans()), max_size=40),
    )
    def test_any_order(self, data: bytes, chunks: list[tuple[int, int, bool]]) -> None:
        """
        In any order of chunks, with repetitions, gaps and restarts, the file is a prefix of the stream and the answer
        is its length (invariant I2).
        """
        path = os.path.join(self.mktemp(), "stdio")
        file = StreamFile(path)
        for offset, size, dies in chunks:
            if dies:
                file.close()
                file = StreamFile(path)
            before = file.length
            answer = file.append(offset, data[offset : offset + size])

            self.assertEqual(answer, file.length)
            self.assertEqual(file.read(0, 1000), data[:answer])
            reached = min(offset + size, len(data))
            self.assertEqual(answer, max(before, reached) if offset <= before else before)
        while file.length < len(data):
            file.append(file.length, data[file.length :][:17])
        self.assertTrue(file.seal(len(data), sha256_of(data)))

    def test_after_restart(self) -> None:
        """
        A new process reads the length from the file, and computes the checksum from it.
        """
        self.file.append(0, EVERY_BYTE)
        again = self.open()
        self.assertEqual(again.length, 256)
        again.append(256, EVERY_BYTE)

        self.assertFalse(self.file.seal(512, sha256_of(EVERY_BYTE * 2)))
        self.assertTrue(again.seal(512, sha256_of(EVERY_BYTE * 2)))

    def test_sealed(self) -> None:
        """
        A sealed stream accepts no more bytes.
        """
        self.file.append(0, b"abc")
        self.assertFalse(self.file.is_sealed)
        self.assertTrue(self.file.seal(3, sha256_of(b"abc")))

        self.assertTrue(self.file.is_sealed)
        self.assertEqual(self.file.append(3, b"d"), 3)
        self.assertEqual(self.contents(), b"abc")
        self.assertEqual(self.file.read(1, 10), b"bc")

    def test_wrong_seal(self) -> None:
        """
        A length or checksum other than the slave's does not seal the stream.
        """
        self.file.append(0, b"abc")

        self.assertFalse(self.file.seal(2, sha256_of(b"ab")))
        self.assertFalse(self.file.seal(3, sha256_of(b"abd")))
        self.assertFalse(self.file.is_sealed)

    def test_shortened(self) -> None:
        """
        A file that another program has truncated cannot be sealed.
        """
        self.file.append(0, b"abcdef")
        again = self.open()
        os.truncate(self.path, 3)

        self.assertFalse(again.seal(6, sha256_of(b"abcdef")))

    def test_synced(self) -> None:
        """
        Bytes and new directories are flushed to the disk before a seal is acknowledged.
        """
        synced: list[str] = []
        fdatasync = os.fdatasync

        def remember(descriptor: int) -> None:
            synced.append("bytes")
            fdatasync(descriptor)

        self.patch(os, "fdatasync", remember)
        self.patch(streams, "sync_directory", synced.append)
        self.file.append(0, b"abc")
        self.file.seal(3, sha256_of(b"abc"))

        directory = os.path.dirname(os.path.abspath(self.path))
        above = os.path.dirname(directory)
        self.assertEqual(synced[:2], ["bytes", directory])
        self.assertEqual(set(synced[2:]), {above, os.path.dirname(above)})

    def test_disk_full(self) -> None:
        """
        On a full disk no acknowledged byte is lost, and appending the same data again continues where it stopped.
        """
        room = 4
        pwrite = os.pwrite

        def little_room(descriptor: int, data: bytes, offset: int) -> int:
            nonlocal room
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = pwrite(descriptor, bytes(data)[:room], offset)
            room -= written
            return written

        self.patch(os, "pwrite", little_room)
        self.assertEqual(self.file.append(0, b"ab"), 2)
        with self.assertRaises(DiskFullError):
            self.file.append(2, b"cdef")
        self.assertEqual(self.contents(), b"abcd")
        with self.assertRaises(DiskFullError):
            self.file.append(2, b"cdef")
        room = 100

        self.assertEqual(self.file.append(2, b"cdef"), 6)
        self.assertTrue(self.file.seal(6, sha256_of(b"abcdef")))

    def test_device_is_full(self) -> None:
        """
        A full device, /dev/full, raises DiskFullError.
        """
        file = StreamFile("/dev/full")
        self.addCleanup(file.close)
        with self.assertRaises(DiskFullError) as caught:
            file.append(0, b"abc")

        self.assertIn("disk is full", str(caught.exception))
        self.assertEqual(file.length, 0)

    def test_unusable(self) -> None:
        """
        A file that cannot be written raises an error with its name.
        """
        os.makedirs(self.path)
        with self.assertRaises(StorageError) as caught:
            self.file.append(0, b"abc")

        self.assertNotIsInstance(caught.exception, DiskFullError)
        self.assertIn("7/stdio", str(caught.exception))

    def test_no_symbolic_link(self) -> None:
        """
        A link in the place of the file is not followed.
        """
        os.makedirs(os.path.dirname(self.path))
        elsewhere = os.path.abspath(self.mktemp())
        os.symlink(elsewhere, self.path)

        with self.assertRaises(StorageError):
            self.file.append(0, b"abc")
        with self.assertRaises(StorageError):
            self.open()
        self.assertFalse(os.path.exists(elsewhere))

    def test_discarded(self) -> None:
        """
        A stream that is sent again contains nothing of the earlier file.
        """
        self.file.discard()
        self.file.append(0, b"abc")
        self.file.discard()

        self.assertFalse(os.path.exists(self.path))


class SealStreamTests(SynchronousTestCase):
    def test_small_at_once(self) -> None:
        """
        A small stream is sealed at once.
        """
        file = StreamFile(self.mktemp())
        file.append(0, b"abc")

        self.assertTrue(self.successResultOf(seal_stream(file, 3, sha256_of(b"abc"), lambda work: Deferred())))

    def test_large_in_a_thread(self) -> None:
        """
        A large file is sealed in a thread, so that the reactor does not wait for the disk.
        """
        file = StreamFile(self.mktemp())
        data = bytes(streams.LARGEST_AT_ONCE + 1)
        file.append(0, data)
        handed = []

        def in_thread(work: object) -> Deferred[bool]:
            handed.append(work)
            return Deferred()

        self.assertNoResult(seal_stream(file, len(data), sha256_of(data), in_thread))
        (work,) = handed
        assert callable(work)
        self.assertTrue(work())
