"""
Our broker writes the same tokens as Foolscap, in fewer writes.
"""

from typing import Any

from foolscap.banana import Banana
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.token_broker import TokenBroker

WORDS = {b"call": 1, b"list": 7, b"answer": 300}
EDGES = [0, 1, 127, 128, 16383, 16384, 2**31 - 1, 2**31, 2**31 + 1, -1, -(2**31), -(2**31) - 1]
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from(EDGES)
LENGTHS = st.integers(0, 300) | st.sampled_from([100, 101, 127, 128, 20_000])
STRINGS = st.sampled_from(sorted(WORDS)) | st.binary(max_size=300) | LENGTHS.map(lambda length: b"x" * length)


class FakeTransport:
    """
    Records what is written.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def sender(kind: Any) -> Any:
    """
    An object of the class *kind*, initialised only as far as sending tokens needs it.
    """
    made = kind.__new__(kind)
    made.transport = FakeTransport()
    made.outgoingVocabulary = WORDS
    made.openCount = 0
    return made


class SentTokensTests(SynchronousTestCase):
    @given(st.lists(NUMBERS | STRINGS | st.floats(), max_size=20), st.integers(0, 2**31 - 1))
    def test_as_foolscap(self, objects: list[object], opened: int) -> None:
        """
        Numbers of every size, words of the vocabulary, strings and brackets are written as Foolscap writes them.
        """
        ours, theirs = sender(TokenBroker), sender(Banana)
        for each in (ours, theirs):
            each.openCount = opened
            bracket = each.sendOpen()
            for obj in objects:
                each.sendToken(obj)
            each.sendClose(bracket)

        self.assertEqual(b"".join(ours.transport.written), b"".join(theirs.transport.written))
        self.assertEqual(ours.openCount, theirs.openCount)

    def test_one_write(self) -> None:
        """
        A short token is one write; a chunk of a log is not copied.
        """
        ours, chunk = sender(TokenBroker), bytes(1 << 18)
        ours.sendOpen()
        for obj in (7, 2**31 - 1, b"call", b"short", chunk):
            ours.sendToken(obj)
        ours.sendClose(0)

        self.assertEqual(len(ours.transport.written), 8)
        self.assertIs(ours.transport.written[-2], chunk)
