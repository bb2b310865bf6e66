"""
Debian packages that a slave sends, compared with the source package.
"""

import io
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError
from buildbot_lite.packages.formats.built_packages import built_packages
from buildbot_lite.packages.formats.deb_file import CONTROL, read_deb
from buildbot_lite.packages.formats.debian_source import read_dsc

from ..needs import needs
from .archives import ar_member, archive, control_list, deb, dsc

LIST = """
 greet deb misc optional arch=any
 greet-data deb misc optional arch=all
 greet-arm deb misc optional arch=any-arm"""
FILE = {"greet_1.0.tar.xz": b"the sources"}
GREET = {"Package": "greet", "Version": "1.0", "Architecture": "amd64"}


class ReadDebTests(SynchronousTestCase):
    """
    The reader of a .deb.
    """

    def test_compressions(self) -> None:
        """
        The control file is found in each form of its part.
        """
        for compression in ("", "gz", "xz", "zst"):
            fields = read_deb(io.BytesIO(deb(GREET, compression)), "greet.deb")
            self.assertEqual(fields, {"package": "greet", "version": "1.0", "architecture": "amd64"})

    def test_damaged(self) -> None:
        """
        Promise 9.5: a file that is no .deb, or a part of one, gives one sentence.
        """
        good = deb(GREET)
        bomb = lzma.compress(bytes(CONTROL.size + 1))
        cases = {
            "does not begin as one": b"nonsense",
            "it has no members": b"!<arch>\n",
            "is truncated": good[:-100],
            "no header of a member": good[:80],
            "in the form 'control.tar.bz2'": _with_members(
                {"debian-binary": b"2.0\n", "control.tar.bz2": b"", "data.tar": b""}
            ),
            "in the place of its three parts": deb(GREET, others={"control.tar.gz": b"another"}),
            "_gpgbuilder in the place of": deb(GREET, others={"_gpgbuilder": b"x"}),
            "another version": deb(GREET, others={"debian-binary": b"3.0\n"}),
            "damaged control part": deb(GREET, others={"control.tar.xz": b"nothing"}),
            "it is truncated": deb(GREET, others={"control.tar.xz": lzma.compress(archive({"control": b"x"}))[:40]}),
            "more than 67108864 bytes": deb(GREET, others={"control.tar.xz": bomb}),
            "no file control": deb(GREET, others={"control.tar.xz": lzma.compress(archive({"md5sums": b""}))}),
            "more than 1048576 bytes": deb(
                GREET, others={"control.tar.xz": lzma.compress(archive({"control": bytes(2 << 20)}))}
            ),
            "is no field": deb(GREET, others={"control.tar.xz": lzma.compress(archive({"control": b"what\n"}))}),
            "twice": good + ar_member("data.tar", b""),
        }
        for part, data in cases.items():
            error = self.assertRaises(InputError, read_deb, io.BytesIO(data), "greet.deb")
            self.assertIn(part, str(error))
            self.assertIn("greet.deb", str(error))

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_any_damage(self, data: st.DataObject) -> None:
        """
        A .deb with changed or missing bytes is read or refused; nothing else happens.
        """
        damaged = bytearray(deb(GREET, data.draw(st.sampled_from(["", "gz", "xz", "zst"]))))
        for _ in range(data.draw(st.integers(1, 5))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(damaged)))
        for each in (bytes(damaged), bytes(damaged[:cut])):
            try:
                read_deb(io.BytesIO(each), "greet.deb")
            except InputError as error:
                self.assertTrue(str(error))

    @needs("dpkg-deb")
    def test_of_dpkg(self) -> None:
        """
        Packages that dpkg-deb makes can be read.
        """
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        (directory / "greet" / "DEBIAN").mkdir(parents=True)
        fields = {**GREET, "Maintainer": "Farm <farm@example.org>", "Description": "greets\n And more."}
        (directory / "greet" / "DEBIAN" / "control").write_text("".join(f"{k}: {v}\n" for k, v in fields.items()))
        for compression in ("none", "gzip", "xz", "zstd"):
            words = ["dpkg-deb", f"-Z{compression}", "--uniform-compression", "--build", "greet", "made.deb"]
            subprocess.run(words, cwd=directory, check=True, capture_output=True, timeout=60)
            with (directory / "made.deb").open("rb") as file:
                self.assertEqual(read_deb(file, "made.deb")["package"], "greet")


