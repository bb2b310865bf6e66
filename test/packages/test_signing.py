"""
Signatures of packages and repositories, made with gpg and checked with gpgv, rpmkeys and apt's way of reading.
"""

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import ClassVar
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.child_programs import ChildProgram, ProgramError, Ran, run_here
from buildbot_lite.errors import DiskFullError, FileError, InputError
from buildbot_lite.packages.formats.rpm_header import read_header, read_lead
from buildbot_lite.packages.keys import verification
from buildbot_lite.packages.keys.openpgp import EDDSA, RSA, read_public_keys, read_signature
from buildbot_lite.packages.keys.verification import TargetKey
from buildbot_lite.packages.signer.gnupg import Gnupg
from buildbot_lite.packages.signer.signable import described
from buildbot_lite.packages.signing import rpm_signature
from buildbot_lite.packages.signing.release_signature import in_release, text_to_sign
from buildbot_lite.packages.signing.rpm_signature import header_to_sign, signature_header, write_signed

from ..needs import needs
from .archives import TINY_SRPM
from .keys import LONG_AGO, GnupgHome

RELEASE = b"Suite: bookworm\nDate: Sun, 29 Nov 2026 17:00:00 UTC\nSHA256:\n "
RELEASE += b"0123" * 16 + b" 5 main/binary-amd64/Packages\n"
WITH_DATA = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1795986171</revision>
  <data type="primary">
    <location href="repodata/0123-primary.xml.gz"/>
  </data>
