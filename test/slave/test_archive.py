"""
Packing and unpacking directories.
"""

import bz2
import hashlib
import io
import os
import tarfile
import unittest
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    FileError,
    InputError,
    UnsafePathError,
)
from buildbot_lite.slave.file_jobs import discard_job, perform
from buildbot_lite.slave.packing import PackedArchive, pack
from buildbot_lite.slave.unpacking import unpack
from buildbot_lite.storage.archive_input import LARGEST_HEADER, Bounds

from .fakes import (
    as_nobody,
    make_deep,
    new_directory,
)

BOUNDS = Bounds(size=100 << 20, members=5000)


class ArchiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory to pack, and a directory to unpack into.
        """
        self.source = new_directory(self)
        self.target = new_directory(self)
        self.archive = os.path.join(new_directory(self), "x.tar")

    def packed(self, largest: int | None = None) -> tuple[bytes, PackedArchive]:
        """
        Pack the source; return the archive and the job's result.
        """
        into = io.BytesIO()
        directory = os.open(self.source, os.O_RDONLY)
        try:
            said = pack(directory, into, largest=largest)
        finally:
            os.close(directory)
        return into.getvalue(), said

    def pack(self, largest: int | None = None) -> bytes:
        """
        Pack the source; return the archive.
        """
        return self.packed(largest)[0]

    def unpack(self, archive: bytes, bounds: Bounds = BOUNDS) -> None:
        """
        Unpack into the target, which is emptied first.
        """
        perform(discard_job(self.target))
        os.mkdir(self.target)
        into = os.open(self.target, os.O_RDONLY)
        try:
            unpack(io.BytesIO(archive), into, bounds)
        finally:
            os.close(into)

    def write(self, path: str, data: bytes = b"") -> str:
        """
        Write a file of the source.
        """
        where = os.path.join(self.source, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as out:
            out.write(data)
        return where

    def made(self, *members: tuple[str, bytes], mode: str = "w") -> bytes:
        """
        Return an archive with these members.
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
        Contents, execute permissions, empty directories, links and unusual names survive packing and unpacking.
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
        A file name that is not UTF-8 is packed and unpacked as its bytes.
        """
        with open(os.path.join(os.fsencode(self.source), b"\xff\xfe"), "wb") as out:
            out.write(b"odd")
        self.unpack(self.pack())
        self.assertEqual(os.listdir(os.fsencode(self.target)), [b"\xff\xfe"])

    def test_same_again(self) -> None:
        """
        Packing the same directory twice gives the same bytes.
        """
        for name in ("c", "a/x", "b", "a/y"):
            self.write(name, name.encode())
        self.assertEqual(self.pack(), self.pack())

    def test_no_links_followed(self) -> None:
        """
        The target of a link is not packed, so no file outside can leak.
        """
        outside = new_directory(self)
        with open(os.path.join(outside, "secret"), "w") as out:
            out.write("s3cr3t")
        os.symlink(outside, os.path.join(self.source, "out"))
        self.assertNotIn(b"s3cr3t", self.pack())

    def test_largest(self) -> None:
        """
        A directory above the size limit is refused before the file that exceeds it is read.
        """
        self.write("a", b"x" * 100_000)
        self.assertRaises(InputError, self.pack, 50_000)
        self.pack(200_000)

    def test_shrinking_file(self) -> None:
        """
        A file that shrinks while it is packed is detected and named.
        """
        where = self.write("a", b"x" * (3 << 20))
        pread = os.fstat

        def shrink(descriptor: int) -> os.stat_result:
            facts = pread(descriptor)
            os.truncate(where, 100)
            return facts

        with mock.patch.object(os, "fstat", shrink):
            error = self.assertRaises(InputError, self.pack)
        self.assertEqual(str(error), "'a' changed while it was packed.")

    def test_leading_out(self) -> None:
        """
        A member whose path leaves the directory is refused.
        """
        for name in ("../evil", "/evil", "a/../../evil"):
            self.assertRaises(UnsafePathError, self.unpack, self.made(("good", b"1"), (name, b"2")))
            self.assertFalse(os.path.exists(os.path.join(os.path.dirname(self.target), "evil")))

    def test_link_out(self) -> None:
        """
        A link that leaves the directory, through which a later member would be written, is refused.
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
        A hard link to a file outside is refused.
        """
        outside = os.path.join(new_directory(self), "secret")
        with open(outside, "w") as out:
            out.write("s3cr3t")
        for target in (outside, os.path.relpath(outside, self.target)):
            self.assertRaises(UnsafePathError, self.unpack, self.special(tarfile.LNKTYPE, target))
            self.assertEqual(os.listdir(self.target), [])

    def test_special(self) -> None:
        """
        Devices and pipes are refused.
        """
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            self.assertRaises(UnsafePathError, self.unpack, self.special(kind, ""))
            self.assertEqual(os.listdir(self.target), [])

    def test_permissions(self) -> None:
        """
        Unpacked files belong to the slave's user, who can read and write them; no other user can write them.
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
        Return an archive with one member of type *kind*.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            entry = tarfile.TarInfo("special")
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
        return out.getvalue()

    def test_compressed(self) -> None:
        """
        A compressed archive is unpacked.
        """
        for mode in ("w:gz", "w:bz2", "w:xz"):
            self.unpack(self.made((mode[2:], b"contents"), mode=mode))
            self.assertEqual(os.listdir(self.target), [mode[2:]])

    def test_no_archive(self) -> None:
        """
        A file that is no archive, or a truncated one, is refused with a sentence.
        """
        whole = self.made(("a", os.urandom(100_000)), mode="w:gz")
        for data in (b"", b"hello", whole[: len(whole) // 2]):
            error = self.assertRaises(InputError, self.unpack, data)
            self.assertIn("no tar archive", str(error))

    def test_cut(self) -> None:
        """
        Promise 6.22: an archive that is truncated at any byte is refused, also between two members and before its end
        marker.
        """
        whole = self.made(("a", b"1" * 512), ("b", b"2" * 512))
        self.unpack(whole)
        for length in (512, 1023, 1024, 1536, 1540, 2047, 2048):
            error = self.assertRaises(InputError, self.unpack, whole[:length])
            self.assertIn("only a part of one", str(error))

    def test_cut_and_compressed(self) -> None:
        """
        A compressed archive without its last byte is refused, although all members are complete.
        """
        for mode in ("w:gz", "w:bz2", "w:xz"):
            whole = self.made(("a", b"contents"), mode=mode)
            error = self.assertRaises(InputError, self.unpack, whole[:-1])
            self.assertIn("only a part of one", str(error))

    def test_damaged(self) -> None:
        """
        Damaged contents are detected with every compression, and so is a damaged header.
        """
        for mode in ("w:gz", "w:bz2", "w:xz"):
            whole = bytearray(self.made(("a", os.urandom(10_000)), mode=mode))
            whole[len(whole) // 2] ^= 0xFF
            error = self.assertRaises(InputError, self.unpack, bytes(whole))
            self.assertIn("no tar archive", str(error))
        whole = bytearray(self.made(("a", b""), ("b", b"")))
        whole[512] ^= 0xFF
        self.assertRaises(InputError, self.unpack, bytes(whole))

    def test_huge_header(self) -> None:
        """
        Promise 6.15: a header is not read into memory, whatever size it declares.
        """
        for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
            header = tarfile.TarInfo("x")
            header.type, header.size = kind, LARGEST_HEADER + 1
            archive = bz2.compress(header.tobuf() + bytes(20 << 20))
            self.assertLess(len(archive), 1200)
            error = self.assertRaises(InputError, self.unpack, archive)
            self.assertIn("header of more than", str(error))

    def test_row_of_digits(self) -> None:
        """
        Promise 6.15: a pax header with a long run of digits, which some versions of tarfile parse for hours, is
        refused; a run as long as a file name can be is accepted.
        """
        header = tarfile.TarInfo("x")
        for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            header.type, header.size = kind, LARGEST_HEADER
            archive = bz2.compress(header.tobuf() + b"9" * LARGEST_HEADER + bytes(1024))
            error = self.assertRaises(InputError, self.unpack, archive)
            self.assertIn("more than 255 digits in a row", str(error))
        self.unpack(self.made(("1" * 255, b"one")))
        self.assertEqual(os.listdir(self.target), ["1" * 255])

    def test_many_streams(self) -> None:
        """
        Promise 6.15: the unpacked size of an archive with many compressed streams is bounded during unpacking.
        """
        header = tarfile.TarInfo("zeros")
        header.size = 8 << 20
        member = bz2.compress(header.tobuf()) + 8 * bz2.compress(bytes(1 << 20))
        error = self.assertRaises(InputError, self.unpack, 20 * member, Bounds(size=10 << 20, members=10))
        self.assertIn("unpacks to more than 10485760 bytes", str(error))
        self.assertLessEqual(sum(each.stat().st_size for each in os.scandir(self.target)), 10 << 20)

    def test_zeros_after_the_end(self) -> None:
        """
        The data after the end of the archive is bounded, too.
        """
        archive = self.made(("a", b"")) + bytes(11 << 20)
        self.assertRaises(InputError, self.unpack, archive, Bounds(size=10 << 20, members=10))

    def test_sparse(self) -> None:
        """
        A sparse member is unpacked with its holes, which count towards the size limit.
        """
        data, size = b"x" * 512, 5 << 20
        header = tarfile.TarInfo("sparse")
        header.size = len(data)
        header.pax_headers = {
            "GNU.sparse.size": str(size),
            "GNU.sparse.numblocks": "1",
            "GNU.sparse.map": f"1048576,{len(data)}",
        }
        archive = header.tobuf(tarfile.PAX_FORMAT) + data + bytes(1024)
        self.unpack(archive)
        with open(os.path.join(self.target, "sparse"), "rb") as found:
            self.assertEqual(found.read(), bytes(1 << 20) + data + bytes(size - (1 << 20) - len(data)))
        self.assertRaises(InputError, self.unpack, archive, Bounds(size=4 << 20, members=10))

    def test_too_large_a_member(self) -> None:
        """
        Promise 6.15: no byte of a member above the size limit, holes included, is written.
        """
        sparse, plain = tarfile.TarInfo("large"), tarfile.TarInfo("large")
        sparse.pax_headers = {"GNU.sparse.size": str(11 << 20), "GNU.sparse.map": "0,0"}
        plain.size = 11 << 20
        for header in (sparse, plain):
            archive = header.tobuf(tarfile.PAX_FORMAT) + bytes(header.size + 1024)
            error = self.assertRaises(InputError, self.unpack, archive, Bounds(size=10 << 20, members=10))
            self.assertIn("unpacks to more than 10485760 bytes", str(error))
            self.assertEqual(os.listdir(self.target), [])

    def test_file_without_a_name(self) -> None:
        """
        Promise 6.22: a file member with the name of the directory itself is refused, not ignored.
        """
        for name in ("", ".", "./"):
            header = tarfile.TarInfo(name)
            header.size = 4
            archive = header.tobuf(tarfile.USTAR_FORMAT) + b"data" + bytes(508 + 1024)
            error = self.assertRaises(InputError, self.unpack, archive)
            self.assertIn("not a valid file name", str(error), name)

    def test_many_members(self) -> None:
        """
        Promise 6.15: the number of members is bounded.
        """
        archive = self.made(*((str(number), b"") for number in range(11)))
        self.unpack(archive, Bounds(size=1 << 20, members=11))
        error = self.assertRaises(InputError, self.unpack, archive, Bounds(size=1 << 20, members=10))
        self.assertIn("more than 10 members", str(error))

    def test_backwards(self) -> None:
        """
        A member whose size leads back to an earlier member is refused; unpacking does not loop.
        """
        header = tarfile.TarInfo("x")
        header.size = -1024
        archive = tarfile.TarInfo("first").tobuf() + header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
        self.assertRaises(InputError, self.unpack, archive)

    def links(self, *members: tuple[str, str | None]) -> bytes:
        """
        Return an archive of symbolic links, and of directories where the target is None.
        """
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, target in members:
                entry = tarfile.TarInfo(name)
                entry.type = tarfile.DIRTYPE if target is None else tarfile.SYMTYPE
                entry.linkname = target or ""
                archive.addfile(entry)
        return out.getvalue()

    def test_links_that_change(self) -> None:
        """
        Promise 6.16: a link is refused if it would leave the directory after a later member has replaced a part of its
        path.
        """
        attack = (("d/d/d/d", None), ("x", "d/d/d/d"), ("l", "x/../../../../slave.tac"), ("x", "d"))
        self.assertRaises(UnsafePathError, self.unpack, self.links(*attack))
        # A ".." after a name is resolved in the text, so that no later member can change its meaning.
        self.unpack(self.links(("a", None), ("a/x", ".."), ("l", "a/x/../f")))
        self.assertEqual(os.readlink(os.path.join(self.target, "l")), "a/f")

    def test_link_texts(self) -> None:
        """
        A link keeps its text; a link with more ".." than its depth, or an absolute one, is refused.
        """
        self.unpack(self.links(("a/b", "./../c//d"), ("a/c", ".."), ("e", "dangling/")))
        self.assertEqual(os.readlink(os.path.join(self.target, "a/b")), "./../c//d")
        self.assertEqual(os.readlink(os.path.join(self.target, "a/c")), "..")
        self.assertEqual(os.readlink(os.path.join(self.target, "e")), "dangling/")
        for name, target in (
            ("a", ".."),
            ("a/b", "../.."),
            ("a/b", "/etc"),
            ("a/b", "./../x/../../y"),
            ("a//b", "../.."),
        ):
            self.assertRaises(UnsafePathError, self.unpack, self.links((name, target)))

    def test_through_a_link(self) -> None:
        """
        Nothing is unpacked through a link of the archive, whether it points inside or outside.
        """
        out = io.BytesIO(self.links(("real", None), ("door", "real")))
        out.seek(0, io.SEEK_END)
        archive = out.getvalue().rstrip(bytes(1)) + bytes(512 - len(out.getvalue().rstrip(bytes(1))) % 512)
        archive += self.made(("door/evil", b"x"))
        error = self.assertRaises(FileError, self.unpack, archive)
        self.assertIn("'door/evil' cannot be unpacked: a link or a file is in its way", str(error))

    def test_hard_links(self) -> None:
        """
        A hard link to a file of the archive is created; a hard link to a symbolic link, which would move that link, is
        refused.
        """

        def archive(target: str) -> bytes:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as made:
                made.addfile(tarfile.TarInfo("a/file"))
                for name, kind, leads in (("a/up", tarfile.SYMTYPE, "../x"), ("hard", tarfile.LNKTYPE, target)):
                    entry = tarfile.TarInfo(name)
                    entry.type, entry.linkname = kind, leads
                    made.addfile(entry)
            return out.getvalue()

        self.unpack(archive("a/file"))
        self.assertEqual(os.stat(os.path.join(self.target, "hard")).st_nlink, 2)
        self.assertRaises(UnsafePathError, self.unpack, archive("a/up"))
        self.assertRaises(FileError, self.unpack, archive("a/nothing"))

    def test_deep(self) -> None:
        """
        Promise 6.22: directories a thousand levels deep are packed and unpacked; a path that is longer than the system
        allows is refused.
        """
        os.close(make_deep(self.source, "x", 1500))
        self.unpack(self.pack())
        self.assertTrue(os.path.isdir(os.path.join(self.target, *["x"] * 1500)))
        error = self.assertRaises(InputError, self.unpack, self.made(("x/" * 2001, b"")))
        self.assertIn("more than 4000 bytes", str(error))

    def test_left_out(self) -> None:
        """
        Promise 6.22: a remark names the files that an archive cannot contain.
        """
        for number in range(7):
            os.mkfifo(os.path.join(self.source, f"pipe{number}"))
        said = self.packed()[1]
        self.assertEqual((said.left_out, said.left_out_count), ([f"pipe{number}" for number in range(5)], 7))

    def test_sum(self) -> None:
        """
        The reported size and checksum are those of the archive.
        """
        self.write("a", os.urandom(100_000))
        archive, said = self.packed()
        self.assertEqual((said.size, said.sha256), (len(archive), hashlib.sha256(archive).hexdigest()))

    @unittest.skipUnless(os.geteuid() == 0, "becomes an ordinary user for a while, which needs root")
    def test_unreadable(self) -> None:
        """
        Promise 6.22: an unreadable file is named in the error, not left out.
        """
        os.chmod(self.source, 0o755)
        locked = os.path.join(self.source, "d")
        os.mkdir(locked, 0o700)
        with as_nobody():
            error = self.assertRaises(FileError, self.pack)
        self.assertEqual(str(error), "'d' cannot be read: Permission denied.")
        os.rmdir(locked)
        os.chmod(self.write("f", b"x"), 0o600)
        with as_nobody():
            error = self.assertRaises(FileError, self.pack)
        self.assertEqual(str(error), "'f' cannot be read: Permission denied.")
