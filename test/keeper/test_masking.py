"""
Masking secrets in a stream that arrives in arbitrary pieces.
"""

import base64
import html
import json
import os
import quopri
import random
import re
import shlex
import subprocess
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.masking import (
    Masker,
    Search,
    masked_text,
    patterns,
)

KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + b"".join(base64.b64encode(random.Random(line).randbytes(52))[:70] + b"\n" for line in range(25))
    + b"-----END OPENSSH PRIVATE KEY-----\n"
)
TOKEN = b"s3cr3t/token+of=bot1?"


def plainly(secrets: list[bytes], whole: bytes) -> bytes:
    """
    Mask *whole* by the definition: replace every byte of every occurrence.
    """
    masked = bytearray(whole)
    for pattern in patterns(secrets):
        at = whole.find(pattern)
        while at >= 0:
            masked[at : at + len(pattern)] = b"*" * len(pattern)
            at = whole.find(pattern, at + 1)
    return bytes(masked)


def in_pieces(secrets: list[bytes], pieces: list[bytes]) -> bytes:
    """
    Return the output of a masker for the stream in *pieces*.
    """
    masker = Masker(secrets)
    return b"".join([masker.feed(piece) for piece in pieces] + [masker.flush()])


# Two letters and a newline, so that secrets overlap, repeat, and begin at every end.
few = st.binary(max_size=30).map(lambda data: bytes(b"ab\n"[byte % 3] for byte in data))


