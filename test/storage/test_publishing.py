"""
Copies of artifacts at other places of the master.
"""

import io
import os
import stat
import tarfile

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FileError, UnsafePathError
from buildbot_lite.storage import publishing
from buildbot_lite.storage.publishing import OWN_DIRECTORIES, publish, publish_directory


class PublishTests(SynchronousTestCase):
    """
    Promise 8.6: what an upload puts outside of the artifacts.
    """

    def setUp(self) -> None:
        """
        A master's directory with an artifact.
        """
        self.root = os.path.realpath(self.mktemp())
        self.basedir = os.path.join(self.root, "farm")
        os.makedirs(os.path.join(self.basedir, "artifacts"))
        self.source = os.path.join(self.basedir, "artifacts", "a")
        with open(self.source, "w") as file:
            file.write("new")

    def publish(self, *path: str, mode: int = 0o644) -> str:
        """
        Publish the artifact at *path*, and return that.
        """
        target = os.path.join(self.root, *path)
        publish(self.source, target, mode, basedir=self.basedir)
        return target

    def test_copied(self) -> None:
        """
        The copy has its mode; missing directories are made so that others can enter them; nothing else is left there.
        """
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        target = self.publish("www", "nightly", "a.tar", mode=0o664)
        with open(target) as file:
            self.assertEqual(file.read(), "new")
        self.assertEqual(stat.S_IMODE(os.stat(target).st_mode), 0o664)
        self.assertEqual(os.listdir(os.path.dirname(target)), ["a.tar"])
        for directory in (os.path.dirname(target), os.path.join(self.root, "www")):
            self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode), 0o755)

    def test_bounded(self) -> None:
        """
        An archive with more members than the bound, or one that takes too long, ends with a sentence.
        """
        with tarfile.open(self.source, "w") as archive:
            for name in ("a", "b"):
                archive.addfile(tarfile.TarInfo(name))
        directory = os.path.join(self.root, "www")
        self.patch(publishing, "LONGEST", -1.0)
        self.assertIn("take longer than", str(self.assertRaises(FileError, self.unpack, directory)))
        self.patch(publishing, "LONGEST", 1e6)
        self.patch(publishing, "MOST_MEMBERS", 1)
        self.assertIn("more than 1 members", str(self.assertRaises(FileError, self.unpack, directory)))
        self.assertEqual(os.listdir(directory), ["a"])

    def unpack(self, directory: str) -> None:
        """
        Publish the files of the archive.
        """
        publish_directory(self.source, directory, basedir=self.basedir)

    def test_replaced(self) -> None:
        """
        A file that is there is replaced as a whole; a link is replaced, and not what it leads to.
        """
        target = self.publish("www", "a")
        with open(target) as reader:
            os.unlink(self.source)
            with open(self.source, "w") as file:
                file.write("newer")
            self.publish("www", "a")
            self.assertEqual(reader.read(), "new")
        os.symlink(target, os.path.join(self.root, "www", "link"))
        self.publish("www", "link")
        self.assertFalse(os.path.islink(os.path.join(self.root, "www", "link")))

    def test_refused(self) -> None:
        """
        A directory is not replaced, and nothing is left when it cannot be written.
        """
        os.makedirs(os.path.join(self.root, "www", "a"))
        with self.assertRaisesRegex(FileError, "is a directory"):
            self.publish("www", "a")
        with self.assertRaises(FileError):
            self.publish("www", "b\0")
        with self.assertRaises(FileError):
            self.publish("www", "n" * 300)
        self.assertEqual(os.listdir(os.path.join(self.root, "www")), ["a"])

    def archive(self, *members: tuple[str, bytes, bytes]) -> None:
        """
        Make the artifact an archive of members: name, type, and contents or target of a link.
        """
        with tarfile.open(self.source, "w", format=tarfile.PAX_FORMAT) as archive:
            for name, kind, contents in members:
                member = tarfile.TarInfo(name)
                member.type, member.mode = kind, 0o600
                if kind == tarfile.REGTYPE:
                    member.size = len(contents)
                else:
                    member.linkname = contents.decode()
                archive.addfile(member, io.BytesIO(contents))

    def test_directory(self) -> None:
        """
        The files of an archive go into a directory, readable by all, beside those that are there; links do not.
        """
        self.publish("www", "index.html")
        self.publish("www", "old.html")
        self.archive(
            ("sub", tarfile.DIRTYPE, b""),
            ("sub/" + "long" * 60, tarfile.REGTYPE, b"1"),
            ("./index.html", tarfile.REGTYPE, b"2"),
            ("link", tarfile.SYMTYPE, b"/etc/passwd"),
            ("hard", tarfile.LNKTYPE, b"index.html"),
            ("pipe", tarfile.FIFOTYPE, b""),
        )
        directory = os.path.join(self.root, "www")
        publish_directory(self.source, directory, basedir=self.basedir)
        self.assertEqual(sorted(os.listdir(directory)), ["index.html", "old.html", "sub"])
        with open(os.path.join(directory, "index.html")) as file:
            self.assertEqual(file.read(), "2")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(directory, "index.html")).st_mode), 0o644)
        self.assertEqual(os.listdir(os.path.join(directory, "sub")), ["long" * 60])

    def test_empty_directory(self) -> None:
        """
        A directory without files is made.
        """
        self.archive()
        publish_directory(self.source, os.path.join(self.root, "www"), basedir=self.basedir)
        self.assertEqual(os.listdir(os.path.join(self.root, "www")), [])

    def test_hostile_archives(self) -> None:
        """
        An archive that leads elsewhere, is damaged, or has headers that would fill the memory is refused.
        """
        directory = os.path.join(self.root, "www")
        for name in ("../evil", "/evil", "a/../../evil"):
            self.archive((name, tarfile.REGTYPE, b"1"))
            with self.assertRaises(UnsafePathError):
                publish_directory(self.source, directory, basedir=self.basedir)
        self.archive(("a", tarfile.DIRTYPE, b""), ("a", tarfile.REGTYPE, b"1"))
        with self.assertRaisesRegex(FileError, "is a directory"):
            publish_directory(self.source, directory, basedir=self.basedir)
        header = tarfile.TarInfo("x")
        for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            header.type, header.size = kind, 8 << 30
            with open(self.source, "wb") as file:
                file.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
            with self.assertRaisesRegex(FileError, "header of more than"):
                publish_directory(self.source, directory, basedir=self.basedir)
        # A reader that goes back by this size would read it again and again.
        header.type, header.size, header.pax_headers = tarfile.REGTYPE, 512, {"size": "-1536"}
        with open(self.source, "wb") as file:
            file.write(tarfile.TarInfo("first").tobuf() + header.tobuf(tarfile.PAX_FORMAT) + bytes(1536))
        with self.assertRaisesRegex(FileError, "damaged.*(negative size|invalid offset)"):
            publish_directory(self.source, directory, basedir=self.basedir)
        for damaged in (b"no archive" * 100, b""):
            with open(self.source, "wb") as file:
                file.write(damaged)
            with self.assertRaisesRegex(FileError, "damaged"):
                publish_directory(self.source, directory, basedir=self.basedir)
        self.archive(("private/key", tarfile.REGTYPE, b"1"))
        with self.assertRaisesRegex(UnsafePathError, "own files"):
            publish_directory(self.source, self.basedir, basedir=self.basedir)
        self.assertEqual(sorted(os.listdir(self.root)), ["farm", "www"])

    def test_impossible_sizes(self) -> None:
        """
        An archive whose member claims a negative size, in its own header or in an extended one, is refused; so is one
        whose extended header is in what another claims to be contents.
        """
        directory = os.path.join(self.root, "www")
        header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
        header[124:136] = b"\xff" * 10 + b"\xfe\x00"
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        extended = tarfile.TarInfo("a")
        extended.pax_headers = {"size": "-512"}
        hiding, bomb = tarfile.TarInfo("a"), tarfile.TarInfo("x")
        hiding.pax_headers, hiding.size = {"size": "0"}, 1 << 20
        bomb.type, bomb.size = tarfile.XHDTYPE, (1 << 20) - 512
        hidden = hiding.tobuf(tarfile.PAX_FORMAT) + bomb.tobuf(tarfile.GNU_FORMAT) + b"x" * bomb.size
        for archive in (bytes(header), extended.tobuf(tarfile.PAX_FORMAT), hidden):
            with open(self.source, "wb") as file:
                file.write(archive + bytes(1024))
            with self.assertRaisesRegex(FileError, "-512 bytes|too large|damaged"):
                publish_directory(self.source, directory, basedir=self.basedir)

    def test_directory_around_the_master(self) -> None:
        """
        A directory that contains the master's own is refused, and a link to that leads to no file of it.
        """
        self.archive(("farm/master.cfg", tarfile.REGTYPE, b"1"))
        with self.assertRaisesRegex(UnsafePathError, "contains the master's own directory"):
            publish_directory(self.source, self.root, basedir=self.basedir)
        os.makedirs(os.path.join(self.root, "www"))
        os.symlink(self.basedir, os.path.join(self.root, "www", "farm"))
        with self.assertRaisesRegex(UnsafePathError, "own files"):
            publish_directory(self.source, os.path.join(self.root, "www"), basedir=self.basedir)
        self.assertEqual(os.listdir(self.basedir), ["artifacts"])

    def test_own_files(self) -> None:
        """
        The master's own files are not overwritten, also by way of a link; other directories in its own may be used.
        """
        os.symlink(os.path.join(self.basedir, "private"), os.path.join(self.root, "elsewhere"))
        os.mkdir(os.path.join(self.basedir, "private"))
        refused = [
            ("farm", "master.cfg"),
            ("farm", "hgpoller_work", "x"),
            ("farm", ".hidden", "a"),
            ("elsewhere", "keys"),
            ("farm", "x", "..", "a"),
        ]
        for path in (*refused, *(("farm", directory, "new") for directory in OWN_DIRECTORIES)):
            with self.subTest(path), self.assertRaisesRegex((UnsafePathError, FileError), "own files|directory"):
                self.publish(*path)
        self.publish("farm", "public_html", "a")
        self.assertEqual(sorted(os.listdir(self.basedir)), ["artifacts", "private", "public_html"])

    def test_directories_of_the_configuration(self) -> None:
        """
        What master.cfg names as directories of the master's own is not overwritten either, wherever it is.
        """
        own = [os.path.join(self.basedir, "state"), os.path.join(self.root, "mirrors")]
        for path in (("farm", "state", "x.sqlite"), ("farm", "state", "deep", "a"), ("mirrors", "a")):
            with self.subTest(path), self.assertRaisesRegex(UnsafePathError, "own files"):
                publish(self.source, os.path.join(self.root, *path), 0o644, basedir=self.basedir, own=own)
        publish(self.source, os.path.join(self.basedir, "state.d", "a"), 0o644, basedir=self.basedir, own=own)
