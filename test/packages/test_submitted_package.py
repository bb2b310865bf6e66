"""
Source packages as people submit them, right and wrong.
"""

import gzip
import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.formats.architectures import RpmArchitectures
from buildbot_lite.packages.formats.submitted_package import SubmittedPackage, examine

from .archives import TINY_SRPM, archive, dsc, greet

FILES = {"greet_1.0.tar.xz": b"the sources"}
SIGNED = (
    b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n%s\n"
    b"-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n"
)


def sparse(name: str) -> bytes:
    """
    An archive whose one member has 2^62 bytes, all of them in a hole.
    """
    member = tarfile.TarInfo(name)
    member.pax_headers = {"GNU.sparse.size": str(1 << 62), "GNU.sparse.map": "0,0"}
    return member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


_NOT_ONE = "is not exactly one: the signed text and one signature"
WRONG = [
    # what is submitted, part of the sentence
    (b"", "no tar archive"),
    (b"x" * 2000, "no tar archive"),
    (archive({}), "neither a .dsc nor a .src.rpm"),
    (archive(FILES), "neither a .dsc nor a .src.rpm"),
    (dsc(FILES), "a .dsc without its files"),
    (SIGNED % dsc(FILES), "a .dsc without its files"),
    (archive({"greet_1.0.dsc": dsc(FILES)}), "lists 'greet_1.0.tar.xz', missing in the archive"),
    (archive({**greet(), "greet_1.0.tar.xz": b"other bytes"}), "does not have the SHA-256 digest"),
    (archive({**greet(), "greet_1.0.tar.xz": b"longer than that"}), "has 16 bytes, but greet_1.0.dsc says 11"),
    (archive({**greet(), "other_1.dsc": dsc({})}), "Checksums-Sha256"),
    (archive({**greet(), "other_1.dsc": dsc(FILES)}), "Submit one source package at a time"),
    (archive({".dsc": dsc(FILES), **FILES}), "no name of a file of a source package"),
    (sparse("greet_1.0.tar.xz"), "'greet_1.0.tar.xz' as a sparse file"),
    (archive({"src/greet_1.0.dsc": dsc(FILES)}), "in a directory"),
    (archive({"greet-1.0/README": b""}), "A source package is a .dsc with the files that it lists"),
    (archive({"../greet_1.0.dsc": dsc(FILES)}), "no name of a file of a source package"),
    (archive(greet())[:1500], "only a part of one"),
    (archive(greet(Source="greet; rm -rf /")), "is no name of a source package"),
    (archive(greet(Source="../greet")), "is no name of a source package"),
    (archive(greet(Source="Greet")), "is no name of a source package: small letters"),
    (archive(greet(Source="greet\n evil")), "is no name of a source package"),
    (archive(greet(Source="g" * 200)), "is no name of a source package"),
    (archive(greet(Version="1.0/../..")), "is no version"),
    (archive(greet(Version="x:1.0")), "is no version"),
    (archive(greet(Version=":1.0")), "nothing before the colon"),
    (archive(greet(Version="")), "no field Version"),
    (archive(greet(Architecture="any $(id)")), "no architecture of Debian"),
    (archive(greet(Architecture="a" * 41)), "no architecture of Debian"),
    (archive(greet(Architecture="any-arm " * 201)), "for 201 architectures; at most 200"),
    (archive(greet(Checksums_Sha256="\n nonsense")), "lists no file"),
    (archive(greet(Checksums_Sha256=f"\n {'0' * 64} 5 ../../etc/passwd")), "is no name of a file"),
    (archive({"greet_1.0.dsc": b"\xff\xfe"}), "not UTF-8"),
    (archive({"greet_1.0.dsc": b"Source: a\nSource: b\n"}), "'Source' twice"),
    (archive({"greet_1.0.dsc": b"Source: a\n\nVersion: b\n"}), "is no field: ''"),
    (archive({"greet_1.0.dsc": (SIGNED % b"Source: a") + b"Source: b\n"}), _NOT_ONE),
    (archive({"greet_1.0.dsc": (SIGNED % b"Source: a")[:80]}), _NOT_ONE),
    (archive({"greet_1.0.dsc": b"a\0b"}), "no text"),
    (archive({"greet_1.0.dsc": b"x" * (1 << 20) + b"x"}), "at most 1048576"),
    (TINY_SRPM[:-10], "damaged or truncated"),
    (TINY_SRPM[:3000], "damaged or truncated"),
    (TINY_SRPM[:50], "damaged or truncated"),
    (archive({"tiny-1.0-3.src.rpm": TINY_SRPM[:-1]}), "damaged or truncated"),
    (archive({"tiny-1.0-3.src.rpm": b"x" * 200}), "no RPM package"),
]