@st.composite
def encoded(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """
    Generate secrets, and a stream of pieces made of parts of them, whole secrets, and encoded ones.
    """
    secrets = draw(st.lists(st.binary(min_size=6, max_size=60), min_size=1, max_size=3))
    parts = st.sampled_from(patterns(secrets)) | st.sampled_from(secrets) | st.binary(max_size=10)
    text = st.builds(
        lambda before, whole, after: before + whole + after, st.binary(max_size=4), parts, st.binary(max_size=4)
    )
    stream = b"".join(
        draw(st.lists(text | text.map(base64.encodebytes) | text.map(lambda data: quote(data).encode()), max_size=6))
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return secrets, [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


class MaskerTests(SynchronousTestCase):
    @given(st.lists(few.filter(lambda data: len(data) >= 6), max_size=4), st.lists(few, max_size=20))
    def test_definition(self, secrets: list[bytes], pieces: list[bytes]) -> None:
        """
        However the stream is cut, the masked output equals that of the definition for the whole (Invariant I7).
        """
        self.assertEqual(in_pieces(secrets, pieces), plainly(secrets, b"".join(pieces)))

    @given(st.lists(st.binary(min_size=6, max_size=12), max_size=3), st.lists(st.binary(max_size=40), max_size=20))
    def test_length(self, secrets: list[bytes], pieces: list[bytes]) -> None:
        """
        The output is as long as the input, and never ahead of it.
        """
        masker = Masker(secrets)
        came = went = 0
        for piece in pieces:
            came += len(piece)
            went += len(masker.feed(piece))
            self.assertLessEqual(went, came)
        self.assertEqual(went + len(masker.flush()), came)

    @given(encoded())
    def test_definition_of_encodings(self, case: tuple[list[bytes], list[bytes]]) -> None:
        """
        The masked output equals that of the definition, also for encoded secrets, whole and cut (Invariant I7, Promise
        19).
        """
        secrets, pieces = case
        self.assertEqual(in_pieces(secrets, pieces), plainly(secrets, b"".join(pieces)))

    def test_base64(self) -> None:
        """
        Promise 19: base64 of a secret is masked at all three alignments, in both alphabets, except for the characters
        at its ends that also encode its neighbours.
        """
        for secret in (b"secret", b"secret12", TOKEN, bytes(range(200, 256))):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                for before in range(6):
                    alone = encode(bytes(before) + secret)
                    masked = in_pieces([secret], [alone])
                    self.assertEqual(len(masked), len(alone))
                    left = masked[before * 8 // 6 :].rstrip(b"=")
                    self.assertLessEqual(len(left.replace(b"*", b"")), 2, (secret, before, masked))

    def test_base64_in_lines(self) -> None:
        """
        Promise 19: base64 that is broken into lines is masked, wherever the breaks are, except for at most 15
        characters.
        """
        for width in (60, 64, 70, 76):
            for before in range(3):
                alone = base64.b64encode(bytes(before) + KEY)
                lines = b"".join(alone[at : at + width] + b"\n" for at in range(0, len(alone), width))
                masked = in_pieces([KEY], [lines[at : at + 50] for at in range(0, len(lines), 50)])
                self.assertEqual(masked.count(b"\n"), lines.count(b"\n"))
                self.assertLess(len(masked.replace(b"*", b"").replace(b"\n", b"")), 20, masked)

    def test_percent_encoding(self) -> None:
        """
        Promise 19: a secret is masked in percent-encoding, with upper and lower case digits.
        """
        secret = b"p\xc3\xa4ss word/50%&(x)"
        for text in (quote(secret), quote(secret, safe=""), quote_plus(secret), quote(secret, safe="!'()*")):
            for form in (text, text.replace("%C3%A4", "%c3%a4").replace("%2F", "%2f")):
                masked = in_pieces([secret], [f"http://host/?q={form}&x=%20".encode()])
                self.assertEqual(masked, b"http://host/?q=" + b"*" * len(form) + b"&x=%20")

    def test_escaped(self) -> None:
        """
        Promise 6.18: a secret is masked as programs escape it: JSON, shells, string literals, XML and quoted-printable,
        which change non-ASCII letters, quotes and control characters.
        """
        secret = "p\u00e4ss=w\u20acrd/'\"<&> $x\\`\U0001f511+\t!;"
        data = secret.encode()
        quoted = quopri.encodestring(data, quotetabs=False).replace(b"=\n", b"")
        texts = [
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            json.dumps(secret)[1:-1].replace("/", "\\/"),
            json.dumps(secret)[1:-1].translate({ord(each): f"\\u{ord(each):04x}" for each in "<>&"}),
            shlex.quote(secret)[1:-1],
            secret.replace("'", "'\\''"),
            re.sub(r'(["\\$`])', r"\\\1", secret),
            re.sub(r"([ \t!\"$&'()*,;<>?\[\]^`{|}\\])", r"\\\1", secret),
            repr(secret)[1:-1],
            ascii(secret)[1:-1],
            repr(data)[2:-1],
            repr(data + b'"')[2:-2],
            xml_escape(secret),
            quoteattr(secret)[1:-1],
            html.escape(secret),
            xml_escape(secret, {'"': "&quot;", "'": "&apos;"}),
            quoted.decode(),
            xml_escape(secret).encode("ascii", "xmlcharrefreplace").decode(),
            re.sub(r"[^\x00-\x7f]", lambda each: f"&#x{ord(each[0]):X};", html.escape(secret)),
            secret.replace("'", "''"),
            secret.replace('"', '""'),
        ]
        for text in texts:
            masked = in_pieces([data], [b"<", text.encode(), b">"])
            self.assertEqual(masked, b"<" + b"*" * len(text.encode()) + b">", text)

    def test_escaped_by_programs(self) -> None:
        """
        Promise 6.18: a secret is masked in the output of real programs that escape it.
        """
        secret = 'it\'s "50%" & <more>/\\n$HOME'
        env = {**os.environ, "SECRET": secret, "LC_ALL": "C.UTF-8"}
        for script in ('set -x; : "$SECRET"', 'printf %q "$SECRET"', "export -p", "declare -p SECRET"):
            done = subprocess.run(["bash", "-c", script], env=env, check=True, capture_output=True, timeout=60)
            masked = in_pieces([secret.encode()], [done.stdout + done.stderr])
            self.assertIn(b"*******************", masked, script)
            self.assertNotIn(b"more", masked, script)

    def test_key(self) -> None:
        """
        Promise 19: no part of a key of 27 lines remains: unchanged, indented, or as one line of JSON or of a URL.
        """
        json, url = KEY.replace(b"\n", b"\\n"), quote(KEY, safe="").encode()
        indented = b"".join(b"   > " + line + b"\n" for line in KEY.splitlines())
        for text in (KEY, indented, json, url):
            masked = in_pieces([KEY], [text[at : at + 33] for at in range(0, len(text), 33)])
            self.assertEqual(set(masked) - set(b"* >\\n\n%0A"), set())

    def test_every_cut(self) -> None:
        """
        A secret is found wherever it is cut in two or three, also where another one overlaps it.
        """
        secrets, whole = [b"abcabcd", b"bcdefgh"], b"-abcabcabcdefgh-abcabc"
        expected = plainly(secrets, whole)
        for first in range(len(whole) + 1):
            for second in range(first, len(whole) + 1):
                pieces = [whole[:first], whole[first:second], whole[second:]]
                self.assertEqual(in_pieces(secrets, pieces), expected)

    def test_lines(self) -> None:
        """
        Each line of a secret of several lines is masked; short lines only within the whole secret.
        """
        key = b"-----BEGIN KEY-----\nc2VjcmV0c2VjcmV0\nab=\n-----END KEY-----\n"
        self.assertEqual(in_pieces([key], [b"> c2VjcmV0c2VjcmV0 ab=\n"]), b"> **************** ab=\n")
        self.assertEqual(in_pieces([key], [b"<", key, b">"]), b"<" + b"*" * (len(key) - 1) + b"\n>")

    def test_held_no_longer_than_needed(self) -> None:
        """
        The masker holds back only bytes that may begin a secret, and releases them as soon as they do not.
        """
        masker = Masker([b"secret1"])
        self.assertEqual(masker.feed(b"password: sec"), b"password: ")
        self.assertEqual(masker.feed(b"ond\n"), b"second\n")

    def test_shared(self) -> None:
        """
        Several streams may share one search, and are masked independently.
        """
        search = Search([TOKEN])
        one, other = Masker(search), Masker(search)
        self.assertEqual((one.feed(TOKEN[:9]), other.feed(TOKEN[9:])), (b"", TOKEN[9:]))
        self.assertEqual(one.feed(TOKEN[9:]), b"*" * len(TOKEN))

    def test_without_secrets(self) -> None:
        """
        Without secrets the stream passes unchanged.
        """
        masker = Masker([])
        data = bytes(range(256))
        self.assertIs(masker.feed(data), data)

    def test_text(self) -> None:
        """
        `masked_text` masks a sentence of our own.
        """
        self.assertEqual(Masker([b"secret1"]).text("No such program: 'secret1'"), "No such program: '*******'")
        self.assertEqual(masked_text(Search([TOKEN]), f"ä {quote(TOKEN)}"), "ä " + "*" * len(quote(TOKEN)))
