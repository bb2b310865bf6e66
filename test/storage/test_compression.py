"""
Compression in a thread of low priority.
"""

import os
import threading
from typing import cast

from twisted.internet import reactor  # noqa: TID251 - its threads answer through a real one
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from buildbot_lite.storage import compressed_streams
from buildbot_lite.storage import compression as module
from buildbot_lite.storage.compressed_streams import open_stream
from buildbot_lite.storage.compression import Compression


def exists(path: str) -> bool:
    """
    Whether *path* exists.
    """
    return os.path.exists(path)


class CompressionTests(TestCase):
    def setUp(self) -> None:
        """
        A thread without work.
        """
        self.compression = Compression(cast(IReactorFromThreads, reactor))
        self.addCleanup(self.compression.stop)

    def write(self) -> str:
        """
        The path of a finished log.
        """
        path: str = self.mktemp()
        with open(path, "wb") as file:
            file.write(bytes(10_000))
        return path

    async def test_compressed(self) -> None:
        """
        A finished log is compressed; a missing file is not an error.
        """
        path = self.write()

        self.assertTrue(await self.compression.add(path))
        self.assertFalse(await self.compression.add(path))
        self.assertFalse(exists(path))
        self.assertEqual(open_stream(path).read(0, 20_000), bytes(10_000))

    async def test_failure(self) -> None:
        """
        A file that cannot be compressed is logged and stays unchanged; the next files are compressed.
        """
        path = self.write()
        os.mkdir(path + ".zst.new")

        self.assertFalse(await self.compression.add(path))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertTrue(exists(path))
        self.assertTrue(await self.compression.add(self.write()))

    async def test_stop(self) -> None:
        """
        Stopping finishes the current log, and leaves the others for the next start.
        """
        entered, opened = threading.Event(), threading.Event()

        def held(path: str) -> bool:
            entered.set()
            assert opened.wait(60)
            return compressed_streams.compress(path)

        self.patch(module, "compress", held)
        first, second = self.compression.add(self.write()), self.compression.add(self.write())
        assert entered.wait(60)
        self.compression._stopped = True
        opened.set()

        self.assertEqual((await first, await second), (True, False))
        self.compression.stop()
        self.compression.stop()