class BuiltDebTests(SynchronousTestCase):
    """
    The comparison with the source.
    """

    source: ClassVar = read_dsc(dsc(FILE, Package_List=LIST))

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def sent(self, arch: str = "amd64", suffix: str = "", **changed: str) -> list[str]:
        """
        Send greet from a slave, with the fields *changed* in its control file; returns the file names of the packages
        that are accepted.
        """
        version = self.source.full_version + suffix
        fields = {**GREET, "Version": version, "Architecture": arch}
        fields.update({name.replace("_", "-"): value for name, value in changed.items()})
        name = f"{fields['Package']}_{fields['Version'].rpartition(':')[2]}_{fields['Architecture']}.deb"
        return self.sent_files({name: deb(fields)}, arch=arch, suffix=suffix)

    def sent_files(
        self,
        files: Mapping[str, bytes],
        listed: Mapping[str, bytes] | None = None,
        *,
        arch: str = "amd64",
        suffix: str = "",
        **fields: str,
    ) -> list[str]:
        """
        The same for these *files*.  *listed*: the files that the .changes lists, if they are others; *fields*: other
        fields of it.
        """
        stem = f"greet_{self.source.version}{suffix}_{arch}"
        common = {"Version": self.source.full_version + suffix, "Architecture": arch}
        lists = {
            f"{stem}.changes": control_list(files if listed is None else listed, **{**common, **fields}),
            f"{stem}.buildinfo": control_list(files, **common),
        }
        for name, data in {**lists, **files, "installed.txt": b"dpkg 1.21\n"}.items():
            (self.directory / name).write_bytes(data)
        try:
            return [each.path.name for each in built_packages(self.directory, self.source, arch, suffix)]
        finally:
            for path in self.directory.iterdir():
                path.unlink()

    def refused(self, part: str, arch: str = "amd64", suffix: str = "", **changed: str) -> None:
        """
        Check that the same package is refused, with *part* in the sentence.
        """
        self.assertIn(part, str(self.assertRaises(InputError, self.sent, arch, suffix, **changed)))

    def test_taken(self) -> None:
        """
        A package that the source makes, in each form that versions and names may have.
        """
        self.assertEqual(self.sent(), ["greet_1.0_amd64.deb"])
        self.assertEqual(self.sent(Source="greet"), ["greet_1.0_amd64.deb"])
        self.assertEqual(self.sent(Package="greet-dbgsym", Source="greet"), ["greet-dbgsym_1.0_amd64.deb"])
        self.assertEqual(self.sent(Version="7.1", Source="greet (1.0)"), ["greet_7.1_amd64.deb"])
        self.assertEqual(self.sent("all", Package="greet-data", Source="greet"), ["greet-data_1.0_all.deb"])
        self.assertEqual(self.sent("armhf", Package="greet-arm", Source="greet"), ["greet-arm_1.0_armhf.deb"])

    def test_suffix(self) -> None:
        """
        With a suffix, the version of the source has the suffix, or only the version of the package.
        """
        self.assertEqual(self.sent(suffix="+f1"), ["greet_1.0+f1_amd64.deb"])
        self.assertEqual(self.sent(suffix="+f1", Source="greet (1.0)"), ["greet_1.0+f1_amd64.deb"])
        self.assertEqual(self.sent(suffix="+f1", Version="7.1", Source="greet (1.0+f1)"), ["greet_7.1_amd64.deb"])
        self.refused("has the version 1.0, but", suffix="+f1", Version="1.0")
        self.refused("has the version 1.0 of the source 1.0, but", suffix="+f1", Version="1.0", Source="greet (1.0)")

    def test_epoch(self) -> None:
        """
        An epoch is in the version, but not in names of files.
        """
        self.patch(type(self), "source", read_dsc(dsc(FILE, Version="2:1.0")))
        self.assertEqual(self.sent(), ["greet_1.0_amd64.deb"])
        self.refused("has the version 1.0, but", Version="1.0")

    def test_others(self) -> None:
        """
        Promise 9.5, Promise 9.9: a package of another name, source, version or architecture is one sentence.
        """
        self.refused(
            "is no package that greet 1.0 makes; it makes greet, greet-arm, greet-data", Package="bash", Source="greet"
        )
        self.refused("is of the source bash", Package="bash")
        self.refused("is of the source bash", Source="bash")
        self.refused("has the version 2.0", Version="2.0")
        self.refused("1.0 of the source 0.9", Source="greet (0.9)")
        self.refused("is for i386, but", Architecture="i386")
        self.refused("is for all, but", Package="greet-data", Source="greet", Architecture="all")
        self.refused("makes greet-data for all", Package="greet-data", Source="greet")
        self.refused("makes greet-arm for any-arm", Package="greet-arm", Source="greet")
        self.refused("no name of a package", Package="GREET")
        self.refused("names no source package", Source="a b c")
        self.refused("is no version", Version="1 0")

    def test_foreign(self) -> None:
        """
        Promise 9.9: a package of the other family beside those of the build is refused, whatever it contains.
        """
        files = {"greet_1.0_amd64.deb": deb({**GREET, "Version": "1.0", "Architecture": "amd64"}), "x.rpm": b"?"}
        error = self.assertRaises(InputError, self.sent_files, files)
        self.assertIn("made 'x.rpm', which is no package of this target", str(error))

    def test_other_contents(self) -> None:
        """
        A file whose name does not fit its contents is refused, and so are lists that do not fit the files.
        """
        good = deb(GREET)
        greet = {"greet_1.0_amd64.deb": good}
        cases: list[tuple[str, dict[str, bytes], dict[str, bytes] | None]] = [
            ("is greet_1.0_amd64", {"greet-data_1.0_amd64.deb": good}, None),
            ("made no package", {}, None),
            ("is not listed in greet_1.0_amd64.changes", greet, {"other.deb": b""}),
            ("lists greet_1.0.tar.gz, which was not sent", greet, {**greet, "greet_1.0.tar.gz": b""}),
            ("its size or SHA-256 digest differs", greet, {"greet_1.0_amd64.deb": good[:-1] + b"x"}),
            ("where greet_1.0_amd64.changes was expected", {**greet, "bash_1.0_amd64.changes": b""}, None),
        ]
        for part, files, listed in cases:
            error = self.assertRaises(InputError, self.sent_files, files, listed)
            self.assertIn(part, str(error))
        for name, value in {"Source": "bash", "Version": "1.1", "Architecture": "i386"}.items():
            error = self.assertRaises(InputError, self.sent_files, greet, **{name: value})
            self.assertIn("'greet_1.0_amd64.changes' is for", str(error))


def _with_members(members: Mapping[str, bytes]) -> bytes:
    return b"!<arch>\n" + b"".join(ar_member(name, data) for name, data in members.items())