class SubmittedPackageTests(SynchronousTestCase):
    """
    The results of `examine`.
    """

    def test_debian(self) -> None:
        """
        Promise 9.1: an archive of a .dsc and its files; other files are not an error.
        """
        found = self._examine(archive({**greet(Version="1:1.0-2", Architecture="any all"), "greet_1.0.changes": b""}))
        package = found.package
        self.assertEqual((str(package), package.version, package.epoch), ("greet 1:1.0-2", "1.0-2", "1"))
        self.assertEqual(package.architectures, ("any", "all"))
        self.assertEqual((found.main, found.unused), ("greet_1.0.dsc", ("greet_1.0.changes",)))

    def test_signed(self) -> None:
        """
        The signature around a .dsc is no part of the description; an archive may be compressed, with "./" before names.
        """
        files = greet()
        signed = {f"./{name}": SIGNED % data if name.endswith(".dsc") else data for name, data in files.items()}
        self.assertEqual(str(self._examine(gzip.compress(archive(signed))).package), "greet 1.0")

    def test_source_rpm(self) -> None:
        """
        Promise 9.1: a source RPM, alone or in an archive, with all values of its architectures.
        """
        for data, main in ((TINY_SRPM, ""), (archive({"tiny.src.rpm": TINY_SRPM}), "tiny.src.rpm")):
            found = self._examine(data)
            self.assertEqual((str(found.package), found.main), ("tiny 2:1.0-3", main))
            self.assertEqual(
                found.package.architectures,
                RpmArchitectures(exclusive=("x86_64", "i686", "noarch"), exclude=("i586", "s390x")),
            )

    def test_wrong(self) -> None:
        """
        Promise 9.1: what is no source package, or a part of one, or has odd names, is refused in one sentence.
        """
        for data, sentence in WRONG:
            with self.subTest(sentence=sentence):
                error = self.assertRaises(InputError, examine, io.BytesIO(data))
                self.assertIn(sentence, str(error))
                self.assertNotIn("\n", str(error))

    def test_links(self) -> None:
        """
        A link or a device in the archive is refused.
        """
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w") as tar:
            member = tarfile.TarInfo("greet_1.0.tar.xz")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/shadow"
            tar.addfile(member)
        error = self.assertRaises(InputError, examine, io.BytesIO(target.getvalue()))
        self.assertIn("which is no file", str(error))

    def test_twice(self) -> None:
        """
        Two members of one name are refused: programs differ in which of them they take.
        """
        data = archive({"greet_1.0.tar.xz": b"one"})[:1024] + archive(greet())
        error = self.assertRaises(InputError, examine, io.BytesIO(data))
        self.assertIn("twice", str(error))

    @given(st.integers(0, len(TINY_SRPM) - 1), st.integers(1, 255))
    def test_damage(self, place: int, change: int) -> None:
        """
        Promise 9.1: no damaged byte of a source RPM makes anything but an `InputError`; damage in the main header or
        in the payload is always found.
        """
        data = bytearray(TINY_SRPM)
        data[place] ^= change
        try:
            found = examine(io.BytesIO(bytes(data)))
        except InputError:
            return
        self.assertEqual(str(found.package), "tiny 2:1.0-3")
        self.assertLess(place, TINY_SRPM.rindex(b"\x8e\xad\xe8\x01"))

    @given(st.binary(max_size=300))
    def test_any_bytes(self, data: bytes) -> None:
        """
        Any bytes as a .dsc, and as the rest of an RPM file, are refused in a sentence.
        """
        for submitted in (archive({"greet_1.0.dsc": data}), TINY_SRPM[:96] + data, TINY_SRPM[:104] + data):
            self.assertRaises(InputError, examine, io.BytesIO(submitted))

    def _examine(self, data: bytes) -> SubmittedPackage:
        return examine(io.BytesIO(data))
