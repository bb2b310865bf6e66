"""
Where packages of one name differ.
"""

import io
import lzma
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.control.compared_packages import where_different
from buildbot_lite.packages.formats import deb_differences
from buildbot_lite.packages.formats.deb_differences import first_difference
from buildbot_lite.storage.archive_input import Bounds

from .archives import archive, deb
from .rpm_files import installs, rpm

GREET = {"Package": "greet", "Version": "1.0", "Architecture": "amd64"}
FILES = {"./usr/bin/greet": b"hello", "./usr/share/words": b"a\nb\n"}


def packed(**files: bytes) -> bytes:
    """
    A .deb with `FILES`, of which those in *files* ("/" written as "_") have other contents.
    """
    changed = {f"./{name.replace('_', '/')}": data for name, data in files.items()}
    return deb(GREET, others={"data.tar": archive({**FILES, **changed})})


def difference(one: bytes, other: bytes) -> str:
    """
    The first difference of two packages.
    """
    return first_difference(io.BytesIO(one), io.BytesIO(other))


class DebDifferencesTests(SynchronousTestCase):
    """
    Packages of Debian.
    """

    def test_first(self) -> None:
        """
        Promise 9.5: the first file that differs is named, with the property that does; files come before the list of
        their digests.
        """
        for other, said in (
            (packed(usr_share_words=b"a\nc\n"), "/usr/share/words (contents)"),
            (packed(usr_share_words=b"a\n"), "/usr/share/words (contents, size)"),
            (packed(usr_bin_greet=b"HELLO", usr_share_words=b"x"), "/usr/bin/greet (contents)"),
            (packed(usr_share_xx=b"x"), "/usr/share/xx (only one has it)"),
            (deb(GREET, others={"data.tar": archive({"./usr/share/words": b"a\nb\n"})}), "/usr/bin/greet (only one"),
            (
                deb({**GREET, "Depends": "x"}, others={"data.tar": archive(FILES)}),
                "the control file /control (contents",
            ),
            (deb(GREET, "gz", others={"data.tar": archive(FILES)}), "the order or the compression of the files"),
        ):
            self.assertTrue(difference(packed(), other).startswith(said), difference(packed(), other))
            self.assertTrue(difference(other, packed()).startswith(said), said)

    def test_properties(self) -> None:
        """
        Mode, time, owner and the target of a link count; names that a package chose are printable.
        """

        def of(**properties: Any) -> bytes:
            target = io.BytesIO()
            with tarfile.open(fileobj=target, mode="w") as tar:
                member = tarfile.TarInfo("./x\x1b[31m")
                for name, value in properties.items():
                    setattr(member, name, value)
                tar.addfile(member)
            return deb(GREET, others={"data.tar": target.getvalue()})

        for properties, said in (
            ({"mode": 0o755}, "mode"),
            ({"mtime": 5}, "time"),
            ({"uid": 5}, "owner"),
            ({"type": tarfile.SYMTYPE, "linkname": "y"}, "kind, target of the link"),
        ):
            self.assertEqual(difference(of(), of(**properties)), f"/x?[31m ({said})")

    def test_bounds(self) -> None:
        """
        Promise 9.1: a package that unpacks to more than the bound, or is damaged, is one sentence.
        """
        self.patch(deb_differences, "BOUNDS", Bounds(size=1 << 20, members=3))
        bomb = lzma.compress(archive({"./x": bytes(2 << 20)}))
        many = lzma.compress(archive({f"./{name}": b"" for name in "abcd"}))
        for data, said in (
            (bomb, "unpacks to more than"),
            (b"nonsense", "damaged data.tar"),
            (many, "3"),
        ):
            made = deb(GREET, others={"data.tar.xz": data, "data.tar": b""})
            made = made.replace(b"data.tar        ", b"data.other      ")
            self.assertIn(said, str(self.assertRaises(InputError, difference, made, made)))

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_any_damage(self, data: st.DataObject) -> None:
        """
        Changed or missing bytes give a difference, none, or one sentence; nothing else happens.
        """
        damaged = bytearray(deb(GREET, data.draw(st.sampled_from(["", "gz", "xz", "zst"]))))
        for _ in range(data.draw(st.integers(1, 5))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(damaged)))
        for each in (bytes(damaged), bytes(damaged[:cut])):
            try:
                self.assertTrue(difference(deb(GREET), each))
            except InputError as error:
                self.assertTrue(str(error))


class WhereTests(SynchronousTestCase):
    """
    The sentences.
    """

    def test_sentences(self) -> None:
        """
        Promise 9.5: packages of both families; where it cannot be told, the sentence says why.
        """
        place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, place)
        one, other = installs({"/a": "1"}), installs({"/a": "2"})
        for name, first, second, said in (
            ("x.deb", packed(), packed(usr_bin_greet=b"HELLO"), "x.deb: first difference: /usr/bin/greet (contents)"),
            ("x.rpm", rpm(b"1", **one), rpm(b"2", **other), "x.rpm: first difference: /a (contents)"),
            ("y.rpm", rpm(t1007="a"), rpm(t1007="b"), "y.rpm: first difference: the header, which names the machine"),
            ("y.deb", b"deb", b"other", "y.deb: the first difference is not known: The package is no .deb"),
            ("y.rpm", rpm(), b"other", "y.rpm: the first difference is not known: That is no RPM package"),
        ):
            (place / name).write_bytes(first)
            (place / f"other-{name}").write_bytes(second)
            self.assertIn(said, where_different(str(place / name), str(place / f"other-{name}")))
        gone = where_different(str(place / "x.deb"), os.path.join(place, "gone"))
        self.assertIn("x.deb: the first difference is not known: ", gone)