</repomd>
"""
REPOMD = b'<?xml version="1.0"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo"/>\n'
HEADER = header_to_sign(io.BytesIO(TINY_SRPM))


@needs("gpg", "gpgv", "rpmkeys")
class _SigningCase(SynchronousTestCase):
    """
    Keys are made once: each takes a process of gpg-agent.
    """

    rsa: ClassVar[GnupgHome]
    ed25519: ClassVar[GnupgHome]

    @classmethod
    def setUpClass(cls) -> None:
        if getattr(cls, "skip", ""):
            return
        cls.rsa = GnupgHome("rsa2048")
        cls.ed25519 = GnupgHome("ed25519", name="Other")

    @classmethod
    def tearDownClass(cls) -> None:
        for home in (getattr(cls, "rsa", None), getattr(cls, "ed25519", None)):
            if home is not None:
                home.remove()

    def setUp(self) -> None:
        temporary = TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def key(self, contents: bytes) -> TargetKey:
        """
        A target's key with *contents*.
        """
        path = self.directory / "farm.asc"
        path.write_bytes(contents)
        return TargetKey(str(path), "keys/farm.asc")

    def refused(self, key: TargetKey, data: bytes, signature: bytes) -> str:
        return str(self.assertRaises(InputError, key.check_signature, data, signature, "greet.rpm"))


class VerificationTests(_SigningCase):
    """
    Signatures, checked with the public key of a target.
    """

    def test_good(self) -> None:
        """
        Promise 9.7: signatures of RSA and of Ed25519 keys are accepted, the key being armored or not, alone or beside
        another.
        """
        for home, algorithm in ((self.rsa, RSA), (self.ed25519, EDDSA)):
            for keys in (home.public(), home.public(()), self.rsa.public() + self.ed25519.public()):
                found = self.key(keys).check_signature(b"data", home.sign(b"data"), "greet.rpm")
                self.assertEqual((found.algorithm, found.digest), (algorithm, "SHA256"))

    def test_memory(self) -> None:
        """
        Promise 9.7: a program that reads signatures or packages of others has a limit of memory; one that reaches it
        is one sentence.
        """
        key, signature = self.key(self.rsa.public()), self.rsa.sign(b"data")
        ran: list[ChildProgram] = []

        def running(program: ChildProgram, unwanted: Event) -> Ran:
            ran.append(program)
            return run_here(program, unwanted)

        with mock.patch.object(verification, "run_here", running):
            key.check_signature(b"data", signature, "greet.rpm")
        self.assertEqual([each.command[:2] for each in ran], [["prlimit", f"--as={verification.MOST_MEMORY}"]])
        with mock.patch.object(verification, "MOST_MEMORY", 1 << 20):
            sentence = self.refused(key, b"data", signature)
        self.assertIn("gpgv does not accept the signature of greet.rpm", sentence)

    def test_machine_at_fault(self) -> None:
        """
        Promise 9.9: a check that cannot be made says nothing about the signature: the disk for temporary files is full,
        before gpgv or rpmkeys runs or while it does, or the master stops.
        """
        key, signature = self.key(self.rsa.public()), self.rsa.sign(b"data")
        package = self.directory / "greet.rpm"
        package.write_bytes(TINY_SRPM)
        full = OSError(28, "No space left on device")
        checks: list[Callable[[], object]] = [
            lambda: key.check_signature(b"data", signature, "greet.rpm"),
            lambda: key.check_signed_text(b"data", "Release"),
            lambda: key.check_packages([str(package)]),
        ]
        for check in checks:
            for name in ("tempfile.mkdtemp", f"{verification.__name__}._write"):
                with mock.patch(name, side_effect=full):
                    error = self.assertRaises(DiskFullError, check)
            self.assertIn("there is no room for the temporary files", str(error))
            failed = mock.patch.object(verification, "run_here", return_value=Ran(2, b"", b"gpgv: error\n"))
            with failed, mock.patch.object(verification, "LEAST_FREE", 1 << 62):
                self.assertRaises(DiskFullError, check)
            with failed:
                self.assertRaises(InputError, check)
            key.unwanted.set()
            self.assertIn("the master stops", str(self.assertRaises(ProgramError, check)))
            key.unwanted.clear()
        checks[0]()

    def test_wrong_key(self) -> None:
        """
        Promise 9.7: a signature by another key is refused, with that key's number.
        """
        sentence = self.refused(self.key(self.rsa.public()), b"data", self.ed25519.sign(b"data"))
        number = self.ed25519.fingerprint[-16:]
        self.assertEqual(sentence, f"The signature of greet.rpm is by the key {number}, which is not in keys/farm.asc.")

    def test_other_bytes(self) -> None:
        """
        Promise 9.7: a signature of other bytes is refused.
        """
        sentence = self.refused(self.key(self.rsa.public()), b"data", self.rsa.sign(b"Data"))
        self.assertEqual(sentence, "The signature of greet.rpm is of other bytes.")

    def test_expired_key(self) -> None:
        """
        Promise 9.7: a key that has expired is refused, though gpgv's exit code is 0 for it.
        """
        old = GnupgHome(made=LONG_AGO, lasts="1d")
        self.addCleanup(old.remove)
        sentence = self.refused(self.key(old.public()), b"data", old.sign(b"data"))
        self.assertIn(f"by the key {old.fingerprint[-16:]}, which has expired.  Extend it", sentence)

    def test_expired_signature(self) -> None:
        """
        A signature that has expired is refused.
        """
        old = GnupgHome(made=LONG_AGO)
        self.addCleanup(old.remove)
        sentence = self.refused(self.key(old.public()), b"data", old.sign(b"data", "--default-sig-expire", "1d"))
        self.assertEqual(sentence, "The signature of greet.rpm has expired.")

    def test_no_signatures(self) -> None:
        """
        Promise 9.7: what is no detached signature is refused before gpgv sees it: garbage, armor, two signatures, a
        signed message, a weak digest.
        """
        good = self.rsa.sign(b"data")
        for wrong, why in [
            (b"", "no OpenPGP signature"),
            (b"garbage", "no OpenPGP data"),
            (good[:-1], "no OpenPGP data"),
            (good + good, "no OpenPGP signature"),
            (self.rsa.gpg("--armor", "--detach-sign", stdin=b"data"), "no OpenPGP data"),
            (self.rsa.gpg("--compress-algo", "none", "--sign", stdin=b"data"), "no OpenPGP"),
            (self.rsa.gpg("--digest-algo", "SHA1", "--detach-sign", stdin=b"data"), "the weak digest 2"),
            (self.rsa.public(()), "no OpenPGP signature"),
            (b"x" * 5000, "5000 bytes; at most 4096"),
        ]:
            self.assertIn(why, self.refused(self.key(self.rsa.public()), b"data", wrong))

    def test_keys(self) -> None:
        """
        Promise 9.7: a secret key on the master is refused, and what is no key; each with the remedy.
        """
        secret = self.ed25519.gpg("--armor", "--export-secret-keys")
        for wrong, why in [
            (secret, "has a secret key, which must never be on the master"),
            (self.ed25519.gpg("--export-secret-keys"), "has a secret key"),
            (self.rsa.public() + secret, "has a secret key"),
            (self.rsa.public(()) + self.ed25519.gpg("--export-secret-keys"), "has a secret key"),
            (b"", "has no public key.  Write one: gpg --armor --export KEY > keys/farm.asc"),
            (b"garbage", "has no public key"),
            (self.rsa.sign(b"data"), "has no public key"),
            (self.rsa.public().replace(b"\n\n", b"\n\n!", 1), "has no public key"),
            (b"x" * ((1 << 20) + 1), "at most 1048576"),
        ]:
            self.assertIn(why, self.refused(self.key(wrong), b"data", self.rsa.sign(b"data")))
        missing = TargetKey(str(self.directory / "missing.asc"), "keys/farm.asc")
        error = self.assertRaises(FileError, missing.check_signature, b"", self.rsa.sign(b""), "greet.rpm")
        self.assertIn("gpg --armor --export KEY > keys/farm.asc", str(error))

    @settings(max_examples=300)
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """
        Any bytes are read as a signature or a key, or are refused with a sentence.
        """
        for read in (read_signature, lambda data: read_public_keys(data, "k"), described):
            try:
                read(data)
            except InputError as error:
                self.assertTrue(str(error).endswith((".", "> k")), str(error))


class RpmTests(_SigningCase):
    """
    RPM packages, of which only the header is signed.
    """

    def setUp(self) -> None:
        super().setUp()
        self.package = self.directory / "tiny.rpm"
        self.package.write_bytes(TINY_SRPM)
        self.signed = self.directory / "signed.rpm"

    def sign(self, home: GnupgHome) -> None:
        write_signed(str(self.package), read_signature(home.sign(HEADER)), str(self.signed))

    def test_signed(self) -> None:
        """
        Promise 9.7: rpmkeys accepts a package after its header alone was signed elsewhere, of both kinds of keys, and
        signed again; header and payload are what they were.
        """
        self.assertIn(len(HEADER), range(1000, 4000))
        for home in (self.rsa, self.ed25519):
            self.sign(home)
            for keys in (home.public(), self.rsa.public() + self.ed25519.public()):
                self.key(keys).check_packages([str(self.signed)])
            self.assertEqual(self.signed.stat().st_mode & 0o777, 0o644)
            with self.signed.open("rb") as file:
                read_lead(file)
                read_header(file, padded=True)
                rest = file.read()
            self.assertTrue(TINY_SRPM.endswith(rest))
            self.assertEqual(rest[: len(HEADER)], HEADER)
            self.signed.rename(self.package)
        self.assertEqual(os.listdir(self.directory).count("signed.rpm.new"), 0)

    def test_unsigned(self) -> None:
        """
        Promise 9.7: rpmkeys refuses an unsigned package, which it accepts by default; its name is in the sentence.
        """
        plain = subprocess.run(
            ["rpmkeys", "--dbpath", str(self.directory / "db"), "--checksig", str(self.package)],
            check=False,
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(plain.returncode, 0)
        error = self.assertRaises(InputError, self.key(self.rsa.public()).check_packages, [str(self.package)])
        self.assertIn("rpm does not accept", str(error))
        self.assertIn("tiny.rpm", str(error))

    def test_wrong(self) -> None:
        """
        Promise 9.7: rpmkeys refuses a package signed with another key, with the signature of another header, and with
        another payload; the good package beside it is not named.
        """
        self.sign(self.rsa)
        good = self.directory / "good.rpm"
        self.signed.rename(good)
        changed = bytearray(good.read_bytes())
        changed[-1] ^= 1
        self.signed.write_bytes(changed)
        ours = self.key(self.rsa.public())
        for make in (
            lambda: None,
            lambda: self.sign(self.ed25519),
            lambda: write_signed(str(self.package), read_signature(self.rsa.sign(b"other")), str(self.signed)),
        ):
            make()
            error = self.assertRaises(InputError, ours.check_packages, [str(good), str(self.signed)])
            self.assertIn("rpm does not accept the signed package signed.rpm", str(error))
        ours.check_packages([str(good)])

    def test_text_signature(self) -> None:
        """
        A signature of text is not put into a package.
        """
        signature = read_signature(self.rsa.sign(HEADER, "--textmode"))
        self.assertRaises(InputError, write_signed, str(self.package), signature, str(self.signed))
        self.assertFalse(self.signed.exists())

    def test_full_disk(self) -> None:
        """
        Promise 9.9: on a full disk a signed package is not written in part, and one sentence says so.
        """
        full = OSError(28, "No space left on device")
        for change in ("open", "fsync", "rename"):
            with mock.patch(f"{rpm_signature.__name__}.os.{change}", side_effect=full):
                error = self.assertRaises(DiskFullError, self.sign, self.rsa)
            self.assertIn("there is no room for the signed package signed.rpm", str(error))
            self.assertEqual(os.listdir(self.directory), ["tiny.rpm"])

    def test_no_digest(self) -> None:
        """
        A package whose header does not cover its payload is not signed.
        """
        # The tag of the digest, 5092, becomes 5091 in the index.
        without = TINY_SRPM.replace((5092).to_bytes(4, "big"), (5091).to_bytes(4, "big"))
        error = self.assertRaises(InputError, header_to_sign, io.BytesIO(without))
        self.assertIn("no digest of its payload", str(error))

    @settings(max_examples=300)
    @given(st.integers(0, len(TINY_SRPM) - 1), st.integers(0, 255))
    def test_damaged(self, place: int, value: int) -> None:
        """
        A damaged package is refused with a sentence, or its signature header is written.
        """
        damaged = bytearray(TINY_SRPM)
        damaged[place] = value
        file = io.BytesIO(bytes(damaged))
        try:
            read_lead(file)
            old = read_header(file, padded=True)
            self.assertEqual(len(signature_header(old, read_signature(SIGNATURE))) % 8, 0)
            file.seek(0)
            header_to_sign(file)
        except InputError as error:
            self.assertTrue(str(error).endswith("."))


# A signature of an RSA key, without contents that could be checked.
SIGNATURE = bytes([0x88, 10, 4, 0, 1, 8, 0, 0, 0, 0, 0, 0])


class ReleaseTests(_SigningCase):
    """
    The indexes of repositories.
    """

    def test_in_release(self) -> None:
        """
        Promise 9.7: an InRelease that was put together from a detached signature is accepted by gpgv, of both kinds of
        keys; with one other byte it is not.
        """
        for home in (self.rsa, self.ed25519):
            signature = read_signature(home.sign(text_to_sign(RELEASE), "--textmode"))
            text = in_release(RELEASE, signature)
            self.assertIn(RELEASE, text)
            key = self.key(home.public())
            key.check_signature(text_to_sign(RELEASE), signature.data, "Release")
            key.check_signed_text(text, "InRelease")
            error = self.assertRaises(InputError, key.check_signed_text, text.replace(b"0123", b"0124", 1), "InRelease")
            self.assertEqual(str(error), "The signature of InRelease is of other bytes.")

    def test_kinds(self) -> None:
        """
        A signature of bytes is refused for an InRelease.
        """
        signature = read_signature(self.rsa.sign(text_to_sign(RELEASE)))
        self.assertRaises(InputError, in_release, RELEASE, signature)

    def test_texts(self) -> None:
        """
        A Release that the framework would change is refused.
        """
        for wrong in (b"", b"a", b"a\n\n", b"a\r\n", b"a \n", b"- a\n", b"a\n-----BEGIN PGP SIGNATURE-----\n"):
            self.assertRaises(InputError, text_to_sign, wrong)


class DescribedTests(SynchronousTestCase):
    """
    The descriptions for signers, which need no program.
    """

    def test_described(self) -> None:
        """
        Promise 9.7: a signer sees what is to be signed from the bytes themselves; what is neither a package nor an
        index is refused.
        """
        self.assertEqual(described(HEADER), "package tiny 2:1.0-3 src")
        self.assertIn("Suite: bookworm; Date: Sun, 29 Nov 2026", described(RELEASE))
        self.assertIn("repomd.xml", described(REPOMD))
        self.assertIn("repomd.xml", described(WITH_DATA))
        tag = b"object 0123\ntype commit\ntag v1\ntagger Farm <f@example.org> 0 +0000\n\nDate: today\nSHA256:\n"
        for wrong in (
            b"",
            b"I owe you 1000 euros",
            HEADER + b"x",
            TINY_SRPM,
            b"Suite: x\n",
            b"<?xml?><a/>",
            tag,
            RELEASE + b"and 1000 euros\n",
            RELEASE.replace(b"Date:", b"Debt:"),
            b"\n" + RELEASE,
            b"I owe you " + REPOMD,
            b"\n" + REPOMD,
            REPOMD + b"1000 euros",
            REPOMD.replace(b"<repomd", b"<!-- 1000 euros --><repomd"),
            WITH_DATA.replace(b"<data", b"<!-- 1000 euros --><data"),
            WITH_DATA.replace(b"<data", b"<?euros 1000?><data"),
            WITH_DATA.replace(b"<data", b"</repomd><data"),
            WITH_DATA.replace(b"<data", b"\0<data"),
            WITH_DATA.removesuffix(b"</repomd>\n"),
            WITH_DATA + b"\n",
        ):
            self.assertRaises(InputError, described, wrong)


class SignerTests(_SigningCase):
    """
    The signer's side.
    """

    def test_signs(self) -> None:
        """
        Their gpg makes the kind of signature that is asked for; gpg's own words say why it does not.
        """
        with mock.patch.dict(os.environ, self.rsa.environment):
            key = self.key(self.rsa.public())
            for text in (False, True):
                signature = Gnupg(self.rsa.fingerprint).sign(b"data", text=text)
                self.assertEqual(signature.kind, int(text))
                self.assertIn(len(signature.data), range(135, 459))
                key.check_signature(b"data", signature.data, "x")
            Gnupg(self.rsa.fingerprint).check()
            missing = self.assertRaises(InputError, Gnupg("nobody@example.org").check)
            error = self.assertRaises(InputError, Gnupg("nobody@example.org").sign, b"data", text=False)
            self.assertEqual(
                str(missing), "gpg has no secret key 'nobody@example.org' here.  See: gpg --list-secret-keys"
            )
            self.assertIn("gpg did not sign with the key 'nobody@example.org'", str(error))

    def test_options(self) -> None:
        """
        A word that looks like an option of gpg is refused as a key.
        """
        for wrong in ("", "--passphrase-fd", "-u", "a\nb"):
            self.assertRaises(InputError, Gnupg, wrong)
