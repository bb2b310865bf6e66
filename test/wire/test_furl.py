"""
FURLs: parsing, checking and rebuilding.
"""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FurlError
from buildbot_lite.model.hello import MOST_HINTS
from buildbot_lite.wire.furl import (
    PLACEHOLDER,
    build,
    check_hint,
    furls_in,
    parse,
    with_hints,
)

TUB = "abcdefghijklmnopqrstuvwxyz234567"
GOOD = f"pb://{TUB}@tcp:farm.example:9989,tcp:[fe80::1]:9989/sesame-open"


class FurlTest(SynchronousTestCase):
    def test_parse(self) -> None:
        """
        A FURL is parsed and rebuilt unchanged; white space around it is ignored.
        """
        furl = parse(f"  {GOOD}\n")

        self.assertEqual(furl.tub_id, TUB)
        self.assertEqual(furl.hints, ("tcp:farm.example:9989", "tcp:[fe80::1]:9989"))
        self.assertEqual(furl.swissnum, "sesame-open")
        self.assertEqual(str(furl), GOOD)

    def test_mistyped(self) -> None:
        """
        Each mistake gives one sentence with the remedy, which repeats no part of the FURL (Promise 3).
        """
        mistyped = [
            "",
            "bot1",
            "http://farm.example/",
            GOOD.removeprefix("p"),
            GOOD[:20],
            GOOD[:-11],
            GOOD[:-5],
            GOOD.replace("@", ""),
            GOOD.replace(TUB, TUB[1:]),
            GOOD.replace(TUB, TUB.replace("a", "1")),
            GOOD.replace(":9989", ":99999"),
            GOOD.replace("tcp:farm.example:9989", ""),
            GOOD.replace("tcp:farm.example:9989", "farm.example"),
            f"bot1 {GOOD}",
            f"{GOOD} {GOOD}",
            GOOD + "/\0",
            GOOD + "é",
            "pb://" + "x" * 5000,
            build(TUB, ["tcp:a:1"] * 21, "sesame-open"),
        ]
        for text in mistyped:
            sentence = str(self.assertRaises(FurlError, parse, text))
            self.assertTrue(sentence.endswith("."), sentence)
            self.assertNotIn("sesame", sentence)
            self.assertNotIn(TUB, sentence)

    def test_placeholder(self) -> None:
        """
        What the sample of slave.tac has in place of a string is told from one that was cut.
        """
        sample = (Path(__file__).parents[2] / "slave.tac.sample").read_text()
        self.assertIn(f'furl="{PLACEHOLDER}"', sample)
        with self.assertRaisesRegex(FurlError, "^slave.tac has no string yet, .* Put the slave's string there"):
            parse(PLACEHOLDER)

    def test_secret(self) -> None:
        """
        The repr of a parsed FURL does not contain its secret (Promise 14).
        """
        self.assertNotIn("sesame", repr(parse(GOOD)))

    def test_with_hints(self) -> None:
        """
        New hints come first, without duplicates; invalid ones are dropped.
        """
        self.assertEqual(
            with_hints(GOOD, ["tcp:new.example:1", "tcp:farm.example:9989", "carrier pigeon"]),
            f"pb://{TUB}@tcp:new.example:1,tcp:farm.example:9989,tcp:[fe80::1]:9989/sesame-open",
        )
        many = with_hints(GOOD, [f"tcp:h{n}:1" for n in range(100)])
        self.assertEqual(len(parse(many).hints), MOST_HINTS)

    def test_hints(self) -> None:
        """
        A hint needs host and port only; hints for other Foolscap plugins are accepted.
        """
        for hint in ("tcp:10.0.0.1:1", "farm:65535", "tor:abcdefg.onion:80"):
            self.assertEqual(check_hint(hint), hint)
        for hint in ("tcp:farm", "tcp:farm:0", "tcp:farm:70000", "tcp:a b:1", "farm", ":1", "tcp:a:1,tcp:b:1"):
            self.assertRaises(FurlError, check_hint, hint)

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """
        Any text either parses or raises `FurlError`.
        """
        for given_text in (text, f"pb://{text}", GOOD + text, GOOD.replace("tcp:farm.example:9989", text)):
            try:
                parse(given_text)
            except FurlError:
                continue


class FurlsInTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """
        A FURL is found alone in its line or after a name; comments are searched only if no other line has a FURL.
        """
        other = f"{GOOD}s"
        for text, found in (
            (GOOD, [GOOD]),
            (f"# head\nbot1 {GOOD}\nbot2 {other}\n", [GOOD, other]),
            (f"# request 7: watch with {GOOD}\n", [GOOD]),
            (f"# before: {other}\n{GOOD}\n", [GOOD]),
            (f"my bot1 {GOOD}", []),
            (GOOD.replace("@", " @"), []),
            ("", []),
        ):
            self.assertEqual(furls_in(text), found, text)
