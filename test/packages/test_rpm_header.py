"""
Headers of RPM files that others than RPM wrote.
"""

import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.formats.rpm_file import epoch_of, read_checked, version_of
from buildbot_lite.packages.formats.rpm_header import LARGEST_SIGNATURES, LEAD_MAGIC, Header, read_header
from buildbot_lite.packages.signer.signable import described

from .archives import TINY_SRPM
from .rpm_files import entry, header, package, raw_header, rpm

NEEDED = [(1000, "hello"), (1001, "2.10"), (1002, "1"), (1022, "x86_64"), (5092, ["0" * 64]), (5093, 8)]
CHAR, INT16, INT32, STRING, BINARY, STRINGS = 1, 3, 4, 6, 7, 8


class HeaderTests(SynchronousTestCase):
    """
    What `read_header` takes is read in one way by all programs.
    """

    def refused(self, data: bytes, *, padded: bool = False) -> str:
        return str(self.assertRaises(InputError, read_header, io.BytesIO(data), padded=padded))

    def test_twice(self) -> None:
        """
        Promise 9.3: a name that is there again, for which RPM takes another value than the first, is refused before it
        is built, signed or published.
        """
        main = header([*NEEDED, (1000, "bash"), (1000, "bash")])
        self.assertIn("the tag 1000 is there twice", self.refused(main))
        for read, data in [(read_checked, io.BytesIO(package(main))), (described, main)]:
            self.assertIn("there twice", str(self.assertRaises(InputError, read, data)))
        self.assertEqual(described(header(NEEDED)), "package hello 2.10-1 x86_64")

    def test_order(self) -> None:
        """
        Tags that are not in their order are refused, and those that have a meaning for the format alone.
        """
        self.assertIn(
            "twice", self.refused(raw_header(entry(1001, STRING, 0, 1) + entry(1000, STRING, 2, 1), b"a\0b\0"))
        )
        self.assertIn("twice", self.refused(raw_header(entry(63, STRING, 0, 1), b"a\0")))

    def test_places(self) -> None:
        """
        Promise 9.3: values that overlap, lie outside, are not aligned, do not end, are none or of no known kind, are
        refused.
        """
        for index, store, why in [
            (entry(1000, STRING, 0, 1) + entry(1001, STRING, 0, 1), b"a\0", "outside its place"),
            (entry(1000, BINARY, 0, 8) + entry(1001, BINARY, 4, 8), bytes(12), "outside its place"),
            (entry(1000, STRING, 9, 1), b"a\0", "outside its place"),
            (entry(1003, INT32, 2, 1), bytes(8), "outside its place"),
            (entry(1000, STRING, 0, 1), b"a", "does not end"),
            (entry(1003, INT32, 0, 3), bytes(8), "does not end"),
            (entry(1003, INT32, 0, 1 << 31), bytes(8), "does not end"),
            (entry(1000, STRINGS, 0, 1 << 31), bytes(8), "values"),
            (entry(1000, STRINGS, 0, 0), b"a\0", "0 values"),
            (entry(1000, STRING, 0, 2), b"a\0b\0", "2 values"),
            (entry(1000, 10, 0, 1), bytes(8), "unknown kind 10"),
            (entry(1000, 0, 0, 1), bytes(8), "unknown kind 0"),
        ]:
            self.assertIn(why, self.refused(raw_header(index, store)))

    def test_region(self) -> None:
        """
        Promise 9.3: a header of which the region leaves out tags or values, which RPM does not verify, is refused.
        """
        good = raw_header(entry(1000, STRING, 0, 1), b"a\0")
        self.assertEqual(self.read(good).text(1000), "a")
        end = len(good) - 16
        for wrong in (
            raw_header(entry(1000, STRING, 0, 1), b"a\0", region=62),
            good[:end] + good[end:].replace(b"\xe0", b"\xf0"),  # the trailer's length of the index
            good[:24] + b"\0\0\0\x01" + good[28:],  # where the region ends
            raw_header(b"", b"")[:16].replace(b"\0\0\0\x01", bytes(4)) + bytes(16),
            b"\x8e\xad\xe8\x01" + bytes(12),
        ):
            self.assertIn("not one region", self.refused(wrong))

    def test_kinds(self) -> None:
        """
        Promise 9.3: a name, version, release, architecture or epoch of another kind or number than RPM's own is
        refused.
        """
        for tag, wrong in ((1000, ["hello", "bash"]), (1001, ["1"]), (1002, 5), (1003, "5"), (1003, [1, 2])):
            values: dict[int, Any] = {**dict(NEEDED), tag: wrong}
            self.assertRaises(InputError, described, header(values.items()))
        sixteen = self.read(raw_header(entry(1003, INT16, 0, 1), bytes(2)))
        self.assertRaises(InputError, epoch_of, sixteen)
        self.assertEqual(epoch_of(self.read(header([(1003, 5)]))), "5")
        self.assertRaises(InputError, version_of, self.read(header([(1001, ["1"]), (1002, "1")])))

    def test_signatures(self) -> None:
        """
        Promise 9.7: a signature header whose values overlap, so that it would be written anew a thousand times larger,
        is refused, and one with more tags or bytes than any signatures have; RPM's own, with the room that it keeps
        free, is taken.
        """
        file = io.BytesIO(TINY_SRPM[96:])
        self.assertIn(1008, {value.tag for value in read_header(file, padded=True).everything()})
        overlapping = b"".join(entry(2000 + each, BINARY, 0, 66_000) for each in range(20))
        self.assertIn("outside its place", self.refused(raw_header(overlapping, bytes(66_000), 62), padded=True))
        many = b"".join(entry(2000 + each, CHAR, each, 1) for each in range(32))
        self.assertIn("33 tags", self.refused(raw_header(many, bytes(32), 62), padded=True))
        large = raw_header(entry(2000, BINARY, 0, LARGEST_SIGNATURES), bytes(LARGEST_SIGNATURES), 62)
        self.assertIn("bytes", self.refused(large, padded=True))

    def test_good(self) -> None:
        """
        What RPM wrote is read, and what the other tests are made of.
        """
        for data in (TINY_SRPM, rpm()):
            self.assertTrue(data.startswith(LEAD_MAGIC))
            self.assertIn(1000, read_checked(io.BytesIO(data)))

    def read(self, data: bytes) -> Header:
        return read_header(io.BytesIO(data))
