"""
Compressed files from others.
"""

import io
import lzma
import os

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.storage.archive_input import Bounds, open_archive
from buildbot_lite.storage.xz_input import XzInput
from test.packages.archives import archive

# Compresses zeros to a hundred bytes, and asks for so much memory before the first of them.
GREEDY = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]


def read(data: bytes, size: int = 1000) -> bytes:
    """
    All that is compressed in *data*.
    """
    with XzInput(io.BytesIO(data)) as file:
        return b"".join(iter(lambda: file.read(size), b""))


class XzInputTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        What xz and lzma compressed is read, in pieces of any size; so are several streams, with zeros between them.
        """
        contents = os.urandom(300_000) + bytes(300_000)
        for data in (lzma.compress(contents, preset=9), lzma.compress(contents, lzma.FORMAT_ALONE)):
            for size in (1, 1 << 20) if len(data) < 1000 else (999, 1 << 20):
                self.assertEqual(read(data, size), contents)
        two = lzma.compress(b"one") + bytes(8) + lzma.compress(b"two") + bytes(4)
        self.assertEqual(read(two), b"onetwo")
        self.assertEqual(read(lzma.compress(b"")), b"")

    def test_damaged(self) -> None:
        """
        What is truncated or damaged, at the end too, is no success.
        """
        data = lzma.compress(os.urandom(1000))
        self.assertRaises(EOFError, read, data[:-1])
        self.assertRaises(EOFError, read, data + data[:20])
        self.assertRaises(lzma.LZMAError, read, data[:500] + bytes(10) + data[510:])
        self.assertRaises(lzma.LZMAError, read, data + b"something else")

    def test_memory(self) -> None:
        """
        Promise 9.1: a small file that needs much memory to be unpacked is refused with one sentence.
        """
        data = lzma.compress(archive({"a": bytes(1 << 16)}), filters=GREEDY)
        self.assertLess(len(data), 1000)
        for work in (lambda: read(data), lambda: self._members(data)):
            error = self.assertRaises(InputError, work)
            self.assertIn("needs more than 160 MiB of memory", str(error))

    def _members(self, data: bytes) -> None:
        with open_archive(io.BytesIO(data), Bounds(1 << 30, 10)) as opened:
            list(opened.members())
