"""
Others' text, made safe to show.
"""

import time
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.change import LAST_TIME
from buildbot_lite.model.display import (
    LONGEST,
    LONGEST_FILE_NAME,
    by_number,
    clock_time,
    file_name,
    printable,
    remark_lines,
)

HOSTILE_TEXT = "\x1b]0;owned\x07\r\n# one/1: SUCCESS\u202egnp.exe\x9b\ud800\u2028é"
texts = st.text(st.characters(), max_size=300)


class DisplayTests(SynchronousTestCase):
    def test_hostile_text(self) -> None:
        """
        Promise 6.17: control characters, bidirectional controls, line ends and surrogates in others' text are replaced;
        the text is cut at its longest length.
        """
        self.assertEqual(printable(HOSTILE_TEXT), "?]0;owned???# one/1: SUCCESS?gnp.exe???é")
        self.assertEqual(printable("a\nb\r\n", lines=True), "a\nb?\n")
        self.assertEqual(printable("a\xa0b\u3000\u2028", spaces=True), "a\xa0b\u3000?")
        self.assertEqual(printable("a\xa0b"), "a?b")
        self.assertEqual(len(printable("x" * (LONGEST + 1))), LONGEST)
        self.assertEqual(printable("x" * 11, longest=10), "xxxxxxxxx…")

    def test_by_number(self) -> None:
        """
        Builds of a builder are listed in the order of their numbers; a builder's name may end like a number.
        """
        labels = ["b/10", "b/9", "a/11", "b", "c/2/10", "c/2/9"]
        self.assertEqual(sorted(labels, key=by_number), ["a/11", "b", "b/9", "b/10", "c/2/9", "c/2/10"])

    def test_time_without_a_date(self) -> None:
        """
        A time that a peer chose has a text in each zone, also if no date is so late, or so early.
        """
        self.addCleanup(time.tzset)
        for zone in ("UTC", "Pacific/Kiritimati", "Etc/GMT+12"):
            with mock.patch.dict("os.environ", {"TZ": zone}):
                time.tzset()
                for when, part in ((LAST_TIME, "9999-"), (1e18, "9999-"), (-1e18, "1-01-0")):
                    self.assertIn(part, clock_time(when), zone)

    @given(texts)
    def test_any_text(self, text: str) -> None:
        """
        Promise 6.17: any text becomes one printable line of the same length; a printable line stays as it is.
        """
        shown = printable(text)
        shown.encode()
        self.assertTrue(shown.isprintable())
        self.assertEqual(printable(shown), shown)
        self.assertEqual(len(shown), len(text))

    @given(texts)
    def test_remarks(self, text: str) -> None:
        """
        Promise 6.17: a remark of several lines stays one remark.
        """
        first, *more = remark_lines(f"{text}\n# one/1: SUCCESS")[:-1].split("\n")

        self.assertTrue(first.startswith("# "))
        self.assertTrue(all(line.startswith("#     ") for line in more))
        self.assertEqual(more[-1], "#     # one/1: SUCCESS")

    @given(texts)
    def test_file_names(self, text: str) -> None:
        """
        Promise 6.17: any text becomes the name of one plain file.
        """
        name = file_name(text)

        self.assertTrue(name.isprintable())
        self.assertNotIn("/", name)
        self.assertNotIn(name[0], ".-")
        self.assertTrue(0 < len(name.encode()) <= LONGEST_FILE_NAME)

    def test_ordinary_file_names(self) -> None:
        """
        Ordinary file names stay as they are.
        """
        for name in ("hello-2.10.tar", "päyload 1.bin", "a~1", "x" * 200):
            self.assertEqual(file_name(name), name)
        for name, safe in (
            ("../../etc/passwd", "_.._etc_passwd"),
            ("-rf", "rf"),
            ("..", "_"),
            ("", "_"),
            ("é" * 150, "é" * 100),
        ):
            self.assertEqual(file_name(name), safe)
