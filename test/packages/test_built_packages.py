"""
The packages that a slave sends, and the packages of a job.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, FileError, InputError
from buildbot_lite.packages.formats.architectures import RpmArchitectures
from buildbot_lite.packages.formats.built_packages import BuiltPackage, built_packages
from buildbot_lite.packages.formats.joined_builds import joined
from buildbot_lite.packages.formats.source_package import RPM, SourcePackage

from .archives import TINY_SRPM
from .rpm_files import installs, relates, rpm

HELLO = SourcePackage(RPM, "hello", "", "2.10-1", RpmArchitectures())
REQUIRES = (1049, 1048, 1050)
DOC: dict[str, Any] = {"t1000": "hello-doc", "t1022": "noarch"}

WRONG = [
    # the build's architecture, files; a part of the sentence
    ("x86_64", {}, "The build of hello 2.10-1 for x86_64 made no package."),
    ("x86_64", {"readme.txt": b""}, "made no package"),
    ("x86_64", {"hello-2.10-1.x86_64.rpm": b"junk"}, "'hello-2.10-1.x86_64.rpm': That is no RPM package"),
    ("x86_64", {"hello-2.10-1.x86_64.rpm": rpm()[:-1]}, "'hello-2.10-1.x86_64.rpm': The RPM package is damaged"),
    ("x86_64", {"tiny-1.0-3.src.rpm": TINY_SRPM}, "is of no source"),
    (
        "x86_64",
        {"hello-2.10-1.x86_64.rpm": rpm(t1044="bash-5.2-1.src.rpm")},
        "'hello-2.10-1.x86_64.rpm' is of bash-5.2-1.src.rpm, but hello 2.10-1 was built for x86_64.",
    ),
    ("x86_64", {"hello-2.10-1.x86_64.rpm": rpm(t1044="hello-2.11-1.src.rpm")}, "is of hello-2.11-1.src.rpm"),
    ("x86_64", {"hello-2.10-1.x86_64.rpm": rpm(t1044="hello-2.10-2.src.rpm")}, "is of hello-2.10-2.src.rpm"),
    ("x86_64", {"hello-2.10-1.x86_64.rpm": rpm(t1044="hello-2.10.src.rpm")}, "is of hello-2.10.src.rpm"),
    ("i686", {"hello-2.10-1.x86_64.rpm": rpm()}, "is for x86_64, but hello 2.10-1 was built for i686"),
    ("noarch", {"hello-2.10-1.x86_64.rpm": rpm()}, "is for x86_64, but hello 2.10-1 was built for noarch"),
    (
        "x86_64",
        {"bash-5.2-1.x86_64.rpm": rpm()},
        "'bash-5.2-1.x86_64.rpm' is hello-2.10-1.x86_64 under another name: do not rename what the build makes.",
    ),
    ("x86_64", {"x.rpm": rpm(t1000="../x")}, "'../x' is no name of a source package"),
    ("x86_64", {"x.rpm": rpm(t1002="1-1")}, "a hyphen"),
    (
        "x86_64",
        {"hello-2.10-1.x86_64.rpm": rpm(), "hello-2.10-2.x86_64.rpm": rpm(t1002="2")},
        "hello-2.10-1.x86_64.rpm and hello-2.10-2.x86_64.rpm are the same package, hello.",
    ),
]
RELEASES = [
    # the source RPM's release, the target's dist, the release built; whether it is right
    ("1", "", "1", True),
    ("1", ".f4", "1.f4", True),
    ("1.fc40", ".f4", "1.f4", True),
    ("1.fc40", ".f4", "1.fc40", True),
    ("1.fc40", "", "1", True),
    ("1", ".f4", "1", True),
    ("1", ".f4", "2.f4", False),
    ("1", ".f4", "1.f5", False),
    ("12.fc40", ".f4", "1.f4", False),
    ("1.fc40", "", "1.fc41", False),
]
DIFFERENT = [
    # tags of the two packages, beside those of hello-doc; how they differ
    (installs({"/a": "1"}), installs({"/a": "2"}), "/a (contents)"),
    (installs({"/a": "1"}), installs({"/a": "12"}), "/a (contents, size)"),
    (installs({"/a": "1"}), installs({"/a": "1"}, time=2), "/a (time)"),
    (installs({"/a": "1"}), installs({"/a": "1", "/usr/b": ""}), "/usr/b (only one has it)"),
    (installs({"/a": "1"}), {**installs({"/a": "1"}), "t1030": [0o100755]}, "/a (mode)"),
    (installs({"/a": "1"}), installs({"/a": "1"}), "the order or the compression of the files"),
    (
        installs({f"/{name}": "1" for name in "abcdefg"}),
        installs({f"/{name}": "2" for name in "abcdefg"}),
        "/a (contents); /b (contents); /c (contents); /d (contents); /e (contents); and 2 more.",
    ),
    ({"t5092": None, **installs({"/a": "1"})}, {"t5092": None, **installs({"/a": "2"})}, "/a (contents)"),
]
ALSO_DIFFERENT = [
    # the same with equal payloads
    (
        relates(REQUIRES, "hello(x86-64)"),
        relates(REQUIRES, "hello(x86-32)"),
        "Requires: hello(x86-32); Requires: hello",
    ),
    (relates(REQUIRES, "hello = 1"), relates(REQUIRES, "hello >= 1"), "Requires: hello = 1; Requires: hello >= 1"),
    ({"t1024": "true"}, {}, "%post"),
    ({"t1003": 1}, {}, "version (1:2.10-1, 2.10-1)"),
]


class _Case(SynchronousTestCase):
    def read(self, files: dict[str, bytes], architecture: str = "x86_64", **given: Any) -> list[BuiltPackage]:
        """
        The packages of a build for *architecture* that sent *files*.
        """
        directory = Path(tempfile.mkdtemp(dir=self._directory()))
        for name, data in files.items():
            (directory / name).write_bytes(data)
        return built_packages(directory, given.get("source", HELLO), architecture, given.get("suffix", ""))

    def _directory(self) -> str:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return directory.name


class BuiltPackagesTests(_Case):
    """
    Packages compared with their source.
    """

    def test_read(self) -> None:
        """
        Promise 9.5: each package has its name, version, architecture, size and SHA-256 digest; noarch subpackages and
        other names are packages of the same source; other files are left alone.
        """
        data = rpm()
        found = self.read(
            {
                "hello-2.10-1.x86_64.rpm": data,
                "hello-doc-3-1.noarch.rpm": rpm(t1003=2, t1001="3", **DOC),
                "installed.txt": b"",
            }
        )
        self.assertEqual(
            [(each.name, each.epoch, each.version, each.architecture) for each in found],
            [("hello", "", "2.10-1", "x86_64"), ("hello-doc", "2", "3-1", "noarch")],
        )
        self.assertEqual((found[0].length, len(found[0].sha256)), (len(data), 64))

    def test_wrong(self) -> None:
        """
        Promise 9.9: a package that is damaged, of another source, or for another architecture is refused with one
        sentence.
        """
        for architecture, files, said in WRONG:
            with self.subTest(said=said):
                error = self.assertRaises(InputError, self.read, files, architecture)
                self.assertIn(said, str(error))
                self.assertNotIn("\n", str(error))

    def test_releases(self) -> None:
        """
        The release is that of the source RPM, with the target's ``%dist`` in the place of another one.
        """
        for submitted, dist, built, right in RELEASES:
            with self.subTest(submitted=submitted, dist=dist, built=built):
                files = {
                    f"hello-2.10-{built}.x86_64.rpm": rpm(t1002=built, t1044=f"hello-2.10-{built}.src.rpm"),
                }
                source = SourcePackage(RPM, "hello", "", f"2.10-{submitted}", RpmArchitectures())
                if right:
                    (found,) = self.read(files, source=source, suffix=dist)
                    self.assertEqual(found.source_version, f"2.10-{built}")
                else:
                    self.assertRaises(InputError, self.read, files, source=source, suffix=dist)

    def test_links(self) -> None:
        """
        A link, a pipe or a directory in the place of a package is not read.
        """
        for make in (
            lambda path: os.symlink("/etc/passwd", path),
            os.mkfifo,
            os.mkdir,
        ):
            directory = Path(self._directory())
            make(directory / "hello-2.10-1.x86_64.rpm")
            self.assertRaises((InputError, FileError), built_packages, directory, HELLO, "x86_64")

    @given(st.integers(0, len(rpm()) - 1), st.integers(1, 255))
    def test_damaged(self, place: int, difference: int) -> None:
        """
        A damaged byte is harmless or gives one sentence, never another error.
        """
        data = bytearray(rpm())
        data[place] ^= difference
        try:
            self.read({"hello-2.10-1.x86_64.rpm": bytes(data)})
        except BuildbotLiteError:
            return
        self.assertLess(place, rpm().rindex(b"\x8e\xad\xe8\x01"))


class JoinedTests(_Case):
    """
    The packages of a job.
    """

    def join(self, first: bytes, second: bytes) -> list[BuiltPackage]:
        """
        The packages of a job whose two builds made these noarch subpackages.
        """
        name = "hello-doc-2.10-1.noarch.rpm"
        return joined(
            {
                "x86_64": self.read({"hello-2.10-1.x86_64.rpm": rpm(), name: first}),
                "i686": self.read({"hello-2.10-1.i686.rpm": rpm(t1022="i686"), name: second}, "i686"),
            }
        )

    def test_same(self) -> None:
        """
        Promise 9.3: noarch subpackages with equal payloads are one package, although their files differ.
        """
        first, second = rpm(t1007="x86_64-host", **DOC), rpm(t1007="i686-host", **DOC)
        found = self.join(first, second)
        self.assertEqual(
            [(each.name, each.architecture) for each in found],
            [("hello", "x86_64"), ("hello-doc", "noarch"), ("hello", "i686")],
        )
        self.assertEqual(found[1].path.read_bytes(), first)

    def test_same_without_digest(self) -> None:
        """
        Packages without a digest of their payload, or with another compression, are compared by what is in them.
        """
        files = {**installs({"/a": "1"}), **DOC}
        self.assertEqual(len(self.join(rpm(b"1", t5097="d", **files), rpm(b"2", t5097="d", **files))), 3)
        self.assertEqual(len(self.join(rpm(b"1", t5092=None, **files), rpm(b"2", t5092=None, **files))), 3)

    def test_different(self) -> None:
        """
        Promise 9.3: noarch subpackages that differ are a failure, which says in what they differ.
        """
        for one, other, said in DIFFERENT:
            with self.subTest(said=said):
                first, second = rpm(b"1", **{**DOC, **one}), rpm(b"2", **{**DOC, **other})
                self._check(first, second, said)
        for one, other, said in ALSO_DIFFERENT:
            with self.subTest(said=said):
                self._check(rpm(**{**DOC, **one}), rpm(**{**DOC, **other}), said)

    def test_versions(self) -> None:
        """
        Promise 9.5: packages of different versions of the source, in one build or in several, are a failure that names
        both.
        """
        other: dict[str, Any] = {"t1002": "1.f4", "t1044": "hello-2.10-1.f4.src.rpm"}
        first = self.read({"hello-2.10-1.x86_64.rpm": rpm()}, suffix=".f4")
        second = self.read({"hello-2.10-1.f4.i686.rpm": rpm(t1022="i686", **other)}, "i686", suffix=".f4")
        both = self.read(
            {"hello-2.10-1.x86_64.rpm": rpm(), "hello-doc-2.10-1.f4.noarch.rpm": rpm(**DOC, **other)}, suffix=".f4"
        )
        for builds, said in (
            ({"x86_64": first, "i686": second}, "the builds for x86_64 and i686 are of 2.10-1 and 2.10-1.f4"),
            ({"x86_64": both}, "x86_64 is built of 2.10-1 and 2.10-1.f4"),
        ):
            self.assertIn(said, str(self.assertRaises(InputError, joined, builds)))

    def _check(self, first: bytes, second: bytes, said: str) -> None:
        error = self.assertRaises(InputError, self.join, first, second)
        self.assertIn("hello-doc is noarch, but the builds for x86_64 and i686 differ in it: " + said, str(error))
