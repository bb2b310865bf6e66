"""
Copies of artifacts at other places of the master.
"""

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FileError, UnsafePathError
from buildbot_lite.storage.publishing import OWN_DIRECTORIES, publish


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

    def test_own_files(self) -> None:
        """
        The master's own files are not overwritten, also by way of a link; other directories in its own may be used.
        """
        os.symlink(os.path.join(self.basedir, "private"), os.path.join(self.root, "elsewhere"))
        os.mkdir(os.path.join(self.basedir, "private"))
        refused = [("farm", "master.cfg"), ("farm", ".hidden", "a"), ("elsewhere", "keys"), ("farm", "x", "..", "a")]
        for path in (*refused, *(("farm", directory, "new") for directory in OWN_DIRECTORIES)):
            with self.subTest(path), self.assertRaisesRegex((UnsafePathError, FileError), "own files|directory"):
                self.publish(*path)
        self.publish("farm", "public_html", "a")
        self.assertEqual(sorted(os.listdir(self.basedir)), ["artifacts", "private", "public_html"])
