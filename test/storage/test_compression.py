"""
Compression in a thread of low priority.
"""

import os
import threading
from collections.abc import Callable
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
        Stopping gives up the current log after the frame that is being compressed, and leaves it and the others as they
        are for the next start: a large log does not hold the process up.
        """
        entered, opened = threading.Event(), threading.Event()
        asked: list[bool] = []

        def held(path: str, *, is_wanted: Callable[[], bool]) -> bool:
            def wanted() -> bool:
                entered.set()
                assert opened.wait(60)
                asked.append(is_wanted())
                return asked[-1]

            return compressed_streams.compress(path, frame=1000, is_wanted=wanted)

        self.patch(module, "compress", held)
        paths = [self.write(), self.write()]
        first, second = map(self.compression.add, paths)
        assert entered.wait(60)
        self.compression._stopped = True
        opened.set()

        self.assertEqual((await first, await second), (False, False))
        self.assertEqual(asked, [False])
        for path in paths:
            self.assertTrue(exists(path))
            self.assertFalse(exists(f"{path}.zst.new"))
        self.compression.stop()
        self.compression.stop()
