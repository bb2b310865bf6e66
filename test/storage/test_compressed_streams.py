"""
Finished logs in compressed form, readable from any offset.
"""

import os
import subprocess
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FileError, StorageError
from buildbot_lite.storage import compressed_streams
from buildbot_lite.storage.compressed_streams import compress, open_stream

from ..needs import needs

LOG = b"".join(b"line %d of a log that says much the same all the time\n" % n for n in range(30_000))


class CompressedStreamTests(SynchronousTestCase):
    def write(self, data: bytes) -> str:
        """
        The path of a finished stream.
        """
        path = os.path.join(self.mktemp(), "stdio")
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(data)
        return path

    def read(self, path: str, offset: int, size: int) -> bytes:
        """
        The contents according to a new reader.
        """
        stream = open_stream(path)
        try:
            return stream.read(offset, size)
        finally:
            stream.close()

    def test_both_forms(self) -> None:
        """
        Promise 6: a log reads the same before and after its compression, and takes less space after it.
        """
        path = self.write(LOG)
        for _ in ("plain", "compressed"):
            stream = open_stream(path)
            self.assertEqual(stream.length, len(LOG))
            self.assertEqual(stream.read(0, len(LOG) + 1), LOG)
            self.assertEqual(stream.read(len(LOG) - 5, 100), LOG[-5:])
            self.assertEqual(stream.read(len(LOG), 100), b"")
            stream.close()
            compress(path)

        self.assertEqual(os.listdir(os.path.dirname(path)), ["stdio.zst"])
        self.assertLess(os.path.getsize(path + compressed_streams.SUFFIX), len(LOG) // 5)

    @given(
        st.binary(min_size=1, max_size=9000),
        st.integers(1, 3000),
        st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), max_size=10),
    )
    def test_any_range(self, data: bytes, frame: int, ranges: list[tuple[int, int]]) -> None:
        """
        Any range of bytes of any log reads as before compression, for any size of frames.
        """
        self.patch(compressed_streams, "SMALLEST_COMPRESSED", 0)
        path = self.write(data)
        compress(path, frame=frame)
        stream = open_stream(path)
        for offset, size in ranges:
            self.assertEqual(stream.read(offset, size), data[offset : offset + size])
        stream.close()

    def test_one_frame_for_the_end(self) -> None:
        """
        Reading the end of a log reads only its last frame.
        """
        path = self.write(LOG)
        compress(path)
        read: list[int] = []
        pread = os.pread

        def counting(descriptor: int, size: int, offset: int) -> bytes:
            read.append(size)
            return pread(descriptor, size, offset)

        stream = open_stream(path)
        self.patch(os, "pread", counting)
        self.assertEqual(stream.read(len(LOG) - 80, 80), LOG[-80:])
        self.assertEqual(len(read), 1)
        self.assertLess(read[0], compressed_streams.FRAME)
        self.assertEqual(stream.read(len(LOG) - 160, 80), LOG[-160:-80])
        self.assertEqual(len(read), 1)

    def test_not_there(self) -> None:
        """
        A stream without any byte has no file, and reads as empty.
        """
        stream = open_stream(self.mktemp())

        self.assertEqual((stream.length, stream.read(0, 10)), (0, b""))
        stream.close()

    def test_small(self) -> None:
        """
        A small file stays uncompressed; a missing file is not created.
        """
        path = self.write(b"abc")

        self.assertFalse(compress(path))
        self.assertFalse(compress(path + " that is not there"))
        self.assertEqual(os.listdir(os.path.dirname(path)), ["stdio"])

    def test_growing(self) -> None:
        """
        The reader of a growing stream sees its new bytes.
        """
        path = self.write(b"abc")
        stream = open_stream(path)
        with open(path, "ab") as file:
            file.write(b"def")

        self.assertEqual((stream.length, stream.read(0, 10)), (6, b"abcdef"))
        stream.close()

    def test_open_while_compressed(self) -> None:
        """
        A reader continues while its log is compressed.
        """
        path = self.write(LOG)
        stream = open_stream(path)
        compress(path)

        self.assertEqual(stream.read(1000, 10), LOG[1000:1010])
        stream.close()

    def test_crashes(self) -> None:
        """
        After a crash at any point of compression, the log is complete, and the next attempt succeeds.
        """

        def broken(*paths: object) -> None:
            raise ZeroDivisionError

        for name in ("fsync", "rename", "unlink"):
            path = self.write(LOG)
            attempt = self.patch(os, name, broken)
            with self.assertRaises(ZeroDivisionError):
                compress(path)
            attempt.restore()

            self.assertEqual(self.read(path, 0, len(LOG)), LOG, name)
            self.assertTrue(compress(path))
            self.assertEqual(self.read(path, 0, len(LOG)), LOG, name)
            self.assertEqual(os.listdir(os.path.dirname(path)), ["stdio.zst"])

    def test_damaged(self) -> None:
        """
        A damaged file raises an error, and never returns other bytes than the log's.
        """
        path = self.write(LOG)
        compress(path)
        written = path + compressed_streams.SUFFIX
        with open(written, "rb") as file:
            whole = file.read()
        for damaged in (b"", b"x" * 100, whole[:-1], whole[:-9] + b"\xff" * 9, whole[200:], b"x" * 50 + whole[50:]):
            with open(written, "wb") as file:
                file.write(damaged)
            with self.assertRaises(StorageError) as caught:
                self.read(path, 0, 100)
            self.assertIn("damaged", str(caught.exception))

    def test_unreadable(self) -> None:
        """
        Promise 6.6: a log that cannot be read, in either form, raises a `FileError` with its name.
        """
        path = self.write(LOG)
        for _ in range(2):
            reading = compressed_streams.open_stream(path)
            self.addCleanup(reading.close)
            broken = mock.patch(
                "buildbot_lite.storage.compressed_streams.os.pread", side_effect=OSError(5, "Input/output error")
            )
            with broken, self.assertRaises(FileError) as caught:
                reading.read(0, 10)
            self.assertIn("cannot be read: Input/output error", str(caught.exception))
            compress(path)

    @needs("zstd")
    def test_zstd(self) -> None:
        """
        The zstd command gives back the log.
        """
        path = self.write(LOG)
        compress(path)
        plain = subprocess.run(
            ["zstd", "-dc", path + compressed_streams.SUFFIX], stdout=subprocess.PIPE, check=True
        ).stdout

        self.assertEqual(plain, LOG)
