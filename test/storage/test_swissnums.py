"""
The secret parts of FURLs, and the texts of configurations, which are outside the database.
"""

import os
import stat
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.storage import generation_texts
from buildbot_lite.storage.generation_texts import GenerationTexts
from buildbot_lite.storage.swissnums import (
    SwissnumRecord,
    Swissnums,
    digest_of,
    keep,
)
from buildbot_lite.wire.furl import build, parse

TUB = "a2" * 16


class SwissnumsTests(SynchronousTestCase):
    def test_made_from_the_key(self) -> None:
        """
        Promise 6.19: a swissnum follows from its record and the key; it fits into a FURL and is unique.
        """
        swissnums = Swissnums(b"key")
        minted = [swissnums.mint() for _ in range(100)]
        found = [Swissnums(b"key").of(each) for each in minted]

        self.assertEqual(len(set(found)), 100)
        for each, swissnum in zip(minted, found, strict=True):
            assert swissnum is not None
            self.assertEqual(parse(build(TUB, ["tcp:a:1"], swissnum)).swissnum, swissnum)
            self.assertEqual(len(swissnum), 32)
            self.assertEqual(digest_of(swissnum), each.digest)

    def test_other_key(self) -> None:
        """
        With another key no swissnum can be made, and the fingerprint differs; the repr shows neither.
        """
        minted = Swissnums(b"key").mint()
        self.assertIsNone(Swissnums(b"other").of(minted))
        self.assertNotEqual(Swissnums(b"other").fingerprint, Swissnums(b"key").fingerprint)
        self.assertNotIn("key'", repr(Swissnums(b"key")))

    def test_stable(self) -> None:
        """
        The swissnum of a record is the same in all versions.
        """
        minted = SwissnumRecord("00" * 16, digest_of("3bf2bsffaqssvi64rsunpxlwtc7wnj26"))
        self.assertEqual(Swissnums(b"key").of(minted), "3bf2bsffaqssvi64rsunpxlwtc7wnj26")

    def test_stored(self) -> None:
        """
        Swissnums of 0.1.0 are kept in a private file, to which more can be added; without the file they are unknown.
        """
        private = self.mktemp()
        os.mkdir(private)
        row = SwissnumRecord(None, digest_of("an-old-secret"))
        self.assertIsNone(Swissnums.load(b"key", private).of(row))
        keep(private, ["an-old-secret"])
        keep(private, ["another"])

        self.assertEqual(Swissnums.load(b"key", private).of(row), "an-old-secret")
        self.assertEqual(os.listdir(private), ["strings.kept"])
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(private, "strings.kept")).st_mode), 0o600)

    def test_damaged(self) -> None:
        """
        A damaged file raises an error with its name.
        """
        private = self.mktemp()
        os.mkdir(private)
        with open(os.path.join(private, "strings.kept"), "wb") as file:
            file.write(b"\xff")
        self.assertIn("strings.kept", str(self.assertRaises(StorageError, Swissnums.load, b"key", private)))


class GenerationTextsTests(SynchronousTestCase):
    def test_stored(self) -> None:
        """
        Promise 6.19: a text is kept in a private file, also for later processes, until it is removed; writing an
        existing text again needs no space.
        """
        private = os.path.join(self.mktemp(), "private")
        texts, files = GenerationTexts(private), {"master.cfg": "c = {}\n", "own.py": "pass\n"}
        texts.remove_all_but(())
        for hash_ in ("1" * 64, "2" * 64):
            texts.keep(hash_, files)

        self.assertEqual(GenerationTexts(private).get("1" * 64), files)
        for name, mode in (("", 0o700), ("generations", 0o700), ("generations/" + "1" * 64, 0o600)):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(private, name)).st_mode), mode, name)
        with mock.patch.object(generation_texts, "write_whole", side_effect=StorageError("no room")):
            texts.keep("1" * 64, files)
            self.assertRaises(StorageError, texts.keep, "1" * 64, {})
        texts.remove_all_but(["1" * 64])
        self.assertEqual((texts.get("1" * 64), texts.get("2" * 64)), (files, None))

    def test_damaged(self) -> None:
        """
        A damaged text raises an error with its name.
        """
        private = self.mktemp()
        texts = GenerationTexts(private)
        texts.keep("1" * 64, {})
        for text in ("[1", "[]"):
            with open(os.path.join(private, "generations", "1" * 64), "w", encoding="ascii") as file:
                file.write(text)
            self.assertIn("1" * 64, str(self.assertRaises(StorageError, texts.get, "1" * 64)))
