"""
Secrets out of a stream, wherever it is cut.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.masking import Masker, patterns


def plainly(secrets: list[bytes], whole: bytes) -> bytes:
    """
    The definition: every byte of every occurrence, of the stream as a whole.
    """
    masked = bytearray(whole)
    for pattern in patterns(secrets):
        for at in range(len(whole) - len(pattern) + 1):
            if whole[at : at + len(pattern)] == pattern:
                masked[at : at + len(pattern)] = b"*" * len(pattern)
    return bytes(masked)


def in_pieces(secrets: list[bytes], pieces: list[bytes]) -> bytes:
    """
    What a masker makes of the stream in *pieces*.
    """
    masker = Masker(secrets)
    return b"".join([masker.feed(piece) for piece in pieces] + [masker.flush()])


# Two letters and a line's end, so that secrets overlap, repeat, and begin at every end.
few = st.binary(max_size=30).map(lambda data: bytes(b"ab\n"[byte % 3] for byte in data))


class MaskerTests(SynchronousTestCase):
    @given(st.lists(few.filter(lambda data: len(data) >= 6), max_size=4), st.lists(few, max_size=20))
    def test_definition(self, secrets: list[bytes], pieces: list[bytes]) -> None:
        """
        However the stream is cut, what comes out is what the definition makes of the whole (Invariant I7).
        """
        self.assertEqual(in_pieces(secrets, pieces), plainly(secrets, b"".join(pieces)))

    @given(st.lists(st.binary(min_size=6, max_size=12), max_size=3), st.lists(st.binary(max_size=40), max_size=20))
    def test_length(self, secrets: list[bytes], pieces: list[bytes]) -> None:
        """
        Nothing moves: as many bytes come out as go in, and never more than went in before.
        """
        masker = Masker(secrets)
        came = went = 0
        for piece in pieces:
            came += len(piece)
            went += len(masker.feed(piece))
            self.assertLessEqual(went, came)
        self.assertEqual(went + len(masker.flush()), came)

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
        Of a secret of several lines, each line is one; short ones only within the whole.
        """
        key = b"-----BEGIN KEY-----\nc2VjcmV0c2VjcmV0\nab=\n-----END KEY-----\n"
        self.assertEqual(in_pieces([key], [b"> c2VjcmV0c2VjcmV0 ab=\n"]), b"> **************** ab=\n")
        self.assertEqual(in_pieces([key], [b"<", key, b">"]), b"<" + b"*" * (len(key) - 1) + b"\n>")

    def test_held_no_longer_than_needed(self) -> None:
        """
        Only what may begin a secret is held back, and let go as soon as it does not.
        """
        masker = Masker([b"secret1"])
        self.assertEqual(masker.feed(b"password: sec"), b"password: ")
        self.assertEqual(masker.feed(b"ond\n"), b"second\n")

    def test_without_secrets(self) -> None:
        """
        Without secrets everything passes as it is.
        """
        masker = Masker([])
        data = bytes(range(256))
        self.assertIs(masker.feed(data), data)

    def test_text(self) -> None:
        """
        A sentence of ours is masked as well.
        """
        self.assertEqual(Masker([b"secret1"]).text("No such program: 'secret1'"), "No such program: '*******'")
