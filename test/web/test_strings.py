"""
The strings of the web process.
"""

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FurlError
from buildbot_lite.web.farm.strings import INTERVAL, WATCH, WEBHOOKS, WebStrings

FURL = f"pb://{'a' * 32}@tcp:127.0.0.1:1/{'s' * 20}"
OTHER = f"pb://{'a' * 32}@tcp:127.0.0.1:2/{'t' * 20}"


class StringsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An empty directory.
        """
        self.private = Path(self.mktemp())
        self.private.mkdir(parents=True)
        self.clock = Clock()
        self.got: list[str | None] = []

    def make(self, **given: str) -> WebStrings:
        """
        The strings, whose watch string is followed.
        """
        strings = WebStrings(str(self.private), self.clock, given)
        strings.follow(WATCH, self.got.append)
        strings.start()
        self.addCleanup(strings.stop)
        return strings

    def write(self, text: str, mode: int = 0o600) -> None:
        """
        Replace the file of the watch string, and let the time of one look pass.
        """
        beside = self.private / "new"
        beside.write_text(text)
        beside.chmod(mode)
        beside.rename(self.private / "watch.furl")
        self.clock.advance(INTERVAL)

    def test_appears(self) -> None:
        """
        A string is told when its file appears, when the file has another one, and when the file is removed; a file that
        was written again with the same string is told once.
        """
        strings = self.make()
        self.assertEqual(self.got, [])
        self.write(f"{FURL}\n")
        self.write(f"# a comment\n{FURL}\n")
        self.assertEqual((self.got, strings.current(WATCH), strings.current(WEBHOOKS)), ([FURL], FURL, None))
        self.write(OTHER)
        (self.private / "watch.furl").unlink()
        self.clock.advance(INTERVAL)
        self.assertEqual(self.got, [FURL, OTHER, None])

    def test_written_in_place(self) -> None:
        """
        A file that an editor wrote in place, with the same length, is noticed by its time.
        """
        self.make()
        self.write(FURL)
        path = self.private / "watch.furl"
        before = path.stat()
        path.write_text(OTHER)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        self.clock.advance(INTERVAL)
        self.assertEqual(self.got, [FURL, OTHER])

    def test_late_follower(self) -> None:
        """
        A follower that comes late gets the string at once.
        """
        strings = self.make()
        self.write(FURL)
        late: list[str | None] = []
        strings.follow(WATCH, late.append)
        self.assertEqual(late, [FURL])

    def test_given(self) -> None:
        """
        A string that web.tac has is told at once, and its file is not looked at; one that is none is an error.
        """
        self.make(watch=f" {FURL}\n")
        self.write(OTHER)
        self.assertEqual(self.got, [FURL])
        self.assertRaises(FurlError, WebStrings, str(self.private), self.clock, {WEBHOOKS: "pb://PUT-THE-STRING-HERE"})

    def test_damaged(self) -> None:
        """
        A file without a string, or with a damaged one, leaves the former string; the log has a line without any part of
        it.
        """
        self.make()
        self.write(FURL)
        self.write(OTHER.replace("@", ""))
        self.write("")
        self.clock.advance(INTERVAL)
        self.assertEqual(self.got, [FURL])
        self.write(OTHER)
        self.assertEqual(self.got, [FURL, OTHER])
