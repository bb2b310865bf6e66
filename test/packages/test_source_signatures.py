"""
Signatures of .dsc files.
"""

import io
import tempfile
from pathlib import Path
from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, InputError
from buildbot_lite.packages import DebTarget, Plain
from buildbot_lite.packages.formats.submitted_package import examine

from ..needs import needs
from .archives import archive, greet
from .keys import GnupgHome

NAME = "greet_1.0.dsc"


@needs("gpg", "gpgv")
class SourceSignatureTests(SynchronousTestCase):
    """
    A target with ``keyring``.
    """

    key: ClassVar[GnupgHome]
    other: ClassVar[GnupgHome]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not getattr(cls, "skip", ""):
            cls.key, cls.other = GnupgHome(), GnupgHome(name="Other")

    @classmethod
    def tearDownClass(cls) -> None:
        if not getattr(cls, "skip", ""):
            cls.key.remove()
            cls.other.remove()
        super().tearDownClass()

    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.keyring = Path(directory.name, "developers.asc")
        self.keyring.write_bytes(self.key.public())
        self.target = DebTarget("t", arches=["amd64"], root=Plain(), keyring=str(self.keyring))

    def submit(self, files: dict[str, bytes]) -> None:
        """
        Submit an archive of *files*.
        """
        self.target.check_source(examine(io.BytesIO(archive(files))))

    def signed(self, key: GnupgHome) -> dict[str, bytes]:
        """
        The files of greet, whose .dsc is signed with *key*.
        """
        files = greet()
        return {**files, NAME: key.gpg("--clear-sign", stdin=files[NAME])}

    def test_good(self) -> None:
        """
        Promise 9.1: a .dsc that is signed by a key of the keyring is taken.
        """
        self.submit(self.signed(self.key))

    def test_refused(self) -> None:
        """
        Promise 9.1: a .dsc without a signature, or with a signature by another key or of another text, and a missing
        keyring give one sentence each.
        """
        changed = self.signed(self.key)
        changed[NAME] = changed[NAME].replace(b"Maintainer: Farm", b"Maintainer: Firm")
        for files, part in [
            (greet(), f"{NAME} is not signed, and t takes signed ones only"),
            (self.signed(self.other), "which is not in"),
            (changed, f"The signature of {NAME} is of other bytes."),
        ]:
            self.assertIn(part, str(self.assertRaises(InputError, self.submit, files)))
        self.keyring.unlink()
        self.assertIn("cannot be read", str(self.assertRaises(BuildbotLiteError, self.submit, self.signed(self.key))))

    def test_two_frames(self) -> None:
        """
        Promise 9.1: a .dsc of somebody else, put before a signed one so that gpgv looks at the second alone, is
        refused; and so is each text of which only a part is signed.
        """
        genuine = self.signed(self.key)[NAME]
        evil = greet(Uploaders="Evil")
        # A marker packet (RFC 9580, 5.8), which gpgv skips.
        block = b"-----BEGIN PGP SIGNATURE-----\n\nygNQR1A=\n-----END PGP SIGNATURE-----\n"
        beginning = b"-----BEGIN PGP SIGNED MESSAGE-----"
        for space in ("\u00a0", "\u2003", "\x0b", " ", "\t", "\r", "x", ""):
            frame = beginning + space.encode() + b"\nHash: SHA512\n\n" + evil[NAME] + b"\n" + block
            for text in (frame + genuine, b"\n" + frame + genuine, frame):
                self.assertRaises(InputError, self.submit, {**evil, NAME: text})
        for text in (
            evil[NAME] + genuine,
            genuine + evil[NAME],
            genuine + genuine,
            b"\n" + genuine,
            genuine.replace(b"\n\n", b"\nUploaders: Evil\n\n", 1),
            genuine.replace(b"\n\n", b"\nComment: Evil\n\n", 1),
            genuine.replace(b"Format:", b"- Format:\n-Uploaders: Evil\nX:"),
        ):
            self.assertRaises(InputError, self.submit, {**evil, NAME: text})

    def test_verified_text(self) -> None:
        """
        Promise 9.1: the farm builds the text that gpgv verified, and ignores the text around it.
        """
        submitted = examine(io.BytesIO(archive(greet(Version="6.6.6"))))
        other = evolve(submitted, description=self.signed(self.key)[NAME])
        error = self.assertRaises(InputError, self.target.check_source, other)
        self.assertIn("is signed, but the signed text is another one", str(error))

    def test_not_asked(self) -> None:
        """
        Without ``keyring``, signatures are not checked.
        """
        self.target = DebTarget("t", arches=["amd64"], root=Plain())
        self.submit(greet())
        self.submit(self.signed(self.other))
