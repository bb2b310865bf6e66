"""
Packing and unpacking directories.
"""

import io
import os
import tarfile
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError, UnsafePathError
from buildbot_lite.slave import archive
from buildbot_lite.slave.archive import StoppedError, pack, unpack

from .fakes import new_directory


def never() -> bool:
    """
    Nobody stops us.
    """
    return False


class ArchiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory to pack, and one to unpack into.
        """
        self.source = new_directory(self)
        self.target = new_directory(self)
        self.archive = os.path.join(new_directory(self), "x.tar")

    def pack(self, largest: int | None = None, stopped: Callable[[], bool] = never) -> bytes:
        """
        The source, packed.
        """
        packed = io.BytesIO()
        directory = os.open(self.source, os.O_RDONLY)
        try:
            pack(directory, packed, largest=largest, stopped=stopped)
        finally:
            os.close(directory)
        return packed.getvalue()

    def unpack(self, archive: bytes, stopped: Callable[[], bool] = never) -> None:
        """
        Unpack into the target.
        """
        with open(self.archive, "wb") as out:
            out.write(archive)
        unpack(self.archive, self.target, stopped=stopped)

    def write(self, path: str, data: bytes = b"") -> str:
        """
        A file of the source.
        """
        where = os.path.join(self.source, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as out:
            out.write(data)
        return where

    def made(self, *members: tuple[str, bytes], mode: str = "w") -> bytes:
        """
        An archive with these members.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]  # one of its modes
            for name, data in members:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return out.getvalue()

    def test_there_and_back(self) -> None:
        """
        Contents, permissions to execute, empty directories, links and odd names arrive as they were.
        """
        self.write("a/b/data", bytes(range(256)) * 5000)
        os.chmod(self.write("run", b"#!/bin/sh\n"), 0o755)
        os.makedirs(os.path.join(self.source, "empty"))
        os.symlink("a/b/data", os.path.join(self.source, "link"))
        os.symlink("a", os.path.join(self.source, "directory-link"))
        self.write("name with ü and \n" + "x" * 150, b"odd")
        os.mkfifo(os.path.join(self.source, "fifo"))

        self.unpack(self.pack())

        with open(os.path.join(self.target, "a/b/data"), "rb") as found:
            self.assertEqual(found.read(), bytes(range(256)) * 5000)
        self.assertTrue(os.access(os.path.join(self.target, "run"), os.X_OK))
        self.assertEqual(os.listdir(os.path.join(self.target, "empty")), [])
        self.assertEqual(os.readlink(os.path.join(self.target, "link")), "a/b/data")
        self.assertEqual(os.readlink(os.path.join(self.target, "directory-link")), "a")
        self.assertIn("name with ü and \n" + "x" * 150, os.listdir(self.target))
        self.assertNotIn("fifo", os.listdir(self.target))

    def test_undecodable_name(self) -> None:
        """
        A file name that is no UTF-8 is packed and unpacked as the bytes that it is.
        """
        with open(os.path.join(os.fsencode(self.source), b"\xff\xfe"), "wb") as out:
            out.write(b"odd")
        self.unpack(self.pack())
        self.assertEqual(os.listdir(os.fsencode(self.target)), [b"\xff\xfe"])

    def test_same_again(self) -> None:
        """
        The same directory gives the same archive.
        """
        for name in ("c", "a/x", "b", "a/y"):
            self.write(name, name.encode())
        self.assertEqual(self.pack(), self.pack())

    def test_no_links_followed(self) -> None:
        """
        What a link points to is not packed, so that nothing outside can leak.
        """
        outside = new_directory(self)
        with open(os.path.join(outside, "secret"), "w") as out:
            out.write("s3cr3t")
        os.symlink(outside, os.path.join(self.source, "out"))
        self.assertNotIn(b"s3cr3t", self.pack())

    def test_largest(self) -> None:
        """
        A directory that is larger than allowed is refused, before the file that is too much is read.
        """
        self.write("a", b"x" * 100_000)
        self.assertRaises(InputError, self.pack, 50_000)
        self.pack(200_000)

    def test_stopped(self) -> None:
        """
        Both can be stopped.
        """
        self.write("a", b"x")
        archive = self.pack()
        self.assertRaises(StoppedError, self.pack, None, lambda: True)
        self.assertRaises(StoppedError, self.unpack, archive, lambda: True)
        self.assertEqual(os.listdir(self.target), [])

    def test_shrinking_file(self) -> None:
        """
        A file that becomes shorter while it is packed is noticed.
        """
        where = self.write("a", b"x" * (10 << 20))
        calls = []

        def shrink() -> bool:
            calls.append(1)
            if len(calls) == 3:
                os.truncate(where, 100)
            return False

        self.assertRaises(InputError, self.pack, None, shrink)

    def test_leading_out(self) -> None:
        """
        An archive with one member that leads out is refused whole.
        """
        for name in ("../evil", "/evil", "a/../../evil"):
            self.assertRaises(UnsafePathError, self.unpack, self.made(("good", b"1"), (name, b"2")))
            self.assertEqual(os.listdir(self.target), [])

    def test_link_out(self) -> None:
        """
        A link out of the directory, through which a later member would be written, is refused.
        """
        outside = new_directory(self)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            link = tarfile.TarInfo("door")
            link.type = tarfile.SYMTYPE
            link.linkname = outside
            archive.addfile(link)
            entry = tarfile.TarInfo("door/evil")
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))
        self.assertRaises(UnsafePathError, self.unpack, out.getvalue())
        self.assertEqual(os.listdir(outside), [])

    def test_hard_link_out(self) -> None:
        """
        So is a hard link to a file outside.
        """
        outside = os.path.join(new_directory(self), "secret")
        with open(outside, "w") as out:
            out.write("s3cr3t")
        for target in (outside, os.path.relpath(outside, self.target)):
            self.assertRaises(UnsafePathError, self.unpack, self.special(tarfile.LNKTYPE, target))
            self.assertEqual(os.listdir(self.target), [])

    def test_through_a_link_that_was_there(self) -> None:
        """
        Nothing is written through a link out of the directory that an earlier step left there.
        """
        outside = new_directory(self)
        os.symlink(outside, os.path.join(self.target, "door"))
        self.assertRaises(UnsafePathError, self.unpack, self.made(("door/evil", b"x")))
        self.assertEqual(os.listdir(outside), [])

    def test_special(self) -> None:
        """
        Devices and pipes are refused.
        """
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            self.assertRaises(UnsafePathError, self.unpack, self.special(kind, ""))
            self.assertEqual(os.listdir(self.target), [])

    def test_permissions(self) -> None:
        """
        What is unpacked is ours, can be read and written by us, and by nobody else be written.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, mode in (("open", 0o6777), ("closed", 0), ("group", 0o070)):
                entry = tarfile.TarInfo(name)
                entry.mode, entry.uid, entry.gid, entry.uname = mode, 12345, 12345, "daemon"
                archive.addfile(entry)
        self.unpack(out.getvalue())
        found = {name: os.stat(os.path.join(self.target, name)) for name in os.listdir(self.target)}
        modes = {name: oct(facts.st_mode & 0o7777) for name, facts in found.items()}
        self.assertEqual(modes, {"open": "0o755", "closed": "0o600", "group": "0o640"})
        self.assertEqual({facts.st_uid for facts in found.values()}, {os.geteuid()})

    def special(self, kind: bytes, target: str) -> bytes:
        """
        An archive with one member of this *kind*.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            entry = tarfile.TarInfo("special")
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
        return out.getvalue()

    def test_compressed(self) -> None:
        """
        A compressed archive is unpacked as well.
        """
        for mode in ("w:gz", "w:bz2", "w:xz"):
            self.unpack(self.made((mode[2:], b"contents"), mode=mode))
        self.assertEqual(sorted(os.listdir(self.target)), ["bz2", "gz", "xz"])

    def test_no_archive(self) -> None:
        """
        What is no archive, or only a part of one, is refused with a sentence.
        """
        whole = self.made(("a", os.urandom(100_000)), mode="w:gz")
        for data in (b"", b"hello", whole[: len(whole) // 2]):
            error = self.assertRaises(InputError, self.unpack, data)
            self.assertIn("no tar archive", str(error))


class OwnFilterTests(ArchiveTests):
    """
    The same where Python has no filter of its own, as the first versions of 3.11.
    """

    def setUp(self) -> None:
        """
        As if there were none.
        """
        super().setUp()
        self.patch(archive, "PYTHON_FILTERS", False)
