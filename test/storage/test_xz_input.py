"""
Compressed files from others.
"""

import io
import lzma
import os
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.storage import xz_input
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

    def test_streams(self) -> None:
        """
        Promise 9.1: streams are bounded in number, also empty ones; what follows one is not copied for each.
        """
        empty = lzma.compress(b"")
        most = empty * (xz_input.MOST_STREAMS - 1)
        self.assertEqual(read(most + lzma.compress(b"last")), b"last")
        error = self.assertRaises(InputError, read, most + empty + empty)
        self.assertIn("more than 10,000 streams", str(error))
        left = []
        make = xz_input._stream

        def streams() -> Any:
            left.append(make())
            return left[-1]

        with mock.patch.object(xz_input, "_stream", streams):
            read(empty * 5000)
        self.assertLess(sum(len(each.unused_data) for each in left), 5000 * 1024)

    def test_pieces(self) -> None:
        """
        Streams and their padding may begin and end anywhere in the pieces that are read.
        """
        parts = [bytes([65 + number]) * (number * 700) for number in range(40)]
        data = b"".join(lzma.compress(each) + bytes(4 * (len(each) % 5)) for each in parts)
        random = lzma.compress(os.urandom(5000))
        for piece in (1, 7, 64, 1 << 18):
            with mock.patch.object(xz_input, "_PIECE", piece):
                self.assertEqual(read(data, 100), b"".join(parts))
                self.assertEqual(read(random + data)[5000:], b"".join(parts))
                self.assertRaises(EOFError, read, data + random[:-1])

    def _members(self, data: bytes) -> None:
        with open_archive(io.BytesIO(data), Bounds(1 << 30, 10)) as opened:
            list(opened.members())
