"""
Stream files that several followers read together.
"""

import os
import shutil
import tempfile

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage import shared_reading
from buildbot_lite.storage.compressed_streams import (
    StreamReader,
    compress,
    open_stream,
)
from buildbot_lite.storage.shared_reading import BLOCK, SharedStreams


class CountingReader:
    """
    A `StreamReader` that counts the bytes that are read.
    """

    def __init__(self, reader: StreamReader, counts: "SharedReadingTests") -> None:
        self._reading = reader
        self._counts = counts

    @property
    def length(self) -> int:
        return self._reading.length

    def read(self, offset: int, size: int) -> bytes:
        data = self._reading.read(offset, size)
        self._counts.bytes_read += len(data)
        return data

    def close(self) -> None:
        self._counts.closed += 1
        self._reading.close()


class SharedReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory whose opened files are counted.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "log")
        self.bytes_read = 0
        self.closed = 0
        self.patch(shared_reading, "open_stream", lambda path: CountingReader(open_stream(path), self))
        self.shared = SharedStreams(most_blocks=4)

    def write(self, data: bytes) -> None:
        """
        Append *data* to the log.
        """
        with open(self.path, "ab") as file:
            file.write(data)

    def test_read_once(self) -> None:
        """
        Promise 7.5: fifty followers of a growing log read each byte from the disk once, and share the block in memory.
        """
        log = b""
        self.write(b"a")
        followers = [self.shared.open(self.path) for _ in range(50)]
        told = [b""] * len(followers)
        log = b"a"
        for n in range(20):
            more = os.urandom(50_000 + 7919 * n)
            self.write(more)
            log += more
            for at, follower in enumerate(followers):
                while data := follower.read(len(told[at]), BLOCK):
                    told[at] += data

        self.assertEqual(set(told), {log})
        self.assertEqual(self.bytes_read, len(log))
        whole = [follower.read(0, BLOCK) for follower in followers]
        self.assertEqual(len({id(block) for block in whole}), 1)

    def test_compressed(self) -> None:
        """
        Promise 7.5: each frame of a compressed log is decompressed once.
        """
        log = os.urandom(3 * BLOCK + 5)
        self.write(log)
        compress(self.path)
        followers = [self.shared.open(self.path) for _ in range(50)]
        for offset in range(0, len(log), BLOCK):
            for follower in followers:
                self.assertEqual(follower.read(offset, BLOCK), log[offset : offset + BLOCK])

        self.assertEqual(self.bytes_read, len(log))

    def test_bounded(self) -> None:
        """
        A reader that is far behind reads the file again, and the number of blocks in memory is bounded.
        """
        log = os.urandom(10 * BLOCK)
        self.write(log)
        quick, slow = self.shared.open(self.path), self.shared.open(self.path)
        for reader in (quick, slow):
            self.assertEqual(b"".join(reader.read(offset, BLOCK) for offset in range(0, len(log), BLOCK)), log)

        self.assertEqual(self.bytes_read, 2 * len(log))
        self.assertEqual(len(self.shared._blocks), 4)

    def test_closed(self) -> None:
        """
        The file is closed with its last reader, and its blocks are dropped.
        """
        self.write(b"log")
        first, second = self.shared.open(self.path), self.shared.open(self.path)
        self.assertEqual((first.read(0, 9), second.read(0, 9)), (b"log", b"log"))
        first.close()
        first.close()
        self.assertEqual((self.closed, second.read(0, 9)), (0, b"log"))
        second.close()
        self.assertEqual((self.closed, len(self.shared._blocks)), (1, 0))

    def test_not_there_yet(self) -> None:
        """
        A reader that opens a file before it exists does not hide it from later readers.
        """
        early = self.shared.open(self.path)
        self.write(b"log")
        self.assertEqual((early.length, self.shared.open(self.path).read(0, 9)), (0, b"log"))

    @given(
        growth=st.lists(st.integers(1, 2 * BLOCK), min_size=1, max_size=6),
        reads=st.lists(st.tuples(st.integers(0, 6 * BLOCK), st.integers(0, 2 * BLOCK)), max_size=30),
    )
    def test_like_a_file(self, growth: list[int], reads: list[tuple[int, int]]) -> None:
        """
        Reads in any order while the log grows return the file's bytes.
        """
        path = os.path.join(tempfile.mkdtemp(dir=self.directory), "log")
        with open(path, "wb") as file:
            file.write(b"x")
        users = [self.shared.open(path), self.shared.open(path)]
        for n, (offset, size) in enumerate(reads):
            if growth:
                with open(path, "ab") as file:
                    file.write(os.urandom(growth.pop()))
            with open(path, "rb") as file:
                file.seek(offset)
                wanted = file.read(size)
            self.assertEqual(users[n % 2].read(offset, size), wanted)
        for user in users:
            user.close()
